"""Elements chosen by their places: brackets, `take`, and the rows of zeros with a one that stand for classes."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from wimmel.graph import primitives
from wimmel.graph.array.arithmetic import cast
from wimmel.graph.array.axes import axis_of
from wimmel.graph.array.comparison import equal
from wimmel.graph.array.shaping import expand_dims, reshape, transpose
from wimmel.graph.tensor import Tensor, Value, as_operands


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
    >>> import numpy as np
    >>> take(np.array([10, 20, 30]), np.array([2, 0]))
    array([30, 10])
    """
    (x,), (indices,) = as_operands([x], "take"), as_operands([indices], "take")
    if indices.dtype.kind not in "iu":
        raise TypeError(f"take was given indices of dtype {indices.dtype}; indices are integers")
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return primitives.take(x, indices, axis=axis_of(axis, len(x.shape), "take"))


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
        For less than one class, or an array with a value outside 0 .. num_classes - 1. (In a recorded function such a
        row is all zeros.)

    Examples
    --------
    >>> import numpy as np
    >>> one_hot(np.array([1, 0]), 3)
    array([[0., 1., 0.],
           [1., 0., 0.]], dtype=float32)
    """
    (x,) = as_operands([x], "one_hot")
    if x.dtype.kind not in "iu":
        raise TypeError(f"one_hot was given dtype {x.dtype}; classes are integers")
    try:
        num_classes = operator.index(num_classes)
    except TypeError:
        raise TypeError(f"one_hot was given num_classes={num_classes!r}; it is a whole number") from None
    if num_classes < 1:
        raise ValueError(f"one_hot was given num_classes={num_classes}; there is at least one class")
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
    >>> import numpy as np
    >>> getitem(np.array([[1, 2], [3, 4]]), (slice(None), 0))
    array([1, 3])
    """
    (x,) = as_operands([x], "getitem")
    items = list(index) if isinstance(index, tuple) else [index]
    rank = len(x.shape)
    used = sum(item is not None and item is not Ellipsis for item in items)
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
            bounds.append(slice(run.start, max(run.start, run.stop), run.step))
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
