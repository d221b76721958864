"""Random numbers that are a function of their keys alone: the same keys give the same bits on every machine.

Given whole numbers (seed, purpose, epoch, index, ...); hands on words, numbers from 0 to 1, and orders.
Nothing here has a state, so neither threads nor the size of a batch can change what is drawn.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

# Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014): the step and the mixing function
# of SplitMix64, used here as a hash of one key after the other.
_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR = np.uint64(0x94D049BB133111EB)


class Purpose(IntEnum):
    """What is drawn: part of every key, so that one seed serves all of them without repeating itself."""

    ORDER = 1
    SPLIT = 2
    TAKE = 3
    AUGMENTATION = 4
    SCENE = 5
    WINDOWS = 6


def words(*keys: int | np.ndarray) -> np.ndarray:
    """Random 64-bit words, one for every combination of keys.

    Parameters
    ----------
    *keys : int or integer array
        From 0 to 2**64 - 1; arrays broadcast against each other. Their order matters.

    Returns
    -------
    uint64 array
        In the keys' broadcast shape.

    Examples
    --------
    >>> words(1234567)  # the first number of SplitMix64 with that seed
    array(6457827717110365317, dtype=uint64)
    >>> words(0, 1, np.arange(3)).shape
    (3,)
    """
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is what is wanted
        for key in keys:
            state = _mixed(state + _GOLDEN_GAMMA + np.asarray(key).astype(np.uint64))
    return np.asarray(state)


def uniform(*keys: int | np.ndarray) -> np.ndarray:
    """Random numbers from 0 (included) to 1 (excluded), float64, one for every combination of keys.

    Examples
    --------
    >>> bool((uniform(7, np.arange(1000)) < 0.5).mean().round(1) == 0.5)
    True
    """
    # The 53 upper bits are as many as a float64 between 0 and 1 can tell apart.
    return (words(*keys) >> np.uint64(11)) * 2.0**-53


def random_order(count: int, *keys: int) -> np.ndarray:
    """The numbers 0 to count - 1 in an order that depends on the keys alone, int64.

    Examples
    --------
    >>> sorted(random_order(5, 0).tolist())
    [0, 1, 2, 3, 4]
    """
    return np.argsort(words(*keys, np.arange(count)), kind="stable").astype(np.int64, copy=False)


def _mixed(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * _FIRST_FACTOR
    state = (state ^ (state >> np.uint64(27))) * _SECOND_FACTOR
    return state ^ (state >> np.uint64(31))
