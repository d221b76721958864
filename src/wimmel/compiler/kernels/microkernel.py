"""The one kernel that multiplies: a block of accumulators that stays in registers while a run of products is added.

    acc[p][v] += a[p * a_pixel + k * a_step] * b[k * b_step + v]      for k = 0, 1, ..., length - 1

p counts pixels (or rows, or channels), v vectors of outputs. Each element of a is broadcast, each vector of b loaded,
and both serve a whole row or column of the block: Georganas et al., "High-Performance Deep Learning via a Single
Building Block" (2019). Forward convolution, both gradients and matrix products are loops around it. The products of
one output are always added in the order of k, so that the block's shape changes no bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from wimmel.compiler.language import Builder, Number, Type, Value
from wimmel.compiler.steps import bytes_of
from wimmel.compiler.targets import Target


@dataclass(frozen=True)
class Block:
    """The accumulators of one turn.

    Attributes
    ----------
    pixels, vectors : int
        Rows of the block, and vectors in each.
    lanes : int
        Outputs in a vector.
    kind : str
        ``f32`` or ``f64``.
    unroll : int
        Steps of k in one turn of the loop.
    """

    pixels: int
    vectors: int
    lanes: int
    kind: str
    unroll: int

    @property
    def outputs(self) -> int:
        """How many outputs the block computes for each pixel."""
        return self.vectors * self.lanes

    @property
    def vector(self) -> Type:
        return Type(self.kind, self.lanes)

    @property
    def scalar(self) -> Type:
        return Type(self.kind)


FEWEST = 4
"""Blocks are planned for rows of at least so many pixels; shorter ones run code of their own that every kernel has."""

WORTH = {1: 0.9, 2: 1.0, 3: 0.97, 4: 0.96}
"""Measured throughput of blocks of so many vectors, relative to the best, when no lane is wasted."""

PASSING = 0.6
"""Of an element, twice, and of a vector that are loaded, where multiply-adds are two instructions that each need a copy
of an operand; elsewhere loads pass by unnoticed."""

MOST = 28
"""Pixels of a block."""

UNROLLS = (8, 4)
"""Steps of k in one turn of the loop: of small blocks, and of large ones."""

OTHER = 1.01
"""How much longer a block is expected to take with the other number of steps."""

IN_FLIGHT = 9
"""Products under way at once that hide the latency of a multiply-add."""

WAY, WAYS = 4096, 8
"""A first-level cache keeps so many lines that lie a multiple of so many bytes apart."""


@cache
def blocks_for(
    target: Target, kind: str, outputs: int, pixels: int, length: int = 0, apart: int = 0, multiple: int = 1
) -> tuple[Block, ...]:
    """Blocks for so many outputs and pixels in a row, the one that should take the least time first.

    Every accumulator is a register; one more holds the broadcast element, and one for each vector of b.

    Parameters
    ----------
    target : Target
    kind : str
        ``f32`` or ``f64``.
    outputs, pixels : int
    length : int, optional
        How many products each output is the sum of.
    apart : int, optional
        Elements from one pixel of a to the next.
    multiple : int, optional
        Of which the block's pixels are one.
    """
    pixels = max(pixels, -(-FEWEST // multiple) * multiple)
    lanes = target.lanes(kind)
    while lanes > 1 and lanes // 2 >= outputs:
        lanes //= 2
    needed = -(-outputs // lanes)
    beside = MOST if apart == 0 else WAY // math.gcd(apart * bytes_of(kind), WAY) * WAYS
    spare = 1 if target.has_fma else 2
    blocks = [
        Block(rows, vectors, lanes, kind, unroll)
        for vectors in WORTH
        for rows in range(multiple, min((target.registers - spare - vectors) // vectors, MOST) + 1, multiple)
        for unroll in UNROLLS
        if vectors <= needed and rows <= beside
    ]

    def rank(block: Block) -> tuple[bool, float, int, int]:
        usual = UNROLLS[0] if block.pixels * block.vectors <= 16 else UNROLLS[1]
        time = turns(block, outputs, pixels, length, target) * (1.0 if block.unroll == usual else OTHER)
        return block.pixels > pixels, time, -block.pixels, block.vectors

    return tuple(sorted(blocks, key=rank))


def block_for(target: Target, kind: str, outputs: int, pixels: int, length: int = 0, apart: int = 0) -> Block:
    """The first of `blocks_for`."""
    return blocks_for(target, kind, outputs, pixels, length, apart)[0]


def turns(block: Block, outputs: int, pixels: int, length: int, target: Target) -> float:
    """What a row of so many pixels and outputs takes for each of the `length` products of its sums: in multiply-adds of
    vectors."""
    whole, rest = divmod(-(-outputs // block.lanes), block.vectors)
    far = block.vectors > 1 and block.outputs * length * bytes_of(block.kind) > target.l2_bytes * 3 // 4
    of_whole = whole * turn(block.pixels, block.vectors, target) * (1.25 if far else 1.0)
    of_rest = turn(block.pixels, rest, target) if rest else 0.0
    return (of_whole + of_rest) * -(-pixels // block.pixels)


def turn(pixels: int, vectors: int, target: Target, worth: Mapping[int, float] = WORTH) -> float:
    """What a block takes for one k, by what vectors are worth: in multiply-adds of vectors."""
    if not target.has_fma:
        return pixels * vectors + PASSING * (2 * pixels + vectors)
    return (max(pixels * vectors, IN_FLIGHT) + 1) / worth.get(vectors, 1.0)


def zeros(builder: Builder, block: Block) -> list[Value]:
    """Accumulators that have added nothing."""
    return [builder.constant(block.vector, 0.0)] * (block.pixels * block.vectors)


def accumulate(
    builder: Builder,
    block: Block,
    a: Value | Sequence[Value],
    b: Value | Sequence[Value],
    length: Number,
    accumulators: Sequence[Value],
    a_pixel: Number,
    a_step: Number,
    b_step: Number,
    masks: Sequence[Value | None] = (),
    ahead: int = 0,
    at_turns: Callable[[Value], None] = lambda first: None,
) -> list[Value]:
    """The accumulators after a run of products, pixel by pixel, in each the vectors.

    Parameters
    ----------
    builder : Builder
    block : Block
    a : Value or sequence of Value
        Pointer to the first element; or several, which each give as many of the block's pixels.
    b : Value or sequence of Value
        Pointer to the first vector; or several, which each give as many of the block's vectors.
    length : int or Value
        Products to add. A small number is unrolled altogether.
    accumulators : sequence of Value
        ``pixels * vectors`` of them.
    a_pixel, a_step, b_step : int or Value
        Elements from one pixel of a to the next, and from one k to the next. As ints they become part of addresses.
    masks : sequence of Value or None, optional
        For each vector, which lanes of b exist; the others count as zero.
    ahead : int, optional
        How many elements further what is read of a is to be fetched into the cache.
    at_turns : callable, optional
        Writes what else is to be done in every turn of the loop, given its first k.
    """

    sources = [a] if isinstance(a, Value) else list(a)
    panels = [b] if isinstance(b, Value) else list(b)
    tall, wide = block.pixels // len(sources), block.vectors // len(panels)

    def steps(first: Number, count: int, taken: Sequence[Value]) -> list[Value]:
        values = list(taken)
        start_a = [builder.offset(source, first * a_step, block.kind) for source in sources]
        start_b = [builder.offset(panel, first * b_step, block.kind) for panel in panels]
        if ahead and count > 1:
            for p in range(block.pixels):
                builder.prefetch(start_a[0], ahead + p * a_pixel, block.kind)
        for k in range(count):
            builder.fence()  # otherwise all loads of a turn come first, and there are not registers enough
            values = step(start_a, start_b, k, values)
        return values

    def element(start: Sequence[Value], k: int, p: int) -> Value:
        place = p % tall * a_pixel + k * a_step
        return builder.broadcast(builder.load(start[p // tall], place, block.scalar), block.lanes)

    def vector(start: Sequence[Value], k: int, v: int) -> Value:
        place = k * b_step + v % wide * block.lanes
        return builder.load(start[v // wide], place, block.vector, masks[v] if masks else None)

    def step(start_a: Sequence[Value], start_b: Sequence[Value], k: int, taken: list[Value]) -> list[Value]:
        """What there is less of is loaded first, and stays while the others pass."""
        following = list(taken)
        across, along = range(block.vectors), range(block.pixels)
        if block.pixels < block.vectors:
            elements = [element(start_a, k, p) for p in along]
            for v in across:
                passing = vector(start_b, k, v)
                for p in along:
                    place = p * block.vectors + v
                    following[place] = builder.fma(elements[p], passing, taken[place])
        else:
            vectors = [vector(start_b, k, v) for v in across]
            for p in along:
                passing = element(start_a, k, p)
                for v in across:
                    place = p * block.vectors + v
                    following[place] = builder.fma(passing, vectors[v], taken[place])
        return following

    unroll = block.unroll
    if isinstance(length, int) and length <= 2 * unroll:
        return steps(0, length, accumulators)
    whole = (length // unroll) * unroll

    def turn(first: Value, *values: Value) -> list[Value]:
        at_turns(first)
        return steps(first, unroll, values)

    taken = builder.loop(0, whole, unroll, turn, accumulators)
    if isinstance(length, int):
        return steps(whole, length - whole, taken)
    return builder.loop(whole, length, 1, lambda first, *values: steps(first, 1, values), taken)
