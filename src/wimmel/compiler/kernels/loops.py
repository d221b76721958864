"""What loops over strided views have in common: neighbouring axes merged when planning; in the code, running numbers
taken apart into places along axes, and vectors read and written along the lanes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wimmel.compiler.language import Builder, Number, Type, Value


def merge_neighbours(sizes: list[int], strides: Sequence[list[int]]) -> None:
    """Each two neighbouring axes along which every view steps alike become one, in place.

    Parameters
    ----------
    sizes : list of int
        Of the axes, outermost first.
    strides : sequence of list of int
        For each view its strides along these axes.

    Examples
    --------
    >>> sizes, strides = [2, 3, 4], [[12, 4, 1], [0, 4, 1]]
    >>> merge_neighbours(sizes, strides)
    >>> sizes, strides
    ([2, 12], [[12, 1], [0, 1]])
    """
    for axis in reversed(range(len(sizes) - 1)):
        if all(view[axis] == view[axis + 1] * sizes[axis + 1] for view in strides):
            sizes[axis] *= sizes.pop(axis + 1)
            for view in strides:
                view[axis] = view.pop(axis + 1)


def move_along(stride: int) -> str:
    """How a view moves along the lanes: ``still``, ``next`` (to the neighbouring element) or ``far``.

    Examples
    --------
    >>> [move_along(stride) for stride in (0, 1, -1)]
    ['still', 'next', 'far']
    """
    return {0: "still", 1: "next"}.get(stride, "far")


def digits_of(builder: Builder, number: Value, sizes: Sequence[Value]) -> list[Value]:
    """A running number as places along axes, of which the last runs fastest."""
    digits: list[Value] = []
    for size in reversed(sizes[1:]):
        digits.insert(0, number % size)
        number = number // size
    return [number, *digits] if sizes else []


def digit_cost(sizes: Sequence[int]) -> float:
    """What `digits_of` costs for each element, in vector instructions, where it finds the places along all loops but
    the inner two."""
    return 8 * max(0, len(sizes) - 2) / math.prod(sizes[-2:])


def next_digits(builder: Builder, digits: Sequence[Value], sizes: Sequence[Value]) -> list[Value]:
    """The places that follow in that order, without dividing."""
    following: list[Value] = []
    carry: Number = 1
    for digit, size in zip(reversed(digits[1:]), reversed(sizes[1:]), strict=True):
        digit = digit + carry
        full = builder.compare("ge", digit, size)
        following.insert(0, builder.select(full, 0, digit))
        carry = builder.convert(full, "i64", signed=False)
    return [digits[0] + carry, *following] if digits else []


def offset_of(digits: Sequence[Number], strides: Sequence[Value]) -> Number:
    """How many elements behind the first one the element at these places lies."""
    offset: Number = 0
    for digit, stride in zip(digits, strides, strict=True):
        offset = offset + digit * stride
    return offset


def taps_within(
    builder: Builder, place: Number, taps: int, stride: int, dilation: int, front: Value, size: Value
) -> tuple[Number, Number]:
    """Along an axis, the first tap that meets x at an output, and the last + 1; the others meet only its halo, of which
    so many elements lie in front of its own."""
    if taps == 1:
        return 0, 1
    before = front - place * stride

    def reach(elements: Value) -> Number:
        return builder.minimum((builder.maximum(elements, 0) + (dilation - 1)) // dilation, taps)

    return reach(before), reach(before + size)


def taps_meeting(
    builder: Builder, element: Value, taps: int, stride: int, dilation: int, front: Value, outputs: Value
) -> tuple[Number, Number, int]:
    """Along an axis, the taps k that meet element i of x, as first, end and step: those with k d = i + p (mod s), where
    output (i + p - k d) / s exists; p is the padding in front."""
    common = math.gcd(stride, dilation)
    step = stride // common
    padded = element + front
    first = builder.maximum((padded - (outputs - 1) * stride + (dilation - 1)) // dilation, 0)
    end = builder.minimum(padded // dilation + 1, taps)
    remainder = (padded // common) * pow(dilation // common, -1, step) % step
    first = first + ((remainder - first) % step + step) % step
    if common > 1:
        end = builder.select(builder.compare("eq", padded % common, 0), end, 0)
    return first, end, step


def distances(builder: Builder, stride: Value, lanes: int) -> Value:
    """How far from the first lane's element each lane's lies, for gathers and scatters: numbers of 32 bits, with which
    these are quicker."""
    numbers = builder.lane_numbers(Type("i32", lanes))
    far: Value = numbers * builder.broadcast(builder.convert(stride, "i32"), lanes)
    return far


def within_reach(lanes: int, strides: Iterable[int]) -> int:
    """As many lanes, or 1 where `distances` for one of the strides would not fit into 32 bits."""
    return lanes if all(abs(stride) * lanes < 2**31 for stride in strides) else 1


@dataclass(frozen=True)
class Lanes:
    """How a kernel reads and writes a view along the lanes, in vectors or one by one: ``still``, ``next`` or ``far``.
    Made by `lanes_of` where the kernel begins."""

    builder: Builder
    move: str
    stride: Value
    distances: Value | None

    def load(self, pointer: Value, column: Number, type_: Type, mask: Value | None = None) -> Value:
        """Elements from a column on; the pointer is to column 0."""
        builder = self.builder
        if self.move == "still":
            return builder.broadcast(builder.load(pointer, 0, type_.of(1)), type_.lanes)
        if self.move == "next":
            return builder.load(pointer, column, type_, mask)
        there = builder.offset(pointer, column * self.stride, type_.kind)
        if type_.lanes == 1 or self.distances is None:
            return builder.load(there, 0, type_)
        return builder.gather(there, self.distances, type_, mask)

    def store(self, value: Value, pointer: Value, column: Number, mask: Value | None = None) -> None:
        """For views that move."""
        builder = self.builder
        if self.move == "next":
            builder.store(value, pointer, column, mask)
            return
        there = builder.offset(pointer, column * self.stride, value.type.kind)
        if value.type.lanes == 1 or self.distances is None:
            builder.store(value, there, 0)
        else:
            builder.scatter(value, there, self.distances, mask)


def lanes_of(builder: Builder, move: str, stride: Value, lanes: int) -> Lanes:
    """How a view that steps so along the lanes is read and written."""
    return Lanes(builder, move, stride, distances(builder, stride, lanes) if move == "far" and lanes > 1 else None)


def over_columns(
    builder: Builder,
    left: Number,
    right: Value,
    lanes: int,
    masked: bool,
    body: Callable[..., Any],
    carried: Sequence[Value] = (),
) -> list[Value]:
    """``body(column, lanes, mask, *carried)`` for all columns from left to right: whole vectors, then what remains as
    one vector with a mask, or column by column where there are no masks."""
    if lanes > 1:
        whole = left + ((right - left) // lanes) * lanes
        carried = builder.loop(left, whole, lanes, lambda column, *now: body(column, lanes, None, *now), carried)
        left = whole
    if not masked or lanes == 1:
        return builder.loop(left, right, 1, lambda column, *now: body(column, 1, None, *now), carried)
    rest = builder.compare("lt", left, right)
    mask = builder.mask(right - left, lanes)
    return builder.when(rest, lambda: body(left, lanes, mask, *carried), lambda: carried)
