"""How long a program's steps should take: their arithmetic or their bytes, whichever takes longer. Bytes come from the
cache level that still holds them, by how much was touched since they last were.

Steps say what they do (`Step.operations`, `Step.passes`, and the places they read and write); how fast the machine is,
is given. No choice of an algorithm depends on that: results are the same bits on every machine of one target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wimmel.compiler.program import Program
from wimmel.compiler.steps import Buffer, Place, Step, turn_by_turn
from wimmel.compiler.targets import Target


@dataclass(frozen=True)
class Rates:
    """What a machine does with some threads.

    Attributes
    ----------
    threads : int
    step : float
        Seconds to begin and end a step.
    operation : float
        Seconds for a multiply-add of vectors, in each thread.
    reading, writing : (float, float, float, float)
        Seconds for each byte, all threads together, in caches of the first, second and third level, and in memory.
    """

    threads: int
    step: float
    operation: float
    reading: tuple[float, ...]
    writing: tuple[float, ...]

    def better(self, other: Rates) -> Rates:
        """The same machine, measured again: the best of both."""
        return replace(self, step=min(self.step, other.step), operation=min(self.operation, other.operation))


def typical(target: Target) -> Rates:
    """Of one thread of a server processor, where nothing was measured: two multiply-adds of 32 bytes in a cycle."""
    cycle = 3e-10
    reading, writing = ((cycle / width for width in widths) for widths in ((64, 32, 24, 12), (32, 32, 24, 6)))
    return Rates(1, 3e-7, cycle * target.vector_bytes / 64, tuple(reading), tuple(writing))


def expected(program: Program, rates: Rates) -> tuple[float, ...]:
    """Seconds for each of the program's steps, in all its turns, when the program runs again and again.

    Parameters
    ----------
    program : Program
    rates : Rates

    Returns
    -------
    tuple of float, one for each of ``program.steps``
    """
    bytes_seconds = _of_bytes(program, rates)
    return tuple(
        _turns(step) * (rates.step + max(_of_operations(step, rates), seconds))
        for step, seconds in zip(program.steps, bytes_seconds, strict=True)
    )


def _turns(step: Step) -> int:
    return 1 if step.turns is None else len(step.turns.firsts)


def _of_operations(step: Step, rates: Rates) -> float:
    """Threads take tasks one by one, so that the last ones may work alone."""
    tasks = max(step.tasks, 1)
    return step.operations * rates.operation * math.ceil(tasks / rates.threads) / tasks


def _of_bytes(program: Program, rates: Rates) -> list[float]:
    """Of each step, on average over its turns."""
    touched, target = _Touched(program), program.target
    for _, step in turn_by_turn(program.steps):  # a first round; caches then hold what they hold in every later one
        touched.by(step)
    found = [0.0] * len(program.steps)
    for number, step in turn_by_turn(program.steps):
        distances, seconds = touched.by(step), 0.0
        for place in places(step):
            rates_of = rates.writing if place.buffer in step.written else rates.reading
            passes = step.passes.get(place.buffer, 1.0)
            seconds += place.bytes * min(passes, 1.0) * _rate(rates_of, distances[place.buffer], target)
            seconds += place.bytes * max(passes - 1.0, 0.0) * _rate(rates_of, place.bytes, target)
        found[number] += seconds / _turns(program.steps[number])
    return found


def _rate(rates: Sequence[float], distance: float, target: Target) -> float:
    """Seconds for a byte that was touched before so many others. Caches have other users, and forget in no order: one
    holds all that was touched within half of its size, and nothing from half as much again on."""
    *caches, rate = rates
    for seconds, size in zip(reversed(caches), (target.l3_bytes, target.l2_bytes, target.l1_bytes), strict=True):
        held = min(max(1.5 - distance / size, 0.0), 1.0)
        rate = held * seconds + (1 - held) * rate
    return rate


def places(step: Step) -> list[Place]:
    """What it reads and writes beside the memory of its threads."""
    return [place for place in step.arguments if isinstance(place, Place) and place.buffer.role != "thread"]


class _Touched:
    """When each piece of memory was last touched, counted in bytes touched since the beginning. Scratch buffers that
    overlap in the arena are the same memory."""

    def __init__(self, program: Program) -> None:
        begins = [(buffer, begin) for buffer, begin in program.arena.items() if buffer.bytes]
        self._numbers = {buffer: number for number, (buffer, _) in enumerate(begins)}
        starts = np.array([begin for _, begin in begins], np.int64)
        ends = np.array([begin + buffer.bytes for buffer, begin in begins], np.int64)
        self._overlapping = [
            np.flatnonzero((starts < end) & (ends > start)) for start, end in zip(starts, ends, strict=True)
        ]
        self._arena = np.full(len(begins), -math.inf)
        self._others: dict[Buffer, float] = {}
        self._count = 0.0

    def by(self, step: Step) -> dict[Buffer, float]:
        """The bytes that were touched since each of the step's buffers last was, which it touches now."""
        buffers = dict.fromkeys(place.buffer for place in places(step))
        found = {buffer: self._count - self._last(buffer) for buffer in buffers}
        for buffer in buffers:
            if buffer in self._numbers:
                self._arena[self._overlapping[self._numbers[buffer]]] = self._count
            else:
                self._others[buffer] = self._count
        self._count += sum(place.bytes for place in places(step))
        return found

    def _last(self, buffer: Buffer) -> float:
        if buffer not in self._numbers:
            return self._others.get(buffer, -math.inf)
        return float(self._arena[self._overlapping[self._numbers[buffer]]].max())
