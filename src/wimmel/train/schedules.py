"""Learning-rate schedules: frozen settings that, called with the number of updates made, give the next one's rate.

The rate is a Python number that the training step takes as an input, so a schedule may be any function of that number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Schedule: TypeAlias = Callable[[int], float]
"""From the number of updates made so far, 0 before the first, to the learning rate of the next."""


@dataclass(frozen=True)
class Constant:
    """The same rate throughout.

    Parameters
    ----------
    learning_rate : float

    Examples
    --------
    >>> Constant(0.1)(1000)
    0.1
    """

    learning_rate: float

    def __post_init__(self) -> None:
        _check_rate(self, "learning_rate")

    def __call__(self, step: int) -> float:
        return self.learning_rate


@dataclass(frozen=True)
class StepDecay:
    """A rate multiplied by a factor after every so many steps: learning_rate * factor^floor(step / every).

    Parameters
    ----------
    learning_rate : float
        The first rate.
    every : int
        Steps between two changes.
    factor : float, default 0.1

    Examples
    --------
    >>> schedule = StepDecay(0.5, every=100, factor=0.5)
    >>> [schedule(step) for step in (0, 99, 100, 200)]
    [0.5, 0.5, 0.25, 0.125]
    """

    learning_rate: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _check_rate(self, "learning_rate", "factor")
        _check_count(self, "every")

    def __call__(self, step: int) -> float:
        return self.learning_rate * self.factor ** (step // self.every)


@dataclass(frozen=True)
class Cosine:
    """A rate that falls along half a cosine and then rests.

    At step s it is final + (learning_rate - final) (1 + cos(pi s / steps)) / 2.

    Parameters
    ----------
    learning_rate : float
        The first rate.
    steps : int
        Steps until the final rate is reached: batches per epoch times epochs.
    final : float, default 0.0

    References
    ----------
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017), equation 5, one period.

    Examples
    --------
    >>> schedule = Cosine(0.5, steps=100)
    >>> [round(schedule(step), 6) for step in (0, 50, 100, 200)]
    [0.5, 0.25, 0.0, 0.0]
    """

    learning_rate: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_rate(self, "learning_rate", "final")
        _check_count(self, "steps")

    def __call__(self, step: int) -> float:
        return _along_cosine(self.learning_rate, self.final, step / self.steps)


@dataclass(frozen=True)
class OneCycle:
    """A rate that rises along half a cosine to its highest, then falls along another to almost nothing.

    The numbers are those of torch.optim.lr_scheduler.OneCycleLR with its defaults.

    Parameters
    ----------
    learning_rate : float
        The highest rate.
    steps : int
        Steps of the whole cycle: batches per epoch times epochs; afterwards the rate rests.
    rise : float, default 0.3
        The part of the steps in which the rate rises, between 0 and 1.
    start_divisor : float, default 25.0
        The first rate is learning_rate / start_divisor,
    final_divisor : float, default 1e4
        and the last is the first / final_divisor.

    References
    ----------
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates" (2018).

    Examples
    --------
    >>> schedule = OneCycle(0.5, steps=10, rise=0.5)
    >>> [round(schedule(step), 3) for step in (0, 2, 4, 9)]
    [0.02, 0.26, 0.5, 0.0]
    """

    learning_rate: float
    steps: int
    rise: float = 0.3
    start_divisor: float = 25.0
    final_divisor: float = 1e4

    def __post_init__(self) -> None:
        _check_rate(self, "learning_rate")
        _check_count(self, "steps")
        if not 0 < self.rise < 1:
            raise ValueError(f"OneCycle was given rise={self.rise!r}; it is a part of the steps, between 0 and 1")
        for name in ("start_divisor", "final_divisor"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"OneCycle was given {name}={getattr(self, name)!r}; it is a number above 0")

    def __call__(self, step: int) -> float:
        first = self.learning_rate / self.start_divisor
        summit, end = self.rise * self.steps - 1, self.steps - 1
        if step <= summit:
            return _along_cosine(first, self.learning_rate, step / summit if summit else 1.0)
        part = (step - summit) / (end - summit)
        return _along_cosine(self.learning_rate, first / self.final_divisor, part)


@dataclass(frozen=True)
class WarmUp:
    """A rate that rises evenly from near 0 to the first of another schedule, which then takes over.

    Parameters
    ----------
    steps : int
        Steps of rising: step s has the rate schedule(0) * (s + 1) / (steps + 1).
    schedule : callable
        The one that follows; it counts its steps from the end of the rise.

    References
    ----------
    Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour" (2017), section 2.2.

    Examples
    --------
    >>> schedule = WarmUp(3, StepDecay(0.8, every=2))
    >>> [round(schedule(step), 6) for step in range(7)]
    [0.2, 0.4, 0.6, 0.8, 0.8, 0.08, 0.08]
    """

    steps: int
    schedule: Schedule

    def __post_init__(self) -> None:
        _check_count(self, "steps")
        if not callable(self.schedule):
            raise TypeError(
                f"WarmUp was given {self.schedule!r} to be followed by; it takes a schedule, "
                "such as Cosine(0.1, steps=1000)"
            )

    def __call__(self, step: int) -> float:
        if step < self.steps:
            return self.schedule(0) * (step + 1) / (self.steps + 1)
        return self.schedule(step - self.steps)


NAMED: dict[str, Callable[[float, int], Schedule]] = {
    "constant": lambda learning_rate, steps: Constant(learning_rate),
    "cosine": Cosine,
    "one-cycle": OneCycle,
}
"""Schedules that follow from a learning rate and the number of steps in all, by the name a Trainer takes."""


def _along_cosine(start: float, end: float, part: float) -> float:
    """From start to end along half a cosine, at a part of the way."""
    return end + (start - end) * (1 + math.cos(math.pi * min(part, 1.0))) / 2


def _check_rate(schedule: Any, *names: str) -> None:
    for name in names:
        value = getattr(schedule, name)
        if not 0 <= value < math.inf:
            raise ValueError(f"{type(schedule).__name__} was given {name}={value!r}; it is a number of at least 0")


def _check_count(schedule: Any, name: str) -> None:
    value = getattr(schedule, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{type(schedule).__name__} was given {name}={value!r}; it is a whole number of at least 1")
