"""Primitives that move elements without computing: reshape, transpose, broadcast, slice, pad, flip, concatenate, and
the pair take and scatter_add. Slice and pad are each other's gradient, and so are take and scatter_add."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wimmel.geometry import AxisField, axis_groups
from wimmel.graph.primitives import reduction
from wimmel.graph.primitives.elementwise import fields_of_broadcast
from wimmel.graph.tensor import Fields, Primitive, Shape, Value

_RESTING = (None, AxisField.whole())


def _reshape_result(x: Value, shape: Shape) -> tuple[Shape, np.dtype]:
    if math.prod(shape) != math.prod(x.shape):
        raise ValueError(
            f"reshape was given shape {x.shape}, {math.prod(x.shape)} elements, and cannot make it {shape}, "
            f"{math.prod(shape)} elements"
        )
    return tuple(shape), x.dtype


def _reshape_fields(output: Value, x: Value, shape: Shape) -> Fields:
    """Axes that pass through unmerged and unsplit move as before; inside a merged or split group, all may be seen."""
    rows: list[tuple[int | None, AxisField]] = [_RESTING] * len(x.shape)
    for before, after in axis_groups(x.shape, shape):
        if len(before) == len(after) == 1:
            rows[before[0]] = (after[0], AxisField.pointwise())
    return [rows]


reshape: Primitive = Primitive(
    "reshape",
    _reshape_result,
    lambda x, shape: np.reshape(x, shape),
    lambda g, y, x, shape: (reshape(g, shape=x.shape),),
    _reshape_fields,
)

transpose: Primitive = Primitive(
    "transpose",
    lambda x, axes: (tuple(x.shape[axis] for axis in axes), x.dtype),
    lambda x, axes: np.transpose(x, axes),
    lambda g, y, x, axes: (transpose(g, axes=tuple(int(axis) for axis in np.argsort(axes))),),
    lambda y, x, axes: [[(axes.index(axis), AxisField.pointwise()) for axis in range(len(axes))]],
)


def _broadcast_result(x: Value, shape: Shape) -> tuple[Shape, np.dtype]:
    try:
        fits = np.broadcast_shapes(x.shape, shape) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"broadcast_to was given shape {x.shape}, which does not stretch to {tuple(shape)}")
    return tuple(shape), x.dtype


def sum_to(x: Value, shape: Shape) -> Value:
    """x summed over the axes along which something of the given shape was broadcast to x's shape."""
    if x.shape == tuple(shape):
        return x
    extra = len(x.shape) - len(shape)
    stretched = tuple(
        axis for axis in range(len(x.shape)) if axis < extra or (shape[axis - extra] == 1 and x.shape[axis] != 1)
    )
    return reshape(reduction.reduce_sum(x, axes=stretched), shape=tuple(shape))


broadcast: Primitive = Primitive(
    "broadcast",
    _broadcast_result,
    lambda x, shape: np.broadcast_to(x, shape),
    lambda g, y, x, shape: (sum_to(g, x.shape),),
    lambda y, x, shape: fields_of_broadcast(y, x),
)


# slice and pad. An axis of pad gets `low` elements in front, `interior` between each two, `high` behind.


def _slice_result(x: Value, start: Shape, stop: Shape, step: Shape) -> tuple[Shape, np.dtype]:
    return tuple(len(range(*bounds)) for bounds in zip(start, stop, step, strict=True)), x.dtype


def _pad_result(x: Value, low: Shape, high: Shape, interior: Shape, value: float) -> tuple[Shape, np.dtype]:
    sizes = zip(x.shape, low, high, interior, strict=True)
    return tuple(n + before + after + max(n - 1, 0) * between for n, before, after, between in sizes), x.dtype


def _pad(x: np.ndarray, low: Shape, high: Shape, interior: Shape, value: float) -> np.ndarray:
    shape, dtype = _pad_result(x, low, high, interior, value)
    y = np.full(shape, value, dtype)
    y[_places(x.shape, low, interior)] = x
    return y


def _places(sizes: Shape, low: Shape, interior: Shape) -> tuple[slice, ...]:
    return tuple(
        slice(before, before + n + max(n - 1, 0) * between, between + 1)
        for n, before, between in zip(sizes, low, interior, strict=True)
    )


def _slice_gradient(g: Value, y: Value, x: Value, start: Shape, stop: Shape, step: Shape) -> tuple[Value | None]:
    if 0 in y.shape:
        return (None,)
    high = tuple(
        n - (first + (count - 1) * stride + 1)
        for n, first, count, stride in zip(x.shape, start, y.shape, step, strict=True)
    )
    return (pad(g, low=tuple(start), high=high, interior=tuple(stride - 1 for stride in step), value=0),)


def _pad_gradient(g: Value, y: Value, x: Value, low: Shape, high: Shape, interior: Shape, value: float) -> tuple[Value]:
    places = _places(x.shape, low, interior)
    bounds = [(place.start, place.stop, place.step) for place in places]
    start, stop, step = (tuple(column) for column in zip(*bounds, strict=True)) if bounds else ((), (), ())
    return (take_slice(g, start=start, stop=stop, step=step),)


def _pad_fields(y: Value, x: Value, low: Shape, high: Shape, interior: Shape, value: float) -> Fields:
    rows = zip(low, interior, strict=True)
    return [[(axis, AxisField.placed(before, between + 1)) for axis, (before, between) in enumerate(rows)]]


take_slice: Primitive = Primitive(
    "slice",
    _slice_result,
    lambda x, start, stop, step: x[tuple(slice(*bounds) for bounds in zip(start, stop, step, strict=True))],
    _slice_gradient,
    lambda y, x, start, stop, step: [
        [(axis, AxisField.sliced(first, stride)) for axis, (first, stride) in enumerate(zip(start, step, strict=True))]
    ],
)

pad: Primitive = Primitive("pad", _pad_result, _pad, _pad_gradient, _pad_fields)

flip: Primitive = Primitive(
    "flip",
    lambda x, axes: (x.shape, x.dtype),
    lambda x, axes: np.flip(x, axes),
    lambda g, y, x, axes: (flip(g, axes=axes),),
    lambda y, x, axes: [
        [(axis, AxisField.mirrored(n) if axis in axes else AxisField.pointwise()) for axis, n in enumerate(x.shape)]
    ],
)


def _concatenate_result(*parts: Value, axis: int) -> tuple[Shape, np.dtype]:
    first = parts[0].shape
    for part in parts[1:]:
        if len(part.shape) != len(first) or any(
            size != expected for i, (size, expected) in enumerate(zip(part.shape, first, strict=True)) if i != axis
        ):
            raise ValueError(
                f"concatenate was given shapes {first} and {part.shape}; along all axes but axis {axis} they must agree"
            )
    total = sum(part.shape[axis] for part in parts)
    return (*first[:axis], total, *first[axis + 1 :]), np.result_type(*(part.dtype for part in parts))


def _starts(parts: tuple[Value, ...], axis: int) -> list[int]:
    return [sum(part.shape[axis] for part in parts[:i]) for i in range(len(parts))]


def _concatenate_gradient(g: Value, y: Value, *parts: Value, axis: int) -> list[Value]:
    cotangents = []
    for part, start in zip(parts, _starts(parts, axis), strict=True):
        first = tuple(start if i == axis else 0 for i in range(len(part.shape)))
        stop = tuple(begin + n for begin, n in zip(first, part.shape, strict=True))
        cotangents.append(take_slice(g, start=first, stop=stop, step=(1,) * len(first)))
    return cotangents


concatenate: Primitive = Primitive(
    "concatenate",
    _concatenate_result,
    lambda *parts, axis: np.concatenate(parts, axis),
    _concatenate_gradient,
    lambda y, *parts, axis: [
        [(i, AxisField.shifted(-start if i == axis else 0)) for i in range(len(part.shape))]
        for part, start in zip(parts, _starts(parts, axis), strict=True)
    ],
)


# take and scatter_add. `take` replaces one axis by the axes of the indices; scatter_add adds back, repeated places too.


def _check_indices(indices: np.ndarray, size: int) -> None:
    if indices.size and (indices.min() < -size or indices.max() >= size):
        raise IndexError(
            f"take was given indices from {indices.min()} to {indices.max()}, but the axis has {size} elements: "
            f"0 to {size - 1}, or {-size} to -1 from the end"
        )


def _take(x: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    _check_indices(indices, x.shape[axis])
    return np.take(x, indices, axis)


def _scatter_add(g: np.ndarray, indices: np.ndarray, axis: int, size: int) -> np.ndarray:
    _check_indices(indices, size)
    rows = g.reshape((*g.shape[:axis], indices.size, *g.shape[axis + indices.ndim :]))
    y = np.zeros((*g.shape[:axis], size, *g.shape[axis + indices.ndim :]), g.dtype)
    np.add.at(np.moveaxis(y, axis, 0), indices.reshape(-1), np.moveaxis(rows, axis, 0))
    return y


def _whole_fields(y: Value, *inputs: Value, **_: Any) -> Fields:
    return [[_RESTING] * len(value.shape) for value in inputs]


def _take_fields(y: Value, x: Value, indices: Value, axis: int) -> Fields:
    after = len(indices.shape) - 1
    rows = [(i if i < axis else i + after, AxisField.pointwise()) for i in range(len(x.shape))]
    rows_of_x: list[tuple[int | None, AxisField]] = [*rows[:axis], _RESTING, *rows[axis + 1 :]]
    return [rows_of_x, [(axis + i, AxisField.pointwise()) for i in range(len(indices.shape))]]


take: Primitive = Primitive(
    "take",
    lambda x, indices, axis: ((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype),
    _take,
    lambda g, y, x, indices, axis: (scatter_add(g, indices, axis=axis, size=x.shape[axis]), None),
    _take_fields,
)

scatter_add: Primitive = Primitive(
    "scatter_add",
    lambda g, indices, axis, size: ((*g.shape[:axis], size, *g.shape[axis + len(indices.shape) :]), g.dtype),
    _scatter_add,
    lambda v, y, g, indices, axis, size: (take(v, indices, axis=axis), None),
    _whole_fields,
)
