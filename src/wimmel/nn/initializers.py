"""First values of parameters: functions from a shape and a random generator to an array.

With fan_in the number of inputs that one output sums over, and fan_out the number of outputs that one input reaches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

Initializer: TypeAlias = Callable[[tuple[int, ...], np.random.Generator], np.ndarray]


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
    return lambda shape, generator: np.full(shape, value, np.float32)


zeros = constant(0.0)
ones = constant(1.0)


def uniform(bound: float) -> Initializer:
    """Uniform between -bound and bound."""
    return lambda shape, generator: generator.uniform(-bound, bound, shape)


def normal(deviation: float = 0.01) -> Initializer:
    """Normal around 0."""
    return lambda shape, generator: generator.normal(0, deviation, shape)


def fan_in_uniform(fan_in: int | None = None) -> Initializer:
    """Uniform within 1 / sqrt(fan_in): PyTorch's default for convolutions and linear layers.

    Parameters
    ----------
    fan_in : int, optional
        Needed for biases, whose shape does not tell.
    """
    return lambda shape, generator: uniform(1 / math.sqrt(max(fan_in or fans(shape)[0], 1)))(shape, generator)


def glorot_uniform(gain: float = 1.0) -> Initializer:
    """Uniform with variance gain^2 * 2 / (fan_in + fan_out).

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010), equation 16.
    """
    return lambda shape, generator: uniform(gain * math.sqrt(6 / sum(fans(shape))))(shape, generator)


def glorot_normal(gain: float = 1.0) -> Initializer:
    """Normal with variance gain^2 * 2 / (fan_in + fan_out); Glorot and Bengio (2010), equation 12."""
    return lambda shape, generator: normal(gain * math.sqrt(2 / sum(fans(shape))))(shape, generator)


def he_uniform(gain: float = math.sqrt(2)) -> Initializer:
    """Uniform with variance gain^2 / fan_in; the default gain is ReLU's.

    References
    ----------
    He, Zhang, Ren and Sun, "Delving deep into rectifiers" (2015), equation 10.
    """
    return lambda shape, generator: uniform(gain * math.sqrt(3 / fans(shape)[0]))(shape, generator)


def he_normal(gain: float = math.sqrt(2)) -> Initializer:
    """Normal with variance gain^2 / fan_in; He et al. (2015), equation 10."""
    return lambda shape, generator: normal(gain / math.sqrt(fans(shape)[0]))(shape, generator)


def lecun_normal() -> Initializer:
    """Normal with variance 1 / fan_in; LeCun, Bottou, Orr and Müller, "Efficient BackProp" (1998), equation 16."""
    return he_normal(1.0)


def orthogonal(gain: float = 1.0) -> Initializer:
    """Rows (or columns, if there are fewer) that are orthonormal, times gain.

    References
    ----------
    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear networks" (2014).
    """

    def draw(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        rows, columns = shape[0], math.prod(shape[1:])
        q, r = np.linalg.qr(generator.normal(size=(max(rows, columns), min(rows, columns))))
        # without the signs of r the distribution would not be uniform over orthogonal matrices
        q = q * np.sign(np.diag(r))
        return gain * (q.T if rows < columns else q).reshape(shape)

    return draw
