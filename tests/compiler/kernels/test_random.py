"""Uniform random numbers, bit for bit against the primitive's definition."""

import numpy as np
import pytest

from compiler.machine import at, run_steps
from compiler.views import TARGETS, drawn_place, only_that_place_was_written
from wimmel.compiler.kernels.random import TASK_ELEMENTS, plan_random_uniform
from wimmel.compiler.steps import Buffer, row_major
from wimmel.compiler.targets import KNOWN
from wimmel.graph.primitives import random_uniform

each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def key_place():
    return row_major(Buffer("uint32", 4, "input"), (4,))


@each_target
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bits_are_those_of_the_definition(target, dtype):
    random = np.random.default_rng(1)
    shapes = [
        (),
        (1,),
        (3,),
        (4,),
        (5,),
        (31,),
        (64,),
        (7, 13),
        (2, 3, 4, 5),
        (TASK_ELEMENTS + 3,),
        (3 * TASK_ELEMENTS,),
    ]
    for trial, shape in enumerate(shapes):
        key = random.integers(0, 2**32, 4).astype(np.uint32)
        stream = int(random.integers(0, 2**32)) if trial else 2**32 - 1
        place = key_place()
        result = (
            drawn_place(random, dtype, shape) if trial % 3 else row_major(Buffer(dtype, int(np.prod(shape))), shape)
        )
        steps = plan_random_uniform(place, stream, result, target)
        arrays = run_steps(steps, {place.buffer: key}, target, trial)
        expected = random_uniform.definition(key, shape=shape, stream=stream, dtype=dtype)
        assert np.array_equal(at(result, arrays), expected), shape
        assert only_that_place_was_written(result, arrays)


@each_target
def test_keys_of_ones_wrap(target):
    place, result = key_place(), row_major(Buffer("float32", 100), (100,))
    key = np.full(4, 2**32 - 1, np.uint32)
    arrays = run_steps(plan_random_uniform(place, 0, result, target), {place.buffer: key}, target)
    expected = random_uniform.definition(key, shape=(100,), stream=0, dtype="float32")
    assert np.array_equal(at(result, arrays), expected)


def test_nothing_is_planned_for_no_numbers():
    result = row_major(Buffer("float32", 0), (3, 0))
    assert plan_random_uniform(key_place(), 0, result, KNOWN["avx512"]) == []


def test_streams_and_sizes_share_a_kernel():
    steps = [
        plan_random_uniform(key_place(), stream, row_major(Buffer("float32", size), (size,)), KNOWN["avx512"])
        for stream, size in ((0, 10), (7, 10000))
    ]
    assert steps[0][0].schedule == steps[1][0].schedule
