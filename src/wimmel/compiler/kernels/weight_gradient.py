"""The gradient of a convolution by its weights: for every tap, the products of what it met in x with the outputs'
cotangents, summed over pictures and positions. A block of the micro-kernel holds (taps and channels) x outputs while k
runs along a row of positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.convolution import in_one_row, padded, three, with_three_axes
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.microkernel import Block, accumulate, block_for, zeros
from wimmel.compiler.kernels.packing import zero
from wimmel.compiler.kernels.reduction import plan_reduction
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

FLUSH = 1024
"""How many products an accumulator adds before it is added to its partial sum: rounding errors then grow with the
number of partial sums, not of products."""

ENOUGH_TASKS = 16
"""Where there are fewer blocks than this, rows are shared out too, in parts that the shape alone decides."""


@dataclass(frozen=True)
class WeightGradientSchedule:
    """What the code depends on; three spatial axes always.

    Attributes
    ----------
    block : Block
        Pixels are elements of a run, vectors outputs.
    groups, channels, outputs : int
        Channels and outputs of one group.
    taps, stride, dilation : tuple of int
    columns, cotangents : int
        Elements from one column of x, and of g, to the next.
    merged : bool
        Whether the taps of a row and the channels are one run of neighbouring elements of x.
    """

    block: Block
    groups: int
    channels: int
    outputs: int
    taps: Shape
    stride: Shape
    dilation: Shape
    columns: int
    cotangents: int
    merged: bool

    @property
    def run(self) -> int:
        """Neighbouring elements of x that one position meets."""
        return self.channels * (self.taps[2] if self.merged else 1)

    @property
    def runs(self) -> int:
        """How many such runs there are."""
        return math.prod(self.taps) * self.channels // self.run

    @property
    def run_blocks(self) -> int:
        return -(-self.run // self.block.pixels)

    @property
    def output_blocks(self) -> int:
        return -(-self.outputs // self.block.outputs)

    def kernel(self, target: Target, name: str) -> Function:
        return _WeightGradient(self, target, name).write()


def plan_weight_gradient(
    x: Place,
    g: Place,
    result: Place,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
    target: Target,
    label: str = "",
) -> list[Step]:
    """The steps of a weight gradient: partial sums, then their sum in the weights' layout.

    Parameters
    ----------
    x : Place (n, c_in, *sizes)
        Channels neighbouring, with a halo of zeros as wide as the padding.
    g : Place (n, c_out, *outputs)
        Channels neighbouring.
    result : Place (c_out, c_in / groups, *kernel)
    kernel, stride, padding, dilation, groups
        Those of the convolution.
    """
    if 0 in result.shape:
        return []
    if 0 in g.shape:
        return plan_elements(zero(result.dtype), [], [result], target, label)
    taps, sizes = three(kernel, 1), three(g.shape[2:], 1)
    stride, dilation = three(stride, 1), three(dilation, 1)
    x, g = padded(with_three_axes(x), three(padding, (0, 0))), with_three_axes(g)
    if math.prod(taps) == math.prod(stride) == 1:
        sizes, x, (g,), _ = in_one_row(sizes, x, [g], [])
    channels, outputs = result.shape[1], result.shape[0] // groups
    wide = sizes[2] > 1 or taps[2] > 1
    columns = x.strides[4] if wide else channels * groups
    cotangents = g.strides[4] if sizes[2] > 1 else outputs * groups
    merged = groups == 1 and dilation[2] == 1 and columns == channels
    run = channels * (taps[2] if merged else 1)
    block = block_for(target, x.kind, outputs, run)
    block = replace(block, pixels=-(-run // -(-run // block.pixels)), unroll=4)
    schedule = WeightGradientSchedule(
        block, groups, channels, outputs, taps, stride, dilation, columns, cotangents, merged
    )

    blocks = groups * schedule.runs * schedule.run_blocks * schedule.output_blocks
    width = min(sizes[2], FLUSH)
    pieces = -(-sizes[2] // width)  # of a row
    units = g.shape[0] * sizes[0] * sizes[1] * pieces
    flush = max(1, FLUSH // width)
    parts = max(1, min(-(-ENOUGH_TASKS // blocks), -(-units // flush)))
    of_part = -(-units // parts)
    parts = -(-units // of_part)
    padded_outputs = schedule.output_blocks * block.outputs
    partial = row_major(
        Buffer(result.dtype, parts * groups * math.prod(taps) * channels * padded_outputs, name="partial sums"),
        (parts, groups, *taps, channels, padded_outputs),
    )
    numbers = [*sizes, width, pieces, units, of_part, flush]
    for place in (x, g):
        numbers += [place.strides[0], place.strides[2], place.strides[3]]
    step = Step(schedule, (x, g, partial, *numbers), (partial.buffer,), parts * blocks, label)

    of_part_, of_group, *by_tap, by_channel, _ = partial.strides
    sums = Place(
        partial.buffer, 0, (parts, groups, outputs, channels, *taps), (of_part_, of_group, 1, by_channel, *by_tap)
    )
    to_output, to_channel, *to_tap = with_three_axes(result).strides
    whole = Place(
        result.buffer,
        result.offset,
        (groups, outputs, channels, *taps),
        (outputs * to_output, to_output, to_channel, *to_tap),
    )
    identity = Chain.identity(result.dtype)
    if parts == 1:
        single = Place(sums.buffer, sums.offset, sums.shape[1:], sums.strides[1:])
        return [step, *plan_elements(identity, [single], [whole], target, label)]
    return [step, *plan_reduction("sum", identity, [sums], (0,), whole, target, label)]


class _WeightGradient:
    """Writes the kernel: blocks of weights, then rows of positions in order."""

    def __init__(self, schedule: WeightGradientSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        argument, begin, end, _ = builder.kernel()
        words = builder.arguments(argument, "ppp" + "i" * 14)
        self.x, self.g, self.partial, self.depth, self.height, self.width, self.piece, self.pieces = words[:8]
        units, of_part, self.flush = words[8:11]
        self.x_strides, self.g_strides = words[11:14], words[14:17]
        _, height, across = schedule.taps
        lines = 1 if schedule.merged else across

        def task(number: Value) -> None:
            output_block, number = number % schedule.output_blocks, number // schedule.output_blocks
            run_block, number = number % schedule.run_blocks, number // schedule.run_blocks
            tap, number = number % lines, number // lines
            line, number = number % height, number // height
            plane, number = number % schedule.taps[0], number // schedule.taps[0]
            group, part = number % schedule.groups, number // schedule.groups
            first = part * of_part
            last = builder.minimum(first + of_part, units)
            _, by_plane, by_line = self.x_strides
            start = plane * by_plane * schedule.dilation[0] + line * by_line * schedule.dilation[1]
            start = start + tap * (schedule.dilation[2] * schedule.columns) + group * schedule.channels
            output = output_block * schedule.block.outputs
            x = builder.offset(self.x, start + run_block * schedule.block.pixels, schedule.block.kind)
            g = builder.offset(self.g, group * schedule.outputs + output, schedule.block.kind)
            place = (((part * schedule.groups + group) * schedule.taps[0] + plane) * height + line) * lines + tap
            place = (place * schedule.run + run_block * schedule.block.pixels) * self.row + output
            partial = builder.offset(self.partial, place, schedule.block.kind)
            self.of_block(run_block, output_block, x, g, partial, first, last)

        builder.loop(begin, end, 1, task)
        return builder.function()

    @property
    def row(self) -> int:
        """Elements of the partial sums from one element of the run to the next."""
        return self.schedule.output_blocks * self.schedule.block.outputs

    def of_block(
        self, run_block: Number, output_block: Number, x: Value, g: Value, partial: Value, first: Value, last: Value
    ) -> None:
        """The block's sums; the last blocks of a run and of the outputs are narrower, which is known beforehand."""
        builder, schedule = self.builder, self.schedule
        block = schedule.block

        def of_outputs(block: Block) -> None:
            rest = schedule.outputs % block.outputs
            if not rest:
                self.sums(block, (None,) * block.vectors, x, g, partial, first, last)
                return
            masks = tuple(self.mask(rest - v * block.lanes) for v in range(block.vectors))
            is_last = builder.compare("eq", output_block, schedule.output_blocks - 1)
            if schedule.output_blocks == 1:
                self.sums(block, masks, x, g, partial, first, last)
                return
            builder.when(
                is_last,
                lambda: self.sums(block, masks, x, g, partial, first, last),
                lambda: self.sums(block, (None,) * block.vectors, x, g, partial, first, last),
            )

        rest = schedule.run % block.pixels
        if not rest:
            of_outputs(block)
        else:
            is_last = builder.compare("eq", run_block, schedule.run_blocks - 1)
            builder.when(is_last, lambda: of_outputs(replace(block, pixels=rest)), lambda: of_outputs(block))

    def mask(self, lanes: int) -> Value | None:
        """The first lanes, if not all."""
        block = self.schedule.block
        if lanes >= block.lanes:
            return None
        return self.builder.constant(Type("i1", block.lanes), [int(lane < lanes) for lane in range(block.lanes)])

    def sums(
        self, block: Block, masks: Sequence[Value | None], x: Value, g: Value, partial: Value, first: Value,
        last: Value,
    ) -> None:  # fmt: skip
        """The block's sum over the units from first to last, flushed to the partial sums now and then."""
        builder = self.builder

        def turn(begin: Value) -> None:
            end = builder.minimum(begin + self.flush, last)
            taken = builder.loop(
                begin, end, 1, lambda unit, *taken: self.unit(block, masks, x, g, unit, taken), zeros(builder, block)
            )

            def store(added: bool) -> None:
                for p in range(block.pixels):
                    for v in range(block.vectors):
                        value, place = taken[p * block.vectors + v], p * self.row + v * block.lanes
                        if added:
                            value = builder.load(partial, place, block.vector) + value
                        builder.store(value, partial, place)

            builder.when(builder.compare("eq", begin, first), lambda: store(False), lambda: store(True))

        builder.loop(first, last, self.flush, turn)

    def unit(
        self, block: Block, masks: Sequence[Value | None], x: Value, g: Value, unit: Value, taken: Sequence[Value]
    ) -> list[Value]:
        """One row of positions, or a piece of a long one."""
        builder, schedule = self.builder, self.schedule
        piece, row = unit % self.pieces, unit // self.pieces
        line, row = row % self.height, row // self.height
        plane, picture = row % self.depth, row // self.depth
        left = piece * self.piece
        length = builder.minimum(self.piece, self.width - left)

        def place(strides: Sequence[Value], by_plane: int, by_line: int, by_column: int) -> Number:
            along = plane * strides[1] * by_plane + line * strides[2] * by_line
            return picture * strides[0] + along + left * by_column

        step = schedule.stride[2] * schedule.columns
        x = builder.offset(x, place(self.x_strides, schedule.stride[0], schedule.stride[1], step), block.kind)
        g = builder.offset(g, place(self.g_strides, 1, 1, schedule.cotangents), block.kind)
        return accumulate(builder, block, x, g, length, taken, 1, step, schedule.cotangents, masks)
