"""The kernel of a reduction: loops that add up or compare what a chain makes of its operands. `reduction` plans it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wimmel.compiler.chain import Chain, converted, extremum, is_signed
from wimmel.compiler.kernels.loops import digits_of, lanes_of, next_digits, offset_of
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF
from wimmel.compiler.targets import Target


@dataclass(frozen=True)
class ReductionSchedule:
    """A reduction in nested loops: over cells (places along all kept axes but the one that fills the lanes), columns
    (the kept axis that fills them, if one does), chunks of segments, segments, and elements along the inner axis.

    Attributes
    ----------
    operation : str
        ``sum`` or ``max``.
    chain : Chain
        What is reduced, given the operands' elements; one result, which is converted to the epilogue's first input.
    epilogue : Chain
        What is written, given the sum or maximum and further operands' elements; one result.
    along : bool
        Whether the lanes run along the innermost of the reduced axes; they run along a kept one otherwise.
    kept, reduced : int
        Loops over kept axes (without the columns) and over reduced axes (without the inner one).
    moves : tuple of str
        How each of the chain's operands, then the result and each further operand of the epilogue, moves along the
        lanes: ``still``, ``next`` (to the neighbouring element), ``far`` (by a run-time stride), or ``scalar``: it
        moves along no axis.
    lanes : int
    vectors : int
        How many vectors of columns are reduced at once; 0 where there are not enough columns for one.
    rows : int
        How many accumulators take turns along the inner axis.
    chunked : bool
        Whether there is more than one segment.
    """

    operation: str
    chain: Chain
    epilogue: Chain
    along: bool
    kept: int
    reduced: int
    moves: tuple[str, ...]
    lanes: int
    vectors: int
    rows: int
    chunked: bool

    def kernel(self, target: Target, name: str) -> Function:
        return _Reduction(self, target, name).write()


@dataclass(frozen=True)
class _Block:
    """What is reduced at once: so many vectors of columns (or one along), by so many accumulators each."""

    lanes: int
    vectors: int
    rows: int
    mask: Value | None = None


class _Reduction:
    def __init__(self, schedule: ReductionSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        self.operands = len(schedule.chain.inputs)
        self.dtype = schedule.epilogue.inputs[0]
        self.kind = "i8" if self.dtype == "bool" else KIND_OF[self.dtype]
        dtypes = (*schedule.chain.inputs, *schedule.epilogue.result_dtypes, *schedule.epilogue.inputs[1:])
        self.types = [Type(KIND_OF[dtype]) for dtype in dtypes]
        self.masked = schedule.lanes > 1 and all(target.masks(type_.kind) for type_ in self.types)

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        argument, begin, end, _ = builder.kernel()
        views, axes = len(schedule.moves), schedule.kept + (not schedule.along)
        counts = [axes + schedule.reduced + 1] * self.operands + [axes] * (views - self.operands)
        counts = [0 if move == "scalar" else count for move, count in zip(schedule.moves, counts, strict=True)]
        words = builder.arguments(argument, "p" * views + "i" * (13 + schedule.kept + schedule.reduced + sum(counts)))

        def taken(count: int) -> list[Value]:
            first, words[:] = words[:count], words[count:]
            return first

        self.pointers = taken(views)
        cells, cells_of_task, columns, columns_of_task, blocks, parts, part_step = taken(7)
        segments, segments_of_part, self.segments_of_chunk, pieces, self.piece, self.inner = taken(6)
        kept, self.sizes = taken(schedule.kept), [*taken(schedule.reduced), pieces]
        self.strides = [taken(count) for count in counts]
        self.scalars = {
            view: builder.load(self.pointers[view], 0, self.types[view])
            for view, move in enumerate(schedule.moves)
            if move == "scalar"
        }
        lane = -1 if schedule.along else schedule.kept
        self.lanes = {
            view: lanes_of(builder, move, self.strides[view][lane], schedule.lanes)
            for view, move in enumerate(schedule.moves)
            if move in ("next", "far")
        }

        def task(number: Value) -> None:
            block = 0 if schedule.along else number % blocks
            number = number if schedule.along else number // blocks
            part = number % parts if schedule.chunked else 0
            first = (number // parts if schedule.chunked else number) * cells_of_task
            start = part * segments_of_part
            self.segments = (start, builder.minimum(start + segments_of_part, segments))
            self.digits = digits_of(builder, start, self.sizes) if schedule.chunked else []
            left = block * columns_of_task
            right = builder.minimum(left + columns_of_task, columns)

            def cell(_: Value, *place: Value) -> list[Value]:
                views = [self.moved(view, self.pointers[view], place) for view in range(len(self.pointers))]
                views[self.operands] = builder.offset(
                    views[self.operands], part * part_step, self.types[self.operands].kind
                )
                self.cell(views, left, right)
                return next_digits(builder, place, kept)

            last = builder.minimum(first + cells_of_task, cells)
            builder.loop(first, last, 1, cell, digits_of(builder, first, kept))

        builder.loop(begin, end, 1, task)
        return builder.function()

    def cell(self, views: list[Value], left: Value, right: Value) -> None:
        builder, schedule = self.builder, self.schedule
        lanes, vectors = schedule.lanes, schedule.vectors
        if schedule.along:
            (total,) = self.totals(views, _Block(lanes, 1, schedule.rows))
            self.finish(views, builder.folded(total, self.combined), 0, None)
            return

        def group(column: Value, block: _Block) -> None:
            there = list(views)
            for view, lanes in self.lanes.items():
                there[view] = builder.offset(views[view], column * lanes.stride, self.types[view].kind)
            for vector, total in enumerate(self.totals(there, block)):
                self.finish(there, total, vector * block.lanes, block.mask)

        def groups(left: Value, block: _Block) -> Value:
            wide = block.lanes * block.vectors
            whole = left + ((right - left) // wide) * wide
            builder.loop(left, whole, wide, lambda column: group(column, block))
            return whole

        rest = _Block(lanes, 1, min(4, schedule.rows * max(vectors, 1)))
        if vectors:
            left = groups(left, _Block(lanes, vectors, schedule.rows))
        if self.masked:
            builder.loop(
                left, right, lanes,
                lambda column: group(column, _Block(lanes, 1, rest.rows, builder.mask(right - column, lanes))),
            )  # fmt: skip
            return
        if vectors > 1:
            left = groups(left, rest)
        if lanes > 1:
            groups(left, _Block(1, 1, rest.rows))

    def totals(self, views: list[Value], block: _Block) -> list[Value]:
        """For each vector of the block its sum or maximum over all segments of the part."""
        builder, count = self.builder, block.vectors * block.rows
        start = [builder.constant(Type(self.kind, block.lanes), self.neutral)] * count
        if not self.schedule.chunked:
            return self.halved(self.segment(views, block, [], start), block)
        first, last = self.segments

        def segment(_: Value, *carried: Value) -> list[Value]:
            sums, digits = list(carried[:count]), carried[count:]
            return [*self.segment(views, block, digits, sums), *next_digits(builder, digits, self.sizes)]

        def chunk(begin: Value, *carried: Value) -> list[Value]:
            totals, digits = carried[: block.vectors], carried[block.vectors :]
            end = builder.minimum(begin + self.segments_of_chunk, last)
            after = builder.loop(begin, end, 1, segment, [*start, *digits])
            sums = self.halved(after[:count], block)
            return [*map(self.combined, totals, sums), *after[count:]]

        carried = [*start[: block.vectors], *self.digits]
        return builder.loop(first, last, self.segments_of_chunk, chunk, carried)[: block.vectors]

    def segment(self, views: list[Value], block: _Block, digits: Sequence[Value], sums: list[Value]) -> list[Value]:
        """The accumulators with one segment's elements added. They are numbered row by row."""
        builder, schedule = self.builder, self.schedule
        left: Number = 0
        right = self.inner
        pointers = views[: self.operands]
        if schedule.chunked:
            *outer, number = digits
            left = number * self.piece
            right = builder.minimum(left + self.piece, self.inner)
            first = schedule.kept + (not schedule.along)
            pointers = [self.moved(view, pointer, outer, first) for view, pointer in enumerate(pointers)]
        scan = self.scanned_along if schedule.along else self.scanned_across
        return scan(pointers, block, left, right, sums)

    def scanned_across(
        self, pointers: list[Value], block: _Block, left: Number, right: Value, sums: list[Value]
    ) -> list[Value]:
        builder, vectors = self.builder, block.vectors

        def turn(rows: int) -> Callable[..., list[Value]]:
            def body(row: Value, *sums: Value) -> list[Value]:
                there = [self.stepped(view, pointer, row) for view, pointer in enumerate(pointers)]
                after = list(sums)
                for number in range(rows):
                    stills = self.stills(there)
                    for vector in range(vectors):
                        value = self.value(there, stills, vector * block.lanes, block.lanes, block.mask)
                        place = number * vectors + vector
                        after[place] = self.combined(after[place], value)
                    if number + 1 < rows:
                        there = [self.stepped(view, pointer, 1) for view, pointer in enumerate(there)]
                return after

            return body

        if block.rows > 1:
            whole = left + ((right - left) // block.rows) * block.rows
            sums = builder.loop(left, whole, block.rows, turn(block.rows), sums)
            left = whole
        return [*builder.loop(left, right, 1, turn(1), sums[:vectors]), *sums[vectors:]]

    def scanned_along(
        self, pointers: list[Value], block: _Block, left: Number, right: Value, sums: list[Value]
    ) -> list[Value]:
        builder, lanes = self.builder, block.lanes
        stills = self.stills(pointers)

        def turn(rows: int) -> Callable[..., list[Value]]:
            def body(column: Value, *sums: Value) -> list[Value]:
                values = (self.value(pointers, stills, column + row * lanes, lanes) for row in range(rows))
                return [self.combined(sum_, value) for sum_, value in zip(sums, values, strict=True)]

            return body

        def masked() -> Value:
            mask = builder.mask(right - left, lanes)
            value = self.value(pointers, stills, left, lanes, mask)
            return self.combined(sums[0], builder.select(mask, value, neutral))

        def single(column: Value, sum_: Value) -> Value:
            value = self.value(pointers, stills, column, 1)
            return self.combined(sum_, builder.insert(neutral, value, 0) if lanes > 1 else value)

        for rows in dict.fromkeys((block.rows, 1)):
            whole = left + ((right - left) // (rows * lanes)) * (rows * lanes)
            sums = [*builder.loop(left, whole, rows * lanes, turn(rows), sums[:rows]), *sums[rows:]]
            left = whole
        neutral = builder.constant(sums[0].type, self.neutral)
        if not self.masked:
            return [*builder.loop(left, right, 1, single, sums[:1]), *sums[1:]]
        return [*builder.when(builder.compare("lt", left, right), masked, lambda: sums[0]), *sums[1:]]

    # values

    @property
    def neutral(self) -> float | int:
        if self.schedule.operation == "sum" or self.dtype == "bool":
            return 0
        return -math.inf if np.dtype(self.dtype).kind == "f" else int(np.iinfo(self.dtype).min)

    def combined(self, a: Value, b: Value) -> Value:
        if self.schedule.operation == "sum":
            total: Value = a + b
            return total
        return extremum(self.builder, "gt", a, b, unsigned=self.dtype == "bool" or not is_signed(self.dtype))

    def halved(self, sums: list[Value], block: _Block) -> list[Value]:
        """The accumulators of all rows combined, by pairs, so that none goes through many additions."""
        while len(sums) > block.vectors:
            half = -(-(len(sums) // block.vectors) // 2) * block.vectors
            pairs = zip(sums[: len(sums) - half], sums[half:], strict=True)
            sums = [*(self.combined(a, b) for a, b in pairs), *sums[len(sums) - half : half]]
        return sums

    def value(
        self, pointers: list[Value], stills: dict[int, Value], place: Number, lanes: int, mask: Value | None = None
    ) -> Value:
        """What the chain makes of the operands, `place` elements along the lanes."""
        builder, chain = self.builder, self.schedule.chain
        read = [
            stills[view] if view in stills else self.read(view, pointer, place, lanes, mask)
            for view, pointer in enumerate(pointers)
        ]
        (value,) = chain.emit(builder, self.target, read, lanes)
        value = converted(builder, value, chain.result_dtypes[0], self.dtype)
        return builder.broadcast(builder.convert(value, self.kind, signed=False), lanes)

    def finish(self, views: list[Value], total: Value, place: int, mask: Value | None) -> None:
        """What the epilogue makes of a sum or maximum is written."""
        builder, result, lanes = self.builder, self.operands, total.type.lanes
        if self.dtype == "bool":
            total = builder.convert(total, "i1")
        read = [self.read(view, views[view], place, lanes, mask) for view in range(result + 1, len(views))]
        (value,) = self.schedule.epilogue.emit(builder, self.target, [total, *read])
        if result in self.lanes:
            self.lanes[result].store(builder.broadcast(value, lanes), views[result], place, mask)
        else:
            builder.store(value, views[result], 0)

    def read(self, view: int, pointer: Value, place: Number, lanes: int, mask: Value | None) -> Value:
        """One element where the operand does not move along the lanes."""
        if view in self.lanes:
            return self.lanes[view].load(pointer, place, self.types[view].of(lanes), mask)
        if view in self.scalars:
            return self.scalars[view]
        return self.builder.load(pointer, 0, self.types[view])

    def stills(self, pointers: list[Value]) -> dict[int, Value]:
        """The elements of operands that do not move along the lanes."""
        return {
            view: self.read(view, pointer, 0, 1, None)
            for view, pointer in enumerate(pointers)
            if view not in self.lanes
        }

    # pointers

    def moved(self, view: int, pointer: Value, digits: Sequence[Value], first: int = 0) -> Value:
        """The pointer at a place along the axes from the first one on."""
        if self.schedule.moves[view] == "scalar":
            return pointer
        strides = self.strides[view][first : first + len(digits)]
        return self.builder.offset(pointer, offset_of(digits, strides), self.types[view].kind)

    def stepped(self, view: int, pointer: Value, row: Number) -> Value:
        """The pointer so many steps along the inner axis."""
        if self.schedule.moves[view] == "scalar":
            return pointer
        return self.builder.offset(pointer, row * self.strides[view][-1], self.types[view].kind)
