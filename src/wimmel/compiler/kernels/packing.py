"""Packing: weights, or the second matrix of a product, in the order in which the micro-kernel reads them."""

from __future__ import annotations

import math

from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.microkernel import Block
from wimmel.compiler.steps import Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target


def plan_packing(source: Place, outer: int, block: Block, target: Target) -> tuple[Place, list[Step]]:
    """Panels of a block's outputs, and the steps that write them.

    Parameters
    ----------
    source : Place (*outer, outputs, *inner)
        Any strides.
    outer : int
        How many axes come before the outputs: groups, or pictures.
    block : Block
    target : Target

    Returns
    -------
    Place (*outer, blocks, *inner, block.outputs)
        Neighbouring in that order, in a new buffer. Outputs that fill the last block up are zero.
    list of Step
    """
    before, outputs, inner = source.shape[:outer], source.shape[outer], source.shape[outer + 1 :]
    whole, rest = divmod(outputs, block.outputs)
    shape = (*before, whole + bool(rest), *inner, block.outputs)
    panels = row_major(Buffer(source.dtype, math.prod(shape), name="packed"), shape)
    by_outer, by_output, by_inner = source.strides[:outer], source.strides[outer], source.strides[outer + 1 :]
    steps: list[Step] = []

    def view(first: int, blocks: int, count: int) -> Place:
        """Blocks of the source's outputs from the given one on, so many of each block."""
        return Place(
            source.buffer,
            source.offset + first * by_output,
            (*before, blocks, *inner, count),
            (*by_outer, block.outputs * by_output, *by_inner, by_output),
        )

    def part(first: int, blocks: int, start: int, count: int) -> Place:
        """Blocks of the panels, and of each some outputs."""
        corner = (*(0,) * outer, first, *(0,) * len(inner), start)
        return panels.sliced(corner, (*before, blocks, *inner, count), (1,) * len(shape))

    def copy(source: Place, result: Place) -> list[Step]:
        return plan_elements(Chain.identity(source.dtype), [source], [result], target, "pack")

    if whole:
        steps += copy(view(0, whole, block.outputs), part(0, whole, 0, block.outputs))
    if rest:
        steps += plan_elements(zero(source.dtype), [], [part(whole, 1, rest, block.outputs - rest)], target, "pack")
        steps += copy(view(whole * block.outputs, 1, rest), part(whole, 1, 0, rest))
    return panels, steps


def zero(dtype: str) -> Chain:
    """The chain without inputs that gives zeros."""
    return Chain((), (Line("constant", (), dtype, 0),), (0,))
