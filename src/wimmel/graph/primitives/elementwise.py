"""Primitives that work element by element, broadcasting as NumPy does: arithmetic, comparison, choice, conversion."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from wimmel.geometry import AxisField
from wimmel.graph.tensor import Fields, Primitive, Shape, Value


def _broadcast(name: str, inputs: Sequence[Value]) -> Shape:
    try:
        return np.broadcast_shapes(*(value.shape for value in inputs))
    except ValueError:
        shapes = " and ".join(str(value.shape) for value in inputs)
        raise ValueError(
            f"{name} was given shapes {shapes}, which do not broadcast: "
            "counted from the last axis, sizes must be equal or one of them 1"
        ) from None


def fields_of_broadcast(output: Value, *inputs: Value, **_: Any) -> Fields:
    """Each input axis moves with the output axis it stands under, or not at all where it was stretched from 1."""
    resting = (None, AxisField.fixed(0))
    return [
        [
            resting if size == 1 else (axis + len(output.shape) - len(value.shape), AxisField.pointwise())
            for axis, size in enumerate(value.shape)
        ]
        for value in inputs
    ]


def _elementwise(
    name: str, definition: Callable[..., np.ndarray], gradient: Callable[..., Sequence[Value | None]] | None = None
) -> Primitive:
    @cache
    def promoted(*dtypes: np.dtype) -> np.dtype:
        return definition(*(np.empty(0, dtype) for dtype in dtypes)).dtype

    def result(*inputs: Value) -> tuple[Shape, np.dtype]:
        return _broadcast(name, inputs), promoted(*(value.dtype for value in inputs))

    return Primitive(name, result, definition, gradient, fields_of_broadcast)


def _erf(x: np.ndarray) -> np.ndarray:
    dtype = np.result_type(x.dtype, np.float32)
    return np.vectorize(math.erf, otypes=[dtype])(x)


def _power_gradient(g: Value, z: Value, x: Value, y: Value) -> tuple[Value, Value]:
    flat, zero = equal(y, 0), equal(x, 0)
    slope = where(flat, 0, multiply(y, power(x, where(flat, 1, subtract(y, 1)))))
    growth = where(zero, 0, multiply(z, log(where(zero, 1, x))))
    return multiply(g, slope), multiply(g, growth)


add: Primitive = _elementwise("add", np.add, lambda g, z, x, y: (g, g))
subtract: Primitive = _elementwise("subtract", np.subtract, lambda g, z, x, y: (g, multiply(g, -1)))
multiply: Primitive = _elementwise("multiply", np.multiply, lambda g, z, x, y: (multiply(g, y), multiply(g, x)))
divide: Primitive = _elementwise(
    "divide",
    np.divide,
    lambda g, z, x, y: (divide(g, y), multiply(multiply(g, -1), divide(z, y))),
)
power: Primitive = _elementwise("power", np.power, _power_gradient)

# At a tie the second operand counts as chosen, so that relu(x) = maximum(x, 0) has derivative 0 at 0.
maximum: Primitive = _elementwise(
    "maximum", np.maximum, lambda g, z, x, y: (where(less(y, x), g, 0), where(less(y, x), 0, g))
)
minimum: Primitive = _elementwise(
    "minimum", np.minimum, lambda g, z, x, y: (where(less(x, y), g, 0), where(less(x, y), 0, g))
)

exp: Primitive = _elementwise("exp", np.exp, lambda g, y, x: (multiply(g, y),))
log: Primitive = _elementwise("log", np.log, lambda g, y, x: (divide(g, x),))
log1p: Primitive = _elementwise("log1p", np.log1p, lambda g, y, x: (divide(g, add(x, 1)),))
sqrt: Primitive = _elementwise("sqrt", np.sqrt, lambda g, y, x: (divide(multiply(g, 0.5), y),))
tanh: Primitive = _elementwise("tanh", np.tanh, lambda g, y, x: (multiply(g, subtract(1, multiply(y, y))),))
erf: Primitive = _elementwise(
    "erf",
    _erf,
    lambda g, y, x: (multiply(g, multiply(2 / math.sqrt(math.pi), exp(multiply(-1, multiply(x, x))))),),
)
absolute: Primitive = _elementwise(
    "abs",
    np.abs,
    lambda g, y, x: (where(less(0, x), g, where(less(x, 0), multiply(g, -1), 0)),),
)

less: Primitive = _elementwise("less", np.less)
equal: Primitive = _elementwise("equal", np.equal)
where: Primitive = _elementwise("where", np.where, lambda g, z, c, x, y: (None, where(c, g, 0), where(c, 0, g)))


cast: Primitive = Primitive(
    "cast",
    lambda x, dtype: (x.shape, np.dtype(dtype)),
    lambda x, dtype: x.astype(dtype),
    lambda g, y, x, dtype: (cast(g, dtype=x.dtype.name) if y.dtype.kind == "f" else None,),
    fields_of_broadcast,
)

identity: Primitive = Primitive(
    "identity",
    lambda x, stop_gradient: (x.shape, x.dtype),
    lambda x, stop_gradient: x,
    lambda g, y, x, stop_gradient: (None if stop_gradient else g,),
    fields_of_broadcast,
)
