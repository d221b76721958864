"""Winograd convolution along rows, F(4, r): pieces of 4 outputs of a row by way of 3 + r products for each channel and
row of taps, where direct convolution takes 4 r. Rows of taps are summed as they are. What is planned here: transformed
weights, then one kernel that transforms the data of some rows, multiplies, and transforms back, all within a core's
caches. Winograd, "Arithmetic Complexity of Computations" (1980)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.convolution import TASK_PRODUCTS, chosen_block, padded, three, with_three_axes
from wimmel.compiler.kernels.microkernel import Block, turns
from wimmel.compiler.kernels.winograd_costs import PIECE, ROW_BACK, ROW_DATA
from wimmel.compiler.kernels.winograd_rows_kernel import WinogradRowsKernel
from wimmel.compiler.kernels.winograd_rows_weights import plan_row_weights
from wimmel.compiler.kernels.winograd_tiles import LINE, apart
from wimmel.compiler.language import Function
from wimmel.compiler.steps import Argument, Buffer, Place, Step, bytes_of
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
    columns : int
        Elements from one column of the input to the next.
    chain : Chain
        The epilogue; its first input is the convolution.
    operands, results : tuple of (int, int)
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
    columns: int
    chain: Chain
    operands: tuple[tuple[int, int], ...]
    results: tuple[tuple[int, int], ...]
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
) -> list[Step]:
    """The steps of a convolution over one or two axes with 3, 5, 7 or 9 taps in a row, which are neighbours, stride 1
    and one group; as `convolution.plan_convolution` takes it. A tile has whole windows. ``columns`` tells how many
    columns of outputs there are, if windows leave some out.
    """
    assert groups == 1 and {*stride, dilation[-1]} == {1}
    if 0 in results[0].shape:
        return []
    (_, down, across), window = three(dilation, 1), three(window, 1)
    x, weight = padded(with_three_axes(x), three(padding, (0, 0))), with_three_axes(weight)
    results, operands = [*map(with_three_axes, results)], [*map(with_three_axes, operands)]
    assert weight.shape[2] == across == window[0] == 1
    outputs, channels, _, *taps = weight.shape
    weight = Place(weight.buffer, weight.offset, (outputs, channels, *taps), (*weight.strides[:2], *weight.strides[3:]))
    pictures, _, _, height, width = results[0].shape
    height, width = height * window[1], width * window[2]
    assert PIECE % window[2] == 0
    length, tiles, lanes = channels * taps[0], -(-width // PIECE), target.lanes(x.kind)
    key = f"{x.kind} convolution by pieces of rows, {channels} to {outputs} channels, taps {taps}"
    of_block = chosen_block(key, target, x.kind, outputs, tiles * height, length, channels)
    block = of_block.taken
    weights, plane, steps = plan_row_weights(weight, block, target)

    n, blocks = PIECE + taps[1] - 1, -(-outputs // block.outputs)
    beyond = (taps[0] - 1) * down
    of_tile = n * (channels + block.outputs) * bytes_of(x.kind)
    products = n * length * blocks * block.vectors
    rows, span = _shares(pictures, height, tiles, window[1], beyond, of_tile, products, block, target)
    parts, row_parts = max(1, tiles // span), -(-height // rows)
    widest = tiles - (parts - 1) * span  # the last part takes the rest
    most = rows * widest + block.pixels
    data_plane = apart((most + beyond * widest) * channels + lanes)
    products_plane = apart(most * block.outputs)
    size = n * (data_plane + products_plane) + window[1] * PIECE * max(block.lanes, LINE)
    own = Buffer(x.dtype, size, "thread", "tiles")
    schedule = WinogradRowsSchedule(
        block, channels, outputs, (taps[0], taps[1]), down, x.strides[4], chain,
        tuple((place.strides[4], place.strides[1]) for place in operands),
        tuple((place.strides[4], 1) for place in results), (window[1], window[2]),
    )  # fmt: skip
    numbers = [height, width, tiles, rows, row_parts, span, parts, plane, data_plane, products_plane, size]
    numbers.append(columns or width)
    for place in (x, *results, *operands):
        numbers += [place.strides[0], place.strides[3]]
    arguments: tuple[Argument, ...] = (x, weights, Place(own, 0, (size,), (1,)), *results, *operands, *numbers)
    written = (*dict.fromkeys(place.buffer for place in results), own)
    read = height + row_parts * beyond
    around = read * -(-channels // lanes) * ROW_DATA[taps[1]] + height * -(-outputs // block.lanes) * ROW_BACK[taps[1]]
    summed = n * length * turns(block, outputs, rows * tiles, length, target) * row_parts
    work = pictures * (tiles * around + summed)
    tasks = pictures * row_parts * parts
    passes = {weights.buffer: tasks if weights.bytes > target.l2_bytes // 2 else 1}
    steps.append(Step(schedule, arguments, written, tasks, label, work, passes, (of_block,)))
    return steps


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
