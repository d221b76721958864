"""Convolution by Fourier transforms, for large kernels: tiles that overlap by the kernel's size less one
(overlap-save), their spectra multiplied by those of the weights, transformed back, and what did not wrap around handed
to the epilogue; or one tile for all of a picture, where taps wrap around into zeros. Where each channel is convolved by
itself, all that happens to one tile after another; else in steps: spectra of a chunk of tiles, their products, and
back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.fft_costs import of_tile, padding_of_gradient, steps_of, zeros_of
from wimmel.compiler.kernels.fft_products import plan_products
from wimmel.compiler.kernels.fft_tiles import Part, Tile, Tiles
from wimmel.compiler.kernels.loops import lanes_of, move_along, over_columns
from wimmel.compiler.kernels.windows import LINE_BYTES, beyond_caches
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Argument, Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs

TASK_ELEMENTS = 1 << 13
"""Elements of tiles that one task transforms at least, where there are as many: some microseconds."""


LINES = 5
"""Cache lines of the next tile that are fetched in one turn of the middle stage at most."""

MOST_CHUNKS = 48
"""Of tiles, so that there are not too many steps."""

NOTHING = Chain.identity("float32")


@dataclass(frozen=True)
class FourierSchedule:
    """What the code for tiles depends on.

    Attributes
    ----------
    part : str
        ``weights`` (from filters to their spectra, conjugate and divided by the number of points), ``forward`` (from
        pictures to spectra), ``inverse`` (from spectra to results), or ``filter`` (from pictures to results).
    tile : Tile
    step : (int, int)
        Rows and columns from tile to tile, so many as one has results. Filters have one tile each.
    filled, needed : Part
        Of a tile: where there may be a picture, and where results may be, those shifted to the right as it is.
    move : str
        How the pictures move along their columns, as `move_along` has it.
    chain : Chain
        The epilogue; its first input is the convolution.
    results, operands : tuple of str
        How the chain's results, and its other inputs, move along their columns.
    """

    part: str
    tile: Tile
    step: tuple[int, int]
    filled: Part
    needed: Part
    move: str = "next"
    chain: Chain = NOTHING
    results: tuple[str, ...] = ()
    operands: tuple[str, ...] = ()

    def kernel(self, target: Target, name: str) -> Function:
        return _Fourier(self, target, name).write()


def plan_fft(
    x: Place,
    weight: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    padding: Pairs,
    tile: Tile,
    target: Target,
    label: str = "",
) -> list[Step]:
    """The steps of a convolution in two dimensions of float32, with stride and dilation 1.

    Parameters
    ----------
    x : Place (n, c_in, height, width)
        Any strides. Needs no zeros around it.
    weight : Place (c_out, c_in / groups, *kernel)
        Any strides. There is one group, or c_in == c_out == groups.
    results : sequence of Place (n, c_out, *outputs)
        One for each result of the chain. Any strides.
    chain : Chain
        The epilogue, whose first input is the convolution.
    operands : sequence of Place
        The chain's other inputs, stretched to the results' shape.
    padding : pairs
    tile : Tile
        Larger than the kernel.
    target : Target
    label : str

    Returns
    -------
    list of Step, empty where there are no outputs
    """
    shape = results[0].shape
    if 0 in shape:
        return []
    outputs, channels, *taps = weight.shape
    pictures, height, width = shape[0], *shape[2:]
    step = steps_of(tile, taps, zeros_of(padding), (height, width))
    tiles = (-(-height // step[0]), -(-width // step[1]))
    count = pictures * math.prod(tiles)
    lanes = tile.lanes(target)
    pixel = 2 * lanes
    shift = -padding[1][0] % lanes  # so that what is not zero begins with a vector, if there is room
    if tiles[1] > 1 or shift + max(width, padding[1][0] + x.shape[3]) > tile.width:
        shift = 0
    rows, columns = (
        _placed(front + by, size, whole) if number == 1 else (0, whole)
        for (front, _), by, size, whole, number in zip(
            padding, (0, shift), x.shape[2:], (tile.height, tile.width), tiles, strict=True
        )
    )
    needed = Part((0, min(step[0], height)), (0, shift + min(step[1], width)))
    epilogue = FourierSchedule(
        "", tile, step, Part(rows, columns), needed, move_along(x.strides[3]), chain,
        tuple("far" if place.strides[3] not in (0, 1) else "next" for place in results),
        tuple(move_along(place.strides[3]) for place in operands),
    )  # fmt: skip
    cut = [*x.shape[2:], -padding[0][0], -padding[1][0] - shift, *x.strides]
    views = [height, width, shift, *(stride for place in (*results, *operands) for stride in place.strides)]

    if channels == 1 and outputs == x.shape[1]:
        size = tile.elements
        factors = row_major(Buffer("float32", outputs * size, name="spectra of weights"), (outputs, size))
        steps = [_weights(weight, factors, size, size, pixel, tile, target, label)]
        shares = [0, 0]
        if tiles == (1, 1) and beyond_caches([x, *results], target):
            shares = [-(-place.shape[2] * place.strides[2] // tile.points(target)) for place in (x, results[0])]
        numbers = [0, outputs, *tiles, *cut, 0, size, pixel, *shares, *views]
        schedule = replace(epilogue, part="filter")
        places = [*results, *operands]
        return [*steps, _step(schedule, x, factors, places, results, count * outputs, numbers, target, label)]

    points = tile.points(target)
    chunk = _chunk(count, channels, outputs, tile, target)
    pitches = [_odd(number * pixel, pixel) for number in (outputs * channels, chunk * channels, chunk * outputs)]
    factors, before, after = (
        row_major(Buffer("float32", points * pitch, name=name), (points, pitch))
        for pitch, name in zip(pitches, ("spectra of weights", "spectra", "products"), strict=True)
    )
    steps = [_weights(weight, factors, channels * pixel, pixel, pitches[0], tile, target, label)]
    forward = FourierSchedule("forward", tile, step, epilogue.filled, tile.whole, epilogue.move)
    inverse = replace(epilogue, part="inverse", filled=tile.whole, move="next")
    for first in range(0, count, chunk):
        here = min(chunk, count - first)
        numbers = [first, channels, *tiles, *cut, channels * pixel, pixel, pitches[1], 0, 0, 0, 0, 0]
        steps.append(
            _step(
                forward, x, before, [], [before], here * channels, numbers, target, f"spectra for {label}", here / count
            )
        )
        steps.append(
            plan_products(
                before, factors, after, lanes, channels, outputs, here, chunk, points, target, f"products for {label}"
            )
        )
        numbers = [first, outputs, *tiles, *[0] * 8, outputs * pixel, pixel, pitches[2], 0, 0, *views]
        places = [*results, *operands]
        steps.append(
            _step(inverse, after, after, places, results, here * outputs, numbers, target, label, here / count)
        )
    return steps


def plan_fft_input_gradient(
    g: Place,
    weight: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    padding: Pairs,
    tile: Tile,
    target: Target,
    label: str = "",
) -> list[Step]:
    """The steps of such a convolution's gradient by its input: a convolution with the filters turned round.

    Parameters
    ----------
    g : Place (n, c_out, *outputs)
        Any strides.
    weight : Place (c_out, c_in / groups, *kernel)
    results : sequence of Place (n, c_in, height, width)
    chain, operands, padding, tile, target, label
        As for `plan_fft`; the padding is the convolution's.
    """
    outputs, channels, *taps = weight.shape
    by_output, by_channel, *by_tap = weight.strides
    depthwise = channels == 1 and outputs == results[0].shape[1]
    turned = Place(
        weight.buffer,
        weight.offset + sum((tap - 1) * step for tap, step in zip(taps, by_tap, strict=True)),
        (outputs, channels, *taps) if depthwise else (channels, outputs, *taps),
        (by_output, by_channel, -by_tap[0], -by_tap[1])
        if depthwise
        else (by_channel, by_output, -by_tap[0], -by_tap[1]),
    )
    wider = padding_of_gradient(padding, taps)
    return plan_fft(g, turned, results, chain, operands, wider, tile, target, label)


def _placed(begin: int, size: int, whole: int) -> tuple[int, int]:
    """Where in a tile of that size a picture lies that begins there: from one to another."""
    return min(max(begin, 0), whole), min(max(begin + size, 0), whole)


def _odd(number: int, pixel: int) -> int:
    """A number of elements from point to point that is no multiple of a power of two, which caches do not like."""
    return number + pixel if number // pixel % 2 == 0 else number


def _chunk(count: int, channels: int, outputs: int, tile: Tile, target: Target) -> int:
    """How many tiles are held as spectra at once: about as many as the second-level cache keeps, or so many that the
    weights' spectra, which pass by once for each chunk, are no more than some times as much."""
    both = channels + outputs
    fitting = max(1, target.l2_bytes * 2 // (both * tile.elements * 4), channels * outputs // (4 * both))
    chunks = min(MOST_CHUNKS, -(-count // fitting))
    return -(-count // chunks)


def _weights(
    weight: Place, factors: Place, by_output: int, by_channel: int, pitch: int, tile: Tile, target: Target, label: str
) -> Step:
    """The spectra of the filters, each as a picture that fits into one tile."""
    outputs, channels, *taps = weight.shape
    filled = Part((0, taps[0]), (0, taps[1]))
    schedule = FourierSchedule("weights", tile, (0, 0), filled, tile.whole, move_along(weight.strides[3]))
    numbers = [0, channels, 1, 1, *taps, 0, 0, *weight.strides, by_output, by_channel, pitch, 0, 0, 0, 0, 0]
    return _step(schedule, weight, factors, [], [factors], outputs * channels, numbers, target, f"transform {label}")


def _step(
    schedule: FourierSchedule, x: Place, spectra: Place, views: Sequence[Place], written: Sequence[Place], items: int,
    numbers: Sequence[int], target: Target, label: str, part: float = 1.0,
) -> Step:  # fmt: skip
    """Transforms of so many tiles, which are such a part of all."""
    share = max(1, TASK_ELEMENTS // schedule.tile.elements)
    scratch = row_major(Buffer("float32", schedule.tile.scratch(target), "thread", "tile"), ())
    buffers = tuple(dict.fromkeys([*(place.buffer for place in written), scratch.buffer]))
    arguments: tuple[Argument, ...] = (
        x,
        spectra,
        scratch,
        *views,
        items,
        share,
        schedule.tile.scratch(target),
        *numbers,
    )
    operations = items * of_tile(schedule.tile, schedule.part, target.lanes("f32"))
    pictures = [place.buffer for place in (x, *views) if place.buffer is not spectra.buffer]
    return Step(schedule, arguments, buffers, -(-items // share), label, operations, dict.fromkeys(pictures, part))


class _Fourier:
    """Writes the kernel: tasks, tiles, transforms, epilogue."""

    def __init__(self, schedule: FourierSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        chain = schedule.chain
        self.moves = (*schedule.results, *schedule.operands)
        self.types = [Type(KIND_OF[dtype]) for dtype in (*chain.result_dtypes, *chain.inputs[1:])][: len(self.moves)]
        self.wide = min(schedule.tile.lanes(target), chain.widest(target))
        self.masked = self.wide > 1 and all(target.masks(type_.kind) for type_ in (*self.types, Type("f32")))

    def write(self) -> Function:
        builder, schedule, count = self.builder, self.schedule, len(self.moves)
        argument, begin, end, thread = builder.kernel()
        words = builder.arguments(argument, "ppp" + "p" * count + "i" * (23 + 4 * count))
        self.x, self.spectra, scratch, *pointers = words[: 3 + count]
        words = words[3 + count :]
        items, share, of_thread, first, self.channels, self.tiles_down, self.tiles_across = words[:7]
        self.rows, self.columns, self.top, self.left = words[7:11]
        self.x_strides, (self.by_tile, self.by_channel, self.pitch) = words[11:15], words[15:18]
        *self.shares, self.height, self.width, self.shift = words[18:23]
        strides = [words[23 + 4 * view : 27 + 4 * view] for view in range(count)]
        scratch = builder.offset(scratch, thread * of_thread, "f32")
        self.tiles = Tiles(builder, self.target, schedule.tile, scratch, schedule.filled, schedule.needed)
        self.x_lanes = lanes_of(builder, schedule.move, self.x_strides[3], self.tiles.lanes)
        self.views = [
            (pointer, by, lanes_of(builder, move, by[3], self.wide), type_)
            for pointer, by, move, type_ in zip(pointers, strides, self.moves, self.types, strict=True)
        ]

        def item(number: Value) -> None:
            if schedule.part == "filter":  # all tiles of a channel after another, so that its filter's spectrum stays
                tiles = items // self.channels
                self.item(number % tiles, number // tiles)
            else:
                self.item(first + number // self.channels, number % self.channels, number // self.channels)

        builder.loop(begin * share, builder.minimum(end * share, items), 1, item)
        return builder.function()

    def item(self, tile: Value, channel: Number, place: Number = 0) -> None:
        """One tile of one channel; ``place`` is its number among those whose spectra are kept."""
        builder, schedule, tiles = self.builder, self.schedule, self.tiles
        step = schedule.step
        across, tile = tile % self.tiles_across, tile // self.tiles_across
        down, picture = tile % self.tiles_down, tile // self.tiles_down
        row, column = down * step[0], across * step[1]
        spectrum = builder.offset(self.spectra, place * self.by_tile + channel * self.by_channel, "f32")
        if schedule.part != "inverse":
            start = builder.offset(self.x, picture * self.x_strides[0] + channel * self.x_strides[1], "f32")
            crop = (row + self.top, column + self.left, self.rows, self.columns)
            tiles.cut(start, self.x_strides[2], self.x_lanes, crop)
            tiles.forward_columns(crop)
        if schedule.part in ("weights", "forward"):
            tiles.forward_rows(spectrum, self.pitch, schedule.part == "weights")
            return
        if schedule.part == "filter":
            tiles.filtered_rows(spectrum, self.next_tile(picture, channel))
        else:
            tiles.inverse_rows(spectrum, self.pitch)
        rows, columns = builder.minimum(self.height - row, step[0]), builder.minimum(self.width - column, step[1])
        tiles.inverse_columns(self.shift + columns)
        self.finish((picture, channel, row), column, rows, columns)

    def next_tile(self, picture: Value, channel: Number) -> Callable[[Number], None]:
        """What writes, given a point's number, that a share of the next picture's tile is fetched while this one is
        transformed: pictures of one channel lie far apart."""
        builder = self.builder
        result, by, _, type_ = self.views[0]
        views = [(self.x, self.x_strides, "f32"), (result, by, type_.kind)]
        starts = []
        for (pointer, (by_picture, by_channel, *_), kind), share in zip(views, self.shares, strict=True):
            following = builder.select(builder.compare("ne", share, 0), picture + 1, picture)
            starts.append(builder.offset(pointer, following * by_picture + channel * by_channel, kind))

        def fetch(point: Number) -> None:
            for start, share in zip(starts, self.shares, strict=True):
                there = builder.offset(start, point * share, "f32")
                for line in range(LINES):
                    builder.prefetch(there, line * LINE_BYTES // 4, "f32", level=2)

        return fetch

    def finish(self, corner: tuple[Number, Number, Number], left: Number, rows: Number, columns: Value) -> None:
        """The epilogue on rows and columns of the tile, and the results stored."""
        builder, tiles, count = self.builder, self.tiles, len(self.schedule.results)

        def line(number: Value) -> None:
            picture, channel, row = corner
            tile = builder.offset(tiles.picture, number * tiles.pitch + self.shift, "f32")
            there = []
            for pointer, (by_picture, by_channel, by_row, by_column), _, type_ in self.views:
                place = picture * by_picture + channel * by_channel + (row + number) * by_row + left * by_column
                there.append(builder.offset(pointer, place, type_.kind))
            moved = list(zip(there, self.views, strict=True))

            def body(column: Number, lanes: int, mask: Value | None) -> None:
                values = [builder.load(tile, column, Type("f32", lanes))]
                for pointer, (_, _, along, type_) in moved[count:]:
                    values.append(along.load(pointer, column, type_.of(lanes), mask))
                outcome = self.schedule.chain.emit(builder, self.target, values, lanes)
                for value, (pointer, (_, _, along, _)) in zip(outcome, moved[:count], strict=True):
                    along.store(builder.broadcast(value, lanes), pointer, column, mask)

            over_columns(builder, 0, columns, self.wide, self.masked, body)

        builder.loop(0, rows, 1, line)
