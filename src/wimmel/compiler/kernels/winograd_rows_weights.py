"""Weights of Winograd's convolutions along rows, transformed: each row of taps becomes n planes of rows as the
micro-kernel reads them."""

from __future__ import annotations

from dataclasses import dataclass

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.microkernel import Block
from wimmel.compiler.kernels.winograd_costs import odd
from wimmel.compiler.kernels.winograd_tiles import Vectors, apart
from wimmel.compiler.kernels.winograd_transforms import ALONG_ROWS
from wimmel.compiler.language import Builder, Function, Type, Value
from wimmel.compiler.steps import Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target

TRANSFORMING = 8
"""To transform one vector of weights for each tap of its row, in multiply-adds."""

ROWS_OF_TASK = 64
"""Rows of taps that one task transforms, of all outputs of a block."""


@dataclass(frozen=True)
class RowWeightsSchedule:
    """Rows of taps, of which neighbouring outputs are neighbours, transformed.

    Attributes
    ----------
    taps : int
        Of a row.
    vectors, lanes : int
        Of a block.
    whole : bool
        Whether outputs fill all blocks.
    """

    taps: int
    vectors: int
    lanes: int
    whole: bool

    def kernel(self, target: Target, name: str) -> Function:
        builder = Builder(name)
        argument, begin, end, _ = builder.kernel()
        weights, result, outputs, rows, parts, plane = builder.arguments(argument, "ppiiii")
        transforms, vector, step = ALONG_ROWS[odd(self.taps)], Type("f32", self.lanes), self.vectors * self.lanes

        def task(number: Value) -> None:
            block, first = number // parts, number % parts * ROWS_OF_TASK

            def row(row: Value) -> None:
                for place in range(0, step, self.lanes):
                    output = block * step + place
                    mask = None if self.whole else builder.mask(outputs - output, self.lanes)
                    taken = builder.offset(weights, row * (self.taps * outputs) + output, "f32")
                    given = builder.offset(result, (block * rows + row) * step + place, "f32")
                    taps = [builder.load(taken, outputs * tap, vector, mask) for tap in range(self.taps)]
                    taps += [builder.constant(vector, 0.0)] * (odd(self.taps) - self.taps)
                    for value in transforms.weights(Vectors(builder), taps):
                        builder.store(value, given, 0)
                        given = builder.offset(given, plane, "f32")

            builder.loop(first, builder.minimum(first + ROWS_OF_TASK, rows), 1, row)

        builder.loop(begin, end, 1, task)
        return builder.function()


def plan_row_weights(weight: Place, block: Block, target: Target) -> tuple[Place, int, list[Step]]:
    """Transformed planes (blocks, rows of taps, channels, outputs of a block) of weights (outputs, channels, rows,
    taps), elements from one to the next, and the steps that write them."""
    outputs, channels, down, taps = weight.shape
    rows, blocks = down * channels, -(-outputs // block.outputs)
    in_order = weight.transposed((2, 1, 3, 0))
    copy = row_major(Buffer(weight.dtype, weight.size, name="packed"), in_order.shape)
    steps = plan_elements(Chain.identity(weight.dtype), [in_order], [copy], target, "pack")
    plane = apart(blocks * rows * block.outputs)
    size = ALONG_ROWS[odd(taps)].n * plane
    result = Place(Buffer(weight.dtype, size, name="transformed"), 0, (size,), (1,))
    parts = -(-rows // ROWS_OF_TASK)
    schedule = RowWeightsSchedule(taps, block.vectors, block.lanes, outputs % block.outputs == 0)
    numbers = (outputs, rows, parts, plane)
    work = blocks * rows * block.vectors * TRANSFORMING * taps
    steps.append(Step(schedule, (copy, result, *numbers), (result.buffer,), blocks * parts, "transform weights", work))
    return result, plane, steps
