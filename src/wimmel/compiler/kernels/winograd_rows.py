"""Winograd convolution along rows, F(2, r) and F(4, r): pieces of 2 or 4 outputs of a row by way of 1 + r or 3 + r
products for each channel and row of taps, where direct convolution takes 2 r or 4 r. Rows of taps are summed as they
are. What is planned here: transformed weights, then one kernel that transforms the data of some rows, multiplies, and
transforms back, all within a core's caches. Winograd, "Arithmetic Complexity of Computations" (1980)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.convolution import TASK_PRODUCTS, chosen_block, padded, three, with_three_axes
from wimmel.compiler.kernels.microkernel import Block, turns
from wimmel.compiler.kernels.winograd_costs import ROW_BACK, ROW_DATA
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
    tile : int
        Outputs of a tile: 2 or 4.
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

    tile: int
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
    *,
    tile: int,
) -> list[Step]:
    """The steps of a convolution over one or two axes, stride 1, one group and columns that are not dilated; as
    `convolution.plan_convolution` takes it, and ``tile``, the outputs of a tile. There are at least so many columns of
    outputs, and a tile has whole windows.

    The last tile of a row ends where the row does, so that nothing is read beyond: it computes some outputs again, and
    belongs to the task of the tile before it.
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
    assert width >= tile and tile % window[2] == 0
    length, tiles, lanes = channels * taps[0], -(-width // tile), target.lanes(x.kind)
    key = f"{x.kind} convolution by tiles of 1x{tile}, {channels} to {outputs} channels, taps {taps}"
    of_block = chosen_block(key, target, x.kind, outputs, tiles * height, length, channels)
    block = of_block.taken
    weights, plane, steps = plan_row_weights(weight, block, tile, target)

    n, blocks = tile + taps[1] - 1, -(-outputs // block.outputs)
    beyond = (taps[0] - 1) * down
    of_tile = n * (channels + block.outputs) * bytes_of(x.kind)
    products = n * length * blocks * block.vectors
    rows, span = _shares(pictures, height, tiles, window[1], beyond, of_tile, products, block, target)
    parts, row_parts = max(1, tiles // span), -(-height // rows)
    widest = tiles - (parts - 1) * span  # the last part takes the rest
    most = rows * widest + block.pixels
    data_plane = apart((most + beyond * widest) * channels + lanes)
    products_plane = apart(most * block.outputs)
    size = n * (data_plane + products_plane) + window[1] * tile * max(block.lanes, LINE)
    own = Buffer(x.dtype, size, "thread", "tiles")
    schedule = WinogradRowsSchedule(
        tile, block, channels, outputs, (taps[0], taps[1]), down, x.strides[4], chain,
        tuple((place.strides[4], place.strides[1]) for place in operands),
        tuple((place.strides[4], 1) for place in results), (window[1], window[2]),
    )  # fmt: skip
    numbers = [height, width, tiles, rows, row_parts, span, parts, plane, data_plane, products_plane, size]
    for place in (x, *results, *operands):
        numbers += [place.strides[0], place.strides[3]]
    arguments: tuple[Argument, ...] = (x, weights, Place(own, 0, (size,), (1,)), *results, *operands, *numbers)
    written = (*dict.fromkeys(place.buffer for place in results), own)
    read = height + row_parts * beyond
    around = read * -(-channels // lanes) * ROW_DATA[n] + height * -(-outputs // block.lanes) * ROW_BACK[n]
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
    span = min(tiles, max(2, most // (high + beyond)))
    rows = max(high, most // span - beyond)
    fewest = -(-TASK_PRODUCTS // (products * span))
    enough = -(-height * pictures * max(1, tiles // span) // ENOUGH_TASKS)
    rows = min(rows, height, max(fewest, enough))
    return -(-rows // high) * high, span
