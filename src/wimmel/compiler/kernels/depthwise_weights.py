"""The gradient of a depthwise convolution by its weights: for each tap and channel, the sum over all outputs of their
cotangent times the input that the tap met there. Rows go to parts, the number of which follows from the shape alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.depthwise_kernel import each_vector
from wimmel.compiler.kernels.loops import digits_of, next_digits
from wimmel.compiler.kernels.reduction import plan_reduction
from wimmel.compiler.kernels.windows import beyond_caches, filled_lanes, on_three_axes, picture
from wimmel.compiler.language import BOOLEAN, Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Buffer, Place, Step, bytes_of, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

PARTS = 64
"""Into how many parts the outputs are cut at most."""

PART_PRODUCTS = 1 << 18
"""Multiply-adds of a part, at least: ten microseconds or so."""

RUN = 64
"""Terms that are added up in registers at least, where there are as many, before they go to the part's sums."""

SEGMENT = 256
"""Rows are cut into pieces of at most so many columns."""

COLUMNS = (4, 2, 1)
"""Outputs whose cotangents are in registers at once: as many as there are, then what is left of a row."""


@dataclass(frozen=True)
class DepthwiseWeightSchedule:
    """What the code depends on; there are always three spatial axes.

    Attributes
    ----------
    dtypes : (str, str, str)
        Of x, of g, and of the sums.
    taps, stride, dilation : (int, int, int)
    lines : int
        Rows of taps whose sums are in registers at once.
    line : int
        Taps of such a row.
    lanes, channels : int
        As in `DepthwiseSchedule`.
    columns : (int, int)
        Elements from one column of x, and of g, to the next.
    is_wide : bool
        Whether what the next vector of channels reads is fetched ahead, always, rather than what the next run reads, if
        it is in memory: of so many channels the second-level cache does not hold two runs.
    """

    dtypes: tuple[str, str, str]
    taps: Shape
    stride: Shape
    dilation: Shape
    lines: int
    line: int
    lanes: int
    channels: int
    columns: tuple[int, int]
    is_wide: bool

    def kernel(self, target: Target, name: str) -> Function:
        return _WeightGradient(self, name).write()


def plan_depthwise_weight_gradient(
    x: Place,
    g: Place,
    result: Place,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    target: Target,
    label: str = "",
) -> list[Step]:
    """The steps of a depthwise convolution's gradient by its weights: sums of parts, then the sum of these.

    Terms are added in one order, whatever the target: along rows up to some hundred of them, then row by row, then part
    by part, so that errors stay small.

    Parameters
    ----------
    x : Place (n, c, *sizes)
        Channels neighbouring, with zeros around as far as taps reach into the padding.
    g : Place (n, c, *outputs)
        Channels neighbouring.
    result : Place (c, 1, *kernel)
    kernel, stride, padding, dilation
        Those of the convolution.
    target : Target
    label : str
        For people.

    Returns
    -------
    list of Step, empty where there are no weights
    """
    if result.size == 0:
        return []
    taps, stride, dilation = (on_three_axes(row, 1) for row in (kernel, stride, dilation))
    x, g = picture(x), picture(g)
    assert x.strides[1] == g.strides[1] == 1, "channels of depthwise convolutions are neighbours"
    front = on_three_axes([pair[0] for pair in padding], 0)
    start = x.offset - sum(zeros * step for zeros, step in zip(front, x.strides[2:], strict=True))
    n, c, depth, height, width = g.shape
    lanes, _, _ = filled_lanes([x, g], target.lanes(KIND_OF[result.dtype]), False, target)
    room = target.registers - max(COLUMNS) - 2
    line = min(taps[2], room)
    schedule = DepthwiseWeightSchedule(
        (x.dtype, g.dtype, result.dtype), taps, stride, dilation, min(taps[1], room // line), line, lanes, c,
        (x.strides[4], g.strides[4]), 2 * RUN * c * bytes_of(x.kind) > target.l2_bytes // 6,
    )  # fmt: skip
    segments = -(-width // SEGMENT)
    pieces = n * depth * height * segments
    pieces_of_run = max(1, RUN // max(1, width))
    pieces_of_part = max(1, -(-pieces // _parts(g.size // c, c, math.prod(taps))))
    parts = max(1, -(-pieces // pieces_of_part))
    partial = row_major(Buffer(result.dtype, parts * result.size, name="parts"), (parts, *kernel, c, 1))
    numbers = [depth, height, width, segments, pieces, pieces_of_part, pieces_of_run]
    for place in (x, g):
        numbers += [place.strides[0], place.strides[2], place.strides[3]]
    numbers.append(int(beyond_caches([x, g], target, 5 / 16)))
    places = (replace(x, offset=start), g, partial)
    operations = n * depth * height * width * -(-c // lanes) * math.prod(taps)
    axes = len(kernel)
    by_part = partial.transposed((0, axes + 1, axes + 2, *range(1, axes + 1)))
    return [
        Step(schedule, (*places, *numbers), (partial.buffer,), parts, f"{label} (parts)", operations),
        *plan_reduction("sum", Chain.identity(result.dtype), [by_part], (0,), result, target, label),
    ]


def _parts(outputs: int, channels: int, taps: int) -> int:
    """How many parts are worth it: each is long, and all their sums together are few beside the terms."""
    return max(1, min(PARTS, outputs * channels * taps // PART_PRODUCTS, outputs // (8 * taps)))


class _WeightGradient:
    """Writes the kernel: parts as tasks, runs of pieces of rows, channels, groups of taps; then pieces and columns."""

    def __init__(self, schedule: DepthwiseWeightSchedule, name: str) -> None:
        self.schedule = schedule
        self.builder = Builder(name)
        kinds = [KIND_OF[dtype] for dtype in schedule.dtypes]
        self.kinds = kinds
        self.vector = Type(kinds[2], schedule.lanes)

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        argument, begin, end, _ = builder.kernel()
        words = builder.arguments(argument, "ppp" + "i" * 14)
        self.x, self.g, partial = words[:3]
        depth, height, self.width, segments, pieces, pieces_of_part, pieces_of_run = words[3:10]
        self.sizes = [depth, depth, height, segments]  # pictures are not counted
        self.x_strides, self.g_strides = words[10:13], words[13:16]
        self.far = builder.compare("ne", words[16], 0)
        self.next_run = (self.x_strides[2] * schedule.stride[1] * pieces_of_run, self.g_strides[2] * pieces_of_run)
        sums = math.prod(schedule.taps) * schedule.channels

        def part(number: Value) -> None:
            pointer = builder.offset(partial, number * sums, self.vector.kind)
            zero = builder.constant(self.vector.of(1), 0)
            builder.loop(0, sums, 1, lambda place: builder.store(zero, pointer, place))
            first = number * pieces_of_part
            last = builder.minimum(first + pieces_of_part, pieces)

            def run(piece: Value) -> None:
                following = builder.minimum(piece + pieces_of_run, last)
                digits = digits_of(builder, piece, self.sizes)
                each_vector(
                    builder,
                    schedule.channels,
                    schedule.lanes,
                    lambda c, mask: self.vectors(builder.offset(pointer, c, self.vector.kind), digits,
                                                 following - piece, c, mask),
                )  # fmt: skip

            builder.loop(first, last, pieces_of_run, run)

        builder.loop(begin, end, 1, part)
        return builder.function()

    def vectors(
        self, partial: Value, digits: Sequence[Value], pieces: Value, channel: Number, mask: Value | None
    ) -> None:
        """What a run of pieces adds to the part's sums, in a vector of channels."""
        builder, schedule = self.builder, self.schedule
        depth, height, width = schedule.taps
        keep = self.new_lanes(channel)
        whole = height // schedule.lines * schedule.lines

        def plane(number: Number) -> None:
            for tap in range(0, width, schedule.line):
                count = min(schedule.line, width - tap)

                def group(line: Number, lines: int, tap: int = tap, count: int = count) -> None:
                    sums = self.sums(digits, pieces, channel, mask, (number, line, tap), lines, count)
                    for place, total in enumerate(sums):
                        row, column = divmod(place, count)
                        at = ((number * height + line + row) * width + tap + column) * schedule.channels
                        if keep is not None:
                            total = builder.select(keep, total, builder.constant(self.vector, 0))
                        builder.store(builder.load(partial, at, self.vector, mask) + total, partial, at, mask)

                if whole == schedule.lines:
                    group(0, schedule.lines)
                else:
                    builder.loop(0, whole, schedule.lines, lambda line: group(line, schedule.lines))
                if whole < height:
                    group(whole, height - whole)

        if depth == 1:
            plane(0)
        else:
            builder.loop(0, depth, 1, plane)

    def new_lanes(self, channel: Number) -> Value | None:
        """In the last vector, which overlaps the one before it: the lanes of channels that this one had not."""
        builder, lanes, channels = self.builder, self.schedule.lanes, self.schedule.channels
        met = -channels % lanes
        if channels < lanes or met == 0:
            return None
        last = builder.compare("ge", builder.index(channel), channels - lanes)
        new = builder.constant(BOOLEAN.of(lanes), [lane >= met for lane in range(lanes)])
        return builder.select(last, new, builder.constant(BOOLEAN.of(lanes), 1))

    def sums(
        self, digits: Sequence[Value], pieces: Value, channel: Number, mask: Value | None,
        first: tuple[Number, Number, int], lines: int, taps: int,
    ) -> list[Value]:  # fmt: skip
        """The sums for some lines of taps, from a first tap on, over a run of pieces; the digits are of its first."""
        builder, schedule = self.builder, self.schedule
        zeros = [builder.constant(self.vector, 0.0)] * (lines * taps)
        plane, line, tap = (place * step for place, step in zip(first, schedule.dilation, strict=True))

        def piece(_: Value, *carried: Value) -> list[Value]:
            n, d, h, segment = carried[:4]
            by_picture, by_plane, by_line = self.x_strides
            x = n * by_picture + (d * schedule.stride[0] + plane) * by_plane
            x = x + (h * schedule.stride[1] + line) * by_line + tap * schedule.columns[0] + channel
            by_picture, by_plane, by_line = self.g_strides
            g = n * by_picture + d * by_plane + h * by_line + channel
            left = segment * SEGMENT
            right = builder.minimum(left + SEGMENT, self.width)
            corners = builder.offset(self.x, x, self.kinds[0]), builder.offset(self.g, g, self.kinds[1])
            if not schedule.is_wide:
                builder.when(self.far, lambda: self.fetch(corners, left, right, lines))
            sums = list(carried[4:])
            for count in COLUMNS:
                end = left + (right - left) // count * count
                sums = builder.loop(
                    left,
                    end,
                    count,
                    lambda column, *sums, count=count: self.columns(corners, column, count, sums, lines, taps, mask),
                    sums,
                )
                left = end
            return [*next_digits(builder, (n, d, h, segment), self.sizes), *sums]

        return builder.loop(0, pieces, 1, piece, [*digits, *zeros])[4:]

    def columns(
        self, corners: tuple[Value, Value], column: Value, count: int, sums: Sequence[Value], lines: int, taps: int,
        mask: Value | None,
    ) -> list[Value]:  # fmt: skip
        """The sums with the products of a few outputs in a row."""
        builder, schedule = self.builder, self.schedule
        stride, dilation = schedule.stride[2], schedule.dilation[2]
        by_x, by_g = schedule.columns
        x = builder.offset(corners[0], column * (stride * by_x), self.kinds[0])
        g = builder.offset(corners[1], column * by_g, self.kinds[1])
        taken = list(sums)

        def read(pointer: Value, place: int, kind: str) -> Value:
            value = builder.load(pointer, place, Type(kind, schedule.lanes), mask)
            return builder.convert(value, self.vector.kind)

        cotangents = [read(g, output * by_g, self.kinds[1]) for output in range(count)]
        for line in range(lines):
            builder.fence()  # otherwise all loads come first, and there are not registers enough
            row = builder.offset(x, line * schedule.dilation[1] * self.x_strides[2], self.kinds[0])
            if schedule.is_wide and line == lines - 1:
                for place in range(count):
                    builder.prefetch(g, place * by_g + schedule.lanes, self.kinds[1], level=2)
                for place in range(count * stride):
                    builder.prefetch(row, place * by_x + schedule.lanes, self.kinds[0], level=2)
            for place in range((count - 1) * stride + (taps - 1) * dilation + 1):
                met = [(o, t) for o in range(count) for t in range(taps) if o * stride + t * dilation == place]
                if not met:
                    continue
                value = read(row, place * by_x, self.kinds[0])
                for output, tap in met:
                    total = line * taps + tap
                    taken[total] = builder.fma(value, cotangents[output], taken[total])
        return taken

    def fetch(self, corners: tuple[Value, Value], left: Value, right: Value, lines: int) -> None:
        """What the next run reads where this one reads the last line of x that some columns meet, and their cotangents:
        vectors of channels are too many places for a processor to follow by itself."""
        builder, schedule = self.builder, self.schedule
        (by_x, by_g), stride = schedule.columns, schedule.stride[2]
        last = (lines - 1) * schedule.dilation[1] * self.x_strides[2]
        x = builder.offset(corners[0], last + self.next_run[0], self.kinds[0])
        g = builder.offset(corners[1], self.next_run[1], self.kinds[1])

        def column(number: Value) -> None:
            builder.prefetch(g, number * by_g, self.kinds[1], level=2)
            for place in range(stride):
                builder.prefetch(x, number * (stride * by_x) + place * by_x, self.kinds[0], level=2)

        builder.loop(left, right, 1, column)
