"""How this thread rounds while code is written: to the nearest, whatever the caller has set. Numbers in code must not
depend on it, for the code is kept."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

NEAREST = 0
"""What the C library calls it on every system."""


@contextmanager
def to_nearest() -> Iterator[None]:
    """Within this block, this thread rounds to the nearest."""
    get, change = _functions()
    before = get()
    if before == NEAREST:
        yield
        return
    change(NEAREST)
    try:
        yield
    finally:
        change(before)


@cache
def _functions() -> tuple[Callable[[], int], Callable[[int], int]]:
    for name in ("ucrtbase",) if sys.platform == "win32" else (None, "libm.so.6"):
        try:
            library = ctypes.CDLL(name)
            return library.fegetround, library.fesetround
        except (OSError, AttributeError):
            continue
    return lambda: NEAREST, lambda mode: 0
