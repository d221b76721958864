"""Convolutions, and matrix products, with fewer outputs than lanes: when they are worth a kernel of their own, and the
plan of its steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.few_outputs_kernel import FewOutputsSchedule, is_merged, shares_rows
from wimmel.compiler.steps import Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape

TASK_PRODUCTS = 1 << 16
"""Vector multiply-adds that one task does at least, where there are as many: some tens of microseconds."""

ROWS = 6
"""Rows of a block, where there is one output: what is loaded serves them all."""

FOLDING = 3
"""What it costs to sum up the lanes of a vector, in multiply-adds."""


def few(outputs: int, channels: int, columns: int, taps: Shape, stride: Shape, dilation: Shape, lanes: int) -> bool:
    """Whether this is the kernel for so many outputs.

    Parameters
    ----------
    outputs, channels : int
    columns : int
        Elements of x from column to column.
    taps, stride, dilation : (int, int, int)
    lanes : int
        The target's.

    Examples
    --------
    >>> [few(outputs, 1, 1, (1, 3, 3), (1, 1, 1), (1, 1, 1), 16) for outputs in (1, 6, 16)]
    [True, True, False]
    >>> [few(outputs, 64, 64, (1, 3, 3), (1, 2, 2), (1, 1, 1), 16) for outputs in (1, 6, 16)]
    [True, True, False]
    """
    if channels == columns == stride[2] == 1:
        return 4 * outputs <= 3 * lanes
    runs, run = _runs(channels, columns, taps, dilation)
    return run > 1 and few_cost(outputs, runs, run, lanes) < 0.8 * runs * run


def _runs(channels: int, columns: int, taps: Shape, dilation: Shape) -> tuple[int, int]:
    """In how many runs a column's products lie, and how many in each."""
    run, runs = channels, math.prod(taps)
    if is_merged(columns, channels, dilation):
        return runs // taps[2], run * taps[2]
    return runs, run


def direct_cost(outputs: int, channels: int, taps: Shape, dilation: Shape, lanes: int) -> float:
    """What a column of a convolution with stride 1 and one group costs where its products are summed up, in
    multiply-adds."""
    if not few(outputs, channels, channels, taps, (1, 1, 1), dilation, lanes):
        return math.prod(taps) * channels * -(-outputs // lanes)
    if channels == 1:
        return outputs * math.prod(taps) / lanes
    return few_cost(outputs, *_runs(channels, channels, taps, dilation), lanes)


def few_cost(outputs: int, runs: float, run: float, lanes: int) -> float:
    """What a column costs where the lanes run over the products, of which there are so many runs, in multiply-adds."""
    return outputs * (runs * math.ceil(run / lanes) + FOLDING)


def plan_few_outputs(
    x: Place,
    weight: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    stride: Shape,
    dilation: Shape,
    target: Target,
    label: str = "",
    inside: Shape = (0, 0, 1, 1),
    window: Shape = (1, 1, 1),
) -> list[Step]:
    """The steps: where the lanes run over channels, the weights are put into their order first, if they are not.

    Parameters
    ----------
    x : Place (n, c, depth, height, width)
        Channels neighbouring; the first tap of the first output.
    weight : Place (outputs, c, *taps)
    results : sequence of Place (n, outputs, *sizes)
        One for each result of the chain; outputs neighbouring.
    chain : Chain
        The epilogue, whose first input is the convolution.
    operands : sequence of Place
        The chain's other inputs, stretched to the convolution's shape; outputs neighbouring, or one number for all.
    stride, dilation : tuple of int
        Of three axes.
    inside : (int, int, int, int)
        Planes and lines of x's halo before its first, and how many it has itself.
    window : (int, int, int)
        Of how many neighbouring outputs only the largest is stored, along each axis; the first is 1.
    """
    pictures, outputs, *sizes = results[0].shape
    channels, taps = weight.shape[1], weight.shape[2:]
    _, high, across = window
    columns = x.strides[4] if sizes[2] * across > 1 or taps[2] > 1 else channels
    over_channels = not channels == columns == stride[2] == 1
    steps: list[Step] = []
    by_channel, by_tap = weight.strides[1], weight.strides[4]
    in_run = taps[2] == 1 or by_tap == channels or not is_merged(columns, channels, dilation)
    if over_channels and not (by_channel == 1 and in_run):
        order = (0, 2, 3, 4, 1)
        packed = row_major(
            Buffer(weight.dtype, weight.size, name="packed"), tuple(weight.shape[axis] for axis in order)
        )
        copy = Chain.identity(weight.dtype)
        steps += plan_elements(copy, [weight.transposed(order)], [packed], target, "pack")
        weight = packed.transposed((0, 4, 1, 2, 3))
    schedule = _schedule(
        columns, weight, results, chain, operands, stride, dilation, over_channels, (high, across), target
    )

    depth, height, width = sizes
    wide = schedule.lanes * max(1, schedule.vectors // across)
    in_lanes = schedule.run if over_channels else schedule.lanes
    products = max(1, math.prod(window) * outputs * math.prod(taps) * channels // in_lanes)  # of a result
    of_task = min(width, wide * max(1, TASK_PRODUCTS // products))
    column_parts = width // of_task  # the last one takes the rest, so that each is at least a block wide
    lines = schedule.rows // high
    if column_parts == 1:
        lines *= max(1, TASK_PRODUCTS // (width * products * lines))
    lines = min(height, lines)
    line_parts = height // lines
    numbers = [*sizes, lines, line_parts, of_task, column_parts, *inside]
    for place in (x, *results, *operands):
        numbers += [place.strides[0], place.strides[2], place.strides[3]]
    written = tuple(dict.fromkeys(place.buffer for place in results))
    tasks = pictures * depth * line_parts * column_parts
    finishing = outputs * (chain.work + len(results) + len(operands))
    finished = finishing + outputs * FOLDING if over_channels else finishing / schedule.lanes
    operations = pictures * depth * height * width * (products + math.prod(window) * finished)
    return [*steps, Step(schedule, (x, weight, *results, *operands, *numbers), written, tasks, label, operations)]


def _schedule(
    columns: int, weight: Place, results: Sequence[Place], chain: Chain, operands: Sequence[Place], stride: Shape,
    dilation: Shape, over_channels: bool, window: tuple[int, int], target: Target,
) -> FewOutputsSchedule:  # fmt: skip
    outputs, channels, taps = weight.shape[0], weight.shape[1], weight.shape[2:]
    lanes, (high, wide) = target.lanes(weight.kind), window
    rows, vectors, run = high, 1, 1
    if over_channels:
        run = min(lanes, power_of_two(channels * taps[2] if is_merged(columns, channels, dilation) else channels))
        lanes = max(1, min(8, run, power_of_two((target.registers - 2) // outputs - 1)))
    elif shares_rows(outputs, taps, stride, dilation):
        rows = ROWS // high * high
        vectors = max(1, (target.registers - 4) // ROWS)
    else:
        vectors = max(1, min(8, max(wide, -(-12 // outputs)), (target.registers - 2) // (outputs + 1)))
    if vectors > wide:
        vectors = vectors // wide * wide
    return FewOutputsSchedule(
        weight.kind, over_channels, channels, outputs, taps, stride, dilation, columns,
        (weight.strides[0], *weight.strides[2:]), lanes, run, vectors, rows, chain,
        tuple((place.strides[4], place.strides[1]) for place in operands),
        tuple(place.strides[4] for place in results),
        window,
    )  # fmt: skip


def power_of_two(number: int) -> int:
    """The largest that is not above the number."""
    return 1 << (max(number, 1).bit_length() - 1)
