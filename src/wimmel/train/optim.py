"""Optimisers: frozen settings with two pure functions, the state to begin with and one update.

Given a gradient, a parameter, its state, the learning rate and the number of the update, an update hands on the new
parameter and the new state. It is written with operators, so that on tensors it is recorded in the training step's
graph. The numbers are those of torch.optim's classes of the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from wimmel import functional
from wimmel.graph import Tensor, Value

State: TypeAlias = dict[str, Value]
"""What an optimiser remembers about one parameter: arrays of the parameter's shape by name."""


class Optimizer(Protocol):
    """What the training step asks of an optimiser; write your own with these three.

    Attributes
    ----------
    learning_rate : float
        The rate where no schedule says otherwise.
    """

    @property
    def learning_rate(self) -> float: ...

    def initial(self, parameter: np.ndarray) -> dict[str, np.ndarray]:
        """The state before the first update of a parameter."""
        ...

    def update(
        self, gradient: Value, parameter: Value, state: State, learning_rate: Value, step: Value
    ) -> tuple[Value, State]:
        """The parameter and its state after an update; step is its number, 1 for the first."""
        ...


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, plain or with momentum.

    With gradient g, parameter p, weight decay w, momentum m and buffer b, which begins at 0::

        g <- g + w p
        b <- m b + g
        p <- p - rate * b               with Nesterov's momentum:  p - rate * (g + m b)

    Parameters
    ----------
    learning_rate : float, default 0.01
    momentum : float, default 0.0
        From 0 to below 1.
    nesterov : bool, default False
        Needs momentum.
    weight_decay : float, default 0.0
        Added to the gradient as an L2 penalty.

    Raises
    ------
    ValueError
        For a setting out of its range.

    References
    ----------
    Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep learning" (2013),
    equations 1 to 4, with PyTorch's convention that the rate multiplies the buffer instead of entering it.

    Examples
    --------
    >>> gradient, parameter = np.array([1.0, 2.0]), np.zeros(2)
    >>> optimizer = SGD(0.1, momentum=0.9)
    >>> state = optimizer.initial(parameter)
    >>> for step in (1, 2):
    ...     parameter, state = optimizer.update(gradient, parameter, state, 0.1, step)
    >>> parameter
    array([-0.29, -0.58])
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check_not_negative(self, "learning_rate", "weight_decay")
        _check_below_one(self, momentum=self.momentum)
        if self.nesterov and self.momentum == 0:
            raise ValueError("SGD was given nesterov=True without momentum; set momentum too, for example 0.9")

    def initial(self, parameter: np.ndarray) -> dict[str, np.ndarray]:
        return {"momentum": np.zeros_like(parameter)} if self.momentum else {}

    def update(
        self, gradient: Value, parameter: Value, state: State, learning_rate: Value, step: Value
    ) -> tuple[Value, State]:
        gradient = _penalised(gradient, parameter, self.weight_decay)
        if not self.momentum:
            return parameter - _number(learning_rate, parameter) * gradient, {}
        buffer = self.momentum * state["momentum"] + gradient
        direction = gradient + self.momentum * buffer if self.nesterov else buffer
        return parameter - _number(learning_rate, parameter) * direction, {"momentum": buffer}


@dataclass(frozen=True)
class Adam:
    """Adam: every parameter's step measured by running moments of its gradient; weight decay as an L2 penalty.

    With gradient g, parameter p, moments m and v, which begin at 0, and t the number of the update::

        g <- g + w p
        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        p <- p - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Parameters
    ----------
    learning_rate : float, default 0.001
    betas : (float, float), default (0.9, 0.999)
        From 0 to below 1.
    eps : float, default 1e-8
    weight_decay : float, default 0.0

    Raises
    ------
    ValueError
        For a setting out of its range.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.

    Examples
    --------
    >>> optimizer = Adam(0.1)
    >>> parameter, state = optimizer.update(np.array([5.0]), np.zeros(1), optimizer.initial(np.zeros(1)), 0.1, 1)
    >>> parameter.round(6)
    array([-0.1])
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check_adam(self, self.betas)

    def initial(self, parameter: np.ndarray) -> dict[str, np.ndarray]:
        return _moments(parameter)

    def update(
        self, gradient: Value, parameter: Value, state: State, learning_rate: Value, step: Value
    ) -> tuple[Value, State]:
        gradient = _penalised(gradient, parameter, self.weight_decay)
        direction, state = _adam_direction(gradient, state, self.betas, self.eps, step)
        return parameter - _number(learning_rate, parameter) * direction, state


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay: the parameter shrinks by rate * w each update, beside Adam's step.

    With Adam's moments of the plain gradient::

        p <- (1 - rate * w) p - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Parameters
    ----------
    learning_rate : float, default 0.001
    betas : (float, float), default (0.9, 0.999)
        From 0 to below 1.
    eps : float, default 1e-8
    weight_decay : float, default 0.01

    Raises
    ------
    ValueError
        For a setting out of its range.

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), algorithm 2.

    Examples
    --------
    >>> optimizer = AdamW(0.1, weight_decay=0.5)
    >>> parameter, state = optimizer.update(np.zeros(1), np.ones(1), optimizer.initial(np.ones(1)), 0.1, 1)
    >>> parameter
    array([0.95])
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        _check_adam(self, self.betas)

    def initial(self, parameter: np.ndarray) -> dict[str, np.ndarray]:
        return _moments(parameter)

    def update(
        self, gradient: Value, parameter: Value, state: State, learning_rate: Value, step: Value
    ) -> tuple[Value, State]:
        rate = _number(learning_rate, parameter)
        direction, state = _adam_direction(gradient, state, self.betas, self.eps, step)
        return parameter * (1 - rate * self.weight_decay) - rate * direction, state


@dataclass(frozen=True)
class RMSprop:
    """RMSprop: the gradient divided by the running root mean square of its past.

    With gradient g, parameter p, mean square v and buffer b, which begin at 0::

        g <- g + w p
        v <- alpha v + (1 - alpha) g^2
        b <- m b + g / (sqrt(v) + eps)
        p <- p - rate * b

    Parameters
    ----------
    learning_rate : float, default 0.01
    alpha : float, default 0.99
        From 0 to below 1.
    eps : float, default 1e-8
    momentum : float, default 0.0
        From 0 to below 1.
    weight_decay : float, default 0.0
        Added to the gradient as an L2 penalty.

    Raises
    ------
    ValueError
        For a setting out of its range.

    References
    ----------
    Tieleman and Hinton, "Neural networks for machine learning", lecture 6.5 (2012).

    Examples
    --------
    >>> optimizer = RMSprop(0.1, alpha=0.75, eps=0.0)
    >>> optimizer.update(np.array([4.0]), np.zeros(1), optimizer.initial(np.zeros(1)), 0.1, 1)
    (array([-0.2]), {'square': array([4.])})
    """

    learning_rate: float = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check_not_negative(self, "learning_rate", "eps", "weight_decay")
        _check_below_one(self, alpha=self.alpha, momentum=self.momentum)

    def initial(self, parameter: np.ndarray) -> dict[str, np.ndarray]:
        names = ("square", "momentum") if self.momentum else ("square",)
        return {name: np.zeros_like(parameter) for name in names}

    def update(
        self, gradient: Value, parameter: Value, state: State, learning_rate: Value, step: Value
    ) -> tuple[Value, State]:
        gradient = _penalised(gradient, parameter, self.weight_decay)
        square = self.alpha * state["square"] + (1 - self.alpha) * (gradient * gradient)
        direction = gradient / (functional.sqrt(square) + self.eps)
        new: State = {"square": square}
        if self.momentum:
            direction = new["momentum"] = self.momentum * state["momentum"] + direction
        return parameter - _number(learning_rate, parameter) * direction, new


def _adam_direction(
    gradient: Value, state: State, betas: tuple[float, float], eps: float, step: Value
) -> tuple[Value, State]:
    """What the rate multiplies in Adam's step, and the moved moments."""
    first = betas[0] * state["first"] + (1 - betas[0]) * gradient
    second = betas[1] * state["second"] + (1 - betas[1]) * (gradient * gradient)
    # 1 - 0.999^t loses half of float32's digits for small t, so the two corrections are computed in float64
    count = _number(step)
    first_correction, second_correction = (_number(1 - functional.power(beta, count), gradient) for beta in betas)
    direction = (first / first_correction) / (functional.sqrt(second / second_correction) + eps)
    return direction, {"first": first, "second": second}


def _penalised(gradient: Value, parameter: Value, weight_decay: float) -> Value:
    return gradient + weight_decay * parameter if weight_decay else gradient


def _moments(parameter: np.ndarray) -> dict[str, np.ndarray]:
    return {"first": np.zeros_like(parameter), "second": np.zeros_like(parameter)}


def _number(value: Value, like: Value = None) -> Value:
    """A single number, given as one, as an array or as a tensor, in float64 or in the dtype of something else."""
    number = value if isinstance(value, Tensor) else np.asarray(value)
    return functional.cast(number, np.float64 if like is None else like.dtype)


def _check_adam(optimizer: Any, betas: tuple[float, float]) -> None:
    _check_not_negative(optimizer, "learning_rate", "eps", "weight_decay")
    if not isinstance(betas, tuple) or len(betas) != 2:
        raise ValueError(f"{type(optimizer).__name__} was given betas={betas!r}; they are a pair such as (0.9, 0.999)")
    _check_below_one(optimizer, **{"betas[0]": betas[0], "betas[1]": betas[1]})


def _check_not_negative(optimizer: Any, *names: str) -> None:
    for name in names:
        value = getattr(optimizer, name)
        if not 0 <= value < float("inf"):
            raise ValueError(f"{type(optimizer).__name__} was given {name}={value!r}; it is a number of at least 0")


def _check_below_one(optimizer: Any, **values: float) -> None:
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"{type(optimizer).__name__} was given {name}={value!r}; it lies from 0 to below 1")
