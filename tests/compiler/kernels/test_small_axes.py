"""Transpositions of many small axes give what NumPy gives, followed by the chain, and write nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.machine import at, run_steps
from compiler.views import TARGETS, filled, only_that_place_was_written
from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.small_axes import SmallAxesSchedule
from wimmel.compiler.steps import Buffer, Place, Schedule, row_major
from wimmel.compiler.targets import KNOWN, Target

SHAPES = {
    "two": (2,) * 11,
    "three": (3,) * 7,
    "four": (4,) * 5,
    "five and seven": (5, 7, 5, 7, 5),
    "mixed": (2, 3, 5, 2, 4, 3, 2, 3),
    "a long one": (2, 2, 2, 2, 60, 2, 2, 3, 2),
}


def run(
    shape: tuple[int, ...], axes: tuple[int, ...], dtype: str, inputs: int, target: Target, seed: int
) -> list[Schedule]:
    """x (+ y) times one number, transposed; gives the schedules."""
    random = np.random.default_rng(seed)
    one = row_major(Buffer(dtype, 1), ()).stretched(tuple(shape[axis] for axis in axes))
    start = int(random.integers(3))
    elements = int(np.prod(shape)) + start
    places = [Place(Buffer(dtype, elements), start, shape, row_major(Buffer(dtype, 1), shape).strides)
              for _ in range(inputs)]  # fmt: skip
    known = {place.buffer: filled(random, place.buffer) for place in (*places, one)}
    lines = [Line("add", (0, 1), dtype)] if inputs == 2 else []
    lines.append(Line("multiply", (inputs + 1 if inputs == 2 else 0, inputs), dtype))
    chain = Chain((dtype,) * (inputs + 1), tuple(lines), (inputs + len(lines), 0))
    results = [row_major(Buffer(dtype, elements), one.shape) for _ in range(2)]
    read = [place.transposed(axes) for place in places]
    steps = plan_elements(chain, [*read, one], results, target)
    arrays = run_steps(steps, known, target, seed)
    x, *others = (at(place, arrays) for place in read)
    total = x + others[0] if others else x
    np.testing.assert_array_equal(at(results[0], arrays), total * at(one, arrays))
    np.testing.assert_array_equal(at(results[1], arrays), x)
    assert all(only_that_place_was_written(place, arrays) for place in results)
    return [step.schedule for step in steps]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", SHAPES)
def test_reversed_and_drawn_orders(name, target):
    shape = SHAPES[name]
    random = np.random.default_rng(len(name))
    for seed, dtype in enumerate(("float32", "float64", "int32")):
        axes = (
            tuple(reversed(range(len(shape)))) if seed == 0 else tuple(int(a) for a in random.permutation(len(shape)))
        )
        run(shape, axes, dtype, 1 + seed % 2, target, seed)


@pytest.mark.parametrize("name", ["two", "three", "mixed"])
def test_reversed_orders_are_computed_in_blocks(name):
    shape = SHAPES[name]
    (schedule,) = run(shape, tuple(reversed(range(len(shape)))), "float32", 1, KNOWN["avx512"], 0)
    assert isinstance(schedule, SmallAxesSchedule)


def test_pictures_are_no_case_for_it():
    target, chain = KNOWN["avx512"], Chain.identity("float32")
    for shape, axes in (((8, 3, 20, 20), (0, 2, 3, 1)), ((8, 20, 20, 64), (0, 3, 1, 2)), ((5, 64, 64), (2, 0, 1))):
        source = row_major(Buffer("float32", int(np.prod(shape))), shape).transposed(axes)
        result = row_major(Buffer("float32", source.size), source.shape)
        (step,) = plan_elements(chain, [source], [result], target)
        assert not isinstance(step.schedule, SmallAxesSchedule)
