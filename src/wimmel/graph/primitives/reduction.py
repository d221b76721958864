"""Primitives that combine many elements into one: sum, maximum, place of the maximum, and the matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np

from wimmel.geometry import AxisField
from wimmel.graph.primitives import elementwise, shaping
from wimmel.graph.tensor import Fields, Primitive, Shape, Value


def _kept(x: Value, axes: Shape) -> Shape:
    return tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))


def _left(x: Value, axes: Shape) -> Shape:
    return tuple(size for axis, size in enumerate(x.shape) if axis not in axes)


def _stretch(y: Value, x: Value, axes: Shape) -> Value:
    """y, which lost the given axes of x, back in x's shape."""
    return shaping.broadcast(shaping.reshape(y, shape=_kept(x, axes)), shape=x.shape)


def _fields(y: Value, x: Value, axes: Shape) -> Fields:
    left = [axis for axis in range(len(x.shape)) if axis not in axes]
    return [
        [
            (None, AxisField.whole()) if axis in axes else (left.index(axis), AxisField.pointwise())
            for axis in range(len(x.shape))
        ]
    ]


def _max_result(x: Value, axes: Shape) -> tuple[Shape, np.dtype]:
    if any(x.shape[axis] == 0 for axis in axes):
        raise ValueError(f"max was given shape {x.shape}: there is no largest of no elements along axes {axes}")
    return _left(x, axes), x.dtype


def _max_gradient(g: Value, y: Value, x: Value, axes: Shape) -> tuple[Value]:
    """The cotangent goes to the largest element, in equal parts where several are."""
    chosen = elementwise.cast(elementwise.equal(x, _stretch(y, x, axes)), dtype=x.dtype.name)
    share = elementwise.divide(g, reduce_sum(chosen, axes=axes))
    return (elementwise.multiply(chosen, _stretch(share, x, axes)),)


reduce_sum: Primitive = Primitive(
    "sum",
    lambda x, axes: (_left(x, axes), np.sum(np.empty(0, x.dtype)).dtype),
    lambda x, axes: np.sum(x, axis=axes),
    lambda g, y, x, axes: (_stretch(g, x, axes),),
    _fields,
)

reduce_max: Primitive = Primitive("max", _max_result, lambda x, axes: np.max(x, axis=axes), _max_gradient, _fields)

argmax: Primitive = Primitive(
    "argmax",
    lambda x, axis: (_max_result(x, (axis,))[0], np.dtype(np.int64)),
    lambda x, axis: np.asarray(np.argmax(x, axis), np.int64),
    None,
    lambda y, x, axis: _fields(y, x, (axis,)),
)


def _matmul_result(a: Value, b: Value) -> tuple[Shape, np.dtype]:
    if len(a.shape) < 2 or len(b.shape) < 2 or a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"matmul was given shapes {a.shape} and {b.shape}; "
            "the last axis of the first and the last but one of the second must agree"
        )
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(
            f"matmul was given shapes {a.shape} and {b.shape}, whose leading (batch) axes do not broadcast"
        ) from None
    return (*batch, a.shape[-2], b.shape[-1]), np.result_type(a.dtype, b.dtype)


def _swap(x: Value) -> Value:
    axes = tuple(range(len(x.shape)))
    return shaping.transpose(x, axes=(*axes[:-2], axes[-1], axes[-2]))


def _matmul_fields(y: Value, a: Value, b: Value, **_: Any) -> Fields:
    batch_a, batch_b = elementwise.fields_of_broadcast(
        np.broadcast_to(0, y.shape[:-2]), np.broadcast_to(0, a.shape[:-2]), np.broadcast_to(0, b.shape[:-2])
    )
    rows, columns = len(y.shape) - 2, len(y.shape) - 1
    whole = (None, AxisField.whole())
    return [[*batch_a, (rows, AxisField.pointwise()), whole], [*batch_b, whole, (columns, AxisField.pointwise())]]


matmul: Primitive = Primitive(
    "matmul",
    _matmul_result,
    np.matmul,
    lambda g, y, a, b: (matmul(g, _swap(b)), matmul(_swap(a), g)),
    _matmul_fields,
)
