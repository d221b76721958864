"""Products of matrices of any strides, in batches that broadcast, give what NumPy gives, followed by the chain."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.machine import at, run_steps
from compiler.views import TARGETS, drawn_place, only_that_place_was_written
from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.few_rows import FewRowsSchedule
from wimmel.compiler.kernels.matmul import plan_matmul
from wimmel.compiler.steps import Buffer, Place, row_major
from wimmel.compiler.targets import KNOWN, Target

BATCHES = (((), ()), ((), ()), ((3,), ()), ((), (2,)), ((3,), (3,)), ((2, 1), (3,)), ((2, 3), (2, 3)), ((1, 3), (2, 1)))
SIZES = (1, 1, 2, 3, 4, 5, 8, 10, 16, 17, 33, 50, 70)


def values(place: Place, array: np.ndarray) -> np.ndarray:
    """The buffer's elements: the array's where the place is, and otherwise what must not be read."""
    flat = np.full(place.buffer.elements, np.nan if array.dtype.kind == "f" else 55, array.dtype)
    strides = tuple(stride * flat.itemsize for stride in place.strides)
    np.lib.stride_tricks.as_strided(flat[place.offset :], place.shape, strides)[...] = array
    return flat


def small(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Whole numbers, whose products and sums are exact."""
    return random.integers(-4, 5, shape).astype(dtype)


def run(
    a_shape: tuple[int, ...], b_shape: tuple[int, ...], dtype: str, epilogue: str, target: Target, seed: int,
    prepared: bool = False,
) -> None:  # fmt: skip
    random = np.random.default_rng(seed)
    a, b = small(random, a_shape, dtype), small(random, b_shape, dtype)
    product = a @ b
    places = [drawn_place(random, dtype, array.shape) for array in (a, b)]
    known = {place.buffer: values(place, array) for place, array in zip(places, (a, b), strict=True)}
    chain, operands, expected = Chain.identity(dtype), [], [product]
    if epilogue == "bias":
        bias, residual = small(random, product.shape[-1:], dtype), small(random, product.shape, dtype)
        lines = (Line("add", (0, 1), dtype), Line("subtract", (3, 2), dtype))
        chain, expected = Chain((dtype,) * 3, lines, (4, 0)), [product + bias - residual, product]
        for array in (bias, residual):
            place = drawn_place(random, dtype, array.shape)
            known[place.buffer] = values(place, array)
            operands.append(place.stretched(product.shape))
    results = [drawn_place(random, result, product.shape) for result in chain.result_dtypes]
    steps = plan_matmul(*places, results, chain, operands, target, prepared=prepared)
    arrays = run_steps(steps, known, target, seed)
    for place, array in zip(results, expected, strict=True):
        np.testing.assert_array_equal(at(place, arrays), array)
        assert only_that_place_was_written(place, arrays)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_products(target):
    random = np.random.default_rng(17)
    for seed in range(40 if target.name == "avx512" else 16):
        left, right = BATCHES[int(random.integers(len(BATCHES)))]
        rows, inner, columns = (int(n) for n in random.choice(SIZES, 3))
        dtype = "float64" if seed % 4 == 3 else "float32"
        run((*left, rows, inner), (*right, inner, columns), dtype, ("", "bias")[seed % 2], target, seed, seed % 3 == 0)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_products_of_whole_numbers_wrap(dtype):
    random = np.random.default_rng(5)
    for seed, (left, right) in enumerate(BATCHES):
        rows, inner, columns = (int(n) for n in random.choice(SIZES, 3))
        shapes = (*left, rows, inner), (*right, inner, columns)
        limits = (0, 2) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        a, b = (random.integers(*limits, shape).astype(dtype) for shape in shapes)
        places = [drawn_place(random, dtype, array.shape) for array in (a, b)]
        result = drawn_place(random, dtype, (a @ b).shape)
        steps = plan_matmul(*places, [result], Chain.identity(dtype), [], KNOWN["avx512"])
        known = {place.buffer: values(place, array) for place, array in zip(places, (a, b), strict=True)}
        np.testing.assert_array_equal(at(result, run_steps(steps, known, seed=seed)), a @ b)


def multiplied(a: np.ndarray, b: np.ndarray, target: Target, prepared: bool = True, turned: bool = True) -> np.ndarray:
    """In float32, b lying as a layer's weight does, a row for each column of the result, or else as it is."""
    left = row_major(Buffer("float32", a.size), a.shape)
    lying = np.ascontiguousarray(b.T if turned else b).astype(np.float32)
    right = row_major(Buffer("float32", b.size), lying.shape)
    shape = (a @ b).shape
    result = row_major(Buffer("float32", int(np.prod(shape))), shape)
    known = {left.buffer: a.astype(np.float32), right.buffer: lying}
    right = right.transposed((1, 0)) if turned else right
    steps = plan_matmul(left, right, [result], Chain.identity("float32"), [], target, prepared=prepared)
    return at(result, run_steps(steps, known, target))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_sums_are_as_exact_as_float32_allows(target):
    random = np.random.default_rng(4)
    for rows in (1, 2, 3, 7, 20):
        a, b = random.standard_normal((rows, 700)).astype(np.float32), random.standard_normal((700, 84))
        b = b.astype(np.float32)
        error = abs(multiplied(a, b, target) - a.astype(np.float64) @ b)
        assert (error <= 700 * 2.0**-24 * (abs(a).astype(np.float64) @ abs(b))).all()
        assert error.max() < 2e-4


def test_how_many_rows_there_are_changes_no_bits_and_needs_no_new_code():
    random = np.random.default_rng(6)
    a, b = random.standard_normal((37, 50)).astype(np.float32), random.standard_normal((50, 200)).astype(np.float32)
    target, weight = KNOWN["avx512"], row_major(Buffer("float32", 10000), (200, 50)).transposed((1, 0))
    every, schedules = multiplied(a, b, target), set()
    for rows in (1, 2, 3, 5, 16, 37):
        assert np.array_equal(multiplied(a[:rows], b, target), every[:rows])
        x, y = (row_major(Buffer("float32", rows * n), (rows, n)) for n in (50, 200))
        steps = plan_matmul(x, weight, [y], Chain.identity("float32"), [], target, prepared=True)
        schedules.add(tuple(step.schedule for step in steps))
    assert len(schedules) == 1


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_matrix_read_where_it_lies_gives_the_bits_of_a_packed_one(target):
    random = np.random.default_rng(8)
    for rows, inner, columns in ((1, 50, 200), (3, 67, 33), (13, 40, 17), (7, 5, 600), (2, 1, 40), (24, 9, 50)):
        a, b = (random.standard_normal(shape).astype(np.float32) for shape in ((rows, inner), (inner, columns)))
        for turned in (True, False):
            packed, read = (multiplied(a, b, target, prepared, turned) for prepared in (True, False))
            np.testing.assert_array_equal(packed, read)


def test_few_rows_copy_no_matrix():
    target, chain = KNOWN["avx512"], Chain.identity("float32")
    for rows in (1, 8):
        a, b = (row_major(Buffer("float32", m * n), (m, n)) for m, n in ((rows, 400), (400, 300)))
        weight = row_major(Buffer("float32", 400 * 300), (300, 400)).transposed((1, 0))
        result = row_major(Buffer("float32", rows * 300), (rows, 300))
        for matrix in (b, weight):
            (step,) = plan_matmul(a, matrix, [result], chain, [], target)
            assert isinstance(step.schedule, FewRowsSchedule)
        assert len(plan_matmul(a, b, [result], chain, [], target, prepared=True)) > 1


def test_few_columns_after_a_matrix_read_turned_are_few_rows():
    target, chain = KNOWN["avx512"], Chain.identity("float32")
    a, b = (
        row_major(Buffer("float32", 400 * 300), (300, 400)).transposed((1, 0)),
        row_major(Buffer("float32", 600), (300, 2)),
    )
    result = row_major(Buffer("float32", 800), (400, 2))
    steps = plan_matmul(a, b, [result], chain, [], target)
    assert any(isinstance(step.schedule, FewRowsSchedule) for step in steps)
    assert all(buffer is a.buffer or buffer.elements <= 2000 for step in steps for buffer in step.buffers)


def test_nothing_and_sums_of_nothing():
    target, chain = KNOWN["avx512"], Chain.identity("float32")
    for rows, inner, columns in ((0, 3, 4), (3, 3, 0), (2, 0, 5)):
        a, b = (row_major(Buffer("float32", m * n), (m, n)) for m, n in ((rows, inner), (inner, columns)))
        result = row_major(Buffer("float32", rows * columns), (rows, columns))
        steps = plan_matmul(a, b, [result], chain, [], target)
        assert bool(steps) == (inner == 0)
        if steps:
            assert not at(result, run_steps(steps, {}, target)).any()
