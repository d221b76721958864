"""How a reshape regroups axes: which axes before and after it hold the same elements."""

from __future__ import annotations

import math
from collections.abc import Sequence


def axis_groups(before: Sequence[int], after: Sequence[int]) -> tuple[tuple[range, range], ...]:
    """The axes before and after a row-major reshape, cut into the smallest groups that do not mix.

    Within a group, the indices along its axes after follow from those along its axes before, whatever the others are.

    Parameters
    ----------
    before, after : sequence of int
        Sizes along each axis; of the same number of elements.

    Returns
    -------
    tuple of (range, range)
        Consecutive axes before, and after. Of one axis each where an axis passes unchanged; empty on one side where an
        axis of size 1 appears or goes.

    Raises
    ------
    ValueError
        If there are more elements on one side than on the other.

    Examples
    --------
    Flattening pictures (n, c, height, width) into (n, features) leaves the first axis alone:

    >>> axis_groups((8, 3, 4, 4), (8, 48))
    ((range(0, 1), range(0, 1)), (range(1, 4), range(1, 2)))
    >>> axis_groups((5, 6), (1, 5, 2, 3))
    ((range(0, 0), range(0, 1)), (range(0, 1), range(1, 2)), (range(1, 2), range(2, 4)))
    """
    if math.prod(before) != math.prod(after):
        raise ValueError(
            f"A reshape keeps the number of elements; got sizes {tuple(before)}, {math.prod(before)} elements, "
            f"and {tuple(after)}, {math.prod(after)} elements."
        )
    groups = []
    i = j = 0
    while i < len(before) or j < len(after):
        first, second = i, j
        if i < len(before) and j < len(after) and before[i] == after[j]:
            i, j = i + 1, j + 1
        elif i < len(before) and before[i] == 1:
            i += 1
        elif j < len(after) and after[j] == 1:
            j += 1
        else:
            i, j = _end_of_group(before, after, i, j)
        groups.append((range(first, i), range(second, j)))
    return tuple(groups)


def _end_of_group(before: Sequence[int], after: Sequence[int], i: int, j: int) -> tuple[int, int]:
    """The first axes behind the group that starts at these: where both sides have got through as many elements."""
    if 0 in (*before[i:], *after[j:]):
        return len(before), len(after)
    wide, narrow = before[i], after[j]
    i, j = i + 1, j + 1
    while wide != narrow:
        if wide < narrow:
            wide, i = wide * before[i], i + 1
        else:
            narrow, j = narrow * after[j], j + 1
    return i, j
