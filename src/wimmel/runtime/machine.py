"""How fast this machine is: multiply-adds on registers, reading and writing in each level of its caches and in memory,
with as many threads as calls use. Measured by kernels of our own, as steps of a program like any other."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from wimmel.compiler.costs import Rates
from wimmel.compiler.language import Builder, Function, Type, Value
from wimmel.compiler.program import assembled
from wimmel.compiler.steps import Buffer, Place, Step
from wimmel.compiler.targets import Target, host
from wimmel.runtime.native import NativeRunner, get_num_threads

SUMS = 12
"""Multiply-adds under way at once: enough to hide how long one takes."""

TURNS = 20_000
"""Of these in a task: some tens of microseconds."""

UNROLL = 4
"""Vectors read or written in one turn."""

TASK_BYTES = 1 << 21
"""What one task reads or writes, over and over again where it has less: some tens of microseconds."""

MOST_BYTES = 1 << 27
"""Of memory that is touched to find out how fast it is."""

ROUNDS = 5


@dataclass(frozen=True)
class MultiplyAdds:
    """Independent multiply-adds on registers alone: so many turns of `SUMS` in each task."""

    lanes: int

    def kernel(self, target: Target, name: str) -> Function:
        builder = Builder(name)
        block, begin, end, _ = builder.kernel()
        numbers, sums, turns = builder.arguments(block, "ppi")
        vector = Type("f32", self.lanes)
        factor = builder.load(numbers, 0, vector)

        def task(number: Value) -> None:
            results = builder.loop(
                0, turns, 1, lambda _, *values: [builder.fma(factor, value, value) for value in values], [factor] * SUMS
            )
            for place, value in enumerate(results):
                builder.store(value, sums, (number * SUMS + place) * self.lanes)

        builder.loop(begin, end, 1, task)
        return builder.function()


@dataclass(frozen=True)
class Passes:
    """Each task reads its piece of a buffer, or writes to it, some times; it is summed up or filled with zeros."""

    lanes: int
    writes: bool

    def kernel(self, target: Target, name: str) -> Function:
        builder = Builder(name)
        block, begin, end, _ = builder.kernel()
        numbers, sums, elements, times = builder.arguments(block, "ppii")
        vector = Type("f32", self.lanes)
        zeros = [builder.constant(vector, 0.0)] * UNROLL

        def task(number: Value) -> None:
            piece = builder.offset(numbers, number * elements, "f32")

            def turn(place: Value, *taken: Value) -> list[Value]:
                places = [place + further * self.lanes for further in range(UNROLL)]
                if not self.writes:
                    return [value + builder.load(piece, at, vector) for value, at in zip(taken, places, strict=True)]
                for at in places:
                    builder.store(zeros[0], piece, at)
                return list(taken)

            def once(_: Value, *taken: Value) -> list[Value]:
                return builder.loop(0, elements, UNROLL * self.lanes, turn, taken)

            for value in builder.loop(0, times, 1, once, zeros):
                builder.store(value, sums, number * self.lanes)

        builder.loop(begin, end, 1, task)
        return builder.function()


def rates() -> Rates:
    """What this machine does with as many threads as a call made here uses, at most.

    Multiply-adds are timed at every call, which takes less than a millisecond; caches and memory once for each number
    of threads.
    """
    threads = get_num_threads()
    with _lock:
        arithmetic, found = _measured(threads, host())
        (_, step), (_, operation) = arithmetic.profile([], ROUNDS)
        return replace(found, step=step, operation=operation / (TURNS * SUMS))


_lock = threading.Lock()


@lru_cache(16)
def _measured(threads: int, target: Target) -> tuple[NativeRunner, Rates]:
    """What times arithmetic, and how fast bytes are."""
    lanes = target.lanes("f32")
    numbers, sums = Buffer("float32", lanes, "constant"), Buffer("float32", threads * SUMS * lanes)
    places = [Place(buffer, 0, (buffer.elements,), (1,)) for buffer in (numbers, sums)]
    steps = [Step(MultiplyAdds(lanes), (*places, turns), (sums,), threads) for turns in (0, TURNS)]
    arithmetic = _runner(steps, {numbers: np.full(lanes, 0.5, np.float32)}, target)
    caches = (threads * target.l1_bytes // 2, threads * target.l2_bytes // 2, target.l3_bytes // 4)
    sizes = (*caches, min(4 * target.l3_bytes, MOST_BYTES))
    writing, reading = zip(*(_passes(threads, size, target) for size in sizes), strict=True)
    return arithmetic, Rates(threads, 0.0, 0.0, reading, writing)


def _passes(threads: int, size: int, target: Target) -> tuple[float, float]:
    """Seconds for each byte written, and for each byte read, where the threads together pass through so many again and
    again."""
    lanes = target.lanes("f32")
    elements = size // threads // (4 * UNROLL * lanes) * UNROLL * lanes
    numbers, sums = Buffer("float32", threads * elements), Buffer("float32", threads * lanes)
    places = [Place(buffer, 0, (buffer.elements,), (1,)) for buffer in (numbers, sums)]
    times = max(1, TASK_BYTES // (4 * elements))
    steps = [
        Step(Passes(lanes, writes), (*places, elements, times), (numbers, sums), threads) for writes in (True, False)
    ]
    moved = threads * times * elements * 4
    (_, writing), (_, reading) = _runner(steps, {}, target).profile([], ROUNDS)
    return writing / moved, reading / moved


def _runner(steps: list[Step], constants: dict[Buffer, np.ndarray], target: Target) -> NativeRunner:
    status = Buffer("int64", 1, "status")
    return NativeRunner(assembled(steps, [], [], [], constants, frozenset(), status, target))
