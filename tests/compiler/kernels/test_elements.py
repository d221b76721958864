"""Loops over elements, against NumPy on drawn shapes, strides, dtypes and targets."""

import math

import numpy as np
import pytest

from compiler.machine import at, run_steps
from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.elements import (
    TASK_ELEMENTS,
    ElementSchedule,
    merged_axes,
    plan_elements,
)
from wimmel.compiler.steps import Buffer, Place, Step, row_major
from wimmel.compiler.targets import KNOWN, Target

TARGETS = [KNOWN[name] for name in ("avx512", "avx2", "sse4.2", "plain")]
AVX512 = KNOWN["avx512"]
DTYPES = ("bool", "uint8", "int16", "float32", "int64", "float64")
SUM = Chain(("float32", "float32"), (Line("add", (0, 1), "float32"),), (2,))

each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def place_of(random: np.random.Generator, dtype: str, shape: tuple[int, ...], still: bool = True) -> Place:
    """A view of that shape: axes in any order, some run backwards, with gaps, or not at all if that is allowed."""
    axes = random.permutation(len(shape)) if random.random() < 0.5 else np.arange(len(shape))
    strides, step, offset = [0] * len(shape), 1, int(random.integers(3))
    for axis in reversed(axes):
        if still and random.random() < 0.2:
            continue
        gap = int(random.integers(1, 4)) if random.random() < 0.2 else 1
        backwards = random.random() < 0.15
        strides[axis] = -step * gap if backwards else step * gap
        offset += step * gap * max(shape[axis] - 1, 0) if backwards else 0
        step *= gap * max(shape[axis], 1)
    last = offset + sum(max(stride, 0) * max(n - 1, 0) for stride, n in zip(strides, shape, strict=True))
    return Place(Buffer(dtype, last + 1 + int(random.integers(2))), offset, shape, tuple(strides))


def filled(random: np.random.Generator, buffer: Buffer) -> np.ndarray:
    if buffer.dtype == "bool":
        return random.random(buffer.elements) < 0.5
    if np.dtype(buffer.dtype).kind == "f":
        return random.standard_normal(buffer.elements).astype(buffer.dtype)
    return random.integers(0, 100, buffer.elements).astype(buffer.dtype)


def cast(before: str, after: str) -> Chain:
    return Chain.identity(before) if before == after else Chain((before,), (Line("cast", (0,), after),), (1,))


def schedule_of(steps: list[Step]) -> ElementSchedule:
    (step,) = steps
    assert isinstance(step.schedule, ElementSchedule), step.schedule
    return step.schedule


def untouched(result: Place, memory: np.ndarray) -> np.ndarray:
    """What lies around the result in its buffer."""
    own = np.zeros(memory.size, bool)
    indices = np.full(result.shape, result.offset)
    for axis, stride in enumerate(result.strides):
        indices += np.arange(result.shape[axis]).reshape([-1] + [1] * (len(result.shape) - axis - 1)) * stride
    own[indices.reshape(-1)] = True
    return memory[~own]


def shape_drawn(random: np.random.Generator) -> tuple[int, ...]:
    sizes = (1, 2, 3, 4, 5, 7, 8, 16, 17, 31, 33, 64)
    shape = [int(random.choice(sizes)) for _ in range(int(random.integers(0, 5)))]
    while math.prod(shape) > 6000:
        shape[int(random.integers(len(shape)))] = 1
    return tuple(shape)


@each_target
@pytest.mark.parametrize("seed", range(24))
def test_a_copy_between_any_two_views_converts_each_element(target: Target, seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = shape_drawn(random)
    before, after = (str(random.choice(DTYPES)) for _ in range(2))
    source, result = place_of(random, before, shape), place_of(random, after, shape, still=False)
    values = filled(random, source.buffer)
    values = np.abs(values) if after == "uint8" else values
    memory = run_steps(plan_elements(cast(before, after), [source], [result], target), {source.buffer: values}, target)
    np.testing.assert_array_equal(at(result, memory), at(source, {source.buffer: values}).astype(after))
    rest = untouched(result, memory[result.buffer])
    poison = np.full_like(rest, np.nan if rest.dtype.kind == "f" else 77)
    np.testing.assert_array_equal(rest, poison)


@each_target
@pytest.mark.parametrize("seed", range(24))
def test_several_views_go_into_several_results(target: Target, seed: int) -> None:
    """a * b + c in float32, and whether it is less than a, as bool."""
    random = np.random.default_rng(100 + seed)
    shape = shape_drawn(random)
    lines = (Line("multiply", (0, 1), "float32"), Line("add", (3, 2), "float32"), Line("less", (4, 0), "bool"))
    chain = Chain(("float32", "uint8", "float32"), lines, (5, 4))
    inputs = [place_of(random, dtype, shape) for dtype in chain.inputs]
    results = [place_of(random, dtype, shape, still=False) for dtype in chain.result_dtypes]
    values = {place.buffer: filled(random, place.buffer) for place in inputs}
    memory = run_steps(plan_elements(chain, inputs, results, target), values, target, seed)
    a, b, c = (at(place, values) for place in inputs)
    value = a * b + c
    np.testing.assert_array_equal(at(results[1], memory), value)
    np.testing.assert_array_equal(at(results[0], memory), value < a)


@each_target
@pytest.mark.parametrize("channels", (1, 2, 3, 5, 8, 10, 16, 17, 64, 100, 130))
def test_an_operand_for_each_channel_goes_round(target: Target, channels: int) -> None:
    """Bytes, channels last, become floats with a halo; mean and scale lie in (c, 1, 1) and (n, c, 1, 1)."""
    random = np.random.default_rng(channels)
    shape = (2, channels, 5, 9)
    lines = (
        Line("cast", (0,), "float32"),
        Line("subtract", (3, 1), "float32"),
        Line("multiply", (4, 2), "float32"),
    )
    chain = Chain(("uint8", "float32", "float32"), lines, (5,))
    picture = row_major(Buffer("uint8", math.prod(shape)), (2, 5, 9, channels)).transposed((0, 3, 1, 2))
    mean = row_major(Buffer("float32", channels), (channels, 1, 1))
    scale = row_major(Buffer("float32", 2 * channels), (2, channels, 1, 1))
    values = {place.buffer: filled(random, place.buffer) for place in (picture, mean, scale)}
    places = [picture, mean.stretched(shape), scale.stretched(shape)]
    pixels, means, scales = (at(place, values) for place in (picture, mean, scale))
    for halo in (0, 1):
        line, lines = (9 + 2 * halo) * channels, 5 + 2 * halo
        offset, strides = halo * (line + channels), (lines * line, 1, line, channels)
        result = Place(Buffer("float32", 2 * lines * line), offset, shape, strides)
        memory = run_steps(plan_elements(chain, places, [result], target), values, target)
        np.testing.assert_array_equal(at(result, memory), (pixels.astype("float32") - means) * scales)
        assert np.isnan(untouched(result, memory[result.buffer])).all()


def test_pixels_of_three_channels_make_long_rows() -> None:
    lines = (Line("cast", (0,), "float32"), Line("subtract", (2, 1), "float32"))
    pixels = row_major(Buffer("uint8", 4 * 32 * 32 * 3), (4, 32, 32, 3))
    mean = row_major(Buffer("float32", 3), (3,)).stretched(pixels.shape)
    result = row_major(Buffer("float32", pixels.size), pixels.shape)
    (step,) = plan_elements(Chain(("uint8", "float32"), lines, (3,)), [pixels, mean], [result], AVX512)
    schedule = schedule_of([step])
    assert (schedule.axes, schedule.moves, schedule.lanes) == (1, ("next", "ring", "next"), 16)


@each_target
def test_rows_are_shared_out_whatever_their_length(target: Target) -> None:
    random = np.random.default_rng(1)
    for shape in ((3, 50_001), (5000, 7), (40, 33, 31), (TASK_ELEMENTS + 1,), (2, 300, 64)):
        a = row_major(Buffer("float32", math.prod(shape)), shape)
        b = row_major(Buffer("float32", shape[0]), (shape[0],) + (1,) * (len(shape) - 1)).stretched(shape)
        result = row_major(Buffer("float32", math.prod(shape)), shape)
        values = {place.buffer: filled(random, place.buffer) for place in (a, b)}
        steps = plan_elements(SUM, [a, b], [result], target)
        assert steps[0].tasks > 1
        np.testing.assert_array_equal(at(result, run_steps(steps, values, target)), at(a, values) + at(b, values))


def test_what_is_small_is_one_task() -> None:
    for shape in ((), (1, 1), (7,), (100, 3), (16, 1024), (5, 7, 11, 13)):
        places = [place_of(np.random.default_rng(seed), "float32", shape, still=False) for seed in range(3)]
        (step,) = plan_elements(SUM, places[:2], places[2:], AVX512)
        assert step.tasks == 1


def test_another_number_of_pictures_or_rows_needs_no_other_kernel() -> None:
    def schedule(pictures: int, rows: int, columns: int) -> ElementSchedule:
        shape = (pictures, 24, rows, columns)
        strides = (24 * (rows + 2) * (columns + 2), 1, 24 * (columns + 2), 24)
        haloed = Place(Buffer("float32", 24 * pictures * (rows + 2) * (columns + 2)), 0, shape, strides)
        source = row_major(Buffer("float32", math.prod(shape)), (pictures, rows, columns, 24))
        bias = row_major(Buffer("float32", 24), (24, 1, 1)).stretched(shape)
        return schedule_of(plan_elements(SUM, [source.transposed((0, 3, 1, 2)), bias], [haloed], AVX512))

    assert schedule(8, 14, 14) == schedule(1, 14, 14) == schedule(3, 30, 17) == schedule(2, 2, 99)


@each_target
def test_a_result_may_lie_where_an_input_lies(target: Target) -> None:
    random = np.random.default_rng(2)
    for strides in ((37, 1), (1, 23)):
        place = Place(Buffer("float32", 23 * 37), 0, (23, 37), strides)
        other = row_major(Buffer("float32", 23 * 37), (23, 37))
        values = {each.buffer: filled(random, each.buffer) for each in (place, other)}
        memory = run_steps(plan_elements(SUM, [place, other], [place], target), values, target)
        np.testing.assert_array_equal(at(place, memory), at(place, values) + at(other, values))


@each_target
def test_a_chain_without_inputs_fills(target: Target) -> None:
    for shape in ((), (5,), (3, 70)):
        result = row_major(Buffer("float64", math.prod(shape)), shape)
        steps = plan_elements(Chain((), (Line("constant", (), "float64", 0.5),), (0,)), [], [result], target)
        np.testing.assert_array_equal(at(result, run_steps(steps, {}, target)), np.full(shape, 0.5))


def test_distances_beyond_32_bits_are_walked_one_by_one() -> None:
    shape, far = (40,), 2**27
    source = Place(Buffer("float32", 1), 0, shape, (far,))
    result = row_major(Buffer("float32", 40), shape)
    assert schedule_of(plan_elements(Chain.identity("float32"), [source], [result], AVX512)).lanes == 1
    shape = (100, 10)
    source = Place(Buffer("float32", 1), 0, shape, (10 * far, far))
    bias = row_major(Buffer("float32", 10), (10,)).stretched(shape)
    schedule = schedule_of(plan_elements(SUM, [source, bias], [row_major(result.buffer, shape)], AVX512))
    assert schedule.lanes == 1 and not {"round", "ring"} & {*schedule.moves}  # for one lane the period is too long


def test_nothing_is_planned_for_no_elements() -> None:
    empty = row_major(Buffer("float32", 0), (3, 0))
    assert plan_elements(Chain.identity("float32"), [empty], [empty], AVX512) == []


def test_axes_merge_where_all_views_step_alike() -> None:
    assert merged_axes((2, 1, 4, 5), [(20, 7, 5, 1), (20, 9, 5, 1)]) == ([40], [[1], [1]])
    assert merged_axes((2, 3), [(0, 0), (3, 1)]) == ([6], [[0], [1]])
    assert merged_axes((2, 3), [(1, 0), (3, 1)]) == ([2, 3], [[1, 0], [3, 1]])
    assert merged_axes((1, 1), [(1, 0), (3, 1)]) == ([], [[], []])
