"""Weights of Winograd's convolutions, transformed: 3x3 taps are read where they lie, turned round in registers so that
lanes are outputs, and become n x n planes of rows as the micro-kernel reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.microkernel import Block
from wimmel.compiler.kernels.shuffles import transposed
from wimmel.compiler.kernels.winograd_costs import WEIGHTS
from wimmel.compiler.kernels.winograd_tiles import Vectors, apart, store_planes
from wimmel.compiler.kernels.winograd_transforms import TRANSFORMS, over_two_axes
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import Argument, Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target

ROWS_OF_TASK = 64
"""Rows of weights that one task transforms."""

TAPS = 9
"""One row after another."""

AHEAD = 8
"""Channels that lie between one and what is fetched into the second-level cache meanwhile."""


@dataclass(frozen=True)
class WinogradWeightsSchedule:
    """Weights transformed: rows of a block's outputs, 3x3 of them for each channel, become n x n planes of rows.

    Attributes
    ----------
    tile : int
        Outputs along a side.
    vectors, lanes : int
        Of a row.
    backwards : bool
        Whether the taps of a channel lie one before the other, and not one behind the other.
    films : bool
        Whether there are several planes of taps.
    whole : bool
        Whether outputs fill all blocks.
    """

    tile: int
    vectors: int
    lanes: int
    backwards: bool
    films: bool
    whole: bool

    @property
    def outputs(self) -> int:
        return self.vectors * self.lanes

    def kernel(self, target: Target, name: str) -> Function:
        builder = Builder(name)
        argument, begin, end, _ = builder.kernel()
        weights, result, *words = builder.arguments(argument, "pp" + "i" * (3 + SIZES))
        rows, parts, plane, *sizes = words
        transformation = WeightsTransformation(builder, self, weights, sizes)

        def task(number: Value) -> None:
            block, first = number // parts, number % parts * ROWS_OF_TASK
            given = builder.offset(result, (block * rows + first) * self.outputs, "f32")
            transformation.rows(block, first, builder.minimum(first + ROWS_OF_TASK, rows), given, plane)

        builder.loop(begin, end, 1, task)
        return builder.function()


SIZES = 5
"""Numbers that `sizes` gives, and a kernel takes."""


def sizes(weight: Place) -> list[int]:
    """What tells where weights (outputs, channels, planes, 3, 3) lie."""
    return [*weight.shape[:2], *weight.strides[:3]]


class WeightsTransformation:
    """Writes code that transforms weights of a block of outputs.

    Parameters
    ----------
    builder : Builder
    schedule : WinogradWeightsSchedule
    weights : Value
        Pointer to the first tap.
    numbers : sequence of Value
        What `sizes` gives.
    """

    def __init__(
        self, builder: Builder, schedule: WinogradWeightsSchedule, weights: Value, numbers: Sequence[Value]
    ) -> None:
        self.builder = builder
        self.schedule = schedule
        self.weights = weights
        self.outputs, self.channels, self.by_output, self.by_channel, self.by_plane = numbers

    def rows(self, block: Value, first: Number, last: Number, result: Value, plane: Number) -> None:
        """Rows from the first on, one for each plane and channel, written one after another to where the result points,
        and to planes so far apart."""
        builder, schedule = self.builder, self.schedule

        def row(number: Value) -> None:
            place = number * self.by_channel
            if schedule.films:
                place = number // self.channels * self.by_plane + number % self.channels * self.by_channel
            taken = builder.offset(self.weights, place, "f32")
            given = builder.offset(result, (number - first) * schedule.outputs, "f32")

            def vector(lane: Value) -> None:
                taps = self.taps(taken, block * schedule.outputs + lane)
                columns = ([taps[3 * i + j] for i in range(3)] for j in range(3))
                square = over_two_axes(TRANSFORMS[schedule.tile].weights, Vectors(builder), columns)
                store_planes(builder, square, builder.offset(given, lane, "f32"), plane)

            builder.loop(0, schedule.outputs, schedule.lanes, vector)

        builder.loop(first, last, 1, row)

    def taps(self, channel: Value, output: Value) -> list[Value]:
        """The taps of a channel for some outputs: a vector for each. Lanes behind the last output repeat it."""
        builder, schedule, lanes = self.builder, self.schedule, self.schedule.lanes
        lines = []
        for lane in range(lanes):
            number = output + lane if schedule.whole else builder.minimum(output + lane, self.outputs - 1)
            line = builder.offset(channel, number * self.by_output, "f32")
            builder.prefetch(line, self.by_channel * AHEAD, "f32", level=2)
            lines.append(builder.offset(line, 1 - TAPS, "f32") if schedule.backwards else line)
        mask = builder.constant(Type("i1", lanes), [lane < TAPS for lane in range(lanes)]) if lanes > TAPS else None
        found = dict[int, Value]()
        for start in (*range(0, TAPS - lanes, lanes), max(TAPS - lanes, 0)):
            vectors = [builder.load(line, start, Type("f32", lanes), mask) for line in lines]
            found.update(enumerate(transposed(builder, vectors), start))
        return [found[TAPS - 1 - tap if schedule.backwards else tap] for tap in range(TAPS)]


def readable(weight: Place, target: Target) -> tuple[Place, list[Step]]:
    """The weights (outputs, channels, planes, 3, 3) with taps that are neighbours, forwards or backwards, and the steps
    that copy them if they lie otherwise."""
    if weight.strides[3:] in ((3, 1), (-3, -1)):
        return weight, []
    copy = row_major(Buffer(weight.dtype, weight.size, name="packed"), weight.shape)
    return copy, plan_elements(Chain.identity(weight.dtype), [weight], [copy], target, "pack")


def weights_schedule(weight: Place, block: Block, tile: int) -> WinogradWeightsSchedule:
    """For readable weights."""
    outputs, _, planes = weight.shape[:3]
    backwards, whole = weight.strides[4] < 0, outputs % block.outputs == 0
    return WinogradWeightsSchedule(tile, block.vectors, block.lanes, backwards, planes > 1, whole)


def plan_weights(weight: Place, schedule: WinogradWeightsSchedule) -> tuple[Place, int, Step]:
    """Transformed planes of readable weights (blocks, planes, channels, outputs of a block), elements from one to the
    next, and the step that writes them."""
    outputs, channels, planes = weight.shape[:3]
    blocks, rows = -(-outputs // schedule.outputs), planes * channels
    plane, taps = apart(blocks * rows * schedule.outputs), TRANSFORMS[schedule.tile].n ** 2
    result = Place(Buffer(weight.dtype, taps * plane, name="transformed"), 0, (taps * plane,), (1,))
    parts = -(-rows // ROWS_OF_TASK)
    arguments: tuple[Argument, ...] = (weight, result, rows, parts, plane, *sizes(weight))
    work = blocks * rows * schedule.vectors * WEIGHTS[schedule.tile]
    return result, plane, Step(schedule, arguments, (result.buffer,), blocks * parts, "transform weights", work)
