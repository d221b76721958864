"""Places of the largest elements, against NumPy on drawn shapes, strides, dtypes and targets."""

import numpy as np
import pytest

from compiler.machine import at, run_steps
from compiler.views import DTYPES, TARGETS, drawn_place, filled, only_that_place_was_written
from wimmel.compiler.kernels.argmax import plan_argmax
from wimmel.compiler.steps import Buffer, row_major
from wimmel.compiler.targets import KNOWN
from wimmel.graph.primitives import argmax

AVX512 = KNOWN["avx512"]
each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


@each_target
def test_drawn_shapes_axes_strides_and_dtypes(target):
    random = np.random.default_rng(1)
    for trial in range(50):
        shape = tuple(int(n) for n in random.integers(1, 12, random.integers(1, 5)))
        if trial % 4 == 0:
            shape = (*shape[:1], int(random.integers(20, 400)), *shape[1:2])
        axis = int(random.integers(len(shape)))
        x = drawn_place(random, str(random.choice([*DTYPES, "float32"])), shape, still=True)
        result = drawn_place(random, "int64", shape[:axis] + shape[axis + 1 :])
        arrays = run_steps(plan_argmax(x, axis, result, target), {x.buffer: filled(random, x.buffer)}, target, trial)
        expected = argmax.definition(at(x, arrays), axis=axis)
        assert np.array_equal(at(result, arrays), expected), (shape, axis, x.dtype)
        assert only_that_place_was_written(result, arrays)


@each_target
@pytest.mark.parametrize("order", ["rows", "columns", "gathered"])
def test_the_first_nan_counts_as_the_largest_and_else_the_first_of_equals(target, order):
    random = np.random.default_rng(2)
    values = random.integers(0, 5, (150, 200)).astype(np.float32)
    values[random.random(values.shape) < 0.005] = np.nan
    values[7:20], values[20:30, 100:], values[30:40] = -np.inf, np.nan, np.inf
    values[40, 60:] = np.nan
    if order == "gathered":
        values = values[:, :11]
    count = values.shape[1]
    x = row_major(Buffer("float32", values.size), values.shape)
    if order == "columns":
        x = row_major(x.buffer, values.shape[::-1]).transposed((1, 0))
    result = row_major(Buffer("int64", 150), (150,))
    steps = plan_argmax(x, 1, result, target)
    arrays = run_steps(steps, {x.buffer: values.T.copy() if order == "columns" else values.copy()}, target)
    assert np.array_equal(at(result, arrays), np.argmax(values, 1)), count


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64", "bool"])
def test_the_ends_of_the_whole_numbers(dtype):
    values = np.zeros((40, 3), dtype)
    limits = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    values[:], values[17, 1], values[39, 2] = limits[0], limits[1], limits[1]
    for shape, axis in (((40, 3), 0), ((3, 40), 1)):
        x, result = row_major(Buffer(dtype, 120), shape), row_major(Buffer("int64", 3), (3,))
        given = values if axis == 0 else values.T.copy()
        arrays = run_steps(plan_argmax(x, axis, result, AVX512), {x.buffer: given})
        assert at(result, arrays).tolist() == [0, 17, 39]


def test_nothing_is_planned_for_a_result_without_elements():
    x, result = row_major(Buffer("float32", 0), (3, 0)), row_major(Buffer("int64", 0), (0,))
    assert plan_argmax(x, 0, result, AVX512) == []


def test_other_picture_counts_and_sizes_need_no_other_kernels():
    def schedule(count, size):
        x = row_major(Buffer("float32", count * 21 * size * size), (count, 21, size, size))
        result = row_major(Buffer("int64", count * size * size), (count, size, size))
        (step,) = plan_argmax(x, 1, result, AVX512)
        return step.schedule

    assert schedule(2, 40) == schedule(5, 57)
