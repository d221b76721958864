"""The kernel of Winograd's weight gradient, as `winograd_gradient` plans it: for some channels, outputs and tiles, data
and cotangents transformed, products summed over the tiles, sums transformed back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wimmel.compiler.kernels.microkernel import accumulate
from wimmel.compiler.kernels.winograd_tiles import Vectors, load_columns, over_tiles, store_planes
from wimmel.compiler.kernels.winograd_transforms import Transforms, over_two_axes
from wimmel.compiler.language import Builder, Function, Number, Type, Value

if TYPE_CHECKING:
    from wimmel.compiler.kernels.winograd_gradient import WinogradGradientSchedule


class WinogradGradientKernel:
    """Writes the kernel: tasks of a part of the tiles, of the channels and of the outputs."""

    def __init__(self, schedule: WinogradGradientSchedule, transforms: Transforms, name: str) -> None:
        self.schedule = schedule
        self.transforms = transforms
        self.builder = Builder(name)
        self.kind = schedule.block.kind

    def write(self) -> Function:
        builder, schedule, taps = self.builder, self.schedule, self.transforms.n**2
        argument, begin, end, thread = builder.kernel()
        words = builder.arguments(argument, "pppp" + "i" * 15)
        self.x, self.g, self.partial, own, tiles, self.down, self.across, of_part, together = words[:9]
        channel_parts, output_parts, self.sums_plane, self.data_plane, self.cotangent_plane, size = words[9:15]
        self.x_strides, self.g_strides = words[15:17], words[17:19]
        self.sums = builder.offset(own, thread * size, self.kind)
        self.data = builder.offset(self.sums, self.sums_plane * taps, self.kind)
        self.cotangents = builder.offset(self.data, self.data_plane * taps, self.kind)

        def task(number: Value) -> None:
            output = number % output_parts * schedule.of_outputs
            number = number // output_parts
            channel = number % channel_parts * schedule.of_channels
            part = number // channel_parts
            channels = builder.minimum(schedule.of_channels, schedule.channels - channel)
            outputs = builder.minimum(schedule.of_outputs, schedule.outputs - output)
            self.clear()
            last = builder.minimum((part + 1) * of_part, tiles)

            def turn(first: Value) -> None:
                count = builder.minimum(together, last - first)
                self.transform_data(first, count, channel, channels)
                self.transform_cotangents(first, count, output, outputs)
                builder.loop(0, taps, 1, lambda tap: self.multiply(tap, count, channels, outputs))

            builder.loop(part * of_part, last, together, turn)
            self.transform_back(part, channel, channels, output, outputs)

        builder.loop(begin, end, 1, task)
        return builder.function()

    def clear(self) -> None:
        builder, block = self.builder, self.schedule.block
        nothing = builder.constant(block.vector, 0.0)
        end = self.sums_plane * self.transforms.n**2
        builder.loop(0, end, block.lanes, lambda place: builder.store(nothing, self.sums, place))

    def transform_data(self, first: Value, count: Number, channel: Number, channels: Number) -> None:
        schedule = self.schedule
        self.transform(
            self.transforms.data, self.transforms.n, (self.x, self.x_strides, schedule.columns),
            (self.data, self.data_plane, schedule.data_row), schedule.lanes, schedule.channels,
            first, count, channel, channels,
        )  # fmt: skip

    def transform_cotangents(self, first: Value, count: Number, output: Number, outputs: Number) -> None:
        schedule = self.schedule
        self.transform(
            self.transforms.weights, self.transforms.r, (self.g, self.g_strides, schedule.cotangents),
            (self.cotangents, self.cotangent_plane, schedule.cotangent_row), schedule.block.lanes, schedule.outputs,
            first, count, output, outputs,
        )  # fmt: skip

    def transform(
        self,
        function: Callable,
        side: int,
        source: tuple[Value, list[Value], int],
        result: tuple[Value, Value, int],
        lanes: int,
        all_channels: int,
        first: Value,
        count: Number,
        channel: Number,
        channels: Number,
    ) -> None:
        """Squares of so many pixels a side, for some channels from one on; where there are fewer than fill a vector,
        the others count as zero."""
        builder, m, vector = self.builder, self.schedule.tile, Type(self.kind, lanes)
        pointer, (by_picture, by_line), by_column = source
        planes, plane, by_tile = result

        def tile(number: Value, picture: Value, row: Value, column: Value) -> None:
            corner = picture * by_picture + row * m * by_line + column * (m * by_column) + channel
            lines = [builder.offset(pointer, corner + by_line * i, self.kind) for i in range(side)]
            given = builder.offset(planes, number * by_tile, self.kind)

            def vectors(place: Value) -> None:
                mask = builder.mask(channels - place, lanes) if all_channels % lanes else None
                there = [builder.offset(line, place, self.kind) for line in lines]
                columns = ([builder.load(line, j * by_column, vector, mask) for line in there] for j in range(side))
                square = over_two_axes(function, Vectors(builder), columns)
                store_planes(builder, square, builder.offset(given, place, self.kind), plane)

            builder.loop(0, channels, lanes, vectors)

        over_tiles(builder, first, count, self.down, self.across, tile)

    def multiply(self, tap: Value, count: Value, channels: Value, outputs: Value) -> None:
        """One plane of the products, added to the sums; those of channels or outputs that fill a block up are not
        used."""
        builder, schedule, block = self.builder, self.schedule, self.schedule.block
        data = builder.offset(self.data, tap * self.data_plane, self.kind)
        cotangents = builder.offset(self.cotangents, tap * self.cotangent_plane, self.kind)
        sums = builder.offset(self.sums, tap * self.sums_plane, self.kind)

        def turn(output: Value, channel: Value) -> None:
            a, b = builder.offset(data, channel, self.kind), builder.offset(cotangents, output, self.kind)
            there = builder.offset(sums, channel * schedule.of_outputs + output, self.kind)
            places = [
                p * schedule.of_outputs + v * block.lanes for p in range(block.pixels) for v in range(block.vectors)
            ]
            taken = [builder.load(there, place, block.vector) for place in places]
            found = accumulate(builder, block, a, b, count, taken, 1, schedule.data_row, schedule.cotangent_row)
            for value, place in zip(found, places, strict=True):
                builder.store(value, there, place)

        builder.loop(
            0, outputs, block.outputs,
            lambda output: builder.loop(0, channels, block.pixels, lambda channel: turn(output, channel)) and None,
        )  # fmt: skip

    def transform_back(self, part: Value, channel: Number, channels: Number, output: Number, outputs: Number) -> None:
        """The sums of a task, as 3x3 weights for each channel, in whole vectors of outputs."""
        builder, schedule, n = self.builder, self.schedule, self.transforms.n
        lanes, row = schedule.block.lanes, -(-schedule.outputs // schedule.block.lanes) * schedule.block.lanes
        start = (part * schedule.channels + channel) * (9 * row) + output
        partial = builder.offset(self.partial, start, self.kind)

        def vectors(number: Value, place: Value) -> None:
            sums = builder.offset(self.sums, number * schedule.of_outputs + place, self.kind)
            columns = load_columns(builder, sums, n, self.sums_plane, schedule.block.vector)
            square = over_two_axes(self.transforms.outputs, Vectors(builder), columns)
            store_planes(builder, square, builder.offset(partial, number * (9 * row) + place, self.kind), row)

        builder.loop(
            0, channels, 1,
            lambda number: builder.loop(0, outputs, lanes, lambda place: vectors(number, place)) and None,
        )  # fmt: skip
