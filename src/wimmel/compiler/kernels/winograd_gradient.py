"""The gradient of a 3x3 convolution by its weights by Winograd's algorithm, F(3x3, 2x2) and F(3x3, 4x4): every tile of
cotangents is a filter of 2x2 or 4x4 taps that is run over its data and gives 3x3 outputs. Products of transformed data
and cotangents are summed over the tiles, and transformed back once. Lavin and Gray, "Fast Algorithms for Convolutional
Neural Networks" (2015)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.convolution import padded
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.microkernel import MOST, WORTH, Block, turn
from wimmel.compiler.kernels.packing import zero
from wimmel.compiler.kernels.reduction import plan_reduction
from wimmel.compiler.kernels.winograd_costs import PART, gradient_operations
from wimmel.compiler.kernels.winograd_gradient_kernel import WinogradGradientKernel
from wimmel.compiler.kernels.winograd_tiles import apart
from wimmel.compiler.kernels.winograd_transforms import F2, F4, Transforms
from wimmel.compiler.language import Function
from wimmel.compiler.steps import Argument, Buffer, Place, Step, bytes_of, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

TRANSFORMS: dict[int, Transforms] = {2: Transforms(3, 2, F2.points), 4: Transforms(3, 4, F4.points)}
"""By the side of a tile of cotangents."""

ENOUGH_TASKS = 8
"""Where there are fewer than this, tiles are shared out too, in parts that the shape alone decides."""

FEWEST_TILES, MOST_TILES = 64, 4096
"""Of a part: transforming back should be worthwhile, and rounding errors grow with the number of products."""

LEAST, MOST_AT_ONCE = 16, 64
"""Tiles that are transformed before they are multiplied."""


@dataclass(frozen=True)
class WinogradGradientSchedule:
    """What the code depends on.

    Attributes
    ----------
    tile : int
        Cotangents along a side: 2 or 4.
    block : Block
        Of the micro-kernel; its pixels are channels.
    channels, outputs : int
    lanes : int
        Channels in a vector while data are transformed.
    columns, cotangents : int
        Elements from one column of x, and of g, to the next.
    of_channels, of_outputs : int
        Channels and outputs of a task.
    """

    tile: int
    block: Block
    channels: int
    outputs: int
    lanes: int
    columns: int
    cotangents: int
    of_channels: int
    of_outputs: int

    @property
    def sums(self) -> int:
        """Rows of sums: the channels of a task in whole blocks."""
        return -(-self.of_channels // self.block.pixels) * self.block.pixels

    @property
    def data_row(self) -> int:
        """Elements from one tile's data to the next one's: whole vectors. The last block may look into the next row."""
        return -(-self.of_channels // self.lanes) * self.lanes

    @property
    def cotangent_row(self) -> int:
        return self.of_outputs

    def kernel(self, target: Target, name: str) -> Function:
        return WinogradGradientKernel(self, TRANSFORMS[self.tile], name).write()


def plan_winograd_gradient(
    x: Place,
    g: Place,
    result: Place,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
    target: Target,
    label: str = "",
    tile: int = 4,
) -> list[Step]:
    """The steps of a weight gradient with 3x3 taps over two axes, stride and dilation 1, and one group; as
    `weight_gradient.plan_weight_gradient` takes it, but for the halos: that around x `winograd_costs.widened` tells,
    and g has zeros behind it up to whole tiles."""
    assert tuple(kernel) == (3, 3) and groups == math.prod(stride) == math.prod(dilation) == 1
    if 0 in result.shape:
        return []
    if 0 in g.shape:
        return plan_elements(zero(result.dtype), [], [result], target, label)
    outputs, channels, kind = result.shape[0], result.shape[1], x.kind
    down, across = (-(-size // tile) for size in g.shape[2:])
    tiles = g.shape[0] * down * across
    schedule = _schedule(x, g, channels, outputs, tile, target)
    of_channels, of_outputs, lanes = schedule.of_channels, schedule.of_outputs, schedule.block.lanes
    channel_parts, output_parts = -(-channels // of_channels), -(-outputs // of_outputs)
    parts = max(
        1, min(-(-ENOUGH_TASKS // (channel_parts * output_parts)), tiles // FEWEST_TILES), -(-tiles // MOST_TILES)
    )
    of_part = -(-tiles // parts)
    parts = -(-tiles // of_part)

    taps = TRANSFORMS[tile].n ** 2
    sums_plane = apart(schedule.sums * of_outputs)
    free = target.l2_bytes // bytes_of(kind) - taps * sums_plane
    together = free // (taps * (schedule.data_row + schedule.cotangent_row))
    together = min(max(LEAST, min(together, MOST_AT_ONCE)), of_part)
    data_plane = apart(together * schedule.data_row + schedule.block.pixels)
    cotangent_plane = apart(together * schedule.cotangent_row)
    size = taps * (sums_plane + data_plane + cotangent_plane)
    own = Buffer(x.dtype, size, "thread", "tiles")
    row = -(-outputs // lanes) * lanes
    shape = (parts, channels, 3, 3, row)
    partial = row_major(Buffer(result.dtype, math.prod(shape), name="partial sums"), shape)
    numbers = [tiles, down, across, of_part, together, channel_parts, output_parts]
    numbers += [sums_plane, data_plane, cotangent_plane, size]
    x = padded(x, padding)
    for place in (x, g):
        numbers += [place.strides[0], place.strides[2]]
    arguments: tuple[Argument, ...] = (x, g, partial, Place(own, 0, (size,), (1,)), *numbers)
    tasks = parts * channel_parts * output_parts
    work = gradient_operations(tile, tiles, channels, outputs, target, parts)
    passes = {x.buffer: output_parts, g.buffer: channel_parts}
    step = Step(schedule, arguments, (partial.buffer, own), tasks, label, work, passes)

    by_part, by_channel, *by_tap, _ = partial.strides
    found = Place(partial.buffer, 0, (parts, outputs, channels, 3, 3), (by_part, 1, by_channel, *by_tap))
    identity = Chain.identity(result.dtype)
    if parts == 1:
        single = Place(found.buffer, 0, found.shape[1:], found.strides[1:])
        return [step, *plan_elements(identity, [single], [result], target, label)]
    return [step, *plan_reduction("sum", identity, [found], (0,), result, target, label)]


def _schedule(x: Place, g: Place, channels: int, outputs: int, tile: int, target: Target) -> WinogradGradientSchedule:
    lanes = most = target.lanes(x.kind)
    while lanes > 1 and lanes // 2 >= outputs:
        lanes //= 2
    of_channels = _even(channels, most)
    needed = -(-_even(outputs, lanes) // lanes)  # vectors of a task
    spare = 1 if target.has_fma else 2

    def time(vectors: int, rows: int) -> float:
        return -(-needed // vectors) * -(-of_channels // rows) * turn(rows, vectors, target)

    choices = [
        (time(vectors, rows), -rows, vectors)
        for vectors in WORTH
        for rows in range(1, min((target.registers - spare - vectors) // vectors, MOST, of_channels) + 1)
        if vectors <= needed
    ]
    _, rows, vectors = min(choices)
    block = Block(-rows, vectors, lanes, x.kind, 4)
    of_outputs = -(-needed // vectors) * block.outputs
    return WinogradGradientSchedule(
        tile, block, channels, outputs, most, x.strides[3], g.strides[3], of_channels, of_outputs
    )


def _even(count: int, lanes: int) -> int:
    """About `PART` of so many, in parts that differ little; whole vectors where there are several parts."""
    parts = -(-count // PART)
    return count if parts == 1 else -(-count // (parts * lanes)) * lanes
