"""Whole numbers that a caller gives, checked: NumPy's count, booleans and floats do not."""

from __future__ import annotations

import operator


def whole_number(value: object, name: str, lowest: int = 0, highest: int = 2**64 - 1) -> int:
    """The value as an int from `lowest` to `highest`; anything else is refused in a sentence about `name`.

    Examples
    --------
    >>> whole_number(7, "seed")
    7
    >>> whole_number(2.5, "batch_size", lowest=1)
    Traceback (most recent call last):
        ...
    TypeError: batch_size must be a whole number; got 2.5.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise TypeError(f"{name} must be a whole number; got {value!r}.") from error
    if isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number; got {value!r}.")
    if number < lowest:
        raise ValueError(f"{name} must be at least {lowest}; got {number}.")
    if number > highest:
        raise ValueError(f"{name} must be at most {highest}; got {number}.")
    return number
