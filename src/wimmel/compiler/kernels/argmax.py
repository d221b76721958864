"""The place of the largest element along an axis: the first, where several are; a NaN counts as the largest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wimmel.compiler.chain import is_signed
from wimmel.compiler.kernels.loops import (
    digits_of,
    lanes_of,
    merge_neighbours,
    move_along,
    next_digits,
    offset_of,
    over_columns,
    within_reach,
)
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Place, Step
from wimmel.compiler.targets import Target

TASK_ELEMENTS = 1 << 14
"""What one task does: some microseconds of work."""

INSTRUCTIONS = 4
"""For one vector of elements, about."""

VECTORS = 4
"""How many comparisons are under way at once, where there are as many."""


@dataclass(frozen=True)
class ArgmaxSchedule:
    """A search in nested loops, over cells (places along all kept axes but the one that fills the lanes) and columns.

    Attributes
    ----------
    dtype : str
    along : bool
        Whether the lanes run along the searched axis; they run along a kept one (the columns) otherwise.
    kept : int
        Loops over kept axes, without the columns.
    moves : tuple of two str
        How x and the result move along the lanes: ``still``, ``next`` or ``far``.
    lanes : int
    vectors : int
        How many are compared at once, since each comparison waits for the one before.
    number_kind : str
        ``i32``, or ``i64`` for axes too long for it.
    """

    dtype: str
    along: bool
    kept: int
    moves: tuple[str, str]
    lanes: int
    vectors: int
    number_kind: str

    def kernel(self, target: Target, name: str) -> Function:
        return _Argmax(self, target, name).write()


def plan_argmax(x: Place, axis: int, result: Place, target: Target, label: str = "") -> list[Step]:
    """The step that writes where along an axis the largest elements stand.

    Parameters
    ----------
    x : Place
        Of any dtype; the axis has a size above 0.
    axis : int
    result : Place
        int64, of x's shape without the axis.
    target : Target
    label : str
        For people.

    Returns
    -------
    list of Step, empty where the result has no elements
    """
    if result.size == 0:
        return []
    size, step = x.shape[axis], x.strides[axis]
    left = [place for place in range(len(x.shape)) if place != axis]
    order = sorted((place for place in left if x.shape[place] != 1), key=lambda place: -abs(x.strides[place]))
    sizes = [x.shape[place] for place in order]
    strides = [[x.strides[place] for place in order], [result.strides[left.index(place)] for place in order]]
    merge_neighbours(sizes, strides)

    lanes = min(target.lanes(x.kind), target.lanes("i32"))
    neighbours = [place for place, stride in enumerate(strides[0]) if stride == 1]
    # lanes along the axis end in a comparison of the lanes, so lanes along any kept axis are as good as these, even
    # along that of the pictures, however many there are
    best = neighbours if step != 1 else []
    best = best or (list(range(len(sizes)))[-1:] if step != 1 or size < 4 * lanes else [])
    columns = 1
    if not best and size < 2 * lanes:
        lanes = 1
    if best:
        columns = sizes.pop(best[0])
        for view in strides:
            view.append(view.pop(best[0]))
    moves = [move_along(view[-1]) for view in strides] if best else [move_along(step), "still"]
    lanes = within_reach(lanes, [step] if not best else [view[-1] for view in strides])
    kind = "i32" if size < 2**31 - lanes else "i64"
    wide = columns if neighbours else lanes if best else size // 2
    vectors = max(1, min(VECTORS, wide // lanes)) if lanes > 1 else 1
    schedule = ArgmaxSchedule(x.dtype, not best, len(sizes), (moves[0], moves[1]), lanes, vectors, kind)

    cells = math.prod(sizes)
    columns_of_task = max(1, TASK_ELEMENTS // (vectors * lanes * size)) * vectors * lanes
    cells_of_task = max(1, TASK_ELEMENTS // (min(columns, columns_of_task) * size))
    blocks = -(-columns // columns_of_task)
    numbers = [cells, cells_of_task, columns, columns_of_task, blocks, size, step, *sizes, *strides[0], *strides[1]]
    tasks = -(-cells // cells_of_task) * blocks
    operations = INSTRUCTIONS * x.size / lanes
    return [Step(schedule, (x, result, *numbers), (result.buffer,), tasks, label, operations)]


class _Argmax:
    def __init__(self, schedule: ArgmaxSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.builder = Builder(name)
        self.kind = KIND_OF[schedule.dtype]
        self.masked = target.masks(self.kind) and schedule.lanes > 1

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        block, begin, end, _ = builder.kernel()
        axes = schedule.kept + (not schedule.along)
        words = builder.arguments(block, "pp" + "i" * (7 + schedule.kept + 2 * axes))
        x, result, cells, cells_of_task, columns, columns_of_task, blocks, self.size, self.step, *words = words
        sizes, of_x, of_result = words[: schedule.kept], words[schedule.kept :][:axes], words[schedule.kept + axes :]
        strides = (self.step, self.step) if schedule.along else (of_x[-1], of_result[-1])
        self.x_lanes, self.result_lanes = (
            lanes_of(builder, move, stride, schedule.lanes)
            for move, stride in zip(schedule.moves, strides, strict=True)
        )

        def task(number: Value) -> None:
            left = 0 if schedule.along else (number % blocks) * columns_of_task
            first = (number if schedule.along else number // blocks) * cells_of_task
            right = builder.minimum(left + columns_of_task, columns)

            def cell(_: Value, *place: Value) -> list[Value]:
                row = builder.offset(x, offset_of(place, of_x[: schedule.kept]), self.kind)
                there = builder.offset(result, offset_of(place, of_result[: schedule.kept]), "i64")
                if schedule.along:
                    self.search_along(row, there)
                else:
                    self.search_across(row, there, left, right)
                return next_digits(builder, place, sizes)

            last = builder.minimum(first + cells_of_task, cells)
            builder.loop(first, last, 1, cell, digits_of(builder, first, sizes))

        builder.loop(begin, end, 1, task)
        return builder.function()

    def search_along(self, row: Value, there: Value) -> None:
        builder, lanes = self.builder, self.schedule.lanes

        def turn(column: Value, *found: Value) -> list[Value]:
            after: list[Value] = []
            for vector, (best, place) in enumerate(_pairs(found)):
                value = self.read(row, column + vector * lanes, lanes)
                numbers = self.numbers(column + vector * lanes, lanes)
                after += self.better(best, place, value, numbers + lane_numbers)
            return after

        def single(column: Value, best: Value, place: Value) -> list[Value]:
            return self.better(best, place, self.read(row, column, 1), self.numbers(column, 1))

        best, place = self.start(lanes)
        column: Number = 0
        if lanes > 1:
            lane_numbers = builder.lane_numbers(place.type)
            # a lane that finds nothing larger keeps its first place, and one that sees nothing loses against that
            found = [best, lane_numbers]
            for vector in range(1, self.schedule.vectors):
                found += [best, lane_numbers + vector * lanes]
            for vectors in dict.fromkeys((self.schedule.vectors, 1)):
                whole = (self.size // (vectors * lanes)) * (vectors * lanes)
                found[: 2 * vectors] = builder.loop(column, whole, vectors * lanes, turn, found[: 2 * vectors])
                column = whole
            best, place = self.folded(found)
        _, place = builder.loop(column, self.size, 1, single, [best, place])
        builder.store(builder.convert(place, "i64"), there, 0)

    def search_across(self, row: Value, there: Value, left: Number, right: Value) -> None:
        builder, lanes = self.builder, self.schedule.lanes

        def search(column: Number, lanes: int, mask: Value | None = None, vectors: int = 1) -> None:
            def turn(number: Value, *found: Value) -> list[Value]:
                line = builder.offset(row, number * self.step, self.kind)
                numbers, after = self.numbers(number, lanes), []
                for vector, (best, place) in enumerate(_pairs(found)):
                    after += self.better(best, place, self.read(line, column + vector * lanes, lanes, mask), numbers)
                return after

            found = builder.loop(0, self.size, 1, turn, self.start(lanes) * vectors)
            for vector, (_, place) in enumerate(_pairs(found)):
                self.result_lanes.store(builder.convert(place, "i64"), there, column + vector * lanes, mask)

        vectors = self.schedule.vectors
        if vectors > 1:
            whole = left + ((right - left) // (vectors * lanes)) * (vectors * lanes)
            builder.loop(left, whole, vectors * lanes, lambda column: search(column, lanes, vectors=vectors))
            left = whole
        over_columns(builder, left, right, lanes, self.masked, search)

    # values

    def start(self, lanes: int) -> list[Value]:
        """The smallest value, and the first place, which stays where nothing is larger."""
        builder, dtype = self.builder, np.dtype(self.schedule.dtype)
        least = -math.inf if dtype.kind == "f" else int(np.iinfo(dtype).min) if dtype.kind == "i" else 0
        kind = "i8" if self.kind == "i1" else self.kind
        return [
            builder.constant(Type(kind, lanes), least),
            builder.constant(Type(self.schedule.number_kind, lanes), 0),
        ]

    def read(self, row: Value, column: Number, lanes: int, mask: Value | None = None) -> Value:
        value = self.x_lanes.load(row, column, Type(self.kind, lanes), mask)
        return self.builder.convert(value, "i8", signed=False) if self.kind == "i1" else value

    def numbers(self, number: Number, lanes: int) -> Value:
        return self.builder.broadcast(
            self.builder.convert(self.builder.index(number), self.schedule.number_kind), lanes
        )

    def better(self, best: Value, place: Value, value: Value, number: Value) -> list[Value]:
        """The larger of two elements and its place; the first element where they are equal or it is a NaN."""
        builder = self.builder
        if value.type.is_float:
            # neither "not above" nor "above" holds of a NaN
            larger = (builder.compare("le", value, best) ^ 1) & (builder.compare("unordered", best, best) ^ 1)
        else:
            larger = builder.compare("gt", value, best, unsigned=not self.signed)
        return [builder.select(larger, value, best), builder.select(larger, number, place)]

    @property
    def signed(self) -> bool:
        return self.schedule.dtype != "bool" and is_signed(self.schedule.dtype)

    def first_best(self, best: Value, place: Value, other: Value, number: Value) -> list[Value]:
        """The larger of two and its place; the place that comes first where they are equal or both NaN."""
        builder = self.builder
        tie = builder.compare("eq", best, other)
        if best.type.is_float:
            tie = tie | (builder.compare("unordered", best, best) & builder.compare("unordered", other, other))
        earlier = tie & builder.compare("lt", number, place)
        value, found = self.better(best, place, other, number)
        return [value, builder.select(earlier, number, found)]

    def folded(self, found: list[Value]) -> list[Value]:
        """The best of all vectors and lanes, by halves."""
        builder = self.builder
        best, place = found[:2]
        for other, number in _pairs(found[2:]):
            best, place = self.first_best(best, place, other, number)
        while best.type.lanes > 1:
            half = best.type.lanes // 2
            low, high = (
                [builder.shuffle(value, value, lanes) if half > 1 else builder.extract(value, lanes[0])
                 for value in (best, place)]
                for lanes in (range(half), range(half, 2 * half))
            )  # fmt: skip
            best, place = self.first_best(*low, *high)
        return [best, place]


def _pairs(found: Sequence[Value]) -> list[tuple[Value, Value]]:
    """The best of each vector, and its place."""
    return list(zip(found[::2], found[1::2], strict=True))
