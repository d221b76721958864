"""Input gradients give what the primitive defines, followed by the chain; they read and write nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.contractions import (
    EPILOGUES,
    Case,
    case,
    drawn_case,
    elements,
    run_input_gradient,
    small,
)
from compiler.machine import at, run_steps
from compiler.views import TARGETS
from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.border import with_halo
from wimmel.compiler.kernels.input_gradient import input_gradient_halo, phases, plan_input_gradient
from wimmel.compiler.steps import Buffer, row_major
from wimmel.compiler.targets import KNOWN
from wimmel.geometry import Pairs
from wimmel.graph import primitives

CASES = {"avx512": 30, "avx2": 12, "sse4.2": 8, "plain": 6}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_gradients_give_what_the_definition_gives(target):
    random = np.random.default_rng(11)
    for seed in range(CASES[target.name]):
        drawn = drawn_case(random)
        run_input_gradient(
            drawn, "float64" if seed % 4 == 3 else "float32", EPILOGUES[seed % len(EPILOGUES)], target, seed
        )


NAMED = {
    "LeNet's second": case((2, 6, 14, 14), 16, (5, 5)),
    "ResNet's stem": case((1, 3, 30, 30), 64, (7, 7), stride=2, padding=3),
    "upsampling": case((1, 20, 10, 12), 33, (2, 2), stride=2),
    "one tap, stride 2": case((2, 24, 9, 7), 40, (1, 1), stride=2),
    "steps beyond the kernel": case((2, 5, 17, 13), 6, (2, 1), stride=4),
    "stride beyond the picture": case((2, 5, 2, 3), 6, (2, 3), stride=7),
    "padding beyond the kernel": case((1, 3, 2, 2), 4, (2, 2), padding=5),
    "stride and dilation in common": case((1, 4, 21, 20), 9, (3, 3), stride=4, padding=2, dilation=6),
    "three axes": case((1, 2, 5, 6, 7), 19, (3, 2, 3), stride=2, padding=1),
    "groups": case((2, 12, 8, 8), 30, (3, 3), stride=2, padding=1, groups=3),
}


def apart(
    x: tuple[int, ...], outputs: int, kernel: tuple[int, ...], stride: tuple[int, ...], padding: Pairs = (),
    dilation: tuple[int, ...] = (), groups: int = 1,
) -> Case:  # fmt: skip
    axes = len(kernel)
    settings = {"stride": stride, "padding": padding or ((0, 0),) * axes, "dilation": dilation or (1,) * axes}
    return Case(x, (outputs, x[1] // groups, *kernel), {**settings, "groups": groups})


MANY_PHASES = {
    "patches": apart((2, 3, 26, 20), 7, (6, 5), (6, 5)),
    "patches cut and padded": apart((1, 3, 23, 29), 5, (5, 7), (6, 7), ((2, 1), (0, 3))),
    "a kernel of two strides and a half": apart((1, 4, 70), 6, (50,), (20,), ((7, 7),)),
    "in groups": apart((2, 6, 30, 30), 8, (7, 6), (7, 9), groups=2),
    "dilated": apart((1, 5, 200), 4, (17,), (37,), ((3, 3),), (2,)),
    "dilated round": apart((1, 2, 301), 3, (19,), (20,), ((11, 11),), (13,)),
    "three axes": apart((1, 2, 12, 9, 8), 19, (3, 4, 3), (3, 4, 4)),
    "one axis apart": apart((1, 8, 40, 15), 9, (20, 3), (20, 1), ((0, 0), (1, 1))),
}


@pytest.mark.parametrize("target", TARGETS[:2], ids=lambda target: target.name)
@pytest.mark.parametrize("name", MANY_PHASES)
def test_gradients_of_many_phases(name, target):
    for seed, epilogue in enumerate(EPILOGUES):
        run_input_gradient(MANY_PHASES[name], "float32", epilogue, target, seed)


def test_large_strides_take_few_steps():
    target, chain = KNOWN["avx512"], Chain.identity("float32")
    for size, kernel, stride in (
        ((448, 448), (224, 224), (224, 224)),
        ((300000,), (3,), (100000,)),
        ((5120,), (512,), (512,)),
    ):
        settings = {
            "stride": stride, "padding": ((0, 0),) * len(size), "dilation": (1,) * len(size), "groups": 1,
        }  # fmt: skip
        outputs = tuple(-(-n // s) for n, s in zip(size, stride, strict=True))
        g, x = (
            with_halo("float32", (1, 8, *outputs), ((0, 0),) * len(size)),
            with_halo("float32", (1, 3, *size), ((0, 0),) * len(size)),
        )
        weight = row_major(Buffer("float32", 24 * int(np.prod(kernel))), (8, 3, *kernel))
        assert not np.any(input_gradient_halo(g.shape, weight.shape, size, **settings))
        assert len(plan_input_gradient(g, weight, [x], chain, [], size, **settings, target=target)) <= 12


@pytest.mark.parametrize("name", NAMED)
def test_gradients_that_networks_have(name):
    for seed, epilogue in enumerate(("identity", "bias relu")):
        run_input_gradient(NAMED[name], "float32", epilogue, KNOWN["avx512"], seed)


def test_every_element_of_an_axis_that_a_tap_reaches_belongs_to_one_phase():
    random = np.random.default_rng(2)
    for _ in range(200):
        size, kernel, stride, before, dilation = (int(n) for n in random.integers((0, 1, 1, 0, 1), (20, 6, 7, 9, 8)))
        found = phases(size, kernel, stride, before, dilation)
        covered = [phase.first + stride * k for phase in found for k in range(phase.count)]
        reached = {i for i in range(size) for t in range(kernel) if (i + before - t * dilation) % stride == 0}
        assert sorted(covered) == sorted(reached)
        met = sorted(
            (
                phase.first + stride * k,
                phase.start + phase.dilation * (phase.taps - 1 - t) + k,
                phase.tap + phase.apart * t,
            )
            for phase in found
            for k in range(phase.count)
            for t in range(phase.taps)
        )
        defined = sorted(
            ((i, (i + before - t * dilation) // stride, t))
            for i in range(size)
            for t in range(kernel)
            if (i + before - t * dilation) % stride == 0
        )
        assert sorted(met) == defined


def test_elements_that_no_tap_reaches_get_the_chain_of_zero():
    dtype, target, settings = (
        "float32",
        KNOWN["avx2"],
        {"stride": (3,), "padding": ((0, 0),), "dilation": (1,), "groups": 1},
    )
    lines = (Line("subtract", (1, 0), dtype), Line("constant", (), dtype, 5), Line("multiply", (2, 3), dtype))
    chain = Chain((dtype, dtype), lines, (4, 0))
    g, weight = with_halo(dtype, (1, 2, 3), ((0, 1),)), row_major(Buffer(dtype, 6), (2, 3, 1))
    results = [with_halo(dtype, (1, 3, 8), ((0, 0),)) for _ in range(2)]
    bias = row_major(Buffer(dtype, 3), (3, 1)).stretched((1, 3, 8))
    steps = plan_input_gradient(g, weight, results, chain, [bias], (8,), **settings, target=target)
    known = {g.buffer: elements(g, np.ones((1, 2, 3), dtype), 0.0), weight.buffer: np.ones(6), bias.buffer: [1, 2, 3]}
    arrays = run_steps(steps, known, target)
    reached = np.isin(np.arange(8), (0, 3, 6))
    np.testing.assert_array_equal(at(results[1], arrays)[0], np.where(reached, 2, 0) * np.ones((3, 1)))
    np.testing.assert_array_equal(at(results[0], arrays)[0], 5 * (np.array([[1], [2], [3]]) - np.where(reached, 2, 0)))


def test_cotangents_that_are_not_finite_reach_what_they_meet_and_nothing_else():
    random, target = np.random.default_rng(4), KNOWN["avx512"]
    geometry = case((1, 3, 9, 9), 5, (3, 3), stride=2, padding=1)
    g, weight = small(random, geometry.result, "float64"), small(random, geometry.weight, "float64")
    g[0, 2, 1, 1], g[0, 0, 4, 4], g[0, 3, 0, 2] = np.nan, np.inf, -np.inf
    halo = input_gradient_halo(g.shape, weight.shape, (9, 9), **geometry.settings)
    g_place, result = with_halo("float64", g.shape, halo), with_halo("float64", geometry.x, ((0, 0), (0, 0)))
    weight_place = row_major(Buffer("float64", weight.size), weight.shape)
    chain = Chain.identity("float64")
    steps = plan_input_gradient(g_place, weight_place, [result], chain, [], (9, 9), **geometry.settings, target=target)
    known = {g_place.buffer: elements(g_place, g, 0.0), weight_place.buffer: weight}
    with np.errstate(invalid="ignore"):
        expected = primitives.convolution_input_gradient.definition(g, weight, size=(9, 9), **geometry.settings)
    np.testing.assert_array_equal(at(result, run_steps(steps, known, target)), expected)


def test_nothing_is_planned_for_results_without_elements():
    settings = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1, "target": KNOWN["avx512"]}
    weight = row_major(Buffer("float32", 12), (2, 2, 3))
    chain = Chain.identity("float32")
    g, x = with_halo("float32", (0, 2, 5), ((2, 2),)), with_halo("float32", (0, 2, 7), ((0, 0),))
    assert plan_input_gradient(g, weight, [x], chain, [], (7,), **settings) == []


def test_gradients_of_no_outputs_are_zero():
    settings = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1, "target": KNOWN["avx512"]}
    weight = row_major(Buffer("float32", 0), (0, 2, 3))
    chain = Chain.identity("float32")
    g, x = with_halo("float32", (1, 0, 5), ((2, 2),)), with_halo("float32", (1, 2, 7), ((0, 0),))
    steps = plan_input_gradient(g, weight, [x], chain, [], (7,), **settings)
    assert not at(x, run_steps(steps, {}, KNOWN["avx512"])).any()
