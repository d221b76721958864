"""What callers of the array functions name axes and shapes by, checked; errors say which function was called."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from wimmel.graph.tensor import Shape, Value

Axis = int | Sequence[int] | None


def axes_of(x: Value, axis: Axis, name: str) -> tuple[int, ...]:
    """The axes meant, counted from the front, in rising order; None means all."""
    rank = len(x.shape)
    if axis is None:
        return tuple(range(rank))
    several: Any = axis if isinstance(axis, (Sequence, np.ndarray)) and not isinstance(axis, str) else (axis,)
    named = [axis_of(a, rank, name) for a in several]
    if len(set(named)) != len(named):
        raise ValueError(f"{name} was given axis {axis}, which for shape {x.shape} names an axis twice")
    return tuple(sorted(named))


def axis_of(axis: int, rank: int, name: str) -> int:
    """The axis meant, counted from the front."""
    try:
        axis = operator.index(axis)
    except TypeError:
        raise TypeError(f"{name} was given the axis {axis!r}; an axis is a whole number") from None
    if rank == 0:
        raise ValueError(f"{name} was given axis {axis} and a single number, which has no axes")
    if not -rank <= axis < rank:
        axes = "1 axis" if rank == 1 else f"{rank} axes"
        raise ValueError(f"{name} was given axis {axis}; with {axes} it lies between {-rank} and {rank - 1}")
    return axis % rank


def sizes_of(shape: Any, name: str) -> list[int]:
    """The sizes of a shape that may be one number."""
    try:
        return [operator.index(size) for size in (shape if isinstance(shape, (Sequence, np.ndarray)) else (shape,))]
    except TypeError:
        raise TypeError(f"{name} was given the shape {shape!r}; sizes are whole numbers") from None


def with_ones(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """The shape with size 1 at the given axes."""
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
