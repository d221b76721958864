"""The same elements in other shapes and other places: reshaped, transposed, stretched, joined, turned round."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wimmel.graph import primitives
from wimmel.graph.array.axes import Axis, axes_of, axis_of, sizes_of
from wimmel.graph.tensor import Value, as_operands


def reshape(x: Value, shape: int | Sequence[int]) -> Value:
    """x with the same elements, in row-major order, in another shape; one size may be -1, meaning what is left.

    Examples
    --------
    >>> import numpy as np
    >>> reshape(np.arange(6), (2, -1))
    array([[0, 1, 2],
           [3, 4, 5]])
    """
    (x,) = as_operands([x], "reshape")
    sizes = sizes_of(shape, "reshape")
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
    >>> import numpy as np
    >>> transpose(np.zeros((2, 3, 5)), (2, 0, 1)).shape
    (5, 2, 3)
    """
    (x,) = as_operands([x], "transpose")
    rank = len(x.shape)
    order = tuple(range(rank))[::-1] if axes is None else tuple(axis_of(a, rank, "transpose") for a in axes)
    if sorted(order) != list(range(rank)):
        raise ValueError(f"transpose was given axes {tuple(axes or ())} for shape {x.shape}; each axis is named once")
    return primitives.transpose(x, axes=order)


def swapaxes(x: Value, first: int, second: int) -> Value:
    """x with two of its axes exchanged.

    Examples
    --------
    >>> import numpy as np
    >>> swapaxes(np.zeros((2, 3, 5)), 0, 2).shape
    (5, 3, 2)
    """
    (x,) = as_operands([x], "swapaxes")
    order = list(range(len(x.shape)))
    first, second = axis_of(first, len(order), "swapaxes"), axis_of(second, len(order), "swapaxes")
    order[first], order[second] = order[second], order[first]
    return transpose(x, order)


def moveaxis(x: Value, source: int, destination: int) -> Value:
    """x with one axis moved to another place, the others keeping their order.

    Examples
    --------
    >>> import numpy as np
    >>> moveaxis(np.zeros((2, 3, 5)), 0, -1).shape
    (3, 5, 2)
    """
    (x,) = as_operands([x], "moveaxis")
    rank = len(x.shape)
    order = list(range(rank))
    moved = order.pop(axis_of(source, rank, "moveaxis"))
    order.insert(axis_of(destination, rank, "moveaxis"), moved)
    return transpose(x, order)


def squeeze(x: Value, axis: Axis = None) -> Value:
    """x without the given axes, which must have size 1; without all such axes if none is given.

    Examples
    --------
    >>> import numpy as np
    >>> squeeze(np.zeros((1, 3, 1))).shape
    (3,)
    """
    (x,) = as_operands([x], "squeeze")
    gone = [a for a, size in enumerate(x.shape) if size == 1] if axis is None else axes_of(x, axis, "squeeze")
    if any(x.shape[a] != 1 for a in gone):
        raise ValueError(f"squeeze was given axis {axis} of shape {x.shape}; only axes of size 1 can go")
    return reshape(x, tuple(size for a, size in enumerate(x.shape) if a not in gone))


def expand_dims(x: Value, axis: int) -> Value:
    """x with a new axis of size 1.

    Examples
    --------
    >>> import numpy as np
    >>> expand_dims(np.zeros(3), 0).shape
    (1, 3)
    """
    (x,) = as_operands([x], "expand_dims")
    place = axis_of(axis, len(x.shape) + 1, "expand_dims")
    return reshape(x, (*x.shape[:place], 1, *x.shape[place:]))


def broadcast_to(x: Value, shape: int | Sequence[int]) -> Value:
    """x stretched to a shape, as broadcasting would.

    Examples
    --------
    >>> import numpy as np
    >>> broadcast_to(np.array([1, 2]), (2, 2))
    array([[1, 2],
           [1, 2]])
    """
    return primitives.broadcast(x, shape=tuple(sizes_of(shape, "broadcast_to")))


def concatenate(values: Sequence[Value], axis: int = 0) -> Value:
    """The values one after another along an axis; along the others they agree.

    Examples
    --------
    >>> import numpy as np
    >>> concatenate([np.array([1, 2]), np.array([3])])
    array([1, 2, 3])
    """
    values = as_operands(list(values), "concatenate")
    if not values:
        raise ValueError("concatenate was given no values; it needs at least one")
    if not values[0].shape:
        raise ValueError("concatenate was given values of no axes; give them one with reshape(x, 1)")
    return primitives.concatenate(*values, axis=axis_of(axis, len(values[0].shape), "concatenate"))


def stack(values: Sequence[Value], axis: int = 0) -> Value:
    """The values, all of one shape, along a new axis.

    Examples
    --------
    >>> import numpy as np
    >>> stack([np.array([1, 2]), np.array([3, 4])]).shape
    (2, 2)
    """
    values = [as_operands([value], "stack")[0] for value in values]
    shapes = {tuple(value.shape) for value in values}
    if len(shapes) != 1:
        raise ValueError(f"stack was given values of shapes {sorted(shapes)}; it needs at least one, all of one shape")
    place = axis_of(axis, len(shapes.pop()) + 1, "stack")
    return concatenate([expand_dims(value, place) for value in values], place)


def flip(x: Value, axis: Axis = None) -> Value:
    """x with the order of its elements reversed along the given axes, or along all.

    Examples
    --------
    >>> import numpy as np
    >>> flip(np.array([1, 2, 3]))
    array([3, 2, 1])
    """
    (x,) = as_operands([x], "flip")
    return primitives.flip(x, axes=axes_of(x, axis, "flip"))
