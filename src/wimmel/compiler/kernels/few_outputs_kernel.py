"""The kernel for fewer outputs than lanes. The lanes run over the columns where there is one channel, else over the
channels, which are summed up at the end; either way the results are vectors of columns, one for each output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.loops import distances, taps_within
from wimmel.compiler.kernels.microkernel import Block, accumulate, zeros
from wimmel.compiler.kernels.pooling import larger
from wimmel.compiler.kernels.shuffles import interleaved, taken_apart
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape

Lines: TypeAlias = tuple[Number, Number]
"""Of taps along an axis: the first, and the last + 1."""

UNROLL = 4
"""Products of each accumulator in one turn of a loop."""

UNROLLED = 256
"""Multiply-adds of a block that are written out; those of more taps are looped over."""


@dataclass(frozen=True)
class FewOutputsSchedule:
    """What the code depends on; three spatial axes always.

    Attributes
    ----------
    kind : str
        ``f32`` or ``f64``.
    over_channels : bool
        Whether the lanes run over channels.
    channels, outputs : int
    taps, stride, dilation : tuple of int
    columns : int
        Elements from one column of the input to the next.
    weights : tuple of int
        Elements from output to output, and from tap to tap along each axis, of the weights.
    lanes : int
        Columns in a vector of results.
    run : int
        Channels in a vector of products, where the lanes run over them.
    vectors, rows : int
        Vectors of columns whose products are summed at once, and rows of outputs of a block: whole windows.
    chain : Chain
        The epilogue; its first input is the sum of products.
    operands : tuple of (int, int)
        For each of the chain's other inputs: elements from column to column, and from output to output.
    results : tuple of int
        For each of the chain's results: elements from column to column. Outputs are neighbours.
    window : (int, int)
        Of how many rows and columns of outputs only the largest is stored.
    """

    kind: str
    over_channels: bool
    channels: int
    outputs: int
    taps: Shape
    stride: Shape
    dilation: Shape
    columns: int
    weights: Shape
    lanes: int
    run: int
    vectors: int
    rows: int
    chain: Chain
    operands: tuple[tuple[int, int], ...]
    results: tuple[int, ...]
    window: tuple[int, int] = (1, 1)

    @property
    def shares_rows(self) -> bool:
        """Whether lines of x are loaded once for several rows of outputs."""
        return not self.over_channels and shares_rows(self.outputs, self.taps, self.stride, self.dilation)

    def kernel(self, target: Target, name: str) -> Function:
        return _FewOutputs(self, target, name).write()


def is_merged(columns: int, channels: int, dilation: Shape) -> bool:
    """Whether the taps of a row and the channels are one run of neighbouring elements."""
    return dilation[2] == 1 and columns == channels


def shares_rows(outputs: int, taps: Shape, stride: Shape, dilation: Shape) -> bool:
    """Whether neighbouring rows of one output meet the same lines of a channel."""
    return outputs == 1 and stride[1] == dilation[1] == 1 and taps[1] > 1


class _FewOutputs:
    """Writes the kernel: tasks, rows, blocks of columns, products, epilogue."""

    def __init__(self, schedule: FewOutputsSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        self.high, self.wide = schedule.window
        self.planes: Lines = (0, 0)
        self.lines: list[Lines] = []
        chain = schedule.chain
        self.chain, self.bounds = chain.without_bounds()
        self.types = [Type(KIND_OF[dtype]) for dtype in (*chain.result_dtypes, *chain.inputs[1:])]

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        arguments, begin, end, _ = builder.kernel()
        count = len(self.types)
        words = builder.arguments(arguments, "pp" + "p" * count + "i" * 11 + "iii" * (1 + count))
        x, self.weights, *views = words[: 2 + count]
        depth, _, self.width, lines, line_parts, columns, column_parts = words[2 + count : 9 + count]
        height = words[3 + count]
        self.fronts, self.x_sizes = words[9 + count : 11 + count], words[11 + count : 13 + count]
        strides = [words[first : first + 3] for first in range(13 + count, len(words), 3)]
        self.x_strides, self.view_strides = strides[0], strides[1:]

        def task(number: Value) -> None:
            across, number = number % column_parts, number // column_parts
            part, number = number % line_parts, number // line_parts
            plane, picture = number % depth, number // depth
            first = part * lines
            last = builder.select(builder.compare("eq", part, line_parts - 1), height, first + lines)
            left = across * columns
            is_last = builder.compare("eq", across, column_parts - 1)
            right = builder.select(is_last, self.width, left + columns)
            self.planes = self.within(0, plane)
            by_picture, by_plane, _ = self.x_strides
            start = builder.offset(x, picture * by_picture + plane * by_plane * schedule.stride[0], schedule.kind)
            there = [
                builder.offset(view, picture * by_picture + plane * by_plane, type_.kind)
                for view, (by_picture, by_plane, _), type_ in zip(views, self.view_strides, self.types, strict=True)
            ]

            def bands(rows: int) -> None:
                def band(line: Value) -> None:
                    self.band(rows * self.high, builder.minimum(line, last - rows), start, there, left, right)

                builder.loop(first, last, rows, band)

            rows = schedule.rows // self.high
            if rows == 1:
                bands(1)
            else:
                enough = builder.compare("ge", last - first, rows)
                builder.when(enough, lambda: bands(rows), lambda: bands(1))

        builder.loop(begin, end, 1, task)
        return builder.function()

    def band(self, rows: int, line: Value, x: Value, views: list[Value], left: Number, right: Value) -> None:
        """Some rows of outputs: blocks of several vectors, then single ones; vectors that would reach beyond the end
        begin before. Of rows shorter than a vector lanes are masked, or they are done column by column. Lines and
        columns are counted in windows."""
        builder, schedule = self.builder, self.schedule
        first, count = line * self.high, len(schedule.results)
        self.lines = [self.within(1, first + row) for row in range(rows)]
        x = builder.offset(x, first * self.x_strides[2] * schedule.stride[1], schedule.kind)
        by_row = []
        for row in range(rows):
            lines = [line + row // self.high] * count + [first + row] * (len(views) - count)
            rows_of_views = zip(views, lines, self.view_strides, self.types, strict=True)
            by_row.append([builder.offset(v, n * strides[2], type_.kind) for v, n, strides, type_ in rows_of_views])

        lanes, masked = schedule.lanes, self.target.masks(schedule.kind) and not schedule.over_channels
        several = max(1, schedule.vectors // self.wide) if rows == schedule.rows else 1

        def blocks(begin: Number, end: Number, vectors: int, lanes: int, masked: bool = False) -> None:
            def block(column: Value) -> None:
                starts = [builder.minimum(column + number * lanes, right - lanes) for number in range(vectors)]
                if masked:
                    starts = [builder.maximum(start, left) for start in starts]
                self.block(rows, lanes, starts, x, by_row, masked)

            builder.loop(begin, end, vectors * lanes, block)

        def vectors() -> None:
            wide, half = several * lanes, lanes // 2
            # where more than half of a block is left over, all of one is done
            rest = left + (right - left + (wide // 2 if several > 1 else 0)) // wide * wide
            blocks(left, rest, several, lanes)
            narrow = builder.compare("le", right - rest, half)
            builder.when(
                narrow, lambda: blocks(rest, right, 1, half, masked), lambda: blocks(rest, right, 1, lanes, masked)
            )

        if lanes == 1:
            blocks(left, right, several, 1)
        elif masked:
            vectors()
        else:
            long = builder.compare("ge", self.width, lanes)
            builder.when(long, vectors, lambda: blocks(left, right, 1, 1))

    def block(
        self, rows: int, lanes: int, starts: Sequence[Number], x: Value, views: list[list[Value]], masked: bool
    ) -> None:
        """The results of some rows, in vectors from the given windows on: as many vectors of columns as a window has,
        of which the largest are kept."""
        schedule, builder = self.schedule, self.builder
        step = schedule.stride[2] * schedule.columns
        columns = [start * self.wide + number * lanes for start in starts for number in range(self.wide)]
        pointers = [builder.offset(x, column * step, schedule.kind) for column in columns]
        masks: list[Value | None] = [None] * self.wide
        if masked:
            masks = [builder.mask(self.width * self.wide - number * lanes, lanes) for number in range(self.wide)]
        masks *= len(starts)
        largest: list[list[list[Value]]] = [[] for _ in starts]
        for row, sums in enumerate(self.sums(rows, lanes, pointers, masks)):
            for number, start in enumerate(starts):
                vectors = range(number * self.wide, (number + 1) * self.wide)
                found = self.across([self.outcomes(sums[v], views[row], columns[v], masks[v]) for v in vectors])
                if row % self.high:
                    found = [[self.larger(*pair) for pair in zip(*both, strict=True)]
                             for both in zip(largest[number], found, strict=True)]  # fmt: skip
                largest[number] = found
                if (row + 1) % self.high == 0:
                    found = [self.bounds.emit(builder, self.target, outcome) for outcome in found]
                    self.store(found, views[row], start, builder.mask(self.width, lanes) if masked else None)

    def sums(
        self, rows: int, lanes: int, x: Sequence[Value], masks: Sequence[Value | None]
    ) -> Iterator[list[list[Value]]]:
        """Row after row, for every vector of columns a vector for every output."""
        schedule, builder = self.schedule, self.builder
        turns = [slice(first, first + schedule.vectors) for first in range(0, len(x), schedule.vectors)]
        if schedule.shares_rows and rows > 1:
            parts = [self.of_rows(rows, lanes, x[turn], masks[turn]) for turn in turns]
            yield from ([vector for part in parts for vector in part[row]] for row in range(rows))
            return
        for row in range(rows):
            far, lines = row * schedule.stride[1] * self.x_strides[2], self.lines[row]
            there = [builder.offset(each, far, schedule.kind) for each in x]
            if schedule.over_channels:
                yield [self.of_channels(lanes, each, lines) for each in there]
            else:
                yield [each for turn in turns for each in self.of_outputs(lanes, there[turn], lines, masks[turn])]

    def of_outputs(
        self, lanes: int, x: Sequence[Value], lines: Lines, masks: Sequence[Value | None]
    ) -> list[list[Value]]:
        """Lanes run over columns: the micro-kernel, with outputs for pixels, and vectors of x for those of weights."""
        schedule = self.schedule
        by_output, *_, by_tap = schedule.weights
        block = Block(schedule.outputs, len(x), lanes, schedule.kind, UNROLL)

        def line(there: list[Value], weights: Value, taken: Sequence[Value]) -> list[Value]:
            return accumulate(
                self.builder, block, weights, there, schedule.taps[2], taken, by_output, by_tap, schedule.dilation[2],
                masks,
            )  # fmt: skip

        sums = self.over_lines(x, lines, line, zeros(self.builder, block))
        return [sums[number :: len(x)] for number in range(len(x))]

    def of_rows(
        self, rows: int, lanes: int, x: Sequence[Value], masks: Sequence[Value | None]
    ) -> list[list[list[Value]]]:
        """One output: pixels of the micro-kernel are rows, and a line of x meets in each another line of weights."""
        schedule, builder, vectors = self.schedule, self.builder, len(x)
        depth, height, width = schedule.taps
        _, by_plane, by_line, by_tap = schedule.weights
        few_taps = rows * height * width * vectors <= UNROLLED

        def line(there: Sequence[Value], weights: Value, number: Number, taken: Sequence[Value]) -> list[Value]:
            first, last, unroll = 0, rows, UNROLL
            if isinstance(number, int):
                first, last = max(0, number - height + 1), min(rows, number + 1)
                unroll = width if few_taps else 1
            start = builder.offset(weights, (number - first) * by_line, schedule.kind)
            added = accumulate(
                builder, Block(last - first, vectors, lanes, schedule.kind, unroll), start,
                [builder.offset(pointer, number * self.x_strides[2], schedule.kind) for pointer in there], width,
                taken[first * vectors : last * vectors], -by_line, by_tap, schedule.dilation[2],
                masks,
            )  # fmt: skip
            return [*taken[: first * vectors], *added, *taken[last * vectors :]]

        def plane(number: Number, *taken: Value) -> Sequence[Value]:
            sums: Sequence[Value] = taken
            far = number * self.x_strides[1] * schedule.dilation[0]
            there = [builder.offset(pointer, far, schedule.kind) for pointer in x]
            weights = builder.offset(self.weights, number * by_plane, schedule.kind)
            for at in range(rows - 1):
                sums = line(there, weights, at, sums)
            if height >= rows:
                body = lambda at, *taken: line(there, weights, at, taken)  # noqa: E731
                sums = builder.loop(rows - 1, height, 1, body, sums)
            for at in range(max(rows - 1, height), height + rows - 1):
                sums = line(there, weights, at, sums)
            return sums

        start = zeros(builder, Block(rows, vectors, lanes, schedule.kind, UNROLL))
        sums = plane(0, *start) if depth == 1 else builder.loop(0, depth, 1, plane, start)
        return [[[sums[row * vectors + number]] for number in range(vectors)] for row in range(rows)]

    def of_channels(self, columns: int, x: Value, lines: Lines) -> list[Value]:
        """Lanes run over channels; their sums then become the lanes of vectors of columns."""
        schedule, builder = self.schedule, self.builder
        length, width = schedule.channels, schedule.taps[2]
        by_output, *_, by_tap = schedule.weights
        if is_merged(schedule.columns, schedule.channels, schedule.dilation):
            length, width = length * width, 1
        step, outputs = schedule.stride[2] * schedule.columns, range(schedule.outputs)
        vector, whole = Type(schedule.kind, schedule.run), length // schedule.run * schedule.run
        zero = builder.constant(vector, 0.0)

        def at(x: Value, weights: Value, start: int, taken: Sequence[Value], mask: Value | None = None) -> list[Value]:
            def load(pointer: Value, place: int) -> Value:
                value = builder.load(pointer, place + start, vector)
                return value if mask is None else builder.select(mask, value, zero)

            builder.fence()
            factors = [load(weights, output * by_output) for output in outputs]
            sums = iter(taken)
            following = []
            for column in range(columns):
                passing = load(x, column * step)
                following += [builder.fma(passing, factor, next(sums)) for factor in factors]
            return following

        def run(x: Value, weights: Value, taken: Sequence[Value]) -> list[Value]:
            turn = UNROLL * schedule.run
            looped = whole // turn * turn if whole > 2 * turn else 0

            def turns(first: Number, *taken: Value) -> Sequence[Value]:
                sums: Sequence[Value] = taken
                here, factors = (builder.offset(pointer, first, schedule.kind) for pointer in (x, weights))
                for start in range(0, turn, schedule.run):
                    sums = at(here, factors, start, sums)
                return sums

            sums: Sequence[Value] = taken
            if looped:
                sums = builder.loop(0, looped, turn, turns, taken)
            for start in range(looped, whole, schedule.run):
                sums = at(x, weights, start, sums)
            if whole < length:  # the last vector begins within the one before, without what that one had
                fresh = [int(lane >= schedule.run - (length - whole)) for lane in range(schedule.run)]
                mask = builder.constant(Type("i1", schedule.run), fresh if schedule.run > 1 else fresh[0])
                sums = at(x, weights, length - schedule.run, sums, mask)
            return list(sums)

        def line(there: list[Value], weights: Value, taken: Sequence[Value]) -> list[Value]:
            def tap(number: Number, *taken: Value) -> list[Value]:
                along = builder.offset(there[0], number * (schedule.dilation[2] * schedule.columns), schedule.kind)
                return run(along, builder.offset(weights, number * by_tap, schedule.kind), taken)

            return tap(0, *taken) if width == 1 else builder.loop(0, width, 1, tap, taken)

        sums = self.over_lines([x], lines, line, [zero] * (columns * schedule.outputs))
        return [lanes_summed(builder, sums[output :: schedule.outputs]) for output in outputs]

    def over_lines(
        self, x: Sequence[Value], lines: Lines, line: Callable[[list[Value], Value, Sequence[Value]], list[Value]],
        taken: Sequence[Value],
    ) -> list[Value]:  # fmt: skip
        """The sums after ``line(x, weights, sums)`` for every plane of taps and some lines of them."""
        schedule, builder = self.schedule, self.builder
        depth, height, _ = schedule.taps
        _, weight_plane, weight_line, _ = schedule.weights

        def at(plane: Number, along: Number, taken: Sequence[Value]) -> list[Value]:
            far = plane * self.x_strides[1] * schedule.dilation[0] + along * self.x_strides[2] * schedule.dilation[1]
            there = [builder.offset(pointer, far, schedule.kind) for pointer in x]
            weights = builder.offset(self.weights, plane * weight_plane + along * weight_line, schedule.kind)
            return line(there, weights, taken)

        def plane(number: Number, *taken: Value) -> list[Value]:
            if height == 1:
                return at(number, 0, taken)
            return builder.loop(*lines, 1, lambda along, *taken: at(number, along, taken), taken)

        return plane(0, *taken) if depth == 1 else builder.loop(*self.planes, 1, plane, taken)

    def within(self, axis: int, place: Value) -> Lines:
        """The planes or lines of taps that meet more than x's halo at an output."""
        schedule, axis_sizes = self.schedule, (self.fronts[axis], self.x_sizes[axis])
        return taps_within(
            self.builder, place, schedule.taps[axis], schedule.stride[axis], schedule.dilation[axis], *axis_sizes
        )

    # epilogue

    def outcomes(
        self, sums: Sequence[Value], views: list[Value], column: Number, mask: Value | None
    ) -> list[list[Value]]:
        """The chain's results on a vector of columns, for each output."""
        builder, schedule = self.builder, self.schedule
        lanes, count = sums[0].type.lanes, len(schedule.results)
        outcomes = []
        for output, value in enumerate(sums):
            rows = zip(views[count:], self.types[count:], schedule.operands, strict=True)
            operands = [self.operand(view, type_, *steps, output, column, lanes, mask) for view, type_, steps in rows]
            outcome = self.chain.emit(builder, self.target, [value, *operands])
            outcomes.append([builder.broadcast(result, lanes) for result in outcome])
        return outcomes

    def across(self, vectors: Sequence[list[list[Value]]]) -> list[list[Value]]:
        """The largest of each window's columns, of as many vectors as a window has."""
        if len(vectors) == 1:
            return vectors[0]
        found = []
        for outcomes in zip(*vectors, strict=True):
            columns = [result for (result,) in outcomes]
            if columns[0].type.lanes > 1:
                columns = taken_apart(self.builder, columns)
            found.append([reduce(self.larger, columns)])
        return found

    def larger(self, best: Value, value: Value) -> Value:
        return larger(self.builder, self.schedule.chain.result_dtypes[0], best, value)

    def operand(
        self, view: Value, type_: Type, by_column: int, by_output: int, output: int, start: Number, lanes: int,
        mask: Value | None,
    ) -> Value:  # fmt: skip
        builder, place = self.builder, start * by_column + output * by_output
        if by_column == 0:
            return builder.load(view, place, type_)
        if by_column == 1 or lanes == 1:
            return builder.load(view, place, type_.of(lanes), mask)
        far = distances(builder, builder.index(by_column), lanes)
        return builder.gather(builder.offset(view, place, type_.kind), far, type_.of(lanes), mask)

    def store(self, outcomes: Sequence[Sequence[Value]], views: list[Value], start: Number, mask: Value | None) -> None:
        """Each result's vectors, one for every output."""
        for vectors, view, by_column in zip(zip(*outcomes, strict=True), views, self.schedule.results, strict=False):
            self.store_result(vectors, view, by_column, start, mask)

    def store_result(
        self, vectors: Sequence[Value], view: Value, by_column: int, start: Number, mask: Value | None
    ) -> None:
        builder, count, lanes = self.builder, len(vectors), vectors[0].type.lanes
        if by_column == count and lanes > 1:
            for number, vector in enumerate(interleaved(builder, vectors)):
                exist = None if mask is None else builder.mask(self.width * count - number * lanes, lanes)
                builder.store(vector, view, start * count + number * lanes, exist)
            return
        for output, vector in enumerate(vectors):
            place = start * by_column + output
            if lanes == 1:
                builder.store(vector, view, place)
            else:
                far = distances(builder, builder.index(by_column), lanes)
                builder.scatter(vector, builder.offset(view, place, vector.type.kind), far, mask)


def lanes_summed(builder: Builder, vectors: Sequence[Value]) -> Value:
    """A vector of each vector's sum of lanes: first with last half, then first with second quarter, and so on. There
    are at most as many vectors as lanes; both are powers of two."""
    segment, several = vectors[0].type.lanes, list(vectors)
    while segment > 1:
        lanes, half = several[0].type.lanes, segment // 2
        pairs = [(several[at], several[at + 1]) for at in range(0, len(several) - 1, 2)] or [(several[0], several[0])]
        low = [first + lane for first in range(0, lanes * min(len(several), 2), segment) for lane in range(half)]
        if len(low) == 1:
            several = [builder.extract(several[0], 0) + builder.extract(several[0], 1)]
        else:
            high = [lane + half for lane in low]
            several = [builder.shuffle(a, b, low) + builder.shuffle(a, b, high) for a, b in pairs]
        segment = half
    return several[0]
