"""The kernel of Winograd convolution along rows, as `winograd_rows` plans it: for some rows of a picture, data
transformed, products summed over the channels and the rows of taps, sums transformed back and run through the
epilogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from wimmel.compiler.kernels.microkernel import FEWEST, Block, accumulate, zeros
from wimmel.compiler.kernels.winograd_costs import odd
from wimmel.compiler.kernels.winograd_tiles import INLINE, Vectors, largest_of_window
from wimmel.compiler.kernels.winograd_transforms import ALONG_ROWS
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF
from wimmel.compiler.targets import Target

if TYPE_CHECKING:
    from wimmel.compiler.kernels.winograd_rows import WinogradRowsSchedule


class WinogradRowsKernel:
    """Writes the kernel: tasks of some rows of a picture, and of these some tiles."""

    def __init__(self, schedule: WinogradRowsSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.transforms = ALONG_ROWS[odd(schedule.taps[1])]
        self.target = target
        self.builder = Builder(name)
        self.kind = schedule.block.kind
        self.step = schedule.block.outputs
        chain = schedule.chain
        self.types = [Type(KIND_OF[dtype]) for dtype in (*chain.result_dtypes, *chain.inputs[1:])]

    def write(self) -> Function:
        builder, schedule, n = self.builder, self.schedule, self.transforms.n
        argument, begin, end, thread = builder.kernel()
        count = len(schedule.results) + len(schedule.operands)
        words = builder.arguments(argument, "ppp" + "p" * count + "i" * 12 + "iii" * (1 + count))
        x, self.weights, own, *pointers = words[: 3 + count]
        height, width, tiles, rows, row_parts, span, parts, *sizes = words[3 + count : 14 + count]
        self.width, columns = width, words[14 + count]
        self.plane, self.data_plane, self.products_plane, size = sizes
        (by_picture, self.by_row, by_column), *strides = zip(
            *(words[k + count :: 3] for k in (15, 16, 17)), strict=True
        )
        self.by_column = by_column if schedule.columns is None else schedule.columns
        views = list(zip(pointers, strides, (*schedule.results, *schedule.operands), self.types, strict=True))
        self.data = builder.offset(own, thread * size, self.kind)
        self.products = builder.offset(self.data, self.data_plane * n, self.kind)
        self.piece = builder.offset(self.products, self.products_plane * n, self.kind)
        self.last = columns + (schedule.taps[1] - 2)
        (high, _), results = schedule.window, len(schedule.results)

        def task(number: Value) -> None:
            part, rest = number % parts, number // parts
            picture, row = rest // row_parts, rest % row_parts * rows
            self.rows = builder.minimum(rows, height - row)
            self.first = part * span
            self.count = builder.select(builder.compare("eq", part, parts - 1), tiles - self.first, span)
            self.transform_data(builder.offset(x, picture * by_picture + row * self.by_row, self.kind))
            self.views = list[tuple[Value, Value, Number, int, Type]]()
            for place, (pointer, (by_picture_, by_row, told), (by_column, by_output), type_) in enumerate(views):
                line = row // high if place < results else row
                there = builder.offset(pointer, picture * by_picture_ + line * by_row, type_.kind)
                by_column = told if by_column is None else by_column
                self.views.append((there, by_row, by_column, by_output, type_))
            builder.loop(0, -(-schedule.outputs // self.step), 1, self.outputs)

        builder.loop(begin, end, 1, task)
        return builder.function()

    def outputs(self, block: Value) -> None:
        """A block of outputs of all the task's tiles."""
        length = self.schedule.taps[0] * self.schedule.channels
        panel = self.builder.offset(self.weights, block * (length * self.step), self.kind)
        self.builder.loop(0, self.transforms.n, 1, lambda plane: self.multiply(plane, panel))
        self.transform_back(block * self.step)

    # the data

    def transform_data(self, x: Value) -> None:
        """The n columns that each tile reads, of all rows that taps meet: planes (rows, tiles, channels). Behind the
        last column that taps meet, the last tile reads that one again. Where lanes go beyond the last channel, what is
        written there is written again, or never read."""
        builder, schedule, lanes = self.builder, self.schedule, self.target.lanes(self.kind)
        channels, n = schedule.channels, self.transforms.n
        while lanes // 2 >= channels:
            lanes //= 2
        vector = Type(self.kind, lanes)
        mask = builder.constant(Type("i1", lanes), [k < channels for k in range(lanes)]) if lanes > channels else None

        def row(row: Value) -> None:
            line = builder.offset(x, row * self.by_row, self.kind)
            results = builder.offset(self.data, row * self.count * channels, self.kind)

            def tile(tile: Value) -> None:
                first = (self.first + tile) * self.transforms.m
                start = builder.offset(line, first * self.by_column, self.kind)
                result = builder.offset(results, tile * channels, self.kind)
                inside = builder.compare("le", first + (n - 1), self.last)
                builder.when(
                    inside,
                    lambda: transform(start, result, range(n)),
                    lambda: transform(start, result, [builder.minimum(self.last - first, k) for k in range(n)]),
                )

            builder.loop(0, self.count, 1, tile)

        def transform(start: Value, result: Value, columns: Sequence[Number]) -> None:
            places = [column * self.by_column for column in columns]

            def some(channel: Value) -> None:
                if channels > lanes and channels % lanes:
                    channel = builder.minimum(channel, channels - lanes)
                taken, given = (builder.offset(place, channel, self.kind) for place in (start, result))
                loaded = [builder.load(taken, place, vector, mask) for place in places]
                for value in self.transforms.data(Vectors(builder), loaded):
                    builder.store(value, given, 0)
                    given = builder.offset(given, self.data_plane, self.kind)

            builder.loop(0, channels, lanes, some)

        builder.loop(0, self.rows + (schedule.taps[0] - 1) * schedule.apart, 1, row)

    # the products

    def multiply(self, plane: Value, panel: Value) -> None:
        """One plane of the products of a block of outputs."""
        builder, schedule, channels = self.builder, self.schedule, self.schedule.channels
        data = builder.offset(self.data, plane * self.data_plane, self.kind)
        result = builder.offset(self.products, plane * self.products_plane, self.kind)
        weights = builder.offset(panel, plane * self.plane, self.kind)
        tiles, below = self.rows * self.count, self.count * (schedule.apart * channels)

        def turns(block: Block) -> None:
            def turn(tile: Value) -> None:
                a = builder.offset(data, tile * channels, self.kind)

                def row_of_taps(number: Value, *sums: Value) -> list[Value]:
                    there = builder.offset(a, below * number, self.kind)
                    row = builder.offset(weights, number * (channels * self.step), self.kind)
                    return accumulate(builder, block, there, row, channels, sums, channels, 1, self.step)

                sums = builder.loop(0, schedule.taps[0], 1, row_of_taps, zeros(builder, block))
                for p in range(block.pixels):
                    line = builder.offset(result, (tile + p) * self.step, self.kind)
                    for v in range(block.vectors):
                        builder.store(sums[p * block.vectors + v], line, v * block.lanes)

            # what is behind the last tile is computed too, and never used
            builder.loop(0, tiles, block.pixels, turn)

        if schedule.block.pixels <= FEWEST:
            turns(schedule.block)
            return
        few = replace(schedule.block, pixels=FEWEST)
        fits = builder.compare("ge", tiles, schedule.block.pixels)
        builder.when(fits, lambda: turns(schedule.block), lambda: turns(few))

    # the results

    def transform_back(self, start: Value) -> None:
        """The results of a block of outputs, which starts there."""
        builder, schedule, lanes = self.builder, self.schedule, self.schedule.block.lanes
        (high, wide), results = schedule.window, len(schedule.results)
        left = builder.minimum(schedule.outputs - start, self.step)

        def row(row: Value) -> None:
            def tile(tile: Value) -> None:
                column, views = (self.first + tile) * self.transforms.m, list[Value]()
                windows = builder.minimum((self.width - column) // wide, self.transforms.m // wide)
                for place, (pointer, by_row, by_column, by_output, type_) in enumerate(self.views):
                    line, along = (row // high, column // wide) if place < results else (row, column)
                    there = line * by_row + along * by_column + start * by_output
                    views.append(builder.offset(pointer, there, type_.kind))
                products = builder.offset(self.products, (row * self.count + tile) * self.step, self.kind)

                def vector(output: Number, mask: Value | None) -> None:
                    moved = [
                        builder.offset(view, output * by_output, type_.kind)
                        for view, (_, _, _, by_output, type_) in zip(views, self.views, strict=True)
                    ]
                    self.finish(builder.offset(products, output, self.kind), moved, windows, mask)

                whole = left // lanes * lanes if schedule.outputs % lanes else left
                builder.loop(0, whole, lanes, lambda output: vector(output, None))
                if schedule.outputs % lanes:
                    mask = builder.mask(left - whole, lanes)
                    builder.when(builder.compare("lt", whole, left), lambda: vector(whole, mask))

            builder.loop(0, self.count, 1, tile)

        builder.loop(0, self.rows, high, row)

    def finish(self, products: Value, views: Sequence[Value], windows: Value, mask: Value | None) -> None:
        """One vector of outputs of so many windows of one tile, and of those below it as far as windows reach."""
        builder, schedule, vector = self.builder, self.schedule, self.schedule.block.vector
        m, n, (high, wide) = self.transforms.m, self.transforms.n, schedule.window
        lines = []
        for line in range(high):
            there = builder.offset(products, self.count * (line * self.step), self.kind)
            loaded = [builder.load(there, self.products_plane * plane, vector) for plane in range(n)]
            lines.append(self.transforms.outputs(Vectors(builder), loaded))
        if schedule.chain.work <= INLINE:
            for window in range(m // wide):
                values = [line[window * wide + column] for line in lines for column in range(wide)]
                there = builder.compare("lt", window, windows)
                builder.when(there, partial(self.result, values, views, window, mask))
            return
        for place, value in enumerate(value for line in lines for value in line):
            builder.store(value, self.piece, place * vector.lanes)

        def result(window: Value) -> None:
            there = builder.offset(self.piece, window * (wide * vector.lanes), self.kind)
            places = [line * m + column for line in range(high) for column in range(wide)]
            values = [builder.load(there, place * vector.lanes, vector) for place in places]
            self.result(values, views, window, mask)

        builder.loop(0, windows, 1, result)

    def result(self, values: Sequence[Value], views: Sequence[Value], window: Number, mask: Value | None) -> None:
        """The epilogue for the values of a window, the first or a further one of a tile, and the results stored."""
        builder, schedule, lanes = self.builder, self.schedule, self.schedule.block.lanes
        wide, results = schedule.window[1], len(schedule.results)

        def operands(place: int) -> list[Value]:
            line, column = divmod(place, wide)
            found = []
            for view, (_, by_row, by_column, by_output, type_) in zip(
                views[results:], self.views[results:], strict=True
            ):
                there = by_row * line + (window * wide + column) * by_column
                kind = type_.of(lanes) if by_output else type_
                found.append(builder.load(view, there, kind, mask if by_output else None))
            return found

        found = largest_of_window(builder, self.target, schedule.chain, values, operands)
        for value, view, (_, _, by_column, _, _) in zip(found, views, self.views, strict=False):
            builder.store(value, view, window * by_column, mask)
