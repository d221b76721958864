"""Winograd convolution along rows, F(4, r): pieces of 4 outputs of a row by way of 3 + r products for each channel and
row of taps, where direct convolution takes 4 r. Rows of taps are summed as they are; an even number of taps is followed
by a zero. Along columns it is the same with rows and columns exchanged. What is planned here: transformed weights, then
a kernel that transforms the data of some rows, multiplies, and transforms back, all within a core's caches; where taps
of a row lie d columns apart, one after the other for every d-th column. Winograd, "Arithmetic Complexity of
Computations" (1980)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.convolution import TASK_PRODUCTS, chosen_block, padded, three, with_three_axes
from wimmel.compiler.kernels.microkernel import Block, turns
from wimmel.compiler.kernels.winograd_costs import PIECE, ROW_BACK, ROW_DATA, odd
from wimmel.compiler.kernels.winograd_rows_kernel import WinogradRowsKernel
from wimmel.compiler.kernels.winograd_rows_weights import plan_row_weights
from wimmel.compiler.kernels.winograd_tiles import LINE, apart
from wimmel.compiler.language import Function
from wimmel.compiler.steps import Argument, Buffer, Choice, Place, Step, bytes_of
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

ENOUGH_TASKS = 8
"""Where there are fewer, and enough to do, tasks take fewer rows."""


@dataclass(frozen=True)
class WinogradRowsSchedule:
    """What the code depends on.

    Attributes
    ----------
    block : Block
        Of the micro-kernel; its pixels are tiles.
    channels, outputs : int
    taps : (int, int)
        Rows of taps, and taps in a row.
    apart : int
        Rows of the input from one row of taps to the next.
    columns : int or None
        Elements from one column of the input to the next; None, here and below, where the kernel is told.
    chain : Chain
        The epilogue; its first input is the convolution.
    operands, results : tuple of (int or None, int)
        For each of the chain's other inputs and each of its results: elements from column to column, and from output
        to output.
    window : (int, int)
        Of how many neighbouring outputs only the largest is stored, down and across.
    """

    block: Block
    channels: int
    outputs: int
    taps: tuple[int, int]
    apart: int
    columns: int | None
    chain: Chain
    operands: tuple[tuple[int | None, int], ...]
    results: tuple[tuple[int | None, int], ...]
    window: tuple[int, int]

    def kernel(self, target: Target, name: str) -> Function:
        return WinogradRowsKernel(self, target, name).write()


def plan_winograd_rows(
    x: Place,
    weight: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
    target: Target,
    label: str = "",
    by_group: int | None = None,
    window: Shape = (),
    columns: int | None = None,
    turned: bool = False,
) -> list[Step]:
    """The steps of a convolution over one or two axes with 2 to 9 taps in a row, stride 1 and one group; as
    `convolution.plan_convolution` takes it. A tile has whole windows, of one column where taps lie apart. ``columns``
    tells how many columns of outputs there are, if windows leave some out. ``turned`` is to go along columns, with
    "rows" and "columns" exchanged in all that is said here.
    """
    assert groups == 1 and {*stride} == {1}
    if 0 in results[0].shape:
        return []
    (_, down, across), (_, high, wide) = three(dilation, 1), three(window, 1)
    x, weight = padded(with_three_axes(x), three(padding, (0, 0))), with_three_axes(weight)
    views = [*map(with_three_axes, (*results, *operands))]
    assert weight.shape[2] == 1
    if turned:
        (down, across), (high, wide) = (across, down), (wide, high)
        x, weight, *views = (place.turned() for place in (x, weight, *views))
    outputs, channels, _, *taps = weight.shape
    weight = Place(weight.buffer, weight.offset, (outputs, channels, *taps), (*weight.strides[:2], *weight.strides[3:]))
    *_, height, width = views[0].shape
    lines, tiles = height * high, -(-width * wide // (PIECE * across))
    assert PIECE % wide == 0 and (wide == 1 or across == 1)
    key = f"{x.kind} convolution by pieces of rows, {channels} to {outputs} channels, taps {taps}"
    of_block = chosen_block(key, target, x.kind, outputs, tiles * lines, channels * taps[0], channels)
    weights, plane, steps = plan_row_weights(weight, of_block.taken, target)

    for first in range(min(across, width)):
        source, *seen = (_every(place, first, across) for place in (x, *views))
        by_column = [None if turned else place.strides[4] for place in (source, *seen)]
        by_output = [1] * len(results) + [place.strides[1] for place in seen[len(results) :]]
        along = tuple(zip(by_column[1:], by_output, strict=True))
        schedule = WinogradRowsSchedule(
            of_block.taken, channels, outputs, (taps[0], taps[1]), down, by_column[0], chain, along[len(results) :],
            along[: len(results)], (high, wide),
        )  # fmt: skip
        steps.append(_step(schedule, of_block, source, weights, plane, seen, columns, target, label))
    return steps


def _every(place: Place, first: int, apart: int) -> Place:
    """The columns so far apart, from the first one on."""
    if apart == 1:
        return place
    *others, columns = place.shape
    start, step = (*(0 for _ in others), first), (*(1 for _ in others), apart)
    return place.sliced(start, (*others, -(-(columns - first) // apart)), step)


def _step(
    schedule: WinogradRowsSchedule,
    of_block: Choice[Block],
    x: Place,
    weights: Place,
    plane: int,
    views: Sequence[Place],
    columns: int | None,
    target: Target,
    label: str,
) -> Step:
    """The step of neighbouring columns: its results, then its operands are the views, the planes of transformed weights
    have so many elements."""
    block, channels, taps, (high, wide) = schedule.block, schedule.channels, schedule.taps, schedule.window
    pictures, _, _, height, width = views[0].shape
    height, width = height * high, width * wide
    n, blocks = PIECE + odd(taps[1]) - 1, -(-schedule.outputs // block.outputs)
    length, tiles, lanes = channels * taps[0], -(-width // PIECE), target.lanes(x.kind)
    beyond = (taps[0] - 1) * schedule.apart
    of_tile = n * (channels + block.outputs) * bytes_of(x.kind)
    products = n * length * blocks * block.vectors
    rows, span = _shares(pictures, height, tiles, high, beyond, of_tile, products, block, target)
    parts, row_parts = max(1, tiles // span), -(-height // rows)
    widest = tiles - (parts - 1) * span  # the last part takes the rest
    most = rows * widest + block.pixels
    data_plane = apart((most + beyond * widest) * channels + lanes)
    products_plane = apart(most * block.outputs)
    size = n * (data_plane + products_plane) + high * PIECE * max(block.lanes, LINE)
    own = Buffer(x.dtype, size, "thread", "tiles")
    numbers = [height, width, tiles, rows, row_parts, span, parts, plane, data_plane, products_plane, size]
    numbers.append(columns or width)
    for place in (x, *views):
        numbers += [place.strides[0], *place.strides[3:]]
    arguments: tuple[Argument, ...] = (x, weights, Place(own, 0, (size,), (1,)), *views, *numbers)
    written = (*dict.fromkeys(place.buffer for place in views[: len(schedule.results)]), own)
    read = height + row_parts * beyond
    vectors = -(-channels // lanes), -(-schedule.outputs // block.lanes)
    around = read * vectors[0] * ROW_DATA[odd(taps[1])] + height * vectors[1] * ROW_BACK[odd(taps[1])]
    summed = n * length * turns(block, schedule.outputs, rows * tiles, length, target) * row_parts
    work = pictures * (tiles * around + summed)
    tasks = pictures * row_parts * parts
    passes = {weights.buffer: tasks if weights.bytes > target.l2_bytes // 2 else 1}
    return Step(schedule, arguments, written, tasks, label, work, passes, (of_block,))


def _shares(
    pictures: int, height: int, tiles: int, high: int, beyond: int, of_tile: int, products: int, block: Block,
    target: Target,
) -> tuple[int, int]:  # fmt: skip
    """How many rows of outputs a task takes, in whole windows of so many, and how many tiles of them: as many as the
    second-level cache holds, where a tile has so many bytes. It reads some rows beyond, and each tile takes so many
    products."""
    most = max(block.pixels, target.l2_bytes // 2 // of_tile)
    span = min(tiles, max(1, most // (high + beyond)))
    rows = max(high, most // span - beyond)
    fewest = -(-TASK_PRODUCTS // (products * span))
    enough = -(-height * pictures * max(1, tiles // span) // ENOUGH_TASKS)
    rows = min(rows, height, max(fewest, enough))
    return -(-rows // high) * high, span
