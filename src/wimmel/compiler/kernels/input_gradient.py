"""The gradient of a convolution by its input, which is also the transposed convolution. With stride 1 it is a
convolution of the outputs' cotangent with the weights turned round; with stride s, the elements of x fall into s
classes along each axis by their remainder, each a convolution with the taps that reach it: Dumoulin and Visin, "A
guide to convolution arithmetic for deep learning" (2016), section 4."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.convolution import plan_convolution
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.steps import Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

FEW = 16
"""Phases that are computed one by one: what several write at once is written again, to where it belongs."""


@dataclass(frozen=True)
class Phase:
    """The elements ``first, first + stride, ...`` of one axis of x, and the taps that reach them.

    Attributes
    ----------
    first, count : int
        Where in x the elements begin, and how many there are.
    tap, taps, apart : int
        The first tap that reaches them, how many do, and the taps from one to the next.
    start : int
        The place in g that the last of the taps meets at the first element; may lie outside.
    dilation : int
        Elements of g from tap to tap.
    """

    first: int
    count: int
    tap: int
    taps: int
    apart: int
    start: int
    dilation: int


def phases(size: int, kernel: int, stride: int, before: int, dilation: int) -> list[Phase]:
    """Those of one axis that a tap reaches, by their first taps: element i of x meets tap t at output p when
    i + before = p * stride + t * dilation."""
    apart = stride // math.gcd(stride, dilation)
    found = []
    for tap in range(min(kernel, apart)):
        first = (tap * dilation - before) % stride
        if first < size:
            taps = -(-(kernel - tap) // apart)
            start = (first + before - (tap + (taps - 1) * apart) * dilation) // stride
            count = -(-(size - first) // stride)
            found.append(Phase(first, count, tap, taps, apart, start, apart * dilation // stride))
    return found


def covers(found: Sequence[Sequence[Phase]], size: Shape) -> bool:
    """Whether these phases, of each axis, hold every element."""
    return all(sum(phase.count for phase in along) == n for along, n in zip(found, size, strict=True))


def input_gradient_halo(
    g: Shape, weight: Shape, size: Shape, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> Pairs:
    """How many zeros around g, of that shape, the kernel reads along each spatial axis."""
    pairs = []
    for outputs, n, k, s, (front, _), d in zip(g[2:], size, weight[2:], stride, padding, dilation, strict=True):
        before = behind = 0
        for phase in phases(n, k, s, front, d):
            before = max(before, -phase.start)
            behind = max(behind, phase.start + (phase.taps - 1) * phase.dilation + phase.count - outputs)
        pairs.append((before, behind))
    return tuple(pairs)


def plan_input_gradient(
    g: Place,
    weight: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    size: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
    target: Target,
    label: str = "",
    plan: Callable[..., list[Step]] = plan_convolution,
) -> list[Step]:
    """The steps of an input gradient: what no tap reaches is written first, then there is a convolution for each phase;
    of many phases, those that are alike are computed by one.

    Parameters
    ----------
    g : Place (n, c_out, *outputs)
        Channels neighbouring, with the zeros around it that `input_gradient_halo` tells.
    weight : Place (c_out, c_in / groups, *kernel)
    results : sequence of Place (n, c_in, *size)
        One for each result of the chain.
    chain : Chain
        The epilogue, whose first input is the gradient.
    operands : sequence of Place
        The chain's other inputs, stretched to the results' shape.
    size, stride, padding, dilation, groups
        Those of the convolution.
    plan : callable
        What plans the convolutions.
    """
    axes = range(len(size))
    steps: list[Step] = []
    rows = zip(size, weight.shape[2:], stride, padding, dilation, strict=True)
    found = [phases(n, k, s, front, d) for n, k, s, (front, _), d in rows]
    if weight.size == 0 or not covers(found, size):
        steps += plan_elements(of_nothing(chain), operands, results, target, label)
    if weight.size == 0:
        return steps
    if math.prod(map(len, found)) > FEW:
        for runs in product(*map(_runs, found, dilation)):
            steps += _of_runs(runs, g, weight, results, chain, operands, stride, dilation, groups, target, label)
        return steps
    for chosen in product(*found):
        shape = (*results[0].shape[:2], *(phase.count for phase in chosen))
        first, apart = (0, 0, *(phase.first for phase in chosen)), (1, 1, *stride)
        outcomes = [place.sliced(first, shape, apart) for place in results]
        others = [place.sliced(first, shape, apart) for place in operands]
        outputs, channels = weight.shape[0] // groups, weight.shape[1]
        by_output, by_channel, *by_tap = weight.strides
        # by channel of x, by channel of g, and by taps from the last to the first
        last = sum(by_tap[axis] * (chosen[axis].tap + (chosen[axis].taps - 1) * chosen[axis].apart) for axis in axes)
        turned = Place(
            weight.buffer,
            weight.offset + last,
            (channels * groups, outputs, *(phase.taps for phase in chosen)),
            (by_channel, by_output, *(-by_tap[axis] * chosen[axis].apart for axis in axes)),
        )
        steps += plan(
            g, turned, outcomes, chain, others, (1,) * len(size), tuple((-phase.start, 0) for phase in chosen),
            tuple(phase.dilation for phase in chosen), groups, target, label, by_group=outputs * by_output,
        )  # fmt: skip
    return steps


def _runs(found: Sequence[Phase], dilation: int) -> list[list[Phase]]:
    """The phases of an axis in runs: from one to the next the first tap is the following, and all else is alike but
    where they begin."""
    runs: list[list[Phase]] = []
    for phase in found:
        before = replace(phase, first=phase.first - dilation, tap=phase.tap - 1)
        if runs and runs[-1][-1] == before:
            runs[-1].append(phase)
        else:
            runs.append([phase])
    return runs


def _of_runs(
    runs: Sequence[Sequence[Phase]], g: Place, weight: Place, results: Sequence[Place], chain: Chain,
    operands: Sequence[Place], stride: Shape, dilation: Shape, groups: int, target: Target, label: str,
) -> list[Step]:  # fmt: skip
    """One run of each axis: a convolution in which the phases of a run are so many more outputs, and the elements put
    where they belong."""
    (pictures, channels), first = results[0].shape[:2], [run[0] for run in runs]
    channels, outputs = channels // groups, weight.shape[0] // groups
    counts, members = [phase.count for phase in first], [len(run) for run in runs]
    taps, dtype = tuple(phase.taps for phase in first), chain.inputs[0]

    by_output, by_channel, *by_tap = weight.strides
    last = sum(step * (phase.tap + (phase.taps - 1) * phase.apart) for step, phase in zip(by_tap, first, strict=True))
    source = Place(
        weight.buffer,
        weight.offset + last,
        (groups, *members, channels, outputs, *taps),
        (outputs * by_output, *by_tap, by_channel, by_output,
         *(-step * phase.apart for step, phase in zip(by_tap, first, strict=True))),
    )  # fmt: skip
    turned = row_major(Buffer(weight.dtype, source.size, name="turned"), source.shape)
    steps = plan_elements(Chain.identity(weight.dtype), [source], [turned], target, "pack")
    several = math.prod(members) * channels * groups
    turned = row_major(turned.buffer, (several, outputs, *taps))

    between = row_major(Buffer(dtype, pictures * math.prod(counts) * several), (pictures, *counts, several))
    axes = range(len(runs))
    steps += plan_convolution(
        g, turned, [between.transposed((0, len(runs) + 1, *(axis + 1 for axis in axes)))], Chain.identity(dtype), [],
        (1,) * len(runs), tuple((-phase.start, 0) for phase in first), tuple(phase.dilation for phase in first),
        groups, target, label,
    )  # fmt: skip
    parts = row_major(between.buffer, (pictures, *counts, groups, *members, channels))
    behind = len(runs) + 1
    pairs = [axis for number in axes for axis in (1 + number, behind + 1 + number)]
    parts = parts.transposed((0, behind, len(parts.shape) - 1, *pairs))

    def divided(place: Place) -> Place:
        by_picture, by_channel, *along = place.strides
        offset = sum(step * phase.first for step, phase in zip(along, first, strict=True))
        steps = [step * by for axis, step in enumerate(along) for by in (stride[axis], dilation[axis])]
        strides = (by_picture, by_channel * channels, by_channel, *steps)
        return Place(place.buffer, place.offset + offset, parts.shape, strides)

    steps += plan_elements(chain, [parts, *map(divided, operands)], [*map(divided, results)], target, label)
    return steps


def of_nothing(chain: Chain) -> Chain:
    """The chain when its first input is zero everywhere."""
    count = len(chain.inputs) - 1

    def moved(number: int) -> int:
        return count if number == 0 else number - 1 if number <= count else number

    lines = tuple(
        Line(line.operation, tuple(map(moved, line.operands)), line.dtype, line.constant) for line in chain.lines
    )
    zero = Line("constant", (), chain.inputs[0], 0)
    return Chain(chain.inputs[1:], (zero, *lines), tuple(map(moved, chain.results)))
