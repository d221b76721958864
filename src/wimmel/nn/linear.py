"""Dense layers, and the layers that bring values into the shape they take."""

from __future__ import annotations

from typing import Any

from wimmel import functional
from wimmel.geometry.whole_numbers import at_least
from wimmel.nn.initializers import fan_in_uniform
from wimmel.nn.module import Module
from wimmel.nn.parameters import Parameter


class Linear(Module):
    """A dense layer: (..., in_features) to (..., out_features), x @ weight.T + bias.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool, default True

    Attributes
    ----------
    weight : float32 (out_features, in_features)
    bias : float32 (out_features,) or None

    References
    ----------
    Lecture row L2.

    Examples
    --------
    >>> import numpy as np
    >>> Linear(400, 10)(np.zeros((2, 400), np.float32)).shape
    (2, 10)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features = in_features = at_least(in_features, 1, "in_features of Linear")
        self.out_features = out_features = at_least(out_features, 1, "out_features of Linear")
        self.bias_used = bias
        self.weight = Parameter.drawn((out_features, in_features), fan_in_uniform())
        self.bias = Parameter.drawn((out_features,), fan_in_uniform(in_features)) if bias else None

    def forward(self, x: Any) -> Any:
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias_used else ", bias=False")


class Flatten(Module):
    """The axes from start_dim to end_dim as one, in row-major order.

    Parameters
    ----------
    start_dim : int, default 1
    end_dim : int, default -1

    Examples
    --------
    >>> import numpy as np
    >>> Flatten()(np.zeros((2, 16, 5, 5))).shape
    (2, 400)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        if (start_dim < 0) == (end_dim < 0) and start_dim > end_dim:
            raise ValueError(f"Flatten was given start_dim={start_dim} and end_dim={end_dim}; it ends before it starts")
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Any) -> Any:
        rank = len(x.shape)
        if not -rank <= self.start_dim < rank or not -rank <= self.end_dim < rank:
            raise ValueError(f"Flatten was given shape {x.shape}, which has no axes {self.start_dim} to {self.end_dim}")
        first, last = self.start_dim % rank, self.end_dim % rank
        if first > last:
            raise ValueError(f"Flatten(start_dim={self.start_dim}, end_dim={self.end_dim}) ends before it starts")
        size = 1
        for n in x.shape[first : last + 1]:
            size *= n
        return functional.reshape(x, (*x.shape[:first], size, *x.shape[last + 1 :]))

    def extra_repr(self) -> str:
        return "" if (self.start_dim, self.end_dim) == (1, -1) else f"{self.start_dim}, {self.end_dim}"
