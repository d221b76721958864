"""The kernel of Winograd convolution, as `winograd` plans it: for some tiles and outputs, data transformed, products
summed over the channels, sums transformed back and run through the epilogue. Weights that no cache holds and that serve
one call only are transformed here too, as many at once as the second-level cache holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from wimmel.compiler.kernels.microkernel import FEWEST, Block, accumulate, zeros
from wimmel.compiler.kernels.winograd_tiles import (
    INLINE,
    Vectors,
    largest_of_window,
    load_columns,
    over_tiles,
    store_planes,
)
from wimmel.compiler.kernels.winograd_transforms import Transforms, over_two_axes
from wimmel.compiler.kernels.winograd_weights import SIZES, WeightsTransformation
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF
from wimmel.compiler.targets import Target

if TYPE_CHECKING:
    from wimmel.compiler.kernels.winograd import WinogradSchedule


class WinogradKernel:
    """Writes the kernel: tasks of some tiles and some blocks of outputs."""

    def __init__(self, schedule: WinogradSchedule, transforms: Transforms, target: Target, name: str) -> None:
        self.schedule = schedule
        self.transforms = transforms
        self.target = target
        self.builder = Builder(name)
        self.kind = schedule.block.kind
        self.step = schedule.block.outputs
        self.windows = tuple(transforms.m // size for size in schedule.window[1:])

    def write(self) -> Function:
        builder, schedule, taps = self.builder, self.schedule, self.transforms.n**2
        argument, begin, end, thread = builder.kernel()
        count = len(schedule.results) + len(schedule.operands)
        words = builder.arguments(argument, "ppp" + "p" * count + "i" * (15 + SIZES) + "iii" * (1 + count))
        self.x, self.weights, own, *pointers = words[: 3 + count]
        words = words[3 + count :]
        tiles, self.down, self.across, self.depth, self.height, self.width = words[:6]
        together, groups, blocks, of_part, turn, self.plane, self.data_plane, self.products_plane, size = words[6:15]
        sizes, words = words[15 : 15 + SIZES], words[15 + SIZES :]
        strides = [words[3 * i : 3 + 3 * i] for i in range(1 + count)]
        self.x_strides, view_strides = strides[0], strides[1:]
        self.views = list(zip(pointers, view_strides, (*schedule.results, *schedule.operands), strict=True))
        self.row = turn * self.step
        self.data = builder.offset(own, thread * size, self.kind)
        self.products = builder.offset(self.data, self.data_plane * taps, self.kind)
        self.square = builder.offset(self.products, self.products_plane * taps, self.kind)
        if schedule.weights is not None:
            self.transformation = WeightsTransformation(builder, schedule.weights, self.weights, sizes)
            self.weights, self.square = self.square, builder.offset(self.square, self.plane * taps, self.kind)

        def task(number: Value) -> None:
            first = number % groups * together
            count = builder.minimum(together, tiles - first)
            self.transform_data(first, count)
            begin = number // groups * of_part
            end = builder.minimum(begin + of_part, blocks)

            def turns(begin: Value) -> None:
                last = builder.minimum(begin + turn, end)
                if schedule.weights is None:
                    builder.loop(0, taps, 1, lambda tap: self.multiply(tap, count, begin, last))
                else:
                    builder.loop(begin, last, 1, lambda block: self.transform_and_multiply(count, block, block - begin))
                self.transform_back(first, count, begin, last)

            builder.loop(begin, end, turn, turns)

        builder.loop(begin, end, 1, task)
        return builder.function()

    def over_tiles(
        self, first: Value, count: Number, body: Callable[[Value, Value, Value, Value, Value], None]
    ) -> None:
        """``body(number, picture, plane, top, left)`` for some tiles: where their first outputs are."""
        _, vertical, horizontal = self.schedule.dilation

        def begin(tile: Value, dilation: int) -> Value:
            if dilation == 1:
                return tile * self.transforms.m
            return tile // dilation * (dilation * self.transforms.m) + tile % dilation

        def tile(number: Value, plane: Value, row: Value, column: Value) -> None:
            top, left = begin(row, vertical), begin(column, horizontal)
            body(number, plane // self.depth, plane % self.depth, top, left)

        over_tiles(self.builder, first, count, self.down, self.across, tile)

    # the data

    def transform_data(self, first: Value, count: Number) -> None:
        """Each tile's n x n pixels of all planes that taps meet, some channels at a time; the last ones overlap those
        before."""
        builder, schedule, n = self.builder, self.schedule, self.transforms.n
        lanes, vector = schedule.lanes, Type(self.kind, schedule.lanes)
        by_picture, by_plane, by_line = self.x_strides
        beyond, down, across = schedule.dilation

        def tile(number: Value, picture: Value, plane: Value, top: Value, left: Value) -> None:
            corner = picture * by_picture + plane * by_plane + top * by_line + left * schedule.columns
            x = builder.offset(self.x, corner, self.kind)
            result = builder.offset(self.data, number * schedule.row, self.kind)

            def taps(number: Value) -> None:
                start = builder.offset(x, number * (by_plane * beyond), self.kind)
                square(start, builder.offset(result, number * schedule.channels, self.kind))

            if schedule.planes == 1:
                square(x, result)
            else:
                builder.loop(0, schedule.planes, 1, taps)

        def square(x: Value, result: Value) -> None:
            lines = [builder.offset(x, by_line * (i * down), self.kind) for i in range(n)]

            def channels(channel: Value) -> None:
                if schedule.channels % lanes:
                    channel = builder.minimum(channel, schedule.channels - lanes)
                there = [builder.offset(line, channel, self.kind) for line in lines]
                columns = (
                    [builder.load(line, j * across * schedule.columns, vector) for line in there] for j in range(n)
                )
                square = over_two_axes(self.transforms.data, Vectors(builder), columns)
                store_planes(builder, square, builder.offset(result, channel, self.kind), self.data_plane)

            builder.loop(0, schedule.channels, lanes, channels)

        self.over_tiles(first, count, tile)

    # the products

    def multiply(self, tap: Value, count: Number, begin: Number, end: Number) -> None:
        """One plane of the products, of blocks of outputs from begin to end."""
        builder, length = self.builder, self.schedule.planes * self.schedule.channels
        panels = builder.offset(self.weights, tap * self.plane, self.kind)

        def panel(number: Value) -> None:
            weights = builder.offset(panels, number * (length * self.step), self.kind)
            self.panel(tap, count, number - begin, weights, 0, length)

        builder.loop(begin, end, 1, panel)

    def transform_and_multiply(self, count: Number, block: Value, place: Value) -> None:
        """All planes of the products of one block of outputs, with some rows of its weights after the others."""
        builder, schedule = self.builder, self.schedule
        length = schedule.planes * schedule.channels

        def rows(first: Number) -> None:
            number = schedule.rows if schedule.rows == length else builder.minimum(schedule.rows, length - first)
            self.transformation.rows(block, first, first + number, self.weights, self.plane)

            def tap(tap: Value) -> None:
                weights = builder.offset(self.weights, tap * self.plane, self.kind)
                self.panel(tap, count, place, weights, first, number)

            builder.loop(0, self.transforms.n**2, 1, tap)

        if schedule.rows == length:
            rows(0)
        else:
            builder.loop(0, length, schedule.rows, rows)

    def panel(self, tap: Value, count: Number, place: Value, weights: Value, first: Number, length: Number) -> None:
        """One plane of the products of a block of outputs, the one at this place of those that are multiplied before
        they are transformed back: so many rows of weights from the first on, added to what the rows before gave."""
        builder, schedule = self.builder, self.schedule
        data = builder.offset(self.data, tap * self.data_plane + first, self.kind)
        result = builder.offset(self.products, tap * self.products_plane + place * self.step, self.kind)

        def turns(block: Block) -> None:
            places = [(p, v * block.lanes) for p in range(block.pixels) for v in range(block.vectors)]

            def turn(tile: Value) -> None:
                a = builder.offset(data, tile * schedule.row, self.kind)
                lines = [builder.offset(result, tile * self.row, self.kind)]
                for _ in range(block.pixels - 1):
                    lines.append(builder.offset(lines[-1], self.row, self.kind))
                sums = zeros(builder, block)
                if isinstance(first, Value):
                    goes_on = builder.compare("gt", first, 0)
                    before = [builder.load(lines[p], v, block.vector) for p, v in places]
                    sums = [builder.select(goes_on, each, zero) for each, zero in zip(before, sums, strict=True)]
                sums = accumulate(builder, block, a, weights, length, sums, schedule.row, 1, self.step)
                for value, (p, v) in zip(sums, places, strict=True):
                    builder.store(value, lines[p], v)

            # rows behind the last tile are computed too, and never used
            builder.loop(0, count, block.pixels, turn)

        if schedule.block.pixels <= FEWEST:
            turns(schedule.block)
            return
        fits = builder.compare("ge", count, schedule.block.pixels)
        few = replace(schedule.block, pixels=FEWEST)
        builder.when(fits, lambda: turns(schedule.block), lambda: turns(few))

    # the results

    def view_types(self) -> list[Type]:
        """The kinds of the results, then of the operands."""
        chain = self.schedule.chain
        return [Type(KIND_OF[dtype]) for dtype in (*chain.result_dtypes, *chain.inputs[1:])]

    def transform_back(self, first: Value, count: Number, begin: Value, end: Number) -> None:
        """Each tile's results for blocks of outputs from begin to end; those within the picture are stored."""
        builder, schedule, lanes = self.builder, self.schedule, self.schedule.block.lanes
        (_, down, across), (_, high, wide) = schedule.dilation, schedule.window
        start = begin * self.step
        outputs = builder.minimum(end * self.step, schedule.outputs) - start

        def left_of(elements: Value, dilation: int, most: int) -> Value:
            return builder.minimum((elements + (dilation - 1)) // dilation if dilation > 1 else elements, most)

        def tile(number: Value, picture: Value, plane: Value, top: Value, left: Value) -> None:
            products = builder.offset(self.products, number * self.row, self.kind)
            views, results = list[Value](), len(schedule.results)
            for (pointer, (by_picture, by_plane, by_line), (by_column, by_output)), type_ in zip(
                self.views, self.view_types(), strict=True
            ):
                line, column = (top // high, left // wide) if len(views) < results else (top, left)
                place = picture * by_picture + plane * by_plane + line * by_line
                place = place + column * by_column + start * by_output
                views.append(builder.offset(pointer, place, type_.kind))
            rows = left_of(self.height - top // high, down, self.windows[0])
            columns = left_of(self.width - left // wide, across, self.windows[1])

            def vector(output: Number, mask: Value | None) -> None:
                moved = [
                    builder.offset(view, output * by_output, type_.kind)
                    for view, type_, (_, _, (_, by_output)) in zip(views, self.view_types(), self.views, strict=True)
                ]
                self.finish(builder.offset(products, output, self.kind), moved, rows, columns, mask)

            whole = outputs // lanes * lanes if schedule.outputs % lanes else outputs
            builder.loop(0, whole, lanes, lambda output: vector(output, None))
            if schedule.outputs % lanes:
                mask = builder.mask(outputs - whole, lanes)
                builder.when(builder.compare("lt", whole, outputs), lambda: vector(whole, mask))

        self.over_tiles(first, count, tile)

    def finish(
        self, products: Value, views: Sequence[Value], rows: Number, columns: Number, mask: Value | None
    ) -> None:
        """One vector of outputs of one tile, which has so many rows and columns of results."""
        builder, m, n, block = self.builder, self.transforms.m, self.transforms.n, self.schedule.block
        (down, across), (_, high, wide) = self.windows, self.schedule.window
        taps = [(a, b) for a in range(high) for b in range(wide)]

        loaded = load_columns(builder, products, n, self.products_plane, block.vector)
        square = list(over_two_axes(self.transforms.outputs, Vectors(builder), loaded))

        def at_once() -> None:
            for i in range(down):
                line = self.moved(views, i, 0)
                for j in range(across):
                    self.result([square[i * high + a][j * wide + b] for a, b in taps], line, j, mask)

        def one_by_one() -> None:
            for i in range(m):
                for j in range(m):
                    builder.store(square[i][j], self.square, (i * m + j) * block.lanes)

            def result(i: Value, j: Value) -> None:
                corner = builder.offset(self.square, (i * high * m + j * wide) * block.lanes, self.kind)
                window = [builder.load(corner, (a * m + b) * block.lanes, block.vector) for a, b in taps]
                self.result(window, self.moved(views, i, j), 0, mask)

            builder.loop(0, rows, 1, lambda i: builder.loop(0, columns, 1, lambda j: result(i, j)) and None)

        if self.schedule.chain.work > INLINE:
            one_by_one()
            return
        inside = builder.compare("eq", rows, down) & builder.compare("eq", columns, across)
        builder.when(inside, at_once, one_by_one)

    def moved(self, views: Sequence[Value], line: Number, column: Number) -> list[Value]:
        """The views some lines and columns of a tile's results on."""
        (_, down, across), (_, high, wide) = self.schedule.dilation, self.schedule.window
        results, moved = len(self.schedule.results), []
        for place, (_, (_, _, by_line), (by_column, _)) in enumerate(self.views):
            rows, columns = (1, 1) if place < results else (high, wide)
            far = by_line * (line * (down * rows)) + column * (by_column * across * columns)
            moved.append(self.builder.offset(views[place], far, self.view_types()[place].kind))
        return moved

    def result(self, window: Sequence[Value], views: Sequence[Value], column: int, mask: Value | None) -> None:
        """The epilogue for the pixels of one window, so many windows behind where the views point, and the results
        stored: if there are several pixels, the largest."""
        builder, schedule, lanes = self.builder, self.schedule, self.schedule.block.lanes
        (_, down, across), (_, _, wide) = schedule.dilation, schedule.window
        results, given = len(schedule.results), list(zip(views, self.view_types(), self.views, strict=True))

        def operands(tap: int) -> list[Value]:
            line, along = tap // wide * down, (column * wide + tap % wide) * across
            values = []
            for pointer, type_, (_, (_, _, by_line), (by_column, by_output)) in given[results:]:
                place = line * by_line + along * by_column
                if by_output == 0:
                    values.append(builder.load(pointer, place, type_))
                else:
                    values.append(builder.load(pointer, place, type_.of(lanes), mask))
            return values

        outcome = largest_of_window(builder, self.target, schedule.chain, window, operands)
        for value, (pointer, _, (_, _, (by_column, _))) in zip(outcome, given[:results], strict=True):
            builder.store(value, pointer, column * across * by_column, mask)
