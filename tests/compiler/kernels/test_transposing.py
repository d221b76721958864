"""Conversions of layout, block by block, against NumPy."""

import math

import numpy as np
import pytest

from compiler.kernels.test_elements import cast, each_target, filled, untouched
from compiler.machine import at, run_steps
from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.transposing import TransposingSchedule
from wimmel.compiler.steps import Buffer, Place, Step, row_major
from wimmel.compiler.targets import KNOWN, Target

AVX512 = KNOWN["avx512"]


def planned(steps: list[Step]) -> TransposingSchedule:
    (step,) = steps
    assert isinstance(step.schedule, TransposingSchedule), step.schedule
    return step.schedule


def channels_last(dtype: str, shape: tuple[int, ...], halo: int = 0) -> Place:
    n, c, h, w = shape
    line = (w + 2 * halo) * c
    picture = (h + 2 * halo) * line
    return Place(Buffer(dtype, n * picture), halo * (line + c), shape, (picture, 1, line, c))


def channels_first(dtype: str, shape: tuple[int, ...]) -> Place:
    return row_major(Buffer(dtype, math.prod(shape)), shape)


@each_target
@pytest.mark.parametrize("dtypes", [("float32", "float32"), ("uint8", "float32"), ("float64", "float64"),
                                    ("float32", "uint8"), ("uint8", "uint8"), ("int64", "float32"),
                                    ("bool", "int16")], ids="-".join)  # fmt: skip
@pytest.mark.parametrize("shape", [(2, 3, 16, 20), (1, 64, 14, 14), (2, 17, 7, 9), (3, 5, 4, 5), (1, 2, 3, 40)],
                         ids=lambda shape: "x".join(map(str, shape)))  # fmt: skip
def test_layouts_are_converted_both_ways(target: Target, dtypes: tuple[str, str], shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(sum(shape))
    before, after = dtypes
    for source, result in (
        (channels_first(before, shape), channels_last(after, shape, halo=1)),
        (channels_first(before, shape), channels_last(after, shape)),
        (channels_last(before, shape, halo=2), channels_first(after, shape)),
        (channels_last(before, shape), channels_first(after, shape)),
    ):
        values = {source.buffer: np.abs(filled(random, source.buffer))}
        steps = plan_elements(cast(before, after), [source], [result], target)
        memory = run_steps(steps, values, target)
        np.testing.assert_array_equal(at(result, memory), at(source, values).astype(after))
        rest = untouched(result, memory[result.buffer])
        np.testing.assert_array_equal(rest, np.full_like(rest, np.nan if rest.dtype.kind == "f" else 77))


def test_pixels_are_taken_apart_and_deeper_pictures_go_in_squares() -> None:
    def schedule(shape: tuple[int, ...], target: Target, halo: int = 0) -> TransposingSchedule:
        source, result = channels_first("float32", shape), channels_last("float32", shape, halo)
        there = planned(plan_elements(Chain.identity("float32"), [source], [result], target))
        back = planned(plan_elements(Chain.identity("float32"), [result], [source], target))
        assert (there.lanes, there.channels) == (back.lanes, back.channels)
        return there

    for halo in (0, 3):
        assert (schedule((2, 3, 32, 32), AVX512, halo).lanes, schedule((2, 3, 32, 32), AVX512, halo).channels) == (
            16,
            3,
        )
    for name, lanes in (("avx512", 16), ("avx2", 8), ("sse4.2", 4)):
        found = schedule((2, 64, 28, 28), KNOWN[name])
        assert (found.lanes, found.channels) == (lanes, 0)
    assert schedule((2, 64, 28, 28), AVX512) == schedule((1, 128, 17, 31), AVX512)


@each_target
@pytest.mark.parametrize("channels", (3, 24))
def test_other_operands_go_along(target: Target, channels: int) -> None:
    """Channels first times a scale for each channel, plus something channels last, less a scalar: into both layouts."""
    random = np.random.default_rng(channels)
    shape = (2, channels, 12, 20)
    lines = (Line("multiply", (0, 1), "float32"), Line("add", (4, 2), "float32"), Line("subtract", (5, 3), "float32"))
    chain = Chain(("float32",) * 4, lines, (6, 4))
    scale, scalar = row_major(Buffer("float32", channels), (channels, 1, 1)), row_major(Buffer("float32", 1), ())
    picture, other = channels_first("float32", shape), channels_last("float32", shape, halo=1)
    inputs = [picture, scale.stretched(shape), other, scalar.stretched(shape)]
    results = [channels_last("float32", shape, halo=2), channels_first("float32", shape)]
    values = {place.buffer: filled(random, place.buffer) for place in inputs}
    steps = plan_elements(chain, inputs, results, target)
    planned(steps)
    memory = run_steps(steps, values, target)
    a, b, c, d = (at(place, values) for place in inputs)
    np.testing.assert_array_equal(at(results[0], memory), a * b + c - d)
    np.testing.assert_array_equal(at(results[1], memory), a * b)


@each_target
def test_tasks_of_a_large_transposition_do_not_meet(target: Target) -> None:
    for shape in ((700, 531), (17, 5003), (9001, 12), (3, 130, 140)):
        axes = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
        source = row_major(Buffer("float32", math.prod(shape)), tuple(shape[axis] for axis in axes)).transposed(axes)
        result = row_major(Buffer("float32", math.prod(shape)), shape)
        values = {source.buffer: np.arange(source.size, dtype=np.float32)}
        steps = plan_elements(Chain.identity("float32"), [source], [result], target)
        planned(steps)
        assert steps[0].tasks > 1
        np.testing.assert_array_equal(at(result, run_steps(steps, values, target)), at(source, values))


@each_target
@pytest.mark.parametrize("channels", (3, 16, 35))
def test_arrays_may_begin_anywhere_in_a_cache_line(target: Target, channels: int) -> None:
    """Long rows that all begin at the same place of one, in either array, shared out to several tasks."""
    shape, columns = (channels, 2064), 2064
    kinds = [("float32", "float32"), ("uint8", "float32"), ("float64", "float64")]
    for first, dtypes in enumerate(kinds * 2, 1):
        before, after = (Buffer(dtype, math.prod(shape) + 17) for dtype in dtypes)
        rows, pixels = (columns, 1), (1, channels)
        for source, result in (
            (Place(before, first, shape, rows), Place(after, 2 * first, shape, pixels)),
            (Place(before, 2 * first, shape, pixels), Place(after, first, shape, rows)),
        ):
            values = {before: np.arange(before.elements) % 251}
            steps = plan_elements(cast(*dtypes), [source], [result], target)
            planned(steps)
            memory = run_steps(steps, values, target, seed=first)
            values[before] = values[before].astype(dtypes[0])
            np.testing.assert_array_equal(at(result, memory), at(source, values))
            rest = untouched(result, memory[result.buffer])
            np.testing.assert_array_equal(rest, np.full_like(rest, np.nan))


@each_target
@pytest.mark.parametrize("channels", (3, 18))
def test_long_chains_take_vectors_one_by_one(target: Target, channels: int) -> None:
    shape, lines = (1, channels, 9, 16), [Line("cast", (0,), "float32")]
    for number in range(40):
        lines.append(Line(("add", "multiply", "subtract")[number % 3], (number + 2, 1), "float32"))
    chain = Chain(("uint8", "float32"), tuple(lines), (41, 30))
    random = np.random.default_rng(3)
    inputs = [channels_last("uint8", shape), channels_first("float32", shape)]
    results = [channels_last("float32", shape, halo=1), channels_first("float32", shape)]
    values = {place.buffer: filled(random, place.buffer) for place in inputs}
    steps = plan_elements(chain, inputs, results, target)
    planned(steps)
    memory = run_steps(steps, values, target)
    x, y = (at(place, values) for place in inputs)
    known = [x, y, x.astype("float32")]
    for line in lines[1:]:
        known.append({"add": np.add, "multiply": np.multiply, "subtract": np.subtract}[line.operation](known[-1], y))
    np.testing.assert_array_equal(at(results[0], memory), known[41])
    np.testing.assert_array_equal(at(results[1], memory), known[30])


def test_in_one_buffer_nothing_is_computed_twice() -> None:
    buffer = Buffer("float32", 2 * 37 * 41)
    source, result = Place(buffer, 0, (37, 41), (1, 37)), Place(buffer, 37 * 41, (37, 41), (41, 1))
    (step,) = plan_elements(Chain.identity("float32"), [source], [result], AVX512)
    assert not isinstance(step.schedule, TransposingSchedule)
