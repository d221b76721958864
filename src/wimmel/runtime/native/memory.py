"""Memory for machine code: aligned to cache lines, as arrays, so that NumPy counts who holds it."""

from __future__ import annotations

import numpy as np

from wimmel.compiler.memory import ALIGNMENT


def aligned(size: int) -> np.ndarray:
    """So many bytes, not cleared, that begin at a cache line."""
    block = np.empty(size + ALIGNMENT, np.uint8)
    begin = -block.ctypes.data % ALIGNMENT
    return block[begin : begin + size]
