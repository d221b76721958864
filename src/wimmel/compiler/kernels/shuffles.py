"""Vectors turned round in registers: squares transposed, and vectors interleaved or taken apart, by shuffles of two."""

from __future__ import annotations

from collections.abc import Sequence

from wimmel.compiler.language import Builder, Value

SHUFFLED_BYTES = 16
"""Processors shuffle within so many bytes at once."""


def transposed(builder: Builder, vectors: Sequence[Value]) -> list[Value]:
    """Vector i's lane j becomes vector j's lane i; there are as many vectors as lanes, a power of two.

    First within squares of what a processor shuffles at once, then the squares change places as wholes.
    """
    lanes = len(vectors)
    size = min(lanes, max(1, SHUFFLED_BYTES // vectors[0].type.of(1).bytes))
    groups = [_zipped(builder, vectors[first : first + size]) for first in range(0, lanes, size)]
    columns = [_squares_exchanged(builder, [group[number] for group in groups], size) for number in range(size)]
    return [columns[number][group] for group in range(len(groups)) for number in range(size)]


def _zipped(builder: Builder, vectors: Sequence[Value]) -> list[Value]:
    """Every square of as many lanes as there are vectors transposed, where it lies."""
    size, lanes = len(vectors), vectors[0].type.lanes
    halves = [
        [lane for square in range(0, lanes, size) for at in range(square + half, square + half + size // 2)
         for lane in (at, lanes + at)]
        for half in (0, size // 2)
    ]  # fmt: skip
    for _ in range(size.bit_length() - 1):
        pairs = zip(vectors[: size // 2], vectors[size // 2 :], strict=True)
        vectors = [builder.shuffle(a, b, half) for a, b in pairs for half in halves]
    return list(vectors)


def _squares_exchanged(builder: Builder, vectors: list[Value], size: int) -> list[Value]:
    """Vector i's square j becomes vector j's square i."""
    lanes, bit = vectors[0].type.lanes, 1
    while bit < len(vectors):
        upper = [bool(lane // size & bit) for lane in range(lanes)]
        low = [lanes + lane - bit * size if up else lane for lane, up in enumerate(upper)]
        high = [lanes + lane if up else lane + bit * size for lane, up in enumerate(upper)]
        vectors = [
            builder.shuffle(vectors[number & ~bit], vectors[number | bit], high if number & bit else low)
            for number in range(len(vectors))
        ]
        bit *= 2
    return vectors


def interleaved(builder: Builder, vectors: Sequence[Value]) -> list[Value]:
    """Lane 0 of each vector, then lane 1 of each, and so on, as equally many vectors.

    With a composite number of vectors, those whose numbers differ by the first factor are interleaved before.
    """
    if len(vectors) == 1:
        return list(vectors)
    factor = factors(len(vectors))[0]
    lanes = vectors[0].type.lanes
    groups = [interleaved(builder, vectors[first::factor]) for first in range(factor)]
    wanted = [[divmod(place, factor)[::-1] for place in range(n * lanes, (n + 1) * lanes)] for n in range(factor)]
    return [_picked(builder, list(parts), lane) for parts in zip(*groups, strict=True) for lane in wanted]


def taken_apart(builder: Builder, vectors: Sequence[Value]) -> list[Value]:
    """What `interleaved` makes whole: every n-th lane of n vectors laid end to end, beginning with the first, the
    second and so on."""
    if len(vectors) == 1:
        return list(vectors)
    count = len(vectors)
    factor = factors(count)[0]
    lanes = vectors[0].type.lanes
    wanted = [[divmod(lane * factor + first, lanes) for lane in range(lanes)] for first in range(factor)]
    runs = [list(vectors[start : start + factor]) for start in range(0, count, factor)]
    groups = [taken_apart(builder, [_picked(builder, run, lanes) for run in runs]) for lanes in wanted]
    return [groups[number % factor][number // factor] for number in range(count)]


def _picked(builder: Builder, vectors: list[Value], wanted: Sequence[tuple[int, int]]) -> Value:
    """A vector of lanes given as (number of the vector, its lane)."""
    lanes = vectors[0].type.lanes
    result = vectors[0]
    for number, vector in enumerate(vectors[1:], 1):
        first = number == 1
        result = builder.shuffle(
            result,
            vector,
            [
                lanes + lane if source == number else lane if first and source == 0 else place
                for place, (source, lane) in enumerate(wanted)
            ],
        )
    return result


def factors(number: int) -> list[int]:
    """Prime factors, smallest first."""
    for factor in range(2, number + 1):
        if number % factor == 0:
            return [factor, *factors(number // factor)]
    return []
