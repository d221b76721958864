"""The memory plan: one arena in which buffers that are never needed at the same time share their bytes."""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Sequence

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
    placed: list[tuple[int, int, int, int]] = []  # begin, end, first step, last step
    offsets: dict[Buffer, int] = {}
    for buffer in sorted(lives, key=lambda buffer: -buffer.bytes):
        first, last = lives[buffer]
        size = -(-max(buffer.bytes, 1) // ALIGNMENT) * ALIGNMENT
        begin = 0
        for start, end, born, gone in placed:
            if born <= last and first <= gone:
                if begin + size <= start:
                    break
                begin = max(begin, end)
        offsets[buffer] = begin
        insort(placed, (begin, begin + size, first, last))
    return offsets, max((end for _, end, _, _ in placed), default=0)
