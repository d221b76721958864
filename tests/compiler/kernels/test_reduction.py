"""Sums and maxima over axes, against NumPy on drawn shapes, strides, dtypes and targets."""

import numpy as np
import pytest

from compiler.machine import at, run_steps
from compiler.views import DTYPES, TARGETS, drawn_place, filled, only_that_place_was_written
from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.reduction import TASK_ELEMENTS, plan_reduction
from wimmel.compiler.steps import Buffer, Place, row_major
from wimmel.compiler.targets import KNOWN
from wimmel.graph.primitives import reduce_max, reduce_sum

AVX512 = KNOWN["avx512"]
DEFINITIONS = {"sum": reduce_sum.definition, "max": reduce_max.definition}
DISTANCE = Chain(
    ("float32", "float32"), (Line("subtract", (0, 1), "float32"), Line("multiply", (2, 2), "float32")), (3,)
)
each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def result_dtype(operation, dtype):
    return np.sum(np.empty(0, dtype)).dtype.name if operation == "sum" else dtype


def without(shape, axes):
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def agree(found, expected, terms):
    """Whether two results are the same, but for what rounding may do to a float sum of such terms."""
    if found.dtype.kind != "f":
        return np.array_equal(found, expected)
    size = np.sum(np.abs(terms)) if terms.size else 0
    return np.allclose(found, expected, rtol=1e-6, atol=1e-6 * size, equal_nan=True)


def channels_last(picture_count, channels, height, width, halo=0):
    rows, columns = height + 2 * halo, width + 2 * halo
    strides = (rows * columns * channels, 1, columns * channels, channels)
    offset = (halo * columns + halo) * channels
    buffer = Buffer("float32", picture_count * rows * columns * channels)
    return Place(buffer, offset, (picture_count, channels, height, width), strides)


@each_target
@pytest.mark.parametrize("operation", ["sum", "max"])
def test_drawn_shapes_axes_strides_and_dtypes(target, operation):
    random = np.random.default_rng(1)
    for trial in range(40):
        shape = tuple(int(n) for n in random.integers(1, 12, random.integers(0, 5)))
        if trial % 4 == 0:
            shape = (*shape[:1], int(random.integers(100, 2000)), *shape[1:2])
        axes = tuple(axis for axis in range(len(shape)) if random.random() < 0.5)
        dtype = str(random.choice([*DTYPES, "float32", "float32"]))
        x = drawn_place(random, dtype, shape, still=True)
        result = drawn_place(random, result_dtype(operation, dtype), without(shape, axes))
        steps = plan_reduction(operation, Chain.identity(dtype), [x], axes, result, target)
        arrays = run_steps(steps, {x.buffer: filled(random, x.buffer)}, target, trial)
        values = at(x, arrays)
        expected = DEFINITIONS[operation](values, axes=axes)
        assert agree(at(result, arrays), expected, values), (shape, axes, dtype, steps[0].schedule)
        assert only_that_place_was_written(result, arrays)


@each_target
def test_what_is_summed_is_what_the_chain_makes_of_its_operands(target):
    random = np.random.default_rng(2)
    for trial in range(12):
        shape = tuple(int(n) for n in random.integers(1, 30, 3))
        axes = [(0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2)][trial % 6]
        x = drawn_place(random, "float32", shape)
        mean = row_major(Buffer("float32", shape[1]), (shape[1], 1)).stretched(shape)
        if trial % 4 == 0:
            mean = row_major(Buffer("float32", 1), ()).stretched(shape)
        result = drawn_place(random, "float32", without(shape, axes))
        steps = plan_reduction("sum", DISTANCE, [x, mean], axes, result, target)
        given = {place.buffer: filled(random, place.buffer) for place in (x, mean)}
        arrays = run_steps(steps, given, target, trial)
        squares = (at(x, arrays) - at(mean, arrays)) ** 2
        assert agree(at(result, arrays), squares.sum(axes, np.float64), squares)


@each_target
def test_an_epilogue_is_applied_to_the_result(target):
    random = np.random.default_rng(3)
    epilogue = Chain(
        ("float32", "float32", "float64"),
        (Line("multiply", (0, 1), "float32"), Line("cast", (3,), "float64"), Line("add", (4, 2), "float64")),
        (5,),
    )
    for shape, axes in (((5, 37), (0,)), ((5, 37), (1,)), ((300, 7, 40), (0, 2)), ((4, 50000), (1,)), ((40000,), (0,))):
        left = without(shape, axes)
        x, factor = drawn_place(random, "float32", shape), row_major(Buffer("float32", 1), ()).stretched(left)
        shift, result = drawn_place(random, "float64", left, still=True), drawn_place(random, "float64", left)
        steps = plan_reduction(
            "sum", Chain.identity("float32"), [x], axes, result, target, "", epilogue, [factor, shift]
        )
        given = {place.buffer: filled(random, place.buffer) for place in (x, factor, shift)}
        arrays = run_steps(steps, given, target)
        values, by = at(x, arrays), at(factor, arrays)
        expected = values.sum(axes, np.float64) * by + at(shift, arrays)
        assert agree(at(result, arrays), expected, values * (by.flat[0] if by.size else 0))


@each_target
def test_long_reductions_are_cut_into_parts(target):
    random = np.random.default_rng(4)
    for shape, axes in (
        ((9 * TASK_ELEMENTS + 5,), (0,)),
        ((70011, 7), (0,)),
        ((2, 70000), (1,)),
        ((61, 3, 3000), (0, 2)),
    ):
        for operation in ("sum", "max"):
            x, result = (drawn_place(random, "float32", n) for n in (shape, without(shape, axes)))
            steps = plan_reduction(operation, Chain.identity("float32"), [x], axes, result, target)
            assert len(steps) == 2 and steps[0].tasks > 1
            arrays = run_steps(steps, {x.buffer: filled(random, x.buffer)}, target)
            values = at(x, arrays)
            expected = values.sum(axes, np.float64) if operation == "sum" else values.max(axes)
            assert agree(at(result, arrays), expected, values)


@each_target
def test_batch_statistics_of_pictures_with_a_halo(target):
    random = np.random.default_rng(5)
    for channels in (1, 3, 16, 24, 70):
        x = channels_last(3, channels, 7, 9, halo=2)
        result = row_major(Buffer("float32", channels), (channels,))
        steps = plan_reduction("sum", Chain.identity("float32"), [x], (0, 2, 3), result, target)
        arrays = run_steps(steps, {x.buffer: filled(random, x.buffer)}, target)
        values = at(x, arrays)
        assert agree(at(result, arrays), values.sum((0, 2, 3), np.float64), values)


@each_target
@pytest.mark.parametrize("shape, axes", [((0,), (0,)), ((3, 0, 5), (1,)), ((20, 0), (0, 1)), ((0, 33), (0,))])
def test_the_sum_of_nothing_is_zero(target, shape, axes):
    for dtype in ("float32", "bool"):
        x = row_major(Buffer(dtype, 0), shape)
        result = row_major(Buffer(result_dtype("sum", dtype), int(np.prod(without(shape, axes)))), without(shape, axes))
        arrays = run_steps(plan_reduction("sum", Chain.identity(dtype), [x], axes, result, target), {}, target)
        assert np.array_equal(at(result, arrays), np.zeros(result.shape))


def test_nothing_is_planned_for_a_result_without_elements():
    x = row_major(Buffer("float32", 0), (3, 0))
    assert (
        plan_reduction("sum", Chain.identity("float32"), [x], (0,), row_major(Buffer("float32", 0), (0,)), AVX512) == []
    )


@each_target
def test_a_chain_without_operands(target):
    chain, result = Chain((), (Line("constant", (), "float32", 2),), (0,)), row_major(Buffer("float32", 21), (21,))
    steps = plan_reduction("sum", chain, [], (0,), result, target, shape=(5, 21))
    assert np.array_equal(at(result, run_steps(steps, {}, target)), np.full(21, 10))


@each_target
@pytest.mark.parametrize("order", ["rows", "columns"])
def test_a_maximum_is_nan_where_there_is_one(target, order):
    random = np.random.default_rng(6)
    values = random.standard_normal((70, 83)).astype(np.float32)
    values[random.random(values.shape) < 0.01] = np.nan
    values[3], values[5, 7] = -np.inf, np.inf
    x, result = row_major(Buffer("float32", values.size), values.shape), row_major(Buffer("float32", 70), (70,))
    if order == "columns":
        x, given = row_major(x.buffer, (83, 70)).transposed((1, 0)), values.T.copy()
    else:
        given = values
    steps = plan_reduction("max", Chain.identity("float32"), [x], (1,), result, target)
    assert np.array_equal(at(result, run_steps(steps, {x.buffer: given}, target)), values.max(1), equal_nan=True)


@each_target
@pytest.mark.parametrize("value", [0.1, None], ids=["equal numbers", "numbers between 0 and 1"])
def test_long_sums_of_floats_are_as_accurate_as_pairwise_ones(target, value):
    random = np.random.default_rng(7)
    x = random.random(3_000_000).astype(np.float32) if value is None else np.full(3_000_000, value, np.float32)
    for shape in ((3_000_000,), (1_000_000, 3), (3, 1_000_000), (30_000, 100)):
        axis = int(np.argmax(shape))
        place = row_major(Buffer("float32", x.size), shape)
        result = row_major(Buffer("float32", x.size // shape[axis]), without(shape, (axis,)))
        steps = plan_reduction("sum", Chain.identity("float32"), [place], (axis,), result, target)
        found = at(result, run_steps(steps, {place.buffer: x}, target))
        exact = x.reshape(shape).sum(axis, np.float64)
        assert np.max(np.abs(found - exact) / exact) < 2e-6


@each_target
def test_the_order_of_tasks_changes_no_bit(target):
    random = np.random.default_rng(8)
    x, result = row_major(Buffer("float32", 300_000), (30_000, 10)), row_major(Buffer("float32", 10), (10,))
    values = random.standard_normal(300_000).astype(np.float32)
    steps = plan_reduction("sum", Chain.identity("float32"), [x], (0,), result, target)
    first, second = (at(result, run_steps(steps, {x.buffer: values}, target, seed)) for seed in (0, 2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("halo", [0, 1])
def test_other_picture_counts_and_sizes_need_no_other_kernels(halo):
    def schedules(count, height, width):
        x, result = channels_last(count, 64, height, width, halo), row_major(Buffer("float32", 64), (64,))
        steps = plan_reduction("sum", Chain.identity("float32"), [x], (0, 2, 3), result, AVX512)
        return [step.schedule for step in steps]

    assert schedules(16, 28, 28) == schedules(7, 30, 41)
    if halo:
        assert schedules(16, 28, 28) == schedules(1, 160, 160)


def test_pictures_that_fill_the_lanes_need_no_other_kernels_for_other_counts():
    """Scores less a number of each picture, added up: the numbers are neighbours, the scores of a class are not."""

    def schedules(count):
        scores, numbers = (row_major(Buffer("float32", count * n), (count, n)) for n in (10, 1))
        result = row_major(Buffer("float32", count), (count,))
        steps = plan_reduction("sum", DISTANCE, [scores, numbers.stretched((count, 10))], (1,), result, AVX512)
        return [step.schedule for step in steps]

    assert schedules(64) == schedules(40) == schedules(256)


def test_the_kept_axis_fills_the_lanes_where_it_lies_side_by_side():
    x, result = channels_last(4, 32, 14, 14), row_major(Buffer("float32", 32), (32,))
    statistics = plan_reduction("sum", Chain.identity("float32"), [x], (0, 2, 3), result, AVX512)
    assert not statistics[0].schedule.along and statistics[0].schedule.moves == ("next", "next")
    rows, sums = row_major(Buffer("float32", 64000), (64, 1000)), row_major(Buffer("float32", 64), (64,))
    (step,) = plan_reduction("max", Chain.identity("float32"), [rows], (1,), sums, AVX512)
    assert step.schedule.along and step.schedule.moves == ("next", "still")
