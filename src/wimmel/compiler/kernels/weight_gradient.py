"""The gradient of a convolution by its weights: for every tap, the products of what it met in x with the outputs'
cotangents, summed over pictures and positions. A block of the micro-kernel holds (taps and channels) x outputs while k
runs along rows of positions; a chunk of rows serves many blocks while it is in the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.convolution import in_one_row, padded, three, with_three_axes
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.microkernel import Block, block_for, turns
from wimmel.compiler.kernels.packing import zero
from wimmel.compiler.kernels.reduction import plan_reduction
from wimmel.compiler.kernels.weight_gradient_kernel import WeightGradientSchedule
from wimmel.compiler.kernels.windows import LINE_BYTES, beyond_caches
from wimmel.compiler.steps import Buffer, Place, Step, bytes_of, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

FEWEST, MOST = 256, 1024
"""How many products an accumulator adds before it is added to its partial sum, about: few enough that rounding errors
grow with the number of partial sums, not of products; enough that these additions cost little."""

CHUNK_BYTES = 1 << 19
"""What x and g have in a chunk of rows, about: less than a second-level cache."""

ENOUGH_TASKS = 16
"""There are so many tasks at least, where there are blocks and rows enough."""

MOST_PARTS = 32
"""Rows are shared out in at most so many parts."""

UNROLL = 2
"""Positions of one turn: rows are short."""

INTENSITY = 32
"""Operations for each byte of x and g, at least, when blocks are shared out though there are tasks enough."""


def plan_weight_gradient(
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
) -> list[Step]:
    """The steps of a weight gradient: partial sums, then their sum in the weights' layout.

    Parameters
    ----------
    x : Place (n, c_in, *sizes)
        Channels neighbouring, with a halo of zeros as far as taps reach into the padding.
    g : Place (n, c_out, *outputs)
        Channels neighbouring.
    result : Place (c_out, c_in / groups, *kernel)
    kernel, stride, padding, dilation, groups
        Those of the convolution.
    """
    if 0 in result.shape:
        return []
    if 0 in g.shape:
        return plan_elements(zero(result.dtype), [], [result], target, label)
    taps, sizes = three(kernel, 1), three(g.shape[2:], 1)
    stride, dilation = three(stride, 1), three(dilation, 1)
    x, g, padding = with_three_axes(x), with_three_axes(g), three(padding, (0, 0))
    own = [*x.shape[2:], *(front for front, _ in padding)]
    x = padded(x, padding)
    if math.prod(taps) == math.prod(stride) == 1:
        sizes, x, (g,), _ = in_one_row(sizes, x, [g], [])
        # lanes of what is written in a row: there is nothing to turn round afterwards
        if groups == 1 and result.strides[1] == 1 and result.shape[1] >= target.lanes(x.kind):
            x, g, result = g, x, result.transposed((1, 0, *range(2, len(result.shape))))
    channels, outputs = result.shape[1], result.shape[0] // groups
    wide = sizes[2] > 1 or taps[2] > 1
    columns = x.strides[4] if wide else channels * groups
    cotangents = g.strides[4] if sizes[2] > 1 else outputs * groups
    merged = groups == 1 and dilation[2] == 1 and columns == channels
    block, bundle = _block(channels, outputs, taps, merged, x.kind, target)
    schedule = WeightGradientSchedule(
        block, bundle, groups, channels, outputs, taps, stride, dilation, columns, cotangents, merged,
        bundle == math.prod(stride) == 1 < math.prod(taps) and any(map(any, padding)),
    )  # fmt: skip

    numbers, parts, slices = _shares(schedule, g.shape[0], sizes, bytes_of(x.kind))
    to_output, to_channel, *to_tap = with_three_axes(result).strides
    whole = Place(
        result.buffer,
        result.offset,
        (groups, outputs, channels, *taps),
        (outputs * to_output, to_output, to_channel, *to_tap),
    )
    padded_outputs = schedule.output_blocks * block.outputs
    partial = row_major(
        Buffer(result.dtype, parts * groups * math.prod(taps) * channels * padded_outputs, name="partial sums"),
        (parts, groups, *taps, channels, padded_outputs),
    )
    if parts == 1 and padded_outputs == outputs and _lies_alike(_sums(partial, outputs), whole):
        partial = replace(partial, buffer=whole.buffer, offset=whole.offset)
    for place in (x, g):
        numbers += [place.strides[0], place.strides[2], place.strides[3]]
    numbers += own
    numbers += _ahead(schedule, x, g, numbers, target)
    runs = groups * math.prod(schedule.runs) // (schedule.neighbours if bundle > 1 else 1)
    rows = schedule.run * (schedule.neighbours if bundle > 1 else 1)
    operations = runs * turns(block, outputs, rows, 0, target) * g.shape[0] * math.prod(sizes)
    passes = {x.buffer: slices, g.buffer: slices}
    step = Step(schedule, (x, g, partial, *numbers), (partial.buffer,), parts * slices, label, operations, passes)
    if partial.buffer is whole.buffer:
        return [step]
    identity = Chain.identity(result.dtype)
    if parts == 1:
        return [step, *plan_elements(identity, [_sums(partial, outputs)], [whole], target, label)]
    of_part = partial.strides[0]
    first = _sums(partial, outputs)
    sums = Place(partial.buffer, 0, (parts, *first.shape), (of_part, *first.strides))
    return [step, *plan_reduction("sum", identity, [sums], (0,), whole, target, label)]


def _ahead(schedule: WeightGradientSchedule, x: Place, g: Place, numbers: Sequence[int], target: Target) -> list[int]:
    """How many elements further the next chunk begins, and how many of them each turn is to fetch, in x and then in g:
    of every window the last rows, which the chunk before has not met. Zeros where caches hold both, and where blocks
    are so few that each reads on and on: processors see that coming by themselves."""
    width, pieces, _, _, flush, of_slice, _ = numbers[3:10]
    strides = schedule.stride
    if pieces > 1:
        x_row = x_ahead = width * strides[2] * schedule.columns
        g_row = g_ahead = width * schedule.cotangents
    else:
        x_row, g_row = strides[1] * x.strides[3], g.strides[3]
        x_ahead, g_ahead = flush * x_row, flush * g_row
    turns = of_slice * max(1, width // schedule.block.unroll)
    x_share, g_share = -(-x_row // turns), -(-g_row // turns)
    if not beyond_caches([x, g], target, 5 / 16) or max(x_share, g_share) * bytes_of(x.kind) > LINE_BYTES:
        return [0, 0, 0, 0]
    for axis in (0, 1):
        x_ahead += ((schedule.taps[axis] - 1) * schedule.dilation[axis] + 1 - strides[axis]) * x.strides[2 + axis]
    return [x_ahead, x_share, g_ahead, g_share]


def _sums(partial: Place, outputs: int) -> Place:
    """The sums of the first part as (groups, outputs, channels, *taps)."""
    _, groups, *taps, channels, _ = partial.shape
    _, of_group, *by_tap, by_channel, _ = partial.strides
    return Place(partial.buffer, 0, (groups, outputs, channels, *taps), (of_group, 1, by_channel, *by_tap))


def _lies_alike(a: Place, b: Place) -> bool:
    rows = zip(a.shape, a.strides, b.strides, strict=True)
    return all(size == 1 or first == second for size, first, second in rows)


def _block(channels: int, outputs: int, taps: Shape, merged: bool, kind: str, target: Target) -> tuple[Block, int]:
    """The block, and how many runs it takes."""
    run = channels * (taps[2] if merged else 1)
    neighbours = taps[1] if merged else taps[2]
    block = block_for(target, kind, outputs, run * neighbours)
    bundle = min(block.pixels // run, neighbours)
    if bundle > 1:
        bundle = -(-neighbours // -(-neighbours // bundle))
        return replace(block, pixels=bundle * run, unroll=UNROLL), bundle
    block = block_for(target, kind, outputs, run)
    return replace(block, pixels=-(-run // -(-run // block.pixels)), unroll=UNROLL), 1


def _shares(schedule: WeightGradientSchedule, pictures: int, sizes: Shape, size: int) -> tuple[list[int], int, int]:
    """The kernel's numbers, and into how many parts the rows and into how many slices the blocks are cut."""
    passed = min(schedule.stride[2], schedule.taps[2]) * min(schedule.stride[1], schedule.taps[1])
    elements = schedule.columns * passed + schedule.cotangents  # of x and g, for each position
    chunk = min(max(CHUNK_BYTES // (elements * size), FEWEST), MOST)
    width = min(sizes[2], chunk)
    pieces = -(-sizes[2] // width)  # of a row
    units = pictures * sizes[0] * sizes[1] * pieces
    flush = max(1, chunk // width)
    positions = pictures * math.prod(sizes)
    weights = schedule.groups * schedule.outputs * schedule.channels * math.prod(schedule.taps)

    parts = max(1, min(MOST_PARTS, positions // MOST, positions * elements // weights, -(-units // flush)))
    parts = max(parts, min(-(-ENOUGH_TASKS // schedule.blocks), -(-units // flush)))
    of_part = -(-units // parts)
    parts = -(-units // of_part)
    slices = max(-(-ENOUGH_TASKS // parts), 2 * weights // (INTENSITY * elements * size))
    of_slice = -(-schedule.blocks // min(slices, schedule.blocks))
    slices = -(-schedule.blocks // of_slice)
    return [*sizes, width, pieces, units, of_part, flush, of_slice, slices], parts, slices
