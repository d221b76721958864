"""The training step: forward, backward and update recorded once into one graph, run as a whole for every batch.

Given a network, an optimiser and a loss; hands on a function that takes a batch, moves the parameters, and tells the
loss, how many answers were right, and whether every number it made was finite. Where one was not, nothing has moved.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import numpy as np

from wimmel import functional
from wimmel.data import Preprocessing
from wimmel.graph import Graph, Trace, Value, Variable, scope, trace
from wimmel.nn import Module
from wimmel.runtime import compile, value_and_grad
from wimmel.runtime.backends import DEFAULT
from wimmel.train.inputs import classifies, prepared
from wimmel.train.optim import Optimizer

Loss = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Outcome:
    """What a step tells.

    Attributes
    ----------
    loss : float
        Of the batch, before the update.
    right : int or None
        Places whose largest score was that of their class; None where labels are not classes.
    finite : bool
        Whether loss, gradients and everything updated were finite. If not, nothing was updated.
    """

    loss: float
    right: int | None
    finite: bool


class TrainingStep:
    """One update of a network, as a function of a batch; it moves the network, the optimiser's state and a count.

    Parameters
    ----------
    net : Module
    optimizer : Optimizer
    loss : callable
        From (scores, labels) to one number.
    preprocessing : Preprocessing, optional
        Applied to uint8 images, inside the graph.
    clip_norm : float, optional
        Gradients whose norm, taken over all parameters together, exceeds this are scaled down to it.
    backend : str, default "native"

    Attributes
    ----------
    count : int
        Updates made so far.
    graph : Graph or None
        The whole step, as it was recorded last; None before the first.

    References
    ----------
    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (2013), algorithm 1
    (clipping).

    Examples
    --------
    >>> from wimmel import nn
    >>> from wimmel.train import losses, optim
    >>> net = nn.Sequential(nn.Linear(1, 1)).initialize(0)
    >>> step = TrainingStep(net, optim.SGD(0.1), losses.mse)
    >>> x, y = np.array([[0.0], [1.0]], np.float32), np.array([[1.0], [3.0]], np.float32)
    >>> key = functional.random_key(0)
    >>> first = step(x, y, 0.1, key)
    >>> for _ in range(300):
    ...     last = step(x, y, 0.1, key)
    >>> bool(last.loss < 1e-6 < first.loss), step.count
    (True, 301)
    """

    def __init__(
        self,
        net: Module,
        optimizer: Optimizer,
        loss: Loss,
        preprocessing: Preprocessing | None = None,
        clip_norm: float | None = None,
        backend: str = DEFAULT,
    ) -> None:
        self.net = net
        self.optimizer = optimizer
        self.loss = loss
        self.preprocessing = preprocessing
        self.clip_norm = clip_norm
        self._count = Variable(np.zeros((), np.int64), "step", trainable=False)
        self._state: dict[str, dict[str, Variable]] = {}
        self._run = compile(self._recorded, backend=backend)
        self._run.accepts = lambda result: bool(result[2])
        self._lock = threading.Lock()
        _steps.add(self)
        for name, variable in net.named_variables().items():
            if variable.trainable:
                self._state_of(name, variable)

    def __call__(self, images: np.ndarray, labels: np.ndarray, learning_rate: float, key: np.ndarray) -> Outcome:
        """Makes one update, unless a number in it is not finite. Threads that share a step take turns.

        Parameters
        ----------
        images : array (n, ...)
            uint8 pictures for the preprocessing, or what the network takes.
        labels : array (n, ...)
            What the loss takes.
        learning_rate : float
        key : uint32 array (4,)
            For what the network draws at random, as `random_key` makes it.
        """
        with self._lock:
            loss, right, finite = self._run(images, labels, np.float64(learning_rate), key)
        return Outcome(float(loss), None if right is None else int(right), bool(finite))

    @property
    def count(self) -> int:
        return int(self._count.value)

    @property
    def graph(self) -> Graph | None:
        return self._run.graph

    def state_dict(self) -> dict[str, np.ndarray]:
        """The optimiser's state: arrays by "parameter/name"."""
        return {
            f"{name}/{part}": variable.value for name, parts in self._state.items() for part, variable in parts.items()
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray], count: int) -> None:
        """Replaces the optimiser's state and the count; all of it or, on an error, nothing.

        Raises
        ------
        ValueError
            If names or shapes are not those of this network and optimiser.
        """
        own = {f"{name}/{part}": variable for name, parts in self._state.items() for part, variable in parts.items()}
        if own.keys() != state.keys() or any(own[name].value.shape != state[name].shape for name in own):
            raise ValueError("the optimiser's state belongs to other parameters or to another optimiser")
        with self._lock:
            for name, variable in own.items():
                variable.write(np.array(state[name], variable.value.dtype))
            self._count.write(np.array(count, np.int64))

    def examine(self, images: np.ndarray, labels: np.ndarray, learning_rate: float, key: np.ndarray) -> Trace:
        """The step recorded without its flag, to be looked into; the loss is its first output."""
        return trace(self._computed, images, labels, np.float64(learning_rate), key)

    def _recorded(self, images: Value, labels: Value, learning_rate: Value, key: Value) -> tuple[Value, Value, Value]:
        """The whole step; where its flag is false, no variable takes its new value."""
        variables = self.net.named_variables()
        before = {variable: variable.read() for variable in variables.values()}
        loss, scores, gradients, parameters, states = self._computed(images, labels, learning_rate, key)

        changed = {variable: new for variable, old in before.items() if (new := variable.read()) is not old}
        changed[self._count] = self._count.read() + 1
        for name, new in parameters.items():
            changed[variables[name]] = new
            changed.update((self._state[name][part], moved) for part, moved in states[name].items())
        for variable, new in changed.items():
            variable.write(new)
        return loss, _right(scores, labels), _all_finite([loss, *gradients.values(), *changed.values()])

    def _computed(self, images: Value, labels: Value, learning_rate: Value, key: Value) -> tuple[Any, ...]:
        """Loss, scores, gradients, new parameters and new optimiser states; the last three by the parameters' names."""
        scores: list[Value] = []

        def objective(net: Module, images: Value) -> Value:
            scores.append(net(prepared(images, net, self.preprocessing), training=True, seed=key))
            with scope("loss"):
                return self.loss(scores[0], labels)

        loss, gradients = value_and_grad(objective)(self.net, images)
        with scope("update"):
            steps = self._clipped(gradients)
            number = self._count.read() + 1
            variables = self.net.named_variables()
            parameters: dict[str, Value] = {}
            states: dict[str, dict[str, Value]] = {}
            for name, gradient in steps.items():
                old = variables[name].read()
                state = {part: variable.read() for part, variable in self._state_of(name, variables[name]).items()}
                new, moved = self.optimizer.update(gradient, old, state, learning_rate, number)
                parameters[name] = functional.cast(new, old.dtype)
                states[name] = {part: functional.cast(value, state[part].dtype) for part, value in moved.items()}
        return loss, scores[0], gradients, parameters, states

    def _clipped(self, gradients: dict[str, Value]) -> dict[str, Value]:
        if self.clip_norm is None:
            return gradients
        # in float64, where the square of no float32 overflows
        squares = [functional.sum(functional.square(functional.cast(g, np.float64))) for g in gradients.values()]
        norm = functional.sqrt(functional.sum(functional.stack(squares)))
        factor = functional.minimum(1.0, self.clip_norm / (norm + 1e-6))
        return {name: gradient * functional.cast(factor, gradient.dtype) for name, gradient in gradients.items()}

    def _state_of(self, name: str, parameter: Variable) -> dict[str, Variable]:
        """What the optimiser remembers about a parameter; a new one begins with nothing, also in mid-training."""
        if name not in self._state:
            initial = self.optimizer.initial(parameter.value)
            self._state[name] = {part: Variable(value, part, trainable=False) for part, value in initial.items()}
        return self._state[name]


_steps: WeakSet[TrainingStep] = WeakSet()


def _renew_locks() -> None:
    # whoever held them is not in the child of a fork
    for step in _steps:
        step._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def _all_finite(values: list[Value]) -> Value:
    """One flag: whether every floating-point number of all the values is finite."""
    floats = [value for value in values if value.dtype.kind == "f"]
    finite = functional.stack([functional.sum(functional.isfinite(value)) for value in floats])
    return functional.equal(functional.sum(finite), sum(math.prod(value.shape) for value in floats))


def _right(scores: Value, labels: Value) -> Value | None:
    """How many places have their largest score at their class."""
    if not classifies(scores.shape, labels):
        return None
    return functional.sum(functional.cast(functional.equal(functional.argmax(scores, axis=1), labels), np.int64))
