"""Convolutions drawn at random, with places, operands and epilogues for them. Numbers are small and whole, so that
products and sums are exact and kernels must give every bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compiler.machine import at, run_steps
from compiler.views import drawn_place, only_that_place_was_written
from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.border import with_halo
from wimmel.compiler.kernels.convolution import conforms, plan_convolution
from wimmel.compiler.kernels.input_gradient import input_gradient_halo, plan_input_gradient
from wimmel.compiler.kernels.winograd_costs import widened
from wimmel.compiler.steps import Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs, output_sizes
from wimmel.graph import primitives
from wimmel.graph.tensor import Shape

EPILOGUES = ("identity", "bias relu", "residual", "scale and keep", "compared")


@dataclass(frozen=True)
class Case:
    """The shapes of x and the weight, and the convolution's attributes."""

    x: tuple[int, ...]
    weight: tuple[int, ...]
    settings: dict[str, Any]

    @property
    def result(self) -> tuple[int, ...]:
        s = self.settings
        sizes = output_sizes(self.x[2:], self.weight[2:], s["padding"], s["stride"], s["dilation"])
        return (self.x[0], self.weight[0], *sizes)

    @property
    def halo(self) -> Pairs:
        """The zeros around x that a tap meets: with strides, the last ones may end before the padding does."""
        return met_zeros(self.x[2:], self.weight[2:], self.result[2:], self.settings)


def met_zeros(sizes: Shape, kernel: Shape, outputs: Shape, settings: dict[str, Any]) -> Pairs:
    """How many zeros in front, and behind, some tap of some output meets, along each axis."""
    pairs = []
    for axis, (size, taps, count) in enumerate(zip(sizes, kernel, outputs, strict=True)):
        step, apart, (front, behind) = (settings[name][axis] for name in ("stride", "dilation", "padding"))
        met = [output * step + tap * apart - front for output in range(count) for tap in range(taps)]
        pairs.append((front, min(behind, max(0, max(met, default=0) - size + 1))))
    return tuple(pairs)


@dataclass
class Epilogue:
    """A chain, its operands (each with its buffer's elements), and what it is in NumPy."""

    chain: Chain
    function: Callable[[np.ndarray], list[np.ndarray]]
    operands: list[tuple[Place, np.ndarray]] = field(default_factory=list)

    @property
    def places(self) -> list[Place]:
        return [place for place, _ in self.operands]

    @property
    def known(self) -> dict[Buffer, np.ndarray]:
        return {place.buffer: flat for place, flat in self.operands}


def case(
    x: tuple[int, ...], outputs: int, kernel: tuple[int, ...], stride: int = 1, padding: int = 0, dilation: int = 1,
    groups: int = 1,
) -> Case:  # fmt: skip
    axes = len(kernel)
    settings = {"stride": (stride,) * axes, "padding": ((padding, padding),) * axes, "dilation": (dilation,) * axes}
    return Case(x, (outputs, x[1] // groups, *kernel), {**settings, "groups": groups})


def drawn_case(random: np.random.Generator) -> Case:
    """Of any rank, with odd sizes, paddings wider than the kernel, and groups."""
    axes = int(random.choice([1, 2, 2, 2, 3]))
    groups = int(random.choice([1, 1, 1, 2, 3]))
    channels = int(random.choice([1, 2, 3, 5, 17, 33] if axes < 3 else [1, 2, 5]))
    outputs = int(random.choice([1, 2, 3, 6, 7, 10, 16, 17, 31, 33, 50, 64, 70]))
    kernel, stride, dilation = (tuple(int(n) for n in random.integers(1, 4, axes)) for _ in range(3))
    padding = tuple((int(a), int(b)) for a, b in random.integers(0, 5, (axes, 2)) * (random.random() < 0.6))
    widest = 40 if axes == 1 else 14 if axes == 2 else 6
    sizes = tuple(
        max(int(n), d * (k - 1) + 1 - a - b, 1)
        for n, k, d, (a, b) in zip(random.integers(1, widest, axes), kernel, dilation, padding, strict=True)
    )
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return Case(
        (int(random.integers(1, 4)), groups * channels, *sizes), (groups * outputs, channels, *kernel), settings
    )


def drawn_groups(random: np.random.Generator) -> Case:
    """The same in groups of few channels and outputs."""
    drawn, groups = drawn_case(random), int(random.choice([2, 3, 4, 5, 9, 17]))
    inputs, outputs = int(random.choice([1, 2, 3, 4, 5, 8, 16])), int(random.choice([1, 2, 4, 8]))
    (pictures, _, *sizes), kernel = drawn.x, drawn.weight[2:]
    shape = (pictures, groups * inputs, *sizes)
    return Case(shape, (groups * outputs, inputs, *kernel), {**drawn.settings, "groups": groups})


def small(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Whole numbers, whose products and sums are exact."""
    return random.integers(-4, 5, shape).astype(dtype)


def elements(place: Place, array: np.ndarray, elsewhere: float) -> np.ndarray:
    """The buffer's elements, where the place has the array's."""
    flat = np.full(place.buffer.elements, elsewhere, array.dtype)
    if array.size:
        strides = tuple(stride * flat.itemsize for stride in place.strides)
        np.lib.stride_tricks.as_strided(flat[place.offset :], place.shape, strides)[...] = array
    return flat


def within(random: np.random.Generator, dtype: str, shape: tuple[int, ...], halo: Pairs) -> Place:
    """Channels last with that halo, sometimes in pictures with more channels."""
    n, c, *sizes = shape
    before, behind = (int(k) for k in random.integers(0, 4, 2) * (random.random() < 0.2))
    wide = with_halo(dtype, (n, before + c + behind, *sizes), halo)
    return wide.sliced((0, before, *[0] * len(sizes)), shape, (1,) * len(shape))


def drawn_halo(random: np.random.Generator, axes: int) -> Pairs:
    return tuple((int(a), int(b)) for a, b in random.integers(0, 3, (axes, 2)))


def drawn_epilogue(random: np.random.Generator, name: str, dtype: str, shape: tuple[int, ...]) -> Epilogue:
    """One of `EPILOGUES`; its operands are numbers, channels, pictures or of the result's shape."""
    channels, axes = shape[1], len(shape) - 2
    operands: list[tuple[Place, np.ndarray]] = []

    def operand(own: tuple[int, ...]) -> np.ndarray:
        array = small(random, own, dtype)
        if len(own) == len(shape) and own[0] == shape[0]:
            place = within(random, dtype, own, ((1, 0),) * axes)
        else:
            place = row_major(Buffer(dtype, array.size), own)
        stretched = place.stretched(shape)
        assert conforms(stretched)
        operands.append((stretched, elements(place, array, np.nan)))
        return array

    if name == "identity":
        return Epilogue(Chain.identity(dtype), lambda y: [y])
    if name == "bias relu":
        bias = operand((channels, *[1] * axes))
        lines = (Line("add", (0, 1), dtype), Line("constant", (), dtype, 0), Line("maximum", (2, 3), dtype))
        return Epilogue(Chain((dtype,) * 2, lines, (4,)), lambda y: [np.maximum(y + bias, 0)], operands)
    if name == "residual":
        bias, residual = operand((1, channels, *[1] * axes)), operand(shape)
        lines = (Line("add", (0, 1), dtype), Line("add", (3, 2), dtype))
        return Epilogue(Chain((dtype,) * 3, lines, (4,)), lambda y: [y + bias + residual], operands)
    if name == "scale and keep":
        scale, by_picture = operand(()), operand((shape[0], 1, *[1] * axes))
        lines = (Line("multiply", (0, 1), dtype), Line("subtract", (3, 2), dtype))
        return Epilogue(Chain((dtype,) * 3, lines, (4, 0)), lambda y: [y * scale - by_picture, y], operands)
    other = operand(shape)
    return Epilogue(Chain((dtype,) * 2, (Line("less", (0, 1), "bool"),), (2,)), lambda y: [y < other], operands)


def run(
    case: Case,
    dtype: str,
    epilogue: str,
    target: Target,
    seed: int,
    plan: Callable[..., list[Step]] = plan_convolution,
    tile: int = 1,
    tolerance: float = 0,
    window: tuple[int, ...] = (),
) -> None:
    """One convolution of small whole numbers, against the definition: no bit may differ, or no number by more than the
    tolerance times the largest sum of |x| * |w|. ``tile`` is as `winograd_costs.widened` takes it; with a window, what
    the epilogue gives is pooled."""
    random = np.random.default_rng(seed)
    x, weight = small(random, case.x, dtype), small(random, case.weight, dtype)
    padding = case.settings["padding"]
    wider = int(random.integers(0, 2))
    halo = widened(case.halo, case.result[2:], tile, case.settings["dilation"])
    x_place = within(random, dtype, case.x, tuple((a + wider, b + wider) for a, b in halo))
    weight_place = drawn_place(random, dtype, case.weight)
    after = drawn_epilogue(random, epilogue, dtype, case.result)
    expected = after.function(primitives.convolution.definition(x, weight, **case.settings))
    settings = case.settings
    if window:
        expected, settings = [largest_of(array, window) for array in expected], {**settings, "window": window}
    results = [within(random, array.dtype.name, array.shape, drawn_halo(random, len(padding))) for array in expected]
    steps = plan(x_place, weight_place, results, after.chain, after.places, **settings, target=target)
    known = {x_place.buffer: elements(x_place, x, 0.0), weight_place.buffer: elements(weight_place, weight, np.nan)}
    arrays = run_steps(steps, known | after.known, target, seed)
    for place, array in zip(results, expected, strict=True):
        if tolerance:
            largest = primitives.convolution.definition(abs(x), abs(weight), **case.settings).max(initial=0)
            np.testing.assert_allclose(at(place, arrays), array, rtol=1e-6, atol=tolerance * largest)
        else:
            np.testing.assert_array_equal(at(place, arrays), array)
        assert only_that_place_was_written(place, arrays)


def largest_of(x: np.ndarray, window: tuple[int, ...]) -> np.ndarray:
    """The largest of each window, which lie side by side; what is left at the end is left out."""
    counts = tuple(size // each for size, each in zip(x.shape[2:], window, strict=True))
    whole = x[(..., *(slice(each * count) for each, count in zip(window, counts, strict=True)))]
    pairs = (number for pair in zip(counts, window, strict=True) for number in pair)
    return whole.reshape(*x.shape[:2], *pairs).max(axis=tuple(range(3, 3 + 2 * len(window), 2)))


def run_input_gradient(
    case: Case,
    dtype: str,
    epilogue: str,
    target: Target,
    seed: int,
    plan: Callable[..., list[Step]] = plan_input_gradient,
    halo: Callable[..., Pairs] = input_gradient_halo,
) -> None:
    """The gradient by the x of a convolution, of small whole numbers: no bit may differ. ``halo`` tells what zeros
    around its cotangent the plan reads."""
    random = np.random.default_rng(seed)
    fewer = [n - int(n > 1 and random.random() < 0.2) for n in case.result[2:]]  # as output padding makes them
    shape = (*case.result[:2], *fewer)
    g, weight = small(random, shape, dtype), small(random, case.weight, dtype)
    zeros = halo(shape, case.weight, case.x[2:], **case.settings)
    assert all(before >= 0 and behind >= 0 for before, behind in zeros)
    g_place, weight_place = within(random, dtype, shape, zeros), drawn_place(random, dtype, case.weight)
    after = drawn_epilogue(random, epilogue, dtype, case.x)
    definition = primitives.convolution_input_gradient.definition
    expected = after.function(definition(g, weight, size=case.x[2:], **case.settings))
    results = [within(random, kind, case.x, drawn_halo(random, len(fewer))) for kind in after.chain.result_dtypes]
    steps = plan(g_place, weight_place, results, after.chain, after.places, case.x[2:], **case.settings, target=target)
    known = {
        g_place.buffer: elements(g_place, g, 0.0 if any(map(any, zeros)) else np.nan),
        weight_place.buffer: elements(weight_place, weight, np.nan),
    }
    arrays = run_steps(steps, known | after.known, target, seed)
    for place, array in zip(results, expected, strict=True):
        np.testing.assert_array_equal(at(place, arrays), array)
        assert only_that_place_was_written(place, arrays)


def convolved(
    x: np.ndarray,
    weight: np.ndarray,
    settings: dict[str, Any],
    target: Target,
    plan: Callable[..., list[Step]] = plan_convolution,
    tile: int = 1,
) -> np.ndarray:
    """In float32, without an epilogue."""
    shape = primitives.convolution.result(x, weight, **settings)[0]
    x_place = with_halo("float32", x.shape, widened(settings["padding"], shape[2:], tile, settings["dilation"]))
    weight_place = row_major(Buffer("float32", weight.size), weight.shape)
    result = with_halo("float32", shape, ((0, 0),) * (len(shape) - 2))
    steps = plan(x_place, weight_place, [result], Chain.identity("float32"), [], **settings, target=target)
    known = {
        x_place.buffer: elements(x_place, x.astype(np.float32), 0.0),
        weight_place.buffer: weight.astype(np.float32).reshape(-1),
    }
    return at(result, run_steps(steps, known, target))
