"""Loops over elements where axes change places: some views have their neighbours along one axis, others along another.
Blocks of vectors are read the one way, turned round in registers, computed with, and written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.loops import digit_cost, digits_of, offset_of
from wimmel.compiler.kernels.shuffles import factors, interleaved, taken_apart, transposed
from wimmel.compiler.language import KINDS, POINTER, Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Place, Step
from wimmel.compiler.targets import Target

TASK_ELEMENTS = 1 << 14
"""What one task does, about: some microseconds of work."""

WIDEST = 16
"""Lanes: a square block of more has no room in registers."""

MOST_CHANNELS = 9
"""Of pixels that are taken apart as a whole."""

ALIGNED = 8
"""Vectors of a row that make one more worthwhile, so that all but the first begin where cache lines do."""

AHEAD = 8
"""Blocks that lie between one and what is fetched into the second cache meanwhile: rows that are read side by side are
more than a processor follows by itself."""

MOST_CODE = 256
"""Instructions of a chain written out for every vector of a block; beyond it, a loop runs over them."""


@dataclass(frozen=True)
class TransposingSchedule:
    """A chain in two inner loops over blocks of `lanes` by `width` elements, inside of loops over rows.

    Attributes
    ----------
    chain : Chain
    outer : int
        Loops outside.
    moves : tuple of str
        How each of the chain's inputs, then each of its results, moves along the first inner axis, which fills the
        lanes: ``still``, ``next`` (to the neighbouring element) or ``across``: its neighbours lie along the second
        inner axis. ``scalar`` moves along no axis.
    lanes : int
        A power of two.
    channels : int
        How many elements there are along the second axis, where all that lie across have them one after the other
        without gaps, as the channels of pixels. Where they do not, 0: then blocks are square.
    """

    chain: Chain
    outer: int
    moves: tuple[str, ...]
    lanes: int
    channels: int

    @property
    def width(self) -> int:
        """Of a block along the second axis."""
        return self.channels or self.lanes

    def kernel(self, target: Target, name: str) -> Function:
        return _Transposing(self, target, name).write()


def plan_transposing(
    chain: Chain,
    inputs: Sequence[Place],
    results: Sequence[Place],
    sizes: Sequence[int],
    strides: Sequence[Sequence[int]],
    target: Target,
    bound: float,
    label: str = "",
) -> Step | None:
    """The step that writes a chain's results block by block; None where that does not pay.

    Parameters
    ----------
    chain : Chain
    inputs, results : sequence of Place
        No result may lie in the buffer of an input: the last blocks overlap those before, and are computed twice.
    sizes : sequence of int
        Of the loops, after neighbouring axes were merged.
    strides : sequence of sequences
        Of each place along each loop.
    target : Target
    bound : float
        What plain loops cost for each element, in vector instructions.
    label : str
    """
    inputs, results, strides = _forwards(inputs, results, sizes, strides)
    pairs = [(first, second) for first in range(len(sizes)) for second in range(len(sizes)) if first != second]
    choices = [choice for axes in pairs for choice in _choices(chain, sizes, strides, axes, target)]
    best = min(choices, key=lambda choice: choice.cost, default=None)
    if best is None or best.cost >= bound:
        return None
    order = [axis for axis in range(len(sizes)) if axis not in best.axes] + [*best.axes]
    outer = [1] * (4 - len(order))  # so that there are fewer kernels: one picture makes no other loops than several
    sizes = outer + [sizes[axis] for axis in order]
    views = [[0] * len(outer) + [view[axis] for axis in order] for view in strides]
    moves = tuple(_move(view) for view in views)
    schedule = TransposingSchedule(chain, len(sizes) - 2, moves, best.lanes, best.channels)

    rows, along, beyond = math.prod(sizes[:-2]), sizes[-2], sizes[-1]
    inner_is_first = best.channels > 0 or _walks_first(views, moves)
    columns, depth = _part(along, beyond, schedule, inner_is_first)
    parts_along, parts_beyond = max(1, along // columns), max(1, beyond // depth)
    whole = parts_along == parts_beyond == 1
    rows_of_task = max(1, TASK_ELEMENTS // (along * beyond)) if whole else 1
    tasks = -(-rows // rows_of_task) * parts_along * parts_beyond
    numbers = [rows, rows_of_task, columns, depth, parts_along, parts_beyond, int(inner_is_first)]
    numbers += [*sizes, *(stride for view in views for stride in view)]
    written = tuple(dict.fromkeys(place.buffer for place in results))
    operations = math.prod(sizes) * (best.cost + chain.work / best.lanes)
    return Step(schedule, (*inputs, *results, *numbers), written, tasks, label, operations)


def _forwards(
    inputs: Sequence[Place], results: Sequence[Place], sizes: Sequence[int], strides: Sequence[Sequence[int]]
) -> tuple[list[Place], list[Place], list[list[int]]]:
    """Loops along which neighbours follow each other backwards, in views that care, begin at the other end."""
    back = [any(view[axis] == -1 for view in strides) and all(view[axis] != 1 for view in strides)
            for axis in range(len(sizes))]  # fmt: skip
    if not any(back):
        return list(inputs), list(results), [list(view) for view in strides]
    places = [
        replace(
            place,
            offset=place.offset + sum(turn * step * (n - 1) for turn, step, n in zip(back, view, sizes, strict=True)),
        )
        for place, view in zip((*inputs, *results), strides, strict=True)
    ]
    turned = [[-step if turn else step for turn, step in zip(back, view, strict=True)] for view in strides]
    return places[: len(inputs)], places[len(inputs) :], turned


def _walks_first(views: Sequence[Sequence[int]], moves: Sequence[str]) -> bool:
    """Whether blocks follow each other along the first axis: that of the neighbours of the view whose rows lie furthest
    apart, so that these are read or written one after another, each from front to back."""
    apart = {"next": -1, "across": -2}
    turned = [
        (abs(view[apart[move]]), move == "next") for view, move in zip(views, moves, strict=True) if move in apart
    ]
    return max(reversed(turned), key=lambda each: each[0])[1]


def _part(along: int, beyond: int, schedule: TransposingSchedule, inner_is_first: bool) -> tuple[int, int]:
    """Columns and depth of what one task takes of a row: whole blocks. The last task takes what is left besides."""
    lanes, width = schedule.lanes, schedule.width
    if inner_is_first:
        columns = min(along, max(1, TASK_ELEMENTS // width // lanes) * lanes)
        return columns, max(1, TASK_ELEMENTS // columns // width) * width
    depth = min(beyond, max(1, TASK_ELEMENTS // lanes // width) * width)
    return max(1, TASK_ELEMENTS // depth // lanes) * lanes, depth


@dataclass(frozen=True)
class _Choice:
    axes: tuple[int, int]
    lanes: int
    channels: int
    cost: float


def _choices(
    chain: Chain, sizes: Sequence[int], strides: Sequence[Sequence[int]], axes: tuple[int, int], target: Target
) -> Iterator[_Choice]:
    """Square blocks, or pixels, along these two axes, where every view allows it."""
    along, beyond = (sizes[axis] for axis in axes)
    outer = [size for axis, size in enumerate(sizes) if axis not in axes]
    moves = [_move([view[axis] for axis in axes]) for view in strides]
    if "far" in moves or "across" not in moves:
        return
    dtypes = (*chain.inputs, *chain.result_dtypes)
    lanes = min(chain.widest(target), WIDEST, _power_of_two(along))

    def cost(lanes: int, width: int, shuffles: float) -> float:
        total = 4 / width
        for move, dtype in zip(moves, dtypes, strict=True):
            # to turn bytes round is cheaper than to turn round what is made of them
            filled = KINDS[KIND_OF[dtype]] * lanes / target.vector_bytes
            total += {"scalar": 0.1, "across": 1 + shuffles * (0.8 + 0.2 * filled)}.get(move, 1.0)
        repeated = -(-along // lanes) * lanes / along * (-(-beyond // width) * width / beyond)
        return total / lanes * repeated + digit_cost([*outer, along, beyond])

    pixels = all(view[axes[0]] == beyond for move, view in zip(moves, strides, strict=True) if move == "across")
    if pixels and beyond <= MOST_CHANNELS and lanes > 1:
        yield _Choice(axes, lanes, beyond, cost(lanes, beyond, 1.5 * sum(factor - 1 for factor in factors(beyond))))
    lanes = min(lanes, _power_of_two(beyond))
    if lanes > 1:
        yield _Choice(axes, lanes, 0, cost(lanes, lanes, math.log2(lanes)))


def _move(strides: Sequence[int]) -> str:
    along, beyond = strides[-2:]
    if along == 0:
        return "still" if any(strides) else "scalar"
    return "next" if along == 1 else "across" if beyond == 1 else "far"


def _power_of_two(size: int) -> int:
    """The largest that is not above."""
    return 1 << (size.bit_length() - 1)


class _Transposing:
    def __init__(self, schedule: TransposingSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        chain = schedule.chain
        self.inputs = len(chain.inputs)
        self.types = [Type(KIND_OF[dtype]) for dtype in (*chain.inputs, *chain.result_dtypes)]

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        axes, operands = schedule.outer + 2, len(self.types)
        block, begin, end, _ = builder.kernel()
        words = builder.arguments(block, "p" * operands + "i" * (7 + axes + axes * operands))
        self.pointers, words = words[:operands], words[operands:]
        (rows, rows_of_task, columns, depth, parts_along, parts_beyond, inner_is_first), words = words[:7], words[7:]
        self.inner_is_first = builder.compare("ne", inner_is_first, 0)
        sizes, words = words[:axes], words[axes:]
        self.strides = [words[first : first + axes] for first in range(0, len(words), axes)]
        turn = AHEAD * schedule.lanes
        self.ahead = [
            builder.select(self.inner_is_first, along * turn, beyond * turn) for *_, along, beyond in self.strides
        ]
        self.tables = [
            builder.let("stack", POINTER, bytes=schedule.width * schedule.lanes * type_.bytes)
            for type_ in self.types
            if schedule.chain.work * schedule.width > MOST_CODE
        ]
        self.scalars = {
            place: builder.broadcast(builder.load(self.pointers[place], 0, self.types[place]), schedule.lanes)
            for place, move in enumerate(schedule.moves)
            if move == "scalar"
        }

        def part(number: Value, size: Value, parts: Value, whole: Value) -> tuple[Value, Value]:
            begin = number * size
            return begin, builder.select(builder.compare("eq", number, parts - 1), whole, begin + size)

        def task(number: Value) -> None:
            beyond = part(number % parts_beyond, depth, parts_beyond, sizes[-1])
            number = number // parts_beyond
            along = part(number % parts_along, columns, parts_along, sizes[-2])
            first = (number // parts_along) * rows_of_task
            last = builder.minimum(first + rows_of_task, rows)
            builder.loop(first, last, 1, lambda row: self.row(row, sizes[:-2], along, beyond))

        builder.loop(begin, end, 1, task)
        return builder.function()

    def row(self, row: Value, sizes: list[Value], along: tuple[Value, Value], beyond: tuple[Value, Value]) -> None:
        """The blocks of a row between these bounds; the last are moved back to end there, and the first are moved
        forward to begin there."""
        builder, lanes, width = self.builder, self.schedule.lanes, self.schedule.width
        digits = digits_of(builder, row, sizes)
        pointers = [
            builder.offset(pointer, offset_of(digits, strides[: len(sizes)]), type_.kind)
            for pointer, strides, type_ in zip(self.pointers, self.strides, self.types, strict=True)
        ]
        last_column, last_channel = along[1] - lanes, beyond[1] - width
        corner = [self.lines(place, pointer, along[0], beyond[0])[0] for place, pointer in enumerate(pointers)]
        first_column = along[0] - self.before("next", corner, along)
        first_channel = beyond[0] - (0 if self.schedule.channels else self.before("across", corner, beyond))

        def block(column: Number, channel: Number) -> None:
            if not self.schedule.channels:
                channel = builder.minimum(builder.maximum(channel, beyond[0]), last_channel)
            column = builder.minimum(builder.maximum(column, along[0]), last_column)
            self.block(pointers, column, channel)

        if self.schedule.channels:
            builder.loop(first_column, along[1], lanes, lambda column: block(column, 0))
            return

        def chosen(first: Number, second: Number) -> Value:
            return builder.select(self.inner_is_first, first, second)

        def line(outer: Value) -> None:
            begin, end = chosen(first_column, first_channel), chosen(along[1], beyond[1])
            builder.loop(begin, end, lanes, lambda inner: block(chosen(inner, outer), chosen(outer, inner)))

        builder.loop(chosen(first_channel, first_column), chosen(beyond[1], along[1]), lanes, line)

    def before(self, move: str, corner: list[Value], bounds: tuple[Value, Value]) -> Number:
        """How many elements before the corner, along the axis of the neighbours of what moves so, a cache line begins;
        0 where rows are short, or each begins elsewhere in a line."""
        builder, lanes, moves = self.builder, self.schedule.lanes, self.schedule.moves
        place = next((at for at in (*range(self.inputs, len(moves)), *range(self.inputs)) if moves[at] == move), None)
        if place is None:
            return 0
        step = self.strides[place][-1 if move == "next" else -2]
        elements = builder.address(corner[place]) // self.types[place].bytes & (lanes - 1)
        alike = builder.compare("eq", step & (lanes - 1), 0)
        return builder.select(alike & builder.compare("ge", bounds[1] - bounds[0], ALIGNED * lanes), elements, 0)

    def block(self, pointers: list[Value], column: Number, channel: Number) -> None:
        vectors = [self.read(place, pointers[place], column, channel) for place in range(self.inputs)]
        results = self.computed(vectors)
        for place, values in enumerate(results, self.inputs):
            self.write_to(place, values, pointers[place], column, channel)

    def computed(self, vectors: list[list[Value]]) -> list[list[Value]]:
        """The chain's results for the block's vectors."""
        builder, schedule = self.builder, self.schedule

        def emitted(values: list[Value]) -> list[Value]:
            results = schedule.chain.emit(builder, self.target, values, schedule.lanes)
            return [builder.broadcast(value, schedule.lanes) for value in results]

        if schedule.chain.work * schedule.width <= MOST_CODE:
            lines = [emitted([each[number] for each in vectors]) for number in range(schedule.width)]
            return [list(each) for each in zip(*lines, strict=True)]

        for place, each in enumerate(vectors):
            for number, vector in enumerate(each):
                builder.store(vector, self.tables[place], number * schedule.lanes)

        def line(number: Value) -> None:
            at = number * schedule.lanes
            types = [type_.of(schedule.lanes) for type_ in self.types[: self.inputs]]
            values = [builder.load(table, at, type_) for table, type_ in zip(self.tables, types, strict=False)]
            for place, value in enumerate(emitted(values), self.inputs):
                builder.store(value, self.tables[place], at)

        builder.loop(0, schedule.width, 1, line)
        return [
            [builder.load(table, number * schedule.lanes, type_.of(schedule.lanes)) for number in range(schedule.width)]
            for table, type_ in zip(self.tables[self.inputs :], self.types[self.inputs :], strict=True)
        ]

    def read(self, place: int, pointer: Value, column: Number, channel: Number) -> list[Value]:
        """The block's elements: a vector along the first axis for each place along the second."""
        builder, lanes, width = self.builder, self.schedule.lanes, self.schedule.width
        move, type_ = self.schedule.moves[place], self.types[place]
        if move == "scalar":
            return [self.scalars[place]] * width
        pointers = self.lines(place, pointer, column, channel)
        if move == "still":
            return [builder.broadcast(builder.load(line, 0, type_), lanes) for line in pointers]
        if not self.schedule.channels and move in ("next", "across"):
            for line in pointers:
                builder.prefetch(line, self.ahead[place], type_.kind, level=2)
        if move == "next":
            return [builder.load(line, 0, type_.of(lanes)) for line in pointers]
        vectors = [builder.load(line, 0, _bytes(type_).of(lanes)) for line in pointers]
        turned = taken_apart(builder, vectors) if self.schedule.channels else transposed(builder, vectors)
        return [builder.convert(vector, type_.kind) for vector in turned]

    def write_to(self, place: int, vectors: list[Value], pointer: Value, column: Number, channel: Number) -> None:
        builder = self.builder
        if self.schedule.moves[place] == "across":
            vectors = [builder.convert(vector, _bytes(vector.type).kind, signed=False) for vector in vectors]
            vectors = interleaved(builder, vectors) if self.schedule.channels else transposed(builder, vectors)
        for vector, line in zip(vectors, self.lines(place, pointer, column, channel), strict=True):
            builder.store(vector, line, 0)

    def lines(self, place: int, pointer: Value, column: Number, channel: Number) -> list[Value]:
        """Where the vectors of the block begin in memory."""
        builder, kind = self.builder, self.types[place].kind
        along, beyond = self.strides[place][-2:]
        pointer = builder.offset(pointer, column * along + channel * beyond, kind)
        step = beyond
        if self.schedule.moves[place] == "across":
            step = builder.index(self.schedule.lanes) if self.schedule.channels else along
        lines = [pointer]
        for _ in range(self.schedule.width - 1):
            lines.append(builder.offset(lines[-1], step, kind))
        return lines


def _bytes(type_: Type) -> Type:
    """Truth values are shuffled as the bytes they are in memory."""
    return type_.as_kind("i8") if type_.kind == "i1" else type_
