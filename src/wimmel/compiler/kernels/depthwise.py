"""Convolutions in groups of few channels, above all depthwise ones, where each channel has a filter of its own: which
are computed in one kernel, and the plan of its steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.depthwise_kernel import UNROLLED, DepthwiseConvolution, DepthwiseSchedule
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.windows import beyond_caches, filled_lanes, on_three_axes, picture
from wimmel.compiler.steps import KIND_OF, Argument, Buffer, Place, Step, bytes_of, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

TASK_PRODUCTS = 1 << 14
"""Vector multiply-adds that one task does at least, where there are as many: some microseconds."""

COLUMNS = (4, 7)
"""Outputs in a row of a block, at least and at most: enough that multiply-adds do not wait for each other."""


def few_in_groups(groups: int, inputs: int, outputs: int, lanes: int) -> bool:
    """Whether a vector has room for the outputs of several groups, of so many channels and outputs each, and it is easy
    to bring the channels to their lanes.

    Examples
    --------
    >>> [few_in_groups(8, *group, lanes=16) for group in ((4, 4), (2, 4), (8, 4), (16, 4), (4, 3), (16, 16))]
    [True, True, True, False, False, False]
    """
    return groups > 1 and 2 * outputs <= lanes and outputs & (outputs - 1) == 0 and 1 <= inputs <= 2 * outputs


def plan_depthwise(
    x: Place,
    weight: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    target: Target,
    label: str = "",
    by_group: int | None = None,
) -> list[Step]:
    """The steps of a convolution in groups of few channels: packing the weights, then the products.

    The products of an output are added in the order of the lines of taps, then of a group's channels, whatever the
    target.

    Parameters
    ----------
    x : Place (n, c, *sizes), with one to three spatial axes
        Channels neighbouring, with zeros around as far as taps reach into the padding.
    weight : Place (outputs, c / groups, *kernel)
    results : sequence of Place (n, outputs, *sizes)
        One for each result of the chain; outputs neighbouring.
    chain : Chain
        The epilogue, whose first input is the convolution, of floats.
    operands : sequence of Place
        The chain's other inputs, stretched to the results' shape; outputs neighbouring, or one number for all.
    stride, padding, dilation
        Those of the convolution.
    target : Target
    label : str
        For people.
    by_group : int, optional
        Elements from the weights of one group to those of the next, if not the groups' outputs follow each other.

    Returns
    -------
    list of Step, empty where there are no outputs
    """
    if 0 in results[0].shape:
        return []
    part = part_of(x, weight, results, chain, operands, stride, padding, dilation, target, label, by_group)
    return plan_together([part], target, label)


@dataclass(frozen=True)
class Part:
    """A convolution that a step computes alone or together with others of the same pictures.

    Attributes
    ----------
    packing : list of Step
        What is done before.
    convolution : DepthwiseConvolution
    x, packed : Place
    results, operands : list of Place
    of_turn : int
        Channels for which all rows of a task are computed before the next.
    """

    packing: list[Step]
    convolution: DepthwiseConvolution
    x: Place
    packed: Place
    results: list[Place]
    operands: list[Place]
    of_turn: int

    @property
    def places(self) -> list[Place]:
        return [self.x, self.packed, *self.results, *self.operands]

    @property
    def rows_of_task(self) -> int:
        """So many that their products are enough, in whole blocks."""
        _, c, _, height, width = self.results[0].shape
        rows = self.convolution.rows
        products_of_rows = rows * width * -(-c // self.convolution.lanes) * self._products
        return rows * min(height // rows, max(1, TASK_PRODUCTS // products_of_rows))

    @property
    def operations(self) -> int:
        n, c, depth, height, width = self.results[0].shape
        columns, of_vector = self.convolution.columns, self._products + self.convolution.chain.work
        vectors = n * depth * height * -(-width // columns) * columns * -(-c // self.convolution.lanes)
        return vectors * (of_vector + len(self.results) + len(self.operands))

    @property
    def _products(self) -> int:
        return max(1, self.convolution.inputs * math.prod(self.convolution.taps))


def part_of(
    x: Place,
    weight: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    target: Target,
    label: str = "",
    by_group: int | None = None,
) -> Part:
    """What `plan_depthwise` takes, for `plan_together`; there are outputs."""
    taps, stride, dilation = (on_three_axes(row, 1) for row in (weight.shape[2:], stride, dilation))
    x, results, operands = picture(x), [*map(picture, results)], [*map(picture, operands)]
    front = on_three_axes([pair[0] for pair in padding], 0)
    start = x.offset - sum(zeros * step for zeros, step in zip(front, x.strides[2:], strict=True))
    c, height, width = (results[0].shape[axis] for axis in (1, 3, 4))
    inputs, groups = weight.shape[1], x.shape[1] // weight.shape[1]
    outputs = c // groups
    packed, steps = _packed(_by_groups(weight, groups, by_group), chain.inputs[0], target, label)

    assert all(place.strides[1] == 1 for place in (x, *results)), "channels of depthwise convolutions are neighbours"
    lanes = full = target.lanes(KIND_OF[chain.inputs[0]])
    if max(inputs, outputs) == 1:
        lanes, _, _ = filled_lanes([x, *results], full, False, target)
    while lanes > c and inputs * outputs > 1:
        lanes //= 2
    convolution = DepthwiseConvolution(
        x.dtype, inputs, outputs, taps, stride, dilation, 0, 0, lanes, c, x.strides[4], chain,
        tuple((place.strides[4], place.strides[1]) for place in results),
        tuple((place.strides[4], place.strides[1]) for place in operands),
    )  # fmt: skip
    rows, columns = _chosen_block(convolution, height, width, target)
    convolution = replace(convolution, rows=rows, columns=columns)
    of_turn = _channels_of_turn(convolution, x, width, target)
    return Part(steps, convolution, replace(x, offset=start), packed, results, operands, of_turn)


def plan_together(parts: Sequence[Part], target: Target, label: str = "") -> list[Step]:
    """The steps of convolutions of the same pictures with equally many planes of results, whose rows each task computes
    one after another: so many as the second-level cache holds, if there are several."""
    convolutions = tuple(part.convolution for part in parts)
    block = max(convolution.rows for convolution in convolutions)
    rows_of_task = min(part.rows_of_task for part in parts)
    if len(parts) > 1:
        met = [parts[0].x, *(place for part in parts for place in part.results)]
        of_row = sum(place.shape[1] * place.shape[4] * bytes_of(place.kind) for place in met)
        rows_of_task = min(rows_of_task, target.l2_bytes // 2 // of_row)
    rows_of_task = max(1, rows_of_task // block) * block
    shares = max(1, -(-(min(part.results[0].shape[3] for part in parts) // block * block) // rows_of_task))
    ahead = int(beyond_caches([place for part in parts for place in part.places], target))
    arguments: list[Argument] = []
    for part in parts:
        n, _, depth, height, width = part.results[0].shape
        arguments += [*part.places, depth, height, width, rows_of_task, shares, ahead, part.of_turn]
        for place in (part.x, *part.results, *part.operands):
            arguments += [place.strides[0], place.strides[2], place.strides[3]]
    written = tuple(dict.fromkeys(place.buffer for part in parts for place in part.results))
    packing = [step for part in parts for step in part.packing]
    work = sum(part.operations for part in parts)
    schedule = DepthwiseSchedule(convolutions)
    return [*packing, Step(schedule, tuple(arguments), written, n * depth * shares, label, work)]


_CHOSEN: dict[object, tuple[int, int]] = {}


def _chosen_block(convolution: DepthwiseConvolution, height: int, width: int, target: Target) -> tuple[int, int]:
    """Rows and columns of a block: those that this process chose when it first met such a layer, so that other sizes of
    pictures find their kernel compiled; where these have too few, a block for them alone. No bits depend on it."""
    best = _block(convolution, height, width, target)
    if width < COLUMNS[0]:
        return best
    rows, columns = _CHOSEN.setdefault((convolution, target), best)
    return (rows, columns) if rows <= height and columns <= width else best


def _block(convolution: DepthwiseConvolution, height: int, width: int, target: Target) -> tuple[int, int]:
    columns = _columns(width)
    products = 2 * columns * convolution.inputs * math.prod(convolution.taps[1:])
    return 2 if target.registers >= 32 and height > 1 and products <= UNROLLED else 1, columns


def _channels_of_turn(convolution: DepthwiseConvolution, x: Place, width: int, target: Target) -> int:
    """Channels for which all rows of a task are computed before the next: of pictures that the second-level cache holds
    so few that the lines which rows share are still in the first; else all, since from further away whole rows are
    read."""
    (_, height, across), (_, down, along) = convolution.taps, convolution.stride
    lines, columns = (convolution.rows - 1) * down + height, (width - 1) * along + across
    item = bytes_of(x.kind)
    vectors = target.l1_bytes * 5 // 8 // (lines * columns * convolution.lanes * item)
    near = x.size // x.shape[0] * item <= target.l2_bytes
    return vectors * convolution.lanes if near and vectors > 1 else convolution.channels


def _columns(width: int) -> int:
    """Outputs in a row of a block: as few are computed twice as can be; then the fewest, since a small block reads its
    lines nearly in order, which from memory gains up to a quarter.

    >>> [_columns(width) for width in (1, 5, 7, 13, 14, 56)]
    [1, 5, 7, 7, 7, 4]
    """
    fewest, most = COLUMNS
    return min(
        range(min(fewest, width), min(most, width) + 1), key=lambda columns: (-(-width // columns) * columns, columns)
    )


def _packed(weight: Place, dtype: str, target: Target, label: str) -> tuple[Place, list[Step]]:
    """The weights as (*taps, inputs, groups, outputs), in that order, and the steps that put them there."""
    order = (*range(3, len(weight.shape)), 2, 0, 1)
    turned = weight.transposed(order)
    packed = row_major(Buffer(dtype, max(1, weight.size), name="packed weights"), turned.shape)
    chain = Chain.identity(dtype)
    if weight.dtype != dtype:
        chain = Chain((weight.dtype,), (Line("cast", (0,), dtype),), (1,))
    return packed, plan_elements(chain, [turned], [packed], target, f"pack {label}")


def _by_groups(weight: Place, groups: int, by_group: int | None) -> Place:
    """The weights as (groups, outputs, inputs, *taps)."""
    outputs, by_output = weight.shape[0] // groups, weight.strides[0]
    shape = (groups, outputs, *weight.shape[1:])
    strides = (outputs * by_output if by_group is None else by_group, *weight.strides)
    return Place(weight.buffer, weight.offset, shape, strides)
