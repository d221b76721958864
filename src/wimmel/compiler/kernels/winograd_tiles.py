"""What Winograd's kernels have in common: arithmetic on vectors, the tiles of pictures one after another, and squares
of values that lie in a plane each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.pooling import larger
from wimmel.compiler.language import Builder, Number, Type, Value
from wimmel.compiler.targets import Target

LINE = 16
"""Elements of a cache line, by an odd multiple of which planes lie apart: so they meet in no set of a cache."""


INLINE = 8
"""Epilogues of more work than this are written once, in a loop over a tile's pixels, and not once for each of them."""


def apart(elements: int) -> int:
    """At least so many elements, in an odd number of cache lines."""
    lines = -(-elements // LINE)
    return LINE * (lines + (lines + 1) % 2)


@dataclass(frozen=True)
class Vectors:
    """Arithmetic on vectors, of which every multiplication with something added is one instruction."""

    builder: Builder

    def times(self, factor: Fraction, x: Value) -> Value:
        product: Value = x if factor == 1 else self.builder.constant(x.type, float(factor)) * x
        return product

    def plus(self, y: Value, factor: Fraction, x: Value) -> Value:
        if abs(factor) == 1:
            total: Value = y + x if factor > 0 else y - x
            return total
        return self.builder.fma(self.builder.constant(x.type, float(factor)), x, y)


def over_tiles(
    builder: Builder,
    first: Value,
    count: Number,
    down: Value,
    across: Value,
    body: Callable[[Value, Value, Value, Value], None],
) -> None:
    """``body(number, picture, row, column)`` for tiles from the first on, numbered from 0; a picture has so many down
    and across."""
    column, rows = first % across, first // across

    def turn(number: Value, picture: Value, row: Value, column: Value) -> list[Value]:
        body(number, picture, row, column)
        last_column = builder.compare("eq", column, across - 1)
        last_row = last_column & builder.compare("eq", row, down - 1)
        below = builder.select(last_column, row + 1, row)
        return [
            builder.select(last_row, picture + 1, picture),
            builder.select(last_row, 0, below),
            builder.select(last_column, 0, column + 1),
        ]

    builder.loop(0, count, 1, turn, [rows // down, rows % down, column])


def store_planes(builder: Builder, rows: Iterable[Sequence[Value]], pointer: Value, plane: Number) -> None:
    """A square of values, each a plane further than the one before."""
    for row in rows:
        for value in row:
            builder.store(value, pointer, 0)
            pointer = builder.offset(pointer, plane, value.type.kind)


def load_columns(builder: Builder, pointer: Value, side: int, plane: Number, vector: Type) -> Iterator[list[Value]]:
    """A square of so many planes, column by column as they are asked for."""
    for j in range(side):
        there, found = builder.offset(pointer, plane * j, vector.kind), []
        for _ in range(side):
            found.append(builder.load(there, 0, vector))
            there = builder.offset(there, plane * side, vector.kind)
        yield found


def largest_of_window(
    builder: Builder,
    target: Target,
    chain: Chain,
    window: Sequence[Value],
    operands: Callable[[int], Sequence[Value]],
) -> list[Value]:
    """What an epilogue gives for the values of a window, and for each the chain's other inputs: if there are several
    values, the largest."""
    lanes, dtypes, (inner, bounds) = window[0].type.lanes, chain.result_dtypes, chain.without_bounds()
    outcome: list[Value] = []
    for place, value in enumerate(window):
        found = [builder.broadcast(each, lanes) for each in inner.emit(builder, target, [value, *operands(place)])]
        if place > 0:
            found = [larger(builder, *each) for each in zip(dtypes, outcome, found, strict=True)]
        outcome = found
    return bounds.emit(builder, target, outcome)
