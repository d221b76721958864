"""Matrix products: convolutions of one tap, in which rows are the pixels of a picture of one row, and the number of
products is a run-time argument. Whole numbers are multiplied and summed by the loops of reductions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.convolution import chosen_block, plan_products
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.few_outputs import few, plan_few_outputs
from wimmel.compiler.kernels.few_rows import plan_few_rows, reads_as_it_lies
from wimmel.compiler.kernels.microkernel import Block
from wimmel.compiler.kernels.packing import plan_packing
from wimmel.compiler.kernels.reduction import plan_reduction
from wimmel.compiler.steps import Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target

THIN = 8
"""Columns up to which a product is computed turned round, where the rows of its first matrix are neighbours."""


def plan_matmul(
    a: Place,
    b: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    target: Target,
    label: str = "",
    prepared: bool = False,
) -> list[Step]:
    """The steps of a product: packing the second matrix, then the products; or products alone, where there are few.

    Parameters
    ----------
    a : Place (*batch, rows, inner)
    b : Place (*batch, inner, columns)
        Of the dtype of a, as are the products; leading axes of both broadcast.
    results : sequence of Place (*batch, rows, columns)
        One for each result of the chain.
    chain : Chain
        The epilogue, whose first input is the product.
    operands : sequence of Place
        The chain's other inputs, stretched to the results' shape.
    target : Target
    label : str
    prepared : bool
        Whether b is known before the call, so that to pack it takes no time.
    """
    shape = results[0].shape
    if 0 in shape:
        return []
    *batch, rows, columns = shape
    inner = a.shape[-1]
    a, b = a.stretched((*batch, rows, inner)), b.stretched((*batch, inner, columns))
    if a.kind not in ("f32", "f64"):
        return _of_whole_numbers(a, b, results[0], target, label)
    if columns <= THIN < rows and a.strides[-2] == 1 < a.strides[-1]:
        a, b, prepared = turned(b), turned(a), False
        results, operands = [*map(turned, results)], [*map(turned, operands)]
        shape, rows, columns = results[0].shape, columns, rows
    steps: list[Step] = []

    def fit(place: Place, ready: bool) -> Place:
        """The place, or a copy in C order if its batch axes step unevenly or it is not ready to be read."""
        if ready and place.one_batch_axis() is not None:
            return place
        return copy(place)

    def copy(place: Place) -> Place:
        result = row_major(Buffer(place.dtype, place.size), place.shape)
        steps.extend(plan_elements(Chain.identity(place.dtype), [place], [result], target, "copy"))
        return result

    a = fit(a, True)
    left = _as_row(a)
    written = [place if _in_rows(place) else row_major(Buffer(place.dtype, place.size), shape) for place in results]
    others = [fit(place, columns == 1 or place.strides[-1] in (0, 1)) for place in operands]
    views, read = list(map(_as_row, written)), list(map(_as_row, others))
    shared, by_row, ones = not any(b.strides[:-2]), left.strides[4], (1, 1, 1)
    if shared and left.strides[1] == 1 and few(columns, inner, by_row, ones, ones, ones, target.lanes(a.kind)):
        weight = Place(b.buffer, b.offset, (columns, inner, *ones), (b.strides[-1], b.strides[-2], 0, 0, 0))
        steps += plan_few_outputs(left, weight, views, chain, read, ones, ones, target, label)
    elif (
        not prepared
        and (single := b.one_batch_axis()) is not None
        and reads_as_it_lies(single, rows * math.prod(batch) if shared else rows, target)
    ):
        a = a if inner == 1 or a.strides[-1] == 1 else copy(a)
        first, *matrices = map(_in_one_batch, (a, *written, *others))
        if shared:
            first, *matrices = _as_one([first, *matrices])
        count = len(results)
        steps.append(plan_few_rows(first, single, matrices[:count], chain, matrices[count:], target, label))
    else:
        key = f"{a.kind} products, {inner} by {columns}"
        choice = chosen_block(key, target, a.kind, columns, rows, inner, by_row)
        packed, by_batch, packing = _packed(b, shared, choice.taken, target)
        steps += packing
        pictures = math.prod(batch)
        steps.append(
            plan_products(
                left, packed, by_batch, views, chain, read, pictures, rows, inner, columns, choice, target, label
            )
        )
    for place, outcome in zip(results, written, strict=True):
        if place is not outcome:
            steps += plan_elements(Chain.identity(place.dtype), [outcome], [place], target, "copy")
    return steps


def _in_rows(place: Place) -> bool:
    """Whether products can be written there: a batch of evenly spaced matrices, whose columns are neighbours."""
    return place.one_batch_axis() is not None and (place.shape[-1] == 1 or place.strides[-1] == 1)


def _as_row(place: Place) -> Place:
    """(*batch, rows, x) as pictures of one row: (batch, x, 1, 1, rows)."""
    single = _in_one_batch(place)
    batch, rows, across = single.shape
    by_batch, by_row, by_column = single.strides
    return Place(place.buffer, place.offset, (batch, across, 1, 1, rows), (by_batch, by_column, 0, 0, by_row))


def _in_one_batch(place: Place) -> Place:
    single = place.one_batch_axis()
    assert single is not None
    return single


def _as_one(matrices: list[Place]) -> list[Place]:
    """Batches of matrices as one matrix each, where the rows of all follow each other evenly."""
    if any(place.strides[0] != place.shape[1] * place.strides[1] for place in matrices if place.shape[0] > 1):
        return matrices
    return [
        Place(
            place.buffer, place.offset, (1, place.shape[0] * place.shape[1], place.shape[2]),
            (0, place.strides[1] if place.shape[1] > 1 else place.strides[0], place.strides[2]),
        )
        for place in matrices
    ]  # fmt: skip


def turned(place: Place) -> Place:
    """With rows and columns exchanged."""
    axes = range(len(place.shape))
    return place.transposed((*axes[:-2], axes[-1], axes[-2]))


def _packed(b: Place, shared: bool, block: Block, target: Target) -> tuple[Place, int, list[Step]]:
    """The matrix, or each matrix of a batch that do not share one, in panels, and the elements from one matrix to the
    next."""
    if shared:
        b = Place(b.buffer, b.offset, b.shape[-2:], b.strides[-2:])
    axes = range(len(b.shape))
    panels, steps = plan_packing(turned(b), len(axes) - 2, block, target)
    return panels, 0 if shared else math.prod(panels.shape[-3:]), steps


def _of_whole_numbers(a: Place, b: Place, result: Place, target: Target, label: str) -> list[Step]:
    """A sum of products over a last axis; of booleans, whether any pair is true."""
    *batch, rows, inner = a.shape
    columns = b.shape[-1]
    shape = (*batch, rows, columns, inner)
    left = Place(a.buffer, a.offset, shape, (*a.strides[:-1], 0, a.strides[-1]))
    right = Place(b.buffer, b.offset, shape, (*b.strides[:-2], 0, b.strides[-1], b.strides[-2]))
    dtype = result.dtype
    lines = (Line("cast", (0,), dtype), Line("cast", (1,), dtype), Line("multiply", (2, 3), dtype))
    chain = Chain((a.dtype, b.dtype), lines, (4,))
    operation = "max" if dtype == "bool" and inner else "sum"
    return plan_reduction(operation, chain, [left, right], (len(shape) - 1,), result, target, label)
