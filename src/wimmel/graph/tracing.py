"""Recording a Python function as a graph: it is called once with tensors, and what it returns tells what it computes.

Arrays that live outside the function and change between calls (parameters, buffers) are `Variable`s: reading one while
a function is recorded makes it an input of the graph, and writing one makes the new value an output.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from wimmel.graph.structure import Structure, flatten, unflatten
from wimmel.graph.tensor import Shape, Tensor, Value, as_operands, as_tensor, input_tensor


@dataclass(frozen=True)
class Graph:
    """What to compute: outputs from inputs. A tensor that leads to no output is not part of it.

    Attributes
    ----------
    inputs, outputs : tuple of Tensor
    labels : dict of str to Tensor
        Tensors by the path of the layer whose result they are.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    labels: dict[str, Tensor] = field(default_factory=dict)

    def nodes(self) -> list[Tensor]:
        """Every tensor that the outputs need, each after those it is made from."""
        return list(self._nodes)

    @cached_property
    def _nodes(self) -> list[Tensor]:
        return reachable(self.outputs)

    def __repr__(self) -> str:
        steps = sum(bool(node.inputs) for node in self.nodes())
        counts = {"input": len(self.inputs), "output": len(self.outputs), "operation": steps}
        words = (f"{count} {word}" if count == 1 else f"{count} {word}s" for word, count in counts.items())
        return f"Graph({', '.join(words)})"

    def __str__(self) -> str:
        from wimmel.graph.show import to_text

        return to_text(self)

    def _repr_html_(self) -> str:
        from wimmel.graph.show import to_svg

        return to_svg(self)


def reachable(outputs: Sequence[Tensor]) -> list[Tensor]:
    """Every tensor that the outputs need, each after those it is made from; no recursion, so graphs may be deep."""
    order: dict[Tensor, None] = {}
    pending: list[tuple[Tensor, bool]] = [(output, False) for output in reversed(outputs)]
    while pending:
        node, expanded = pending.pop()
        if node in order:
            continue
        if expanded:
            order[node] = None
        else:
            pending.append((node, True))
            pending.extend((source, False) for source in reversed(node.inputs) if source not in order)
    return list(order)


class Changes:
    """How often a variable or a module's setting was replaced, in the whole process. While the count is the same, so is
    all that recordings take for granted, but for what can change without being replaced, such as a list."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


CHANGES = Changes()


class Variable:
    """An array that lives outside any graph and is replaced, never changed: a parameter or a buffer.

    Parameters
    ----------
    value : array, or a function that makes it
        A function is called when the array is first needed: a network about to be loaded is never drawn.
    shape, dtype
        Of the array; needed with a function.

    Attributes
    ----------
    value : array
    shape, dtype
    version : int
        Raised by every assignment, so that what was derived from the array can tell that it is stale.
    trainable : bool
        Whether it is a parameter that gradients are taken by.
    """

    __slots__ = ("_value", "dtype", "name", "shape", "trainable", "version")

    def __init__(
        self,
        value: np.ndarray | Callable[[], np.ndarray],
        name: str = "",
        trainable: bool = True,
        shape: Shape | None = None,
        dtype: Any = None,
    ) -> None:
        self._value = value
        self.name = name
        self.version = 0
        self.trainable = trainable
        self.shape: Shape = value.shape if isinstance(value, np.ndarray) else tuple(shape or ())
        self.dtype: np.dtype = value.dtype if isinstance(value, np.ndarray) else np.dtype(dtype)

    @property
    def value(self) -> np.ndarray:
        if not isinstance(self._value, np.ndarray):
            with _DRAWING:  # two threads that need it first must see one array
                if not isinstance(self._value, np.ndarray):
                    self._value = self._value()
        return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        return _variable, (self.value, self.name, self.trainable)

    def read(self) -> Value:
        """The array; while a function is recorded, the tensor that stands for it."""
        recording = active_recording()
        return self.value if recording is None else recording.read(self)

    def write(self, value: Value) -> None:
        """Replaces the array; while a function is recorded, what the array shall be after each call."""
        recording = active_recording()
        if recording is not None:
            recording.updates[self] = recording.current[self] = as_tensor(as_operands([value], "a variable")[0])
            return
        self._value = value
        self.shape, self.dtype = value.shape, value.dtype
        self.version += 1
        CHANGES.count += 1  # last: who finds the new count finds the new array


_DRAWING = threading.Lock()


def _variable(value: np.ndarray, name: str, trainable: bool) -> Variable:
    """A variable copied or unpickled; NumPy forgets on the way that its array may not be written to."""
    value.flags.writeable = False
    return Variable(value, name, trainable)


class Settled(Protocol):
    """Something whose settings a recorded function takes for granted: a module."""

    def settings_state(self) -> Hashable:
        """Equal as long as no setting has changed."""

    def settings_are_counted(self) -> bool:
        """Whether no setting can change without being counted in `CHANGES`."""


@dataclass(eq=False)
class Recording:
    """What a function being recorded has read, written and labelled so far."""

    inputs: dict[Variable, Tensor] = field(default_factory=dict)
    current: dict[Variable, Tensor] = field(default_factory=dict)
    updates: dict[Variable, Tensor] = field(default_factory=dict)
    settings: dict[Settled, Hashable] = field(default_factory=dict)
    labels: dict[str, Tensor] = field(default_factory=dict)

    def depend_on(self, owner: Settled) -> None:
        """Notes that what is recorded holds only as long as the owner's settings do."""
        if owner not in self.settings:
            self.settings[owner] = owner.settings_state()

    def read(self, variable: Variable, name: str = "") -> Tensor:
        """The tensor that stands for a variable; `name` is what its input is called instead of the variable's own."""
        if variable not in self.current:
            made = input_tensor(name or variable.name, variable.shape, variable.dtype)
            self.inputs[variable] = self.current[variable] = made
        return self.current[variable]

    @contextmanager
    def standing_in(self, replacements: dict[Variable, Tensor]) -> Iterator[None]:
        """Inside the block these tensors are read for these variables."""
        before = {variable: self.current[variable] for variable in replacements}
        self.current.update(replacements)
        try:
            yield
        finally:
            for variable, tensor in replacements.items():
                if self.current[variable] is tensor:
                    self.current[variable] = before[variable]


_recording: ContextVar[Recording | None] = ContextVar("wimmel_recording", default=None)


def active_recording() -> Recording | None:
    """The recording under way in this thread, if there is one."""
    return _recording.get()


@dataclass(frozen=True)
class Trace:
    """A recorded function: the graph, and what its inputs and outputs stand for.

    The graph's inputs are the function's array arguments, then `variables`; its outputs are the leaves of the
    function's result, then the new values of `updated`.
    """

    graph: Graph
    variables: tuple[Variable, ...]
    updated: tuple[Variable, ...]
    result: Structure
    settings: tuple[tuple[Settled, Hashable], ...]

    def is_current(self) -> bool:
        """Whether what the trace took for granted still holds: settings, and the variables' shapes and dtypes."""
        count = len(self.graph.inputs) - len(self.variables)
        return all(owner.settings_state() == state for owner, state in self.settings) and all(
            variable.shape == tensor.shape and variable.dtype == tensor.dtype
            for variable, tensor in zip(self.variables, self.graph.inputs[count:], strict=True)
        )

    def is_counted(self) -> bool:
        """Whether it stays current as long as nothing is added to `CHANGES`."""
        return all(owner.settings_are_counted() for owner, _ in self.settings)


def trace(function: Callable[..., Any], *arguments: Any, **named: Any) -> Trace:
    """The function recorded for arguments of these shapes and dtypes.

    Parameters
    ----------
    function : callable
    *arguments, **named
        Arrays, or lists, tuples and dicts of them, of which only shape and dtype matter. Everything else (numbers,
        strings, modules, None) is part of the recording.

    Returns
    -------
    Trace

    Examples
    --------
    >>> traced = trace(lambda x: x * 2 + 1, np.zeros(3))
    >>> [node.primitive.name for node in traced.graph.nodes()]
    ['input', 'constant', 'multiply', 'constant', 'add']
    """
    leaves, structure = flatten((arguments, named))
    # conversion here refuses what could not be computed with, before anything is recorded
    arrays = [as_operands([leaf], "the function")[0] for leaf in leaves]
    inputs = [input_tensor(f"x{i}" if len(leaves) > 1 else "x", a.shape, a.dtype) for i, a in enumerate(arrays)]
    recording = Recording()
    token = _recording.set(recording)
    try:
        positional, keywords = unflatten(structure, inputs)
        outputs, result = flatten(function(*positional, **keywords))
        outputs = [as_tensor(as_operands([output], "the function")[0]) for output in outputs]
    finally:
        _recording.reset(token)
    graph = Graph(
        (*inputs, *recording.inputs.values()), (*outputs, *recording.updates.values()), dict(recording.labels)
    )
    return Trace(graph, tuple(recording.inputs), tuple(recording.updates), result, tuple(recording.settings.items()))
