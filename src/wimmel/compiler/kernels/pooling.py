"""Pooling: sums and maxima over sliding windows, what stands where a maximum does, and their gradients. Lanes run over
channels, or over columns where channels are not neighbours in memory. Padding is not read: windows are clipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wimmel.compiler.chain import extremum, is_signed
from wimmel.compiler.kernels.loops import taps_meeting
from wimmel.compiler.kernels.windows import (
    Body,
    Loops,
    Pointers,
    Range,
    Sliding,
    Tap,
    Taps,
    Windows,
    channels_last,
    filled_lanes,
)
from wimmel.compiler.language import Builder, Function, Number, Value
from wimmel.compiler.steps import Buffer, Place, Step
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape


@dataclass(frozen=True)
class PoolingSchedule:
    """One of the loops over windows.

    Attributes
    ----------
    operation : str
        From x to y, window by window: ``sum``, ``max``, ``winner`` (the number of the tap where the maximum stands) and
        ``take`` (what stands there in v; places are x, v, y). From g to x, element by element: ``spread`` adds up the
        cotangents of all windows that an element is in, and with places g, winners, x of those that it won. ``put``
        does so window by window where these do not overlap; places are x, g and the result.
    sliding : Sliding
    """

    operation: str
    sliding: Sliding

    def kernel(self, target: Target, name: str) -> Function:
        loops = Loops(self.sliding, Builder(name))
        match self.operation:
            case "spread":
                _Spread(loops).write()
            case "put":
                _Put(loops).write()
            case _:
                _Reduction(loops, self.operation).write()
        return loops.builder.function()


def plan_sum_pool(
    x: Place, y: Place, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape, target: Target,
    label: str = "",
) -> list[Step]:  # fmt: skip
    """The steps that write the sum of each window of x to y.

    Parameters
    ----------
    x : Place (n, c, *sizes), with one to three spatial axes
    y : Place (n, c, *outputs)
    kernel, stride, padding, dilation, outputs
        As the primitive has them.
    target : Target
    label : str
        For people.

    Returns
    -------
    list of Step, empty where y has no elements. All of y is written.
    """
    return _plan("sum", (x, y), Windows.of(x, y, kernel, stride, padding, dilation), target, label)


def plan_max_pool(
    x: Place, y: Place, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape, target: Target,
    label: str = "",
) -> list[Step]:  # fmt: skip
    """The steps that write the maximum of each window of x to y; arguments as `plan_sum_pool`."""
    return _plan("max", (x, y), Windows.of(x, y, kernel, stride, padding, dilation), target, label)


def plan_max_pool_take(
    x: Place, v: Place, y: Place, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape,
    target: Target, label: str = "",
) -> list[Step]:  # fmt: skip
    """The steps that write to y what v has where x has the maximum of each window; arguments as `plan_sum_pool`."""
    return _plan("take", (x, v, y), Windows.of(x, y, kernel, stride, padding, dilation), target, label)


def plan_sum_unpool(
    g: Place, x: Place, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape, target: Target,
    label: str = "",
) -> list[Step]:  # fmt: skip
    """The steps that add to each element of x every g (n, c, *outputs) whose window it is in; else as `plan_sum_pool`.

    Each element is a sum of its own, over the taps in row-major order.
    """
    return _plan("spread", (g, x), Windows.of(x, g, kernel, stride, padding, dilation), target, label)


def plan_max_unpool(
    x: Place, g: Place, result: Place, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, outputs: Shape,
    target: Target, label: str = "",
) -> list[Step]:  # fmt: skip
    """The steps that add each g (n, c, *outputs) where its window of x has its maximum; else as `plan_sum_pool`.

    Windows that do not overlap are met once. Of others the winners are kept first, as numbers of taps, and then each
    element is a sum of its own, over the taps in row-major order.
    """
    windows = Windows.of(x, g, kernel, stride, padding, dilation)
    if 0 in result.shape:
        return []
    if 0 in g.shape:
        return _plan("spread", (g, result), windows, target, label)
    if not windows.overlap:
        return _plan("put", (x, g, result), windows, target, label)
    dtype = "uint8" if math.prod(kernel) <= 256 else "int32"
    winners = channels_last(Buffer(dtype, g.size, name="winners"), g.shape)
    return [
        *_plan("winner", (x, winners), windows, target, label),
        *_plan("spread", (g, winners, result), windows, target, label),
    ]


def lowest_of(dtype: str) -> float | int:
    """What no number is below: the maximum of none."""
    kind = np.dtype(dtype).kind
    return -math.inf if kind == "f" else 0 if kind == "b" else int(np.iinfo(dtype).min)


def larger(builder: Builder, dtype: str, best: Value, value: Value) -> Value:
    """The larger of the maximum so far and what comes next, of equals the first; a NaN wins."""
    if dtype == "bool":
        either: Value = best | value
        return either
    return extremum(builder, "gt", value, best, unsigned=not is_signed(dtype))


def _plan(operation: str, places: Sequence[Place], windows: Windows, target: Target, label: str) -> list[Step]:
    if 0 in places[-1].shape:
        return []
    dtypes = tuple(place.dtype for place in places)
    kinds = [place.kind for place in places] + ["i32"] * (operation == "winner" or len(places) == 3)
    full = min(target.lanes(kind) for kind in kinds)
    columns = operation in ("sum", "max", "take", "winner") and windows.stride[2] <= 4
    lanes, channels, along = filled_lanes(places, full, columns, target)
    sliding = Sliding(dtypes, windows.window, windows.stride, windows.dilation, lanes, channels, along)
    schedule = PoolingSchedule(operation, sliding)
    if operation == "spread":
        left, right = windows.whole_blocks() if sliding.in_blocks else (0, 0)
        starts = [place * windows.stride[2] - windows.front[2] for place in (left, right)]
        border = (starts[0], starts[1]) if left < right else (0, 0)
        return [windows.step(schedule, sliding, places, windows.sizes, (left, right), border, label)]
    inner = windows.whole_columns(lanes if along == "columns" else 0)
    return [windows.step(schedule, sliding, places, windows.outputs, inner, inner, label)]


class _Reduction:
    """``sum``, ``max``, ``winner`` and ``take``: a vector of windows at a time."""

    def __init__(self, loops: Loops, operation: str) -> None:
        self.loops = loops
        self.operation = operation
        self.result = len(loops.sliding.dtypes) - 1

    def write(self) -> None:
        self.loops.each_row(self.loops.outputs, self.row)

    def row(self, n: Value, d: Value, h: Value) -> None:
        loops = self.loops
        clipped = [loops.reach(0, d), loops.reach(1, h)]
        whole = [loops.whole(0), loops.whole(1)]
        loops.builder.when(
            loops.is_whole(clipped), lambda: self.columns(n, d, h, whole), lambda: self.columns(n, d, h, clipped)
        )

    def columns(self, n: Value, d: Value, h: Value, outer: list[Range]) -> None:
        loops, builder, lanes = self.loops, self.loops.builder, self.loops.sliding.lanes
        whole = [*outer, loops.whole(2)]
        loops.each_border(
            loops.outputs[2], lambda w: self.windows(n, d, h, w, [*outer, loops.reach(2, w)], loops.each_vector)
        )
        if loops.sliding.along == "channels":
            builder.loop(loops.left, loops.right, 1, lambda w: self.windows(n, d, h, w, whole, loops.each_vector))
            return

        def block(w: Value) -> None:
            within = builder.minimum(w, loops.right - lanes)
            self.windows(n, d, h, within, whole, lambda body: loops.each_channel(body, lanes))

        builder.loop(loops.left, loops.right, lanes, block)

    def windows(
        self, n: Value, d: Value, h: Value, w: Value, ranges: list[Range], each: Callable[[Body], None]
    ) -> None:
        """The windows that belong there, in all channels."""
        loops = self.loops
        start = [loops.start(axis, output) for axis, output in enumerate((d, h, w))]
        corners = {place: loops.at(place, n, *start) for place in range(self.result)}
        taps = Taps(loops, ranges, corners, loops.along_window)
        pointer = loops.at(self.result, n, d, h, w)

        def vector(channel: Number, lanes: int, mask: Value | None) -> None:
            loops.store(self.reduced(taps, channel, lanes, mask), self.result, pointer, channel, mask)

        each(vector)

    def reduced(self, taps: Taps, channel: Number, lanes: int, mask: Value | None) -> Value:
        loops, builder, dtype = self.loops, self.loops.builder, self.loops.sliding.dtypes[0]

        def value(at: Pointers, place: int = 0) -> Value:
            return loops.load(place, at[place], channel, lanes, mask)

        lowest = builder.constant(loops.types[0].of(lanes), lowest_of(dtype))
        match self.operation:
            case "sum":
                add, zero = "or" if dtype == "bool" else "add", builder.constant(lowest.type, 0)
                return taps.fold(lambda _, at, total: [builder.binary(add, total, value(at))], [zero])[0]
            case "max":
                return taps.fold(
                    lambda _, at, best: [larger(builder, dtype, best, value(at))],
                    [lowest],
                    lambda _, at: [value(at)],
                )[0]
            case "winner":
                return builder.convert(_winner(taps, channel, lanes, mask), loops.types[1].kind)

        def better(_: Tap, at: Pointers, best: Value, taken: Value) -> list[Value]:
            x, v = value(at), value(at, 1)
            wins = _beats(builder, dtype, x, best)
            return [builder.select(wins, x, best), builder.select(wins, v, taken)]

        nothing = builder.constant(loops.types[1].of(lanes), 0)
        first = nothing if taps.known else taps.at_first(lambda at: value(at, 1), nothing)
        return taps.fold(better, [lowest, first], lambda _, at: [value(at), value(at, 1)])[1]


class _Spread:
    """``spread``: each element adds up what its windows give it."""

    def __init__(self, loops: Loops) -> None:
        self.loops = loops
        self.result = len(loops.sliding.dtypes) - 1

    def write(self) -> None:
        self.loops.each_row(self.loops.sizes, self.row)

    def row(self, n: Value, d: Value, h: Value) -> None:
        loops, sliding = self.loops, self.loops.sliding
        outer = [self.meeting(0, d), self.meeting(1, h)]

        def alone(w: Value) -> None:
            corners = {place: loops.at(place, n, 0, 0, 0) for place in range(self.result)}
            taps = Taps(loops, [*outer, self.meeting(2, w)], corners, self.to_window((d, h, w)))
            self.elements(taps, [loops.at(self.result, n, d, h, w)])

        def block(w: Value) -> None:
            """The elements that a window begins at and those up to the next; none of their windows is missing."""
            corners = {place: loops.at(place, n, 0, 0, w) for place in range(self.result)}
            taps = Taps(loops, [*outer, loops.whole(2)], corners, self.to_window((d, h, None)))
            start = loops.start(2, w)
            self.elements(taps, [loops.at(self.result, n, d, h, start + i) for i in range(sliding.stride[2])])

        loops.each_border(loops.sizes[2], alone)
        if sliding.in_blocks:
            loops.builder.loop(loops.left, loops.right, 1, block)

    def meeting(self, axis: int, element: Value) -> Range:
        """The taps that meet the element."""
        loops, sliding = self.loops, self.loops.sliding
        return taps_meeting(
            loops.builder, element, sliding.window[axis], sliding.stride[axis], sliding.dilation[axis],
            loops.front[axis], loops.outputs[axis],
        )  # fmt: skip

    def to_window(self, element: Sequence[Value | None]) -> Callable[[int, int, Number], Number]:
        """From a tap that meets the element to the window it is of; along the columns of a block, where the element is
        not one but several, from the last window that any of them is in."""
        loops, sliding = self.loops, self.loops.sliding

        def move(place: int, axis: int, tap: Number) -> Number:
            stride, at = sliding.stride[axis], element[axis]
            if at is None:
                assert isinstance(tap, int)
                return -(tap // stride) * loops.strides[place][2 + axis]
            window = (at + loops.front[axis] - tap * sliding.dilation[axis]) // stride
            return window * loops.strides[place][2 + axis]

        return move

    def elements(self, taps: Taps, results: list[Value]) -> None:
        """Neighbouring elements, of which each stride-th tap meets the same one."""
        loops, builder = self.loops, self.loops.builder

        def vector(channel: Number, lanes: int, mask: Value | None) -> None:
            def visit(tap: Tap, at: Pointers, *totals: Value) -> list[Value]:
                place = tap[2] % len(results) if isinstance(tap[2], int) else 0
                value = loops.load(0, at[0], channel, lanes, mask)
                if self.result == 2:
                    winner = builder.convert(loops.load(1, at[1], channel, lanes, mask), "i32", signed=False)
                    won = builder.compare("eq", winner, loops.tap_number(tap, lanes))
                    value = builder.select(won, value, builder.constant(value.type, 0))
                total = builder.binary("or" if value.type.kind == "i1" else "add", totals[place], value)
                return [*totals[:place], total, *totals[place + 1 :]]

            zero = builder.constant(loops.types[0].of(lanes), 0)
            for total, result in zip(taps.fold(visit, [zero] * len(results)), results, strict=True):
                loops.store(total, self.result, result, channel, mask)

        loops.each_vector(vector)


class _Put:
    """``put``: each window writes all that belongs to it, of which only the maximum gets something. A row of windows
    also writes what is between it and the next, and the last one what is behind it."""

    def __init__(self, loops: Loops) -> None:
        self.loops = loops
        rows = zip(loops.sliding.window, loops.sliding.stride, loops.sliding.dilation, strict=True)
        self.tight = all(k == s and (d == 1 or k == 1) for k, s, d in rows)

    def write(self) -> None:
        self.loops.each_row(self.loops.outputs, self.row)

    def row(self, n: Value, d: Value, h: Value) -> None:
        loops = self.loops
        depth, height, width = self.band(0, d), self.band(1, h), self.band(2, loops.outputs[2] - 1)
        if self.tight:
            self.clear(n, (depth[1], depth[2]), (height[0], height[2]), (0, loops.sizes[2]))
            self.clear(n, (depth[0], depth[1]), (height[1], height[2]), (0, loops.sizes[2]))
            self.clear(n, (depth[0], depth[1]), (height[0], height[1]), (width[1], width[2]))
        else:
            self.clear(n, (depth[0], depth[2]), (height[0], height[2]), (0, loops.sizes[2]))
        clipped = [loops.reach(0, d), loops.reach(1, h)]
        whole = [loops.whole(0), loops.whole(1)]
        loops.builder.when(
            loops.is_whole(clipped), lambda: self.columns(n, d, h, whole), lambda: self.columns(n, d, h, clipped)
        )

    def band(self, axis: int, output: Number) -> tuple[Number, Number, Number]:
        """The elements that go with a window: first, end of the window itself, end."""
        builder, loops, sliding = self.loops.builder, self.loops, self.loops.sliding
        size, start = loops.sizes[axis], loops.start(axis, output)
        reach = (sliding.window[axis] - 1) * sliding.dilation[axis] + 1

        def inside(place: Number) -> Number:
            return builder.minimum(builder.maximum(place, 0), size)

        is_last = builder.compare("eq", output, loops.outputs[axis] - 1)
        end = builder.select(is_last, size, inside(start + sliding.stride[axis]))
        return inside(start), inside(start + reach), end

    def clear(self, n: Value, *bounds: tuple[Number, Number]) -> None:
        loops, builder = self.loops, self.loops.builder
        depth, height, width = bounds

        def zero(d: Value, h: Value, w: Value) -> None:
            pointer = loops.at(2, n, d, h, w)
            loops.each_vector(
                lambda c, lanes, mask: loops.store(builder.constant(loops.types[2].of(lanes), 0), 2, pointer, c, mask)
            )

        builder.loop(
            *depth, 1, lambda d: builder.loop(*height, 1, lambda h: builder.loop(*width, 1, lambda w: zero(d, h, w)))
        )

    def columns(self, n: Value, d: Value, h: Value, outer: list[Range]) -> None:
        loops = self.loops
        whole = [*outer, loops.whole(2)]
        loops.each_border(loops.outputs[2], lambda w: self.window(n, d, h, w, [*outer, loops.reach(2, w)]))
        loops.builder.loop(loops.left, loops.right, 1, lambda w: self.window(n, d, h, w, whole))

    def window(self, n: Value, d: Value, h: Value, w: Value, ranges: list[Range]) -> None:
        loops, builder = self.loops, self.loops.builder
        start = [loops.start(axis, output) for axis, output in enumerate((d, h, w))]
        taps = Taps(loops, ranges, {place: loops.at(place, n, *start) for place in (0, 2)}, loops.along_window)
        given = loops.at(1, n, d, h, w)

        def vector(channel: Number, lanes: int, mask: Value | None) -> None:
            winner = _winner(taps, channel, lanes, mask)
            g = loops.load(1, given, channel, lanes, mask)

            def put(tap: Tap, at: Pointers) -> list[Value]:
                won = builder.compare("eq", winner, loops.tap_number(tap, lanes))
                loops.store(builder.select(won, g, builder.constant(g.type, 0)), 2, at[2], channel, mask)
                return []

            taps.fold(put, [])

        loops.each_vector(vector)


def _winner(taps: Taps, channel: Number, lanes: int, mask: Value | None) -> Value:
    """The number of the tap where x is largest: of those inside the picture the first, if there is any."""
    loops = taps.loops
    builder, dtype = loops.builder, loops.sliding.dtypes[0]

    def value(at: Pointers) -> Value:
        return loops.load(0, at[0], channel, lanes, mask)

    def better(tap: Tap, at: Pointers, best: Value, winner: Value) -> list[Value]:
        x = value(at)
        wins = _beats(builder, dtype, x, best)
        return [builder.select(wins, x, best), builder.select(wins, loops.tap_number(tap, lanes), winner)]

    lowest = builder.constant(loops.types[0].of(lanes), lowest_of(dtype))
    first = loops.tap_number(tuple(first for first, _, _ in taps.ranges), lanes)
    return taps.fold(better, [lowest, first], lambda tap, at: [value(at), loops.tap_number(tap, lanes)])[1]


def _beats(builder: Builder, dtype: str, value: Value, best: Value) -> Value:
    """Whether a value is larger than all before it, of which `best` is the largest; the first NaN is larger."""
    if dtype == "bool":
        only: Value = value & (best ^ 1)
        return only
    if not value.type.is_float:
        return builder.compare("gt", value, best, unsigned=not is_signed(dtype))
    number = builder.compare("unordered", best, best) ^ 1
    beaten: Value = (builder.compare("le", value, best) ^ 1) & number
    return beaten
