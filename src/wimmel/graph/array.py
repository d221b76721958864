"""NumPy's functions for arrays and tensors alike, as compositions of primitives; tensors' operators call them.

Names, arguments and results are NumPy's. Shapes broadcast and dtypes promote as NumPy's do. Each function gives an
array for arrays, and a tensor, recording, as soon as one argument is a tensor.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from wimmel.graph import primitives
from wimmel.graph.tensor import Shape, Tensor, Value, as_operands

Axis = int | Sequence[int] | None

# arithmetic


def add(x: Value, y: Value) -> Value:
    """x + y, element by element.

    Examples
    --------
    >>> add(np.array([1.0, 2.0]), 1)
    array([2., 3.])
    """
    return primitives.add(x, y)


def subtract(x: Value, y: Value) -> Value:
    """x - y, element by element.

    Examples
    --------
    >>> subtract(np.array([1.0, 2.0]), 1)
    array([0., 1.])
    """
    return primitives.subtract(x, y)


def multiply(x: Value, y: Value) -> Value:
    """x * y, element by element.

    Examples
    --------
    >>> multiply(np.array([1.0, 2.0]), 3)
    array([3., 6.])
    """
    return primitives.multiply(x, y)


def divide(x: Value, y: Value) -> Value:
    """x / y, element by element, in floating point.

    Examples
    --------
    >>> divide(np.array([1.0, 2.0]), 4)
    array([0.25, 0.5 ])
    """
    return primitives.divide(x, y)


def power(x: Value, y: Value) -> Value:
    """x to the power y, element by element.

    Examples
    --------
    >>> power(np.array([2.0, 3.0]), 2)
    array([4., 9.])
    """
    return primitives.power(x, y)


def negative(x: Value) -> Value:
    """-x, element by element.

    Examples
    --------
    >>> negative(np.array([1.0, -2.0]))
    array([-1.,  2.])
    """
    (x,) = as_operands([x], "negative")
    return primitives.multiply(x, -1) if x.dtype.kind == "f" else primitives.subtract(0, x)


def square(x: Value) -> Value:
    """x * x, element by element.

    Examples
    --------
    >>> square(np.array([2.0, 3.0]))
    array([4., 9.])
    """
    return primitives.multiply(x, x)


def maximum(x: Value, y: Value) -> Value:
    """The larger of x and y, element by element; NaN where one is NaN.

    At a tie the gradient goes to y.

    Examples
    --------
    >>> maximum(np.array([1.0, -2.0]), 0)
    array([1., 0.])
    """
    return primitives.maximum(x, y)


def minimum(x: Value, y: Value) -> Value:
    """The smaller of x and y, element by element; NaN where one is NaN.

    At a tie the gradient goes to y.

    Examples
    --------
    >>> minimum(np.array([1.0, -2.0]), 0)
    array([ 0., -2.])
    """
    return primitives.minimum(x, y)


def clip(x: Value, minimum: Value = None, maximum: Value = None) -> Value:
    """x limited to the range from minimum to maximum; either may be None. NaN passes through.

    The gradient is 1 from minimum to maximum, both included, and 0 outside.

    Examples
    --------
    >>> clip(np.array([-1.0, 0.5, 7.0]), 0, 1)
    array([0. , 0.5, 1. ])
    """
    (x,) = as_operands([x], "clip")
    if minimum is not None:
        x = primitives.maximum(minimum, x)
    if maximum is not None:
        x = primitives.minimum(maximum, x)
    return x


# functions of one number


def exp(x: Value) -> Value:
    """e to the power x, element by element.

    Examples
    --------
    >>> exp(np.array([0.0, 1.0]))
    array([1.        , 2.71828183])
    """
    return primitives.exp(x)


def log(x: Value) -> Value:
    """The natural logarithm of x, element by element; -inf at 0, NaN below.

    Examples
    --------
    >>> log(np.array([1.0, np.e]))
    array([0., 1.])
    """
    return primitives.log(x)


def log1p(x: Value) -> Value:
    """log(1 + x), exact for small x too.

    Examples
    --------
    >>> log1p(np.array([0.0, 1e-20]))
    array([0.e+00, 1.e-20])
    """
    return primitives.log1p(x)


def expm1(x: Value) -> Value:
    """exp(x) - 1, exact for small x too: tanh(x / 2) (exp(x) + 1).

    Examples
    --------
    >>> expm1(np.array([0.0, 1e-20]))
    array([0.e+00, 1.e-20])
    """
    return primitives.multiply(primitives.tanh(primitives.multiply(x, 0.5)), primitives.add(primitives.exp(x), 1))


def sqrt(x: Value) -> Value:
    """The square root of x, element by element; NaN below 0.

    Examples
    --------
    >>> sqrt(np.array([4.0, 9.0]))
    array([2., 3.])
    """
    return primitives.sqrt(x)


def tanh(x: Value) -> Value:
    """The hyperbolic tangent of x, element by element.

    Examples
    --------
    >>> tanh(np.array([0.0, 100.0]))
    array([0., 1.])
    """
    return primitives.tanh(x)


def erf(x: Value) -> Value:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, element by element.

    Examples
    --------
    >>> erf(np.array([0.0, 1.0]))
    array([0.        , 0.84270079])
    """
    return primitives.erf(x)


def abs(x: Value) -> Value:
    """The absolute value of x, element by element; its gradient at 0 is 0.

    Examples
    --------
    >>> abs(np.array([1.0, -2.0]))
    array([1., 2.])
    """
    return primitives.absolute(x)


# comparison and choice


def less(x: Value, y: Value) -> Value:
    """Whether x < y, element by element.

    Examples
    --------
    >>> less(np.array([1, 2]), 2)
    array([ True, False])
    """
    return primitives.less(*_comparable(x, y))


def equal(x: Value, y: Value) -> Value:
    """Whether x == y, element by element.

    Examples
    --------
    >>> equal(np.array([1, 2]), 2)
    array([False,  True])
    """
    return primitives.equal(*_comparable(x, y))


def less_equal(x: Value, y: Value) -> Value:
    """Whether x <= y, element by element; False where one is NaN.

    Examples
    --------
    >>> less_equal(np.array([1, 2, 3]), 2)
    array([ True,  True, False])
    """
    x, y = _comparable(x, y)
    return primitives.maximum(primitives.less(x, y), primitives.equal(x, y))


def not_equal(x: Value, y: Value) -> Value:
    """Whether x != y, element by element; True where one is NaN.

    Examples
    --------
    >>> not_equal(np.array([1, 2]), 2)
    array([ True, False])
    """
    return primitives.equal(equal(x, y), False)


def where(condition: Value, x: Value, y: Value) -> Value:
    """x where the condition holds and y elsewhere, element by element.

    Examples
    --------
    >>> where(np.array([True, False]), np.array([1.0, 2.0]), 0)
    array([1., 0.])
    """
    condition, x, y = _condition(condition), *as_operands([x, y], "where")
    return primitives.where(condition, x, y)


def isfinite(x: Value) -> Value:
    """Whether x is neither infinite nor NaN, element by element.

    Examples
    --------
    >>> isfinite(np.array([1.0, np.inf, np.nan]))
    array([ True, False, False])
    """
    return primitives.equal(primitives.multiply(x, 0), 0)


def cast(x: Value, dtype: Any) -> Value:
    """x converted to another dtype; floats become integers by truncation.

    Examples
    --------
    >>> cast(np.array([1.7, -1.7]), np.int64)
    array([ 1, -1])
    """
    name = np.dtype(dtype).name
    return x if getattr(x, "dtype", None) == np.dtype(dtype) else primitives.cast(x, dtype=name)


def stop_gradient(x: Value) -> Value:
    """x itself, but a constant to differentiation.

    Examples
    --------
    >>> stop_gradient(np.array([1.0, 2.0]))
    array([1., 2.])
    """
    return primitives.identity(x, stop_gradient=True)


# reductions


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
    >>> sum(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    array([3., 7.])
    """
    return _reduce(primitives.reduce_sum, x, axis, keepdims)


def mean(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """The mean of x over the given axes, or over all; in floating point.

    Examples
    --------
    >>> mean(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    array([2., 3.])
    """
    (x,) = as_operands([x], "mean")
    total = sum(x, axis, keepdims)
    return primitives.divide(total, math.prod(x.shape[a] for a in _axes(x, axis)))


def var(x: Value, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Value:
    """The variance of x over the given axes, or over all: the squared distances from the mean, summed, over n - ddof.

    Infinite or NaN where ddof leaves nothing to divide by.

    Examples
    --------
    >>> float(var(np.array([1.0, 2.0, 3.0, 4.0])))
    1.25
    """
    (x,) = as_operands([x], "var")
    distances = primitives.subtract(x, mean(x, axis, keepdims=True))
    count = math.prod(x.shape[a] for a in _axes(x, axis))
    return primitives.divide(sum(square(distances), axis, keepdims), builtins.max(count - ddof, 0))


def std(x: Value, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Value:
    """The standard deviation of x over the given axes, or over all: the square root of `var`.

    Examples
    --------
    >>> float(std(np.array([1.0, 3.0])))
    1.0
    """
    return sqrt(var(x, axis, ddof, keepdims))


def max(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """The largest element of x over the given axes, or over all; NaN where there is one.

    The gradient is shared equally among the largest elements.

    Examples
    --------
    >>> max(np.array([[1.0, 2.0], [3.0, 0.0]]), axis=1)
    array([2., 3.])
    """
    return _reduce(primitives.reduce_max, x, axis, keepdims)


def min(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """The smallest element of x over the given axes, or over all; NaN where there is one.

    The gradient is shared equally among the smallest elements.

    Examples
    --------
    >>> min(np.array([[1.0, 2.0], [3.0, 0.0]]), axis=1)
    array([1., 0.])
    """
    (x,) = as_operands([x], "min")
    return _reversed_order(max(_reversed_order(x), axis, keepdims))


def argmax(x: Value, axis: int | None = None, keepdims: bool = False) -> Value:
    """The place of the largest element along an axis (the first, at a tie), or in the flattened x.

    Returns
    -------
    int64 array or tensor, x's shape without the axis (or with size 1 there, with keepdims).

    Examples
    --------
    >>> argmax(np.array([[1.0, 2.0], [3.0, 0.0]]), axis=1)
    array([1, 0])
    """
    (x,) = as_operands([x], "argmax")
    if axis is None:
        place = primitives.argmax(reshape(x, (-1,)), axis=0)
        return reshape(place, (1,) * len(x.shape)) if keepdims else place
    (only,) = _axes(x, axis)
    place = primitives.argmax(x, axis=only)
    return reshape(place, _with_ones(x.shape, (only,))) if keepdims else place


# products


def dot(x: Value, y: Value) -> Value:
    """The product of two numbers, vectors or matrices, or of an array with a vector or a matrix.

    Raises
    ------
    ValueError
        If y has three axes or more and x two or more: there NumPy's dot differs from `matmul`, which is what is wanted
        as a rule.

    Examples
    --------
    >>> float(dot(np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    11.0
    """
    x, y = as_operands([x, y], "dot")
    if not x.shape or not y.shape:
        return primitives.multiply(x, y)
    if len(x.shape) > 1 and len(y.shape) > 2:
        raise ValueError(f"dot was given shapes {x.shape} and {y.shape}; for products of many matrices use matmul")
    return matmul(x, y)


def matmul(x: Value, y: Value) -> Value:
    """The matrix product over the last two axes, the leading ones broadcasting; vectors as in NumPy.

    Examples
    --------
    >>> matmul(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 1.0]))
    array([3., 7.])
    """
    x, y = as_operands([x, y], "matmul")
    if not x.shape or not y.shape:
        raise ValueError(
            f"matmul was given shapes {x.shape} and {y.shape}; a number has no axes to multiply over, use *"
        )
    row, column = len(x.shape) == 1, len(y.shape) == 1
    x = reshape(x, (1, -1)) if row else x
    y = reshape(y, (-1, 1)) if column else y
    z = primitives.matmul(x, y)
    if row:
        z = reshape(z, (*z.shape[:-2], z.shape[-1]))
    return reshape(z, z.shape[:-1]) if column else z


# shape


def reshape(x: Value, shape: int | Sequence[int]) -> Value:
    """x with the same elements, in row-major order, in another shape; one size may be -1, meaning what is left.

    Examples
    --------
    >>> reshape(np.arange(6), (2, -1))
    array([[0, 1, 2],
           [3, 4, 5]])
    """
    (x,) = as_operands([x], "reshape")
    sizes = _sizes(shape, "reshape")
    if sizes.count(-1) > 1 or any(size < -1 for size in sizes):
        raise ValueError(f"reshape was given {tuple(sizes)}; sizes are 0 or more, and only one may be -1, what is left")
    if -1 in sizes:
        known = math.prod(size for size in sizes if size != -1)
        total = math.prod(x.shape)
        if known == 0 or total % known:
            raise ValueError(
                f"reshape was given shape {x.shape}, {total} elements, and cannot make it {tuple(sizes)}: "
                f"{total} is not a multiple of {known}"
            )
        sizes[sizes.index(-1)] = total // known
    return primitives.reshape(x, shape=tuple(sizes))


def transpose(x: Value, axes: Sequence[int] | None = None) -> Value:
    """x with its axes in another order, reversed if none is given.

    Examples
    --------
    >>> transpose(np.zeros((2, 3, 5)), (2, 0, 1)).shape
    (5, 2, 3)
    """
    (x,) = as_operands([x], "transpose")
    rank = len(x.shape)
    order = tuple(range(rank))[::-1] if axes is None else tuple(_axis(a, rank, "transpose") for a in axes)
    if sorted(order) != list(range(rank)):
        raise ValueError(f"transpose was given axes {tuple(axes or ())} for shape {x.shape}; each axis is named once")
    return primitives.transpose(x, axes=order)


def swapaxes(x: Value, first: int, second: int) -> Value:
    """x with two of its axes exchanged.

    Examples
    --------
    >>> swapaxes(np.zeros((2, 3, 5)), 0, 2).shape
    (5, 3, 2)
    """
    (x,) = as_operands([x], "swapaxes")
    order = list(range(len(x.shape)))
    first, second = _axis(first, len(order), "swapaxes"), _axis(second, len(order), "swapaxes")
    order[first], order[second] = order[second], order[first]
    return transpose(x, order)


def moveaxis(x: Value, source: int, destination: int) -> Value:
    """x with one axis moved to another place, the others keeping their order.

    Examples
    --------
    >>> moveaxis(np.zeros((2, 3, 5)), 0, -1).shape
    (3, 5, 2)
    """
    (x,) = as_operands([x], "moveaxis")
    rank = len(x.shape)
    order = list(range(rank))
    moved = order.pop(_axis(source, rank, "moveaxis"))
    order.insert(_axis(destination, rank, "moveaxis"), moved)
    return transpose(x, order)


def squeeze(x: Value, axis: Axis = None) -> Value:
    """x without the given axes, which must have size 1; without all such axes if none is given.

    Examples
    --------
    >>> squeeze(np.zeros((1, 3, 1))).shape
    (3,)
    """
    (x,) = as_operands([x], "squeeze")
    gone = [a for a, size in enumerate(x.shape) if size == 1] if axis is None else _axes(x, axis)
    if any(x.shape[a] != 1 for a in gone):
        raise ValueError(f"squeeze was given axis {axis} of shape {x.shape}; only axes of size 1 can go")
    return reshape(x, tuple(size for a, size in enumerate(x.shape) if a not in gone))


def expand_dims(x: Value, axis: int) -> Value:
    """x with a new axis of size 1.

    Examples
    --------
    >>> expand_dims(np.zeros(3), 0).shape
    (1, 3)
    """
    (x,) = as_operands([x], "expand_dims")
    place = _axis(axis, len(x.shape) + 1, "expand_dims")
    return reshape(x, (*x.shape[:place], 1, *x.shape[place:]))


def broadcast_to(x: Value, shape: int | Sequence[int]) -> Value:
    """x stretched to a shape, as broadcasting would.

    Examples
    --------
    >>> broadcast_to(np.array([1, 2]), (2, 2))
    array([[1, 2],
           [1, 2]])
    """
    return primitives.broadcast(x, shape=tuple(_sizes(shape, "broadcast_to")))


def concatenate(values: Sequence[Value], axis: int = 0) -> Value:
    """The values one after another along an axis; along the others they agree.

    Examples
    --------
    >>> concatenate([np.array([1, 2]), np.array([3])])
    array([1, 2, 3])
    """
    values = as_operands(list(values), "concatenate")
    if not values:
        raise ValueError("concatenate was given no values; it needs at least one")
    if not values[0].shape:
        raise ValueError("concatenate was given values of no axes; give them one with reshape(x, 1)")
    return primitives.concatenate(*values, axis=_axis(axis, len(values[0].shape), "concatenate"))


def stack(values: Sequence[Value], axis: int = 0) -> Value:
    """The values, all of one shape, along a new axis.

    Examples
    --------
    >>> stack([np.array([1, 2]), np.array([3, 4])]).shape
    (2, 2)
    """
    return concatenate([expand_dims(value, axis) for value in values], axis)


def flip(x: Value, axis: Axis = None) -> Value:
    """x with the order of its elements reversed along the given axes, or along all.

    Examples
    --------
    >>> flip(np.array([1, 2, 3]))
    array([3, 2, 1])
    """
    (x,) = as_operands([x], "flip")
    return primitives.flip(x, axes=_axes(x, axis))


def pad(x: Value, pad_width: Any, mode: str = "constant", constant_values: float = 0) -> Value:
    """x with elements added around it.

    Parameters
    ----------
    x : array or tensor
    pad_width : int, pair, or sequence of pairs
        As in NumPy: ((front, behind), ...) in axis order, one pair for all axes, or one number for all sides.
    mode : {"constant", "reflect", "replicate", "circular"}, default "constant"
        ``1234`` padded by two becomes, in turn, ``00123400``, ``32123432``, ``11123444``, ``34123412``. NumPy's names
        for the last two, "edge" and "wrap", are accepted.
    constant_values : float, default 0

    Raises
    ------
    ValueError
        For an unknown mode, negative widths, or an empty axis that has nothing to repeat.

    Examples
    --------
    >>> pad(np.array([1, 2, 3, 4]), 2, mode="reflect")
    array([3, 2, 1, 2, 3, 4, 3, 2])
    """
    (x,) = as_operands([x], "pad")
    pairs = _pad_pairs(pad_width, len(x.shape))
    if mode == "constant":
        low, high = tuple(front for front, _ in pairs), tuple(behind for _, behind in pairs)
        return primitives.pad(x, low=low, high=high, interior=(0,) * len(pairs), value=constant_values)
    names = {"reflect": "reflect", "replicate": "edge", "edge": "edge", "circular": "wrap", "wrap": "wrap"}
    if mode not in names:
        raise ValueError(f"pad was given mode {mode!r}; the modes are constant, reflect, replicate and circular")
    for axis, (front, behind) in enumerate(pairs):
        if front or behind:
            if x.shape[axis] == 0:
                raise ValueError(f"pad cannot {mode} axis {axis} of shape {x.shape}: it is empty")
            places = np.pad(np.arange(x.shape[axis]), (front, behind), mode=names[mode])  # type: ignore[call-overload]
            x = _runs_taken(x, places, axis)
    return x


def take(x: Value, indices: Value, axis: int | None = None) -> Value:
    """The elements of x at the given places along an axis, which the axes of the indices replace.

    Parameters
    ----------
    x : array or tensor
    indices : integers, array or tensor
        Negative ones count from the end.
    axis : int or None, default None
        None takes from the flattened x.

    Raises
    ------
    IndexError
        When the function runs and an index is outside the axis.

    Examples
    --------
    >>> take(np.array([10, 20, 30]), np.array([2, 0]))
    array([30, 10])
    """
    (x,), (indices,) = as_operands([x], "take"), as_operands([indices], "take")
    if indices.dtype.kind not in "iu":
        raise TypeError(f"take was given indices of dtype {indices.dtype}; indices are integers")
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return primitives.take(x, indices, axis=_axis(axis, len(x.shape), "take"))


def one_hot(x: Value, num_classes: int, dtype: Any = np.float32) -> Value:
    """For every integer of x a row with a 1 at its place and 0 elsewhere.

    Parameters
    ----------
    x : integers, array or tensor (...)
    num_classes : int
    dtype : default float32

    Returns
    -------
    array or tensor (..., num_classes)

    Raises
    ------
    ValueError
        For an array with a value outside 0 .. num_classes - 1. (In a recorded function such a row is all zeros.)

    Examples
    --------
    >>> one_hot(np.array([1, 0]), 3)
    array([[0., 1., 0.],
           [1., 0., 0.]], dtype=float32)
    """
    (x,) = as_operands([x], "one_hot")
    if x.dtype.kind not in "iu":
        raise TypeError(f"one_hot was given dtype {x.dtype}; classes are integers")
    if isinstance(x, np.ndarray) and x.size and (x.min() < 0 or x.max() >= num_classes):
        raise ValueError(
            f"one_hot was given values from {x.min()} to {x.max()}; "
            f"with {num_classes} classes they are 0 to {num_classes - 1}"
        )
    return cast(equal(expand_dims(x, -1), np.arange(num_classes)), dtype)


def getitem(x: Value, index: Any) -> Value:
    """x[index] for integers, slices, None, ... and one array of integers.

    As in NumPy, the axes of that array stand in front if anything but integers stands between it and an integer.

    Examples
    --------
    >>> getitem(np.array([[1, 2], [3, 4]]), (slice(None), 0))
    array([1, 3])
    """
    (x,) = as_operands([x], "getitem")
    items = list(index) if isinstance(index, tuple) else [index]
    rank = len(x.shape)
    used = builtins.sum(item is not None and item is not Ellipsis for item in items)
    ellipses = [place for place, item in enumerate(items) if item is Ellipsis]
    if used > rank or len(ellipses) > 1:
        raise IndexError(
            f"a value of shape {x.shape} was given {used} indices; it has {rank} axes, and ... stands once"
        )
    chosen = [
        place for place, item in enumerate(items) if item is not None and not isinstance(item, (slice, type(...)))
    ]
    place = ellipses[0] if ellipses else len(items)
    items[place : place + 1] = [slice(None)] * (rank - used)

    bounds: list[slice] = []
    shape: list[int] = []
    flipped: list[int] = []
    taken: tuple[int, Value] | None = None
    for item in items:
        if item is None:
            shape.append(1)
            continue
        axis = len(bounds)
        size = x.shape[axis]
        if isinstance(item, slice):
            run = range(size)[item]
            if run.step < 0:
                flipped.append(axis)
                run = run[::-1]
            bounds.append(slice(run.start, builtins.max(run.start, run.stop), run.step))
            shape.append(len(run))
        elif isinstance(item, (int, np.integer)) and not isinstance(item, (bool, np.bool_)):
            if not -size <= item < size:
                raise IndexError(f"index {item} is outside axis {axis} of shape {x.shape}: 0 to {size - 1}")
            bounds.append(slice(item % size, item % size + 1, 1))
        elif taken is None and _is_integer_array(item):
            bounds.append(slice(0, size, 1))
            taken = (len(shape), np.asarray(item, np.int64) if isinstance(item, list) else item)
            shape.append(size)
        else:
            raise IndexError(
                f"index {item!r} cannot be recorded: use integers, slices, None, ... and at most one array of "
                "integers; for a condition, wm.where"
            )
    start, stop, step = (tuple(getattr(bound, name) for bound in bounds) for name in ("start", "stop", "step"))
    y = primitives.take_slice(x, start=start, stop=stop, step=step)
    y = primitives.flip(y, axes=tuple(flipped)) if flipped else y
    y = reshape(y, shape)
    if taken is None:
        return y
    axis, indices = taken
    y = take(y, indices, axis)
    if chosen[-1] - chosen[0] + 1 == len(chosen):
        return y
    front = range(axis, axis + len(indices.shape))
    return transpose(y, [*front, *(a for a in range(len(y.shape)) if a not in front)])


def _is_integer_array(item: Any) -> bool:
    if isinstance(item, list):
        return item == [] or np.asarray(item).dtype.kind in "iu"
    return isinstance(item, (Tensor, np.ndarray)) and item.dtype.kind in "iu"


def _runs_taken(x: Value, places: np.ndarray, axis: int) -> Value:
    """x at the given places along the axis: each run of neighbours a slice, turned round where places fall."""
    pieces = []
    first = 0
    while first < len(places):
        last, step = first, 0
        while last + 1 < len(places) and (places[last + 1] - places[last] == step or last == first):
            step = int(places[last + 1] - places[last])
            if builtins.abs(step) > 1:
                break
            last += 1
        low, high = int(builtins.min(places[first], places[last])), int(builtins.max(places[first], places[last]))
        index = [slice(None)] * len(x.shape)
        index[axis] = slice(low, high + 1)
        piece = getitem(x, tuple(index))
        if low == high and last > first:
            piece = broadcast_to(piece, tuple(last - first + 1 if a == axis else n for a, n in enumerate(x.shape)))
        elif places[last] < places[first]:
            piece = flip(piece, axis)
        pieces.append(piece)
        first = last + 1
    return concatenate(pieces, axis)


def _reversed_order(x: Value) -> Value:
    """A value that is larger where x is smaller, within x's dtype; applied twice it is x again."""
    if x.dtype.kind == "f":
        return negative(x)
    if x.dtype.kind == "b":
        return primitives.equal(x, False)
    return primitives.subtract(-1 if x.dtype.kind == "i" else int(np.iinfo(x.dtype).max), x)


def _comparable(x: Value, y: Value) -> list[Value]:
    """Operands of a comparison; a Python integer that the other's integer dtype cannot hold has a dtype of its own."""
    values = [x, y]
    for place, other in ((0, y), (1, x)):
        dtype = getattr(other, "dtype", None)
        if type(values[place]) is int and dtype is not None and dtype.kind in "iu":
            bounds = np.iinfo(dtype)
            if not bounds.min <= values[place] <= bounds.max:
                values[place] = np.asarray(values[place])
    return values


def _condition(condition: Value) -> Value:
    (condition,) = as_operands([condition], "where")
    return condition if condition.dtype == np.bool_ else not_equal(condition, 0)


def _pad_pairs(pad_width: Any, rank: int) -> tuple[tuple[int, int], ...]:
    try:
        pairs = np.broadcast_to(np.asarray(pad_width, dtype=object), (rank, 2))
        result = tuple((operator.index(front), operator.index(behind)) for front, behind in pairs)
    except (TypeError, ValueError):
        raise ValueError(
            f"pad was given pad_width {pad_width!r} for {rank} axes; give a number, one (front, behind) pair for all "
            "axes, or a pair for each"
        ) from None
    if any(width < 0 for pair in result for width in pair):
        raise ValueError(f"pad was given pad_width {pad_width!r}; widths are 0 or more, to cut off use a slice")
    return result


def _sizes(shape: Any, name: str) -> list[int]:
    try:
        return [operator.index(size) for size in (shape if isinstance(shape, (Sequence, np.ndarray)) else (shape,))]
    except TypeError:
        raise TypeError(f"{name} was given the shape {shape!r}; sizes are whole numbers") from None


def _axis(axis: int, rank: int, name: str) -> int:
    try:
        axis = operator.index(axis)
    except TypeError:
        raise TypeError(f"{name} was given the axis {axis!r}; an axis is a whole number") from None
    if not -rank <= axis < rank:
        raise ValueError(f"{name} was given axis {axis}; with {rank} axes it lies between {-rank} and {rank - 1}")
    return axis % rank


def _axes(x: Value, axis: Axis) -> tuple[int, ...]:
    """The axes meant, counted from the front, in rising order."""
    rank = len(x.shape)
    if axis is None:
        return tuple(range(rank))
    named = [_axis(a, rank, "the function") for a in (axis if isinstance(axis, (Sequence, np.ndarray)) else (axis,))]
    if len(set(named)) != len(named):
        raise ValueError(f"axis {axis} of shape {x.shape} names an axis twice")
    return tuple(sorted(named))


def _with_ones(shape: Shape, axes: tuple[int, ...]) -> Shape:
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape))


def _reduce(primitive: Any, x: Value, axis: Axis, keepdims: bool) -> Value:
    (x,) = as_operands([x], primitive.name)
    axes = _axes(x, axis)
    y = primitive(x, axes=axes)
    return reshape(y, _with_ones(x.shape, axes)) if keepdims else y


NUMPY_OPERATORS = {
    np.add: add,
    np.subtract: subtract,
    np.multiply: multiply,
    np.divide: divide,
    np.power: power,
    np.matmul: matmul,
    np.less: less,
    np.greater: lambda x, y: less(y, x),
    np.less_equal: less_equal,
    np.greater_equal: lambda x, y: less_equal(y, x),
    np.equal: equal,
    np.not_equal: not_equal,
}
"""What `array + tensor` and its like arrive as."""
