"""Sums and maxima over some axes of what a chain makes of its operands. Long ones are cut into parts, the number of
which follows from the shape alone, and a second step combines the parts in order: threads never change a bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.loops import merge_neighbours, move_along, within_reach
from wimmel.compiler.kernels.reduction_kernel import ReductionSchedule
from wimmel.compiler.steps import KIND_OF, Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape

CHUNK = 64
"""How many terms an accumulator takes before it is added to the next level's and begins anew: the error of a sum grows
with the number of additions that a term goes through (Higham, "The accuracy of floating point summation", 1993)."""

PARTS = 64
"""Into how many parts one long reduction is cut at most."""

TASK_ELEMENTS = 1 << 15
"""What one task does: some microseconds of work."""

LOOP_COST = 4.0
"""Of beginning a loop, in vector instructions."""

FOLD_COST = 20.0
"""Of making one number of the lanes of a vector, and of all else that is done once for a result."""


def plan_reduction(
    operation: str,
    chain: Chain,
    operands: Sequence[Place],
    axes: Sequence[int],
    result: Place,
    target: Target,
    label: str = "",
    epilogue: Chain | None = None,
    others: Sequence[Place] = (),
    shape: Shape | None = None,
) -> list[Step]:
    """The steps that write the sum or maximum, over some axes, of what a chain makes of its operands.

    Parameters
    ----------
    operation : {"sum", "max"}
    chain : Chain
        With one result.
    operands : sequence of Place
        One for each of the chain's inputs, of one shape (stretched to it where they broadcast).
    axes : sequence of int
        The axes that are reduced; for a maximum, of sizes above 0.
    result : Place
        Of the operands' shape without these axes. Its dtype is what is summed or compared in (the primitive's result
        dtype), unless there is an epilogue: then the dtype of the epilogue's first input is.
    target : Target
    label : str
        For people.
    epilogue : Chain, optional
        What to write: a chain of the sum or maximum, and of `others`.
    others : sequence of Place
        One for each further input of the epilogue, of the result's shape.
    shape : shape, optional
        The operands'; needed only where there are none.

    Returns
    -------
    list of Step, empty where the result has no elements
    """
    shape = operands[0].shape if shape is None else shape
    left = [axis for axis in range(len(shape)) if axis not in axes]
    results = [result, *others]
    assert all(place.shape == shape for place in operands), [place.shape for place in operands]
    assert all(place.shape == tuple(shape[axis] for axis in left) for place in results), (shape, axes, result.shape)
    if result.size == 0:
        return []
    epilogue = epilogue or Chain.identity(result.dtype)
    dtype = epilogue.inputs[0]
    if any(shape[axis] == 0 for axis in axes):  # nothing may be read
        chain, operands = Chain((), (Line("constant", (), dtype, 0),), (0,)), []
    lanes = min(chain.widest(target), epilogue.widest(target), target.lanes(KIND_OF[dtype]))

    loops = _loops(shape, axes, operands, results, lanes)
    parts = loops.parts
    if parts == 1:
        return [_step(operation, chain, operands, results, epilogue, loops, parts, 0, label)]
    # in the operands' order, so that lanes which lie side by side there do so here
    order = sorted(range(len(left)), key=lambda place: -_distance(operands, left[place]))
    partial = row_major(Buffer(dtype, parts * result.size), (parts, *(result.shape[place] for place in order)))
    partial = partial.transposed((0, *(1 + order.index(place) for place in range(len(left)))))
    first = Place(partial.buffer, 0, partial.shape[1:], partial.strides[1:])
    loops = _loops(shape, axes, operands, [first], lanes)
    identity = Chain.identity(dtype)
    return [
        _step(operation, chain, operands, [first], identity, loops, parts, result.size, f"{label} (parts)"),
        *plan_reduction(operation, identity, [partial], (0,), result, target, label, epilogue, others),
    ]


@dataclass(frozen=True)
class _Loops:
    """The axes in the order they are looped over, with the strides of each operand and result along them: cells'
    axes, columns (where the lanes are not along), outer reduced axes, inner axis. And what they cost for each element,
    in vector instructions."""

    along: bool
    lanes: int
    kept: list[int]
    columns: int
    reduced: list[int]
    inner: int
    strides: list[list[int]]
    results: list[list[int]]
    cost: float

    @property
    def cells(self) -> int:
        return math.prod(self.kept)

    @property
    def terms(self) -> int:
        """How many elements are reduced to one."""
        return math.prod(self.reduced) * self.inner

    @property
    def parts(self) -> int:
        """Into how many parts the reduction is cut, where there are too few cells to go round."""
        tasks = min(PARTS, self.cells * self.columns * self.terms // TASK_ELEMENTS)
        return max(1, min(-(-tasks // self.cells), self.terms // (64 * self.lanes if self.along else 64)))


def _loops(
    shape: Shape, axes: Sequence[int], operands: Sequence[Place], results: Sequence[Place], lanes: int
) -> _Loops:
    """Axes of size 1 go, neighbours that step alike merge, the axis that is cheapest for the lanes goes innermost."""
    left = [axis for axis in range(len(shape)) if axis not in axes]
    order = sorted((axis for axis, size in enumerate(shape) if size != 1), key=lambda axis: -_distance(operands, axis))
    kept_axes, reduced_axes = [a for a in order if a not in axes], [a for a in order if a in axes]
    kept, reduced = [shape[axis] for axis in kept_axes], [shape[axis] for axis in reduced_axes]
    kept_strides = [[place.strides[axis] for axis in kept_axes] for place in operands]
    kept_strides += [[place.strides[left.index(axis)] for axis in kept_axes] for place in results]
    reduced_strides = [[place.strides[axis] for axis in reduced_axes] for place in operands]
    merge_neighbours(kept, kept_strides)
    merge_neighbours(reduced, reduced_strides)
    if not reduced:
        reduced, reduced_strides = [1], [[0] for _ in operands]
    terms = max(1, math.prod(reduced))

    def reading(axis: int, sizes: list[int], views: list[list[int]]) -> tuple[float, float]:
        """Vectors for each element where the lanes run along that axis, and the cost of reading them. How long an axis
        is counts where its elements are neighbours; others may be pictures, any number of which find their kernel."""
        neighbours = any(view[axis] == 1 for view in views)
        vectors = -(-sizes[axis] // lanes) / max(sizes[axis], 1) if neighbours else 1 / lanes
        far = 1.5 * lanes
        return vectors, vectors * sum({0: 0.1, 1: 1.0}.get(view[axis], far) for view in views)

    costs = []
    for axis, size in enumerate(reduced):
        _, read = reading(axis, reduced, reduced_strides)
        costs.append((read + LOOP_COST / max(size, 1) + FOLD_COST / terms, True, axis))
    for axis in range(len(kept)):
        vectors, read = reading(axis, kept, kept_strides[: len(operands)])
        costs.append((read + vectors * LOOP_COST * (1 / max(reduced[-1], 1) + 1 / terms), False, axis))
    cost, along, best = min(costs)
    columns = 1
    if along:
        for row in (reduced, *reduced_strides):
            row.append(row.pop(best))
    else:
        columns = kept.pop(best)
        for row in kept_strides:
            row.append(row.pop(best))
    lanes = within_reach(lanes, (view[-1] for view in (reduced_strides if along else kept_strides)))
    # one loop more, so that a single picture needs no other kernel than several
    if len(reduced) == 2:
        for row, first in ((reduced, 1), *((view, 0) for view in reduced_strides)):
            row.insert(0, first)
    if not kept:
        for row, first in ((kept, 1), *((view, 0) for view in kept_strides)):
            row.insert(0, first)
    strides = [[*a, *b] for a, b in zip(kept_strides, reduced_strides, strict=False)]
    return _Loops(along, lanes, kept, columns, reduced[:-1], reduced[-1], strides, kept_strides[len(operands) :], cost)


def _distance(operands: Sequence[Place], axis: int) -> int:
    return sum(abs(place.strides[axis]) for place in operands)


def _step(
    operation: str,
    chain: Chain,
    operands: Sequence[Place],
    results: Sequence[Place],
    epilogue: Chain,
    loops: _Loops,
    parts: int,
    part_step: int,
    label: str,
) -> Step:
    """One kernel's work: `parts` partial results, each `part_step` elements behind the one before."""
    lanes, cells, columns, inner = loops.lanes, loops.cells, loops.columns, loops.inner
    lane = len(loops.kept) if not loops.along else -1
    moves = [_move(view, view[lane]) for view in loops.strides]
    moves += [_move(view, 0 if loops.along else view[-1], written=n == 0) for n, view in enumerate(loops.results)]
    accumulators = _accumulators(chain, moves[: len(operands)])
    if loops.along:
        vectors, rows = 1, accumulators if inner >= 2 * lanes else 1
    else:
        # where nothing that is reduced has neighbours, columns may be pictures, any number of which find their kernel
        pairs = zip(loops.strides, moves, strict=False)
        neighbours = any(move == "next" and any(view[lane + 1 :]) for view, move in pairs)
        vectors = min(accumulators, columns // lanes) if neighbours else 1
        rows = accumulators // max(vectors, 1)

    turn = rows * lanes if loops.along else rows
    outer = math.prod(loops.reduced)
    exact = operation == "max" or np.dtype(epilogue.inputs[0]).kind != "f"
    pieces = max(1, -(-parts // max(outer, 1)), 1 if exact else -(-inner // (CHUNK * turn)))
    piece = max(1, -(-inner // (pieces * turn))) * turn
    pieces = -(-inner // piece)
    segments = outer * pieces
    segments_of_part = max(1, -(-segments // parts))
    segments_of_chunk = segments_of_part if exact else max(1, CHUNK * turn // min(piece, max(inner, 1)))

    wide = max(vectors, 1) * lanes
    shares = max(1, min(PARTS, cells * columns * loops.terms // TASK_ELEMENTS) // (cells * parts))
    columns_of_task = -(-columns // (min(shares, -(-columns // wide)) * wide)) * wide
    blocks = -(-columns // columns_of_task)
    cells_of_task = max(1, TASK_ELEMENTS // max(1, columns * loops.terms))
    schedule = ReductionSchedule(
        operation, chain, epilogue, loops.along, len(loops.kept), len(loops.reduced), tuple(moves), lanes, vectors,
        rows, segments != 1 or parts > 1,
    )  # fmt: skip
    numbers = [
        cells, cells_of_task, columns, columns_of_task, blocks, parts, part_step, segments, segments_of_part,
        segments_of_chunk, max(pieces, 1), piece, inner, *loops.kept, *(max(size, 1) for size in loops.reduced),
    ]  # fmt: skip
    for view, move in zip([*loops.strides, *loops.results], moves, strict=True):
        numbers += () if move == "scalar" else view
    tasks = -(-cells // cells_of_task) * parts * blocks
    operations = cells * columns * loops.terms * (loops.cost + (1 + chain.work) / lanes)
    return Step(schedule, (*operands, *results, *numbers), (results[0].buffer,), tasks, label, operations)


def _move(strides: Sequence[int], along_lanes: int, written: bool = False) -> str:
    if along_lanes == 0:
        return "scalar" if not any(strides) and not written else "still"
    return move_along(along_lanes)


def _accumulators(chain: Chain, moves: Sequence[str]) -> int:
    """Enough to hide how long an addition takes; few where the chain alone keeps the processor busy."""
    weight = chain.work + 4 * moves.count("far")
    return 8 if weight < 8 else 4 if weight < 16 else 2 if weight < 32 else 1
