"""Depthwise convolutions and their gradients give what the definitions do, computed in float64."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compiler.contractions import EPILOGUES, case, convolved, drawn_groups, met_zeros, run, run_input_gradient
from compiler.machine import at, run_steps
from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.depthwise import few_in_groups, plan_depthwise
from wimmel.compiler.kernels.depthwise_gradient import plan_depthwise_input_gradient
from wimmel.compiler.kernels.depthwise_weights import plan_depthwise_weight_gradient
from wimmel.compiler.kernels.input_gradient import input_gradient_halo
from wimmel.compiler.steps import KIND_OF, Buffer, Place, row_major
from wimmel.compiler.targets import KNOWN, Target
from wimmel.geometry import Pairs, output_sizes
from wimmel.graph import primitives

TARGETS = [KNOWN[name] for name in ("avx512", "avx2", "sse4.2", "plain")]
Geometry = dict[str, Any]


def channels_last(shape: tuple[int, ...], dtype: str = "float32", halo: Pairs | None = None) -> Place:
    n, c, *sizes = shape
    halo = halo or ((0, 0),) * len(sizes)
    whole = [before + size + behind for size, (before, behind) in zip(sizes, halo, strict=True)]
    place = row_major(Buffer(dtype, n * c * int(np.prod(whole))), (n, *whole, c))
    start = (0, *(before for before, _ in halo), 0)
    inner = place.sliced(start, (n, *sizes, c), (1,) * len(start))
    return inner.transposed((0, len(start) - 1, *range(1, len(start) - 1)))


def surrounded(place: Place, array: np.ndarray) -> np.ndarray:
    """The buffer's elements: the array's, and zeros around."""
    flat = np.zeros(place.buffer.elements, place.dtype)
    if array.size:
        strides = tuple(stride * flat.itemsize for stride in place.strides)
        np.lib.stride_tricks.as_strided(flat[place.offset :], place.shape, strides)[...] = array
    return flat


def random_array(random: np.random.Generator, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    return random.standard_normal(shape).astype(dtype)


def assert_close(found: np.ndarray, expected: np.ndarray, terms: int) -> None:
    tolerance = np.finfo(found.dtype).eps * (8 + 2 * terms**0.5)
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=tolerance * max(1.0, float(np.abs(expected).max(initial=0)))
    )


def forward(x: np.ndarray, w: np.ndarray, geometry: Geometry, target: Target, seed: int = 0) -> np.ndarray:
    outputs = output_sizes(x.shape[2:], w.shape[2:], geometry["padding"], geometry["stride"], geometry["dilation"])
    place, weight = (
        channels_last(x.shape, x.dtype.name, met_zeros(x.shape[2:], w.shape[2:], outputs, geometry)),
        row_major(Buffer(w.dtype.name, w.size), w.shape),
    )
    result = channels_last((*x.shape[:2], *outputs), np.result_type(x, w).name)
    steps = plan_depthwise(place, weight, [result], Chain.identity(result.dtype), [], **geometry, target=target)
    if not result.size:
        assert not steps
        return np.empty(result.shape, result.dtype)
    return at(result, run_steps(steps, {place.buffer: surrounded(place, x), weight.buffer: w}, target, seed))


def input_gradient(
    g: np.ndarray, w: np.ndarray, size: tuple[int, ...], geometry: Geometry, target: Target
) -> np.ndarray:
    halo = input_gradient_halo(g.shape, w.shape, size, **geometry, groups=w.shape[0])
    place, weight = channels_last(g.shape, g.dtype.name, halo), row_major(Buffer(w.dtype.name, w.size), w.shape)
    result = channels_last((*g.shape[:2], *size), g.dtype.name)
    chain = Chain.identity(result.dtype)
    steps = plan_depthwise_input_gradient(place, weight, [result], chain, [], size, **geometry, target=target)
    return at(result, run_steps(steps, {place.buffer: surrounded(place, g), weight.buffer: w}, target))


def weight_gradient(
    x: np.ndarray, g: np.ndarray, kernel: tuple[int, ...], geometry: Geometry, target: Target
) -> np.ndarray:
    halo = met_zeros(x.shape[2:], kernel, g.shape[2:], geometry)
    place, cotangent = channels_last(x.shape, x.dtype.name, halo), channels_last(g.shape, g.dtype.name)
    shape = (x.shape[1], 1, *kernel)
    result = row_major(Buffer(x.dtype.name, int(np.prod(shape))), shape)
    steps = plan_depthwise_weight_gradient(place, cotangent, result, kernel, **geometry, target=target)
    values = {place.buffer: surrounded(place, x), cotangent.buffer: surrounded(cotangent, g)}
    return at(result, run_steps(steps, values, target))


def double(*arrays: np.ndarray) -> list[np.ndarray]:
    return [array.astype(np.float64) for array in arrays]


def check_all(shape: tuple[int, ...], kernel: tuple[int, ...], geometry: Geometry, dtype: str, target: Target) -> None:
    """The convolution and both gradients."""
    random = np.random.default_rng(shape[1] + len(kernel))
    channels = shape[1]
    x, w = random_array(random, shape, dtype), random_array(random, (channels, 1, *kernel), dtype)
    expected = primitives.convolution.definition(*double(x, w), **geometry, groups=channels)
    g, taps, sizes = random_array(random, expected.shape, dtype), int(np.prod(kernel)), shape[2:]
    assert_close(forward(x, w, geometry, target), expected, taps)
    expected = primitives.convolution_input_gradient.definition(*double(g, w), size=sizes, **geometry, groups=channels)
    assert_close(input_gradient(g, w, sizes, geometry, target), expected, taps)
    expected = primitives.convolution_weight_gradient.definition(
        *double(x, g), kernel=kernel, **geometry, groups=channels
    )
    assert_close(weight_gradient(x, g, kernel, geometry, target), expected, 16)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_any_geometry(target):
    random = np.random.default_rng(5)
    for _ in range(12):
        axes = int(random.choice([1, 2, 2, 2, 3]))
        kernel, stride, dilation = (tuple(int(n) for n in random.integers(1, 4, axes)) for _ in range(3))
        padding = tuple((int(a), int(b)) for a, b in random.integers(0, 4, (axes, 2)))
        sizes = tuple(
            int(n) + d * (k - 1) for n, k, d in zip(random.integers(1, 12, axes), kernel, dilation, strict=True)
        )
        shape = (int(random.integers(1, 4)), int(random.choice([2, 3, 6, 16, 19, 40])), *sizes)
        geometry = {"stride": stride, "padding": padding, "dilation": dilation}
        check_all(shape, kernel, geometry, str(random.choice(["float32", "float64"])), target)


CASES = {
    "MobileNet": ((2, 32, 14, 14), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "MobileNet, stride 2": ((2, 24, 15, 14), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "ConvNeXt": ((1, 20, 9, 9), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1)),
    "looped taps": ((1, 3, 30, 31), (21, 23), (1, 1), ((4, 3), (0, 9)), (1, 1)),
    "looped columns": ((2, 5, 3, 200), (2, 120), (1, 2), ((0, 1), (5, 5)), (1, 1)),
    "sequence": ((1, 17, 900), (5,), (1,), ((2, 2),), (1,)),
    "volume": ((1, 9, 5, 6, 7), (3, 2, 3), (1, 2, 1), ((1, 1), (0, 1), (1, 1)), (1, 1, 2)),
    "wide stride": ((1, 4, 12, 13), (2, 2), (3, 4), ((0, 0), (1, 0)), (1, 1)),
    "many parts": ((9, 20, 32, 33), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_known_layers(case):
    shape, kernel, stride, padding, dilation = CASES[case]
    geometry = {"stride": stride, "padding": padding, "dilation": dilation}
    check_all(shape, kernel, geometry, "float32", KNOWN["avx512"])
    check_all(shape, kernel, geometry, "float32", KNOWN["sse4.2"])


def test_bits_do_not_depend_on_vector_width():
    random = np.random.default_rng(2)
    x, w = random_array(random, (2, 21, 13, 12)), random_array(random, (21, 1, 3, 3))
    geometry = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}
    g = random_array(random, x.shape)
    for function, arguments in (
        (forward, (x, w, geometry)),
        (input_gradient, (g, w, x.shape[2:], geometry)),
        (weight_gradient, (x, g, (3, 3), geometry)),
    ):
        wide, narrow = (function(*arguments, KNOWN[name]) for name in ("avx512", "avx2"))
        assert np.array_equal(wide, narrow)


@pytest.mark.parametrize("target", TARGETS[:3], ids=lambda target: target.name)
def test_the_epilogue_meets_bias_and_another_picture(target):
    """y = max(depthwise(x) + bias + other, 0), and the sum itself as a second result."""
    random = np.random.default_rng(3)
    shape = (2, 19, 9, 11)
    x, w, other = random_array(random, shape), random_array(random, (19, 1, 3, 3)), random_array(random, shape)
    bias = random_array(random, (19, 1, 1))
    lines = [Line("add", (0, 1), "float32"), Line("add", (3, 2), "float32"), Line("constant", (), "float32", 0)]
    chain = Chain(("float32",) * 3, (*lines, Line("maximum", (4, 5), "float32")), (6, 4))
    padding = ((1, 1), (1, 1))
    place, other_place = channels_last(shape, halo=padding), channels_last(shape, halo=((2, 0), (0, 3)))
    weight, bias_place = row_major(Buffer("float32", w.size), w.shape), row_major(Buffer("float32", 19), bias.shape)
    results = [channels_last(shape), channels_last(shape, halo=padding)]
    steps = plan_depthwise(
        place, weight, results, chain, [bias_place.stretched(shape), other_place], (1, 1), padding, (1, 1), target
    )
    values = {
        place.buffer: surrounded(place, x),
        weight.buffer: w,
        bias_place.buffer: bias,
        other_place.buffer: surrounded(other_place, other),
    }
    memory = run_steps(steps, values, target, 1)
    geometry = {"stride": (1, 1), "padding": padding, "dilation": (1, 1), "groups": 19}
    expected = primitives.convolution.definition(*double(x, w), **geometry) + bias + other
    assert_close(at(results[1], memory), expected, 9)
    assert_close(at(results[0], memory), np.maximum(expected, 0), 9)


def test_fetching_ahead_reads_nothing_that_is_not_there():
    random = np.random.default_rng(7)
    x, w = random_array(random, (2, 20, 9, 10)), random_array(random, (20, 1, 3, 3))
    geometry = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}
    small = replace(KNOWN["avx512"], l3_bytes=1 << 10)
    assert np.array_equal(forward(x, w, geometry, small), forward(x, w, geometry, KNOWN["avx512"]))
    for stride in ((1, 1), (2, 1), (2, 3)):
        geometry, sizes = {**geometry, "stride": stride}, (9, 10)
        outputs = output_sizes(sizes, (3, 3), geometry["padding"], stride, (1, 1))
        g = random_array(random, (2, 20, *outputs))
        for gradient, given in ((input_gradient, (g, w, sizes)), (weight_gradient, (x, g, (3, 3)))):
            far, near = (gradient(*given, geometry, target) for target in (small, KNOWN["avx512"]))
            assert np.array_equal(far, near)


@pytest.mark.parametrize("sizes", [(12, 13), (13, 12), (3, 40), (1, 2)])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_classes_of_an_input_gradient_are_computed_together(target, sizes):
    """Whatever rows a task takes of each, and though there may be more of one than of another."""
    random = np.random.default_rng(11)
    for stride, kernel in (((2, 2), (3, 3)), ((3, 4), (5, 3))):
        geometry = {"stride": stride, "padding": ((2, 2), (1, 2)), "dilation": (1, 1)}
        outputs = output_sizes(sizes, kernel, geometry["padding"], stride, (1, 1))
        g, w = random_array(random, (2, 35, *outputs)), random_array(random, (35, 1, *kernel))
        expected = primitives.convolution_input_gradient.definition(*double(g, w), size=sizes, **geometry, groups=35)
        found = [input_gradient(g, w, sizes, geometry, replace(target, l2_bytes=size)) for size in (1, 10_000, 1 << 30)]
        assert_close(found[0], expected, 9)
        assert all(np.array_equal(each, found[0]) for each in found)


@pytest.mark.parametrize("shape", [(2, 150, 9, 10), (1, 150, 7, 30), (1, 6, 8, 9), (3, 100, 1, 5)])
def test_bits_do_not_depend_on_the_order_of_blocks(shape):
    random = np.random.default_rng(10)
    x, w = random_array(random, shape), random_array(random, (shape[1], 1, 3, 3))
    for stride in ((1, 1), (2, 2)):
        geometry = {"stride": stride, "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}
        expected = primitives.convolution.definition(*double(x, w), **geometry, groups=shape[1])
        far, near = (forward(x, w, geometry, replace(KNOWN["avx512"], l2_bytes=size)) for size in (1, 1 << 30))
        assert np.array_equal(far, near)
        assert_close(near, expected, 9)


def test_mixed_dtypes_compute_in_the_wider():
    random = np.random.default_rng(4)
    x, w = random_array(random, (1, 9, 6, 7)), random_array(random, (9, 1, 3, 3), "float64")
    geometry = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}
    expected = primitives.convolution.definition(*double(x, w), **geometry, groups=9)
    assert_close(forward(x, w, geometry, KNOWN["avx512"]), expected, 9)
    expected = primitives.convolution.definition(*double(x, w.astype("float32")), **geometry, groups=9)
    found = forward(x.astype("float64"), w.astype("float32"), geometry, KNOWN["avx2"])
    assert found.dtype == np.float64
    assert_close(found, expected, 9)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_groups_of_few_channels_give_what_the_definition_gives(target):
    random, planned = np.random.default_rng(8), set()
    for seed in range(40 if target.name == "avx512" else 20):
        drawn, dtype = drawn_groups(random), "float64" if seed % 4 == 3 else "float32"
        run(drawn, dtype, EPILOGUES[seed % len(EPILOGUES)], target, seed)
        run_input_gradient(drawn, dtype, EPILOGUES[seed % len(EPILOGUES)], target, seed)
        inputs, outputs = drawn.weight[1], drawn.weight[0] // drawn.settings["groups"]
        planned.add(few_in_groups(drawn.settings["groups"], inputs, outputs, target.lanes(KIND_OF[dtype])))
    assert planned == {True, False}


GROUPS = {
    "ResNeXt": case((2, 64, 9, 14), 64, (3, 3), padding=1, groups=16),
    "pointwise": case((1, 48, 9, 7), 24, (1, 1), groups=12),
    "two vectors of channels for one of outputs": case((1, 96, 7, 9), 48, (3, 3), padding=1, groups=24),
    "fewer outputs than lanes": case((1, 12, 7, 9), 12, (3, 3), stride=2, padding=1, groups=3),
    "looped taps": case((1, 16, 30, 31), 16, (17, 19), padding=8, groups=4),
}


@pytest.mark.parametrize("name", GROUPS)
def test_groups_that_networks_have(name):
    run(GROUPS[name], "float32", "bias relu", KNOWN["avx512"], 0)
    run(GROUPS[name], "float32", "residual", KNOWN["sse4.2"], 1)


def test_bits_of_groups_do_not_depend_on_vector_width():
    random = np.random.default_rng(9)
    x, w = random_array(random, (1, 40, 13, 12)), random_array(random, (20, 8, 3, 3))
    settings = case(x.shape, 20, (3, 3), padding=1, groups=5).settings
    wide, narrow = (convolved(x, w, settings, KNOWN[name]) for name in ("avx512", "avx2"))
    assert few_in_groups(5, 8, 4, KNOWN["avx2"].lanes("f32")) and np.array_equal(wide, narrow)


def test_nothing_to_convolve():
    geometry = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}
    x, w = np.ones((0, 3, 4, 4), np.float32), np.ones((3, 1, 3, 3), np.float32)
    assert forward(x, w, geometry, KNOWN["avx512"]).shape == (0, 3, 4, 4)
    found = weight_gradient(x, x, (3, 3), geometry, KNOWN["avx512"])
    assert found.shape == w.shape and not found.any()


def test_a_long_sum_stays_accurate():
    random = np.random.default_rng(6)
    x, g = (random.random((8, 2, 100, 300)).astype(np.float32) for _ in range(2))
    geometry = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}
    expected = primitives.convolution_weight_gradient.definition(*double(x, g), kernel=(1, 1), **geometry, groups=2)
    found = weight_gradient(x, g, (1, 1), geometry, KNOWN["avx512"])
    assert np.abs(found / expected - 1).max() < 2e-6
