"""The gradient of a convolution by its input where that has few channels, row by row: each column of g gives a run of
neighbouring elements, a row of taps times the channels, and runs that overlap are added up. So lanes are filled though
the channels are few, and no zeros around g are multiplied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.convolution import three, with_three_axes
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.few_outputs import few_cost
from wimmel.compiler.kernels.loops import taps_meeting
from wimmel.compiler.kernels.microkernel import FEWEST, MOST, Block, accumulate, zeros
from wimmel.compiler.kernels.packing import zero
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Argument, Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape, Tensor

TASK_PRODUCTS = 1 << 16
"""Vector multiply-adds that one task does at least, where there are as many: some tens of microseconds."""

FEWEST_COLUMNS = 3
"""Of a block, so that the weights of a run, once loaded, serve several."""

ADDING = 4
"""What it costs to add one vector of a run to those before it, in multiply-adds; so much the epilogue costs, too."""

COMMON = 28
"""Columns of g that costs are reckoned for."""

WORTH = 0.95
"""Of what the other kernels cost, this one must stay below so much to be chosen."""


def overlaps(anchor: Tensor, target: Target) -> bool:
    """Whether this is the kernel for an input gradient, judged by what a column of g costs. The other kernels also
    multiply zeros around g, where x has more columns than the stride accounts for."""
    attributes, (outputs, channels, *taps) = anchor.attributes, anchor.inputs[1].shape
    width, (*line_strides, stride), padding = taps[-1], attributes["stride"], attributes["padding"][-1]
    lanes = target.lanes(KIND_OF[anchor.dtype.name])
    vectors = -(-channels * width // lanes)
    if attributes["groups"] > 1 or attributes["dilation"][-1] > 1 or stride > width:
        return False
    if 0 in (outputs, channels) or _most_columns(vectors, target) < FEWEST_COLUMNS:
        return False
    lines, line_phases = math.prod(taps[:-1]), math.prod(line_strides)
    phases = line_phases * stride
    cost = lines * outputs * vectors + ADDING * (line_phases * vectors + phases)
    of_outputs = lines * width * outputs * -(-channels // lanes)
    of_lanes = phases * few_cost(channels, lines / line_phases, outputs * width / stride, lanes)
    beside = max(0, width - stride - sum(padding)) / stride
    return cost < WORTH * min(of_outputs, of_lanes) * (1 + beside / COMMON)


@dataclass(frozen=True)
class OverlapAddSchedule:
    """What the code depends on; three spatial axes always.

    Attributes
    ----------
    block : Block
        Its pixels are neighbouring columns of g, its vectors one run.
    channels : int
        Of x.
    length : int
        Channels of g: products of a tap.
    columns : int
        Elements from one column of g to the next.
    taps, stride, dilation : tuple of int
        Along the columns there is no dilation.
    chain : Chain
        The epilogue; its first input is the gradient.
    operands : tuple of (int, int)
        For each of the chain's other inputs: elements from column to column, and from channel to channel.
    results : tuple of int
        For each of the chain's results: elements from column to column. Channels are neighbours.
    """

    block: Block
    channels: int
    length: int
    columns: int
    taps: Shape
    stride: Shape
    dilation: Shape
    chain: Chain
    operands: tuple[tuple[int, int], ...]
    results: tuple[int, ...]

    @property
    def run(self) -> int:
        """Elements that one column of g gives."""
        return self.taps[2] * self.channels

    @property
    def apart(self) -> int:
        """Elements from the first of one run to the first of the next."""
        return self.stride[2] * self.channels

    @property
    def leaving(self) -> int:
        """Vectors that hold what no later run adds to."""
        return -(-self.apart // self.block.lanes)

    def kernel(self, target: Target, name: str) -> Function:
        return _OverlapAdd(self, target, name).write()


def plan_overlap_add(
    g: Place,
    weight: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    size: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
    target: Target,
    label: str = "",
) -> list[Step]:
    """The steps: the weights put into their order, then the gradient. Arguments as `plan_input_gradient`, but g needs
    no zeros around it, groups is 1, and there is no dilation along the last axis."""
    assert groups == dilation[-1] == 1
    if 0 in results[0].shape:
        return []
    g, weight = with_three_axes(g), with_three_axes(weight)
    results, operands = [*map(with_three_axes, results)], [*map(with_three_axes, operands)]
    fronts = [pair[0] for pair in three(padding, (0, 0))]
    outputs, channels, *taps = weight.shape
    schedule = OverlapAddSchedule(
        _block(target, g, channels, tuple(taps)), channels, outputs,
        g.strides[4] if g.shape[4] > 1 else outputs,
        tuple(taps), three(stride, 1), three(dilation, 1), chain,
        tuple((place.strides[4], place.strides[1] if channels > 1 else 0) for place in operands),
        tuple(place.strides[4] for place in results),
    )  # fmt: skip
    packed, steps = _packed(weight, schedule.block, target)

    pictures, _, *sizes = results[0].shape
    rows, outer = pictures * sizes[0] * sizes[1], math.prod(taps[:2]) * outputs
    products = max(1, g.shape[4] * outer * schedule.block.vectors // math.prod(schedule.stride[:2]))  # of a row
    rows_of_task = max(1, TASK_PRODUCTS // products)
    lanes, block_elements = schedule.block.lanes, schedule.block.pixels * schedule.block.outputs
    # behind the last run vectors are written whole
    row = max(g.shape[4] * schedule.apart, (fronts[2] + sizes[2]) * channels) + (schedule.leaving + 1) * lanes
    own = Buffer(g.dtype, block_elements + row + schedule.block.outputs, "thread", "row")
    numbers = [rows, rows_of_task, *sizes, *g.shape[2:], *fronts, own.elements]
    for place in (g, *results, *operands):
        numbers += [place.strides[0], place.strides[2], place.strides[3]]
    written = (*dict.fromkeys(place.buffer for place in results), own)
    arguments: tuple[Argument, ...] = (g, packed, row_major(own, (own.elements,)), *results, *operands, *numbers)
    operations = rows * (products + ADDING * (g.shape[4] * schedule.block.vectors + sizes[2]))
    return [*steps, Step(schedule, arguments, written, -(-rows // rows_of_task), label, operations)]


_CHOSEN: dict[object, Block] = {}


def _block(target: Target, g: Place, channels: int, taps: Shape) -> Block:
    """As `convolution.chosen_block` says, one for all sizes of pictures: of the blocks that need the fewest turns for a
    row the narrowest."""
    key = (target, g.kind, channels, taps)
    if key not in _CHOSEN:
        lanes, run = target.lanes(g.kind), channels * taps[2]
        while lanes > 1 and lanes // 2 >= run:
            lanes //= 2
        vectors = -(-run // lanes)
        most = max(1, _most_columns(vectors, target))
        turns = -(-max(g.shape[4], FEWEST) // most)
        pixels = -(-max(g.shape[4], FEWEST) // turns)
        _CHOSEN[key] = Block(pixels, vectors, lanes, g.kind, 8 if pixels * vectors <= 16 else 4)
    return _CHOSEN[key]


def _most_columns(vectors: int, target: Target) -> int:
    """Of a block with runs of so many vectors: these and a tap's weights are in registers, and one element of g."""
    spare = 1 if target.has_fma else 2
    return min(MOST, (target.registers - spare) // vectors - 1)


def _packed(weight: Place, block: Block, target: Target) -> tuple[Place, list[Step]]:
    """The weights as (planes, lines, outputs, run), each run filled up with zeros to the block's vectors."""
    outputs, channels, depth, height, width = weight.shape
    run, pitch = width * channels, block.outputs
    rows = depth * height * outputs
    packed = row_major(Buffer(weight.dtype, rows * pitch, name="packed"), (rows, pitch))
    order = (2, 3, 0, 4, 1)
    source = weight.transposed(order)
    strides = (height * outputs * pitch, outputs * pitch, pitch, channels, 1)
    steps = plan_elements(
        Chain.identity(weight.dtype), [source], [Place(packed.buffer, 0, source.shape, strides)], target, "pack"
    )
    if run < pitch:
        behind = packed.sliced((0, run), (rows, pitch - run), (1, 1))
        steps += plan_elements(zero(weight.dtype), [], [behind], target, "pack")
    return packed, steps


class _OverlapAdd:
    """Writes the kernel: rows as tasks; blocks of columns of g, their runs added up, the epilogue."""

    def __init__(self, schedule: OverlapAddSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        chain = schedule.chain
        self.types = [Type(KIND_OF[dtype]) for dtype in (*chain.result_dtypes, *chain.inputs[1:])]

    def write(self) -> Function:
        builder, schedule, kind = self.builder, self.schedule, self.schedule.block.kind
        argument, begin, end, thread = builder.kernel()
        count = len(self.types)
        words = builder.arguments(argument, "ppp" + "p" * count + "i" * 12 + "iii" * (1 + count))
        (self.g, self.packed, own, *pointers), words = words[: 3 + count], words[3 + count :]
        rows, rows_of_task, depth, height, self.width = words[:5]
        self.g_sizes, self.fronts, elements = words[5:8], words[8:11], words[11]
        self.g_strides, *strides = [words[first : first + 3] for first in range(12, len(words), 3)]
        self.runs = builder.offset(own, thread * elements, kind)
        self.row = builder.offset(self.runs, schedule.block.pixels * schedule.block.outputs, kind)

        def row(number: Value) -> None:
            lines = number // height
            places = (lines % depth, number % height)
            picture = lines // depth
            self.gather(picture, places)
            views = [
                builder.offset(pointer, picture * by_picture + places[0] * by_plane + places[1] * by_line, type_.kind)
                for pointer, (by_picture, by_plane, by_line), type_ in zip(pointers, strides, self.types, strict=True)
            ]
            builder.loop(0, self.width, 1, lambda column: self.finish(views, column))

        def task(number: Value) -> None:
            first = number * rows_of_task
            builder.loop(first, builder.minimum(first + rows_of_task, rows), 1, row)

        builder.loop(begin, end, 1, task)
        return builder.function()

    def gather(self, picture: Value, places: Sequence[Value]) -> None:
        """One row of the gradient, from so many elements before its first as the padding has."""
        builder, schedule, block = self.builder, self.schedule, self.schedule.block
        ranges = [
            taps_meeting(builder, place, taps, stride, dilation, front, count)
            for place, taps, stride, dilation, front, count in zip(
                places, schedule.taps, schedule.stride, schedule.dilation, self.fronts, self.g_sizes, strict=False
            )
        ]
        g = builder.offset(self.g, picture * self.g_strides[0], block.kind)
        count = self.g_sizes[2]

        def turns(pixels: int) -> list[Value]:
            narrow, last = replace(block, pixels=pixels), count - pixels

            def turn(column: Value, *carried: Value) -> list[Value]:
                start = builder.minimum(column, last)
                self.products(narrow, builder.offset(g, start * schedule.columns, block.kind), places, ranges)
                return builder.loop(
                    column, start + pixels, 1,
                    lambda number, *carried: self.added(number, number - start, carried), carried,
                )  # fmt: skip

            return builder.loop(0, count, pixels, turn, [builder.constant(block.vector, 0.0)] * block.vectors)

        def widest(pixels: int, *fewer: int) -> list[Value]:
            if not fewer:
                return turns(pixels)
            fits = builder.compare("ge", count, pixels)
            return builder.when(fits, lambda: turns(pixels), lambda: widest(*fewer))

        left = widest(*sorted({block.pixels, min(block.pixels, FEWEST), 1}, reverse=True))
        behind = count * schedule.apart
        for number, vector in enumerate(left):
            builder.store(vector, self.row, behind + number * block.lanes)
        nothing = builder.constant(block.vector, 0.0)
        builder.loop(
            behind + block.outputs, (self.fronts[2] + self.width) * schedule.channels, block.lanes,
            lambda place: builder.store(nothing, self.row, place),
        )  # fmt: skip

    def products(
        self, block: Block, g: Value, places: Sequence[Value], ranges: Sequence[tuple[Number, Number, int]]
    ) -> None:
        """The runs of a block of columns, from all planes and lines of taps that meet the row."""
        builder, schedule = self.builder, self.schedule

        def offset(axis: int, tap: Value) -> Value:
            line = (places[axis] + self.fronts[axis] - tap * schedule.dilation[axis]) // schedule.stride[axis]
            return line * self.g_strides[1 + axis]

        def line(plane: Value, tap: Value, taken: Sequence[Value]) -> list[Value]:
            there = builder.offset(g, offset(0, plane) + offset(1, tap), block.kind)
            number = (plane * schedule.taps[1] + tap) * schedule.length
            weights = builder.offset(self.packed, number * block.outputs, block.kind)
            return accumulate(
                builder, block, there, weights, schedule.length, taken, schedule.columns, 1, block.outputs
            )

        def plane(number: Value, *taken: Value) -> list[Value]:
            return builder.loop(*ranges[1], lambda tap, *taken: line(number, tap, taken), taken)

        for number, vector in enumerate(builder.loop(*ranges[0], plane, zeros(builder, block))):
            builder.store(vector, self.runs, number * block.lanes)

    def added(self, column: Value, number: Value, carried: Sequence[Value]) -> list[Value]:
        """What earlier columns left, after one more: what it adds to, moved on to where the next one begins."""
        builder, schedule, block = self.builder, self.schedule, self.schedule.block
        totals = []
        for v, before in enumerate(carried):
            vector = builder.load(self.runs, (number * block.vectors + v) * block.lanes, block.vector)
            exist = [int(v * block.lanes + lane < schedule.run) for lane in range(block.lanes)]
            if not all(exist):  # products of the zeros that fill the weights up, which infinities make NaN
                vector = builder.select(builder.constant(Type("i1", block.lanes), exist), vector, 0.0)
            totals.append(before + vector)
        nothing = builder.constant(block.vector, 0.0)
        for v in range(schedule.leaving):
            place = column * schedule.apart + v * block.lanes
            builder.store(totals[v] if v < block.vectors else nothing, self.row, place)
        further = [*totals, *[nothing] * (schedule.leaving + 1)]
        moved = []
        for v in range(block.vectors):
            vectors, lane = divmod(v * block.lanes + schedule.apart, block.lanes)
            first, second = further[vectors : vectors + 2]
            moved.append(first if lane == 0 else builder.shuffle(first, second, range(lane, lane + block.lanes)))
        return moved

    def finish(self, views: Sequence[Value], column: Value) -> None:
        """The epilogue on the channels of one column."""
        builder, schedule, kind = self.builder, self.schedule, self.schedule.block.kind
        lanes, place = min(self.target.lanes(kind), 1 << (schedule.channels - 1).bit_length()), 0
        there = builder.offset(self.row, (column + self.fronts[2]) * schedule.channels, kind)
        while place < schedule.channels:
            left, mask = schedule.channels - place, None
            if left < lanes and all(self.target.masks(type_.kind) for type_ in self.types):
                mask = builder.constant(Type("i1", lanes), [int(lane < left) for lane in range(lanes)])
            elif left < lanes:
                lanes = 1 << (left.bit_length() - 1)
            self.vector(there, views, column, place, lanes, mask)
            place += lanes

    def vector(
        self, there: Value, views: Sequence[Value], column: Value, channel: int, lanes: int, mask: Value | None
    ) -> None:
        builder, schedule, count = self.builder, self.schedule, len(self.schedule.results)
        values = [builder.load(there, channel, Type(schedule.block.kind, lanes))]
        for view, type_, (by_column, by_channel) in zip(
            views[count:], self.types[count:], schedule.operands, strict=True
        ):
            place = column * by_column
            if by_channel == 0:
                values.append(builder.load(view, place, type_))
            else:
                values.append(builder.load(view, place + channel, type_.of(lanes), mask))
        outcome = schedule.chain.emit(builder, self.target, values)
        for value, view, by_column in zip(outcome, views, schedule.results, strict=False):
            builder.store(builder.broadcast(value, lanes), view, column * by_column + channel, mask)
