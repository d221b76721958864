"""Fourier transforms: codelets give what scipy.fft gives, and convolutions what the primitive defines, within the error
that fast precision allows; they read and write nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import scipy.fft
import scipy.signal

import wimmel as wm
from compiler import emulated
from compiler.contractions import drawn_epilogue, drawn_halo, elements, within
from compiler.machine import at, run_steps
from compiler.views import drawn_place, only_that_place_was_written
from wimmel.compiler import planning
from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.fft import plan_fft, plan_fft_input_gradient
from wimmel.compiler.kernels.fft_codelets import Points, Stages, Transform, transform
from wimmel.compiler.kernels.fft_costs import Problem, best_tile, steps_of, zeros_of
from wimmel.compiler.kernels.fft_tiles import Tile
from wimmel.compiler.language import Builder, Function
from wimmel.compiler.steps import Buffer, Place, Step, row_major
from wimmel.compiler.targets import KNOWN, Target, runs_here
from wimmel.graph import primitives

TARGETS = [KNOWN[name] for name in ("avx512", "avx2", "sse4.2")]
NEON = KNOWN["neon"]
ALLOWED = 2e-5
"""Of the largest sum of products' absolute values within a tile."""


@dataclass(frozen=True)
class TransformSchedule:
    """A transform there, and there and back, of numbers in every lane."""

    transform: Transform
    lanes: int

    def kernel(self, target: Target, name: str) -> Function:
        builder = Builder(name)
        argument, *_ = builder.kernel()
        x, y, z = builder.arguments(argument, "ppp")
        stages = Stages.of(builder, target, self.transform, self.lanes)
        read, there, back = (Points(pointer, 2 * self.lanes, self.lanes) for pointer in (x, y, z))
        count = len(self.transform.radices)
        for number in range(count):
            stages.forward(number, there if number else read, there)
        for number in reversed(range(count)):
            stages.inverse(number, there if number == count - 1 else back, back)
        return builder.function()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128])
def test_codelets_give_what_scipy_gives(size: int, target: Target) -> None:
    random = np.random.default_rng(size)
    lanes = target.lanes("f32")
    parts = random.standard_normal((size, 2, lanes)).astype(np.float32)
    x = parts[:, 0] + 1j * parts[:, 1].astype(np.float64)
    for turn in (Fraction(0), Fraction(1, 4)):
        schedule = TransformSchedule(transform(size, turn, target.registers), lanes)
        places = [row_major(Buffer("float32", parts.size), parts.shape) for _ in range(3)]
        step = Step(schedule, tuple(places), (places[1].buffer, places[2].buffer), 1)
        arrays = run_steps([step], {places[0].buffer: parts}, target)
        there, back = (at(place, arrays)[:, 0] + 1j * at(place, arrays)[:, 1] for place in places[1:])
        # roots that are turned by turn / size are those of numbers multiplied by powers of that
        powers = np.exp(2j * np.pi * float(turn) / size * np.arange(size))
        expected = scipy.fft.ifft(x * powers[:, None], axis=0) * size
        roots = [round((root - turn / size) * size) % size for root in schedule.transform.roots]
        assert sorted(roots) == list(range(size))
        assert abs(there - expected[roots]).max() < 1e-6 * abs(expected).max()
        assert abs(back / size - x).max() < 1e-6 * abs(x).max()


@dataclass(frozen=True)
class Fourier:
    """A convolution to be computed with a certain tile."""

    x: tuple[int, int, int, int]
    outputs: int
    kernel: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    depthwise: bool
    tile: Tile

    @property
    def weight(self) -> tuple[int, int, int, int]:
        return (self.outputs, 1 if self.depthwise else self.x[1], *self.kernel)

    @property
    def settings(self) -> dict:
        groups = self.x[1] if self.depthwise else 1
        return {"stride": (1, 1), "padding": self.padding, "dilation": (1, 1), "groups": groups}

    @property
    def result(self) -> tuple[int, ...]:
        sizes = zip(self.x[2:], self.padding, self.kernel, strict=True)
        return (self.x[0], self.outputs, *(n + a + b - k + 1 for n, (a, b), k in sizes))


def drawn(random: np.random.Generator, target: Target) -> Fourier:
    """Odd sizes, paddings wider and narrower than the kernel's half, pictures smaller and larger than a tile."""
    kernel = tuple(int(k) for k in random.integers(5, 46 if random.random() < 0.4 else 16, 2))
    lanes = target.lanes("f32")
    sizes = (16, 32, 48, 64, 80, 96, 128)
    tall = int(random.choice([n for n in sizes if n > kernel[0] and n % (2 * lanes) == 0]))
    wide = int(random.choice([n for n in sizes if n > kernel[1] and n % lanes == 0]))
    padding = tuple((int(a), int(b)) for a, b in random.integers(0, 20, (2, 2)))
    rows = [max(int(n), k - a - b, 3) for n, k, (a, b) in zip(random.integers(1, 90, 2), kernel, padding, strict=True)]
    depthwise = bool(random.random() < 0.3)
    channels = int(random.choice([2, 3, 5] if depthwise else [1, 1, 2, 3, 5]))
    outputs = channels if depthwise else int(random.choice([1, 1, 2, 3, 5, 7]))
    return Fourier((int(random.integers(1, 3)), channels, *rows), outputs, kernel, padding, depthwise, Tile(tall, wide))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_convolutions_give_what_the_definition_gives(target: Target) -> None:
    random = np.random.default_rng(11)
    for seed in range(18 if target.name == "avx512" else 8):
        case = drawn(random, target)
        x = random.integers(-4, 5, case.x).astype(np.float32)
        weight = random.integers(-4, 5, case.weight).astype(np.float32)
        exact = primitives.convolution.definition(x.astype(float), weight.astype(float), **case.settings)
        name = ("identity", "bias relu", "residual", "scale and keep")[seed % 4]
        after = drawn_epilogue(random, name, "float32", case.result)
        x_place, weight_place = drawn_place(random, "float32", case.x), drawn_place(random, "float32", case.weight)
        results = [_drawn_result(random, case.result, kind) for kind in after.chain.result_dtypes]
        steps = plan_fft(
            x_place, weight_place, results, after.chain, after.places, case.padding, case.tile, target
        )  # fmt: skip
        known = {
            x_place.buffer: elements(x_place, x, np.nan),
            weight_place.buffer: elements(weight_place, weight, np.nan),
        }
        arrays = run_steps(steps, known | after.known, target, seed)
        for place, expected in zip(results, after.function(exact), strict=True):
            scale = max(abs(exact).max(), 1)
            assert abs(at(place, arrays) - expected).max() < 1e-5 * scale, (seed, case)
            assert only_that_place_was_written(place, arrays)


def _drawn_result(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Place:
    """In C order, or channels last with zeros around."""
    if random.random() < 0.5:
        return row_major(Buffer(dtype, int(np.prod(shape))), shape)
    return within(random, dtype, shape, drawn_halo(random, 2))


@pytest.mark.parametrize("target", [*TARGETS, NEON], ids=lambda target: target.name)
def test_results_may_be_of_another_dtype(target: Target) -> None:
    if target == NEON and emulated.EMULATOR is None and not runs_here(NEON):
        pytest.skip(emulated.MISSING)
    random = np.random.default_rng(1)
    case = Fourier((1, 1, 50, 45), 1, (9, 7), ((4, 4), (3, 3)), False, Tile(32, 32))
    x, weight = (random.integers(-4, 5, shape).astype(np.float32) for shape in (case.x, case.weight))
    lines = (Line("constant", (), "float32", 0.5), Line("less", (0, 1), "bool"), Line("cast", (0,), "float64"))
    places = [row_major(Buffer("float32", array.size), array.shape) for array in (x, weight)]
    results = [row_major(Buffer(dtype, 50 * 45), case.result) for dtype in ("bool", "float64")]
    steps = plan_fft(*places, results, Chain(("float32",), lines, (2, 3)), [], case.padding, case.tile, target)
    arrays = run_steps(steps, {places[0].buffer: x, places[1].buffer: weight}, target)
    exact = primitives.convolution.definition(x, weight, **case.settings)
    assert np.array_equal(at(results[0], arrays), exact < 0.5)
    assert abs(at(results[1], arrays) - exact).max() < 1e-5 * abs(exact).max()


def test_taps_wrap_around_only_into_zeros() -> None:
    for zeros in range(40):
        for outputs in range(1, 100):
            (step, _) = steps_of(Tile(64, 64), (21, 21), (zeros, zeros), (outputs, 1))
            if step == 44:
                assert outputs <= 44 or outputs > min(44 + zeros, 64)
                continue
            assert outputs <= step <= 64
            picture = range(zeros, outputs + 20 - zeros)  # its places in the tile, which begins with zeros
            wrapped = {place + tap - 64 for place in range(outputs) for tap in range(21) if place + tap >= 64}
            assert not wrapped & set(picture) and picture.stop <= 64


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("front", [10, 15, 16, 20])
def test_a_picture_with_zeros_around_it_fits_into_a_smaller_tile(target: Target, depthwise: bool, front: int) -> None:
    random = np.random.default_rng(front)
    padding = ((13, 17), (front, 30 - front))
    case = Fourier((2, 3, 47, 60), 3, (31, 31), padding, depthwise, Tile(64, 80))
    assert steps_of(case.tile, case.kernel, zeros_of(padding), case.result[2:]) == (64, 80)
    x, weight = (random.integers(-4, 5, shape).astype(np.float32) for shape in (case.x, case.weight))
    exact = primitives.convolution.definition(x.astype(float), weight.astype(float), **case.settings)
    places = [row_major(Buffer("float32", array.size), array.shape) for array in (x, weight)]
    result = within(random, "float32", case.result, drawn_halo(random, 2))
    steps = plan_fft(*places, [result], Chain.identity("float32"), [], padding, case.tile, target)
    arrays = run_steps(steps, {places[0].buffer: x, places[1].buffer: weight}, target)
    assert abs(at(result, arrays) - exact).max() < 1e-5 * abs(exact).max()
    assert only_that_place_was_written(result, arrays)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_gradient_by_the_input(target: Target) -> None:
    random = np.random.default_rng(2)
    tiles = (Tile(32, 48), Tile(64, 80), Tile(64, 96))  # the larger ones hold a picture whole, whose edge is cut off
    for seed, (depthwise, tile) in enumerate(product((False, True), tiles)):
        case = Fourier((2, 3, 41, 60), 3 if depthwise else 2, (9, 13), ((4, 1), (20, 6)), depthwise, tile)
        if case.tile.height % (2 * target.lanes("f32")):
            continue
        weight, g = (random.standard_normal(shape).astype(np.float32) for shape in (case.weight, case.result))
        places = [row_major(Buffer("float32", array.size), array.shape) for array in (g, weight)]
        result = row_major(Buffer("float32", int(np.prod(case.x))), case.x)
        chain = Chain.identity("float32")
        steps = plan_fft_input_gradient(*places, [result], chain, [], case.padding, case.tile, target)
        arrays = run_steps(steps, {places[0].buffer: g, places[1].buffer: weight}, target, seed)
        define = primitives.convolution_input_gradient.definition
        expected = define(g.astype(float), weight.astype(float), size=case.x[2:], **case.settings)
        assert abs(at(result, arrays) - expected).max() < 1e-5 * abs(expected).max()


def convolved(x: np.ndarray, weight: np.ndarray, target: Target, tile: Tile) -> np.ndarray:
    """One picture of one channel, without padding."""
    shape = tuple(n - k + 1 for n, k in zip(x.shape, weight.shape, strict=True))
    places = [row_major(Buffer("float32", array.size), (1, 1, *array.shape)) for array in (x, weight)]
    result = row_major(Buffer("float32", int(np.prod(shape))), (1, 1, *shape))
    steps = plan_fft(*places, [result], Chain.identity("float32"), [], ((0, 0), (0, 0)), tile, target)
    return at(result, run_steps(steps, {places[0].buffer: x, places[1].buffer: weight}, target))[0, 0]


@pytest.mark.parametrize("numbers", ["normal", "positive", "half dark"])
def test_errors_are_small_within_every_tile(numbers: str) -> None:
    random = np.random.default_rng(3)
    x, weight = random.standard_normal((300, 300)), random.standard_normal((31, 31))
    if numbers != "normal":
        x, weight = abs(x), abs(weight)
    if numbers == "half dark":
        x[:, 150:] *= 1e-4
    x, weight = x.astype(np.float32), weight.astype(np.float32)
    tile, step = Tile(128, 128), 98
    found = convolved(x, weight, KNOWN["avx512"], tile)
    expected = scipy.signal.correlate(x.astype(float), weight.astype(float), "valid", "fft")
    sums = scipy.signal.correlate(abs(x).astype(float), abs(weight).astype(float), "valid", "fft")
    for row in range(0, found.shape[0], step):
        for column in range(0, found.shape[1], step):
            here = np.s_[row : row + step, column : column + step]
            # whatever the tile reads counts, also what its own outputs do not look at
            assert abs(found[here] - expected[here]).max() < 0.1 * ALLOWED * sums[here].max()


def test_pictures_of_another_size_need_no_new_code() -> None:
    target = KNOWN["avx512"]
    for channels, outputs, depthwise in ((1, 1, False), (8, 8, False), (8, 8, True)):
        schedules = set()
        for pictures, height, width in ((1, 512, 512), (3, 300, 1000), (1, 261, 2000)):
            problem = Problem(pictures, channels, outputs, depthwise, (31, 31), (height, width))
            tile = best_tile(problem, target)
            assert tile is not None
            x = row_major(Buffer("float32", pictures * channels * height * width), (pictures, channels, height, width))
            y = row_major(Buffer("float32", pictures * outputs * height * width), (pictures, outputs, height, width))
            shape = (outputs, 1 if depthwise else channels, 31, 31)
            weight = row_major(Buffer("float32", int(np.prod(shape))), shape)
            chain, padding = Chain.identity("float32"), ((15, 15), (15, 15))
            steps = plan_fft(x, weight, [y], chain, [], padding, tile, target)
            schedules.add(tuple(dict.fromkeys(step.schedule for step in steps)))
        assert len(schedules) == 1


def test_transforms_are_chosen_for_large_filters_only() -> None:
    target = KNOWN["avx512"]
    assert best_tile(Problem(1, 1, 1, False, (3, 3), (512, 512)), target) is None
    assert best_tile(Problem(1, 1, 1, False, (31, 31), (512, 512)), target) == Tile(128, 128)
    assert best_tile(Problem(1, 64, 64, True, (31, 31), (56, 56)), target) == Tile(96, 96)
    assert best_tile(Problem(1, 64, 64, True, (31, 31), (56, 56), (15, 15)), target) == Tile(96, 80)
    assert best_tile(Problem(1, 1, 1, False, (31, 31), (3, 3)), target) is None
    assert best_tile(Problem(0, 1, 1, False, (31, 31), (512, 512)), target) is None
    assert best_tile(Problem(1, 1, 1, False, (400, 31), (512, 512)), target) is None


def test_exact_precision_sums_products() -> None:
    graph = wm.trace(lambda x: wm.correlate(x, np.ones((31, 31), np.float32)), np.zeros((200, 200), np.float32)).graph
    for precision, transforms in (("exact", False), ("fast", True)):
        program = planning.compiled(graph, KNOWN["avx512"], precision=precision)
        steps = (*program.preparations, *program.steps)
        assert any("Fourier" in type(step.schedule).__name__ for step in steps) == transforms
    wide = wm.trace(lambda x: wm.correlate(x, np.ones((31, 31))), np.zeros((200, 200))).graph
    steps = planning.compiled(wide, KNOWN["avx512"], precision="fast").steps
    assert not any("Fourier" in type(step.schedule).__name__ for step in steps)


def test_the_number_of_threads_changes_no_bits() -> None:
    random = np.random.default_rng(4)
    x, weight = random.standard_normal((2, 3, 150, 170)), random.standard_normal((4, 3, 21, 19))
    x, weight = x.astype(np.float32), weight.astype(np.float32)
    found = []
    for count in (1, 2, 3):
        with wm.num_threads(count), wm.precision("fast"):
            found.append(wm.conv2d(x, weight, padding="same"))
            found.append(wm.conv2d(x, weight[:3, :1], padding="same", groups=3))
    assert np.array_equal(found[0], found[2]) and np.array_equal(found[0], found[4])
    assert np.array_equal(found[1], found[3]) and np.array_equal(found[1], found[5])


def test_networks_and_their_gradients() -> None:
    random = np.random.default_rng(5)
    shapes = (1, 4, 70, 75), (4, 1, 21, 21), (6, 4, 3, 3), (2, 6, 19, 17)
    x, *weights = (random.standard_normal(shape).astype(np.float32) / 9 for shape in shapes)

    def network(x: wm.Tensor, wide: wm.Tensor, narrow: wm.Tensor, last: wm.Tensor) -> wm.Tensor:
        y = wm.relu(wm.conv2d(x, wide, padding="same", groups=4)) + x
        return wm.sum(wm.conv2d(wm.conv2d(y, narrow, padding=1), last) ** 2)

    step = wm.grad(network, argnums=(0, 1, 2, 3))
    found = wm.compile(step, precision="fast")(x, *weights)
    expected = wm.compile(step, backend="reference")(x, *weights)
    for ours, theirs in zip(found, expected, strict=True):
        assert abs(ours - theirs).max() < 1e-5 * abs(theirs).max()
