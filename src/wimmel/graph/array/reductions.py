"""Sum, mean, variance and extremes, over some axes or all."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from wimmel.graph import primitives
from wimmel.graph.array.arithmetic import negative, sqrt, square
from wimmel.graph.array.axes import Axis, axes_of, axis_of, with_ones
from wimmel.graph.array.shaping import reshape
from wimmel.graph.tensor import Value, as_operands


def sum(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """The sum of x over the given axes, or over all.

    Parameters
    ----------
    x : array or tensor
    axis : int, tuple of ints or None, default None
    keepdims : bool, default False
        Keep the summed axes, with size 1.

    Examples
    --------
    >>> import numpy as np
    >>> sum(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    array([3., 7.])
    """
    return _reduce(primitives.reduce_sum, "sum", x, axis, keepdims)


def mean(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """The mean of x over the given axes, or over all; in floating point.

    Examples
    --------
    >>> import numpy as np
    >>> mean(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    array([2., 3.])
    """
    (x,) = as_operands([x], "mean")
    axes = axes_of(x, axis, "mean")
    return primitives.divide(sum(x, axes, keepdims), math.prod(x.shape[a] for a in axes))


def var(x: Value, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Value:
    """The variance of x over the given axes, or over all: the squared distances from the mean, summed, over n - ddof.

    Infinite or NaN where ddof leaves nothing to divide by.

    Examples
    --------
    >>> import numpy as np
    >>> float(var(np.array([1.0, 2.0, 3.0, 4.0])))
    1.25
    """
    return _variance(x, axis, ddof, keepdims, "var")


def std(x: Value, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Value:
    """The standard deviation of x over the given axes, or over all: the square root of `var`.

    Examples
    --------
    >>> import numpy as np
    >>> float(std(np.array([1.0, 3.0])))
    1.0
    """
    return sqrt(_variance(x, axis, ddof, keepdims, "std"))


def max(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """The largest element of x over the given axes, or over all; NaN where there is one.

    The gradient is shared equally among the largest elements.

    Examples
    --------
    >>> import numpy as np
    >>> max(np.array([[1.0, 2.0], [3.0, 0.0]]), axis=1)
    array([2., 3.])
    """
    return _reduce(primitives.reduce_max, "max", x, axis, keepdims)


def min(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """The smallest element of x over the given axes, or over all; NaN where there is one.

    The gradient is shared equally among the smallest elements.

    Examples
    --------
    >>> import numpy as np
    >>> min(np.array([[1.0, 2.0], [3.0, 0.0]]), axis=1)
    array([1., 0.])
    """
    (x,) = as_operands([x], "min")
    return _reversed_order(max(_reversed_order(x), axes_of(x, axis, "min"), keepdims))


def argmax(x: Value, axis: int | None = None, keepdims: bool = False) -> Value:
    """The place of the largest element along an axis (the first, at a tie), or in the flattened x.

    Returns
    -------
    int64 array or tensor, x's shape without the axis (or with size 1 there, with keepdims).

    Examples
    --------
    >>> import numpy as np
    >>> argmax(np.array([[1.0, 2.0], [3.0, 0.0]]), axis=1)
    array([1, 0])
    """
    (x,) = as_operands([x], "argmax")
    if axis is None:
        place = primitives.argmax(reshape(x, (-1,)), axis=0)
        return reshape(place, (1,) * len(x.shape)) if keepdims else place
    only = axis_of(axis, len(x.shape), "argmax")
    place = primitives.argmax(x, axis=only)
    return reshape(place, with_ones(x.shape, (only,))) if keepdims else place


def _reduce(primitive: Any, name: str, x: Value, axis: Axis, keepdims: bool) -> Value:
    (x,) = as_operands([x], name)
    axes = axes_of(x, axis, name)
    y = primitive(x, axes=axes)
    return reshape(y, with_ones(x.shape, axes)) if keepdims else y


def _variance(x: Value, axis: Axis, ddof: int, keepdims: bool, name: str) -> Value:
    (x,) = as_operands([x], name)
    axes = axes_of(x, axis, name)
    distances = primitives.subtract(x, mean(x, axes, keepdims=True))
    count = math.prod(x.shape[a] for a in axes)
    return primitives.divide(sum(square(distances), axes, keepdims), builtins.max(count - ddof, 0))


def _reversed_order(x: Value) -> Value:
    """A value that is larger where x is smaller, within x's dtype; applied twice it is x again."""
    if x.dtype.kind == "f":
        return negative(x)
    if x.dtype.kind == "b":
        return primitives.equal(x, False)
    return primitives.subtract(-1 if x.dtype.kind == "i" else int(np.iinfo(x.dtype).max), x)
