"""Activation functions as layers; each is the function of the same name in `wimmel.functional`."""

from __future__ import annotations

from typing import Any

from wimmel import functional
from wimmel.nn.module import Module


class ReLU(Module):
    """max(x, 0), element by element.

    Examples
    --------
    >>> import numpy as np
    >>> ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def forward(self, x: Any) -> Any:
        return functional.relu(x)


class LeakyReLU(Module):
    """x where it is positive, negative_slope * x elsewhere."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        return functional.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"{self.negative_slope}"


class ELU(Module):
    """x where it is positive, alpha * (exp(x) - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        return functional.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"{self.alpha}"


class SELU(Module):
    """The self-normalising ELU of Klambauer et al. (2017)."""

    def forward(self, x: Any) -> Any:
        return functional.selu(x)


class GELU(Module):
    """x times the normal distribution's probability of being below x; with approximate="tanh" nearly so."""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU was given approximate={approximate!r}; it is 'none' or 'tanh'")
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        return functional.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"


class SiLU(Module):
    """x * sigmoid(x), element by element."""

    def forward(self, x: Any) -> Any:
        return functional.silu(x)


class Mish(Module):
    """x * tanh(softplus(x)), element by element."""

    def forward(self, x: Any) -> Any:
        return functional.mish(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), element by element.

    Examples
    --------
    >>> import numpy as np
    >>> Sigmoid()(np.array([0.0]))
    array([0.5])
    """

    def forward(self, x: Any) -> Any:
        return functional.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent, element by element."""

    def forward(self, x: Any) -> Any:
        return functional.tanh(x)


class Hardswish(Module):
    """x * clip(x + 3, 0, 6) / 6, element by element."""

    def forward(self, x: Any) -> Any:
        return functional.hardswish(x)


class Hardsigmoid(Module):
    """clip(x + 3, 0, 6) / 6, element by element."""

    def forward(self, x: Any) -> Any:
        return functional.hardsigmoid(x)


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x exceeds the threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        if not beta > 0:
            raise ValueError(f"Softplus was given beta={beta!r}; it is a number above 0")
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Any) -> Any:
        return functional.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """Exponentials along an axis, divided by their sum.

    Parameters
    ----------
    dim : int, default -1
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return functional.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of `Softmax`, computed without taking the softmax first.

    Parameters
    ----------
    dim : int, default -1
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return functional.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
