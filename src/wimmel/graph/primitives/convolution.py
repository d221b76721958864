"""Convolution as three faces of one trilinear form, each the gradient of the other two.

With x the input, w the weight and y the output (for one picture, one group and stride 1)

    T(x, w, y) = sum over o, c, positions p and taps k of  y[o, p] * w[o, c, k] * x[c, p + k]

and ``convolution`` is its derivative by y, ``convolution_input_gradient`` by x, ``convolution_weight_gradient`` by w.
As matrices: with P the patches of x, one column per position, and F the filters, one row per output channel, Y = F P.
Then the cotangents are dF = dY P^T and dP = F^T dY, and dP is folded back by adding every patch where it was cut out.

All take any number of spatial axes: x as (n, c_in, *sizes), w as (c_out, c_in / groups, *kernel) and y as
(n, c_out, *outputs).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from wimmel.geometry import AxisField, Pairs, output_sizes
from wimmel.graph.primitives import shaping
from wimmel.graph.tensor import Fields, Primitive, Shape, Value

PATCH_BYTES = 32 * 2**20
"""Patches are cut for as many pictures, or taps of one picture, at a time as fit in this much memory."""

Tap = tuple[int, tuple[slice, ...]]


def taps(kernel: Shape, outputs: Shape, stride: Shape, dilation: Shape) -> Iterator[Tap]:
    """Number of each tap in row-major order, and the slices of the padded input that it meets at all outputs."""
    for number, tap in enumerate(product(*map(range, kernel))):
        rows = zip(tap, outputs, stride, dilation, strict=True)
        yield number, tuple(slice(k * d, k * d + (n - 1) * s + 1, s) for k, n, s, d in rows)


def pad_spatial(x: np.ndarray, padding: Pairs, value: float = 0) -> np.ndarray:
    if not any(map(any, padding)):
        return x
    return np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)


def crop_spatial(x: np.ndarray, sizes: Shape, padding: Pairs) -> np.ndarray:
    """x, whose spatial axes are padded, without its padding."""
    inner = tuple(slice(front, front + n) for n, (front, _) in zip(sizes, padding, strict=True))
    return x[(slice(None), slice(None), *inner)]


def padded_sizes(sizes: Shape, padding: Pairs) -> Shape:
    return tuple(n + front + behind for n, (front, behind) in zip(sizes, padding, strict=True))


def _check(x: Value, w: Value, groups: int) -> None:
    axes = len(x.shape) - 2
    if axes < 1 or len(w.shape) != len(x.shape):
        raise ValueError(
            f"convolution was given an input of shape {x.shape} and a weight of shape {w.shape}; for an input "
            "(n, c_in, *sizes) the weight is (c_out, c_in / groups, *kernel), with as many axes"
        )
    if groups < 1:
        raise ValueError(f"convolution was given groups={groups}; there is at least one group")
    if w.shape[0] % groups or x.shape[1] != w.shape[1] * groups:
        raise ValueError(
            f"convolution was given an input of shape {x.shape}, that is {x.shape[1]} channels, and a weight of shape "
            f"{w.shape}, which with groups={groups} takes {w.shape[1] * groups} channels"
            + (f" and cannot share {w.shape[0]} outputs among {groups} groups" if w.shape[0] % groups else "")
        )


def _result(x: Value, w: Value, stride: Shape, padding: Pairs, dilation: Shape, groups: int) -> tuple[Shape, np.dtype]:
    _check(x, w, groups)
    outputs = output_sizes(x.shape[2:], w.shape[2:], padding, stride, dilation)
    return (x.shape[0], w.shape[0], *outputs), np.result_type(x.dtype, w.dtype)


def _portions(
    x: np.ndarray, kernel: Shape, outputs: Shape, stride: Shape, dilation: Shape
) -> Iterator[tuple[slice, list[Tap]]]:
    """Runs of pictures, and for each of them runs of taps, such that the patches of a portion fit in PATCH_BYTES."""
    every = list(taps(kernel, outputs, stride, dilation))
    tap_bytes = max(x.shape[1] * math.prod(outputs) * x.itemsize, 1)
    pictures = max(1, PATCH_BYTES // (tap_bytes * len(every)))
    run = max(1, PATCH_BYTES // (tap_bytes * pictures))
    for first in range(0, x.shape[0], pictures):
        for start in range(0, len(every), run):
            yield slice(first, first + pictures), every[start : start + run]


def _patches(x: np.ndarray, portion: list[Tap], outputs: Shape, groups: int) -> np.ndarray:
    """What some taps meet of a padded x, as (groups, channels of a group * taps, n * positions)."""
    n, c = x.shape[:2]
    patches = np.empty((groups, c // groups, len(portion), n, *outputs), x.dtype)
    for place, (_, places) in enumerate(portion):
        window = x[(slice(None), slice(None), *places)].reshape(n, groups, c // groups, *outputs)
        patches[:, :, place] = np.moveaxis(window, 0, 2)
    return patches.reshape(groups, c // groups * len(portion), n * math.prod(outputs))


def _by_group(w: np.ndarray, groups: int) -> np.ndarray:
    """Weights as (groups, outputs of a group, channels of a group, taps)."""
    return w.reshape(groups, w.shape[0] // groups, w.shape[1], math.prod(w.shape[2:]))


def _filters(w: np.ndarray, portion: list[Tap], groups: int) -> np.ndarray:
    """The filters' weights at some taps as (groups, outputs of a group, channels of a group * taps)."""
    chosen = _by_group(w, groups)[..., portion[0][0] : portion[-1][0] + 1]
    return chosen.reshape(*chosen.shape[:2], math.prod(chosen.shape[2:]))


def _rows(y: np.ndarray, groups: int) -> np.ndarray:
    """Outputs as (groups, outputs of a group, n * positions)."""
    n, c = y.shape[:2]
    positions = math.prod(y.shape[2:])
    split = y.reshape(n, groups, c // groups, positions)
    return split.transpose(1, 2, 0, 3).reshape(groups, c // groups, n * positions)


def _convolution(
    x: np.ndarray, w: np.ndarray, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> np.ndarray:
    shape, dtype = _result(x, w, stride, padding, dilation, groups)
    outputs, y = shape[2:], np.zeros(shape, dtype)
    for part, portion in _portions(x, w.shape[2:], outputs, stride, dilation):
        patches = _patches(pad_spatial(x[part], padding), portion, outputs, groups)
        rows = np.matmul(_filters(w, portion, groups), patches, dtype=dtype)
        pictures = rows.reshape(*rows.shape[:2], x[part].shape[0], *outputs)
        y[part] += np.moveaxis(pictures, 2, 0).reshape(y[part].shape)
    return y


def _input_gradient(
    g: np.ndarray, w: np.ndarray, size: Shape, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> np.ndarray:
    kernel, outputs = w.shape[2:], g.shape[2:]
    channels = w.shape[1] * groups
    x = np.zeros((g.shape[0], channels, *size), np.result_type(g.dtype, w.dtype))
    for part, portion in _portions(x, kernel, outputs, stride, dilation):
        n = g[part].shape[0]
        patches = np.matmul(_filters(w, portion, groups).transpose(0, 2, 1), _rows(g[part], groups), dtype=x.dtype)
        stack = patches.reshape(groups, w.shape[1], len(portion), n, *outputs)
        folded = np.zeros((groups, w.shape[1], n, *padded_sizes(size, padding)), x.dtype)
        for place, (_, places) in enumerate(portion):
            folded[(slice(None), slice(None), slice(None), *places)] += stack[:, :, place]
        pictures = np.moveaxis(folded, 2, 0).reshape(n, channels, *padded_sizes(size, padding))
        x[part] += crop_spatial(pictures, size, padding)
    return x


def _weight_gradient(
    x: np.ndarray, g: np.ndarray, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> np.ndarray:
    outputs = g.shape[2:]
    w = np.zeros((g.shape[1], x.shape[1] // groups, *kernel), np.result_type(x.dtype, g.dtype))
    by_group = _by_group(w, groups)
    for part, portion in _portions(x, kernel, outputs, stride, dilation):
        patches = _patches(pad_spatial(x[part], padding), portion, outputs, groups)
        products = np.matmul(_rows(g[part], groups), patches.transpose(0, 2, 1), dtype=w.dtype)
        chosen = by_group[..., portion[0][0] : portion[-1][0] + 1]
        chosen += products.reshape(chosen.shape)
    return w


# What the axes see: (the output axis that moves them, the field). Weights do not move.

_RESTING = (None, AxisField.whole())


def _window_fields(kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape) -> list[tuple[int | None, AxisField]]:
    rows = zip(kernel, stride, padding, dilation, strict=True)
    return [(axis + 2, AxisField.window(k, s, p[0], d)) for axis, (k, s, p, d) in enumerate(rows)]


def _convolution_fields(
    y: Value, x: Value, w: Value, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> Fields:
    picture = (0, AxisField.pointwise())
    weight = [(1, AxisField.pointwise()), *[_RESTING] * (len(w.shape) - 1)]
    return [[picture, _RESTING, *_window_fields(w.shape[2:], stride, padding, dilation)], weight]


def _input_gradient_fields(
    x: Value, g: Value, w: Value, size: Shape, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> Fields:
    rows = zip(w.shape[2:], stride, padding, dilation, strict=True)
    spatial = [(axis + 2, AxisField.transposed(k, s, p[0], d)) for axis, (k, s, p, d) in enumerate(rows)]
    return [[(0, AxisField.pointwise()), _RESTING, *spatial], [_RESTING] * len(w.shape)]


def _input_gradient_result(g: Value, w: Value, size: Shape, **_: Any) -> tuple[Shape, np.dtype]:
    return (g.shape[0], w.shape[1] * _["groups"], *size), np.result_type(g.dtype, w.dtype)


def _weight_gradient_result(x: Value, g: Value, kernel: Shape, groups: int, **_: Any) -> tuple[Shape, np.dtype]:
    return (g.shape[1], x.shape[1] // groups, *kernel), np.result_type(x.dtype, g.dtype)


def _first_outputs(y: Value, shape: Shape) -> Value:
    """y in that shape: where x reaches further than the outputs at hand look, as after a transposed convolution with
    output padding, a convolution of x has outputs behind them that the other two faces know nothing of."""
    if y.shape == shape:
        return y
    return shaping.take_slice(y, start=(0,) * len(shape), stop=shape, step=(1,) * len(shape))


convolution: Primitive = Primitive(
    "convolution",
    _result,
    _convolution,
    lambda g, y, x, w, **geometry: (
        convolution_input_gradient(g, w, size=x.shape[2:], **geometry),
        convolution_weight_gradient(x, g, kernel=w.shape[2:], **geometry),
    ),
    _convolution_fields,
)

convolution_input_gradient: Primitive = Primitive(
    "convolution_input_gradient",
    _input_gradient_result,
    _input_gradient,
    lambda v, x, g, w, size, **geometry: (
        _first_outputs(convolution(v, w, **geometry), g.shape),
        convolution_weight_gradient(v, g, kernel=w.shape[2:], **geometry),
    ),
    _input_gradient_fields,
)

convolution_weight_gradient: Primitive = Primitive(
    "convolution_weight_gradient",
    _weight_gradient_result,
    _weight_gradient,
    lambda v, w, x, g, kernel, **geometry: (
        convolution_input_gradient(g, v, size=x.shape[2:], **geometry),
        _first_outputs(convolution(x, v, **geometry), g.shape),
    ),
)
