"""Elements added around a value: one number, or what its own edge continues with."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from wimmel.graph import primitives
from wimmel.graph.array.indexing import getitem
from wimmel.graph.array.shaping import broadcast_to, concatenate, flip
from wimmel.graph.tensor import Value, as_operands


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
    >>> import numpy as np
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


def _runs_taken(x: Value, places: np.ndarray, axis: int) -> Value:
    """x at the given places along the axis: each run of neighbours a slice, turned round where places fall."""
    pieces = []
    first = 0
    while first < len(places):
        last, step = first, 0
        while last + 1 < len(places) and (places[last + 1] - places[last] == step or last == first):
            step = int(places[last + 1] - places[last])
            if abs(step) > 1:
                break
            last += 1
        low, high = int(min(places[first], places[last])), int(max(places[first], places[last]))
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
