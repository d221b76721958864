"""The arena: what is alive at the same time never shares a byte, and what is not may."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from compiler.work import lines_run
from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.elements import ElementSchedule
from wimmel.compiler.memory import ALIGNMENT, overlaid
from wimmel.compiler.steps import Buffer, Step, row_major

SCHEDULE = ElementSchedule(Chain.identity("float32"), 1, ("next", "next"), 1)


def step(reads: list[Buffer], writes: list[Buffer]) -> Step:
    places = tuple(row_major(buffer, (buffer.elements,)) for buffer in (*reads, *writes))
    return Step(SCHEDULE, places, tuple(writes), 1)


@pytest.mark.parametrize("seed", range(20))
def test_buffers_alive_together_lie_apart(seed: int) -> None:
    random = np.random.default_rng(seed)
    buffers = [Buffer("float32", int(random.integers(0, 1000))) for _ in range(30)]
    steps = [
        step([buffers[i] for i in random.integers(max(0, place - 6), place + 1, 2)], [buffers[place]])
        for place in range(30)
    ]
    offsets, size = overlaid(steps)
    lives = {b: [place for place, each in enumerate(steps) if b in each.buffers] for b in buffers}
    for buffer in buffers:
        assert offsets[buffer] % ALIGNMENT == 0
        assert offsets[buffer] + buffer.bytes <= size
        for other in buffers:
            together = lives[buffer][0] <= lives[other][-1] and lives[other][0] <= lives[buffer][-1]
            if other is not buffer and together and buffer.bytes and other.bytes:
                apart = offsets[buffer] + buffer.bytes <= offsets[other] or (
                    offsets[other] + other.bytes <= offsets[buffer]
                )
                assert apart, (offsets[buffer], buffer.bytes, offsets[other], other.bytes)


@pytest.mark.parametrize("seed", range(20))
def test_the_largest_are_placed_first_and_each_as_low_as_it_can_be(seed: int) -> None:
    random = np.random.default_rng(seed)
    buffers = [Buffer("float32", 16 * int(random.integers(1, 9))) for _ in range(40)]
    steps = [step([buffers[max(0, place - int(random.geometric(0.1)))]], [buffers[place]]) for place in range(40)]
    lives = {b: [place for place, each in enumerate(steps) if b in each.buffers] for b in buffers}
    expected: dict[Buffer, int] = {}
    for buffer in sorted(buffers, key=lambda buffer: -buffer.bytes):
        met = [o for o in expected if lives[o][0] <= lives[buffer][-1] and lives[buffer][0] <= lives[o][-1]]
        expected[buffer] = min(
            begin
            for begin in (0, *(expected[other] + other.bytes for other in met))
            if all(begin + buffer.bytes <= expected[o] or expected[o] + o.bytes <= begin for o in met)
        )
    assert overlaid(steps)[0] == expected


@pytest.mark.parametrize("kept", [1, 40])
def test_twice_as_many_steps_take_about_twice_the_work(kept: int) -> None:
    """Also where much is needed until the end: what every so many steps wrote."""

    def work(count: int) -> int:
        buffers = [Buffer("float32", 16 * (1 + place % 7)) for place in range(count)]
        steps = [step([a], [b]) for a, b in itertools.pairwise(buffers)]
        steps += [step([buffer], []) for buffer in reversed(buffers[::kept])]
        return lines_run(lambda: overlaid(steps))[0]

    assert work(800) < 2.1 * work(400)


def test_a_row_of_steps_needs_two_buffers() -> None:
    buffers = [Buffer("float32", 160) for _ in range(10)]
    steps = [step([a], [b]) for a, b in itertools.pairwise(buffers)]
    assert overlaid(steps)[1] == 2 * 640


def test_what_is_kept_shares_nothing() -> None:
    buffers = [Buffer("float32", 160) for _ in range(10)]
    steps = [step([a], [b]) for a, b in itertools.pairwise(buffers)]
    assert overlaid(steps, keep=True)[1] == 10 * 640


def test_buffers_that_lie_elsewhere_take_no_room() -> None:
    buffer, other = Buffer("float32", 160), Buffer("float32", 160, "input")
    assert overlaid([step([other], [buffer])], without={buffer}) == ({}, 0)
