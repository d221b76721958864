"""Products of a few rows with a matrix that is read where it lies: to put it into panels would cost more than the
products. Every output adds its products in their order, as the micro-kernel does: no bits depend on the choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.loops import distances, over_columns
from wimmel.compiler.kernels.shuffles import transposed
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Buffer, Place, Step, bytes_of, row_major
from wimmel.compiler.targets import Target

MOST = 24
"""Rows up to which a matrix is read as it lies."""

RUN = 4
"""Products that an output adds while it is in a register, where the matrix' neighbours are outputs."""

AHEAD = 8
"""Lines of the matrix that are fetched ahead, where its neighbours are outputs."""

WIDEST = 1024
"""Outputs of a row that one task computes, where the matrix' neighbours are outputs: they stay in the first cache."""

NARROWEST = 256
"""Those of a short row: what is read one after the other should not be much shorter."""

TASK_BYTES = 1 << 16
"""Of the matrix, that one task reads at least, where there are as many."""


@dataclass(frozen=True)
class FewRowsSchedule:
    """What the code depends on.

    Attributes
    ----------
    kind : str
        ``f32`` or ``f64``.
    lanes : int
    turned : bool
        Whether the matrix' neighbours lie along the products, else along the outputs.
    rows : int
        Of the largest block, a power of two.
    chain : Chain
        The epilogue; its first input is the product.
    operands : tuple of int
        For each of the chain's other inputs: elements from output to output, 0 or 1. Those of results are neighbours.
    """

    kind: str
    lanes: int
    turned: bool
    rows: int
    chain: Chain
    operands: tuple[int, ...]

    def kernel(self, target: Target, name: str) -> Function:
        return _FewRows(self, target, name).write()


def reads_as_it_lies(b: Place, rows: int, target: Target) -> bool:
    """Whether this is the kernel for so many rows times each matrix of the batch (*batch, inner, columns)."""
    columns = b.shape[-1]
    lanes = target.lanes(b.kind)
    if columns == 1 or b.strides[-1] == 1:
        return rows <= MOST
    reached = abs(b.strides[-1]) * lanes < 2**31
    return b.strides[-2] == 1 and reached and rows <= MOST and columns >= lanes


def plan_few_rows(
    a: Place,
    b: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    target: Target,
    label: str = "",
) -> Step:
    """The step of all products.

    Parameters
    ----------
    a : Place (batch, rows, inner)
        Neighbours lie along the products.
    b : Place (batch, inner, columns)
        One that `reads_as_it_lies` allows.
    results : sequence of Place (batch, rows, columns)
        One for each result of the chain; columns neighbouring.
    chain : Chain
        The epilogue, whose first input is the product.
    operands : sequence of Place
        The chain's other inputs, stretched to the results' shape; columns neighbouring, or one number for all.
    """
    batch, rows, columns = results[0].shape
    inner = a.shape[-1]
    lanes = target.lanes(b.kind)
    turned = columns > 1 and b.strides[-1] != 1
    many = target.registers >= 32
    schedule = FewRowsSchedule(
        b.kind, lanes, turned, (8 if many else 4) if turned else (4 if many else 2), chain,
        tuple(place.strides[-1] if columns > 1 else 1 for place in operands),
    )  # fmt: skip
    if turned:
        wide = max(lanes, TASK_BYTES // (max(inner, 1) * bytes_of(b.kind)) // lanes * lanes)
    else:
        wide = max(NARROWEST, min(WIDEST, columns // 4 // lanes * lanes))
    parts = max(1, columns // wide)  # the last one takes the rest, so that each is at least so wide
    wide = min(wide, columns)
    pitch = -(-(columns - (parts - 1) * wide) // lanes) * lanes
    own = [] if turned else [row_major(Buffer(b.dtype, rows * pitch, "thread", "sums"), ())]
    numbers = [rows, inner, columns, wide, parts, pitch, a.strides[0], a.strides[1], b.strides[0]]
    numbers += [b.strides[2] if turned else b.strides[1]]
    for place in (*results, *operands):
        numbers += place.strides[:2]
    written = tuple(dict.fromkeys(place.buffer for place in (*results, *own)))
    product, passing = (1.0, 2 + math.log2(lanes)) if turned else (1 + 2 / RUN, 2.0)
    of_vector = rows * product + -(-rows // schedule.rows) * passing  # of the matrix
    operations = batch * inner * -(-columns // lanes) * of_vector
    return Step(schedule, (a, b, *own, *results, *operands, *numbers), written, batch * parts, label, operations)


class _FewRows:
    """Writes the kernel: tasks, blocks of rows and outputs, products, epilogue."""

    def __init__(self, schedule: FewRowsSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        chain = schedule.chain
        self.types = [Type(KIND_OF[dtype]) for dtype in (*chain.result_dtypes, *chain.inputs[1:])]
        self.scalar = Type(schedule.kind)
        self.vector = Type(schedule.kind, schedule.lanes)
        self.masked = target.masks(schedule.kind)

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        block, begin, end, thread = builder.kernel()
        count = len(self.types)
        pointers = 2 + (not schedule.turned) + count
        words = builder.arguments(block, "p" * pointers + "i" * (10 + 2 * count))
        a, b, views = words[0], words[1], words[pointers - count : pointers]
        self.rows, self.inner, columns, wide, parts, self.pitch, *steps = words[pointers:]
        a_batch, self.a_row, b_batch, self.far = steps[:4]
        self.view_rows = steps[5::2]
        if not schedule.turned:
            self.sums = builder.offset(words[2], thread * (self.rows * self.pitch), schedule.kind)

        def task(number: Value) -> None:
            part, picture = number % parts, number // parts
            self.left = part * wide
            self.right = builder.select(builder.compare("eq", part, parts - 1), columns, self.left + wide)
            self.a = builder.offset(a, picture * a_batch, schedule.kind)
            self.b = builder.offset(b, picture * b_batch, schedule.kind)
            self.views = [
                builder.offset(view, picture * by_batch, type_.kind)
                for view, by_batch, type_ in zip(views, steps[4::2], self.types, strict=True)
            ]
            (self.of_turned if schedule.turned else self.of_rows)()

        builder.loop(begin, end, 1, task)
        return builder.function()

    # The matrix' neighbours are outputs

    def of_rows(self) -> None:
        """Some rows of the matrix at a time are added to all the sums, which lie in the thread's own memory."""
        builder = self.builder
        zero = builder.constant(self.vector, 0.0)
        builder.loop(
            0, self.rows * self.pitch, self.schedule.lanes, lambda place: builder.store(zero, self.sums, place)
        )

        def run(first: Number, length: int) -> None:
            row: Number = 0
            for rows in self.block_sizes():
                last = self.rows // rows * rows
                builder.loop(row, last, rows, partial(self.add_run, rows=rows, first=first, length=length))
                row = last

        whole = self.inner // RUN * RUN
        builder.loop(0, whole, RUN, lambda first: run(first, RUN))
        builder.loop(whole, self.inner, 1, lambda first: run(first, 1))

        def finished(row: Value) -> None:
            def vector(column: Value, lanes: int, mask: Value | None) -> None:
                place = row * self.pitch + column - self.left
                self.finish(builder.load(self.sums, place, self.vector.of(lanes), mask), row, column, mask)

            over_columns(builder, self.left, self.right, self.schedule.lanes, self.masked, vector)

        builder.loop(0, self.rows, 1, finished)

    def add_run(self, row: Value, rows: int, first: Number, length: int) -> None:
        builder, kind = self.builder, self.schedule.kind
        elements = [
            [builder.load(self.a, (row + number) * self.a_row + first + k, self.scalar) for k in range(length)]
            for number in range(rows)
        ]
        lines = [builder.offset(self.b, (first + k) * self.far, kind) for k in range(length)]
        sums = [builder.offset(self.sums, (row + number) * self.pitch - self.left, kind) for number in range(rows)]

        def vector(column: Value, lanes: int, mask: Value | None) -> None:
            type_ = self.vector.of(lanes)
            taken = [builder.load(there, column, type_, mask) for there in sums]
            for k, line in enumerate(lines):
                if lanes > 1 and mask is None:
                    builder.prefetch(line, self.far * AHEAD + column, kind)
                passing = builder.load(line, column, type_, mask)
                taken = [
                    builder.fma(builder.broadcast(of_row[k], lanes), passing, value)
                    for of_row, value in zip(elements, taken, strict=True)
                ]
            for value, there in zip(taken, sums, strict=True):
                builder.store(value, there, column, mask)

        over_columns(builder, self.left, self.right, self.schedule.lanes, self.masked, vector)

    # The matrix' neighbours lie along the products

    def of_turned(self) -> None:
        """Squares of the matrix are turned round in registers; the last outputs begin within those before."""
        builder, lanes = self.builder, self.schedule.lanes
        last_column = self.right - lanes

        def with_blocks(rows: int) -> None:
            last_row = self.rows - rows

            def columns(column: Value) -> None:
                column = builder.minimum(column, last_column)
                builder.loop(
                    0, self.rows, rows, lambda row: self.square_sums(builder.minimum(row, last_row), rows, column)
                )

            builder.loop(self.left, self.right, lanes, columns)

        def widest(rows: int, *fewer: int) -> None:
            if not fewer:
                with_blocks(rows)
                return
            fits = builder.compare("ge", self.rows, rows)
            builder.when(fits, lambda: with_blocks(rows), lambda: widest(*fewer))

        widest(*self.block_sizes())

    def square_sums(self, row: Value, rows: int, column: Value) -> None:
        """The sums of a block of rows and a vector of outputs, finished."""
        builder, lanes, kind = self.builder, self.schedule.lanes, self.schedule.kind
        a = [builder.offset(self.a, (row + number) * self.a_row, kind) for number in range(rows)]
        b = builder.offset(self.b, column * self.far, kind)
        lines = [builder.offset(b, self.far * number, kind) for number in range(lanes)]

        def added(first: Number, k: int, passing: Value, taken: Sequence[Value]) -> list[Value]:
            elements = [builder.load(builder.offset(there, first, kind), k, self.scalar) for there in a]
            return [
                builder.fma(builder.broadcast(element, lanes), passing, value)
                for element, value in zip(elements, taken, strict=True)
            ]

        def square(first: Value, *taken: Value) -> Sequence[Value]:
            sums: Sequence[Value] = taken
            for k, passing in enumerate(
                transposed(builder, [builder.load(line, first, self.vector) for line in lines])
            ):
                sums = added(first, k, passing, sums)
            return sums

        def single(k: Value, *taken: Value) -> Sequence[Value]:
            there = builder.offset(b, k, kind)
            passing = builder.load(there, 0, self.vector) if lanes == 1 else builder.gather(there, far, self.vector)
            return added(k, 0, passing, taken)

        far = distances(builder, self.far, lanes) if lanes > 1 else self.far
        whole = self.inner // lanes * lanes
        zeros = [builder.constant(self.vector, 0.0)] * rows
        sums = builder.loop(0, whole, lanes, square, zeros)
        for number, value in enumerate(builder.loop(whole, self.inner, 1, single, sums)):
            self.finish(value, row + number, column, None)

    def block_sizes(self) -> list[int]:
        """Rows of blocks, the largest first."""
        return [1 << power for power in reversed(range(self.schedule.rows.bit_length()))]

    def finish(self, value: Value, row: Value, column: Value, mask: Value | None) -> None:
        """The epilogue on a vector of outputs, and the results stored."""
        builder, schedule, lanes = self.builder, self.schedule, value.type.lanes
        count = len(schedule.chain.results)
        there = [
            builder.offset(view, row * by_row, type_.kind)
            for view, by_row, type_ in zip(self.views, self.view_rows, self.types, strict=True)
        ]
        values = [value]
        for pointer, type_, by_column in zip(there[count:], self.types[count:], schedule.operands, strict=True):
            if by_column:
                values.append(builder.load(pointer, column, type_.of(lanes), mask))
            else:
                values.append(builder.load(pointer, 0, type_))
        outcome = schedule.chain.emit(builder, self.target, values)
        for result, pointer in zip(outcome, there[:count], strict=True):
            builder.store(builder.broadcast(result, lanes), pointer, column, mask)
