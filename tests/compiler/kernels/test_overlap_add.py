"""Input gradients by overlapping runs give what the primitive defines, followed by the chain; they read no zeros around
the cotangent, and read and write nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler.contractions import EPILOGUES, case, drawn_case, elements, run_input_gradient, small
from compiler.machine import at, run_steps
from compiler.views import TARGETS
from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.border import with_halo
from wimmel.compiler.kernels.overlap_add import overlaps, plan_overlap_add
from wimmel.compiler.steps import Buffer, row_major
from wimmel.compiler.targets import KNOWN
from wimmel.graph import Tensor, primitives
from wimmel.graph.tensor import input_tensor

CASES = {"avx512": 40, "avx2": 16, "sse4.2": 10, "plain": 8}


def run(case, dtype, epilogue, target, seed):
    run_input_gradient(
        case, dtype, epilogue, target, seed, plan_overlap_add, lambda g, *_, **__: ((0, 0),) * (len(g) - 2)
    )


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_gradients_give_what_the_definition_gives(target):
    random = np.random.default_rng(23)
    for seed in range(CASES[target.name]):
        drawn = drawn_case(random)
        while drawn.settings["groups"] > 1:
            drawn = drawn_case(random)
        together = replace(drawn, settings={**drawn.settings, "dilation": (*drawn.settings["dilation"][:-1], 1)})
        run(together, "float64" if seed % 4 == 3 else "float32", EPILOGUES[seed % len(EPILOGUES)], target, seed)


NAMED = {
    "LeNet's second": case((3, 6, 14, 14), 16, (5, 5)),
    "rows shorter than any block": case((2, 6, 7, 6), 16, (5, 5)),
    "one column": case((2, 6, 9, 3), 10, (3, 3)),
    "runs of many vectors": case((2, 20, 12, 12), 50, (5, 5)),
    "padded": case((2, 5, 11, 40), 12, (3, 3), padding=1),
    "padding beyond the kernel": case((2, 3, 2, 2), 4, (2, 2), padding=5),
    "upsampling": case((1, 3, 20, 22), 16, (4, 4), stride=2, padding=1),
    "steps beyond the kernel": case((2, 20, 17, 13), 6, (2, 1), stride=4),
    "one channel": case((2, 1, 9, 30), 8, (3, 13)),
    "a signal": case((2, 4, 90), 24, (9,), stride=2, padding=4),
    "a volume": case((1, 2, 5, 6, 9), 19, (3, 2, 5), stride=2, padding=1),
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", NAMED)
def test_gradients_that_networks_have(name, target):
    seed = list(NAMED).index(name)
    run(NAMED[name], "float32", EPILOGUES[seed % 5], target, seed)
    run(NAMED[name], "float64", EPILOGUES[(seed + 2) % 5], target, seed)


def gradient(g, weight, case, target=KNOWN["avx512"]):
    """The gradient in float32, and the schedule of its kernel."""
    sizes = case.x[2:]
    none = ((0, 0),) * len(sizes)
    g_place, result = with_halo("float32", g.shape, none), with_halo("float32", (len(g), *case.x[1:]), none)
    weight_place = row_major(Buffer("float32", weight.size), weight.shape)
    steps = plan_overlap_add(
        g_place, weight_place, [result], Chain.identity("float32"), [], sizes, **case.settings, target=target
    )
    known = {g_place.buffer: elements(g_place, g.astype(np.float32), 0.0), weight_place.buffer: weight.ravel()}
    return at(result, run_steps(steps, known, target)), steps[-1].schedule


def test_cotangents_that_are_not_finite_reach_what_they_meet_and_nothing_else():
    random, geometry = np.random.default_rng(4), case((1, 3, 9, 9), 5, (3, 3), stride=2, padding=1)
    g, weight = small(random, geometry.result, "float32"), small(random, geometry.weight, "float32")
    g[0, 2, 1, 1], g[0, 0, 4, 4], g[0, 3, 0, 2] = np.nan, np.inf, -np.inf
    definition = primitives.convolution_input_gradient.definition
    with np.errstate(invalid="ignore"):
        expected = definition(g, weight, size=(9, 9), **geometry.settings)
    for target in TARGETS:
        np.testing.assert_array_equal(gradient(g, weight, geometry, target)[0], expected)


def test_neither_pictures_nor_their_sizes_change_code_or_bits():
    random = np.random.default_rng(5)
    weight = random.standard_normal((16, 6, 5, 5)).astype(np.float32)
    first = case((1, 6, 12, 9), 16, (5, 5))
    cotangent = random.standard_normal((1, 16, 8, 5)).astype(np.float32)
    found, schedule = gradient(cotangent, weight, first)
    several = np.concatenate([random.standard_normal(cotangent.shape).astype(np.float32), cotangent])
    wide = np.zeros((1, 16, 8, 40), np.float32)
    wide[..., :5] = cotangent
    for g, width in ((several, 9), (wide, 44)):
        other, same = gradient(g, weight, case((1, 6, 12, width), 16, (5, 5)))
        assert same == schedule
        np.testing.assert_array_equal(other[-1, ..., :5], found[0, ..., :5])


def test_nothing_is_planned_for_results_without_elements():
    geometry = case((0, 6, 12, 9), 16, (5, 5))
    settings = {**geometry.settings, "target": KNOWN["avx512"]}
    g, x = with_halo("float32", geometry.result, ((0, 0),) * 2), with_halo("float32", geometry.x, ((0, 0),) * 2)
    weight = row_major(Buffer("float32", 2400), geometry.weight)
    assert plan_overlap_add(g, weight, [x], Chain.identity("float32"), [], (12, 9), **settings) == []


def anchor(x: tuple[int, ...], outputs: int, kernel: tuple[int, ...], **settings: int) -> Tensor:
    geometry = case(x, outputs, kernel, **settings)
    g, weight = input_tensor("g", geometry.result, "float32"), input_tensor("w", geometry.weight, "float32")
    return primitives.convolution_input_gradient(g, weight, size=x[2:], **geometry.settings)


def test_it_is_chosen_where_lanes_would_be_idle_or_zeros_multiplied():
    target = KNOWN["avx512"]
    assert overlaps(anchor((1, 6, 14, 14), 16, (5, 5)), target)
    assert overlaps(anchor((1, 20, 28, 28), 40, (3, 3), padding=1), target)
    assert not overlaps(anchor((1, 6, 14, 14), 16, (5, 5), padding=2), target)
    assert not overlaps(anchor((1, 32, 28, 28), 32, (3, 3), padding=1), target)
    assert not overlaps(anchor((1, 3, 32, 32), 64, (7, 7), stride=2, padding=3), target)
    assert not overlaps(anchor((1, 6, 14, 14), 16, (5, 5), dilation=2), target)
    assert not overlaps(anchor((1, 64, 14, 14), 64, (5, 5)), target)


def test_neither_the_number_of_pictures_nor_their_size_has_a_say():
    for channels in range(1, 40):
        said = {
            overlaps(anchor((n, channels, size, size), 24, (5, 5)), KNOWN["avx512"])
            for n, size in ((1, 5), (7, 14), (64, 90))
        }
        assert len(said) == 1
