"""Luck: numbers without end that are a function of two keys."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wimmel.data.draws import Purpose, uniform

_AT_ONCE = 64


def lucky(seed: int, which: int) -> Iterator[float]:
    """Numbers from 0 (included) to 1 (excluded), the same ones for the same keys.

    Examples
    --------
    >>> next(lucky(1, 2)) == next(lucky(1, 2)), next(lucky(1, 2)) == next(lucky(1, 3))
    (True, False)
    """
    first = 0
    while True:
        yield from uniform(seed, Purpose.SCENE, which, first + np.arange(_AT_ONCE)).tolist()
        first += _AT_ONCE
