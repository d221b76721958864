"""Products of spectra: at every point, those of the channels multiplied by those of the filters and added up, as
complex numbers. Lanes are frequencies, so nothing is broadcast; a block of tiles by outputs stays in registers.

    y[p, t, o] = sum over c of x[p, t, c] * w[p, o, c]      for points p, tiles t, outputs o, channels c
"""

from __future__ import annotations

from dataclasses import dataclass

from wimmel.compiler.kernels.fft_codelets import Complex, product
from wimmel.compiler.kernels.fft_costs import FETCHING, PRODUCT
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import Place, Step
from wimmel.compiler.targets import Target

TASK_PRODUCTS = 1 << 12
"""Complex products of vectors that one task does at least, where there are as many: some microseconds."""


@dataclass(frozen=True)
class ProductSchedule:
    """What the code depends on.

    Attributes
    ----------
    lanes : int
    channels, outputs : int
    tiles, block : int
        Tiles and outputs of a block.
    """

    lanes: int
    channels: int
    outputs: int
    tiles: int
    block: int

    def kernel(self, target: Target, name: str) -> Function:
        return _Products(self, target, name).write()


def plan_products(
    x: Place, w: Place, y: Place, lanes: int, channels: int, outputs: int, tiles: int, room: int, points: int,
    target: Target, label: str,
) -> Step:  # fmt: skip
    """The step. x is (points, room for tiles, channels), w (points, outputs, channels), y (points, room for tiles,
    outputs) of two vectors each; the first axis has the places' stride."""
    many = target.registers >= 32
    block = min(outputs, 4 if many else 2)
    together = min(room, 2)
    schedule = ProductSchedule(lanes, channels, outputs, together, block)
    share = max(1, TASK_PRODUCTS // (tiles * channels * outputs))
    numbers = [points, share, tiles, x.strides[0], w.strides[0], y.strides[0]]
    operations = points * 2 * (tiles * channels * outputs * PRODUCT + channels * outputs * FETCHING)
    return Step(schedule, (x, w, y, *numbers), (y.buffer,), -(-points // share), label, operations)


class _Products:
    def __init__(self, schedule: ProductSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        self.vector = Type("f32", schedule.lanes)
        self.pixel = 2 * schedule.lanes

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        argument, begin, end, _ = builder.kernel()
        x, w, y, points, share, tiles, by_x, by_w, by_y = builder.arguments(argument, "pppiiiiii")

        def point(number: Value) -> None:
            here = [builder.offset(pointer, number * by, "f32") for pointer, by in ((x, by_x), (w, by_w), (y, by_y))]

            def some(first: Value) -> None:
                # the last block overlaps the one before it, and computes the same
                tile = builder.maximum(builder.minimum(first, tiles - schedule.tiles), 0)
                whole = schedule.outputs // schedule.block * schedule.block
                builder.loop(0, whole, schedule.block, lambda o: self.block(here, tile, o, schedule.block))
                if whole < schedule.outputs:
                    self.block(here, tile, whole, schedule.outputs - whole)

            builder.loop(0, tiles, schedule.tiles, some)

        builder.loop(begin * share, builder.minimum(end * share, points), 1, point)
        return builder.function()

    def block(self, at: list[Value], tile: Number, output: Number, outputs: int) -> None:
        builder, schedule, pixel = self.builder, self.schedule, self.pixel
        x, w, y = at
        x = builder.offset(x, tile * (schedule.channels * pixel), "f32")
        w = builder.offset(w, output * (schedule.channels * pixel), "f32")
        y = builder.offset(y, (tile * schedule.outputs + output) * pixel, "f32")
        count = schedule.tiles * outputs

        def turn(channel: Number, *sums: Value) -> list[Value]:
            builder.fence()
            at_x, at_w = builder.offset(x, channel * pixel, "f32"), builder.offset(w, channel * pixel, "f32")
            values = [self.load(at_x, number * schedule.channels) for number in range(schedule.tiles)]
            following = list(sums)
            for number in range(outputs):
                factor = self.load(at_w, number * schedule.channels)
                for place, value in enumerate(values):
                    real = 2 * (place * outputs + number)
                    following[real : real + 2] = self.added((following[real], following[real + 1]), value, factor)
            return following

        zero = builder.constant(self.vector, 0.0)
        if schedule.channels == 1:
            sums = turn(0, *[zero] * (2 * count))
        else:
            sums = builder.loop(0, schedule.channels, 1, turn, [zero] * (2 * count))
        for place in range(schedule.tiles):
            for number in range(outputs):
                real = 2 * (place * outputs + number)
                there = (place * schedule.outputs + number) * pixel
                builder.store(sums[real], y, there)
                builder.store(sums[real + 1], y, there + schedule.lanes)

    def load(self, pointer: Value, number: int) -> Complex:
        builder, place = self.builder, number * self.pixel
        return builder.load(pointer, place, self.vector), builder.load(
            pointer, place + self.schedule.lanes, self.vector
        )

    def added(self, total: Complex, a: Complex, b: Complex) -> Complex:
        builder = self.builder
        if not self.target.has_fma:
            real, imaginary = product(builder, self.target, a, b)
            return total[0] + real, total[1] + imaginary
        real = builder.fma(-a[1], b[1], builder.fma(a[0], b[0], total[0]))
        return real, builder.fma(a[1], b[0], builder.fma(a[0], b[1], total[1]))
