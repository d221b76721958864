"""The memory plan: one arena in which buffers that are never needed at the same time share their bytes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

import numpy as np

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
    Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020), algorithm 3.
    """
    lives: dict[Buffer, tuple[int, int]] = {}
    for place, step in enumerate(steps):
        for buffer in step.buffers:
            if buffer.role == "scratch" and buffer not in without:
                first, _ = lives.get(buffer, (place, place))
                lives[buffer] = (0, len(steps)) if keep else (first, place)
    _through_turns(lives, steps)
    offsets: dict[Buffer, int] = {}
    # A row for each of begin, end, first and last step of what has been placed, the lowest first: a deep network has
    # tens of thousands of buffers, and NumPy compares one with all others in the time of some lines of Python.
    placed = np.empty((4, len(lives)), np.int64)
    for count, buffer in enumerate(sorted(lives, key=lambda buffer: -buffer.bytes)):
        begins, ends, born, gone = placed[:, :count]
        first, last = lives[buffer]
        size = -(-max(buffer.bytes, 1) // ALIGNMENT) * ALIGNMENT
        met = ((born <= last) & (gone >= first)).nonzero()[0]
        begin = offsets[buffer] = _lowest(size, begins[met], ends[met])
        above = int(begins.searchsorted(begin))
        placed[:, above + 1 : count + 1] = placed[:, above:count]
        placed[:, above] = begin, begin + size, first, last
    return offsets, int(placed[1].max(initial=0))


def _through_turns(lives: dict[Buffer, tuple[int, int]], steps: Sequence[Step]) -> None:
    """Makes what is needed before or after steps that take turns live through all of them."""
    begin = 0
    for turns, group in groupby(steps, lambda step: step.turns):
        members = list(group)
        end = begin + len(members) - 1
        if turns is not None:
            for buffer in {buffer for step in members for buffer in step.buffers} & lives.keys():
                first, last = lives[buffer]
                if first < begin or last > end or buffer in turns.strides:
                    lives[buffer] = min(first, begin), max(last, end)
        begin = end + 1


def _lowest(size: int, begins: np.ndarray, ends: np.ndarray) -> int:
    """The lowest place with so many bytes before the next begin; begins ascend."""
    reached = np.maximum.accumulate(np.concatenate(([0], ends)))
    wide = (begins - reached[:-1] >= size).nonzero()[0]
    return int(reached[wide[0] if wide.size else -1])
