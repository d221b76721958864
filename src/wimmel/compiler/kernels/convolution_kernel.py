"""The code of direct convolution: tasks, rows, blocks of columns and taps around the micro-kernel, and the epilogue."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.loops import taps_within
from wimmel.compiler.kernels.microkernel import FEWEST, Block, accumulate, zeros
from wimmel.compiler.kernels.pooling import larger, lowest_of
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape

SHORT = (2, 1)
"""Pixels of the blocks for rows of fewer than `FEWEST`. They take several blocks of outputs at once, so that there are
products enough in flight."""

MANY_PRODUCTS = 64
"""Of an output: while so many are added up, a line of cache for it can be fetched."""


def fewest(across: int) -> int:
    """As `FEWEST`, in whole windows of so many columns.

    Examples
    --------
    >>> fewest(1), fewest(2), fewest(3)
    (4, 4, 6)
    """
    return -(-FEWEST // across) * across


def narrow(across: int) -> list[int]:
    """As `SHORT`, in whole windows of so many columns.

    Examples
    --------
    >>> narrow(1), narrow(2), narrow(3)
    ([2, 1], [2], [3])
    """
    return sorted({max(1, pixels // across) * across for pixels in SHORT}, reverse=True)


@dataclass(frozen=True)
class ConvolutionSchedule:
    """What a convolution's code depends on. Three spatial axes always; those that are missing have size 1.

    Attributes
    ----------
    block : Block
        Of the micro-kernel; its pixels are neighbouring columns.
    groups : int
    channels, outputs : int
        Of one group. ``channels`` 0: the number of products is a run-time argument (matrix products).
    taps, stride, dilation : tuple of int
    columns : int
        Elements from one column of the input to the next.
    channel : int
        Elements from one channel of the input to the next.
    merged : bool
        Whether the taps of a row and the channels are one run of neighbouring elements.
    chain : Chain
        The epilogue; its first input is the sum of products.
    operands, results : tuple of (int, int)
        For each of the chain's other inputs and each of its results: elements from column to column, and from output
        to output.
    window : (int, int, int)
        Of how many neighbouring outputs only the largest is stored, along each axis; the first is 1.
    """

    block: Block
    groups: int
    channels: int
    outputs: int
    taps: Shape
    stride: Shape
    dilation: Shape
    columns: int
    channel: int
    merged: bool
    chain: Chain
    operands: tuple[tuple[int, int], ...]
    results: tuple[tuple[int, int], ...]
    window: Shape = (1, 1, 1)

    def kernel(self, target: Target, name: str) -> Function:
        return _Convolution(self, target, name).write()


def together(block: Block, blocks: int, target: Target, pixels: int) -> int:
    """How many blocks of outputs short rows take at once, in blocks of so many pixels."""
    vectors = min(8, (target.registers - pixels - 1) // pixels)
    return max(1, min(blocks, vectors // block.vectors))


@dataclass(frozen=True)
class _Panel:
    """One block of outputs: its packed weights, where it begins in each view, and how many of its outputs exist."""

    weights: Value
    views: list[Value]
    filled: Number


class _Convolution:
    """Writes the kernel: tasks, rows, blocks of columns, taps."""

    def __init__(self, schedule: ConvolutionSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        self.blocks = -(-schedule.outputs // schedule.block.outputs)
        self.window = schedule.window
        self.left: Number = 0
        self.right: Number = 0
        self.line: Number = 0
        self.planes: tuple[Number, Number] = (0, 0)
        self.lines: tuple[Number, Number] = (0, 0)
        self.part: Number = 0

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        argument, begin, end, _ = builder.kernel()
        count = len(schedule.results) + len(schedule.operands)
        words = builder.arguments(argument, "pp" + "p" * count + "i" * 21 + "iii" * (1 + count))
        self.x, self.packed, *pointers = words[: 2 + count]
        words = words[2 + count :]
        self.units, self.depth, self.height, self.width, self.parts, rows_of_task, self.row_parts = words[:7]
        columns, self.column_parts, self.panel, self.packed_picture, self.length, self.of_chunk = words[7:13]
        self.fronts, self.x_sizes = words[13:15], words[15:17]
        self.ahead, self.of_part, self.of_column, self.of_turn = words[17:21]
        self.width = self.width * self.window[2]
        strides = [words[21 + 3 * i : 24 + 3 * i] for i in range(1 + count)]
        self.x_strides, view_strides = strides[0], strides[1:]
        self.views = list(zip(pointers, view_strides, (*schedule.results, *schedule.operands), strict=True))

        def task(number: Value) -> None:
            unit, group, self.part = self.decoded(number)
            column_part, lines = unit % self.column_parts, unit // self.column_parts
            row_part, picture = lines % self.row_parts, lines // self.row_parts
            first = row_part * rows_of_task
            last = builder.minimum(first + rows_of_task, self.depth * self.height)
            last = builder.select(builder.compare("lt", unit, self.units), last, first)  # the last chunk may be smaller
            self.left = column_part * columns
            is_last = builder.compare("eq", column_part, self.column_parts - 1)
            self.right = builder.select(is_last, self.width, self.left + columns)

            def rows(panels: list[tuple[Number, Number]], block: Block, widths: Sequence[int]) -> None:
                builder.loop(first, last, 1, lambda row: self.row(picture, group, row, panels, block, widths))

            is_wide = builder.compare("ge", self.width, fewest(self.window[2]))
            builder.when(is_wide, lambda: self.wide(self.part, rows), lambda: self.short(self.part, rows))

        builder.loop(begin, end, 1, task)
        return builder.function()

    def decoded(self, number: Value) -> tuple[Value, Number, Number]:
        """Unit of the work, group, and part of the blocks of outputs of a task: chunk by chunk of units."""
        unit, number = number % self.of_chunk, number // self.of_chunk
        part, number = number % self.parts, number // self.parts
        chunk, group = number // self.schedule.groups, number % self.schedule.groups
        return self.builder.index(chunk * self.of_chunk + unit), group, part

    def wide(self, number: Number, rows: Callable[..., None]) -> None:
        """Rows of at least `FEWEST` pixels, for one block of outputs; the last one may need fewer vectors."""
        builder, schedule, block = self.builder, self.schedule, self.schedule.block
        widths = sorted({block.pixels, min(block.pixels, fewest(self.window[2]))}, reverse=True)
        whole, rest = divmod(schedule.outputs, block.outputs)

        def last() -> None:
            rows([(number, rest)], replace(block, vectors=-(-rest // block.lanes)), widths)

        def other() -> None:
            rows([(number, block.outputs)], block, widths)

        if rest and whole:
            builder.when(builder.compare("lt", number, whole), other, last)
        else:
            (last if rest else other)()

    def short(self, part: Number, rows: Callable[..., None]) -> None:
        """Rows of few pixels, for several blocks of outputs. Where there are not as many left, the last one is
        computed more than once."""
        builder, schedule, block = self.builder, self.schedule, self.schedule.block
        widths = narrow(self.window[2])
        count = together(block, self.blocks, self.target, widths[0])
        numbers = [builder.minimum(part * count + number, self.blocks - 1) for number in range(count)]
        panels = [(number, builder.minimum(schedule.outputs - number * block.outputs, block.outputs))
                  if schedule.outputs % block.outputs else (number, block.outputs) for number in numbers]  # fmt: skip
        rows(panels, replace(block, vectors=count * block.vectors), widths)

    def row(
        self, picture: Number, group: Number, row: Value, blocks: Sequence[tuple[Number, Number]], block: Block,
        widths: Sequence[int],
    ) -> None:  # fmt: skip
        """One row of outputs: blocks of columns, the last one overlapping; the widest that are not too wide for it."""
        builder, schedule = self.builder, self.schedule
        plane, line = row // self.height, row % self.height
        self.line = line * self.window[1]
        self.planes, self.lines = self.within(0, plane), self.within(1, self.line)
        by_picture, by_plane, by_line = self.x_strides
        start = picture * by_picture + plane * by_plane * schedule.stride[0] + self.line * by_line * schedule.stride[1]
        start = start + group * (schedule.channels * schedule.channel)
        x = builder.offset(self.x, start, block.kind)
        panels = []
        for number, filled in blocks:
            panel = (group * self.blocks + number) * self.panel + picture * self.packed_picture
            output = group * schedule.outputs + number * schedule.block.outputs
            views, results = list[Value](), len(schedule.results)
            for (pointer, (by_picture, by_plane, by_line), (_, by_output)), type_ in zip(
                self.views, self.view_types(), strict=True
            ):
                there = line if len(views) < results else self.line
                place = picture * by_picture + plane * by_plane + there * by_line + output * by_output
                views.append(builder.offset(pointer, place, type_.kind))
            panels.append(_Panel(builder.offset(self.packed, panel, block.kind), views, filled))

        def turns(width: int) -> None:
            narrow, last = replace(block, pixels=width), self.right - width
            builder.loop(
                self.left, self.right, width,
                lambda column: self.columns(narrow, x, panels, builder.minimum(column, last)),
            )  # fmt: skip

        def widest(width: int, *narrower: int) -> None:
            if not narrower:
                turns(width)
                return
            fits = builder.compare("ge", self.width, width)
            builder.when(fits, lambda: turns(width), lambda: widest(*narrower))

        widest(*widths)

    def within(self, axis: int, place: Number) -> tuple[Number, Number]:
        """The planes or lines of taps that meet more than x's halo at an output."""
        schedule = self.schedule
        return taps_within(
            self.builder, place, schedule.taps[axis], schedule.stride[axis], schedule.dilation[axis],
            self.fronts[axis], self.x_sizes[axis],
        )  # fmt: skip

    def columns(self, block: Block, x: Value, panels: Sequence[_Panel], column: Value) -> None:
        """One block of columns: the products of all taps, then the epilogue; where windows are pooled, for each of
        their lines, of which the largest results are kept."""
        schedule, builder, (_, high, wide) = self.schedule, self.builder, self.window
        place = self.ahead + self.part * self.of_part + (column - self.left) * self.of_column
        self.following = builder.offset(x, place, block.kind)
        x = builder.offset(x, column * (schedule.stride[2] * schedule.columns), block.kind)
        if high == wide == 1:
            self.fetch_results(block, panels, column)
            sums = self.products(block, x, panels, self.lines)
            for panel, v, p, outcome in self.epilogue(schedule.chain, block, sums, panels, column):
                self.store(block, outcome, panel, v, column + p)
            return
        (dtype,), across = schedule.chain.result_dtypes, block.pixels // wide
        chain, bounds = schedule.chain.without_bounds()

        def line(number: Value, *largest: Value) -> list[Value]:
            lines = self.lines if high == 1 else self.within(1, self.line + number)
            there = builder.offset(x, number * (self.x_strides[2] * schedule.stride[1]), block.kind)
            sums = self.products(block, there, panels, lines)
            found: list[Value] = []
            below = [self.below(panel, number) for panel in panels]
            for _, _, p, (value,) in self.epilogue(chain, block, sums, below, column):
                if p % wide == 0:
                    found.append(value)
                else:
                    found[-1] = larger(builder, dtype, found[-1], value)
            return [larger(builder, dtype, best, value) for best, value in zip(largest, found, strict=True)]

        start = builder.constant(Type(KIND_OF[dtype], block.lanes), lowest_of(dtype))
        largest = iter(builder.loop(0, high, 1, line, [start] * (across * block.vectors)))
        for panel in panels:
            for v in range(block.vectors // len(panels)):
                for p in range(across):
                    outcome = bounds.emit(builder, self.target, [next(largest)])
                    self.store(block, outcome, panel, v, column // wide + p)

    def fetch_results(self, block: Block, panels: Sequence[_Panel], column: Value) -> None:
        """Has the lines of cache that a block's results will be written to fetched while their products are added up,
        if that takes long enough."""
        schedule, builder = self.schedule, self.builder
        if schedule.channels * math.prod(schedule.taps) < MANY_PRODUCTS:
            return
        for panel in panels:
            for pointer, (by_column, _), type_ in zip(panel.views, schedule.results, self.view_types(), strict=False):
                for p in range(block.pixels):
                    for v in range(block.vectors // len(panels)):
                        builder.prefetch(pointer, (column + p) * by_column + v * block.lanes, type_.kind)

    def below(self, panel: _Panel, lines: Value) -> _Panel:
        """So many lines of the operands further down."""
        results, views = len(self.schedule.results), list(panel.views)
        for place, (_, (_, _, by_line), _) in enumerate(self.views[results:], results):
            views[place] = self.builder.offset(views[place], lines * by_line, self.view_types()[place].kind)
        return replace(panel, views=views)

    def products(self, block: Block, x: Value, panels: Sequence[_Panel], lines: tuple[Number, Number]) -> list[Value]:
        """The sums of all products, in some lines of taps."""
        schedule, builder, step = self.schedule, self.builder, self.schedule.block.outputs
        depth, height, width = schedule.taps
        length: Number = schedule.channels or self.length
        run = length * width if schedule.merged else length
        _, by_plane, by_line = self.x_strides

        def further(weights: Sequence[Value], number: Number) -> list[Value]:
            return [builder.offset(panel, number * length * step, block.kind) for panel in weights]

        by_pixel = schedule.stride[2] * schedule.columns
        # what one line of outputs reads, others read too, unless there is but one line of taps: then it is streamed
        ahead = block.pixels * by_pixel if depth == height == 1 else 0

        def run_of(x: Value, weights: Sequence[Value], tap: Number, taken: Sequence[Value]) -> list[Value]:
            def fetch(first: Value) -> None:
                if not ahead:
                    turn = (tap * length + first) // block.unroll
                    builder.prefetch(self.following, turn * self.of_turn, block.kind, level=2)

            return accumulate(
                builder, block, x, weights, run, taken, by_pixel, schedule.channel, step, ahead=ahead, at_turns=fetch
            )

        def line(plane: Number, line: Number, taken: Sequence[Value]) -> list[Value]:
            start = plane * by_plane * schedule.dilation[0] + line * by_line * schedule.dilation[1]
            row = builder.offset(x, start, block.kind)
            first = (plane * height + line) * width
            there = further(weights, first)
            if schedule.merged or width == 1:
                return run_of(row, there, first, taken)

            def tap(number: Number, *taken: Value) -> list[Value]:
                along = builder.offset(row, number * (schedule.dilation[2] * schedule.columns), block.kind)
                return run_of(along, further(there, number), first + number, taken)

            return builder.loop(0, width, 1, tap, taken)

        def plane(number: Number, *taken: Value) -> list[Value]:
            if height == 1:
                return line(number, 0, taken)
            return builder.loop(*lines, 1, lambda along, *taken: line(number, along, taken), taken)

        weights, taken = [panel.weights for panel in panels], zeros(builder, block)
        return plane(0, *taken) if depth == 1 else builder.loop(*self.planes, 1, plane, taken)

    def view_types(self) -> list[Type]:
        """The kinds of the results, then of the operands."""
        chain = self.schedule.chain
        return [Type(KIND_OF[dtype]) for dtype in (*chain.result_dtypes, *chain.inputs[1:])]

    def epilogue(
        self, chain: Chain, block: Block, sums: Sequence[Value], panels: Sequence[_Panel], column: Value
    ) -> Iterator[tuple[_Panel, int, int, list[Value]]]:
        """The chain's results for a vector of every panel and pixel, in this order: panel, vector, pixel, results."""
        builder, schedule = self.builder, self.schedule
        results, types, vectors = len(schedule.results), self.view_types(), block.vectors // len(panels)

        def operand(pointer: Value, type_: Type, steps: tuple[int, int], p: int, v: int, mask: Value | None) -> Value:
            by_column, by_output = steps
            place = (column + p) * by_column
            if by_output == 0:
                return builder.load(pointer, place, type_)
            return builder.load(pointer, place + v * block.lanes, type_.of(block.lanes), mask)

        for number, panel in enumerate(panels):
            read = list(zip(panel.views[results:], types[results:], schedule.operands, strict=True))
            for v in range(vectors):
                mask = self.mask(block, panel, v)
                still = {
                    place: operand(pointer, type_, steps, 0, v, mask)
                    for place, (pointer, type_, steps) in enumerate(read)
                    if steps[0] == 0
                }
                for p in range(block.pixels):
                    values = [sums[p * block.vectors + number * vectors + v]]
                    for place, (pointer, type_, steps) in enumerate(read):
                        known = still.get(place)
                        values.append(operand(pointer, type_, steps, p, v, mask) if known is None else known)
                    outcome = chain.emit(builder, self.target, values)
                    yield panel, v, p, [builder.broadcast(value, block.lanes) for value in outcome]

    def store(self, block: Block, outcome: Sequence[Value], panel: _Panel, v: int, column: Number) -> None:
        """One vector of each result; only the lanes that exist."""
        mask = self.mask(block, panel, v)
        for value, pointer, (by_column, _) in zip(outcome, panel.views, self.schedule.results, strict=False):
            self.builder.store(value, pointer, column * by_column + v * block.lanes, mask)

    def mask(self, block: Block, panel: _Panel, v: int) -> Value | None:
        """Which lanes of a panel's vector exist; None if all do."""
        if not isinstance(panel.filled, int):
            return self.builder.mask(panel.filled - v * block.lanes, block.lanes)
        if panel.filled >= (v + 1) * block.lanes:
            return None
        exist = [int(v * block.lanes + lane < panel.filled) for lane in range(block.lanes)]
        return self.builder.constant(Type("i1", block.lanes), exist)
