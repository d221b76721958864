"""What callers of the array functions name axes and shapes by, checked; errors say which function was called."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from wimmel.graph.tensor import Shape, Value

Axis = int | Sequence[int] | None


def axes_of(x: Value, axis: Axis) -> tuple[int, ...]:
    """The axes meant, counted from the front, in rising order."""
    rank = len(x.shape)
    if axis is None:
        return tuple(range(rank))
    named = [axis_of(a, rank, "the function") for a in (axis if isinstance(axis, (Sequence, np.ndarray)) else (axis,))]
    if len(set(named)) != len(named):
        raise ValueError(f"axis {axis} of shape {x.shape} names an axis twice")
    return tuple(sorted(named))


def axis_of(axis: int, rank: int, name: str) -> int:
    try:
        axis = operator.index(axis)
    except TypeError:
        raise TypeError(f"{name} was given the axis {axis!r}; an axis is a whole number") from None
    if not -rank <= axis < rank:
        raise ValueError(f"{name} was given axis {axis}; with {rank} axes it lies between {-rank} and {rank - 1}")
    return axis % rank


def sizes_of(shape: Any, name: str) -> list[int]:
    try:
        return [operator.index(size) for size in (shape if isinstance(shape, (Sequence, np.ndarray)) else (shape,))]
    except TypeError:
        raise TypeError(f"{name} was given the shape {shape!r}; sizes are whole numbers") from None


def with_ones(shape: Shape, axes: tuple[int, ...]) -> Shape:
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
