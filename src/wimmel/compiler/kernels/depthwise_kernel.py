"""The kernel of convolutions in groups of few channels, above all of one each: depthwise. Lanes run over the outputs of
several groups; a block of neighbouring pixels stays in registers while the inputs that it looks at pass by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wimmel.compiler.chain import Chain
from wimmel.compiler.language import BOOLEAN, Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape

UNROLLED = 768
"""Multiply-adds of a block that are written out; of larger ones the taps are looped over."""


@dataclass(frozen=True)
class DepthwiseConvolution:
    """What the code of one convolution depends on; there are always three spatial axes.

    Attributes
    ----------
    dtype : str
        Of the input. Products are of the dtype of the chain's first input.
    inputs, outputs : int
        Channels of a group, and outputs: one each in depthwise convolution.
    taps, stride, dilation : (int, int, int)
    rows, columns : int
        Outputs of a block.
    lanes, channels : int
        Outputs in a vector, and of all groups together. Where there are fewer than lanes, these are masked; else a last
        vector overlaps the one before.
    column : int
        Elements from one column of the input to the next.
    chain : Chain
        The epilogue; its first input is the convolution.
    results, operands : tuple of (int, int)
        For each of the chain's results and each of its other inputs: elements from column to column, and from output
        to output.
    """

    dtype: str
    inputs: int
    outputs: int
    taps: Shape
    stride: Shape
    dilation: Shape
    rows: int
    columns: int
    lanes: int
    channels: int
    column: int
    chain: Chain
    results: tuple[tuple[int, int], ...]
    operands: tuple[tuple[int, int], ...]

    @property
    def in_groups(self) -> bool:
        """Whether there is more to a group than one channel and one output."""
        return max(self.inputs, self.outputs) > 1


@dataclass(frozen=True)
class DepthwiseSchedule:
    """One convolution, or several of the same pictures: a task computes some rows of the one, then of the next, so that
    what they read, and the lines that they write between each other's, are still at hand. The arguments of each follow
    those of the one before."""

    convolutions: tuple[DepthwiseConvolution, ...]

    def kernel(self, target: Target, name: str) -> Function:
        builder = Builder(name)
        argument, begin, end, _ = builder.kernel()
        writers = []
        for convolution in self.convolutions:
            views = len(convolution.results) + len(convolution.operands)
            words = builder.arguments(argument, "pp" + "p" * views + "i" * 7 + "iii" * (1 + views))
            writers.append(_Depthwise(convolution, target, builder, words))
            argument = builder.offset(argument, len(words), "i64")

        def task(number: Value) -> None:
            for writer in writers:
                writer.task(number)

        builder.loop(begin, end, 1, task)
        return builder.function()


class _Depthwise:
    """Writes a task: rows, columns and channels of blocks, and in each of them planes and lines of taps."""

    def __init__(
        self, schedule: DepthwiseConvolution, target: Target, builder: Builder, words: Sequence[Value]
    ) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = builder
        chain = schedule.chain
        self.input = Type(KIND_OF[schedule.dtype], schedule.lanes)
        self.vector = Type(KIND_OF[chain.inputs[0]], schedule.lanes)
        self.types = [Type(KIND_OF[dtype]) for dtype in (*chain.result_dtypes, *chain.inputs[1:])]
        self.kinds = [self.input.kind, *(type_.kind for type_ in self.types)]
        self.steps = (*schedule.results, *schedule.operands)
        views = len(self.steps)
        self.x, self.weights, *self.pointers = words[: 2 + views]
        words = words[2 + views :]
        self.depth, self.height, self.width, self.rows_of_task, self.parts, self.ahead, self.of_turn = words[:7]
        self.strides = [words[place : place + 3] for place in range(7, len(words), 3)]

    def task(self, number: Value) -> None:
        """Some rows of a plane; the last part of them is all that is left."""
        builder, schedule = self.builder, self.schedule
        plane, part = number // self.parts, number % self.parts
        n, d = plane // self.depth, plane % self.depth
        first = part * self.rows_of_task
        last = builder.select(builder.compare("eq", part, self.parts - 1), self.height, first + self.rows_of_task)
        planes = [
            builder.offset(pointer, n * by_picture + d * step * by_plane, kind)
            for pointer, step, (by_picture, by_plane, _), kind in zip(
                (self.x, *self.pointers), (schedule.stride[0], *[1] * len(self.steps)), self.strides, self.kinds,
                strict=True,
            )
        ]  # fmt: skip
        # rows that are left are blocks of their own
        whole = first + (last - first) // schedule.rows * schedule.rows

        def turn(channel: Value) -> None:
            channels = channel, builder.minimum(channel + self.of_turn, schedule.channels)
            rows = schedule.rows
            builder.loop(first, whole, rows, lambda line: self.row(rows, planes, line, channels))
            if rows > 1:
                builder.loop(whole, last, 1, lambda line: self.row(1, planes, line, channels))

        builder.loop(0, schedule.channels, self.of_turn, turn)

    def row(self, rows: int, planes: list[Value], line: Value, channels: tuple[Value, Value]) -> None:
        """Blocks side by side, of the channels of a turn."""
        builder, schedule = self.builder, self.schedule
        places = [
            builder.offset(plane, line * by_line * step, kind)
            for plane, step, (*_, by_line), kind in zip(
                planes, (schedule.stride[1], *[1] * len(self.steps)), self.strides, self.kinds, strict=True
            )
        ]

        def block(column: Value) -> None:
            w = builder.minimum(column, self.width - schedule.columns)
            x, *views = [
                builder.offset(place, w * step, kind)
                for place, step, kind in zip(
                    places, (schedule.stride[2] * schedule.column, *(step for step, _ in self.steps)), self.kinds,
                    strict=True,
                )
            ]  # fmt: skip

            def vectors(channel: Number, mask: Value | None) -> None:
                self.vectors(rows, x, views, channel, mask)

            each_vector(builder, schedule.channels, schedule.lanes, vectors, *channels)

        builder.loop(0, self.width, schedule.columns, block)

    def vectors(self, rows: int, x: Value, places: list[Value], channel: Number, mask: Value | None) -> None:
        """A block of outputs in a vector of them."""
        builder, schedule = self.builder, self.schedule
        first = channel // schedule.outputs * schedule.inputs if schedule.in_groups else channel
        x = builder.offset(x, first, self.input.kind)
        weights = builder.offset(self.weights, channel, self.vector.kind)
        builder.when(builder.compare("ne", self.ahead, 0), lambda: self.prefetch(rows, x))
        self.finish(self.sums(rows, x, weights, mask), places, channel, mask)

    def prefetch(self, rows: int, x: Value) -> None:
        """What the next row of blocks looks at and this one does not."""
        builder, schedule = self.builder, self.schedule
        moved = rows * schedule.stride[1]
        first = (rows - 1) * schedule.stride[1] + (schedule.taps[1] - 1) * schedule.dilation[1] + 1
        for line in range(first, first + moved):
            row = builder.offset(x, self.strides[0][2] * line, self.input.kind)
            for column in range(schedule.columns * schedule.stride[2]):
                builder.prefetch(row, column * schedule.column, self.input.kind, level=2)

    def sums(self, rows: int, x: Value, weights: Value, mask: Value | None) -> list[Value]:
        """Of the products at all taps; one for each output of the block, row by row."""
        builder, schedule = self.builder, self.schedule
        depth, height, width = schedule.taps
        size, of_tap = rows * schedule.columns, schedule.inputs * schedule.channels
        sums = [builder.constant(self.vector, 0.0)] * size
        _, by_plane, by_line = self.strides[0]

        def plane(number: Number, *sums: Value) -> list[Value]:
            start = builder.offset(x, number * schedule.dilation[0] * by_plane, self.input.kind)
            panel = builder.offset(weights, number * (height * width * of_tap), self.vector.kind)

            def filters(line: Number) -> Value:
                return builder.offset(panel, line * (width * of_tap), self.vector.kind)

            def inputs(line: Number) -> Value:
                return builder.offset(start, line * by_line, self.input.kind)

            if size * height * width * schedule.inputs > UNROLLED:
                return builder.loop(
                    0,
                    height,
                    1,
                    lambda tap, *sums: self.line(inputs(tap * schedule.dilation[1]), [(0, filters(tap))], sums, mask),
                    sums,
                )
            taken: Sequence[Value] = sums
            for line in range((rows - 1) * schedule.stride[1] + (height - 1) * schedule.dilation[1] + 1):
                meeting = [
                    (row, filters(tap))
                    for row in range(rows)
                    for tap in range(height)
                    if row * schedule.stride[1] + tap * schedule.dilation[1] == line
                ]
                if meeting:
                    taken = self.line(inputs(line), meeting, taken, mask)
            return list(taken)

        return plane(0, *sums) if depth == 1 else builder.loop(0, depth, 1, plane, sums)

    def line(
        self, x: Value, meeting: Sequence[tuple[int, Value]], sums: Sequence[Value], mask: Value | None
    ) -> list[Value]:
        """The sums after a line of x has met those rows of the block with those filters."""
        builder, schedule = self.builder, self.schedule
        taps, stride, dilation = schedule.taps[2], schedule.stride[2], schedule.dilation[2]
        columns = schedule.columns

        def weight_at(filters: Value, tap: Number, number: int) -> Value:
            place = (tap * schedule.inputs + number) * schedule.channels
            return builder.load(filters, place, self.vector, mask)

        def turn(tap: Number, *sums: Value) -> list[Value]:
            taken = list(sums)
            for number in range(schedule.inputs):
                for row, filters in meeting:
                    weight = weight_at(filters, tap, number)
                    for column in range(columns):
                        output, place = row * columns + column, tap * dilation + column * stride
                        taken[output] = builder.fma(self.input_at(x, place, number, mask), weight, taken[output])
            return taken

        if columns * taps * schedule.inputs > UNROLLED:
            return builder.loop(0, taps, 1, turn, sums)
        taken = list(sums)
        for number in range(schedule.inputs):
            builder.fence()  # otherwise all loads of a block come first, and there are not registers enough
            lines = [(row, [weight_at(filters, tap, number) for tap in range(taps)]) for row, filters in meeting]
            for place in range((columns - 1) * stride + (taps - 1) * dilation + 1):
                met = [(c, tap) for c in range(columns) for tap in range(taps) if c * stride + tap * dilation == place]
                if not met:
                    continue
                value = self.input_at(x, place, number, mask)
                for row, weights in lines:
                    for column, tap in met:
                        output = row * columns + column
                        taken[output] = builder.fma(value, weights[tap], taken[output])
        return taken

    def input_at(self, x: Value, column: Number, number: int, mask: Value | None) -> Value:
        """What the outputs of a vector multiply of a column, each the channel of that number of its group."""
        builder, schedule = self.builder, self.schedule
        place = column * schedule.column
        if not schedule.in_groups:
            value = builder.load(x, place, self.input, mask)
            return builder.convert(value, self.vector.kind)
        lanes, several = schedule.lanes, schedule.lanes // schedule.outputs * schedule.inputs
        low = high = builder.load(x, place, self.input.of(min(several, lanes)))
        if several > lanes:  # the second vector overlaps the first, so that nothing behind is read
            high = builder.load(x, place + (several - lanes), self.input)
        wanted = [lane // schedule.outputs * schedule.inputs + number for lane in range(lanes)]
        chosen = [at if at < lanes else at - (several - lanes) + lanes for at in wanted]
        return builder.convert(builder.shuffle(low, high, chosen), self.vector.kind)

    def finish(self, sums: Sequence[Value], places: list[Value], channel: Number, mask: Value | None) -> None:
        """The epilogue on every sum, and the results stored."""
        builder, schedule = self.builder, self.schedule
        results, lanes = len(schedule.results), schedule.lanes
        views = list(zip(places, self.steps, (strides[2] for strides in self.strides[1:]), self.types, strict=True))
        still: dict[tuple[int, int], Value] = {}
        for number, total in enumerate(sums):
            row, column = divmod(number, schedule.columns)
            values = [total]
            for operand, (pointer, (by_column, by_channel), by_line, type_) in enumerate(views[results:]):
                if by_column or (operand, row) not in still:
                    place = column * by_column + row * by_line + channel * by_channel
                    wide = type_.of(lanes if by_channel else 1)
                    still[operand, row] = builder.load(pointer, place, wide, mask if by_channel else None)
                values.append(still[operand, row])
            outcome = schedule.chain.emit(builder, self.target, values)
            for value, (pointer, (by_column, by_channel), by_line, _) in zip(outcome, views[:results], strict=True):
                place = column * by_column + row * by_line + channel * by_channel
                builder.store(builder.broadcast(value, lanes), pointer, place, mask)


def each_vector(
    builder: Builder, channels: int, lanes: int, body: Callable[[Number, Value | None], None], begin: Number = 0,
    end: Number | None = None,
) -> None:  # fmt: skip
    """``body(channel, mask)`` for vectors of channels, all or those from one to another: one with a mask where there
    are fewer channels than lanes, else a last one that overlaps the one before it."""
    if channels < lanes:
        body(0, builder.constant(BOOLEAN.of(lanes), [lane < channels for lane in range(lanes)]))
        return
    within = channels - lanes
    end = channels if end is None else end
    builder.loop(begin, end, lanes, lambda c: body(builder.minimum(c, within) if channels % lanes else c, None))
