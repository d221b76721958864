"""The gradient of a convolution by its weights: for every tap, the products of what it met in x with the outputs'
cotangents, summed over pictures and positions. A block of the micro-kernel holds (taps and channels) x outputs while k
runs along rows of positions; a chunk of rows serves many blocks while it is in the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.convolution import in_one_row, padded, three, with_three_axes
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.loops import digits_of, next_digits
from wimmel.compiler.kernels.microkernel import Block, accumulate, block_for, turns, zeros
from wimmel.compiler.kernels.packing import zero
from wimmel.compiler.kernels.reduction import plan_reduction
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import Buffer, Place, Step, bytes_of, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

FEWEST, MOST = 256, 1024
"""How many products an accumulator adds before it is added to its partial sum, about: few enough that rounding errors
grow with the number of partial sums, not of products; enough that these additions cost little."""

CHUNK_BYTES = 1 << 19
"""What x and g have in a chunk of rows, about: less than a second-level cache."""

ENOUGH_TASKS = 16
"""There are so many tasks at least, where there are blocks and rows enough."""

MOST_PARTS = 32
"""Rows are shared out in at most so many parts."""

UNROLL = 2
"""Positions of one turn: rows are short."""

INTENSITY = 32
"""Operations for each byte of x and g, at least, when blocks are shared out though there are tasks enough."""


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
        # lanes of what is written in a row: there is nothing to turn round afterwards
        if groups == 1 and result.strides[1] == 1 and result.shape[1] >= target.lanes(x.kind):
            x, g, result = g, x, result.transposed((1, 0, *range(2, len(result.shape))))
    channels, outputs = result.shape[1], result.shape[0] // groups
    wide = sizes[2] > 1 or taps[2] > 1
    columns = x.strides[4] if wide else channels * groups
    cotangents = g.strides[4] if sizes[2] > 1 else outputs * groups
    merged = groups == 1 and dilation[2] == 1 and columns == channels
    block, bundle = _block(channels, outputs, taps, merged, x.kind, target)
    schedule = WeightGradientSchedule(
        block, bundle, groups, channels, outputs, taps, stride, dilation, columns, cotangents, merged
    )

    numbers, parts, slices = _shares(schedule, g.shape[0], sizes, bytes_of(x.kind))
    to_output, to_channel, *to_tap = with_three_axes(result).strides
    whole = Place(
        result.buffer,
        result.offset,
        (groups, outputs, channels, *taps),
        (outputs * to_output, to_output, to_channel, *to_tap),
    )
    padded_outputs = schedule.output_blocks * block.outputs
    partial = row_major(
        Buffer(result.dtype, parts * groups * math.prod(taps) * channels * padded_outputs, name="partial sums"),
        (parts, groups, *taps, channels, padded_outputs),
    )
    if parts == 1 and _lies_alike(_sums(partial, outputs), whole):
        partial = replace(partial, buffer=whole.buffer, offset=whole.offset)
    for place in (x, g):
        numbers += [place.strides[0], place.strides[2], place.strides[3]]
    runs = groups * math.prod(schedule.runs) // (schedule.neighbours if bundle > 1 else 1)
    rows = schedule.run * (schedule.neighbours if bundle > 1 else 1)
    operations = runs * turns(block, outputs, rows, 0, target) * g.shape[0] * math.prod(sizes)
    passes = {x.buffer: slices, g.buffer: slices}
    step = Step(schedule, (x, g, partial, *numbers), (partial.buffer,), parts * slices, label, operations, passes)
    if partial.buffer is whole.buffer:
        return [step]
    identity = Chain.identity(result.dtype)
    if parts == 1:
        return [step, *plan_elements(identity, [_sums(partial, outputs)], [whole], target, label)]
    of_part = partial.strides[0]
    first = _sums(partial, outputs)
    sums = Place(partial.buffer, 0, (parts, *first.shape), (of_part, *first.strides))
    return [step, *plan_reduction("sum", identity, [sums], (0,), whole, target, label)]


def _sums(partial: Place, outputs: int) -> Place:
    """The sums of the first part as (groups, outputs, channels, *taps)."""
    _, groups, *taps, channels, _ = partial.shape
    _, of_group, *by_tap, by_channel, _ = partial.strides
    return Place(partial.buffer, 0, (groups, outputs, channels, *taps), (of_group, 1, by_channel, *by_tap))


def _lies_alike(a: Place, b: Place) -> bool:
    rows = zip(a.shape, a.strides, b.strides, strict=True)
    return all(size == 1 or first == second for size, first, second in rows)


def _block(channels: int, outputs: int, taps: Shape, merged: bool, kind: str, target: Target) -> tuple[Block, int]:
    """The block, and how many runs it takes."""
    run = channels * (taps[2] if merged else 1)
    neighbours = taps[1] if merged else taps[2]
    block = block_for(target, kind, outputs, run * neighbours)
    bundle = min(block.pixels // run, neighbours)
    if bundle > 1:
        bundle = -(-neighbours // -(-neighbours // bundle))
        return replace(block, pixels=bundle * run, unroll=UNROLL), bundle
    block = block_for(target, kind, outputs, run)
    return replace(block, pixels=-(-run // -(-run // block.pixels)), unroll=UNROLL), 1


def _shares(schedule: WeightGradientSchedule, pictures: int, sizes: Shape, size: int) -> tuple[list[int], int, int]:
    """The kernel's numbers, and into how many parts the rows and into how many slices the blocks are cut."""
    passed = min(schedule.stride[2], schedule.taps[2]) * min(schedule.stride[1], schedule.taps[1])
    elements = schedule.columns * passed + schedule.cotangents  # of x and g, for each position
    chunk = min(max(CHUNK_BYTES // (elements * size), FEWEST), MOST)
    width = min(sizes[2], chunk)
    pieces = -(-sizes[2] // width)  # of a row
    units = pictures * sizes[0] * sizes[1] * pieces
    flush = max(1, chunk // width)
    positions = pictures * math.prod(sizes)
    weights = schedule.groups * schedule.outputs * schedule.channels * math.prod(schedule.taps)

    parts = max(1, min(MOST_PARTS, positions // MOST, positions * elements // weights, -(-units // flush)))
    parts = max(parts, min(-(-ENOUGH_TASKS // schedule.blocks), -(-units // flush)))
    of_part = -(-units // parts)
    parts = -(-units // of_part)
    slices = max(-(-ENOUGH_TASKS // parts), 2 * weights // (INTENSITY * elements * size))
    of_slice = -(-schedule.blocks // min(slices, schedule.blocks))
    slices = -(-schedule.blocks // of_slice)
    return [*sizes, width, pieces, units, of_part, flush, of_slice, slices], parts, slices


class _WeightGradient:
    """Writes the kernel: parts of the rows and slices of the blocks, chunks of rows, blocks of weights, rows."""

    def __init__(self, schedule: WeightGradientSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        argument, begin, end, _ = builder.kernel()
        words = builder.arguments(argument, "ppp" + "i" * 16)
        self.x, self.g, self.partial, depth, height, self.width, self.piece, pieces = words[:8]
        units, of_part, flush, of_slice, slices = words[8:13]
        self.x_strides, self.g_strides = words[13:16], words[16:19]
        self.sizes = [depth, depth, height, pieces]  # pictures are not counted

        def task(number: Value) -> None:
            part, number = number // slices, number % slices
            first, lowest = part * of_part, number * of_slice
            last = builder.minimum(first + of_part, units)
            highest = builder.minimum(lowest + of_slice, schedule.blocks)

            def chunk(begin: Value) -> None:
                count = builder.minimum(begin + flush, last) - begin
                rows = _Rows(digits_of(builder, begin, self.sizes), count, builder.compare("eq", begin, first))
                builder.loop(lowest, highest, 1, lambda block: self.block(part, block, rows))

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
        self.of_block(first, output_block, x, g, partial, rows)

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
            return [*next_digits(builder, place, self.sizes), *self.line(block, bundle, masks, x, g, place, taken)]

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
        taken: Sequence[Value],
    ) -> list[Value]:  # fmt: skip
        """The sums with the products of one row of positions, or a piece of a long one."""
        builder, schedule = self.builder, self.schedule
        picture, plane, line, piece = digits
        left = piece * self.piece
        length = builder.minimum(self.piece, self.width - left)

        def place(strides: Sequence[Value], by_plane: int, by_line: int, by_column: int) -> Number:
            along = plane * strides[1] * by_plane + line * strides[2] * by_line
            return picture * strides[0] + along + left * by_column

        step = schedule.stride[2] * schedule.columns
        x = builder.offset(x, place(self.x_strides, schedule.stride[0], schedule.stride[1], step), block.kind)
        g = builder.offset(g, place(self.g_strides, 1, 1, schedule.cotangents), block.kind)
        further: Number = schedule.dilation[2] * schedule.columns
        if schedule.merged:
            further = self.x_strides[2] * schedule.dilation[1]
        runs = [builder.offset(x, number * further, block.kind) for number in range(bundle)]
        return accumulate(builder, block, runs, g, length, taken, 1, step, schedule.cotangents, masks)


@dataclass(frozen=True)
class _Rows:
    """The rows of a chunk: the place of the first one, how many, and whether they are the part's first."""

    first: Sequence[Value]
    count: Value
    are_first: Value
