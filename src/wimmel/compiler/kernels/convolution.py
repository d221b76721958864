"""Direct convolution: loops over pictures, blocks of outputs and rows around the micro-kernel, with the epilogue run on
the accumulators. Matrix products are the case of one tap, and stand on the same kernel (see matmul.py)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.alternatives import chosen
from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.depthwise import few_in_groups, plan_depthwise
from wimmel.compiler.kernels.few_outputs import few, plan_few_outputs
from wimmel.compiler.kernels.loops import taps_within
from wimmel.compiler.kernels.microkernel import FEWEST, Block, accumulate, blocks_for, turns, zeros
from wimmel.compiler.kernels.packing import plan_packing
from wimmel.compiler.kernels.pooling import larger, lowest_of
from wimmel.compiler.language import Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Argument, Choice, Place, Step, bytes_of
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

TASK_PRODUCTS = 1 << 16
"""Vector multiply-adds that one task does at least, where there are as many: some tens of microseconds."""


SHORT = (2, 1)
"""Pixels of the blocks for rows of fewer than `FEWEST`. They take several blocks of outputs at once, so that there are
products enough in flight."""


def fewest(across: int) -> int:
    """As `FEWEST`, in whole windows of so many columns.

    Examples
    --------
    >>> fewest(1), fewest(2), fewest(3)
    (4, 4, 6)
    """
    return -(-FEWEST // across) * across


def narrow(across: int) -> list[int]:
    """As `SHORT`, in whole windows of so many columns.

    Examples
    --------
    >>> narrow(1), narrow(2), narrow(3)
    ([2, 1], [2], [3])
    """
    return sorted({max(1, pixels // across) * across for pixels in SHORT}, reverse=True)


@dataclass(frozen=True)
class ConvolutionSchedule:
    """What a convolution's code depends on. Three spatial axes always; those that are missing have size 1.

    Attributes
    ----------
    block : Block
        Of the micro-kernel; its pixels are neighbouring columns.
    groups : int
    channels, outputs : int
        Of one group. ``channels`` 0: the number of products is a run-time argument (matrix products).
    taps, stride, dilation : tuple of int
    columns : int
        Elements from one column of the input to the next.
    channel : int
        Elements from one channel of the input to the next.
    merged : bool
        Whether the taps of a row and the channels are one run of neighbouring elements.
    chain : Chain
        The epilogue; its first input is the sum of products.
    operands, results : tuple of (int, int)
        For each of the chain's other inputs and each of its results: elements from column to column, and from output
        to output.
    window : (int, int, int)
        Of how many neighbouring outputs only the largest is stored, along each axis; the first is 1.
    """

    block: Block
    groups: int
    channels: int
    outputs: int
    taps: Shape
    stride: Shape
    dilation: Shape
    columns: int
    channel: int
    merged: bool
    chain: Chain
    operands: tuple[tuple[int, int], ...]
    results: tuple[tuple[int, int], ...]
    window: Shape = (1, 1, 1)

    def kernel(self, target: Target, name: str) -> Function:
        return _Convolution(self, target, name).write()


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
        Channels neighbouring, with a halo of zeros as wide as the padding.
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
    for place in (x, *results, *operands):
        numbers += [place.strides[0], place.strides[2], place.strides[3]]
    buffers = tuple(dict.fromkeys(place.buffer for place in results))
    tasks = chunks * schedule.groups * parts * at_once
    # what does not stay in the second-level cache from part to part, or from chunk to chunk
    room = target.l2_bytes // 2
    passes = {x.buffer: parts if at_once * read > room else 1, packed.buffer: chunks if weights > room else 1}
    length = panel // block.outputs
    if width < fewest(wide):
        block = replace(block, pixels=narrow(wide)[0], vectors=block.vectors * blocks_of_task)
    elif width < block.pixels:
        block = replace(block, pixels=fewest(wide))
    summed = length * turns(block, schedule.outputs, width, length, target)
    epilogue = width * -(-schedule.outputs // block.lanes) * (schedule.chain.work + len(results) + len(operands))
    operations = pictures * rows * high * schedule.groups * (summed + epilogue)
    arguments: tuple[Argument, ...] = (x, packed, *results, *operands, *numbers)
    return Step(schedule, arguments, buffers, tasks, label, operations, passes, (of_block, of_chunk))


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


def together(block: Block, blocks: int, target: Target, pixels: int) -> int:
    """How many blocks of outputs short rows take at once, in blocks of so many pixels."""
    vectors = min(8, (target.registers - pixels - 1) // pixels)
    return max(1, min(blocks, vectors // block.vectors))


@dataclass(frozen=True)
class _Panel:
    """One block of outputs: its packed weights, where it begins in each view, and how many of its outputs exist."""

    weights: Value
    views: list[Value]
    filled: Number


class _Convolution:
    """Writes the kernel: tasks, rows, blocks of columns, taps."""

    def __init__(self, schedule: ConvolutionSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        self.blocks = -(-schedule.outputs // schedule.block.outputs)
        self.window = schedule.window
        self.left: Number = 0
        self.right: Number = 0
        self.line: Number = 0
        self.planes: tuple[Number, Number] = (0, 0)
        self.lines: tuple[Number, Number] = (0, 0)

    def write(self) -> Function:
        builder, schedule = self.builder, self.schedule
        argument, begin, end, _ = builder.kernel()
        count = len(schedule.results) + len(schedule.operands)
        words = builder.arguments(argument, "pp" + "p" * count + "i" * 17 + "iii" * (1 + count))
        self.x, self.packed, *pointers = words[: 2 + count]
        words = words[2 + count :]
        self.units, self.depth, self.height, self.width, self.parts, rows_of_task, self.row_parts = words[:7]
        columns, self.column_parts, self.panel, self.packed_picture, self.length, self.of_chunk = words[7:13]
        self.fronts, self.x_sizes = words[13:15], words[15:17]
        self.width = self.width * self.window[2]
        strides = [words[17 + 3 * i : 20 + 3 * i] for i in range(1 + count)]
        self.x_strides, view_strides = strides[0], strides[1:]
        self.views = list(zip(pointers, view_strides, (*schedule.results, *schedule.operands), strict=True))

        def task(number: Value) -> None:
            unit, group, part = self.decoded(number)
            column_part, lines = unit % self.column_parts, unit // self.column_parts
            row_part, picture = lines % self.row_parts, lines // self.row_parts
            first = row_part * rows_of_task
            last = builder.minimum(first + rows_of_task, self.depth * self.height)
            last = builder.select(builder.compare("lt", unit, self.units), last, first)  # the last chunk may be smaller
            self.left = column_part * columns
            is_last = builder.compare("eq", column_part, self.column_parts - 1)
            self.right = builder.select(is_last, self.width, self.left + columns)

            def rows(panels: list[tuple[Number, Number]], block: Block, widths: Sequence[int]) -> None:
                builder.loop(first, last, 1, lambda row: self.row(picture, group, row, panels, block, widths))

            is_wide = builder.compare("ge", self.width, fewest(self.window[2]))
            builder.when(is_wide, lambda: self.wide(part, rows), lambda: self.short(part, rows))

        builder.loop(begin, end, 1, task)
        return builder.function()

    def decoded(self, number: Value) -> tuple[Value, Number, Number]:
        """Unit of the work, group, and part of the blocks of outputs of a task: chunk by chunk of units."""
        unit, number = number % self.of_chunk, number // self.of_chunk
        part, number = number % self.parts, number // self.parts
        chunk, group = number // self.schedule.groups, number % self.schedule.groups
        return self.builder.index(chunk * self.of_chunk + unit), group, part

    def wide(self, number: Number, rows: Callable[..., None]) -> None:
        """Rows of at least `FEWEST` pixels, for one block of outputs; the last one may need fewer vectors."""
        builder, schedule, block = self.builder, self.schedule, self.schedule.block
        widths = sorted({block.pixels, min(block.pixels, fewest(self.window[2]))}, reverse=True)
        whole, rest = divmod(schedule.outputs, block.outputs)

        def last() -> None:
            rows([(number, rest)], replace(block, vectors=-(-rest // block.lanes)), widths)

        def other() -> None:
            rows([(number, block.outputs)], block, widths)

        if rest and whole:
            builder.when(builder.compare("lt", number, whole), other, last)
        else:
            (last if rest else other)()

    def short(self, part: Number, rows: Callable[..., None]) -> None:
        """Rows of few pixels, for several blocks of outputs. Where there are not as many left, the last one is
        computed more than once."""
        builder, schedule, block = self.builder, self.schedule, self.schedule.block
        widths = narrow(self.window[2])
        count = together(block, self.blocks, self.target, widths[0])
        numbers = [builder.minimum(part * count + number, self.blocks - 1) for number in range(count)]
        panels = [(number, builder.minimum(schedule.outputs - number * block.outputs, block.outputs))
                  if schedule.outputs % block.outputs else (number, block.outputs) for number in numbers]  # fmt: skip
        rows(panels, replace(block, vectors=count * block.vectors), widths)

    def row(
        self, picture: Number, group: Number, row: Value, blocks: Sequence[tuple[Number, Number]], block: Block,
        widths: Sequence[int],
    ) -> None:  # fmt: skip
        """One row of outputs: blocks of columns, the last one overlapping; the widest that are not too wide for it."""
        builder, schedule = self.builder, self.schedule
        plane, line = row // self.height, row % self.height
        self.line = line * self.window[1]
        self.planes, self.lines = self.within(0, plane), self.within(1, self.line)
        by_picture, by_plane, by_line = self.x_strides
        start = picture * by_picture + plane * by_plane * schedule.stride[0] + self.line * by_line * schedule.stride[1]
        start = start + group * (schedule.channels * schedule.channel)
        x = builder.offset(self.x, start, block.kind)
        panels = []
        for number, filled in blocks:
            panel = (group * self.blocks + number) * self.panel + picture * self.packed_picture
            output = group * schedule.outputs + number * schedule.block.outputs
            views, results = list[Value](), len(schedule.results)
            for (pointer, (by_picture, by_plane, by_line), (_, by_output)), type_ in zip(
                self.views, self.view_types(), strict=True
            ):
                there = line if len(views) < results else self.line
                place = picture * by_picture + plane * by_plane + there * by_line + output * by_output
                views.append(builder.offset(pointer, place, type_.kind))
            panels.append(_Panel(builder.offset(self.packed, panel, block.kind), views, filled))

        def turns(width: int) -> None:
            narrow, last = replace(block, pixels=width), self.right - width
            builder.loop(
                self.left, self.right, width,
                lambda column: self.columns(narrow, x, panels, builder.minimum(column, last)),
            )  # fmt: skip

        def widest(width: int, *narrower: int) -> None:
            if not narrower:
                turns(width)
                return
            fits = builder.compare("ge", self.width, width)
            builder.when(fits, lambda: turns(width), lambda: widest(*narrower))

        widest(*widths)

    def within(self, axis: int, place: Number) -> tuple[Number, Number]:
        """The planes or lines of taps that meet more than x's halo at an output."""
        schedule = self.schedule
        return taps_within(
            self.builder, place, schedule.taps[axis], schedule.stride[axis], schedule.dilation[axis],
            self.fronts[axis], self.x_sizes[axis],
        )  # fmt: skip

    def columns(self, block: Block, x: Value, panels: Sequence[_Panel], column: Value) -> None:
        """One block of columns: the products of all taps, then the epilogue; where windows are pooled, for each of
        their lines, of which the largest results are kept."""
        schedule, builder, (_, high, wide) = self.schedule, self.builder, self.window
        x = builder.offset(x, column * (schedule.stride[2] * schedule.columns), block.kind)
        if high == wide == 1:
            sums = self.products(block, x, panels, self.lines)
            for panel, v, p, outcome in self.epilogue(block, sums, panels, column):
                self.store(block, outcome, panel, v, column + p)
            return
        (dtype,), across = schedule.chain.result_dtypes, block.pixels // wide

        def line(number: Value, *largest: Value) -> list[Value]:
            lines = self.lines if high == 1 else self.within(1, self.line + number)
            there = builder.offset(x, number * (self.x_strides[2] * schedule.stride[1]), block.kind)
            sums = self.products(block, there, panels, lines)
            found: list[Value] = []
            for _, _, p, (value,) in self.epilogue(
                block, sums, [self.below(panel, number) for panel in panels], column
            ):
                if p % wide == 0:
                    found.append(value)
                else:
                    found[-1] = larger(builder, dtype, found[-1], value)
            return [larger(builder, dtype, best, value) for best, value in zip(largest, found, strict=True)]

        start = builder.constant(Type(KIND_OF[dtype], block.lanes), lowest_of(dtype))
        largest = iter(builder.loop(0, high, 1, line, [start] * (across * block.vectors)))
        for panel in panels:
            for v in range(block.vectors // len(panels)):
                for p in range(across):
                    self.store(block, [next(largest)], panel, v, column // wide + p)

    def below(self, panel: _Panel, lines: Value) -> _Panel:
        """So many lines of the operands further down."""
        results, views = len(self.schedule.results), list(panel.views)
        for place, (_, (_, _, by_line), _) in enumerate(self.views[results:], results):
            views[place] = self.builder.offset(views[place], lines * by_line, self.view_types()[place].kind)
        return replace(panel, views=views)

    def products(self, block: Block, x: Value, panels: Sequence[_Panel], lines: tuple[Number, Number]) -> list[Value]:
        """The sums of all products, in some lines of taps."""
        schedule, builder, step = self.schedule, self.builder, self.schedule.block.outputs
        depth, height, width = schedule.taps
        length: Number = schedule.channels or self.length
        run = length * width if schedule.merged else length
        _, by_plane, by_line = self.x_strides

        def further(weights: Sequence[Value], number: Number) -> list[Value]:
            return [builder.offset(panel, number * length * step, block.kind) for panel in weights]

        by_pixel = schedule.stride[2] * schedule.columns
        # what one block of pixels reads, others read too, unless there is but one tap: then it is streamed
        ahead = block.pixels * by_pixel if depth == height == width == 1 else 0

        def run_of(x: Value, weights: Sequence[Value], taken: Sequence[Value]) -> list[Value]:
            return accumulate(builder, block, x, weights, run, taken, by_pixel, schedule.channel, step, ahead=ahead)

        def line(plane: Number, line: Number, taken: Sequence[Value]) -> list[Value]:
            start = plane * by_plane * schedule.dilation[0] + line * by_line * schedule.dilation[1]
            row = builder.offset(x, start, block.kind)
            there = further(weights, (plane * height + line) * width)
            if schedule.merged or width == 1:
                return run_of(row, there, taken)

            def tap(number: Number, *taken: Value) -> list[Value]:
                along = builder.offset(row, number * (schedule.dilation[2] * schedule.columns), block.kind)
                return run_of(along, further(there, number), taken)

            return builder.loop(0, width, 1, tap, taken)

        def plane(number: Number, *taken: Value) -> list[Value]:
            if height == 1:
                return line(number, 0, taken)
            return builder.loop(*lines, 1, lambda along, *taken: line(number, along, taken), taken)

        weights, taken = [panel.weights for panel in panels], zeros(builder, block)
        return plane(0, *taken) if depth == 1 else builder.loop(*self.planes, 1, plane, taken)

    def view_types(self) -> list[Type]:
        """The kinds of the results, then of the operands."""
        chain = self.schedule.chain
        return [Type(KIND_OF[dtype]) for dtype in (*chain.result_dtypes, *chain.inputs[1:])]

    def epilogue(
        self, block: Block, sums: Sequence[Value], panels: Sequence[_Panel], column: Value
    ) -> Iterator[tuple[_Panel, int, int, list[Value]]]:
        """The chain's results for a vector of every panel and pixel, in this order: panel, vector, pixel, results."""
        builder, schedule = self.builder, self.schedule
        results, types, vectors = len(schedule.results), self.view_types(), block.vectors // len(panels)

        def operand(pointer: Value, type_: Type, steps: tuple[int, int], p: int, v: int, mask: Value | None) -> Value:
            by_column, by_output = steps
            place = (column + p) * by_column
            if by_output == 0:
                return builder.load(pointer, place, type_)
            return builder.load(pointer, place + v * block.lanes, type_.of(block.lanes), mask)

        for number, panel in enumerate(panels):
            read = list(zip(panel.views[results:], types[results:], schedule.operands, strict=True))
            for v in range(vectors):
                mask = self.mask(block, panel, v)
                still = {
                    place: operand(pointer, type_, steps, 0, v, mask)
                    for place, (pointer, type_, steps) in enumerate(read)
                    if steps[0] == 0
                }
                for p in range(block.pixels):
                    values = [sums[p * block.vectors + number * vectors + v]]
                    for place, (pointer, type_, steps) in enumerate(read):
                        known = still.get(place)
                        values.append(operand(pointer, type_, steps, p, v, mask) if known is None else known)
                    outcome = schedule.chain.emit(builder, self.target, values)
                    yield panel, v, p, [builder.broadcast(value, block.lanes) for value in outcome]

    def store(self, block: Block, outcome: Sequence[Value], panel: _Panel, v: int, column: Number) -> None:
        """One vector of each result; only the lanes that exist."""
        mask = self.mask(block, panel, v)
        for value, pointer, (by_column, _) in zip(outcome, panel.views, self.schedule.results, strict=False):
            self.builder.store(value, pointer, column * by_column + v * block.lanes, mask)

    def mask(self, block: Block, panel: _Panel, v: int) -> Value | None:
        """Which lanes of a panel's vector exist; None if all do."""
        if not isinstance(panel.filled, int):
            return self.builder.mask(panel.filled - v * block.lanes, block.lanes)
        if panel.filled >= (v + 1) * block.lanes:
            return None
        exist = [int(v * block.lanes + lane < panel.filled) for lane in range(block.lanes)]
        return self.builder.constant(Type("i1", block.lanes), exist)
