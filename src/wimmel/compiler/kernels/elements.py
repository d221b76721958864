"""Loops over elements: a chain applied to strided views of equal shape. Copies, conversions of layout, fills and every
elementwise region that found no convolution or product to follow are of this kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wimmel.compiler.chain import Chain
from wimmel.compiler.language import BOOLEAN, Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Place, Step
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape

TASK_ELEMENTS = 1 << 14
"""What one task does: some microseconds of work."""


@dataclass(frozen=True)
class ElementSchedule:
    """A chain in nested loops.

    Attributes
    ----------
    chain : Chain
    axes : int
        Loops, after neighbouring axes that step alike were merged. The innermost fills the lanes.
    steps : tuple of str
        How each of the chain's inputs, then each of its results, moves along the innermost axis: ``still``, ``next``
        (to the neighbouring element), ``far`` (by a run-time stride), or ``scalar``: it moves along no axis.
    lanes : int
    """

    chain: Chain
    axes: int
    steps: tuple[str, ...]
    lanes: int

    def kernel(self, target: Target, name: str) -> Function:
        return _Elements(self, target, name).write()


def plan_elements(
    chain: Chain, inputs: Sequence[Place], results: Sequence[Place], target: Target, label: str = ""
) -> list[Step]:
    """The step that writes a chain's results.

    Parameters
    ----------
    chain : Chain
    inputs, results : sequence of Place
        One for each of the chain's inputs and results, of one shape (stretched to it where they broadcast).
    target : Target
    label : str
        For people.

    Returns
    -------
    list of Step, empty where there are no elements
    """
    places = [*inputs, *results]
    shape = results[0].shape
    assert all(place.shape == shape for place in places), [place.shape for place in places]
    if 0 in shape:
        return []
    lanes = chain.widest(target)
    sizes, strides = merged_axes(shape, [place.strides for place in places], lanes)
    inner = sizes[-1]
    moves = tuple(_move(axes, written=place >= len(inputs)) for place, axes in enumerate(strides))
    schedule = ElementSchedule(chain, len(sizes), moves, lanes)

    rows = math.prod(sizes[:-1])
    columns = min(inner, max(lanes, -(-TASK_ELEMENTS // lanes) * lanes))
    rows_of_task = max(1, TASK_ELEMENTS // max(columns, 1)) if columns == inner else 1
    blocks = -(-inner // columns)
    tasks = -(-rows // rows_of_task) * blocks
    numbers = [rows, rows_of_task, columns, blocks, *sizes]
    for axes, move in zip(strides, moves, strict=True):
        numbers += () if move == "scalar" else axes if move == "far" else axes[:-1]
    written = tuple(dict.fromkeys(place.buffer for place in results))
    return [Step(schedule, (*places, *numbers), written, tasks, label)]


def merged_axes(shape: Shape, strides: list[Shape], lanes: int) -> tuple[list[int], list[list[int]]]:
    """The loops for views of one shape: axes of size 1 go, neighbours that step alike merge, and the axis that is
    cheapest to run along comes last. Gives the sizes, and for each view its strides; there is at least one axis."""
    axes = [axis for axis, size in enumerate(shape) if size != 1]
    # the last view is a result: outer loops follow its order, so that it is written from front to back
    axes.sort(key=lambda axis: -abs(strides[-1][axis]))
    sizes = [shape[axis] for axis in axes]
    columns = [[view[axis] for axis in axes] for view in strides]
    place = len(sizes) - 2
    while place >= 0:
        if all(view[place] == view[place + 1] * sizes[place + 1] for view in columns):
            sizes[place] *= sizes.pop(place + 1)
            for view in columns:
                view[place] = view.pop(place + 1)
        place -= 1
        place = min(place, len(sizes) - 2)
    if not sizes:
        return [1], [[0] for _ in strides]

    def cost(axis: int) -> float:
        vectors = -(-sizes[axis] // lanes) / sizes[axis]
        each = sum(0.1 if view[axis] == 0 else 1.0 if view[axis] == 1 else 0.8 * lanes for view in columns)
        return vectors * each + 4 / sizes[axis]

    best = min(reversed(range(len(sizes))), key=cost)
    for row in (sizes, *columns):
        row.append(row.pop(best))
    return sizes, columns


def _move(strides: list[int], written: bool) -> str:
    if strides[-1] == 0:
        return "scalar" if not any(strides) and not written else "still"
    return "next" if strides[-1] == 1 else "far"


class _Elements:
    def __init__(self, schedule: ElementSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        self.inputs = len(schedule.chain.inputs)
        chain = schedule.chain
        self.types = [Type(KIND_OF[dtype]) for dtype in (*chain.inputs, *chain.result_dtypes)]

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        block, begin, end, _ = builder.kernel()
        axes, moves = schedule.axes, schedule.steps
        counts = [0 if move == "scalar" else axes if move == "far" else axes - 1 for move in moves]
        words = builder.arguments(block, "p" * len(moves) + "i" * (4 + axes + sum(counts)))
        self.pointers, words = words[: len(moves)], words[len(moves) :]
        (rows, rows_of_task, columns, blocks), words = words[:4], words[4:]
        self.sizes, words = words[:axes], words[axes:]
        self.strides: list[list[Value]] = []
        for count in counts:
            self.strides.append(words[:count])
            words = words[count:]
        self.scalars = {
            place: builder.load(self.pointers[place], 0, self.types[place])
            for place, move in enumerate(moves)
            if move == "scalar"
        }

        def task(number: Value) -> None:
            first = (number // blocks) * rows_of_task
            last = builder.minimum(first + rows_of_task, rows)
            left = (number % blocks) * columns
            right = builder.minimum(left + columns, self.sizes[-1])
            builder.loop(first, last, 1, lambda row: self.row(row, left, right))

        builder.loop(begin, end, 1, task)
        return builder.function()

    def row(self, row: Value, left: Value, right: Value) -> None:
        """The innermost loop from left to right, in one row of the outer loops."""
        builder, lanes = self.builder, self.schedule.lanes
        starts: list[Number] = [0] * len(self.pointers)
        for axis in reversed(range(self.schedule.axes - 1)):
            place = row if axis == 0 else row % self.sizes[axis]
            row = row if axis == 0 else row // self.sizes[axis]
            for number, move in enumerate(self.schedule.steps):
                if move != "scalar":
                    starts[number] = starts[number] + place * self.strides[number][axis]
        self.rows = [
            builder.offset(pointer, start, type_.kind)
            for pointer, start, type_ in zip(self.pointers, starts, self.types, strict=True)
        ]
        self.still = {
            place: builder.load(self.rows[place], 0, self.types[place])
            for place, move in enumerate(self.schedule.steps[: self.inputs])
            if move == "still"
        }
        if lanes == 1:
            builder.loop(left, right, 1, lambda column: self.element(column, 1, None))
            return
        whole = left + ((right - left) // lanes) * lanes
        builder.loop(left, whole, lanes, lambda column: self.element(column, lanes, None))
        if self.target.has_masks:

            def rest() -> None:
                self.element(whole, lanes, builder.mask(right - whole, lanes))

            builder.when(builder.compare("lt", whole, right), rest)
        else:
            builder.loop(whole, right, 1, lambda column: self.element(column, 1, None))

    def element(self, column: Value, lanes: int, mask: Value | None) -> None:
        """One vector of elements, or one element."""
        builder, moves = self.builder, self.schedule.steps
        values = [self.read(place, column, lanes, mask) for place in range(self.inputs)]
        if not values:
            values = [builder.constant(Type("i1", lanes), 0)]
        results = self.schedule.chain.emit(builder, self.target, values)
        for place, value in enumerate(results, self.inputs):
            pointer, value = self.rows[place], builder.broadcast(value, lanes)
            if moves[place] == "next":
                builder.store(value, pointer, column, mask)
            elif lanes == 1:
                builder.store(value, pointer, column * self.along(place))
            else:
                indices = self.spread(column, place, lanes)
                builder.scatter(value, pointer, indices, mask or builder.constant(BOOLEAN.of(lanes), 1))

    def read(self, place: int, column: Value, lanes: int, mask: Value | None) -> Value:
        builder, move, type_ = self.builder, self.schedule.steps[place], self.types[place]
        if move in ("scalar", "still"):
            return builder.broadcast((self.scalars if move == "scalar" else self.still)[place], lanes)
        pointer = self.rows[place]
        if move == "next":
            return builder.load(pointer, column, type_.of(lanes), mask)
        if lanes == 1:
            return builder.load(pointer, column * self.along(place), type_)
        return builder.gather(pointer, self.spread(column, place, lanes), type_.of(lanes), mask)

    def along(self, place: int) -> Number:
        """The stride along the innermost axis."""
        return 0 if self.schedule.steps[place] == "still" else self.strides[place][-1]

    def spread(self, column: Value, place: int, lanes: int) -> Value:
        """Where the lanes' elements lie when neighbours are far apart."""
        builder = self.builder
        numbers = builder.lane_numbers(Type("i64", lanes))
        indices: Value = builder.broadcast(builder.index(column), lanes) + numbers
        return indices * builder.broadcast(builder.index(self.along(place)), lanes)
