"""First values of parameters: functions from a shape and a random generator to a new array.

fan_in is the number of inputs that one output sums over, fan_out the number of outputs that one input reaches. All are
partial applications of plain functions, so that networks can be pickled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import TypeAlias

import numpy as np

PIECE = 1 << 14
"""Numbers that are drawn at once."""

Shape: TypeAlias = tuple[int, ...]
Initializer: TypeAlias = Callable[[Shape, np.random.Generator], np.ndarray]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """fan_in and fan_out of a weight of shape (out, in, *kernel).

    Examples
    --------
    >>> fans((6, 1, 5, 5))
    (25, 150)
    """
    if len(shape) < 2:
        raise ValueError(f"a weight of shape {shape} has no fan_in and fan_out; it needs two axes, outputs and inputs")
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def constant(value: float) -> Initializer:
    """Every element is the value."""
    return partial(_constant, value)


def uniform(bound: float) -> Initializer:
    """Uniform between -bound and bound."""
    return partial(_uniform, bound)


def normal(deviation: float = 0.01) -> Initializer:
    """Normal around 0."""
    return partial(_normal, deviation)


def fan_in_uniform(fan_in: int | None = None) -> Initializer:
    """Uniform within 1 / sqrt(fan_in): PyTorch's default for convolutions and linear layers.

    Parameters
    ----------
    fan_in : int, optional
        Needed for biases, whose shape does not tell.
    """
    return partial(_fan_in_uniform, fan_in)


def glorot_uniform(gain: float = 1.0) -> Initializer:
    """Uniform with variance gain^2 * 2 / (fan_in + fan_out).

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010), equation 16.
    """
    return partial(_scaled, _uniform, gain * math.sqrt(6), sum)


def glorot_normal(gain: float = 1.0) -> Initializer:
    """Normal with variance gain^2 * 2 / (fan_in + fan_out); Glorot and Bengio (2010), equation 12."""
    return partial(_scaled, _normal, gain * math.sqrt(2), sum)


def he_uniform(gain: float = math.sqrt(2)) -> Initializer:
    """Uniform with variance gain^2 / fan_in; the default gain is ReLU's.

    References
    ----------
    He, Zhang, Ren and Sun, "Delving deep into rectifiers" (2015), equation 10.
    """
    return partial(_scaled, _uniform, gain * math.sqrt(3), _first)


def he_normal(gain: float = math.sqrt(2)) -> Initializer:
    """Normal with variance gain^2 / fan_in; He et al. (2015), equation 10."""
    return partial(_scaled, _normal, gain, _first)


def lecun_normal() -> Initializer:
    """Normal with variance 1 / fan_in; LeCun, Bottou, Orr and Müller, "Efficient BackProp" (1998), equation 16."""
    return he_normal(1.0)


def orthogonal(gain: float = 1.0) -> Initializer:
    """Rows (or columns, if there are fewer) that are orthonormal, times gain.

    References
    ----------
    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear networks"
    (2014).
    """
    return partial(_orthogonal, gain)


def _constant(value: float, shape: Shape, generator: np.random.Generator) -> np.ndarray:
    return np.full(shape, value)


def _uniform(bound: float, shape: Shape, generator: np.random.Generator) -> np.ndarray:
    return _in_pieces(lambda count: generator.uniform(-bound, bound, count), shape)


def _normal(deviation: float, shape: Shape, generator: np.random.Generator) -> np.ndarray:
    return _in_pieces(lambda count: generator.normal(0, deviation, count), shape)


def _in_pieces(draw: Callable[[int], np.ndarray], shape: Shape) -> np.ndarray:
    """So many draws, which are of float64, as float32: never is there much more memory in use than these need."""
    drawn = np.empty(shape, np.float32)
    row = drawn.reshape(-1)
    for start in range(0, drawn.size, PIECE):
        piece = row[start : start + PIECE]
        piece[:] = draw(piece.size)
    return drawn


def _fan_in_uniform(fan_in: int | None, shape: Shape, generator: np.random.Generator) -> np.ndarray:
    return _uniform(1 / math.sqrt(max(fan_in or fans(shape)[0], 1)), shape, generator)


def _scaled(
    distribution: Callable[..., np.ndarray],
    scale: float,
    chosen: Callable[[tuple[int, int]], int],
    shape: Shape,
    generator: np.random.Generator,
) -> np.ndarray:
    """A draw whose width is the scale over the square root of the chosen fan."""
    return distribution(scale / math.sqrt(max(chosen(fans(shape)), 1)), shape, generator)


_first = itemgetter(0)


def _orthogonal(gain: float, shape: Shape, generator: np.random.Generator) -> np.ndarray:
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(generator.normal(size=(max(rows, columns), min(rows, columns))))
    # without the signs of r the distribution would not be uniform over orthogonal matrices
    q = q * np.sign(np.diag(r))
    return gain * (q.T if rows < columns else q).reshape(shape)


zeros = constant(0.0)
ones = constant(1.0)
