"""Packed panels hold every element once, in the micro-kernel's order, and zeros behind the last output."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.machine import at, run_steps
from compiler.views import TARGETS, drawn_place, filled
from wimmel.compiler.kernels.microkernel import Block
from wimmel.compiler.kernels.packing import plan_packing
from wimmel.compiler.steps import Buffer, row_major
from wimmel.compiler.targets import KNOWN


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_panels_of_views_of_any_kind(target):
    random = np.random.default_rng(1)
    for seed in range(20):
        outer, inner = int(random.integers(0, 3)), int(random.integers(1, 4))
        before = tuple(int(n) for n in random.integers(1, 4, outer))
        after = tuple(int(n) for n in random.integers(1, 6, inner))
        outputs = int(random.choice([1, 2, 7, 16, 31, 32, 33, 50]))
        dtype = str(random.choice(["float32", "float64"]))
        block = Block(1, int(random.integers(1, 4)), int(random.choice([1, 4, 8])), "f32", 1)
        source = drawn_place(random, dtype, (*before, outputs, *after))
        panels, steps = plan_packing(source, outer, block, target)
        values = {source.buffer: filled(random, source.buffer)}
        found = at(panels, run_steps(steps, values, target, seed))
        assert found.shape == (*before, -(-outputs // block.outputs), *after, block.outputs)
        together = np.moveaxis(found, -1, outer + 1).reshape(*before, -1, *after)
        every = np.moveaxis(together, outer, 0)
        np.testing.assert_array_equal(every[:outputs], np.moveaxis(at(source, values), outer, 0))
        assert not every[outputs:].any()


def test_the_order_within_a_panel():
    source = row_major(Buffer("float32", 12), (3, 4))
    values = np.arange(12, dtype=np.float32)
    panels, steps = plan_packing(source, 0, Block(1, 1, 2, "f32", 1), KNOWN["avx512"])
    found = run_steps(steps, {source.buffer: values})[panels.buffer]
    assert found.tolist() == [0, 4, 1, 5, 2, 6, 3, 7, 8, 0, 9, 0, 10, 0, 11, 0]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_turned_kernels_are_packed_by_shuffles(target):
    weight = row_major(Buffer("float32", 5 * 48 * 9), (5, 48, 3, 3))
    values = {weight.buffer: np.arange(weight.size, dtype=np.float32)}
    turned = weight.transposed((1, 2, 3, 0)).sliced((0, 2, 2, 0), (48, 3, 3, 5), (1, -1, -1, 1))
    panels, steps = plan_packing(turned, 0, Block(1, 1, 16, "f32", 1), target)
    found = np.moveaxis(at(panels, run_steps(steps, values, target)), -1, 1).reshape(48, 3, 3, 5)
    expected = values[weight.buffer].reshape(weight.shape)[:, :, ::-1, ::-1].transpose(1, 2, 3, 0)
    np.testing.assert_array_equal(found, expected)
    if target.vector_bytes > 16:
        assert [type(step.schedule).__name__ for step in steps] == ["TransposingSchedule"]


def test_nothing_to_pack():
    for shape in ((0, 4), (3, 0)):
        panels, steps = plan_packing(
            row_major(Buffer("float32", 0), shape), 0, Block(1, 1, 16, "f32", 1), KNOWN["avx2"]
        )
        assert steps == [] and panels.size == 0
