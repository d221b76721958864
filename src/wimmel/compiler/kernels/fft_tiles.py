"""Two-dimensional transforms of tiles of a picture: real numbers cut out of it, a transform of the columns, negacyclic,
then one of the rows, cyclic, and all that backwards. Lanes are neighbouring columns first, then neighbouring
frequencies of columns; squares of numbers are turned round in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from wimmel.compiler.kernels.fft_codelets import Complex, Points, Stages, Transform, product, transform
from wimmel.compiler.kernels.loops import Lanes
from wimmel.compiler.kernels.shuffles import transposed
from wimmel.compiler.language import Builder, Number, Type, Value
from wimmel.compiler.targets import Target

Crop = tuple[Number, Number, Number, Number]
"""Of a picture: the row and the column where a tile begins, and the numbers of rows and columns that there are."""


@dataclass(frozen=True)
class Part:
    """Of a tile: rows and columns from one to another, those not included."""

    rows: tuple[int, int]
    columns: tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """Rows and columns of a tile.

    A spectrum has ``height / 2 / lanes`` groups of ``width`` points of two vectors, real and imaginary parts: the lanes
    are frequencies of the columns, the points those of the rows.
    """

    height: int
    width: int

    def lanes(self, target: Target) -> int:
        return min(target.lanes("f32"), self.height // 2, self.width)

    def columns(self, target: Target) -> Transform:
        return transform(self.height // 2, Fraction(1, 4), target.registers)

    def rows(self, target: Target) -> Transform:
        return transform(self.width, Fraction(0), target.registers)

    @property
    def whole(self) -> Part:
        return Part((0, self.height), (0, self.width))

    @property
    def elements(self) -> int:
        """Of the tile, and of its spectrum."""
        return self.height * self.width

    def pitch(self, target: Target) -> int:
        """Elements from row to row of a tile in memory: no power of two, which caches do not like."""
        return self.width + target.lanes("f32")

    def scratch(self, target: Target) -> int:
        """Elements that a transform needs: the tile, one group of columns, the spectrum."""
        return self.height * (self.pitch(target) + self.lanes(target)) + self.elements

    def points(self, target: Target) -> int:
        """Vectors of frequencies in a spectrum."""
        return self.elements // 2 // self.lanes(target)


class Tiles:
    """Writes transforms of tiles; the scratch memory is that of one thread. Outside of what is ``filled`` all is zero,
    outside of what is ``needed`` nothing is written in the end."""

    def __init__(
        self, builder: Builder, target: Target, tile: Tile, scratch: Value, filled: Part, needed: Part
    ) -> None:
        self.builder = builder
        self.target = target
        self.tile = tile
        self.lanes = tile.lanes(target)
        self.vector = Type("f32", self.lanes)
        self.pitch = tile.pitch(target)
        self.columns = Stages.of(builder, target, tile.columns(target), self.lanes)
        self.rows = Stages.of(builder, target, tile.rows(target), self.lanes)
        self.picture = scratch
        self.group = builder.offset(scratch, tile.height * self.pitch, "f32")
        self.spectrum = builder.offset(self.group, tile.height * self.lanes, "f32")
        self.groups = tile.height // 2 // self.lanes
        self.filled, self.needed = filled, needed

    # cutting out

    def there(self, crop: Crop) -> tuple[Number, Number]:
        """The vectors of columns in which there is a picture: the first column, and the last one + 1."""
        builder, lanes, width = self.builder, self.lanes, self.tile.width
        _, left, _, columns = crop
        begin = builder.minimum(builder.maximum(0 - left, 0), width)
        end = builder.maximum(builder.minimum(columns - left, width), begin)
        return begin // lanes * lanes, (end + (lanes - 1)) // lanes * lanes

    def cut(self, source: Value, row: Value, lanes: Lanes, crop: Crop) -> None:
        """The filled rows of the tile whose first element is ``crop``'s, in the columns that are there, zero where
        there is no picture. The pointer is to the picture's first element, rows lie ``row`` elements apart."""
        builder = self.builder
        top, left, height, columns = crop
        begin, end = self.there(crop)
        inside = builder.compare("ge", left, 0) & builder.compare("le", left + self.tile.width, columns)
        zero = builder.constant(self.vector, 0.0)

        def line(number: Value) -> None:
            place = builder.offset(self.picture, number * self.pitch, "f32")
            there = builder.offset(source, (top + number) * row, "f32")
            exists = builder.compare("ge", top + number, 0) & builder.compare("lt", top + number, height)

            def copied(masked: bool) -> None:
                def vector(column: Value) -> None:
                    at = left + column
                    mask = self._inside(at, columns) if masked else None
                    builder.store(lanes.load(there, at, self.vector, mask), place, column)

                builder.loop(begin, end, self.lanes, vector)

            def empty() -> None:
                builder.loop(begin, end, self.lanes, lambda column: builder.store(zero, place, column))

            builder.when(
                exists, lambda: _none(builder.when(inside, lambda: copied(False), lambda: copied(True))), empty
            )

        builder.loop(*self.filled.rows, 1, line)

    def _inside(self, first: Number, size: Number) -> Value:
        """Which of the lanes from the first on are at least 0 and below the size."""
        builder = self.builder
        if self.lanes == 1:
            value: Value = builder.compare("ge", first, 0) & builder.compare("lt", first, size)
            return value
        behind = builder.mask(size - first, self.lanes)
        count = builder.convert(builder.index(builder.maximum(builder.minimum(0 - first, self.lanes), 0)), "i32")
        numbers = builder.lane_numbers(Type("i32", self.lanes))
        both: Value = behind & builder.compare("ge", numbers, builder.broadcast(count, self.lanes))
        return both

    # transforms

    def forward_columns(self, crop: Crop) -> None:
        """From the tile to groups of the spectrum, whose rows are yet to be transformed; in the filled columns."""
        builder, lanes = self.builder, self.lanes
        begin, end = self.there(crop)
        last = len(self.columns.transform.radices) - 1
        group = self._group()

        def columns(first: Value) -> None:
            tile = self._tile(first, self.filled)
            for stage in range(last + 1):
                self.columns.forward(stage, group if stage else tile, group)
            self._turned(first, to_spectrum=True)

        def nothing(group: Value) -> None:
            there = self._row(group).pointer
            zero = builder.constant(self.vector, 0.0)
            filled = self._vectors(self.filled)
            for first, last in ((filled.start, begin), (end, filled.stop)):
                builder.loop(
                    first * (2 * lanes), last * (2 * lanes), lanes, lambda place: builder.store(zero, there, place)
                )

        builder.loop(begin, end, lanes, columns)
        builder.loop(0, self.groups, 1, nothing)

    def inverse_columns(self, columns: Number) -> None:
        """From the groups of the spectrum, whose rows are transformed back, to what is needed of the tile, so many
        columns at least."""
        last = len(self.columns.transform.radices) - 1
        group = self._group()

        def some(first: Value) -> None:
            tile = self._tile(first, self.needed)
            self._turned(first, to_spectrum=False)
            for stage in reversed(range(last + 1)):
                self.columns.inverse(stage, group, group if stage else tile)

        builder = self.builder
        builder.loop(0, columns, self.lanes, some)

    def forward_rows(self, result: Value, step: Number, as_factors: bool) -> None:
        """The rows of the spectrum transformed, to where its vectors lie ``step`` elements apart. As factors they are
        conjugate, which makes a correlation of a convolution, and divided by what the inverse multiplies with."""
        builder, last = self.builder, len(self.rows.transform.radices) - 1
        scale = 2 / self.tile.elements

        def change(start: Number, offset: int, value: Complex) -> Complex:
            return value[0] * builder.constant(self.vector, scale), value[1] * builder.constant(self.vector, -scale)

        def group(number: Number) -> None:
            own = self._row(number)
            there = builder.offset(result, number * self.tile.width * step, "f32")
            for stage in range(last):
                self.rows.forward(stage, own if stage else self._row(number, self.filled), own)
            source = own if last else self._row(number, self.filled)
            self.rows.forward(last, source, Points(there, step, self.lanes), change if as_factors else None)

        builder.loop(0, self.groups, 1, group)

    def inverse_rows(self, source: Value, step: Number) -> None:
        """The other way, from a spectrum whose vectors lie ``step`` elements apart."""
        last = len(self.rows.transform.radices) - 1

        def group(number: Number) -> None:
            own = self._row(number)
            there = builder.offset(source, number * self.tile.width * step, "f32")
            self.rows.inverse(last, Points(there, step, self.lanes), own if last else self._row(number, self.needed))
            for stage in reversed(range(last)):
                self.rows.inverse(stage, own, own if stage else self._row(number, self.needed))

        builder = self.builder
        builder.loop(0, self.groups, 1, group)

    def filtered_rows(self, factors: Value, at_turns: Callable[[Number], None]) -> None:
        """The rows transformed, multiplied by a spectrum, and transformed back. ``at_turns`` writes what else is to be
        done in every turn of the middle stage, given the number of its first point."""
        last = len(self.rows.transform.radices) - 1

        def group(number: Number) -> None:
            own = self._row(number)
            there = builder.offset(factors, number * (self.tile.width * 2 * self.lanes), "f32")

            def change(start: Number, offset: int, value: Complex) -> Complex:
                if offset == 0:
                    at_turns(number * self.tile.width + start)
                place = builder.offset(there, start * (2 * self.lanes), "f32")
                factor = (
                    builder.load(place, offset * 2 * self.lanes, self.vector),
                    builder.load(place, (2 * offset + 1) * self.lanes, self.vector),
                )
                return product(builder, self.target, value, factor)

            filled, needed = self._row(number, self.filled), self._row(number, self.needed)
            for stage in range(last):
                self.rows.forward(stage, own if stage else filled, own)
            self.rows.there_and_back(own if last else filled, own if last else needed, change)
            for stage in reversed(range(last)):
                self.rows.inverse(stage, own, own if stage else needed)

        builder = self.builder
        builder.loop(0, self.groups, 1, group)

    def _tile(self, column: Value, part: Part) -> Points:
        """Of columns of the tile, of which only some rows are there: the upper half are the real parts."""
        there, half = self.builder.offset(self.picture, column, "f32"), self.tile.height // 2
        real, imaginary = range(*part.rows), range(part.rows[0] - half, part.rows[1] - half)
        return Points(there, self.pitch, half * self.pitch, real, imaginary)

    def _group(self) -> Points:
        """Of columns, as many as lanes."""
        return Points(self.group, 2 * self.lanes, self.lanes)

    def _row(self, group: Number, part: Part | None = None) -> Points:
        """Of a group of the spectrum, of which only some columns may be there."""
        there = self.builder.offset(self.spectrum, group * (self.tile.width * 2 * self.lanes), "f32")
        columns = None if part is None else self._vectors(part)
        return Points(there, 2 * self.lanes, self.lanes, columns, columns)

    def _vectors(self, part: Part) -> range:
        """The columns of all vectors that a part touches."""
        begin, end = part.columns
        return range(begin // self.lanes * self.lanes, -(-end // self.lanes) * self.lanes)

    def _turned(self, column: Value, to_spectrum: bool) -> None:
        """A group of columns to its place in the spectrum, or back: lanes become rows."""
        builder, lanes = self.builder, self.lanes

        def square(number: Number) -> None:
            group, part = number // 2, number % 2
            inner = builder.offset(self.group, group * (2 * lanes * lanes) + part * lanes, "f32")
            place = (group * self.tile.width + column) * (2 * lanes) + part * lanes
            outer = builder.offset(self.spectrum, place, "f32")
            source, result = (inner, outer) if to_spectrum else (outer, inner)
            builder.fence()
            vectors = [builder.load(source, row * 2 * lanes, self.vector) for row in range(lanes)]
            for row, vector in enumerate(transposed(builder, vectors)):
                builder.store(vector, result, row * 2 * lanes)

        builder.loop(0, 2 * self.groups, 1, square)


def _none(_: object) -> tuple[()]:
    return ()
