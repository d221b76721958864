"""Depthwise convolution, where each channel has a filter of its own, and its gradient by the input. Lanes run over
channels; a block of neighbouring outputs stays in registers while the inputs that it looks at pass by once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.input_gradient import FEW, covers, of_nothing, phases, plan_input_gradient
from wimmel.compiler.kernels.windows import filled_lanes, on_three_axes, picture
from wimmel.compiler.language import BOOLEAN, Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

TASK_PRODUCTS = 1 << 14
"""Vector multiply-adds that one task does at least, where there are as many: some microseconds."""

COLUMNS = (4, 7)
"""Outputs in a row of a block, at least and at most: enough that multiply-adds do not wait for each other."""

UNROLLED = 768
"""Multiply-adds of a block that are written out; of larger ones the taps are looped over."""


@dataclass(frozen=True)
class DepthwiseSchedule:
    """What a depthwise convolution's code depends on; there are always three spatial axes.

    Attributes
    ----------
    dtype : str
        Of the input. Products are of the dtype of the chain's first input.
    taps, stride, dilation : (int, int, int)
    rows, columns : int
        Outputs of a block.
    lanes, channels : int
        Where there are fewer channels than lanes, these are masked; else a last vector overlaps the one before.
    column : int
        Elements from one column of the input to the next.
    chain : Chain
        The epilogue; its first input is the convolution.
    results, operands : tuple of (int, int)
        For each of the chain's results and each of its other inputs: elements from column to column, and from channel
        to channel.
    """

    dtype: str
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

    def kernel(self, target: Target, name: str) -> Function:
        return _Depthwise(self, target, name).write()


def plan_depthwise(
    x: Place,
    weight: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    target: Target,
    label: str = "",
) -> list[Step]:
    """The steps of a depthwise convolution: packing the weights, then the products.

    The products of an output are added in the order of the taps, whatever the target.

    Parameters
    ----------
    x : Place (n, c, *sizes), with one to three spatial axes
        Channels neighbouring, with zeros around as wide as the padding.
    weight : Place (c, 1, *kernel)
    results : sequence of Place (n, c, *outputs)
        One for each result of the chain; channels neighbouring.
    chain : Chain
        The epilogue, whose first input is the convolution, of floats.
    operands : sequence of Place
        The chain's other inputs, stretched to the results' shape; channels neighbouring, or one number for all.
    stride, padding, dilation
        Those of the convolution.
    target : Target
    label : str
        For people.

    Returns
    -------
    list of Step, empty where there are no outputs
    """
    if 0 in results[0].shape:
        return []
    taps, stride, dilation = (on_three_axes(row, 1) for row in (weight.shape[2:], stride, dilation))
    x, results, operands = picture(x), [*map(picture, results)], [*map(picture, operands)]
    front = on_three_axes([pair[0] for pair in padding], 0)
    start = x.offset - sum(zeros * step for zeros, step in zip(front, x.strides[2:], strict=True))
    packed, steps = _packed(weight, chain.inputs[0], target, label)

    n, c, depth, height, width = results[0].shape
    assert all(place.strides[1] == 1 for place in (x, *results)), "channels of depthwise convolutions are neighbours"
    lanes, _, _ = filled_lanes([x, *results], target.lanes(KIND_OF[chain.inputs[0]]), False, target)
    columns = _columns(width)
    rows = 2 if target.registers >= 32 and height > 1 and 2 * columns * math.prod(taps[1:]) <= UNROLLED else 1
    schedule = DepthwiseSchedule(
        x.dtype, taps, stride, dilation, rows, columns, lanes, c, x.strides[4], chain,
        tuple((place.strides[4], place.strides[1]) for place in results),
        tuple((place.strides[4], place.strides[1]) for place in operands),
    )  # fmt: skip
    blocks = height // rows
    products = rows * width * -(-c // lanes) * max(1, math.prod(taps))
    blocks_of_task = min(blocks, max(1, TASK_PRODUCTS // products))
    parts = -(-blocks // blocks_of_task)
    # from memory it gains up to a third, and in caches, of which the third is shared, it costs up to a sixth
    met = sum(buffer.bytes for buffer in {place.buffer for place in (x, *results, *operands)})
    ahead = met > target.l3_bytes * 3 // 8
    numbers = [depth, height, width, blocks, blocks_of_task, parts, int(ahead)]
    for place in (x, *results, *operands):
        numbers += [place.strides[0], place.strides[2], place.strides[3]]
    written = tuple(dict.fromkeys(place.buffer for place in results))
    places = (replace(x, offset=start), packed, *results, *operands)
    outputs = n * depth * -(-height // rows) * rows * -(-width // columns) * columns * -(-c // lanes)
    operations = outputs * (math.prod(taps) + chain.work + len(results) + len(operands))
    return [*steps, Step(schedule, (*places, *numbers), written, n * depth * parts, label, operations)]


def plan_depthwise_input_gradient(
    g: Place,
    weight: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    size: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    target: Target,
    label: str = "",
) -> list[Step]:
    """The steps of a depthwise convolution's gradient by its input: a depthwise convolution for each class of elements
    that the same taps reach.

    Parameters
    ----------
    g : Place (n, c, *outputs)
        Channels neighbouring, with the zeros around it that `input_gradient.input_gradient_halo` tells.
    weight : Place (c, 1, *kernel)
    results : sequence of Place (n, c, *size)
        One for each result of the chain; channels neighbouring.
    chain, operands
        The epilogue, as in `plan_depthwise`.
    size, stride, padding, dilation
        Those of the convolution.
    """
    rows = zip(size, weight.shape[2:], stride, padding, dilation, strict=True)
    found = [phases(n, k, s, front, d) for n, k, s, (front, _), d in rows]
    if math.prod(map(len, found)) > FEW:
        groups = weight.shape[0]
        return plan_input_gradient(
            g, weight, results, chain, operands, size, stride, padding, dilation, groups, target, label
        )
    steps: list[Step] = []
    if not covers(found, size):
        steps += plan_elements(of_nothing(chain), operands, results, target, label)
    for chosen in product(*found):
        shape = (*results[0].shape[:2], *(phase.count for phase in chosen))
        first, apart = (0, 0, *(phase.first for phase in chosen)), (1, 1, *stride)
        by_tap = weight.strides[2:]
        last = [phase.tap + (phase.taps - 1) * phase.apart for phase in chosen]
        turned = Place(
            weight.buffer,
            weight.offset + sum(tap * step for tap, step in zip(last, by_tap, strict=True)),
            (*weight.shape[:2], *(phase.taps for phase in chosen)),
            (*weight.strides[:2], *(-phase.apart * step for phase, step in zip(chosen, by_tap, strict=True))),
        )
        steps += plan_depthwise(
            g,
            turned,
            [place.sliced(first, shape, apart) for place in results],
            chain,
            [place.sliced(first, shape, apart) for place in operands],
            (1,) * len(size),
            tuple((-phase.start, 0) for phase in chosen),
            tuple(phase.dilation for phase in chosen),
            target,
            label,
        )
    return steps


def _columns(width: int) -> int:
    """Outputs in a row of a block: as few are computed twice as can be; then the fewest, since a small block reads its
    lines nearly in order, which from memory gains up to a quarter.

    >>> [_columns(width) for width in (1, 5, 7, 13, 14, 56)]
    [1, 5, 7, 7, 7, 4]
    """
    fewest, most = COLUMNS
    return min(
        range(min(fewest, width), min(most, width) + 1), key=lambda columns: (-(-width // columns) * columns, columns)
    )


def _packed(weight: Place, dtype: str, target: Target, label: str) -> tuple[Place, list[Step]]:
    """The weights as (*taps, channels), neighbouring in that order, and the steps that put them there."""
    order = (*range(2, len(weight.shape)), 1, 0)
    turned = weight.transposed(order)
    packed = row_major(Buffer(dtype, max(1, weight.size), name="packed weights"), turned.shape)
    chain = Chain.identity(dtype)
    if weight.dtype != dtype:
        chain = Chain((weight.dtype,), (Line("cast", (0,), dtype),), (1,))
    return packed, plan_elements(chain, [turned], [packed], target, f"pack {label}")


class _Depthwise:
    """Writes the kernel: tasks, rows, columns and channels of blocks, and in each of them planes and lines of taps."""

    def __init__(self, schedule: DepthwiseSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        chain = schedule.chain
        self.input = Type(KIND_OF[schedule.dtype], schedule.lanes)
        self.vector = Type(KIND_OF[chain.inputs[0]], schedule.lanes)
        self.types = [Type(KIND_OF[dtype]) for dtype in (*chain.result_dtypes, *chain.inputs[1:])]
        self.steps = (*schedule.results, *schedule.operands)

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        argument, begin, end, _ = builder.kernel()
        views = len(self.steps)
        words = builder.arguments(argument, "pp" + "p" * views + "i" * 7 + "iii" * (1 + views))
        self.x, self.weights, self.pointers = words[0], words[1], words[2 : 2 + views]
        words = words[2 + views :]
        depth, height, self.width, blocks, blocks_of_task, parts, self.ahead = words[:7]
        self.strides = [words[place : place + 3] for place in range(7, len(words), 3)]

        def task(number: Value) -> None:
            plane, part = number // parts, number % parts
            n, d = plane // depth, plane % depth
            first = part * blocks_of_task * schedule.rows
            following = (part + 1) * blocks_of_task
            last = builder.select(builder.compare("ge", following, blocks), height, following * schedule.rows)
            within = last - schedule.rows

            # the last block of a plane overlaps the one before it, which is of the same task
            def row(line: Value) -> None:
                self.row(n, d, builder.minimum(line, within))

            builder.loop(first, last, schedule.rows, row)

        builder.loop(begin, end, 1, task)
        return builder.function()

    def row(self, n: Value, d: Value, h: Value) -> None:
        """A row of blocks."""
        builder, schedule = self.builder, self.schedule
        depth, height, _ = schedule.stride
        by_picture, by_plane, by_line = self.strides[0]
        x = builder.offset(self.x, n * by_picture + d * depth * by_plane + h * height * by_line, self.input.kind)
        views = [
            builder.offset(pointer, n * by_picture + d * by_plane + h * by_line, type_.kind)
            for pointer, (by_picture, by_plane, by_line), type_ in zip(
                self.pointers, self.strides[1:], self.types, strict=True
            )
        ]
        within = self.width - schedule.columns

        def block(column: Value) -> None:
            w = builder.minimum(column, within)
            corner = builder.offset(x, w * (schedule.stride[2] * schedule.column), self.input.kind)
            places = [
                builder.offset(view, w * step, type_.kind)
                for view, (step, _), type_ in zip(views, self.steps, self.types, strict=True)
            ]
            each_vector(
                builder, schedule.channels, schedule.lanes, lambda c, mask: self.vectors(corner, places, c, mask)
            )

        builder.loop(0, self.width, schedule.columns, block)

    def vectors(self, x: Value, places: list[Value], channel: Number, mask: Value | None) -> None:
        """A block of outputs in a vector of channels."""
        builder = self.builder
        x = builder.offset(x, channel, self.input.kind)
        weights = builder.offset(self.weights, channel, self.vector.kind)
        builder.when(builder.compare("ne", self.ahead, 0), lambda: self.prefetch(x))
        self.finish(self.sums(x, weights, mask), places, channel, mask)

    def prefetch(self, x: Value) -> None:
        """What the next row of blocks looks at and this one does not."""
        builder, schedule = self.builder, self.schedule
        moved = schedule.rows * schedule.stride[1]
        first = (schedule.rows - 1) * schedule.stride[1] + (schedule.taps[1] - 1) * schedule.dilation[1] + 1
        for line in range(first, first + moved):
            row = builder.offset(x, self.strides[0][2] * line, self.input.kind)
            for column in range(schedule.columns * schedule.stride[2]):
                builder.prefetch(row, column * schedule.column, self.input.kind, level=2)

    def sums(self, x: Value, weights: Value, mask: Value | None) -> list[Value]:
        """Of the products at all taps; one for each output of the block, row by row."""
        builder, schedule = self.builder, self.schedule
        depth, height, width = schedule.taps
        size = schedule.rows * schedule.columns
        sums = [builder.constant(self.vector, 0.0)] * size
        _, by_plane, by_line = self.strides[0]

        def plane(number: Number, *sums: Value) -> list[Value]:
            start = builder.offset(x, number * schedule.dilation[0] * by_plane, self.input.kind)
            panel = builder.offset(weights, number * (height * width * schedule.channels), self.vector.kind)

            def filters(line: Number) -> Value:
                return builder.offset(panel, line * (width * schedule.channels), self.vector.kind)

            def inputs(line: Number) -> Value:
                return builder.offset(start, line * by_line, self.input.kind)

            if size * height * width > UNROLLED:
                return builder.loop(
                    0,
                    height,
                    1,
                    lambda tap, *sums: self.line(inputs(tap * schedule.dilation[1]), [(0, filters(tap))], sums, mask),
                    sums,
                )
            taken: Sequence[Value] = sums
            for line in range((schedule.rows - 1) * schedule.stride[1] + (height - 1) * schedule.dilation[1] + 1):
                meeting = [
                    (row, filters(tap))
                    for row in range(schedule.rows)
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

        def input_at(column: Number) -> Value:
            value = builder.load(x, column * schedule.column, self.input, mask)
            return builder.convert(value, self.vector.kind)

        def weight_at(filters: Value, tap: Number) -> Value:
            return builder.load(filters, tap * schedule.channels, self.vector, mask)

        def turn(tap: Number, *sums: Value) -> list[Value]:
            taken = list(sums)
            for row, filters in meeting:
                weight = weight_at(filters, tap)
                for column in range(columns):
                    output = row * columns + column
                    taken[output] = builder.fma(input_at(tap * dilation + column * stride), weight, taken[output])
            return taken

        if columns * taps > UNROLLED:
            return builder.loop(0, taps, 1, turn, sums)
        builder.fence()  # otherwise all loads of a block come first, and there are not registers enough
        lines = [(row, [weight_at(filters, tap) for tap in range(taps)]) for row, filters in meeting]
        taken = list(sums)
        for place in range((columns - 1) * stride + (taps - 1) * dilation + 1):
            met = [(c, tap) for c in range(columns) for tap in range(taps) if c * stride + tap * dilation == place]
            if not met:
                continue
            value = input_at(place)
            for row, weights in lines:
                for column, tap in met:
                    output = row * columns + column
                    taken[output] = builder.fma(value, weights[tap], taken[output])
        return taken

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


def each_vector(builder: Builder, channels: int, lanes: int, body: Callable[[Number, Value | None], None]) -> None:
    """``body(channel, mask)`` for vectors of channels: one with a mask where there are fewer channels than lanes, else
    a last one that overlaps the one before it."""
    if channels < lanes:
        body(0, builder.constant(BOOLEAN.of(lanes), [lane < channels for lane in range(lanes)]))
    elif channels % lanes == 0:
        builder.loop(0, channels, lanes, lambda c: body(c, None))
    else:
        builder.loop(0, channels, lanes, lambda c: body(builder.minimum(c, channels - lanes), None))
