"""How much rounding compiled convolutions may add: a word for a block of code, the process, or from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

SETTING = "WIMMEL_PRECISION"
PRECISIONS = ("fast", "exact")

_for_block: ContextVar[str | None] = ContextVar("precision", default=None)
_for_process: str | None = None


def get_precision() -> str:
    """The precision of calls made here: ``"fast"`` or ``"exact"``.

    Under ``"exact"`` every element of a convolution is the sum of its products, as the definition has it. Under
    ``"fast"``, the default, float32 convolutions may be computed by algorithms that need fewer multiplications, where
    that is quicker: Winograd's and the fast Fourier transform. Their errors are at most 2e-5 of the largest sum of
    \\|x\\| * \\|w\\| within one of the algorithm's tiles, and NaN or infinity in the input may fill the tile it is in.
    float64 is always exact. ``WIMMEL_PRECISION`` in the environment sets it from the start.

    Raises
    ------
    ValueError
        If ``WIMMEL_PRECISION`` is neither.
    """
    return _for_block.get() or _for_process or _from_start()


def set_precision(name: str | None) -> None:
    """Sets the precision of calls in the whole process; None: as at its start.

    Raises
    ------
    ValueError
        If it is neither ``"fast"`` nor ``"exact"``.
    """
    global _for_process
    _for_process = None if name is None else checked(name)


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Within this block, and in this thread or task alone, calls have this precision.

    Raises
    ------
    ValueError
        If it is neither ``"fast"`` nor ``"exact"``.

    Examples
    --------
    >>> with precision("exact"):
    ...     get_precision()
    'exact'
    """
    token = _for_block.set(checked(name))
    try:
        yield
    finally:
        _for_block.reset(token)


def checked(name: str) -> str:
    """The name, if it is that of a precision."""
    if name not in PRECISIONS:
        raise ValueError(f"the precision was {name!r}; it is 'fast' or 'exact'")
    return name


@cache
def _from_start() -> str:
    given = os.environ.get(SETTING, "").strip() or "fast"
    if given not in PRECISIONS:
        raise ValueError(f"{SETTING} is {given!r}; it is 'fast' or 'exact'")
    return given
