"""Weights of Winograd's convolutions that serve one call only: transformed beforehand, or where they are used if no
cache holds them. Neither changes a bit."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from compiler.contractions import EPILOGUES, Case, case, convolved, run, run_input_gradient
from compiler.machine import run_program
from compiler.views import TARGETS
from wimmel.compiler import planning
from wimmel.compiler.kernels.input_gradient import input_gradient_halo, plan_input_gradient
from wimmel.compiler.kernels.winograd import WinogradSchedule, plan_winograd
from wimmel.compiler.kernels.winograd_costs import PROMISED, widened
from wimmel.compiler.kernels.winograd_transforms import TRANSFORMS
from wimmel.compiler.steps import Step
from wimmel.compiler.targets import KNOWN, Target
from wimmel.graph import Graph, evaluate, primitives
from wimmel.graph.tensor import input_tensor

CASES = {"avx512": 24, "avx2": 16, "sse4.2": 12, "plain": 6}


def small(target: Target, rows: int = 0) -> Target:
    """The target with caches that hold no weights, or those of so few channels."""
    return replace(target, l2_bytes=max(2 * 36 * 16 * 4 * rows, 4096), l3_bytes=0)


def plan_fresh(*arguments, **settings) -> list[Step]:
    """Weights are transformed in the kernel that multiplies, but where there are no results."""
    steps = plan_winograd(*arguments, **settings, prepared=False)
    assert all(step.schedule.weights for step in steps if isinstance(step.schedule, WinogradSchedule))
    return steps


def drawn(random: np.random.Generator, films: bool) -> Case:
    channels, outputs = (int(random.choice([1, 2, 3, 5, 8, 16, 17, 31, 33, 48, 70])) for _ in range(2))
    kernel = (int(random.integers(2, 4)), 3, 3) if films else (3, 3)
    axes = len(kernel)
    sizes = tuple(int(n) for n in random.integers(3, 8 if films else 18, axes))
    settings = {"stride": (1,) * axes, "padding": ((1, 1),) * axes, "dilation": (1,) * axes, "groups": 1}
    return Case((int(random.integers(1, 4)), channels, *sizes), (outputs, channels, *kernel), settings)


@pytest.mark.parametrize("tile", TRANSFORMS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_convolutions_give_what_the_definition_gives(target, tile):
    random, plan = np.random.default_rng(21), partial(plan_fresh, tile=tile)
    epilogues, tolerance = (EPILOGUES, 0) if tile == 2 else ([e for e in EPILOGUES if e != "compared"], PROMISED)
    for seed in range(CASES[target.name]):
        epilogue, caches = epilogues[seed % len(epilogues)], small(target, int(random.choice([0, 1, 4, 13, 100])))
        run(drawn(random, seed % 4 == 3), "float32", epilogue, caches, seed, plan, tile, tolerance)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_input_gradients_give_what_the_definition_gives(target, fresh):
    """Their weights are read backwards."""
    random = np.random.default_rng(22)
    convolution = partial(plan_fresh if fresh else plan_winograd, tile=2)

    def halo(g, weight, size, **settings):
        return widened(input_gradient_halo(g, weight, size, **settings), size, 2)

    for seed in range(CASES[target.name]):
        caches = small(target, int(random.choice([0, 3, 9])))
        plan = partial(plan_input_gradient, plan=convolution)
        run_input_gradient(drawn(random, seed % 4 == 3), "float32", "identity", caches, seed, plan, halo)


@pytest.mark.parametrize("tile", TRANSFORMS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_where_weights_are_transformed_changes_no_bit(target, tile, monkeypatch):
    random = np.random.default_rng(23)
    x, weight = random.standard_normal((3, 37, 13, 11)), random.standard_normal((35, 37, 3, 3))
    settings = case(x.shape, 35, (3, 3), padding=1).settings
    beforehand, fresh = partial(plan_winograd, tile=tile), partial(plan_fresh, tile=tile)
    expected = convolved(x, weight, settings, target, beforehand, tile)
    for rows in (0, 2, 20, 100):
        assert np.array_equal(convolved(x, weight, settings, small(target, rows), fresh, tile), expected)
        assert np.array_equal(convolved(x[1:2], weight, settings, small(target, rows), fresh, tile), expected[1:2])
    for shares in ((1, 1, 1), (5, 1, 1), (7, 2, 1), (30, 2, 2)):
        monkeypatch.setattr("wimmel.compiler.kernels.winograd._shares", lambda *_, shares=shares: shares)
        assert np.array_equal(convolved(x, weight, settings, small(target, 5), fresh, tile), expected)


def test_within_graphs_only_weights_that_change_are_transformed_where_they_are_used():
    """A forward convolution and its input gradient, in a network that is used and in one that is taught."""
    random, target = np.random.default_rng(24), small(KNOWN["avx512"], 7)
    settings = case((2, 48, 9, 9), 33, (3, 3), padding=1).settings
    values = [random.standard_normal(shape).astype(np.float32) for shape in ((2, 48, 9, 9), (33, 48, 3, 3))]
    inputs = [input_tensor(f"x{place}", each.shape, "float32") for place, each in enumerate(values)]
    y = primitives.convolution(*inputs, **settings)
    graph = Graph(tuple(inputs), (y, primitives.convolution_input_gradient(y, inputs[1], size=(9, 9), **settings)))
    found = {}
    for stable in (frozenset[int](), frozenset((1,))):
        program = planning.compiled(graph, target, stable, "fast")
        kernels = [step.schedule for step in program.steps if isinstance(step.schedule, WinogradSchedule)]
        assert len(kernels) == 2
        assert all((kernel.weights is None) == bool(stable) for kernel in kernels)
        found[stable] = run_program(program, values)
    for ours, theirs, expected in zip(*found.values(), evaluate(graph, values), strict=True):
        assert np.array_equal(ours, theirs)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=PROMISED * abs(expected).max())
