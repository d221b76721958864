"""A small kernel for tests of what happens to kernels, and a way to call it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from wimmel.compiler.language import Builder, Function
from wimmel.compiler.targets import Target

KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


@dataclass(frozen=True)
class Multiples:
    """Task i writes ``factor * i`` to element i of the array that the one argument points to."""

    factor: int

    def kernel(self, target: Target, name: str) -> Function:
        builder = Builder(name)
        block, begin, end, _ = builder.kernel()
        (numbers,) = builder.arguments(block, "p")
        builder.loop(begin, end, 1, lambda i: builder.store(i * self.factor, numbers, i))
        return builder.function()


def multiples(address: int, count: int = 5) -> list[int]:
    """What a `Multiples` kernel at the address writes."""
    numbers = np.full(count, -1, np.int64)
    block = np.array([numbers.ctypes.data], np.int64)
    KERNEL(address)(block.ctypes.data, 0, count, 0)
    return numbers.tolist()
