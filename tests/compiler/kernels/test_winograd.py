"""Winograd's convolutions give what the primitive defines, within the error that is promised; they read and write
nothing else, and their transforms are exact."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

import wimmel as wm
from compiler import emulated
from compiler.contractions import EPILOGUES, Case, case, convolved, elements, run, within
from compiler.machine import at, run_program, run_steps
from compiler.views import TARGETS, drawn_place, only_that_place_was_written
from wimmel.compiler import planning
from wimmel.compiler.chain import Chain
from wimmel.compiler.choice import algorithm
from wimmel.compiler.kernels.border import with_halo
from wimmel.compiler.kernels.winograd import plan_winograd
from wimmel.compiler.kernels.winograd_costs import ERRORS, GRADIENT_ERRORS, PROMISED, TILES, error, tile_for, widened
from wimmel.compiler.kernels.winograd_gradient import plan_winograd_gradient
from wimmel.compiler.kernels.winograd_transforms import TRANSFORMS, Transforms, over_two_axes
from wimmel.compiler.steps import Buffer, row_major
from wimmel.compiler.targets import KNOWN, runs_here
from wimmel.graph import Graph, evaluate, primitives
from wimmel.graph.tensor import input_tensor

CASES = {"avx512": 40, "avx2": 20, "sse4.2": 12, "plain": 6}


class Exact:
    """Rational arithmetic."""

    def times(self, factor, x):
        return factor * x

    def plus(self, y, factor, x):
        return y + factor * x


def whole(random, *shape):
    return [[Fraction(int(n)) for n in row] for row in random.integers(-9, 10, shape)]


@pytest.mark.parametrize(
    "transforms",
    [
        *TRANSFORMS.values(),
        Transforms(3, 2, (Fraction(1),)),
        Transforms(3, 4, TRANSFORMS[4].points),
        Transforms(2, 5, TRANSFORMS[4].points),
        Transforms(6, 3, (Fraction(1, 2), Fraction(1), Fraction(2))),
    ],
    ids=lambda t: f"F({t.m}, {t.r})",
)
def test_transforms_give_the_convolution_exactly(transforms):
    t, exact, random = transforms, Exact(), np.random.default_rng(0)
    d, g = whole(random, t.n, t.n), whole(random, t.r, t.r)
    data, weights = (
        list(over_two_axes(f, exact, zip(*square, strict=True))) for f, square in ((t.data, d), (t.weights, g))
    )
    products = [[a * b for a, b in zip(*rows, strict=True)] for rows in zip(data, weights, strict=True)]
    found = list(over_two_axes(t.outputs, exact, zip(*products, strict=True)))
    taps = range(t.r)
    expected = [[sum(d[i + a][j + b] * g[a][b] for a in taps for b in taps) for j in range(t.m)] for i in range(t.m)]
    assert found == expected


@pytest.mark.parametrize("transforms", TRANSFORMS.values())
def test_the_points_powers_are_exact_in_float32(transforms):
    for point in transforms.points:
        for power in range(6):
            assert Fraction(float(np.float32(float(point**power)))) == point**power


def drawn(random: np.random.Generator, dilations: tuple[int, ...] = (1,), planes: bool = False) -> Case:
    """With rows and columns dilated by one of these, and planes of taps if wished for."""
    channels, outputs = (int(random.choice([1, 2, 3, 5, 8, 16, 17, 31, 33, 48, 64, 70])) for _ in range(2))
    axes, most = (3, 12) if planes else (2, 24)
    kernel = (3, 3) if not planes else (int(random.integers(1, 4)), 3, 3)
    dilation = tuple(int(random.choice(dilations)) for _ in range(axes))
    padding = tuple((int(a), int(b)) for a, b in random.integers(0, 5, (axes, 2)) * (random.random() < 0.8))
    sizes = tuple(
        max(int(n), d * (k - 1) + 1 - a - b, 1)
        for n, k, d, (a, b) in zip(random.integers(1, most, axes), kernel, dilation, padding, strict=True)
    )
    settings = {"stride": (1,) * axes, "padding": padding, "dilation": dilation, "groups": 1}
    return Case((int(random.integers(1, 4)), channels, *sizes), (outputs, channels, *kernel), settings)


@pytest.mark.parametrize("tile", TRANSFORMS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_convolutions_give_what_the_definition_gives(target, tile):
    random = np.random.default_rng(11)
    plan = partial(plan_winograd, tile=tile)
    # sums of halves of small whole numbers are exact; 4 x 4 tiles have other fractions
    epilogues, tolerance = (EPILOGUES, 0) if tile == 2 else ([e for e in EPILOGUES if e != "compared"], PROMISED)
    for seed in range(CASES[target.name]):
        shapes = drawn(random, (1, 1, 2, 3, 5), planes=seed % 3 == 2)
        run(shapes, "float32", epilogues[seed % len(epilogues)], target, seed, plan, tile, tolerance)


NAMED = {
    "ResNet's first stage": case((1, 64, 56, 56), 64, (3, 3), padding=1),
    "few tiles, many outputs": case((1, 256, 14, 14), 256, (3, 3), padding=1),
    "more weights than pixels": case((2, 200, 7, 7), 160, (3, 3), padding=1),
    "a single pixel": case((1, 20, 1, 1), 40, (3, 3), padding=1),
    "as far apart as the picture is wide": case((1, 20, 14, 14), 40, (3, 3), padding=14, dilation=14),
    "a film": case((2, 16, 5, 12, 9), 16, (3, 3, 3), padding=1),
}


@pytest.mark.parametrize("tile", TRANSFORMS)
@pytest.mark.parametrize("name", NAMED)
def test_convolutions_that_networks_have(name, tile):
    run(NAMED[name], "float32", "bias relu", KNOWN["avx512"], 0, partial(plan_winograd, tile=tile), tile, PROMISED)


@pytest.mark.skipif(emulated.EMULATOR is None and not runs_here(KNOWN["neon"]), reason=emulated.MISSING)
@pytest.mark.parametrize("tile", TRANSFORMS)
def test_neon(tile):
    random, target = np.random.default_rng(15), KNOWN["neon"]
    for seed in range(3):
        general = drawn(random, (1, 2), planes=seed == 2)
        run(general, "float32", "residual", target, seed, partial(plan_winograd, tile=tile), tile, PROMISED)
        shapes = drawn(random)
        x, g = (random.integers(-4, 5, shape) for shape in (shapes.x, shapes.result))
        found, expected, largest = weight_gradient(x, g, shapes.settings["padding"], target, tile, seed)
        np.testing.assert_allclose(found, expected, rtol=0, atol=PROMISED * largest.max())


def relative_errors(x, weight, tile, target, dilation=1) -> np.ndarray:
    """The largest error within each tile, of the largest sum of |x| * |w| there, in pictures of whole tiles."""
    settings = case(x.shape, len(weight), weight.shape[2:], padding=dilation, dilation=dilation).settings
    found = convolved(x, weight, settings, target, partial(plan_winograd, tile=tile), tile)
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    error = abs(found - primitives.convolution.definition(x, weight, **settings))
    largest = primitives.convolution.definition(abs(x), abs(weight), **settings)
    *outer, height, width = error.shape

    def of_tiles(values):
        down, across = height // (tile * dilation), width // (tile * dilation)
        tiles = values.reshape(*outer, down, tile, dilation, across, tile, dilation).max(axis=(-5, -2))
        return tiles.swapaxes(-3, -2).reshape(*outer, down * dilation, across * dilation)

    return of_tiles(error) / of_tiles(largest)


@pytest.mark.parametrize("positive", [False, True], ids=["normal", "positive"])
@pytest.mark.parametrize("tile", TRANSFORMS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_errors_are_far_below_what_is_promised(target, tile, positive):
    random = np.random.default_rng(5)
    for planes, channels, dilation in (((), 8, 1), ((), 96, 1), ((3,), 32, 1), ((), 8, 3)):
        x = random.standard_normal((1, channels, *planes, 24, 24)).astype(np.float32)
        weight = random.standard_normal((32, channels, *planes, 3, 3)).astype(np.float32)
        if positive:
            x, weight = abs(x), abs(weight)
        errors = relative_errors(x, weight, tile, target, dilation)
        assert errors.max() < 1.5 * error(tile, channels * math.prod(planes))


@pytest.mark.parametrize("tile", TRANSFORMS)
def test_a_dark_half_is_as_exact_as_a_bright_one(tile):
    random = np.random.default_rng(6)
    x = random.standard_normal((1, 48, 24, 48)).astype(np.float32)
    x[..., 24:] *= 1e-4
    weight = random.standard_normal((32, 48, 3, 3)).astype(np.float32)
    errors = relative_errors(x, weight, tile, KNOWN["avx512"])
    inside = 24 // tile + 1  # the first tile that sees nothing of the bright half
    assert errors.max() < PROMISED
    assert errors[..., inside:].max() < PROMISED / 8


@pytest.mark.parametrize("tile", TRANSFORMS)
def test_neither_the_other_pictures_nor_the_tasks_change_bits(tile, monkeypatch):
    random = np.random.default_rng(7)
    plan, target = partial(plan_winograd, tile=tile), KNOWN["avx512"]
    x, weight = random.standard_normal((3, 19, 13, 11)), random.standard_normal((35, 19, 3, 3))
    settings = case(x.shape, 35, (3, 3), padding=1).settings
    expected = convolved(x, weight, settings, target, plan, tile)
    assert np.array_equal(convolved(x[1:2], weight, settings, target, plan, tile), expected[1:2])
    for shares in ((1, 1, 1), (5, 1, 1), (7, 2, 1), (30, 2, 2)):
        monkeypatch.setattr("wimmel.compiler.kernels.winograd._shares", lambda *_, shares=shares: shares)
        assert np.array_equal(convolved(x, weight, settings, target, plan, tile), expected)


def test_pictures_of_another_size_need_no_new_code():
    target, weight = KNOWN["avx512"], row_major(Buffer("float32", 24 * 8 * 9), (24, 8, 3, 3))
    padding, chain = ((1, 1), (1, 1)), Chain.identity("float32")
    schedules = []
    for n, height, width in ((1, 9, 9), (3, 5, 70), (2, 1, 1), (1, 224, 224), (2, 13, 3)):
        x = with_halo("float32", (n, 8, height, width), widened(padding, (height, width), 4))
        y = with_halo("float32", (n, 24, height, width), ((0, 0), (0, 0)))
        steps = plan_winograd(x, weight, [y], chain, [], (1, 1), padding, (1, 1), 1, target)
        schedules.append(tuple(step.schedule for step in steps))
    assert len(set(schedules)) == 1


def test_nothing_is_planned_for_results_without_elements():
    target, padding = KNOWN["avx512"], ((0, 0), (0, 0))
    weight = row_major(Buffer("float32", 36), (2, 2, 3, 3))
    x, y = (with_halo("float32", (0, 2, size, size), padding) for size in (7, 5))
    chain = Chain.identity("float32")
    assert plan_winograd(x, weight, [y], chain, [], (1, 1), padding, (1, 1), 1, target) == []


def convolution(shape, outputs, kernel=(3, 3), dtype="float32", **settings):
    settings = case(shape, outputs, kernel, **{"padding": 1, **settings}).settings
    channels = shape[1] // settings["groups"]
    return primitives.convolution(
        input_tensor("x", shape, dtype), input_tensor("w", (outputs, channels, *kernel), dtype), **settings
    )


@pytest.mark.parametrize(
    ("expected", "anchor"),
    [
        ("winograd 4x4", convolution((1, 64, 56, 56), 64)),
        ("winograd 4x4", convolution((1, 128, 28, 28), 128)),
        ("winograd 4x4", convolution((16, 512, 7, 7), 512)),
        ("direct", convolution((1, 3, 56, 56), 8)),
        ("direct", convolution((1, 64, 56, 56), 64, stride=2)),
        ("winograd 4x4", convolution((1, 64, 56, 56), 64, padding=2, dilation=2)),
        ("direct", convolution((1, 64, 56, 56), 64, padding=56, dilation=56)),
        ("winograd 4x4", convolution((1, 64, 16, 16, 16), 64, (3, 3, 3))),
        ("direct", convolution((1, 64, 16, 16, 16), 64, (3, 3, 1))),
        ("direct", convolution((1, 3, 8), 3, (3,))),
        ("direct", convolution((1, 64, 56, 56), 64, groups=2)),
        ("winograd 1x4", convolution((1, 64, 56), 64, (3,))),
        ("direct", convolution((1, 64, 56, 56), 64, (1, 1), padding=0)),
        ("direct", convolution((1, 64, 56, 56), 64, dtype="float64")),
        ("direct", convolution((0, 64, 56, 56), 64)),
    ],
)
def test_what_is_chosen(expected, anchor):
    assert algorithm(anchor, KNOWN["avx512"], "fast") == expected
    assert algorithm(anchor, KNOWN["avx512"], "exact") == "direct"


@pytest.mark.parametrize("channels", [3, 16, 64, 512])
def test_other_pictures_change_nothing_about_the_choice(channels):
    shapes = [(1, channels, 7, 7), (16, channels, 7, 7), (1, channels, 100, 37), (3, channels, 224, 224)]
    assert len({algorithm(convolution(shape, channels), KNOWN["avx512"], "fast") for shape in shapes}) == 1


def test_no_error_is_chosen_that_is_larger_than_promised(monkeypatch):
    assert all(error(tile, 4096) <= PROMISED for tile in ERRORS)
    assert error(2, 4096) == 2 * error(2, 2048)
    anchor = convolution((1, 64, 56, 56), 64)
    monkeypatch.setitem(ERRORS, 4, {1: 1e-6, 2: 3e-5})
    assert tile_for(anchor, KNOWN["avx512"]) == 2
    monkeypatch.setitem(ERRORS, 2, {1: 1e-6, 2: 3e-5})
    assert tile_for(anchor, KNOWN["avx512"]) is None


@pytest.mark.parametrize("name", TILES)
def test_within_graphs(name, monkeypatch):
    """Forward, input and weight gradients, one after the other: halos are as wide as tiles need them. Sums are whole
    numbers, so 0.5 tells the positive ones apart, however they are rounded."""
    monkeypatch.setattr(planning, "algorithm", lambda *_: name)
    random = np.random.default_rng(8)
    for seed in range(6):
        first = drawn(random, (1, 1, 2, 4))
        second = case(first.result, 21, (3, 3), padding=int(random.integers(1, 3)))
        shapes = (first.x, first.weight, second.weight, second.result)
        values = [random.integers(-3, 4, shape).astype(np.float32) for shape in shapes]
        x, w, v, g = (input_tensor(f"x{place}", shape, "float32") for place, shape in enumerate(shapes))
        y = primitives.maximum(primitives.convolution(x, w, **first.settings), 0)
        z = primitives.convolution(y, v, **second.settings)
        back = primitives.convolution_input_gradient(g, v, size=first.result[2:], **second.settings)
        back = primitives.multiply(back, primitives.cast(primitives.less(0.5, y), dtype="float32"))
        back = primitives.convolution_input_gradient(back, w, size=first.x[2:], **first.settings)
        weights = primitives.convolution_weight_gradient(y, g, kernel=(3, 3), **second.settings)
        graph = Graph((x, w, v, g), (z, back, weights))
        found = run_program(planning.compiled(graph, KNOWN["avx512"], frozenset((1, 2)), "fast"), values, seed)
        for ours, theirs in zip(found, evaluate(graph, values), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=PROMISED * max(1, abs(theirs).max(initial=0)))


def test_within_a_graph_of_films():
    """Planes of taps, forward and backward, as they are chosen."""
    random = np.random.default_rng(9)
    settings = case((2, 16, 3, 13, 11), 24, (2, 3, 3), padding=1, dilation=2).settings
    x, w = random.standard_normal((2, 16, 3, 13, 11)), random.standard_normal((24, 16, 2, 3, 3))
    values = [x.astype(np.float32), w.astype(np.float32)]
    inputs = [input_tensor(f"x{place}", each.shape, "float32") for place, each in enumerate(values)]
    y = primitives.convolution(*inputs, **settings)
    back = primitives.convolution_input_gradient(y, inputs[1], size=x.shape[2:], **settings)
    assert {algorithm(each, KNOWN["avx512"], "fast") for each in (y, back)} == {"winograd 4x4"}
    graph = Graph(tuple(inputs), (y, back))
    found = run_program(planning.compiled(graph, KNOWN["avx512"], frozenset((1,)), "fast"), values)
    for ours, theirs in zip(found, evaluate(graph, values), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=PROMISED * abs(theirs).max())


# weight gradients


def weight_gradient(x, g, padding, target, tile, seed=0):
    """What the kernels give, what the definition does, and the sums of |x| * |g|."""
    settings = {"stride": (1, 1), "padding": padding, "dilation": (1, 1), "groups": 1}
    random, sizes = np.random.default_rng(seed), g.shape[2:]
    x_place = within(random, "float32", x.shape, widened(padding, sizes, tile))
    g_place = within(random, "float32", g.shape, widened(((0, 0), (0, 0)), sizes, tile))
    result = drawn_place(random, "float32", (g.shape[1], x.shape[1], 3, 3))
    steps = plan_winograd_gradient(x_place, g_place, result, (3, 3), **settings, target=target, tile=tile)
    known = {place.buffer: elements(place, a.astype(np.float32), 0.0) for place, a in ((x_place, x), (g_place, g))}
    arrays = run_steps(steps, known, target, seed)
    assert only_that_place_was_written(result, arrays)
    x, g = x.astype(np.float64), g.astype(np.float64)
    definition = partial(primitives.convolution_weight_gradient.definition, kernel=(3, 3), **settings)
    return at(result, arrays), definition(x, g), definition(abs(x), abs(g))


@pytest.mark.parametrize("tile", TRANSFORMS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_weight_gradients_give_what_the_definition_gives(target, tile):
    random = np.random.default_rng(12)
    for seed in range(CASES[target.name] // 2):
        shapes = drawn(random)
        x, g = (random.integers(-4, 5, shape) for shape in (shapes.x, shapes.result))
        found, expected, largest = weight_gradient(x, g, shapes.settings["padding"], target, tile, seed)
        if tile == 2:
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=0, atol=PROMISED * largest.max())


@pytest.mark.parametrize("positive", [False, True], ids=["normal", "positive"])
@pytest.mark.parametrize("tile", TRANSFORMS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_errors_of_weight_gradients_are_far_below_what_is_promised(target, tile, positive):
    random = np.random.default_rng(13)
    x, g = random.standard_normal((2, 3, 20, 40, 40)).astype(np.float32)
    if positive:
        x, g = abs(x), abs(g)
    found, expected, largest = weight_gradient(x, g, ((1, 1), (1, 1)), target, tile)
    error = abs(found - expected) / largest.max(axis=(2, 3), keepdims=True)
    assert error.max() < GRADIENT_ERRORS[tile]


def test_weight_gradients_of_other_pictures_need_no_new_code():
    padding, schedules = ((1, 1), (1, 1)), []
    result = row_major(Buffer("float32", 24 * 72 * 9), (24, 72, 3, 3))
    for n, height, width in ((1, 9, 9), (3, 5, 70), (2, 1, 1), (1, 224, 224), (2, 13, 3)):
        x = with_halo("float32", (n, 72, height, width), widened(padding, (height, width), 4))
        g = with_halo("float32", (n, 24, height, width), widened(((0, 0), (0, 0)), (height, width), 4))
        steps = plan_winograd_gradient(x, g, result, (3, 3), (1, 1), padding, (1, 1), 1, KNOWN["avx512"])
        schedules.append(steps[0].schedule)
    assert len(set(schedules)) == 1


def test_a_weight_gradient_of_nothing_is_zero():
    padding = ((0, 0), (0, 0))
    x, g = (with_halo("float32", (0, 2, size, size), padding) for size in (7, 5))
    result = row_major(Buffer("float32", 36), (2, 2, 3, 3))
    steps = plan_winograd_gradient(x, g, result, (3, 3), (1, 1), padding, (1, 1), 1, KNOWN["avx512"])
    assert not at(result, run_steps(steps, {})).any()


def test_which_weight_gradients_are_chosen():
    def gradient(n, channels, outputs, size):
        x, g = (input_tensor("x", (n, count, size, size), "float32") for count in (channels, outputs))
        settings = case((n, channels, size, size), outputs, (3, 3), padding=1).settings
        return primitives.convolution_weight_gradient(x, g, kernel=(3, 3), **settings)

    assert algorithm(gradient(16, 64, 64, 56), KNOWN["avx512"], "fast") == "winograd 4x4"
    assert algorithm(gradient(16, 64, 64, 56), KNOWN["avx512"], "exact") == "direct"
    assert algorithm(gradient(1, 512, 512, 7), KNOWN["avx512"], "fast") == "winograd 4x4"


@pytest.mark.parametrize("threads", [2, 3])
def test_every_number_of_threads_gives_the_same_bits(threads):
    random = np.random.default_rng(14)
    x, w = random.standard_normal((2, 32, 30, 30)), random.standard_normal((40, 32, 3, 3))

    def step(x, w):
        y, gradient = wm.value_and_grad(lambda w: wm.sum(wm.relu(wm.conv2d(x, w, padding=1)) ** 2))(w)
        return y, gradient

    compiled = wm.compile(step, precision="fast")
    x, w = x.astype(np.float32), w.astype(np.float32)
    assert "Winograd" in str(wm.explain(step, x, w))
    with wm.num_threads(1):
        expected = compiled(x, w)
    with wm.num_threads(threads):
        for _ in range(5):
            assert all(np.array_equal(a, b) for a, b in zip(compiled(x, w), expected, strict=True))
