"""Direct convolution: loops over pictures, blocks of outputs and rows around the micro-kernel, with the epilogue run on
the accumulators. Matrix products are the case of one tap, and stand on the same kernel (see matmul.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from wimmel.compiler.alternatives import chosen
from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.convolution_kernel import ConvolutionSchedule, fewest, narrow, together
from wimmel.compiler.kernels.depthwise import few_in_groups, plan_depthwise
from wimmel.compiler.kernels.few_outputs import few, plan_few_outputs
from wimmel.compiler.kernels.microkernel import Block, blocks_for, turns
from wimmel.compiler.kernels.packing import plan_packing
from wimmel.compiler.kernels.windows import beyond_caches
from wimmel.compiler.steps import Argument, Choice, Place, Step, bytes_of
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

TASK_PRODUCTS = 1 << 16
"""Vector multiply-adds that one task does at least, where there are as many: some tens of microseconds."""


def conforms(place: Place) -> bool:
    """Whether an epilogue can read the place: neighbouring outputs are neighbours, or one number for all."""
    return place.shape[1] == 1 or place.strides[1] in (0, 1)


def plan_convolution(
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
) -> list[Step]:
    """The steps of a convolution: packing the weights, then the products.

    Parameters
    ----------
    x : Place (n, c_in, *sizes)
        Channels neighbouring, with a halo of zeros as far as taps reach into the padding.
    weight : Place (c_out, c_in / groups, *kernel)
    results : sequence of Place (n, c_out, *outputs)
        One for each result of the chain; outputs neighbouring.
    chain : Chain
        The epilogue, whose first input is the convolution.
    operands : sequence of Place
        The chain's other inputs, stretched to the convolution's shape, each conforming.
    stride, dilation : tuple of int
    padding : pairs
        May be negative: then so much of x is left out.
    groups : int
    target : Target
    label : str
    by_group : int, optional
        Elements from the weights of one group to those of the next, if not the groups' outputs follow each other.
    window : tuple of int, optional
        What is stored of the chain's one result: the largest of each window of so many outputs, which lie side by side.
    """
    shape = results[0].shape
    if 0 in shape:
        return []
    if few_in_groups(groups, weight.shape[1], weight.shape[0] // groups, target.lanes(x.kind)):
        return plan_depthwise(
            x, weight, results, chain, operands, stride, padding, dilation, target, label, by_group
        )  # fmt: skip
    axes = len(shape) - 2
    sizes, weight, window = three(shape[2:], 1), with_three_axes(weight), three(window, 1)
    stride, dilation = three(stride, 1), three(dilation, 1)
    x, fronts = with_three_axes(x), [pair[0] for pair in three(padding, (0, 0))]
    inside = (*fronts[:2], *x.shape[2:4])
    x = padded(x, three(padding, (0, 0)))
    results = [with_three_axes(place) for place in results]
    operands = [with_three_axes(place) for place in operands]
    outputs, channels = weight.shape[0] // groups, weight.shape[1]
    if axes and math.prod(weight.shape[2:]) == math.prod(stride) == math.prod(window) == 1:
        sizes, x, results, operands = in_one_row(sizes, x, results, operands)
    pictures = results[0].shape[0]
    key = f"{x.kind} convolution, {groups} groups, {channels} to {outputs} channels, taps {weight.shape[2:]}, "
    key += f"stride {stride}, dilation {dilation}" + (f", window {window}" if math.prod(window) > 1 else "")
    width = sizes[2] * window[2]
    columns = x.strides[4] if width > 1 or weight.shape[4] > 1 else channels * groups
    if groups == 1 and few(outputs, channels, columns, weight.shape[2:], stride, dilation, target.lanes(x.kind)):
        return plan_few_outputs(x, weight, results, chain, operands, stride, dilation, target, label, inside, window)
    length = math.prod(weight.shape[1:])
    choice = chosen_block(key, target, x.kind, outputs, width, length, stride[2] * columns, window[2])
    block = choice.taken
    by_output, by_channel, *by_tap = weight.strides
    grouped = Place(
        weight.buffer,
        weight.offset,
        (groups, outputs, *weight.shape[2:], channels),
        (outputs * by_output if by_group is None else by_group, by_output, *by_tap, by_channel),
    )
    packed, steps = plan_packing(grouped, 1, block, target)
    merged = groups == 1 and dilation[2] == 1 and channels > 0 and columns == channels
    schedule = ConvolutionSchedule(
        block, groups, channels, outputs, weight.shape[2:], stride, dilation, columns, 1, merged, chain, (), (),
        window,
    )  # fmt: skip
    panel = length * block.outputs
    return [
        *steps,
        _step(schedule, choice, x, packed, 0, panel, 0, results, operands, pictures, sizes, target, label, inside),
    ]  # fmt: skip


def chosen_block(
    key: object, target: Target, kind: str, outputs: int, pixels: int, length: int = 0, apart: int = 0,
    multiple: int = 1,
) -> Choice[Block]:  # fmt: skip
    """The block that tuning found for the key, or that this process chose when it first met it: other sizes of pictures
    then find their kernel compiled. No bits depend on it."""
    options = blocks_for(target, kind, outputs, pixels, length, apart, multiple)
    return chosen(f"block of {key}", options, target, lasting=True)


def plan_products(
    a: Place, packed: Place, by_picture: int, results: Sequence[Place], chain: Chain, operands: Sequence[Place],
    pictures: int, pixels: int, inner: int, outputs: int, choice: Choice[Block], target: Target, label: str,
) -> Step:  # fmt: skip
    """The step of matrix products: views are pictures of one row, (pictures, inner or outputs, 1, 1, pixels), and the
    packed matrix of the next picture lies `by_picture` elements further."""
    ones = (1, 1, 1)
    schedule = ConvolutionSchedule(
        choice.taken, 1, 0, outputs, ones, ones, ones, a.strides[4], a.strides[1], False, chain, (), ()
    )
    sizes = (1, 1, pixels)
    panel = inner * choice.taken.outputs
    return _step(
        schedule, choice, a, packed, by_picture, panel, inner, results, operands, pictures, sizes, target, label
    )


def three(values: Sequence, missing: object) -> tuple:
    return (missing,) * (3 - len(values)) + tuple(values)


def with_three_axes(place: Place) -> Place:
    extra = 5 - len(place.shape)
    return Place(
        place.buffer,
        place.offset,
        (*place.shape[:2], *(1,) * extra, *place.shape[2:]),
        (*place.strides[:2], *(0,) * extra, *place.strides[2:]),
    )


def padded(x: Place, padding: Pairs) -> Place:
    """Where the first tap of the first output reads."""
    back = sum(before * stride for (before, _), stride in zip(padding, x.strides[2:], strict=True))
    return replace(x, offset=x.offset - back)


def in_one_row(
    sizes: Shape, x: Place, results: Sequence[Place], operands: Sequence[Place]
) -> tuple[Shape, Place, list[Place], list[Place]]:
    """With one tap and stride 1, pixels that follow each other in all views, even from picture to picture, are one
    row."""
    views = [x, *results, *operands]
    lengths = [results[0].shape[0], *sizes]
    strides = [[view.strides[0], *view.strides[2:]] for view in views]
    if math.prod(sizes) == 1:
        lengths = [1, 1, 1, lengths[0]]
        strides = [[*along[:3], along[0]] for along in strides]
    for axis in (2, 1, 0):
        if lengths[axis] == 1:
            continue
        if any(along[axis] != along[3] * lengths[3] for along in strides):
            break
        lengths[3] *= lengths[axis]
        lengths[axis] = 1
    pictures, *spatial = lengths
    merged = [
        Place(view.buffer, view.offset, (pictures, view.shape[1], *spatial), (along[0], view.strides[1], *along[1:]))
        for view, along in zip(views, strides, strict=True)
    ]
    return tuple(spatial), merged[0], merged[1 : 1 + len(results)], merged[1 + len(results) :]


def _step(
    schedule: ConvolutionSchedule, of_block: Choice[Block], x: Place, packed: Place, by_picture: int, panel: int,
    inner: int, results: Sequence[Place], operands: Sequence[Place], pictures: int, sizes: Shape, target: Target,
    label: str, inside: Shape = (0, 0, 1, 1),
) -> Step:  # fmt: skip
    """The step, with what the views and the sizes decide filled into its schedule."""
    block = schedule.block
    blocks = -(-schedule.outputs // block.outputs)
    schedule = replace(
        schedule,
        operands=tuple((place.strides[4], place.strides[1]) for place in operands),
        results=tuple((place.strides[4], 1) for place in results),
    )
    _, high, wide = schedule.window
    rows, width = sizes[0] * sizes[1], sizes[2] * wide
    blocks_of_task = 1 if width >= fewest(wide) else together(block, blocks, target, narrow(wide)[0])
    parts = -(-blocks // blocks_of_task)
    products = max(high * panel * blocks_of_task // block.lanes, 1)  # of a column
    columns = min(width, block.pixels * max(1, TASK_PRODUCTS // (block.pixels * products)))
    column_parts = max(1, width // columns)  # the last one takes the rest, so that each is at least a block wide
    rows_of_task = 1
    if column_parts == 1:
        rows_of_task = min(rows, max(1, TASK_PRODUCTS // (width * products)))
    row_parts = -(-rows // rows_of_task)
    units = pictures * row_parts * column_parts
    read = rows_of_task * high * schedule.stride[1] * columns * schedule.stride[2] * schedule.columns
    written = rows_of_task * columns // wide * schedule.groups * schedule.outputs
    weights = schedule.groups * blocks * panel * (pictures if by_picture else 1)
    read, written, weights = (number * bytes_of(block.kind) for number in (read, written, weights))
    of_chunk = chunk_choice(units, read, written, weights, parts, target)
    at_once = of_chunk.taken
    chunks = -(-units // at_once)
    numbers = [units, *sizes, parts, rows_of_task, row_parts, columns, column_parts, panel, by_picture, inner]
    numbers += [at_once, *inside]
    chunk, length = (at_once, units, parts), panel // block.outputs
    far = column_parts == 1 and beyond_caches([x, *results], target)
    numbers += _ahead(schedule, x, width, rows_of_task, chunk, length) if far else [0, 0, 0, 0]
    for place in (x, *results, *operands):
        numbers += [place.strides[0], place.strides[2], place.strides[3]]
    buffers = tuple(dict.fromkeys(place.buffer for place in results))
    tasks = chunks * schedule.groups * parts * at_once
    # what does not stay in the second-level cache from part to part, or from chunk to chunk
    room = target.l2_bytes // 2
    passes = {x.buffer: parts if at_once * read > room else 1, packed.buffer: chunks if weights > room else 1}
    if width < fewest(wide):
        block = replace(block, pixels=narrow(wide)[0], vectors=block.vectors * blocks_of_task)
    elif width < block.pixels:
        block = replace(block, pixels=fewest(wide))
    summed = length * turns(block, schedule.outputs, width, length, target)
    epilogue = width * -(-schedule.outputs // block.lanes) * (schedule.chain.work + len(results) + len(operands))
    operations = pictures * rows * high * schedule.groups * (summed + epilogue)
    arguments: tuple[Argument, ...] = (x, packed, *results, *operands, *numbers)
    return Step(schedule, arguments, buffers, tasks, label, operations, passes, (of_block, of_chunk))


def _ahead(
    schedule: ConvolutionSchedule, x: Place, width: int, rows_of_task: int, chunk: tuple[int, int, int], length: int
) -> list[int]:
    """How many elements of x further is what the next chunk of work reads: of every window the last rows, which the
    chunk before has not met. And how many of these are to be fetched for each part of the outputs, for each column, and
    in each turn. Zeros where every element is read once: that is fetched ahead anyhow."""
    block, taps, (at_once, units, parts) = schedule.block, schedule.taps, chunk
    if taps[0] == taps[1] == 1 or schedule.groups > 1:
        return [0, 0, 0, 0]
    units_ahead, shares = (at_once, parts) if at_once < units else (1, 1)
    of_row = schedule.stride[1] * x.strides[3]
    ahead = units_ahead * rows_of_task * schedule.window[1] * of_row
    for axis in (0, 1):
        ahead += ((taps[axis] - 1) * schedule.dilation[axis] + 1 - schedule.stride[axis]) * x.strides[2 + axis]
    of_column = -(-of_row // (shares * width))
    of_turn = -(-of_column * block.pixels // max(1, length // block.unroll))
    return [ahead, of_column * width if shares > 1 else 0, of_column, of_turn]


def units_of_chunk(units: int, read: int, written: int, weights: int, parts: int, target: Target) -> int:
    """How many units of work, each of which reads and writes so many bytes, are done for one part of the outputs before
    the next.

    A chunk that the second-level cache holds is read from memory once, but all weights are read for every chunk; with
    all units in one chunk it is the other way round.

    Examples
    --------
    >>> from wimmel.compiler.targets import KNOWN
    >>> units_of_chunk(100, 2**16, 2**16, 2**16, 8, KNOWN["avx512"])  # small weights
    4
    >>> units_of_chunk(100, 2**13, 2**13, 2**25, 8, KNOWN["avx512"])  # large ones
    100
    """
    room = target.l2_bytes // 2
    chunk = max(1, min(units, room // max(read + written, 1)))
    chunks = -(-units // chunk)
    by_chunk = units * read + weights * (chunks if weights > room else 1)
    by_part = units * read * (parts if units * read > room else 1) + weights
    return -(-units // chunks) if by_chunk <= by_part else units


def chunk_choice(units: int, read: int, written: int, weights: int, parts: int, target: Target) -> Choice[int]:
    """As `units_of_chunk` says; or all units at once, or such as the second-level cache holds in whole or part."""
    room, unit = target.l2_bytes, max(read + written, 1)
    sizes = [units, *(max(1, min(units, share // unit)) for share in (room // 4, room // 2, room, 2 * room))]
    expected = units_of_chunk(units, read, written, weights, parts, target)
    even = (-(-units // -(-units // size)) for size in sizes)
    options = tuple(dict.fromkeys((expected, *even))) if parts > 1 else (expected,)
    question = f"units at once, of {units} that read {read} and write {written} bytes, {parts} parts of {weights} bytes"
    return chosen(question, options, target)
