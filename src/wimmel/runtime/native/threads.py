"""How many threads a call may use: a number for a block of code, for the process, from the environment, or of cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from wimmel.geometry.whole_numbers import at_least

SETTING = "WIMMEL_NUM_THREADS"
MOST_THREADS = 1024

_for_block: ContextVar[int | None] = ContextVar("num_threads", default=None)
_for_process: int | None = None


def get_num_threads() -> int:
    """How many threads a call made here uses at most.

    Without a setting that is the number of physical cores this process may run on, as far as its control group's quota
    allows, or what the environment variable ``WIMMEL_NUM_THREADS`` says. Results do not depend on it, not by a bit.

    Raises
    ------
    ValueError
        If ``WIMMEL_NUM_THREADS`` is not a whole number from 1 to 1024.
    """
    return _for_block.get() or _for_process or _from_start()


def set_num_threads(count: int | None) -> None:
    """Sets how many threads a call uses at most, in the whole process; None: as at its start.

    Raises
    ------
    TypeError, ValueError
        If it is not a whole number from 1 to 1024.
    """
    global _for_process
    _for_process = None if count is None else _checked(count)


@contextmanager
def num_threads(count: int) -> Iterator[None]:
    """Within this block, and in this thread or task alone, a call uses so many threads at most.

    Raises
    ------
    TypeError, ValueError
        If it is not a whole number from 1 to 1024.

    Examples
    --------
    >>> with num_threads(1):
    ...     get_num_threads()
    1
    """
    token = _for_block.set(_checked(count))
    try:
        yield
    finally:
        _for_block.reset(token)


def _checked(count: int) -> int:
    return at_least(count, 1, "The number of threads", MOST_THREADS)


@cache
def _from_start() -> int:
    given = os.environ.get(SETTING, "").strip()
    if given:
        if not (given.isascii() and given.isdigit() and 1 <= int(given) <= MOST_THREADS):
            raise ValueError(f"{SETTING} is {given!r}; it takes a whole number from 1 to {MOST_THREADS}.")
        return int(given)
    from wimmel.compiler.targets import NativeUnavailable, host
    from wimmel.runtime.native.systems import system_of

    try:
        return min(system_of(host().triple).cores(), MOST_THREADS)
    except NativeUnavailable:
        return 1  # nothing that shares its work out can run here
