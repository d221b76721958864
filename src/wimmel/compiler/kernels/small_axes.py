"""Transpositions of many small axes: blocks of elements that are neighbours in runs where they are read, and in other
runs where they are written. A block is copied run by run into memory of its own, and gathered from there: so each
line of memory is met once, however far apart a block's runs lie."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.loops import digits_of, next_digits, offset_of, over_columns
from wimmel.compiler.language import INDEX, POINTER, Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Place, Step, bytes_of
from wimmel.compiler.targets import Target

FEWEST = 16
"""Elements of a run, where the axes have as many."""

MOST = 1024
"""Elements of a block."""

TASK_ELEMENTS = 1 << 14
"""What one task does, about."""

GATHERED = 2.5
"""Cost of one gathered element, in vector instructions."""

STAGED = 4.0
"""Cost of a run's beginning."""

TABLES = 6
"""Numbers before the sizes."""


@dataclass(frozen=True)
class SmallAxesSchedule:
    """A chain over blocks.

    Attributes
    ----------
    chain : Chain
    outer : int
        Axes outside of blocks.
    moves : tuple of bool
        For each of the chain's inputs: whether it moves, in the one way in which all move that do; or is one number.
    lanes : int
    elements : int
        What the largest block of this kernel takes, in a power of two.
    """

    chain: Chain
    outer: int
    moves: tuple[bool, ...]
    lanes: int
    elements: int

    def kernel(self, target: Target, name: str) -> Function:
        return _SmallAxes(self, target, name).write()


@dataclass(frozen=True)
class Blocks:
    """How loops become blocks: which of them are within, and the places of a block's elements.

    Attributes
    ----------
    outer : list of int
        Loops outside of blocks.
    cost : float
        For each element, in vector instructions.
    length : int
        Elements of a run where they are read.
    starts : list of int
        Where the runs begin that are read.
    gathered : list of int
        In the block's own memory, the places of a written run's elements.
    first, written : list of int
        For each written run: where it begins in the block's own memory, and in the result.
    """

    outer: list[int]
    cost: float
    length: int
    starts: list[int]
    gathered: list[int]
    first: list[int]
    written: list[int]


def blocks_of(chain: Chain, sizes: Sequence[int], strides: Sequence[Sequence[int]], lanes: int) -> Blocks | None:
    """The blocks of loops along which some inputs move in one way and the results in another; None where there are no
    such. The last loop is the results' innermost."""
    inputs = len(chain.inputs)
    moving = {tuple(view) for view in strides[:inputs] if any(view)}
    results = {tuple(view) for view in strides[inputs:]}
    kinds = {KIND_OF[dtype] for dtype in (*chain.inputs, *chain.result_dtypes)}
    if (
        len(moving) != 1
        or len(results) != 1
        or len(sizes) < 3
        or inputs > 4
        or any(bytes_of(kind) < 4 for kind in kinds)
    ):
        return None
    (read,), (written,) = moving, results
    into, out = _run(sizes, read), _run(sizes, written)
    outer = [axis for axis in range(len(sizes)) if axis not in into and axis not in out]
    block = math.prod(sizes[axis] for axis in {*into, *out})
    if not into or not out or set(into) == set(out) or block > MOST:
        return None
    length = math.prod(sizes[axis] for axis in into)
    pitch = -(-length // lanes) * lanes
    runs = [axis for axis in out if axis not in into]  # of those that are read, all but the innermost
    others = [axis for axis in into if axis not in out]
    own = {axis: read[axis] for axis in into}
    step = pitch
    for axis in reversed(runs):
        own[axis] = step
        step *= sizes[axis]

    def places(axes: Sequence[int], steps: Sequence[int] | dict[int, int]) -> list[int]:
        return [
            sum(digit * steps[axis] for digit, axis in zip(digits, axes, strict=True))
            for digits in product(*(range(sizes[axis]) for axis in axes))
        ]

    starts, first = places(runs, read), places(others, own)
    staged = sum(any(view) for view in strides[:inputs])
    cost = staged * GATHERED + (STAGED * (len(starts) + len(first)) + 3 * len(outer)) / block
    return Blocks(outer, cost, length, starts, places(out, own), first, places(others, written))


def _run(sizes: Sequence[int], strides: Sequence[int]) -> list[int]:
    """The innermost loops of a view that are one run of neighbours of at least `FEWEST`, the innermost last; none where
    they are fewer."""
    found: list[int] = []
    length = 1
    while length < FEWEST:
        axis = next((axis for axis, stride in enumerate(strides) if stride == length and axis not in found), None)
        if axis is None:
            return []
        found.insert(0, axis)
        length *= sizes[axis]
    return found


def plan_small_axes(
    chain: Chain,
    inputs: Sequence[Place],
    results: Sequence[Place],
    sizes: Sequence[int],
    strides: Sequence[Sequence[int]],
    blocks: Blocks,
    lanes: int,
    label: str = "",
) -> Step:
    """The step that writes a chain's results in blocks, as `blocks_of` found them for these loops. No result may lie in
    the buffer of an input."""
    moves = tuple(any(view) for view in strides[: len(inputs)])
    read, written = strides[moves.index(True)], strides[len(inputs)]
    pitch = -(-blocks.length // lanes) * lanes
    elements = 1 << (len(blocks.starts) * pitch - 1).bit_length()
    outer = [sizes[axis] for axis in blocks.outer] or [1]
    rows = math.prod(outer)
    rows_of_task = max(1, TASK_ELEMENTS * rows // math.prod(sizes))
    numbers = [rows, rows_of_task, blocks.length, len(blocks.starts), len(blocks.gathered), len(blocks.first), *outer]
    for view in (read, written):
        numbers += [view[axis] for axis in blocks.outer] or [0]
    numbers += [*blocks.starts, *blocks.gathered, *blocks.first, *blocks.written]
    schedule = SmallAxesSchedule(chain, len(outer), moves, lanes, elements)
    buffers = tuple(dict.fromkeys(place.buffer for place in results))
    operations = math.prod(sizes) * (blocks.cost + chain.work / lanes)
    return Step(schedule, (*inputs, *results, *numbers), buffers, -(-rows // rows_of_task), label, operations)


class _SmallAxes:
    """Writes the kernel: tasks, blocks, runs that are read, runs that are written."""

    def __init__(self, schedule: SmallAxesSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        chain = schedule.chain
        self.types = [Type(KIND_OF[dtype]) for dtype in (*chain.inputs, *chain.result_dtypes)]
        self.masked = all(target.masks(type_.kind) for type_ in self.types)

    def write(self) -> Function:
        builder, outer = self.builder, self.schedule.outer
        block, begin, end, _ = builder.kernel()
        count = len(self.types)
        words = builder.arguments(block, "p" * count + "i" * (TABLES + 3 * outer))
        self.pointers = words[:count]
        rows, rows_of_task, self.length, starts, self.width, lines = words[count : count + TABLES]
        sizes, read, written = (words[count + TABLES + outer * n :][:outer] for n in range(3))
        self.starts = builder.offset(block, len(words), INDEX.kind)
        gathered = builder.offset(self.starts, starts, INDEX.kind)
        self.first = builder.offset(gathered, self.width, INDEX.kind)
        self.written = builder.offset(self.first, lines, INDEX.kind)
        self.counts = starts, lines
        self.before_all(gathered)

        def task(number: Value) -> None:
            first = number * rows_of_task
            last = builder.minimum(first + rows_of_task, rows)

            def row(_: Value, *digits: Value) -> Iterable[Value]:
                self.block(offset_of(digits, read), offset_of(digits, written))
                return next_digits(builder, digits, sizes)

            builder.loop(first, last, 1, row, digits_of(builder, first, sizes))

        builder.loop(begin, end, 1, task)
        return builder.function()

    def before_all(self, gathered: Value) -> None:
        """Single numbers, memory for the blocks, and the table of what is gathered in numbers of 32 bits."""
        builder, schedule = self.builder, self.schedule
        self.single: dict[int, Value] = {}
        self.own: dict[int, Value] = {}
        for place, moves in enumerate(schedule.moves):
            if moves:
                size = schedule.elements * self.types[place].bytes
                self.own[place] = builder.let("stack", POINTER, bytes=size)
            else:
                self.single[place] = builder.load(self.pointers[place], 0, self.types[place])
        narrow = Type("i32")
        self.table = builder.let("stack", POINTER, bytes=4 * MOST)

        def entry(place: Value) -> None:
            builder.store(builder.convert(builder.load(gathered, place, INDEX), "i32"), self.table, place)

        builder.loop(0, self.width, 1, entry)
        self.narrow = narrow

    def block(self, read: Number, written: Number) -> None:
        builder, lanes = self.builder, self.schedule.lanes
        starts, lines = self.counts
        pitch = (self.length + (lanes - 1)) // lanes * lanes
        there = {place: builder.offset(self.pointers[place], read, self.types[place].kind) for place in self.own}

        def run(number: Value) -> None:
            start = builder.load(self.starts, number, INDEX)

            def copied(column: Value, lanes: int, mask: Value | None) -> None:
                for place, pointer in there.items():
                    type_ = self.types[place].of(lanes)
                    value = builder.load(builder.offset(pointer, start, type_.kind), column, type_, mask)
                    builder.store(value, self.own[place], number * pitch + column, mask)

            over_columns(builder, 0, self.length, lanes, self.masked, copied)

        builder.loop(0, starts, 1, run)

        def line(number: Value) -> None:
            first = builder.load(self.first, number, INDEX)
            begin = written + builder.load(self.written, number, INDEX)

            def vector(column: Value, lanes: int, mask: Value | None) -> None:
                far = builder.load(self.table, column, self.narrow.of(lanes), mask)
                values = []
                for place, type_ in enumerate(self.types[: len(self.schedule.moves)]):
                    if place in self.single:
                        values.append(self.single[place])
                        continue
                    own = builder.offset(self.own[place], first, type_.kind)
                    if lanes == 1:
                        values.append(builder.load(own, builder.convert(far, "i64"), type_))
                    else:
                        values.append(builder.gather(own, far, type_.of(lanes), mask))
                outcome = self.schedule.chain.emit(builder, self.target, values, lanes)
                for result, value in enumerate(outcome, len(values)):
                    builder.store(builder.broadcast(value, lanes), self.pointers[result], begin + column, mask)

            over_columns(builder, 0, self.width, lanes, self.masked, vector)

        builder.loop(0, lines, 1, line)
