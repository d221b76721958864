"""Pooling: sums and maxima over sliding windows, and what their gradients need. All take (n, c, *sizes).

``sum_pool`` and ``sum_unpool`` are each other's gradient. ``max_pool`` has gradient ``max_unpool``, which puts each
cotangent where its window's maximum stood, and that has gradient ``max_pool_take``, which picks values from there.
Padding counts as nothing: zero in sums, below everything in maxima. Ties go to the first in row-major order, and a NaN
is larger than any number, as in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wimmel.geometry import AxisField, Pairs
from wimmel.graph.primitives.convolution import crop_spatial, pad_spatial, padded_sizes, taps
from wimmel.graph.tensor import Fields, Primitive, Shape, Value

_EVERYTHING = (slice(None), slice(None))


def _pooled_result(x: Value, *_: Value, outputs: Shape, **__: Any) -> tuple[Shape, np.dtype]:
    return (*x.shape[:2], *outputs), x.dtype


def _padding_reaching(
    x: np.ndarray, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape
) -> Pairs:
    """The padding, longer behind where ceil_mode lets the last window stick out."""
    pairs = []
    rows = zip(x.shape[2:], kernel, stride, padding, dilation, outputs, strict=True)
    for n, k, s, (front, behind), d, count in rows:
        reach = (count - 1) * s + d * (k - 1) + 1
        pairs.append((front, max(behind, reach - n - front)))
    return tuple(pairs)


def _sum_pool(
    x: np.ndarray, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape
) -> np.ndarray:
    padded = pad_spatial(x, _padding_reaching(x, kernel, stride, padding, dilation, outputs))
    y = np.zeros((*x.shape[:2], *outputs), x.dtype)
    for _, places in taps(kernel, outputs, stride, dilation):
        y += padded[(*_EVERYTHING, *places)]
    return y


def _sum_unpool(
    g: np.ndarray, size: Shape, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape
) -> np.ndarray:
    x = np.empty((*g.shape[:2], *size), g.dtype)
    padding = _padding_reaching(x, kernel, stride, padding, dilation, outputs)
    folded = np.zeros((*g.shape[:2], *padded_sizes(size, padding)), g.dtype)
    for _, places in taps(kernel, outputs, stride, dilation):
        folded[(*_EVERYTHING, *places)] += g
    return crop_spatial(folded, size, padding)


def _lowest(dtype: np.dtype) -> Any:
    if dtype.kind == "b":
        return False
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _max_pool(
    x: np.ndarray, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape
) -> np.ndarray:
    padding = _padding_reaching(x, kernel, stride, padding, dilation, outputs)
    padded = pad_spatial(x, padding, _lowest(x.dtype))
    y = np.full((*x.shape[:2], *outputs), _lowest(x.dtype), x.dtype)
    for _, places in taps(kernel, outputs, stride, dilation):
        np.maximum(y, padded[(*_EVERYTHING, *places)], out=y)
    return y


def _winning_taps(
    x: np.ndarray, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape
) -> np.ndarray:
    """Number of the tap where each window's maximum stands, among the taps inside the picture."""
    padded = pad_spatial(x, padding, _lowest(x.dtype))
    inside = pad_spatial(np.ones((1, 1, *x.shape[2:]), bool), padding, False)
    best = np.full((*x.shape[:2], *outputs), _lowest(x.dtype), x.dtype)
    winner = np.full(best.shape, -1)
    for number, places in taps(kernel, outputs, stride, dilation):
        value = padded[(*_EVERYTHING, *places)]
        better = (value > best) | (np.isnan(value) & ~np.isnan(best)) | (winner < 0)
        better &= inside[(*_EVERYTHING, *places)]
        winner[better] = number
        best = np.where(better, value, best)
    return winner


def _max_unpool(
    x: np.ndarray, g: np.ndarray, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape
) -> np.ndarray:
    padding = _padding_reaching(x, kernel, stride, padding, dilation, outputs)
    winner = _winning_taps(x, kernel, stride, padding, dilation, outputs)
    folded = np.zeros((*g.shape[:2], *padded_sizes(x.shape[2:], padding)), g.dtype)
    for number, places in taps(kernel, outputs, stride, dilation):
        folded[(*_EVERYTHING, *places)] += np.where(winner == number, g, 0)
    return crop_spatial(folded, x.shape[2:], padding)


def _max_pool_take(
    x: np.ndarray, v: np.ndarray, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape
) -> np.ndarray:
    padding = _padding_reaching(x, kernel, stride, padding, dilation, outputs)
    winner = _winning_taps(x, kernel, stride, padding, dilation, outputs)
    padded = pad_spatial(v, padding)
    y = np.zeros(winner.shape, v.dtype)
    for number, places in taps(kernel, outputs, stride, dilation):
        np.copyto(y, padded[(*_EVERYTHING, *places)], where=winner == number)
    return y


def _pool_fields(
    y: Value, *inputs: Value, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape
) -> Fields:
    rows = zip(kernel, stride, padding, dilation, strict=True)
    spatial = [(axis + 2, AxisField.window(k, s, p[0], d)) for axis, (k, s, p, d) in enumerate(rows)]
    return [[(0, AxisField.pointwise()), (1, AxisField.pointwise()), *spatial] for _ in inputs]


def _unpool_fields(
    x: Value, g: Value, size: Shape, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape
) -> Fields:
    rows = zip(kernel, stride, padding, dilation, strict=True)
    spatial = [(axis + 2, AxisField.transposed(k, s, p[0], d)) for axis, (k, s, p, d) in enumerate(rows)]
    return [[(0, AxisField.pointwise()), (1, AxisField.pointwise()), *spatial]]


sum_pool: Primitive = Primitive(
    "sum_pool",
    _pooled_result,
    _sum_pool,
    lambda g, y, x, **windows: (sum_unpool(g, size=x.shape[2:], **windows),),
    _pool_fields,
)

sum_unpool: Primitive = Primitive(
    "sum_unpool",
    lambda g, size, **windows: ((*g.shape[:2], *size), g.dtype),
    _sum_unpool,
    lambda v, x, g, size, **windows: (sum_pool(v, **windows),),
    _unpool_fields,
)

max_pool: Primitive = Primitive(
    "max_pool",
    _pooled_result,
    _max_pool,
    lambda g, y, x, **windows: (max_unpool(x, g, **windows),),
    _pool_fields,
)

max_unpool: Primitive = Primitive(
    "max_unpool",
    lambda x, g, **windows: (x.shape, g.dtype),
    _max_unpool,
    lambda v, y, x, g, **windows: (None, max_pool_take(x, v, **windows)),
)

max_pool_take: Primitive = Primitive(
    "max_pool_take",
    lambda x, v, outputs, **windows: ((*x.shape[:2], *outputs), v.dtype),
    _max_pool_take,
    lambda g, y, x, v, **windows: (None, max_unpool(x, g, **windows)),
    _pool_fields,
)
