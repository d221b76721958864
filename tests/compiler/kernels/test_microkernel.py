"""The micro-kernel adds every product once and in order, whatever its block, its strides and how they are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from compiler.machine import run_steps
from compiler.views import TARGETS
from wimmel.compiler.kernels.microkernel import Block, accumulate, block_for, zeros
from wimmel.compiler.language import Builder, Function, Number
from wimmel.compiler.steps import Buffer, Step, row_major
from wimmel.compiler.targets import KNOWN, Target


@dataclass(frozen=True)
class OneBlock:
    """A kernel that is one run of products: accumulators begin at zero and are stored one after another."""

    block: Block
    panels: int
    length: int
    strides: tuple[int, int, int]
    known: tuple[bool, bool, bool, bool]
    """Whether the length and the strides of a's pixels, a's steps and b's steps are in the code."""
    filled: int

    def kernel(self, target: Target, name: str) -> Function:
        builder, block = Builder(name), self.block
        arguments, begin, end, _ = builder.kernel()
        a, b, result, *numbers = builder.arguments(arguments, "pppiiiii")
        numbers, panel = numbers[:4], numbers[4]
        given = (self.length, *self.strides)
        length, *strides = (
            number if known else word for number, word, known in zip(given, numbers, self.known, strict=True)
        )
        panels = [builder.offset(b, panel * number, block.kind) for number in range(self.panels)]
        masks = []
        if self.filled < block.vectors * block.lanes:
            masks = [builder.mask(self.filled - v * block.lanes, block.lanes) for v in range(block.vectors)]

        def task(_: Number) -> None:
            first = panels[0] if self.panels == 1 else panels
            sums = accumulate(builder, block, a, first, length, zeros(builder, block), *strides, masks=masks)
            for place, value in enumerate(sums):
                builder.store(value, result, place * block.lanes)

        builder.loop(begin, end, 1, task)
        return builder.function()


def run(schedule: OneBlock, target: Target, seed: int) -> None:
    """Against the sum of products in NumPy; both matrices are small whole numbers, between NaNs."""
    random = np.random.default_rng(seed)
    block, length, (a_pixel, a_step, b_step) = schedule.block, schedule.length, schedule.strides
    dtype = {"f32": "float32", "f64": "float64"}[block.kind]
    outputs = block.vectors * block.lanes
    of_panel = outputs // schedule.panels
    reached = (block.pixels - 1) * a_pixel + max(length - 1, 0) * a_step + 1
    panel = max(length - 1, 0) * b_step + of_panel
    wanted = [(place // of_panel) * panel + place % of_panel for place in range(min(schedule.filled, outputs))]
    a, b = np.full(reached, np.nan, dtype), np.full(wanted[-1] + max(length - 1, 0) * b_step + 1, np.nan, dtype)
    rows, steps = np.arange(block.pixels), np.arange(length)
    left = rows[:, None] * a_pixel + steps * a_step
    right = steps[:, None] * b_step + np.array(wanted)
    a[left] = random.integers(-9, 10, left.shape)
    b[right] = random.integers(-9, 10, right.shape)
    expected = np.zeros((block.pixels, outputs), dtype)
    expected[:, : len(wanted)] = a[left] @ b[right]

    places = [row_major(Buffer(dtype, size), (size,)) for size in (a.size, b.size, expected.size)]
    numbers = (length, *schedule.strides, panel)
    step = Step(schedule, (*places, *numbers), (places[2].buffer,), 1)
    arrays = run_steps([step], {places[0].buffer: a, places[1].buffer: b}, target, seed)
    np.testing.assert_array_equal(arrays[places[2].buffer].reshape(expected.shape), expected)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_blocks_add_all_products(target):
    random = np.random.default_rng(11)
    for seed in range(24):
        kind = "f64" if seed % 4 == 3 else "f32"
        panels = int(random.choice([1, 1, 2, 3]))
        pixels, vectors, unroll = (int(n) for n in random.integers(1, 6, 3))
        lanes = max(1, target.lanes(kind) >> int(random.integers(0, 3)))
        block = Block(pixels, vectors * panels, lanes, kind, unroll)
        length = int(random.choice([0, 1, 2, 7, 16, 33]))
        strides = (int(random.integers(0, 40)), int(random.integers(1, 9)), int(vectors * lanes + random.integers(3)))
        known = tuple(bool(flag) for flag in random.random(4) < 0.6)
        masked = panels == 1 and lanes > 1 and random.random() < 0.5
        filled = int(random.integers(1, block.outputs + 1)) if masked else block.outputs
        run(OneBlock(block, panels, length, strides, known, filled), target, seed)


def test_products_are_added_in_order():
    """Of numbers that cancel, any other order leaves something else."""
    target, length = KNOWN["avx512"], 37
    random = np.random.default_rng(2)
    a = (random.standard_normal(length) * 10.0 ** random.integers(-3, 8, length)).astype(np.float32)
    sums = np.float32(0)
    for element in a:
        sums = np.float32(sums + element)
    for unroll, known in ((1, True), (4, False), (8, True)):
        block = Block(3, 2, 16, "f32", unroll)
        schedule = OneBlock(block, 1, length, (0, 1, 32), (known,) * 4, 32)
        places = [row_major(Buffer("float32", size), (size,)) for size in (length, 32 * length, 96)]
        step = Step(schedule, (*places, length, 0, 1, 32, 0), (places[2].buffer,), 1)
        arrays = run_steps([step], {places[0].buffer: a, places[1].buffer: np.ones(32 * length)}, target)
        assert np.array_equal(arrays[places[2].buffer], np.full(96, sums))


@pytest.mark.parametrize("target", KNOWN.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_blocks_fit_the_registers_and_the_outputs(target, kind):
    for outputs in (1, 2, 3, 6, 10, 16, 17, 24, 33, 64, 100, 512):
        for pixels in (1, 2, 3, 4, 5, 7, 14, 17, 28, 55, 224):
            block = block_for(target, kind, outputs, pixels, 576, 64)
            assert block.pixels * block.vectors + min(block.pixels, block.vectors) + 1 <= target.registers
            assert block.lanes <= target.lanes(kind)
            assert (block.vectors - 1) * block.lanes < outputs
            assert block.lanes == 1 or block.lanes // 2 < outputs


def test_blocks_of_networks_waste_nothing():
    target = KNOWN["avx512"]
    for outputs, pixels in ((64, 56), (128, 28), (256, 14), (512, 7), (64, 112)):
        block = block_for(target, "f32", outputs, pixels)
        assert outputs % block.outputs == pixels % block.pixels == 0
        assert block.pixels * block.vectors >= 14


def test_pixels_that_would_push_each_other_out_of_the_cache_are_not_in_one_block():
    target = KNOWN["avx512"]
    assert block_for(target, "f32", 64, 196, 2048, 2048).pixels <= 8
    assert block_for(target, "f32", 64, 196, 2048, 2000).pixels > 8


def test_one_output_is_one_lane():
    assert zeros(Builder("none"), block_for(KNOWN["avx2"], "f64", 1, 8))[0].type.lanes == 1
