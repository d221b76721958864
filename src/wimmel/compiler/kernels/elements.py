"""Loops over elements: a chain applied to strided views of equal shape. Copies, conversions of layout, fills and every
elementwise region that found no convolution or product to follow are of this kind. Where axes must change places on
the way, `transposing` has the better kernel, or `small_axes` where they are many and small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.loops import digit_cost, digits_of, distances, merge_neighbours, offset_of, within_reach
from wimmel.compiler.kernels.small_axes import blocks_of, plan_small_axes
from wimmel.compiler.kernels.transposing import TASK_ELEMENTS, plan_transposing
from wimmel.compiler.language import INDEX, POINTER, Builder, Function, Type, Value
from wimmel.compiler.steps import KIND_OF, Place, Step
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape

PERIODS = 8
"""The longest period, in vectors, of an operand that goes round along a row."""

ROW_COST = 6.0
"""Of beginning a row, in vector instructions."""

FAR_COST = 3.0
"""Of reading or writing one element whose neighbours lie elsewhere."""

FILL_COST = 3.5
"""Of one element of the table from which an operand is read that goes round."""


@dataclass(frozen=True)
class ElementSchedule:
    """A chain in nested loops.

    Attributes
    ----------
    chain : Chain
    axes : int
        Loops, after neighbouring axes that step alike were merged: 1, or 3 and more. The innermost fills the lanes.
    moves : tuple of str
        How each of the chain's inputs, then each of its results, moves along the innermost axis: ``still``, ``next``
        or ``back`` (to a neighbouring element), ``far`` (by a run-time stride), or ``round``: after a run-time period
        its first elements come again, as channels do along a row of pixels. ``scalar`` is a ``still``, and ``ring`` a
        ``round``, that moves along no outer axis either.
    lanes : int
    """

    chain: Chain
    axes: int
    moves: tuple[str, ...]
    lanes: int

    @property
    def unroll(self) -> int:
        """Vectors in one turn of the innermost loop."""
        return 2 if self.chain.work <= 8 else 1

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
        One for each of the chain's inputs and results, of one shape (stretched to it where they broadcast). A result
        may be the very place of an input.
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
    sizes, strides = merged_axes(shape, [place.strides for place in places])
    loops = _best_loops(sizes, strides, lanes, target)
    written = tuple(dict.fromkeys(place.buffer for place in results))
    if not any(place.buffer in written for place in inputs):
        bound = loops.cost + digit_cost(loops.sizes)
        small = blocks_of(chain, sizes, strides, lanes)
        if small is not None:
            bound = min(bound, small.cost)
        step = plan_transposing(chain, inputs, results, sizes, strides, target, bound, label)
        if step is not None:
            return [step]
        if small is not None and small.cost == bound:
            return [plan_small_axes(chain, inputs, results, sizes, strides, small, lanes, label)]

    if within_reach(lanes, (view[-1] for view in loops.strides)) < lanes:
        lanes = 1
        loops = _best_loops(sizes, strides, lanes, target)
    sizes, strides = loops.sizes, loops.strides
    inner, rows = sizes[-1], math.prod(sizes[:-1])
    moves = tuple(_move(view, place in loops.round, written=place >= len(inputs)) for place, view in enumerate(strides))
    columns = min(inner, max(lanes, TASK_ELEMENTS // lanes * lanes))
    rows_of_task = max(1, TASK_ELEMENTS // columns) if columns == inner else 1
    blocks = -(-inner // columns)
    tasks = -(-rows // rows_of_task) * blocks
    numbers = [rows, rows_of_task, columns, blocks, loops.period, *sizes]
    numbers += [stride for view in strides for stride in view]
    schedule = ElementSchedule(chain, len(sizes), moves, lanes)
    operations = math.prod(sizes) * (loops.cost + chain.work / lanes)
    return [Step(schedule, (*places, *numbers), written, tasks, label, operations)]


def merged_axes(shape: Shape, strides: Sequence[Shape]) -> tuple[list[int], list[list[int]]]:
    """The loops for views of one shape: axes of size 1 go, and neighbours that step alike in every view merge.

    Parameters
    ----------
    shape : shape
        Without zeros.
    strides : sequence of shapes
        Of each view. The last is a result's: loops follow its order, so that it is written from front to back.

    Returns
    -------
    list of the loops' sizes, and for each view the list of its strides

    Examples
    --------
    >>> merged_axes((2, 3, 4, 5), [(60, 1, 15, 3), (60, 1, 15, 3)])
    ([120], [[1], [1]])
    >>> merged_axes((2, 3, 4, 5), [(60, 20, 5, 1), (60, 1, 15, 3)])
    ([2, 20, 3], [[60, 1, 20], [60, 3, 1]])
    """
    axes = [axis for axis, size in enumerate(shape) if size != 1]
    axes.sort(key=lambda axis: -abs(strides[-1][axis]))
    sizes = [shape[axis] for axis in axes]
    views = [[view[axis] for axis in axes] for view in strides]
    merge_neighbours(sizes, views)
    return sizes, views


@dataclass(frozen=True)
class _Loops:
    """Loops in order, the innermost last; the views that go round along it; and what they cost for each element."""

    sizes: list[int]
    strides: list[list[int]]
    period: int
    round: frozenset[int]
    cost: float


def _best_loops(sizes: list[int], strides: list[list[int]], lanes: int, target: Target) -> _Loops:
    """The cheapest choice of an innermost loop: one of the axes, or two of them where the inner one is short and
    some views do not move along the outer one."""
    if not sizes:
        return _Loops([1], [[0] for _ in strides], 0, frozenset(), 0.0)
    choices = [_with_innermost(sizes, strides, axis, 0, frozenset(), lanes, target) for axis in range(len(sizes))]
    for inner, period in enumerate(sizes):
        for outer in range(len(sizes)):
            merging = {place for place, view in enumerate(strides) if view[outer] == view[inner] * period}
            going_round = frozenset(range(len(strides))) - merging
            if outer == inner or period > PERIODS * lanes or any(strides[place][outer] for place in going_round):
                continue
            merged = [size for axis, size in enumerate(sizes) if axis != outer]
            views = [[stride for axis, stride in enumerate(view) if axis != outer] for view in strides]
            place = inner - (outer < inner)
            merged[place] *= sizes[outer]
            choices.append(_with_innermost(merged, views, place, period, going_round, lanes, target))
    return min(reversed(choices), key=lambda loops: loops.cost)


def _with_innermost(
    sizes: list[int],
    strides: list[list[int]],
    axis: int,
    period: int,
    going_round: frozenset[int],
    lanes: int,
    target: Target,
) -> _Loops:
    size = sizes[axis]
    vectors = -(-size // lanes) if target.has_masks else size // lanes + size % lanes
    steps = [view[axis] for view in strides]
    each = sum(0.1 if step == 0 else 1.0 if step == 1 else 1.5 if step == -1 else FAR_COST * lanes for step in steps)
    rows = [(period + 4 * lanes) * FILL_COST for place in going_round if any(_without(strides[place], axis))]
    cost = (vectors * each + ROW_COST + sum(rows)) / size
    order = [*_without(list(range(len(sizes))), axis), axis]
    outer = [1] if len(order) == 2 else []  # so that there are fewer kernels: a picture less makes no other loops
    return _Loops(
        outer + [sizes[axis] for axis in order],
        [[0] * len(outer) + [view[axis] for axis in order] for view in strides],
        period,
        going_round,
        cost,
    )


def _without(numbers: list[int], place: int) -> list[int]:
    return numbers[:place] + numbers[place + 1 :]


def _move(strides: list[int], goes_round: bool, written: bool) -> str:
    if goes_round:
        return "round" if any(strides[:-1]) else "ring"
    if strides[-1] == 0:
        return "next" if written else "still" if any(strides) else "scalar"  # a result rests only if it is one element
    return {1: "next", -1: "back"}.get(strides[-1], "far")


class _Elements:
    def __init__(self, schedule: ElementSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.moves = schedule.moves
        self.target = target
        self.builder = Builder(name)
        self.inputs = len(schedule.chain.inputs)
        chain = schedule.chain
        self.types = [Type(KIND_OF[dtype]) for dtype in (*chain.inputs, *chain.result_dtypes)]
        self.masked = schedule.lanes > 1 and all(target.masks(type_.kind) for type_ in self.types)

    def write(self) -> Function:
        builder, axes, moves = self.builder, self.schedule.axes, self.moves
        block, begin, end, _ = builder.kernel()
        words = builder.arguments(block, "p" * len(moves) + "i" * (5 + axes + axes * len(moves)))
        self.pointers, words = words[: len(moves)], words[len(moves) :]
        (rows, rows_of_task, columns, blocks, self.period), words = words[:5], words[5:]
        sizes, words = words[:axes], words[axes:]
        self.strides = [words[first : first + axes] for first in range(0, len(words), axes)]
        self.before_all()

        def task(number: Value) -> None:
            left = (number % blocks) * columns
            right = builder.minimum(left + columns, sizes[-1])
            phase = left % self.period if self.is_round else left
            if axes == 1:
                self.row(self.pointers, left, right, phase)
                return
            first = (number // blocks) * rows_of_task
            last = builder.minimum(first + rows_of_task, rows)
            lines = sizes[-2]

            def run(number: Value) -> None:
                """The rows of the task that differ in the innermost outer axis only."""
                starts = self.starts(number, sizes[:-2])

                def line(index: Value) -> None:
                    pointers = [
                        builder.offset(pointer, index * strides[-2], type_.kind)
                        for pointer, strides, type_ in zip(starts, self.strides, self.types, strict=True)
                    ]
                    self.row(pointers, left, right, phase)

                passed = number * lines
                builder.loop(builder.maximum(first - passed, 0), builder.minimum(last - passed, lines), 1, line)

            builder.loop(first // lines, (last - 1) // lines + 1, 1, run)

        builder.loop(begin, end, 1, task)
        return builder.function()

    @property
    def is_round(self) -> bool:
        return "round" in self.moves or "ring" in self.moves

    def before_all(self) -> None:
        """What is the same for all tasks: scalars, the lanes' distances, tables of what goes round."""
        builder, lanes = self.builder, self.schedule.lanes
        self.known: dict[int, Value] = {}
        self.distances: dict[int, Value] = {}
        self.tables: dict[int, Value] = {}
        self.advances: dict[int, Value] = {}
        if self.is_round:
            turns = (1, lanes, lanes * self.schedule.unroll)
            self.advances = {turn: builder.index(turn) % self.period for turn in turns}
        for place, move in enumerate(self.moves):
            if move == "scalar":
                self.known[place] = builder.load(self.pointers[place], 0, self.types[place])
            elif move in ("far", "back"):
                self.distances[place] = distances(builder, self.strides[place][-1], lanes)
            elif move in ("round", "ring"):
                elements = (PERIODS + self.schedule.unroll) * lanes
                size = elements * self.types[place].bytes
                self.tables[place] = builder.let("stack", POINTER, bytes=size)
                if move == "ring":
                    self.fill_table(place, self.pointers[place])

    def fill_table(self, place: int, pointer: Value) -> None:
        """One period, and behind it as many elements more as one turn takes: wherever in the period a turn begins,
        its elements lie side by side."""
        builder, period = self.builder, self.period

        def element(index: Value, phase: Value) -> Value:
            value = builder.load(pointer, phase * self.strides[place][-1], self.types[place])
            builder.store(value, self.tables[place], index)
            return self.advanced(phase, builder.index(1))

        first = builder.constant(INDEX, 0)
        builder.loop(0, period + self.schedule.unroll * self.schedule.lanes, 1, element, [first])

    def advanced(self, phase: Value, by: Value) -> Value:
        """The place in the period, a step of less than a period on."""
        builder = self.builder
        beyond = phase + by
        return builder.select(builder.compare("ge", beyond, self.period), beyond - self.period, beyond)

    def starts(self, run: Value, sizes: list[Value]) -> list[Value]:
        """Where each operand begins in that turn of the outer loops, which have these sizes."""
        builder = self.builder
        digits = digits_of(builder, run, sizes)
        return [
            builder.offset(pointer, offset_of(digits, strides[: len(sizes)]), type_.kind)
            for pointer, strides, type_ in zip(self.pointers, self.strides, self.types, strict=True)
        ]

    def row(self, pointers: list[Value], left: Value, right: Value, phase: Value) -> None:
        """The innermost loop from left to right."""
        builder, lanes = self.builder, self.schedule.lanes
        self.rows = pointers
        for place, move in enumerate(self.moves):
            if move == "still":
                self.known[place] = builder.load(pointers[place], 0, self.types[place])
            elif move == "round":
                self.fill_table(place, pointers[place])

        column, carried = left, [phase] if self.is_round else []
        for vectors in sorted({self.schedule.unroll, 1}, reverse=True):
            stop = column + ((right - column) & -(vectors * lanes))
            carried = self.turns(column, stop, vectors, lanes, carried)
            column = stop
        if self.masked:

            def rest() -> None:
                self.elements(column, 1, lanes, builder.mask(right - column, lanes), *carried)

            builder.when(builder.compare("lt", column, right), rest)
        elif lanes > 1:
            self.turns(column, right, 1, 1, carried)

    def turns(self, begin: Value, end: Value, vectors: int, lanes: int, carried: list[Value]) -> list[Value]:
        turn = vectors * lanes

        def body(column: Value, *phase: Value) -> list[Value]:
            self.elements(column, vectors, lanes, None, *phase)
            return [self.advanced(place, self.advances[turn]) for place in phase]

        return self.builder.loop(begin, end, turn, body, carried)

    def elements(self, column: Value, vectors: int, lanes: int, mask: Value | None, phase: Value | None = None) -> None:
        """Some vectors of elements, or one element. All are read before the first is written."""
        read = []
        for vector in range(vectors):
            at = column + vector * lanes
            round_at = None if phase is None else phase + vector * lanes
            read.append([self.read(place, at, lanes, mask, round_at) for place in range(self.inputs)])
        for vector, values in enumerate(read):
            results = self.schedule.chain.emit(self.builder, self.target, values, lanes)
            for place, value in enumerate(results, self.inputs):
                self.write_to(place, self.builder.broadcast(value, lanes), column + vector * lanes, mask)

    def read(self, place: int, column: Value, lanes: int, mask: Value | None, phase: Value | None) -> Value:
        builder, move, type_ = self.builder, self.moves[place], self.types[place].of(lanes)
        pointer = self.rows[place]
        if move in ("scalar", "still"):
            return builder.broadcast(self.known[place], lanes)
        if phase is not None and move in ("round", "ring"):
            return builder.load(self.tables[place], phase, type_)
        if move == "next":
            return builder.load(pointer, column, type_, mask)
        if lanes == 1:
            return builder.load(pointer, column * self.strides[place][-1], type_)
        if move == "back" and mask is None:
            return _reversed(builder, builder.load(pointer, 1 - lanes - column, type_))
        pointer = builder.offset(pointer, column * self.strides[place][-1], type_.kind)
        return builder.gather(pointer, self.distances[place], type_, mask)

    def write_to(self, place: int, value: Value, column: Value, mask: Value | None) -> None:
        builder, move, lanes = self.builder, self.moves[place], value.type.lanes
        pointer = self.rows[place]
        if move == "next":
            builder.store(value, pointer, column, mask)
        elif lanes == 1:
            builder.store(value, pointer, column * self.strides[place][-1])
        elif move == "back" and mask is None:
            builder.store(_reversed(builder, value), pointer, 1 - lanes - column)
        else:
            pointer = builder.offset(pointer, column * self.strides[place][-1], value.type.kind)
            builder.scatter(value, pointer, self.distances[place], mask)


def _reversed(builder: Builder, vector: Value) -> Value:
    return builder.shuffle(vector, vector, range(vector.type.lanes - 1, -1, -1))
