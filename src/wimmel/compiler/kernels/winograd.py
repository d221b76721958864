"""Winograd convolution, F(2x2, 3x3) and F(4x4, 3x3): squares of 2x2 or 4x4 outputs by way of 16 or 36 products for each
channel, where direct convolution takes 36 or 144. What is planned here: transformed weights, then one kernel that
transforms the data of some tiles, multiplies, and transforms back, all within a core's caches. Lavin and Gray, "Fast
Algorithms for Convolutional Neural Networks" (2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from wimmel.compiler.alternatives import chosen
from wimmel.compiler.chain import Chain
from wimmel.compiler.costs import typical
from wimmel.compiler.kernels.convolution import padded, three, with_three_axes
from wimmel.compiler.kernels.microkernel import FEWEST, MOST, Block, turn
from wimmel.compiler.kernels.winograd_costs import BESIDE, DATA, WEIGHTS, operations, tiles_along
from wimmel.compiler.kernels.winograd_kernel import WinogradKernel
from wimmel.compiler.kernels.winograd_tiles import LINE, apart
from wimmel.compiler.kernels.winograd_transforms import TRANSFORMS
from wimmel.compiler.kernels.winograd_weights import (
    WinogradWeightsSchedule,
    plan_weights,
    readable,
    sizes,
    weights_schedule,
)
from wimmel.compiler.language import Function
from wimmel.compiler.steps import Argument, Buffer, Choice, Place, Step, bytes_of
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

ENOUGH_TASKS, PART = 8, 64
"""Where there are fewer groups of tiles than this, outputs are shared out too, in parts of at least so many: each part
transforms the data anew."""

MANY_TILES = 64
"""Tiles that make it worthwhile to fetch weights from memory."""

WORTH = {1: 0.9, 2: 0.98, 3: 1.0, 4: 1.02}
"""Measured throughput of blocks of so many vectors here, relative to the others."""

FETCHING = 0.8
"""What it costs, in multiply-adds, to fetch a vector of weights for a step of a block, where the first-level cache does
not hold those of its outputs."""

MOST_BLOCKS = 8
"""Of tiles that a task takes, where weights are not far: what is longer gains nothing."""


@dataclass(frozen=True)
class WinogradSchedule:
    """What the code depends on.

    Attributes
    ----------
    tile : int
        Outputs along a side: 2 or 4.
    block : Block
        Of the micro-kernel; its pixels are tiles.
    planes, channels, outputs : int
        ``planes`` of taps, each 3x3.
    dilation : (int, int, int)
        Elements from one plane of taps to the next, and between the rows, and columns, of a tile.
    lanes : int
        Channels in a vector while data are transformed.
    columns : int
        Elements from one column of the input to the next.
    row : int
        Elements from one tile to the next of the transformed data.
    chain : Chain
        The epilogue; its first input is the convolution.
    operands, results : tuple of (int, int)
        For each of the chain's other inputs and each of its results: elements from column to column, and from output
        to output.
    window : (int, int, int)
        Of how many neighbouring outputs only the largest is stored, along each axis; the first is 1.
    weights : WinogradWeightsSchedule, optional
        How weights are transformed, if this kernel does it.
    rows : int
        For how many channels, of all planes, it does so at once.
    """

    tile: int
    block: Block
    planes: int
    channels: int
    outputs: int
    dilation: Shape
    lanes: int
    columns: int
    row: int
    chain: Chain
    operands: tuple[tuple[int, int], ...]
    results: tuple[tuple[int, int], ...]
    window: Shape = (1, 1, 1)
    weights: WinogradWeightsSchedule | None = None
    rows: int = 0

    def kernel(self, target: Target, name: str) -> Function:
        return WinogradKernel(self, TRANSFORMS[self.tile], target, name).write()


def plan_winograd(
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
    tile: int = 4,
    window: Shape = (),
    prepared: bool = True,
) -> list[Step]:
    """The steps of a convolution with 3x3 taps over its last two axes, or its only two, stride 1 and one group; as
    `convolution.plan_convolution` takes it, but for the halo around x, which `winograd_costs.widened` tells, and
    ``tile``, the outputs along the side of a tile: 2 or 4. A tile has whole windows. ``prepared`` tells whether weights
    stay the same for many calls, so that transforming them counts for nothing.

    A dilation d of rows and columns leaves d x d convolutions without, of every d-th row and column each. Planes of
    taps are like more channels, which lie in other planes of x.
    """
    assert weight.shape[-2:] == (3, 3) and groups == math.prod(stride) == 1
    if 0 in results[0].shape:
        return []
    dilation, window = three(dilation, 1), three(window, 1)
    x, weight = padded(with_three_axes(x), three(padding, (0, 0))), with_three_axes(weight)
    results, operands = [*map(with_three_axes, results)], [*map(with_three_axes, operands)]
    (outputs, channels, planes), kind = weight.shape[:3], x.kind
    pictures, _, depth, height, width = results[0].shape
    down = tiles_along(height * window[1], tile, dilation[1])
    across = tiles_along(width * window[2], tile, dilation[2])
    tiles = pictures * depth * down * across
    problem = _Problem(target, kind, tile, tiles, planes * channels, outputs)
    of_block = problem.block()
    block = of_block.taken
    weight, steps = readable(weight, target)
    of_weights, at_once = weights_schedule(weight, block, tile), 0
    if fresh := not prepared and problem.weights > target.l3_bytes:
        at_once = problem.rows_at_once(block)
        weights, plane = weight, apart(at_once * block.outputs)
    else:
        weights, plane, step = plan_weights(weight, of_weights)
        steps.append(step)

    lanes = target.lanes(kind)
    while lanes > channels:
        lanes //= 2
    schedule = WinogradSchedule(
        tile, block, planes, channels, outputs, dilation, lanes, x.strides[4], apart(planes * channels), chain,
        tuple((place.strides[4], place.strides[1]) for place in operands),
        tuple((place.strides[4], 1) for place in results), window,
        of_weights if fresh else None, at_once,
    )  # fmt: skip
    blocks = -(-outputs // block.outputs)
    of_tiles = problem.tiles_at_once(block)
    together, of_part, turn = _shares(schedule, of_tiles.taken, blocks, tiles, target)
    groups_of_tiles = -(-tiles // together)
    rows = max(-(-together // size) * size for size in (block.pixels, FEWEST))
    data_plane, products_plane = apart(rows * schedule.row), apart(rows * turn * block.outputs)
    taps = TRANSFORMS[tile].n ** 2
    size = taps * (data_plane + products_plane) + tile**2 * max(block.lanes, LINE)
    if fresh:
        size += taps * plane
    own = Buffer(x.dtype, size, "thread", "tiles")
    numbers = [tiles, down, across, depth, height, width, together, groups_of_tiles, blocks, of_part, turn]
    numbers += [plane, data_plane, products_plane, size, *sizes(weight)]
    for place in (x, *results, *operands):
        numbers += [place.strides[0], place.strides[2], place.strides[3]]
    arguments: tuple[Argument, ...] = (x, weights, Place(own, 0, (size,), (1,)), *results, *operands, *numbers)
    written = (*dict.fromkeys(place.buffer for place in results), own)
    parts = -(-blocks // of_part)
    work = operations(tile, tiles, planes, channels, outputs, target, parts)
    if fresh:
        work += groups_of_tiles * blocks * planes * channels * block.vectors * WEIGHTS[tile]
    passes = {x.buffer: parts, weights.buffer: groups_of_tiles if weights.bytes > target.l2_bytes // 2 else 1}
    choices = (of_block, of_tiles)
    return [*steps, Step(schedule, arguments, written, groups_of_tiles * parts, label, work, passes, choices)]


@dataclass(frozen=True)
class _Problem:
    """What decides how tiles are multiplied."""

    target: Target
    kind: str
    tile: int
    tiles: int
    channels: int
    outputs: int

    @property
    def weights(self) -> int:
        """Bytes of them, transformed."""
        return TRANSFORMS[self.tile].n ** 2 * self.channels * self.outputs * bytes_of(self.kind)

    def rows_at_once(self, block: Block) -> int:
        """For how many channels a block's weights are transformed at once: half the second-level cache holds them."""
        most = self.target.l2_bytes // (2 * TRANSFORMS[self.tile].n ** 2 * block.outputs * bytes_of(self.kind))
        return -(-self.channels // -(-self.channels // max(most, 1)))

    def block(self) -> Choice[Block]:
        """As `convolution.chosen_block` says, one for all sizes of pictures."""
        question = f"block of {self.kind} convolution by tiles of {self.tile}x{self.tile}, "
        question += f"{self.channels} to {self.outputs} channels"
        return chosen(question, _blocks(self), self.target, lasting=True)

    def tiles_at_once(self, block: Block) -> Choice[int]:
        """How many tiles a task takes."""
        question = f"tiles at once, of {self.tiles} of {self.tile}x{self.tile}, "
        question += f"{self.channels} to {self.outputs} channels, in blocks of {block.pixels}"
        return chosen(question, self.sizes(block), self.target)

    def sizes(self, block: Block) -> tuple[int, ...]:
        """Of groups of tiles, what should be fastest first. Data stay in the second-level cache, unless weights come
        from further than the third and should be used often."""
        data = 3 * TRANSFORMS[self.tile].n ** 2 * apart(self.channels) * bytes_of(self.kind)
        fewest, most = -(-FEWEST // block.pixels), self.target.l2_bytes // data // block.pixels
        numbers = range(fewest, max(fewest, min(most, MOST_BLOCKS)) + 1)
        sizes = sorted({min(n * block.pixels, self.tiles) for n in numbers}, key=lambda size: self.rank(block, size))
        if self.weights > self.target.l3_bytes:
            sizes.insert(0, min(max(1, MANY_TILES // block.pixels) * block.pixels, self.tiles))
        return tuple(dict.fromkeys(sizes))

    def rank(self, block: Block, together: int) -> tuple[int, float]:
        """Tasks enough come first, then the seconds of one thread: to transform data for each part of the outputs, and
        for each group of tiles to multiply, or to fetch the weights if that takes longer."""
        target, rates = self.target, typical(self.target)
        taps, blocks = TRANSFORMS[self.tile].n ** 2, -(-self.outputs // block.outputs)
        groups, parts = _parts(together, self.tiles, blocks, block)
        data = parts * self.tiles * -(-self.channels // target.lanes(self.kind)) * DATA[self.tile]
        of_step = turn(block.pixels, block.vectors, target, WORTH)
        if block.outputs * self.channels * bytes_of(self.kind) > target.l1_bytes // 4:
            of_step += FETCHING * block.vectors
        products = taps * (self.channels + BESIDE) * blocks * -(-max(together, FEWEST) // block.pixels) * of_step
        fetching = self.weights * rates.reading[2] if self.weights > target.l2_bytes // 2 else 0.0
        seconds = data * rates.operation + groups * max(products * rates.operation, fetching)
        return -min(groups * parts, ENOUGH_TASKS), seconds


@lru_cache(1024)
def _blocks(problem: _Problem) -> tuple[Block, ...]:
    """What should be fastest first."""
    target, lanes = problem.target, problem.target.lanes(problem.kind)
    while lanes > 1 and lanes // 2 >= problem.outputs:
        lanes //= 2
    needed, spare = -(-problem.outputs // lanes), 1 if target.has_fma else 2
    limits = {vectors: (target.registers - spare - vectors) // vectors for vectors in WORTH if vectors <= needed}
    blocks = [
        Block(rows, vectors, lanes, problem.kind, 8 if rows * vectors <= 16 else 4)
        for vectors, limit in limits.items()
        for rows in range(min(FEWEST, limit), min(limit, MOST) + 1)
    ]

    def rank(block: Block) -> tuple[bool, int, float, int, int]:
        tasks, seconds = min(problem.rank(block, size) for size in problem.sizes(block))
        return block.pixels > max(problem.tiles, FEWEST), tasks, seconds, -block.pixels, block.vectors

    return tuple(sorted(blocks, key=rank))


def _parts(together: int, tiles: int, blocks: int, block: Block) -> tuple[int, int]:
    """Into how many groups tiles are shared out, and into how many parts outputs."""
    groups = -(-tiles // together)
    of_part = -(-blocks // max(1, min(-(-ENOUGH_TASKS // groups), blocks * block.outputs // PART)))
    return groups, -(-blocks // of_part)


def _shares(schedule: WinogradSchedule, together: int, blocks: int, tiles: int, target: Target) -> tuple[int, int, int]:
    """How many tiles a task takes, how many blocks of outputs, and how many of these are multiplied before they are
    transformed back, so that products stay in the second-level cache."""
    block = schedule.block
    products = TRANSFORMS[schedule.tile].n ** 2 * block.outputs * bytes_of(block.kind)
    _, parts = _parts(together, tiles, blocks, block)
    of_part = -(-blocks // parts)
    turn = max(1, target.l2_bytes // (4 * products * together))
    return together, of_part, min(turn, of_part)
