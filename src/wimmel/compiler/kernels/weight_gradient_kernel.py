"""The kernel of weight gradients: loops over parts of the rows and slices of the blocks, chunks of rows, blocks of
weights and rows, around the micro-kernel. `weight_gradient` plans it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.kernels.loops import digits_of, next_digits
from wimmel.compiler.kernels.microkernel import Block, accumulate, zeros
from wimmel.compiler.language import BOOLEAN, Builder, Function, Number, Type, Value
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape


@dataclass(frozen=True)
class WeightGradientSchedule:
    """What the code depends on; three spatial axes always.

    Attributes
    ----------
    block : Block
        Pixels are elements of a run, or of several runs; vectors outputs.
    bundle : int
        How many neighbouring runs a block takes. If several, then it takes them whole.
    groups, channels, outputs : int
        Channels and outputs of one group.
    taps, stride, dilation : tuple of int
    columns, cotangents : int
        Elements from one column of x, and of g, to the next.
    merged : bool
        Whether the taps of a row and the channels are one run of neighbouring elements of x.
    clipped : bool
        Whether positions are passed over where all taps of a block meet nothing but the halo. With strides these are
        too few to look for.
    """

    block: Block
    bundle: int
    groups: int
    channels: int
    outputs: int
    taps: Shape
    stride: Shape
    dilation: Shape
    columns: int
    cotangents: int
    merged: bool
    clipped: bool

    @property
    def run(self) -> int:
        """Neighbouring elements of x that one position meets."""
        return self.channels * (self.taps[2] if self.merged else 1)

    @property
    def runs(self) -> Shape:
        """How many such runs there are along each axis."""
        return (*self.taps[:2], 1) if self.merged else self.taps

    @property
    def neighbours(self) -> int:
        """How many runs neighbour each other: lines of taps if merged, else the taps of a line."""
        return self.runs[1] if self.merged else self.runs[2]

    @property
    def run_blocks(self) -> int:
        """Of a run, or of neighbouring runs if blocks take several."""
        if self.bundle > 1:
            return -(-self.neighbours // self.bundle)
        return -(-self.run // self.block.pixels)

    @property
    def output_blocks(self) -> int:
        return -(-self.outputs // self.block.outputs)

    @property
    def blocks(self) -> int:
        runs = math.prod(self.runs) // (self.neighbours if self.bundle > 1 else 1)
        return self.groups * runs * self.run_blocks * self.output_blocks

    def kernel(self, target: Target, name: str) -> Function:
        return _WeightGradient(self, target, name).write()


class _WeightGradient:
    """Writes the kernel: parts of the rows and slices of the blocks, chunks of rows, blocks of weights, rows."""

    def __init__(self, schedule: WeightGradientSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        argument, begin, end, _ = builder.kernel()
        words = builder.arguments(argument, "ppp" + "i" * 26)
        self.x, self.g, self.partial, depth, height, self.width, self.piece, pieces = words[:8]
        units, of_part, flush, of_slice, slices = words[8:13]
        self.x_strides, self.g_strides = words[13:16], words[16:19]
        self.x_sizes, self.fronts = words[19:22], words[22:25]
        self.x_ahead, self.g_ahead = words[25:27], words[27:29]
        self.sizes = [depth, depth, height, pieces]  # pictures are not counted

        def task(number: Value) -> None:
            part, number = number // slices, number % slices
            first, lowest = part * of_part, number * of_slice
            last = builder.minimum(first + of_part, units)
            highest = builder.minimum(lowest + of_slice, schedule.blocks)

            def chunk(begin: Value) -> None:
                count = builder.minimum(begin + flush, last) - begin
                digits, are_first = digits_of(builder, begin, self.sizes), builder.compare("eq", begin, first)

                def block(number: Value) -> None:
                    self.block(part, number, _Rows(digits, count, are_first, number - lowest))

                builder.loop(lowest, highest, 1, block)

            builder.loop(first, last, flush, chunk)

        builder.loop(begin, end, 1, task)
        return builder.function()

    @property
    def row(self) -> int:
        """Elements of the partial sums from one element of the run to the next."""
        return self.schedule.output_blocks * self.schedule.block.outputs

    def block(self, part: Number, number: Value, rows: _Rows) -> None:
        """A block by its number: those that follow each other have the same elements of x as far as can be."""
        builder, schedule = self.builder, self.schedule
        planes, lines, taps = schedule.runs
        output_block, number = number % schedule.output_blocks, number // schedule.output_blocks
        if schedule.bundle == 1:
            tap, number = number % taps, number // taps
            line, number = number % lines, number // lines
            plane, number = number % planes, number // planes
            run_block, group = number % schedule.run_blocks, number // schedule.run_blocks
            first, within = run_block, run_block * schedule.block.pixels
        else:
            first, number = number % schedule.run_blocks, number // schedule.run_blocks
            tap, line, within = 0, first * schedule.bundle, 0
            if not schedule.merged:
                tap, line = line, number % lines
                number = number // lines
            plane, group = number % planes, number // planes
        _, by_plane, by_line = self.x_strides
        start = plane * by_plane * schedule.dilation[0] + line * by_line * schedule.dilation[1]
        start = start + tap * (schedule.dilation[2] * schedule.columns) + group * schedule.channels + within
        output = output_block * schedule.block.outputs
        x = builder.offset(self.x, start, schedule.block.kind)
        g = builder.offset(self.g, group * schedule.outputs + output, schedule.block.kind)
        place = (((part * schedule.groups + group) * planes + plane) * lines + line) * taps + tap
        place = (place * schedule.run + within) * self.row + output
        partial = builder.offset(self.partial, place, schedule.block.kind)
        if schedule.clipped:
            ends = (tap, tap)
            if schedule.merged:
                last = builder.minimum(within + schedule.block.pixels, schedule.run) - 1
                ends = (within // schedule.channels, last // schedule.channels)
            rows = replace(rows, met=self.met(((plane, plane), (line, line), ends)))
        self.of_block(first, output_block, x, g, partial, rows)

    def met(self, ends: Sequence[tuple[Number, Number]]) -> list[tuple[Number, Number]]:
        """Along each axis the first position where one of the taps, from a first to a last one, meets x itself, and
        the last + 1; strides are 1."""
        rows = zip(ends, self.schedule.dilation, self.x_sizes, self.fronts, strict=True)
        return [(front - last * apart, front + size - first * apart) for (first, last), apart, size, front in rows]

    def of_block(
        self, run_block: Number, output_block: Number, x: Value, g: Value, partial: Value, rows: _Rows
    ) -> None:
        """The block's sums; the last blocks of a run and of the outputs are narrower, which is known beforehand."""
        builder, schedule = self.builder, self.schedule
        block = schedule.block

        def of_outputs(block: Block, bundle: int) -> None:
            def sums(*masks: Value | None) -> None:
                self.sums(block, bundle, masks, x, g, partial, rows)

            whole, rest = (None,) * block.vectors, schedule.outputs % block.outputs
            masks = [self.mask(rest - v * block.lanes) for v in range(block.vectors)]
            if not rest:
                sums(*whole)
            elif schedule.output_blocks == 1:
                sums(*masks)
            else:
                is_last = builder.compare("eq", output_block, schedule.output_blocks - 1)
                builder.when(is_last, lambda: sums(*masks), lambda: sums(*whole))

        if schedule.bundle > 1:
            bundle = schedule.neighbours % schedule.bundle
            pixels = bundle * schedule.run
        else:
            bundle, pixels = 1, schedule.run % block.pixels
        if not pixels:
            of_outputs(block, schedule.bundle)
        elif schedule.run_blocks == 1:
            of_outputs(replace(block, pixels=pixels), bundle)
        else:
            is_last = builder.compare("eq", run_block, schedule.run_blocks - 1)
            builder.when(
                is_last,
                lambda: of_outputs(replace(block, pixels=pixels), bundle),
                lambda: of_outputs(block, schedule.bundle),
            )

    def mask(self, lanes: int) -> Value | None:
        """The first lanes, if not all."""
        block = self.schedule.block
        if lanes >= block.lanes:
            return None
        return self.builder.constant(Type("i1", block.lanes), [int(lane < lanes) for lane in range(block.lanes)])

    def sums(
        self, block: Block, bundle: int, masks: Sequence[Value | None], x: Value, g: Value, partial: Value, rows: _Rows
    ) -> None:
        """What the rows of a chunk add to the block's partial sums."""
        builder = self.builder

        def row(_: Value, *carried: Value) -> list[Value]:
            place, taken = carried[: len(self.sizes)], carried[len(self.sizes) :]
            after = self.line(block, bundle, masks, x, g, place, taken, rows)
            return [*next_digits(builder, place, self.sizes), *after]

        taken = builder.loop(0, rows.count, 1, row, [*rows.first, *zeros(builder, block)])[len(self.sizes) :]

        def store(added: bool) -> None:
            for p in range(block.pixels):
                for v in range(block.vectors):
                    value, place = taken[p * block.vectors + v], p * self.row + v * block.lanes
                    if added:
                        value = builder.load(partial, place, block.vector) + value
                    builder.store(value, partial, place)

        builder.when(rows.are_first, lambda: store(False), lambda: store(True))

    def line(
        self, block: Block, bundle: int, masks: Sequence[Value | None], x: Value, g: Value, digits: Sequence[Value],
        taken: Sequence[Value], rows: _Rows,
    ) -> list[Value]:  # fmt: skip
        """The sums with the products of one row of positions, or a piece of a long one."""
        builder, schedule = self.builder, self.schedule
        picture, plane, line, piece = digits
        left = piece * self.piece
        length = builder.minimum(self.piece, self.width - left)
        if rows.met:
            *outer, (first, end) = rows.met
            right, left = builder.minimum(left + length, end), builder.maximum(left, first)
            meets = builder.constant(BOOLEAN, 1)
            for place, (first, end) in zip((plane, line), outer, strict=True):
                meets = meets & builder.compare("ge", place, first) & builder.compare("lt", place, end)
            length = builder.select(meets, builder.maximum(right - left, 0), 0)

        def start(strides: Sequence[Value], by_plane: int, by_line: int, by_column: int) -> Number:
            along = plane * strides[1] * by_plane + line * strides[2] * by_line
            return picture * strides[0] + along + left * by_column

        step = schedule.stride[2] * schedule.columns
        x_start = start(self.x_strides, schedule.stride[0], schedule.stride[1], step)
        g_start = start(self.g_strides, 1, 1, schedule.cotangents)
        x, g = builder.offset(x, x_start, block.kind), builder.offset(g, g_start, block.kind)
        further: Number = schedule.dilation[2] * schedule.columns
        if schedule.merged:
            further = self.x_strides[2] * schedule.dilation[1]
        runs = [builder.offset(x, number * further, block.kind) for number in range(bundle)]
        earlier = rows.block * (length // block.unroll)

        def fetch(first: Value) -> None:
            """What the next chunk reads of x and g is shared out to the turns of all blocks."""
            turn = earlier + first // block.unroll
            for pointer, place, (ahead, share) in ((self.x, x_start, self.x_ahead), (self.g, g_start, self.g_ahead)):
                builder.prefetch(pointer, place + ahead + turn * share, block.kind, level=2)

        return accumulate(builder, block, runs, g, length, taken, 1, step, schedule.cotangents, masks, at_turns=fetch)


@dataclass(frozen=True)
class _Rows:
    """The rows of a chunk: the place of the first one, how many, and whether they are the part's first; how many blocks
    were there before; and along each axis, where positions meet x itself, if that is asked for."""

    first: Sequence[Value]
    count: Value
    are_first: Value
    block: Value
    met: Sequence[tuple[Number, Number]] = ()
