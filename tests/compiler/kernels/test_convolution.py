"""Convolution kernels give what the primitive defines, followed by the chain; they read and write nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler.contractions import EPILOGUES, case, convolved, drawn_case, run
from compiler.machine import at, run_steps
from compiler.views import TARGETS
from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels import convolution
from wimmel.compiler.kernels.border import with_halo
from wimmel.compiler.kernels.convolution import chosen_block, conforms, plan_convolution
from wimmel.compiler.kernels.microkernel import Block
from wimmel.compiler.steps import Buffer, Choice, Place, row_major
from wimmel.compiler.targets import KNOWN
from wimmel.graph import primitives

CASES = {"avx512": 60, "avx2": 30, "sse4.2": 20, "plain": 15}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_convolutions_give_what_the_definition_gives(target):
    random = np.random.default_rng(3)
    for seed in range(CASES[target.name]):
        drawn = drawn_case(random)
        dtype = "float64" if seed % 4 == 3 else "float32"
        run(drawn, dtype, EPILOGUES[seed % len(EPILOGUES)], target, seed)


NAMED = {
    "LeNet's first": case((2, 1, 28, 28), 6, (5, 5), padding=2),
    "LeNet's second": case((1, 6, 14, 14), 16, (5, 5)),
    "one channel to one": case((1, 1, 9, 31), 1, (3, 3), padding=1),
    "ResNet's stem": case((1, 3, 30, 30), 64, (7, 7), stride=2, padding=3),
    "deep and small": case((1, 130, 7, 7), 96, (3, 3), padding=1),
    "pointwise": case((2, 24, 9, 7), 70, (1, 1)),
    "pointwise, stride 2": case((2, 24, 9, 7), 40, (1, 1), stride=2),
    "a single pixel": case((3, 37, 1, 1), 45, (1, 1)),
    "three axes, pointwise": case((2, 5, 3, 4, 5), 17, (1, 1, 1)),
    "kernel as large as the picture": case((2, 20, 6, 5), 33, (6, 5)),
    "padding beyond the kernel": case((1, 3, 2, 2), 4, (2, 2), padding=5),
    "one row, long": case((1, 4, 1500), 18, (9,), padding=4),
    "dilated": case((1, 16, 17, 17), 16, (3, 3), padding=4, dilation=4),
    "many groups": case((2, 32, 8, 8), 64, (3, 3), padding=1, groups=16),
    "each channel its own": case((1, 6, 7, 7), 6, (3, 3), padding=1, groups=6),
}


@pytest.mark.parametrize("name", NAMED)
def test_convolutions_that_networks_have(name):
    for seed, epilogue in enumerate(("identity", "bias relu")):
        run(NAMED[name], "float32", epilogue, KNOWN["avx512"], seed)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_sums_are_as_exact_as_float32_allows(target):
    random = np.random.default_rng(5)
    x, weight = random.standard_normal((2, 40, 11, 12)), random.standard_normal((33, 40, 3, 3))
    settings = case(x.shape, 33, (3, 3), padding=1).settings
    found = convolved(x, weight, settings, target)
    expected = primitives.convolution.definition(x, weight, **settings)
    largest = primitives.convolution.definition(abs(x), abs(weight), **settings)
    assert (abs(found - expected) <= 40 * 9 * 2.0**-24 * largest).all()
    assert abs(found - expected).max() < 3e-6 * abs(expected).max()


def test_neither_the_block_nor_the_other_pictures_change_bits(monkeypatch):
    random = np.random.default_rng(7)
    target = KNOWN["avx512"]
    x, weight = random.standard_normal((3, 19, 13, 11)), random.standard_normal((35, 19, 3, 3))
    settings = case(x.shape, 35, (3, 3), stride=2, padding=1).settings
    expected = convolved(x, weight, settings, target)
    assert np.array_equal(convolved(x[1:2], weight, settings, target), expected[1:2])
    for pixels, vectors, lanes in ((1, 1, 16), (3, 4, 16), (6, 2, 8), (14, 1, 4), (28, 1, 16)):
        block = Block(pixels, vectors, lanes, "f32", unroll=3)
        monkeypatch.setattr(convolution, "chosen_block", lambda *_, block=block: Choice("block", (block,), block))
        assert np.array_equal(convolved(x, weight, settings, target), expected)


def test_pictures_of_another_size_need_no_new_code():
    target, weight = KNOWN["avx512"], row_major(Buffer("float32", 24 * 8 * 9), (24, 8, 3, 3))
    padding = ((1, 1), (1, 1))
    schedules = []
    for n, height, width in ((1, 9, 9), (3, 5, 70), (2, 1, 1), (1, 224, 224), (2, 13, 3)):
        x = with_halo("float32", (n, 8, height, width), padding)
        y = with_halo("float32", (n, 24, height, width), ((0, 0), (0, 0)))
        *packing, step = plan_convolution(
            x, weight, [y], Chain.identity("float32"), [], (1, 1), padding, (1, 1), 1, target
        )
        schedules.append((*(step.schedule for step in packing), step.schedule))
    assert len(set(schedules)) == 1


def test_nothing_is_planned_for_results_without_elements():
    target, padding = KNOWN["avx512"], ((0, 0),)
    weight = row_major(Buffer("float32", 12), (2, 2, 3))
    for n, outputs in ((0, 5), (2, 0)):
        x, y = (with_halo("float32", (n, 2, size), padding) for size in (7, outputs))
        chain = Chain.identity("float32")
        assert plan_convolution(x, weight, [y], chain, [], (1,), padding, (1,), 1, target) == []


def test_a_sum_of_nothing_is_zero():
    target, padding = KNOWN["avx512"], ((0, 0), (0, 0))
    weight = row_major(Buffer("float32", 0), (5, 0, 1, 1))
    x, y = with_halo("float32", (2, 0, 3, 4), padding), with_halo("float32", (2, 5, 3, 4), padding)
    steps = plan_convolution(x, weight, [y], Chain.identity("float32"), [], (1, 1), padding, (1, 1), 1, target)
    assert not at(y, run_steps(steps, {}, target)).any()


def test_a_block_is_chosen_once_for_all_sizes():
    target = KNOWN["avx512"]
    assert chosen_block("a test's", target, "f32", 32, 7).taken is chosen_block("a test's", target, "f32", 32, 56).taken


def test_operands_that_an_epilogue_can_read():
    buffer = Buffer("float32", 4096)
    shape = (2, 8, 4, 4)
    assert conforms(Place(buffer, 0, shape, (128, 1, 32, 8)))
    assert conforms(Place(buffer, 0, shape, (0, 1, 0, 0)))
    assert conforms(Place(buffer, 0, shape, (1, 0, 0, 0)))
    assert not conforms(row_major(buffer, shape))
    assert conforms(replace(row_major(buffer, (2, 1, 4, 4))))
