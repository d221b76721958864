"""Random draws that depend on a key and a place, never on when or where they are made: dropout and uniform numbers.

A key is a seed and a step; a stream tells apart the places that draw in one step, such as the layers of a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wimmel.functional.arguments import floating
from wimmel.geometry import per_axis
from wimmel.graph import array, primitives
from wimmel.graph.tensor import Value

_WORD = 2**32


def random_key(seed: int, step: int = 0) -> np.ndarray:
    """The key of a step's random draws: four words, the seed's low and high one and the step's.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1; the same seed draws the same numbers, on every machine.
    step : int, default 0
        0 to 2**64 - 1; another step draws other numbers.

    Returns
    -------
    uint32 array (4,)

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If one is not whole.

    References
    ----------
    Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Examples
    --------
    >>> random_key(7, step=2)
    array([7, 0, 2, 0], dtype=uint32)
    """
    (seed,), (step,) = per_axis(seed, 1, "seed", minimum=0), per_axis(step, 1, "step", minimum=0)
    for name, number in (("seed", seed), ("step", step)):
        if number >= _WORD**2:
            raise ValueError(f"{name} must be below 2**64; got {number}")
    return np.array([seed % _WORD, seed // _WORD, step % _WORD, step // _WORD], np.uint32)


def random_uniform(shape: int | Sequence[int], key: Value, stream: int = 0, dtype: Any = np.float32) -> Value:
    """Random numbers spread evenly over 0 <= u < 1.

    Parameters
    ----------
    shape : int or sequence of int
    key : uint32 array or tensor (4,)
        As `random_key` makes it. As an array it is part of the call; in a recorded function let it be an argument.
    stream : int, default 0
        0 to 2**32 - 1; every stream of a key draws other numbers.
    dtype : float32 or float64, default float32
        The numbers are multiples of 2**-24 in float32 and of 2**-32 in float64.

    Returns
    -------
    array or tensor of that shape and dtype

    Raises
    ------
    ValueError
        If the key does not have that form, or the stream or a size is out of range.
    TypeError
        For another dtype.

    Examples
    --------
    >>> u = random_uniform(10000, random_key(0))
    >>> bool(0.49 < u.mean() < 0.51), bool(0 <= u.min() and u.max() < 1)
    (True, True)
    """
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise TypeError(f"random_uniform was given dtype {kind}; it draws float32 or float64")
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    sizes = per_axis(sizes, len(sizes), "shape", minimum=0)
    (stream,) = per_axis(stream, 1, "stream", minimum=0)
    if stream >= _WORD:
        raise ValueError(f"stream must be below 2**32; got {stream}")
    return primitives.random_uniform(key, shape=sizes, stream=stream, dtype=kind.name)


def dropout(x: Value, p: float = 0.5, training: bool = True, key: Value | None = None, stream: int = 0) -> Value:
    """x with each element, by chance p, replaced by 0, and the others divided by 1 - p.

    So the mean stays what it was. Which elements go depends on key, stream and the element's place only.

    Parameters
    ----------
    x : float32 or float64 array or tensor, any shape
    p : float, default 0.5
        0 to 1: the chance that an element goes.
    training : bool, default True
        False gives x back as it is.
    key : uint32 array or tensor (4,)
        As `random_key` makes it; needed in training, unless p is 0.
    stream : int, default 0
        Tells apart several dropouts under one key.

    Returns
    -------
    array or tensor, as x

    Raises
    ------
    ValueError
        If p is not a probability, or there is no key in training.
    TypeError
        If x is not floating point.

    References
    ----------
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014), section 4.

    Examples
    --------
    >>> dropout(np.ones(8), 0.5, key=random_key(0))
    array([0., 2., 2., 2., 2., 0., 2., 0.])
    >>> dropout(np.ones(3), training=False)
    array([1., 1., 1.])
    """
    x = floating(x, "dropout")
    if not 0 <= p <= 1:
        raise ValueError(f"dropout was given p={p}; the chance to go lies between 0 and 1")
    if not training or p == 0:
        return x
    if key is None:
        raise ValueError("dropout in training needs a key to draw from: dropout(x, key=wm.random_key(seed, step))")
    # float32 for either dtype, so that the same elements go
    drawn = random_uniform(x.shape, key, stream)
    factor = 0.0 if p == 1 else 1 / (1 - p)
    return array.multiply(x, array.where(array.less(drawn, p), 0, np.asarray(factor, x.dtype)))
