"""What an attribute of a module is set to, to make it a parameter or a buffer, and the arrays that these hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wimmel.graph import Variable
from wimmel.nn.initializers import Initializer


@dataclass(frozen=True)
class Parameter:
    """What an attribute of a module is set to once to make it a trainable parameter.

    Parameters
    ----------
    value : array
        Its first value, converted to float32; `Module.astype` makes a whole network double.

    Examples
    --------
    >>> from wimmel import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self, channels):
    ...         self.scale = nn.Parameter(np.ones(channels))
    ...     def forward(self, x):
    ...         return x * self.scale
    >>> Scale(2)(np.array([1.0, 2.0], np.float32))
    array([1., 2.], dtype=float32)
    """

    value: Any

    @classmethod
    def drawn(cls, shape: tuple[int, ...], initializer: Initializer) -> Drawn:
        """A parameter of that shape drawn by the initializer: unpredictably, until `Module.initialize(seed)`."""
        return Drawn(tuple(shape), initializer)


@dataclass(frozen=True)
class Drawn:
    """A parameter whose first value is drawn, when it is first needed; made by `Parameter.drawn`."""

    shape: tuple[int, ...]
    initializer: Initializer

    def draw(self, generator: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
        value = np.asarray(self.initializer(self.shape, generator), dtype=dtype, order="C")
        value.flags.writeable = False
        return value


@dataclass(frozen=True)
class Buffer:
    """What an attribute of a module is set to once to make it state that is saved but not trained."""

    value: Any


def variable_for(name: str, value: Drawn | Parameter | Buffer) -> Variable:
    if isinstance(value, Drawn):
        return Variable(lambda: value.draw(np.random.default_rng()), name, shape=value.shape, dtype=np.float32)
    array = real_array(value.value, name)
    trainable = isinstance(value, Parameter)
    dtype = np.float32 if array.dtype.kind == "f" or trainable else array.dtype
    return Variable(own_copy(array, dtype), name, trainable)


def real_array(value: Any, name: str) -> np.ndarray:
    """The value as an array of real numbers; PyTorch's tensors too, also those that require gradients."""
    detached = value.detach() if hasattr(value, "detach") else value
    try:
        array = np.asarray(detached)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} was given something that is no array of numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} was given {array.dtype} values; parameters and buffers are real numbers")
    return array


def own_copy(value: Any, dtype: Any) -> np.ndarray:
    copy = np.array(value, dtype=dtype, order="C")
    copy.flags.writeable = False
    return copy
