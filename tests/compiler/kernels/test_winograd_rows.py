"""Winograd's convolutions along rows give what the primitive defines, within the error that is promised; they read and
write nothing else, and their transforms are exact."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np
import pytest

import wimmel as wm
from compiler import emulated
from compiler.contractions import EPILOGUES, Case, case, convolved, run
from compiler.kernels.test_winograd import Exact
from compiler.kernels.test_winograd import convolution as padded_convolution
from compiler.machine import run_program
from compiler.views import TARGETS
from wimmel.compiler import planning
from wimmel.compiler.chain import Chain
from wimmel.compiler.choice import algorithm, pools
from wimmel.compiler.kernels import winograd_rows
from wimmel.compiler.kernels.border import with_halo
from wimmel.compiler.kernels.winograd_costs import (
    ALONG,
    IN_COLUMNS,
    IN_ROWS,
    PIECE,
    PROMISED,
    ROW_ERRORS,
    best_in_pieces,
    row_error,
)
from wimmel.compiler.kernels.winograd_rows import WinogradRowsSchedule, plan_winograd_rows
from wimmel.compiler.kernels.winograd_tiles import INLINE
from wimmel.compiler.kernels.winograd_transforms import ALONG_ROWS
from wimmel.compiler.steps import Buffer, row_major
from wimmel.compiler.targets import KNOWN, runs_here
from wimmel.graph import Graph, evaluate, primitives, trace
from wimmel.graph.tensor import input_tensor

CASES = {"avx512": 60, "avx2": 30, "sse4.2": 18, "plain": 8}
INEXACT = [name for name in EPILOGUES if name != "compared"]
"""Epilogues that do not ask whether two numbers are the same."""


@pytest.mark.parametrize("taps", ALONG_ROWS)
def test_transforms_give_the_convolution_exactly(taps):
    t, exact, random = ALONG_ROWS[taps], Exact(), np.random.default_rng(0)
    d, g = ([Fraction(int(number)) for number in random.integers(-9, 10, count)] for count in (t.n, taps))
    products = [a * b for a, b in zip(t.data(exact, d), t.weights(exact, g), strict=True)]
    assert (t.m, t.r) == (PIECE, taps)
    assert t.outputs(exact, products) == [sum(d[i + j] * g[j] for j in range(taps)) for i in range(PIECE)]


@pytest.mark.parametrize("transforms", ALONG_ROWS.values(), ids=lambda t: f"F({t.m}, {t.r})")
def test_the_points_powers_are_exact_in_float32(transforms):
    for point in transforms.points:
        for power in range(transforms.r):
            assert Fraction(float(np.float32(float(point**power)))) == point**power


def drawn(random: np.random.Generator) -> Case:
    """Of one or two axes; the last has 2 to 9 taps."""
    channels, outputs = (int(random.choice([1, 2, 3, 5, 6, 8, 16, 17, 31, 33, 48, 70])) for _ in range(2))
    axes = int(random.choice([1, 2, 2]))
    kernel = (*(int(n) for n in random.integers(1, 6, axes - 1)), int(random.integers(2, 10)))
    dilation = (*(int(n) for n in random.integers(1, 4, axes - 1)), int(random.choice([1, 1, 2, 3])))
    padding = tuple((int(a), int(b)) for a, b in random.integers(0, 5, (axes, 2)) * (random.random() < 0.8))
    fewest = [d * (k - 1) + 1 - a - b for k, d, (a, b) in zip(kernel, dilation, padding, strict=True)]
    most = 24 if axes == 2 else 200
    sizes = tuple(max(int(n), least, 1) for n, least in zip(random.integers(1, most, axes), fewest, strict=True))
    settings = {"stride": (1,) * axes, "padding": padding, "dilation": dilation, "groups": 1}
    return Case((int(random.integers(1, 4)), channels, *sizes), (outputs, channels, *kernel), settings)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_convolutions_give_what_the_definition_gives(target):
    random = np.random.default_rng(21)
    for seed in range(CASES[target.name]):
        epilogue = INEXACT[seed % len(INEXACT)]
        run(drawn(random), "float32", epilogue, target, seed, plan_winograd_rows, tolerance=PROMISED)


def turned(convolution: Case) -> Case:
    """With rows and columns exchanged."""
    (*x, rows, columns), (*weight, down, across) = convolution.x, convolution.weight
    settings = {
        name: value[::-1] if isinstance(value, tuple) else value for name, value in convolution.settings.items()
    }
    return Case((*x, columns, rows), (*weight, across, down), settings)


in_columns = partial(plan_winograd_rows, turned=True)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_along_columns(target):
    random, count = np.random.default_rng(22), 0
    for seed in range(CASES[target.name]):
        convolution = drawn(random)
        if len(convolution.x) == 4:
            epilogue = INEXACT[seed % len(INEXACT)]
            run(turned(convolution), "float32", epilogue, target, seed, in_columns, tolerance=PROMISED)
            count += 1
    assert count > 2


def apart(x: tuple[int, ...], outputs: int, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> Case:
    """Padded as much as keeps the picture's size."""
    padding = tuple((d * (k // 2), d * ((k - 1) // 2)) for k, d in zip(kernel, dilation, strict=True))
    settings = {"stride": (1,) * len(kernel), "padding": padding, "dilation": dilation, "groups": 1}
    return Case(x, (outputs, x[1], *kernel), settings)


NAMED = {
    "LeNet's second": (case((2, 6, 14, 14), 16, (5, 5)), (2, 2)),
    "a row as long as a tile": (case((2, 20, 6, 4), 40, (3, 3), padding=1), (1, 1)),
    "one column more than a tile": (case((2, 20, 6, 5), 40, (5, 5), padding=2), (1, 1)),
    "rows shorter than a tile": (case((2, 20, 16, 3), 40, (5, 5), padding=2), (2, 1)),
    "a single column": (case((2, 20, 16, 1), 40, (5, 7), padding=3), (1, 1)),
    "a long signal, several tasks": (case((2, 33, 3000), 40, (5,), padding=2), (1,)),
    "a long signal, pooled": (case((1, 12, 2050), 70, (3,), padding=1), (4,)),
    "many rows, several tasks": (case((2, 24, 70, 66), 64, (3, 7), padding=3), (2, 2)),
    "rows of taps far apart": (apart((1, 8, 40, 20), 32, (3, 5), (8, 1)), (3, 1)),
    "windows as wide as a tile": (case((1, 5, 17, 18), 21, (5, 5), padding=2), (4, 4)),
    "more weights than pixels": (case((1, 200, 7, 7), 160, (7, 7), padding=3), (1, 1)),
    "an even number of taps": (case((2, 20, 18, 21), 40, (4, 6), padding=1), (2, 2)),
    "taps of a row lie apart": (apart((2, 20, 13, 38), 40, (3, 5), (1, 3)), (4, 1)),
    "a detector's last": (case((1, 48, 23, 31), 64, (2, 4), dilation=2), (1, 1)),
    "fewer columns than lie between taps": (apart((2, 9, 13, 2), 20, (3, 3), (1, 4)), (1, 1)),
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", NAMED)
def test_named_convolutions(name, target):
    convolution, window = NAMED[name]
    seed = list(NAMED).index(name)
    epilogue, window = ("bias relu", "residual")[seed % 2], () if set(window) == {1} else window
    run(convolution, "float32", epilogue, target, seed, plan_winograd_rows, tolerance=PROMISED, window=window)
    if len(convolution.x) == 4:
        across = turned(convolution)
        run(across, "float32", epilogue, target, seed, in_columns, tolerance=PROMISED, window=window[::-1])


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("window", [(1, 1), (2, 2), (1, 4)])
def test_epilogues_of_much_work_are_written_once_for_a_tile(window, target):
    random = np.random.default_rng(10)
    values = [random.standard_normal(shape).astype(np.float32) for shape in ((2, 8, 11, 15), (21, 8, 5, 5))]

    def function(x, w):
        y = wm.tanh(wm.conv2d(x, w, padding=2))
        return y if window == (1, 1) else wm.max_pool2d(y, window)

    graph = trace(function, *values).graph
    program = planning.compiled(graph, target, frozenset((1,)), "fast")
    [schedule] = [step.schedule for step in program.steps if isinstance(step.schedule, WinogradRowsSchedule)]
    assert schedule.chain.work > INLINE and schedule.window == window
    [found], [expected] = run_program(program, values, 0), evaluate(graph, [each.astype(np.float64) for each in values])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.skipif(emulated.EMULATOR is None and not runs_here(KNOWN["neon"]), reason=emulated.MISSING)
def test_neon():
    random, target = np.random.default_rng(25), KNOWN["neon"]
    for seed in range(4):
        run(drawn(random), "float32", "residual", target, seed, plan_winograd_rows, tolerance=PROMISED)


def relative_errors(x, weight, target) -> np.ndarray:
    """The largest error within each piece of a row, of the largest sum of |x| * |w| there."""
    settings = apart(x.shape, len(weight), weight.shape[2:], (1, 1)).settings
    found = convolved(x, weight, settings, target, plan_winograd_rows)
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    error = abs(found - primitives.convolution.definition(x, weight, **settings))
    largest = primitives.convolution.definition(abs(x), abs(weight), **settings)

    def of_pieces(values):
        return values.reshape(*values.shape[:-1], -1, PIECE).max(axis=-1)

    return of_pieces(error) / of_pieces(largest)


@pytest.mark.parametrize("positive", [False, True], ids=["normal", "positive"])
@pytest.mark.parametrize("taps", range(2, 10))
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_errors_are_what_the_table_says(target, taps, positive):
    random = np.random.default_rng(5)
    for channels, rows in ((1, 1), (8, 1), (8, 5), (96, 1), (96, 5)):
        x = random.standard_normal((1, channels, 24, 24)).astype(np.float32)
        weight = random.standard_normal((32, channels, rows, taps)).astype(np.float32)
        if positive:
            x, weight = abs(x), abs(weight)
        assert relative_errors(x, weight, target).max() < 1.5 * row_error(taps, channels * rows)


@pytest.mark.parametrize("taps", range(2, 10))
def test_a_dark_half_is_as_exact_as_a_bright_one(taps):
    random = np.random.default_rng(6)
    x = random.standard_normal((1, 48, 24, 48)).astype(np.float32)
    x[..., 24:] *= 1e-4
    weight = random.standard_normal((32, 48, 3, taps)).astype(np.float32)
    errors = relative_errors(x, weight, KNOWN["avx512"])
    inside = 24 // PIECE + 1  # the first piece that sees nothing of the bright half
    assert errors.max() < PROMISED
    assert errors[..., inside:].max() < 1.5 * errors[..., : 24 // PIECE].max() < PROMISED / 4


def test_neither_the_other_pictures_nor_the_tasks_change_bits(monkeypatch):
    random, target = np.random.default_rng(7), KNOWN["avx512"]
    x, weight = random.standard_normal((3, 19, 13, 23)), random.standard_normal((35, 19, 3, 5))
    settings = case(x.shape, 35, (3, 5), padding=1).settings
    expected = convolved(x, weight, settings, target, plan_winograd_rows)
    assert np.array_equal(convolved(x[1:2], weight, settings, target, plan_winograd_rows), expected[1:2])
    for shares in ((1, 2), (2, 3), (5, 4), (13, 6)):
        monkeypatch.setattr(winograd_rows, "_shares", lambda *_, shares=shares: shares)
        assert np.array_equal(convolved(x, weight, settings, target, plan_winograd_rows), expected)


@pytest.mark.parametrize("turned", [False, True], ids=["rows", "columns"])
def test_pictures_of_another_size_need_no_new_code(turned):
    target, weight = KNOWN["avx512"], row_major(Buffer("float32", 24 * 8 * 25), (24, 8, 5, 5))
    padding, chain = ((2, 2), (2, 2)), Chain.identity("float32")
    schedules = []
    for n, height, width in ((1, 9, 9), (3, 5, 70), (2, 1, 4), (1, 224, 224), (2, 13, 5)):
        x = with_halo("float32", (n, 8, height, width), padding)
        y = with_halo("float32", (n, 24, height, width), ((0, 0), (0, 0)))
        steps = plan_winograd_rows(x, weight, [y], chain, [], (1, 1), padding, (1, 1), 1, target, turned=turned)
        schedules.append(tuple(step.schedule for step in steps))
    assert len(set(schedules)) == 1


def test_nothing_is_planned_for_results_without_elements():
    target, padding = KNOWN["avx512"], ((0, 0), (0, 0))
    weight = row_major(Buffer("float32", 100), (2, 2, 5, 5))
    x, y = (with_halo("float32", (0, 2, size, size), padding) for size in (9, 5))
    chain = Chain.identity("float32")
    assert plan_winograd_rows(x, weight, [y], chain, [], (1, 1), padding, (1, 1), 1, target) == []


convolution = partial(padded_convolution, padding=0)


ROWS_APART = input_tensor("x", (1, 64, 28, 28), "float32"), input_tensor("w", (64, 64, 5, 5), "float32")


@pytest.mark.parametrize(
    ("expected", "anchor"),
    [
        (IN_ROWS, convolution((1, 6, 14, 14), 16, (5, 5))),
        (IN_ROWS, convolution((4, 64, 28, 28), 64, (5, 5), padding=2)),
        (IN_ROWS, convolution((1, 64, 200), 64, (3,), padding=1)),
        (IN_ROWS, convolution((1, 64, 200), 64, (7,), padding=3)),
        (IN_ROWS, convolution((1, 64, 200), 64, (9,), padding=4)),
        ("direct", convolution((1, 3, 200), 64, (9,), padding=4)),  # loses too much
        (IN_ROWS, convolution((1, 8, 28, 28), 8, (5, 5), padding=2)),
        (IN_ROWS, convolution((1, 64, 28, 28), 64, (1, 5))),
        (IN_ROWS, primitives.convolution(*ROWS_APART, **apart((1, 64, 28, 28), 64, (5, 5), (2, 1)).settings)),
        ("winograd 4x4", convolution((1, 64, 56, 56), 64, (3, 3))),
        ("direct", convolution((1, 1, 28, 28), 6, (5, 5), padding=2)),
        ("direct", convolution((1, 4, 200), 16, (3,))),
        ("direct", convolution((1, 64, 16), 64, (5,), padding=2)),
        ("direct", convolution((1, 32, 20, 5), 32, (1, 3), padding=1)),
        (IN_ROWS, convolution((1, 64, 9, 7), 64, (5, 5))),
        (IN_COLUMNS, convolution((1, 64, 28, 7), 64, (5, 5))),
        (IN_COLUMNS, convolution((1, 64, 28, 5), 64, (5, 5))),
        (IN_COLUMNS, convolution((1, 64, 28, 28), 64, (5, 1))),
        (IN_COLUMNS, convolution((1, 48, 128, 128), 64, (4, 2), dilation=2)),
        (IN_ROWS, convolution((1, 64, 28, 28), 64, (4, 4))),
        ("direct", convolution((1, 8, 28, 28), 64, (2, 2))),
        ("direct", convolution((1, 64, 28, 28), 64, (5, 5), stride=2)),
        (IN_ROWS, convolution((1, 64, 28, 28), 64, (5, 5), dilation=2)),
        ("direct", convolution((1, 64, 15, 15), 64, (5, 5), dilation=14, padding=28)),
        ("direct", convolution((1, 64, 28, 28), 64, (5, 5), groups=2)),
        ("direct", convolution((1, 64, 28, 28), 64, (5, 5), dtype="float64")),
        ("direct", convolution((0, 64, 28, 28), 64, (5, 5))),
    ],
)
def test_what_is_chosen(expected, anchor):
    assert algorithm(anchor, KNOWN["avx512"], "fast") == expected
    assert algorithm(anchor, KNOWN["avx512"], "exact") == "direct"


def test_no_error_is_chosen_that_is_larger_than_promised(monkeypatch):
    anchor = convolution((1, 64, 28, 28), 64, (5, 5))
    assert all(row_error(taps, 4096) <= PROMISED for taps in ROW_ERRORS)
    assert best_in_pieces(anchor, KNOWN["avx512"]) == IN_ROWS
    monkeypatch.setitem(ROW_ERRORS, 5, {1: 1e-6, 2: 3e-5})
    assert best_in_pieces(anchor, KNOWN["avx512"]) is None


def test_which_windows_are_pooled():
    anchor, target = convolution((1, 6, 40, 40), 16, (5, 5)), KNOWN["avx512"]
    assert [pools(anchor, window, target, "fast") for window in ((2, 2), (3, 4), (2, 3), (8, 2))] == [
        True, True, False, False,
    ]  # fmt: skip
    anchor = convolution((1, 64, 40, 40), 64, (5, 1))
    assert [pools(anchor, window, target, "fast") for window in ((2, 2), (4, 3), (3, 2))] == [True, True, False]
    anchor = convolution((1, 64, 40, 40), 64, (5, 5), dilation=2)
    assert algorithm(anchor, target, "fast") == IN_ROWS
    assert not pools(anchor, (2, 2), target, "fast")


@pytest.mark.parametrize("name", ALONG)
def test_within_graphs(monkeypatch, name):
    """Forward and input gradients, one after the other."""
    monkeypatch.setattr(planning, "algorithm", lambda *_: name)
    random = np.random.default_rng(8)
    for seed in range(6):
        first = drawn(random)
        axes = len(first.x) - 2
        if axes < -ALONG[name]:
            continue
        first = turned(first) if name == IN_COLUMNS else first
        second = case(first.result, 21, (3,) * axes, padding=1)
        shapes = (first.x, first.weight, second.weight, second.result)
        values = [random.integers(-3, 4, shape).astype(np.float32) for shape in shapes]
        x, w, v, g = (input_tensor(f"x{place}", shape, "float32") for place, shape in enumerate(shapes))
        y = primitives.maximum(primitives.convolution(x, w, **first.settings), 0)
        z = primitives.convolution(y, v, **second.settings)
        back = primitives.convolution_input_gradient(g, v, size=first.result[2:], **second.settings)
        graph = Graph((x, w, v, g), (z, back))
        found = run_program(planning.compiled(graph, KNOWN["avx512"], frozenset((1, 2)), "fast"), values, seed)
        for ours, theirs in zip(found, evaluate(graph, values), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=PROMISED * max(1, abs(theirs).max(initial=0)))


@pytest.mark.parametrize("threads", [1, 2])
def test_networks_with_long_rows_of_taps(threads):
    """What is chosen by itself: the same bits for any number of threads, and close to what sums of products give."""
    net = wm.nn.Sequential(
        wm.nn.Conv2d(3, 12, 5, padding=2), wm.nn.ReLU(), wm.nn.Conv2d(12, 24, 5), wm.nn.ReLU(), wm.nn.MaxPool2d(2),
        wm.nn.Conv2d(24, 40, 7, padding=3),
    ).initialize(0)  # fmt: skip
    x = np.random.default_rng(9).standard_normal((3, 3, 37, 45)).astype(np.float32)
    convolutions = [node for node in trace(net, x).graph.nodes() if node.primitive.name == "convolution"]
    assert [algorithm(node, KNOWN["avx512"], "fast") for node in convolutions].count(IN_ROWS) >= 2
    expected = net(x)
    with wm.num_threads(threads):
        assert np.array_equal(net(x), expected)
    with wm.precision("exact"):
        exact = net(x)
    np.testing.assert_allclose(expected, exact, rtol=0, atol=1e-5 * abs(exact).max())
