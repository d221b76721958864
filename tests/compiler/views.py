"""Places drawn at random, and values for them."""

from __future__ import annotations

import numpy as np

from compiler.machine import at, poison
from wimmel.compiler.steps import Buffer, Place
from wimmel.compiler.targets import KNOWN

TARGETS = [KNOWN[name] for name in ("avx512", "avx2", "sse4.2", "plain")]
DTYPES = ("bool", "uint8", "int8", "uint16", "int32", "uint64", "float32", "float64")


def drawn_place(random: np.random.Generator, dtype: str, shape: tuple[int, ...], still: bool = False) -> Place:
    """A view of that shape: axes in any order, some backwards or with gaps between, and some still if that may be."""
    strides, step, offset = [0] * len(shape), 1, int(random.integers(3))
    axes = random.permutation(len(shape)) if random.random() < 0.5 else np.arange(len(shape))
    for axis in reversed(axes):
        if still and random.random() < 0.3:
            continue
        gap = int(random.integers(1, 4)) if random.random() < 0.2 else 1
        if random.random() < 0.1:
            offset += step * gap * max(shape[axis] - 1, 0)
            gap = -gap
        strides[axis] = step * gap
        step *= abs(gap) * max(shape[axis], 1)
    reached = offset + sum(max(stride, 0) * max(n - 1, 0) for stride, n in zip(strides, shape, strict=True))
    return Place(Buffer(dtype, reached + 1), offset, shape, tuple(strides))


def filled(random: np.random.Generator, buffer: Buffer) -> np.ndarray:
    """Values of the buffer's dtype, some of them equal."""
    kind, count = np.dtype(buffer.dtype).kind, buffer.elements
    if kind == "b":
        return random.random(count) < 0.3
    if kind == "f":
        return (random.standard_normal(count) * 8).round(random.integers(0, 4)).astype(buffer.dtype)
    limits = np.iinfo(buffer.dtype)
    return random.integers(max(limits.min, -100), min(limits.max, 100), count).astype(buffer.dtype)


def only_that_place_was_written(place: Place, arrays: dict[Buffer, np.ndarray]) -> bool:
    """Whether what lies between and around the place's elements is still poisoned."""
    numbers = np.arange(place.buffer.elements)
    written = np.isin(numbers, at(place, {place.buffer: numbers}))
    return np.array_equal(
        arrays[place.buffer][~written],
        np.full(int((~written).sum()), poison(place.dtype), place.dtype),
        equal_nan=np.dtype(place.dtype).kind == "f",
    )
