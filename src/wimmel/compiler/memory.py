"""The memory plan: one arena in which buffers that are never needed at the same time share their bytes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace

from wimmel.compiler.steps import Buffer, Step

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""


def overlaid(
    steps: Sequence[Step], keep: bool = False, without: Collection[Buffer] = ()
) -> tuple[dict[Buffer, int], int]:
    """Where each scratch buffer of the steps begins, in bytes, and how many bytes there are in all.

    Parameters
    ----------
    steps : sequence of Step
        In the order they run.
    keep : bool, default False
        Whether all buffers are needed until the end.
    without : collection of Buffer
        Buffers that lie elsewhere.

    Notes
    -----
    Largest first, each at the lowest place that is free for as long as it lives: greedy by size, as in Pisarchyk and
    Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020), algorithm 3. What is taken is noted along
    a binary tree over the steps (a segment tree), so that a buffer meets some nodes instead of all other buffers.
    """
    end_of_time = (1 << len(steps).bit_length()) - 1
    lives: dict[Buffer, tuple[int, int]] = {}
    for place, step in enumerate(steps):
        for buffer in step.buffers:
            if buffer.role == "scratch" and buffer not in without:
                first, _ = lives.get(buffer, (place, place))
                lives[buffer] = (0, end_of_time) if keep else (first, place)
    throughout: defaultdict[int, _Taken] = defaultdict(_Taken)  # a node: by buffers that live during all its steps
    sometimes: defaultdict[int, _Taken] = defaultdict(_Taken)  # during at least one
    offsets: dict[Buffer, int] = {}
    for buffer in sorted(lives, key=lambda buffer: -buffer.bytes):
        within, around = _nodes(*lives[buffer], end_of_time)
        met = [sometimes[node] for node in within if node in sometimes]
        met += [throughout[node] for node in around if node in throughout]
        size = -(-max(buffer.bytes, 1) // ALIGNMENT) * ALIGNMENT
        begin = offsets[buffer] = _lowest(size, met)
        for node in within:
            throughout[node].add(begin, begin + size)
        for node in (*within, *around):
            sometimes[node].add(begin, begin + size)
    return offsets, max((taken.ends[-1] for taken in sometimes.values()), default=0)


@dataclass(eq=False)
class _Taken:
    """The bytes that are taken, as runs with room between them."""

    begins: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, begin: int, end: int) -> None:
        first, behind = bisect_left(self.ends, begin), bisect_right(self.begins, end)
        if first < behind:
            begin, end = min(begin, self.begins[first]), max(end, self.ends[behind - 1])
        self.begins[first:behind], self.ends[first:behind] = [begin], [end]


def _lowest(size: int, met: Sequence[_Taken]) -> int:
    """The lowest place where so many bytes are free in all of them."""
    place, ahead = 0, [(taken.begins[0], number, 0) for number, taken in enumerate(met)]
    heapify(ahead)  # for each of them, the run that may be in the way next
    while ahead and ahead[0][0] < place + size:
        _, number, run = ahead[0]
        begins, ends = met[number].begins, met[number].ends
        place = max(place, ends[run])
        run = bisect_right(ends, place, run)
        if run < len(ends):
            heapreplace(ahead, (begins[run], number, run))
        else:
            heappop(ahead)
    return place


def _nodes(first: int, last: int, end_of_time: int) -> tuple[list[int], list[int]]:
    """The largest nodes of the tree whose steps are all among these, and all nodes above them. Node 1 is the root, and
    the halves of a node are numbered twice as high, and one more."""
    within, around, pending = [], [], [(1, 0, end_of_time)]
    while pending:
        node, begin, end = pending.pop()
        if first <= begin and end <= last:
            within.append(node)
            continue
        around.append(node)
        middle = (begin + end) // 2
        if first <= middle:
            pending.append((2 * node, begin, middle))
        if last > middle:
            pending.append((2 * node + 1, middle + 1, end))
    return within, around
