"""Random numbers that depend on where they are used, never on when: a counter-based generator.

Philox-4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): a block cipher
over the counter (block, stream, step) with the seed as key. Element i of a draw is word i mod 4 of block i div 4.
"""

from __future__ import annotations

import math

import numpy as np

from wimmel.graph.tensor import Primitive, Shape, Value

ROUNDS = 10
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Four 32-bit words for every counter.

    Parameters
    ----------
    counter : uint64 array (4, ...), each below 2**32
    key : two ints below 2**32

    Returns
    -------
    uint64 array (4, ...), each below 2**32
    """
    words = [counter[i].astype(np.uint64) for i in range(4)]
    for turn in range(ROUNDS):
        keys = [np.uint64((key[i] + turn * KEY_STEPS[i]) & 0xFFFFFFFF) for i in range(2)]
        products = [MULTIPLIERS[0] * words[0], MULTIPLIERS[1] * words[2]]
        words = [
            (products[1] >> _HIGH) ^ words[1] ^ keys[0],
            products[1] & _LOW,
            (products[0] >> _HIGH) ^ words[3] ^ keys[1],
            products[0] & _LOW,
        ]
    return np.stack(words)


def _random_uniform(key: np.ndarray, shape: Shape, stream: int, dtype: str) -> np.ndarray:
    seed_low, seed_high, step_low, step_high = (int(word) for word in key)
    count = math.prod(shape)
    counter = np.empty((4, -(-count // 4)), np.uint64)
    counter[0] = np.arange(counter.shape[1])
    counter[1], counter[2], counter[3] = stream, step_low, step_high
    words = philox(counter, (seed_low, seed_high)).T.reshape(-1)[:count]
    # no more bits of the word than the dtype's significand holds, so that 1.0 is never reached
    kept = 24 if dtype == "float32" else 32
    return (np.ldexp((words >> np.uint64(32 - kept)).astype(dtype), -kept)).reshape(shape)


def _result(key: Value, shape: Shape, stream: int, dtype: str) -> tuple[Shape, np.dtype]:
    if key.shape != (4,) or key.dtype != np.uint32:
        raise ValueError(
            f"random_uniform was given a key of shape {key.shape} and dtype {key.dtype}; it must be four uint32: "
            "seed (low, high) and step (low, high), as wm.random_key(seed, step) makes it"
        )
    return tuple(shape), np.dtype(dtype)


random_uniform: Primitive = Primitive("random_uniform", _result, _random_uniform)
