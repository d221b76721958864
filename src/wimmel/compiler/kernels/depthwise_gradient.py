"""The gradient of depthwise convolution by its input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.depthwise import part_of, plan_together
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.input_gradient import FEW, covers, of_nothing, phases, plan_input_gradient
from wimmel.compiler.steps import Place, Step
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape


def plan_depthwise_input_gradient(
    g: Place,
    weight: Place,
    results: Sequence[Place],
    chain: Chain,
    operands: Sequence[Place],
    size: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    target: Target,
    label: str = "",
) -> list[Step]:
    """The steps of a depthwise convolution's gradient by its input: a depthwise convolution for each class of elements
    that the same taps reach, those of the same planes together.

    Parameters
    ----------
    g : Place (n, c, *outputs)
        Channels neighbouring, with the zeros around it that `input_gradient.input_gradient_halo` tells.
    weight : Place (c, 1, *kernel)
    results : sequence of Place (n, c, *size)
        One for each result of the chain; channels neighbouring.
    chain, operands
        The epilogue, as in `depthwise.plan_depthwise`.
    size, stride, padding, dilation
        Those of the convolution.
    """
    rows = zip(size, weight.shape[2:], stride, padding, dilation, strict=True)
    found = [phases(n, k, s, front, d) for n, k, s, (front, _), d in rows]
    if math.prod(map(len, found)) > FEW:
        groups = weight.shape[0]
        return plan_input_gradient(
            g, weight, results, chain, operands, size, stride, padding, dilation, groups, target, label
        )
    steps: list[Step] = []
    if not covers(found, size):
        steps += plan_elements(of_nothing(chain), operands, results, target, label)
    if 0 in results[0].shape:
        return []
    planes = max(len(size) - 2, 0)
    for of_planes in product(*found[:planes]):
        parts = []
        for chosen in ((*of_planes, *rows) for rows in product(*found[planes:])):
            shape = (*results[0].shape[:2], *(phase.count for phase in chosen))
            first, apart = (0, 0, *(phase.first for phase in chosen)), (1, 1, *stride)
            by_tap = weight.strides[2:]
            last = [phase.tap + (phase.taps - 1) * phase.apart for phase in chosen]
            turned = Place(
                weight.buffer,
                weight.offset + sum(tap * step for tap, step in zip(last, by_tap, strict=True)),
                (*weight.shape[:2], *(phase.taps for phase in chosen)),
                (*weight.strides[:2], *(-phase.apart * step for phase, step in zip(chosen, by_tap, strict=True))),
            )
            parts.append(
                part_of(
                    g,
                    turned,
                    [place.sliced(first, shape, apart) for place in results],
                    chain,
                    [place.sliced(first, shape, apart) for place in operands],
                    (1,) * len(size),
                    tuple((-phase.start, 0) for phase in chosen),
                    tuple(phase.dilation for phase in chosen),
                    target,
                    label,
                )
            )
        if parts:
            steps += plan_together(parts, target, label)
    return steps
