"""The gradient of a convolution by its input, which is also the transposed convolution. With stride 1 it is a
convolution of the outputs' cotangent with the weights turned round; with stride s, the elements of x fall into s
classes along each axis by their remainder, each a convolution with the taps that reach it: Dumoulin and Visin, "A
guide to convolution arithmetic for deep learning" (2016), section 4."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.convolution import plan_convolution
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.steps import Place, Step
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape


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
    """Those of one axis: element i of x meets tap t at output p when i + before = p * stride + t * dilation."""
    apart = stride // math.gcd(stride, dilation)
    found = []
    for first in range(min(stride, size)):
        reaching = [t for t in range(kernel) if (first + before - t * dilation) % stride == 0]
        last = reaching[-1] if reaching else 0
        start = (first + before - last * dilation) // stride
        count = -(-(size - first) // stride)
        tap = reaching[0] if reaching else 0
        found.append(Phase(first, count, tap, len(reaching), apart, start, apart * dilation // stride))
    return found


def input_gradient_halo(
    g: Shape, weight: Shape, size: Shape, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> Pairs:
    """How many zeros around g, of that shape, the kernel reads along each spatial axis."""
    pairs = []
    for outputs, n, k, s, (front, _), d in zip(g[2:], size, weight[2:], stride, padding, dilation, strict=True):
        before = behind = 0
        for phase in phases(n, k, s, front, d):
            if phase.taps:
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
    """The steps of an input gradient: a convolution for each phase.

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
    for chosen in product(*(phases(n, k, s, front, d) for n, k, s, (front, _), d in rows)):
        shape = (*results[0].shape[:2], *(phase.count for phase in chosen))
        first, apart = (0, 0, *(phase.first for phase in chosen)), (1, 1, *stride)
        outcomes = [place.sliced(first, shape, apart) for place in results]
        others = [place.sliced(first, shape, apart) for place in operands]
        if any(phase.taps == 0 for phase in chosen) or weight.size == 0:
            steps += plan_elements(_of_nothing(chain), others, outcomes, target, label)
            continue
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


def _of_nothing(chain: Chain) -> Chain:
    """The chain when its first input is zero everywhere."""
    count = len(chain.inputs) - 1

    def moved(number: int) -> int:
        return count if number == 0 else number - 1 if number <= count else number

    lines = tuple(
        Line(line.operation, tuple(map(moved, line.operands)), line.dtype, line.constant) for line in chain.lines
    )
    zero = Line("constant", (), chain.inputs[0], 0)
    return Chain(chain.inputs[1:], (zero, *lines), tuple(map(moved, chain.results)))
