"""Elements taken from and added to places along an axis, against NumPy on drawn shapes, strides, dtypes and targets."""

import numpy as np
import pytest

from compiler.machine import at, run_steps
from compiler.views import DTYPES, TARGETS, drawn_place, filled, only_that_place_was_written
from wimmel.compiler.kernels.gathering import plan_scatter_add, plan_take
from wimmel.compiler.steps import Buffer, row_major
from wimmel.compiler.targets import KNOWN
from wimmel.graph.primitives import scatter_add, take

AVX512 = KNOWN["avx512"]
INDEX_DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def drawn_indices(random, dtype, size, count):
    lowest = -size if np.dtype(dtype).kind == "i" else 0
    limits = np.iinfo(dtype)
    return random.integers(max(lowest, limits.min), min(size, limits.max), count).astype(dtype)


def status_place():
    return row_major(Buffer("int64", 1, "status"), (1,))


def drawn_case(random, trial):
    """x's shape, the axis, and the indices' shape."""
    shape = tuple(int(n) for n in random.integers(1, 40, random.integers(1, 4)))
    indices = tuple(int(n) for n in random.integers(1, 8, random.integers(0, 3)))
    return shape, int(random.integers(len(shape))), (200,) if trial % 5 == 0 else indices


@each_target
def test_take_of_drawn_shapes_axes_strides_and_dtypes(target):
    random = np.random.default_rng(1)
    for trial in range(60):
        shape, axis, many = drawn_case(random, trial)
        x = drawn_place(random, str(random.choice([*DTYPES, "float32"])), shape, still=True)
        indices = drawn_place(random, str(random.choice(INDEX_DTYPES)), many, still=True)
        result, status = drawn_place(random, x.dtype, shape[:axis] + many + shape[axis + 1 :]), status_place()
        given = {
            x.buffer: filled(random, x.buffer),
            indices.buffer: drawn_indices(random, indices.dtype, shape[axis], indices.buffer.elements),
        }
        steps = plan_take(x, indices, axis, result, status, target)
        arrays = run_steps(steps, given, target, trial)
        expected = take.definition(at(x, arrays), at(indices, arrays).astype(np.int64), axis=axis)
        assert np.array_equal(at(result, arrays), expected), (shape, axis, many, x.dtype, indices.dtype)
        assert arrays[status.buffer] == 0 and only_that_place_was_written(result, arrays)


@each_target
def test_scatter_add_of_drawn_shapes_axes_strides_and_dtypes(target):
    random = np.random.default_rng(2)
    for trial in range(60):
        shape, axis, many = drawn_case(random, trial)
        size = shape[axis]
        g = drawn_place(random, str(random.choice([*DTYPES, "float32"])), shape[:axis] + many + shape[axis + 1 :], True)
        indices = drawn_place(random, str(random.choice(INDEX_DTYPES)), many, still=True)
        result, status = drawn_place(random, g.dtype, shape), status_place()
        given = {
            g.buffer: filled(random, g.buffer),
            indices.buffer: drawn_indices(random, indices.dtype, size, indices.buffer.elements),
        }
        steps = plan_scatter_add(g, indices, axis, size, result, status, target)
        arrays = run_steps(steps, given, target, trial)
        places = at(indices, arrays).astype(np.int64)
        # floats too to the last bit: terms are added in the order of the indices
        expected = scatter_add.definition(at(g, arrays), places, axis=axis, size=size)
        assert np.array_equal(at(result, arrays), expected), (shape, axis, many, g.dtype, indices.dtype)
        assert arrays[status.buffer] == 0 and only_that_place_was_written(result, arrays)


@each_target
@pytest.mark.parametrize("shape, axis", [((30, 20), 0), ((20, 30), 1), ((30,), 0), ((30, 3000), 0)])
def test_indices_out_of_range_set_the_status(target, shape, axis):
    for dtype, wrong in (("int64", -31), ("int64", 2**62), ("int64", -(2**63)), ("int8", 127), ("uint8", 30),
                         ("uint64", 2**64 - 1), ("int32", -(2**31))):  # fmt: skip
        for place in (0, 40):
            values = np.arange(41, dtype=dtype) % 30
            values[place] = wrong
            x, indices = row_major(Buffer("float32", int(np.prod(shape))), shape), row_major(Buffer(dtype, 41), (41,))
            status, many = status_place(), (*shape[:axis], 41, *shape[axis + 1 :])
            taken = row_major(Buffer("float32", int(np.prod(many))), many)
            given = {x.buffer: np.ones(x.size), indices.buffer: values, taken.buffer: np.ones(taken.size)}
            arrays = run_steps(plan_take(x, indices, axis, taken, status, target), given, target)
            assert arrays[status.buffer] == 1
            arrays = run_steps(plan_scatter_add(taken, indices, axis, 30, x, status, target), given, target)
            assert arrays[status.buffer] == 1


@each_target
def test_the_status_stays_set(target):
    x, indices, status = row_major(Buffer("float32", 5), (5,)), row_major(Buffer("int64", 2), (2,)), status_place()
    result = row_major(Buffer("float32", 2), (2,))
    given = {x.buffer: np.arange(5), indices.buffer: np.array([4, 0]), status.buffer: np.array([1])}
    arrays = run_steps(plan_take(x, indices, 0, result, status, target), given, target)
    assert arrays[status.buffer] == 1 and at(result, arrays).tolist() == [4, 0]


@each_target
@pytest.mark.parametrize("shape, axis", [((0,), 0), ((0, 5), 0), ((5, 0), 1), ((4, 0), 0), ((0, 7), 1)])
def test_indices_are_checked_where_there_are_no_elements(target, shape, axis):
    size = shape[axis]
    for many, wrong in (((3,), True), ((3,), False), ((0,), False), ((0, 4), False), ((), size == 0)):
        x = row_major(Buffer("float32", 0), shape)
        indices, status = row_major(Buffer("int32", int(np.prod(many))), many), status_place()
        others = shape[:axis] + many + shape[axis + 1 :]
        taken = row_major(Buffer("float32", int(np.prod(others))), others)
        values = np.full(many, size if wrong else 0)
        expected = int(indices.size > 0 and (wrong or size == 0))
        for steps in (
            plan_take(x, indices, axis, taken, status, target),
            plan_scatter_add(taken, indices, axis, size, x, status, target),
        ):
            arrays = run_steps(steps, {indices.buffer: values}, target)
            assert arrays.get(status.buffer, 0) == expected


@each_target
def test_adding_at_no_places_gives_zeros(target):
    g, indices = row_major(Buffer("float32", 0), (3, 0, 5)), row_major(Buffer("int64", 0), (0,))
    result, status = row_major(Buffer("float32", 60), (3, 4, 5)), status_place()
    arrays = run_steps(plan_scatter_add(g, indices, 1, 4, result, status, target), {}, target)
    assert arrays[status.buffer] == 0 and np.array_equal(at(result, arrays), np.zeros((3, 4, 5)))


@each_target
def test_many_repeated_places_are_shared_out_and_added_in_order(target):
    random = np.random.default_rng(3)
    places, values = random.integers(0, 3000, 900), random.standard_normal((900, 70)).astype(np.float32)
    places[::7] = 5
    g, indices = row_major(Buffer("float32", 63000), (900, 70)), row_major(Buffer("int64", 900), (900,))
    result, status = row_major(Buffer("float32", 210000), (3000, 70)), status_place()
    steps = plan_scatter_add(g, indices, 0, 3000, result, status, target)
    assert steps[0].tasks > 1
    arrays = run_steps(steps, {g.buffer: values, indices.buffer: places}, target)
    assert np.array_equal(at(result, arrays), scatter_add.definition(values, places, axis=0, size=3000))


def test_other_row_counts_need_no_other_kernels():
    def schedules(rows, count):
        x, indices = row_major(Buffer("float32", rows * 64), (rows, 64)), row_major(Buffer("int64", count), (count,))
        result, status = row_major(Buffer("float32", count * 64), (count, 64)), status_place()
        return [
            plan_take(x, indices, 0, result, status, AVX512)[0].schedule,
            plan_scatter_add(result, indices, 0, rows, x, status, AVX512)[0].schedule,
        ]

    assert schedules(50, 12) == schedules(5000, 700)
