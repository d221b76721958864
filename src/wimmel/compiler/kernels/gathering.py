"""Elements taken from places along an axis, and added to places along an axis. Every index is checked: one that is out
of range sets the status, and place 0 is read instead, or nothing added."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wimmel.compiler.chain import is_signed
from wimmel.compiler.kernels.elements import merged_axes
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
from wimmel.compiler.language import INDEX, Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape

TASK_ELEMENTS = 1 << 14
"""What one task does: some microseconds of work."""

TASKS = 64
"""Into how many tasks one addition is cut at most."""


@dataclass(frozen=True)
class TakeSchedule:
    """Elements copied in nested loops, of which the innermost (the columns) fills the lanes.

    Attributes
    ----------
    kind : str
        Of the elements, which are only moved.
    index_dtype : str
    axes : int
        Loops around the columns.
    moves : tuple of three str
        How x, the indices and the result move along the lanes: ``still``, ``next`` or ``far``.
    lanes : int
    """

    kind: str
    index_dtype: str
    axes: int
    moves: tuple[str, ...]
    lanes: int

    def kernel(self, target: Target, name: str) -> Function:
        return _Take(self, target, name).write()


@dataclass(frozen=True)
class ScatterAddSchedule:
    """For each row: its part of the result zeroed, then for each index in order the columns of g added.

    Attributes
    ----------
    dtype : str
    index_dtype : str
    rows, axes : int
        Loops over axes that are not scattered, around those over the axes of the indices; and the number of the latter.
    lanes : int
        Along the columns: an axis that is not scattered, along which g's and the result's elements are neighbours.
    """

    dtype: str
    index_dtype: str
    rows: int
    axes: int
    lanes: int

    def kernel(self, target: Target, name: str) -> Function:
        return _ScatterAdd(self, target, name).write()


def plan_take(
    x: Place, indices: Place, axis: int, result: Place, status: Place, target: Target, label: str = ""
) -> list[Step]:
    """The step that writes the elements of x at the given places along an axis, which the indices' axes replace.

    Parameters
    ----------
    x : Place
    indices : Place
        Whole numbers; negative ones count from the end.
    axis : int
    result : Place
        Of x's dtype and shape ``(*x.shape[:axis], *indices.shape, *x.shape[axis + 1:])``.
    status : Place
        One int64, set to 1 if an index is out of range; the result's elements are then of no use.
    target : Target
    label : str
        For people.

    Returns
    -------
    list of Step, empty where there are no indices
    """
    size, after = x.shape[axis], len(indices.shape)
    if result.size == 0 or size == 0:
        return _checked(indices, size, status, target, label)
    taken = (*x.strides[:axis], *(0,) * after, *x.strides[axis + 1 :])
    places = (*(0,) * axis, *indices.strides, *(0,) * (len(x.shape) - axis - 1))
    return [_take_step(x, taken, size, x.strides[axis], indices, places, result, status, target, label)]


def _checked(indices: Place, size: int, status: Place, target: Target, label: str) -> list[Step]:
    """The step that only looks whether indices are in range: it takes from an axis along which all is one element."""
    if indices.size == 0:
        return []
    nothing = row_major(Buffer("uint8", 1), ())
    result = row_major(Buffer("uint8", indices.size), indices.shape)
    still = (0,) * len(indices.shape)
    return [_take_step(nothing, still, size, 0, indices, indices.strides, result, status, target, label)]


def _take_step(
    x: Place,
    taken: Shape,
    size: int,
    step: int,
    indices: Place,
    places: Shape,
    result: Place,
    status: Place,
    target: Target,
    label: str,
) -> Step:
    """`taken` and `places` are the strides of x and the indices along the result's axes; x has `size` elements, `step`
    apart, along the axis that is taken from."""
    sizes, strides = merged_axes(result.shape, [taken, places, result.strides])
    if not sizes:
        sizes, strides = [1], [[0], [0], [0]]
    kind = f"i{8 * np.dtype(x.dtype).itemsize}"
    lanes = min(target.lanes(kind), target.lanes("i32"))

    def cost(axis: int) -> float:
        """Of one element, in vector operations, where the lanes run along that axis."""
        far = 1.5 * lanes
        each = sum({0: 0.1, 1: 1.0}.get(view[axis], far) for view in strides) + (far if strides[1][axis] else 0)
        return -(-sizes[axis] // lanes) / sizes[axis] * each + 8 / sizes[axis]

    best = min(reversed(range(len(sizes))), key=cost)
    for row in (sizes, *strides):
        row.append(row.pop(best))
    lanes = within_reach(lanes, (view[-1] for view in strides))
    *outer, inner = sizes
    rows, columns = math.prod(outer), min(inner, TASK_ELEMENTS)
    rows_of_task, blocks = max(1, TASK_ELEMENTS // inner), -(-inner // columns)
    moves = (*(move_along(view[-1]) for view in strides[:2]), move_along(strides[2][-1] or 1))
    schedule = TakeSchedule(kind, indices.dtype, len(outer), moves, lanes)
    numbers = [rows, rows_of_task, inner, columns, blocks, size, step, *outer]
    numbers += [stride for view in strides for stride in view]
    written = (result.buffer, status.buffer)
    tasks, operations = -(-rows // rows_of_task) * blocks, rows * inner * cost(len(outer))
    return Step(schedule, (x, indices, result, status, *numbers), written, tasks, label, operations)


def plan_scatter_add(
    g: Place, indices: Place, axis: int, size: int, result: Place, status: Place, target: Target, label: str = ""
) -> list[Step]:
    """The step that adds the elements of g, in the order of the indices, to zeros at these places along an axis.

    Parameters
    ----------
    g : Place
        Of the shape that `plan_take` gives.
    indices : Place
        Whole numbers; negative ones count from the end.
    axis, size : int
        Where the indices' axes stand in g, and the size of the one axis that replaces them.
    result : Place
        Of g's dtype.
    status : Place
        One int64, set to 1 if an index is out of range; the result's elements are then of no use.
    target : Target
    label : str
        For people.

    Returns
    -------
    list of Step, empty where there is nothing to write and no index to check
    """
    if result.size == 0:
        return _checked(indices, size, status, target, label)
    behind = axis + len(indices.shape)
    order = sorted(
        (place for place, size in enumerate(result.shape) if place != axis and size != 1),
        key=lambda place: -abs(result.strides[place]),
    )
    sizes = [result.shape[place] for place in order]
    g_axes = (*range(axis), axis, *range(behind, len(g.shape)))  # of the result's axes
    strides = [[g.strides[g_axes[place]] for place in order], [result.strides[place] for place in order]]
    merge_neighbours(sizes, strides)
    runs = [place for place, size in enumerate(indices.shape) if size != 1]
    counts = [indices.shape[place] for place in runs]
    places = [[g.strides[axis + place] for place in runs], [indices.strides[place] for place in runs]]
    merge_neighbours(counts, places)

    # lanes only along neighbours: gathering and scattering is no quicker than one by one
    neighbours = [place for place, pair in enumerate(zip(*strides, strict=True)) if pair == (1, 1)]
    lanes = min(target.lanes(g.kind), target.lanes("i32")) if neighbours else 1
    for row in (sizes, *strides):
        row.append(row.pop(neighbours[0]) if neighbours else 1)
    *outer, inner = sizes
    rows, positions = math.prod(outer), math.prod(counts)

    work = rows * inner * (positions + size)
    shares = max(1, min(TASKS, work // TASK_ELEMENTS))
    rows_of_task = -(-rows // shares)
    columns = -(-inner // (min(-(-shares // rows), -(-inner // (4 * lanes))) * lanes)) * lanes
    blocks = -(-inner // columns)
    # every task of a range of the scattered axis looks at all indices: no more ranges than that is worth
    ranges = min(-(-shares // (rows * blocks)), -(-columns // lanes), size)
    range_size = -(-size // ranges)
    ranges = -(-size // range_size)
    schedule = ScatterAddSchedule(g.dtype, indices.dtype, len(outer), len(counts), lanes)
    numbers = [rows, rows_of_task, inner, columns, blocks, size, result.strides[axis], range_size, ranges, positions]
    numbers += [*outer, *(max(count, 1) for count in counts)]
    numbers += [stride for view in (*strides, *places) for stride in view]
    tasks = -(-rows // rows_of_task) * blocks * ranges
    operations = ranges * work / lanes
    written = (result.buffer, status.buffer)
    return [Step(schedule, (g, indices, result, status, *numbers), written, tasks, label, operations)]


def _placed(builder: Builder, index: Value, dtype: str, size: Value) -> tuple[Value, Value]:
    """The place an index stands for, 0 where it is out of range; and whether it is in range."""
    lanes = index.type.lanes
    index, size = builder.convert(index, "i64", signed=is_signed(dtype)), builder.broadcast(size, lanes)
    if is_signed(dtype):
        index = builder.select(builder.compare("lt", index, 0), index + size, index)
    good = builder.compare("lt", index, size, unsigned=True)
    return builder.select(good, index, 0), good


def _report(builder: Builder, bad: Value, status: Value) -> None:
    one = builder.constant(INDEX, 1)
    builder.when(builder.compare("ne", bad, 0), lambda: builder.store(one, status, 0))


class _Take:
    def __init__(self, schedule: TakeSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.builder = Builder(name)
        self.index_kind = KIND_OF[schedule.index_dtype]
        self.kinds = (schedule.kind, self.index_kind, schedule.kind)
        self.masked = schedule.lanes > 1 and target.masks(schedule.kind) and target.masks(self.index_kind)

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        block, begin, end, _ = builder.kernel()
        words = builder.arguments(block, "pppp" + "i" * (7 + schedule.axes + 3 * (schedule.axes + 1)))
        *pointers, status = words[:4]
        rows, rows_of_task, inner, columns, blocks, self.size, self.step = words[4:11]
        sizes, words = words[11 : 11 + schedule.axes], words[11 + schedule.axes :]
        strides = [words[view * (schedule.axes + 1) :][: schedule.axes + 1] for view in range(3)]
        self.lanes = [
            lanes_of(builder, move, view[-1], schedule.lanes)
            for move, view in zip(schedule.moves, strides, strict=True)
        ]

        def task(number: Value) -> None:
            first, left = (number // blocks) * rows_of_task, (number % blocks) * columns
            right = builder.minimum(left + columns, inner)

            def row(_: Value, bad: Value, *digits: Value) -> list[Value]:
                there = [
                    builder.offset(pointer, offset_of(digits, view[:-1]), kind)
                    for pointer, view, kind in zip(pointers, strides, self.kinds, strict=True)
                ]
                bad = (self.row_of_one if schedule.moves[1] == "still" else self.row)(there, left, right, bad)
                return [bad, *next_digits(builder, digits, sizes)]

            carried = [builder.constant(INDEX, 0), *digits_of(builder, first, sizes)]
            bad = builder.loop(first, builder.minimum(first + rows_of_task, rows), 1, row, carried)[0]
            _report(builder, bad, status)

        builder.loop(begin, end, 1, task)
        return builder.function()

    def row_of_one(self, there: list[Value], left: Value, right: Value, bad: Value) -> Value:
        """One index for all of it."""
        builder = self.builder
        _, index, result = there
        index = builder.load(index, 0, Type(self.index_kind))
        place, good = _placed(builder, index, self.schedule.index_dtype, self.size)
        x = builder.offset(there[0], place * self.step, self.schedule.kind)

        def copied(column: Value, lanes: int, mask: Value | None) -> None:
            value = self.lanes[0].load(x, column, Type(self.schedule.kind, lanes), mask)
            self.lanes[2].store(value, result, column, mask)

        over_columns(builder, left, right, self.schedule.lanes, self.masked, copied)
        return bad | builder.convert(good ^ 1, "i64", signed=False)

    def row(self, there: list[Value], left: Value, right: Value, bad: Value) -> Value:
        """Each lane with an index of its own."""
        builder = self.builder
        x, indices, result = there

        def taken(column: Value, lanes: int, mask: Value | None, bad: Value) -> Value:
            index = self.lanes[1].load(indices, column, Type(self.index_kind, lanes), mask)
            place, good = _placed(builder, index, self.schedule.index_dtype, self.size)
            place = place * builder.broadcast(self.step, lanes)
            type_ = Type(self.schedule.kind, lanes)  # along the axes of the indices x moves by them alone
            value = builder.load(x, place, type_) if lanes == 1 else builder.gather(x, place, type_, mask)
            self.lanes[2].store(value, result, column, mask)
            wrong = good ^ 1
            if mask is not None:
                wrong = wrong & mask
            return builder.select(builder.folded(wrong, lambda a, b: a | b), 1, bad)

        return over_columns(builder, left, right, self.schedule.lanes, self.masked, taken, [bad])[0]


class _ScatterAdd:
    def __init__(self, schedule: ScatterAddSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.builder = Builder(name)
        self.kind = KIND_OF[schedule.dtype]
        self.index_type = Type(KIND_OF[schedule.index_dtype])
        self.masked = schedule.lanes > 1 and target.masks(self.kind)

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        block, begin, end, _ = builder.kernel()
        rows_axes, axes = schedule.rows, schedule.axes
        words = builder.arguments(block, "pppp" + "i" * (10 + rows_axes + axes + 2 * (rows_axes + 1 + axes)))
        g, indices, result, status = words[:4]
        rows, rows_of_task, inner, columns, blocks, size, step, range_size, ranges, positions = words[4:14]
        words = words[14:]

        def taken(count: int) -> list[Value]:
            first, words[:] = words[:count], words[count:]
            return first

        sizes, counts = taken(rows_axes), taken(axes)
        of_g, of_result = taken(rows_axes + 1), taken(rows_axes + 1)
        of_positions, of_indices = taken(axes), taken(axes)

        def task(number: Value) -> None:
            start, number = (number % ranges) * range_size, number // ranges
            stop = builder.minimum(start + range_size, size)
            left, number = (number % blocks) * columns, number // blocks
            right = builder.minimum(left + columns, inner)
            first = number * rows_of_task

            def row(_: Value, bad: Value, *digits: Value) -> list[Value]:
                source = builder.offset(g, offset_of(digits, of_g[:-1]), self.kind)
                there = builder.offset(result, offset_of(digits, of_result[:-1]), self.kind)

                def over(body: Callable[[Value, int, Value | None], None]) -> None:
                    over_columns(builder, left, right, schedule.lanes, self.masked, body)

                def zeroed(place: Value) -> None:
                    line = builder.offset(there, place * step, self.kind)
                    over(lambda column, lanes, mask: builder.store(self.zeros(lanes), line, column, mask))

                def added(_: Value, bad: Value, *digits: Value) -> list[Value]:
                    index = builder.load(indices, offset_of(digits, of_indices), self.index_type)
                    place, good = _placed(builder, index, schedule.index_dtype, size)
                    here = good & builder.compare("ge", place, start) & builder.compare("lt", place, stop)
                    term = builder.offset(source, offset_of(digits, of_positions), self.kind)
                    line = builder.offset(there, place * step, self.kind)
                    builder.when(here, lambda: over(lambda *at: self.add(term, line, *at)))
                    bad = bad | builder.convert(good ^ 1, "i64", signed=False)
                    return [bad, *next_digits(builder, digits, counts)]

                builder.loop(start, stop, 1, zeroed)
                bad = builder.loop(0, positions, 1, added, [bad, *(builder.constant(INDEX, 0) for _ in counts)])[0]
                return [bad, *next_digits(builder, digits, sizes)]

            carried = [builder.constant(INDEX, 0), *digits_of(builder, first, sizes)]
            bad = builder.loop(first, builder.minimum(first + rows_of_task, rows), 1, row, carried)[0]
            _report(builder, bad, status)

        builder.loop(begin, end, 1, task)
        return builder.function()

    def zeros(self, lanes: int) -> Value:
        return self.builder.constant(Type(self.kind, lanes), 0)

    def add(self, term: Value, line: Value, column: Number, lanes: int, mask: Value | None) -> None:
        builder, type_ = self.builder, Type(self.kind, lanes)
        there, value = builder.load(line, column, type_, mask), builder.load(term, column, type_, mask)
        total = there | value if self.kind == "i1" else there + value
        builder.store(total, line, column, mask)
