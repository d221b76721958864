"""Reading whole numbers out of whatever a caller gave: NumPy's count, booleans and floats do not."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Set

LARGEST_KEY = 2**64 - 1
"""The largest seed, epoch or index that random draws can be keyed by."""


def at_least(value: object, minimum: int, name: str, maximum: int | None = None) -> int:
    """The value as an int from `minimum` to `maximum`, if there is one; else a sentence about `name` refuses it."""
    number = as_integer(value)
    if number is None:
        raise TypeError(f"{name} must be a whole number; got {value!r}.")
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}; got {number}.")
    if maximum is not None and number > maximum:
        raise ValueError(f"{name} must be at most {maximum}; got {number}.")
    return number


def as_integer(value: object) -> int | None:
    """The value as an int if its type is that of whole numbers, else None."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def entries_of(value: object) -> tuple | None:
    """The entries of a sequence or array; None for text and for anything whose entries have no order."""
    if isinstance(value, str | bytes | Mapping | Set) or not isinstance(value, Iterable):
        return None
    try:
        return tuple(value)
    except TypeError:  # an array of no dimension has __iter__ and refuses it
        return None
