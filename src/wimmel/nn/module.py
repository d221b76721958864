"""What every layer and network is: an object that owns parameters, buffers and sub-modules and computes `forward`.

A module holds no graph. Called on arrays it is recorded once per shape and run as a whole; called while a function is
recorded it records. What a call needs beyond its inputs (training or not, the random key) is passed along explicitly.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from wimmel.functional import random_key
from wimmel.graph import Tensor, Value, Variable, active_recording, flatten, scope
from wimmel.nn.initializers import Initializer
from wimmel.runtime import Compiled


@dataclass(frozen=True)
class Parameter:
    """What an attribute of a module is set to once to make it a trainable parameter.

    Parameters
    ----------
    value : array
        Its first value, converted to float32; `Module.astype` makes a whole network double.

    Examples
    --------
    >>> class Scale(Module):
    ...     def __init__(self, channels):
    ...         self.scale = Parameter(np.ones(channels))
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
        return _own_copy(self.initializer(self.shape, generator), dtype)


@dataclass(frozen=True)
class Buffer:
    """What an attribute of a module is set to once to make it state that is saved but not trained."""

    value: Any


@dataclass(eq=False)
class Call:
    """What a running call of a network passes to its layers beside their inputs."""

    training: bool
    key: Value | None
    paths: dict[Module, str]
    visits: dict[str, int] = field(default_factory=dict)

    def stream(self, module: Module) -> int:
        """A number for this use of a layer's random draws: from its path, and how often it was used before."""
        path = self.paths.get(module, type(module).__name__)
        visit = self.visits[path] = self.visits.get(path, -1) + 1
        return zlib.crc32(f"{path}#{visit}".encode())


_call: ContextVar[Call | None] = ContextVar("wimmel_call", default=None)


def current_call() -> Call:
    """The call under way; outside of one, inference."""
    return _call.get() or Call(False, None, {})


class Module:
    """A layer or a network: set attributes in `__init__`, compute in `forward`.

    Attributes set to a `Parameter`, a `Buffer`, a module, or a list or dict of modules are found by `parameters()`,
    `state_dict()` and `save`. Reading a parameter gives its array, or its tensor while a function is recorded. Setting
    it again replaces the array, which keeps its shape and dtype; arrays are read-only, so nothing changes unnoticed.

    Calling
    -------
    ``net(x)`` is inference. ``net(x, training=True, seed=7)`` is a training step's forward pass: dropout draws, batch
    norm normalises with the batch's statistics and moves its running ones. ``seed`` is an int, a ``(seed, step)`` pair
    or a key from `wimmel.random_key`.

    Raises
    ------
    ValueError, TypeError
        When inputs do not fit a layer: which layer, what it was given, what it takes.

    Examples
    --------
    >>> class Doubled(Module):
    ...     def forward(self, x):
    ...         return 2 * x
    >>> Doubled()(np.ones(2))
    array([2., 2.])
    """

    version = 0

    def forward(self, *inputs: Any) -> Any:
        """What the module computes; written with wimmel's functions and called through `net(...)`."""
        raise TypeError(f"{type(self).__name__} has no forward method; define forward(self, x)")

    def __call__(self, *inputs: Any, training: bool | None = None, seed: Any = None) -> Any:
        call = _call.get()
        recording = active_recording() is not None or any(isinstance(leaf, Tensor) for leaf in flatten(inputs)[0])
        if call is not None and recording and training is None and seed is None:
            return self._run(inputs, call)
        key = _key(seed)
        if recording:
            return self._entered(inputs, bool(training), key)
        return self._compiled()(inputs, bool(training), key)

    # state

    def named_modules(self) -> dict[str, Module]:
        """This module, under the empty path, and all below it by path; a shared one under its first path only."""
        found: dict[Module, str] = {}
        pending: list[tuple[str, Module]] = [("", self)]
        while pending:
            path, module = pending.pop(0)
            if module not in found:
                found[module] = path
                pending[:0] = [(f"{path}.{name}" if path else name, child) for name, child in module._children()]
        return {path: module for module, path in found.items()}

    def named_variables(self) -> dict[str, Variable]:
        """Parameters and buffers by name, in the order in which they were set."""
        return {
            f"{path}.{name}" if path else name: variable
            for path, module in self.named_modules().items()
            for name, variable in module.__dict__.get("_variables", {}).items()
        }

    def parameters(self) -> dict[str, np.ndarray]:
        """The trainable parameters by name; frozen ones and buffers are not among them."""
        return {name: variable.value for name, variable in self.named_variables().items() if variable.trainable}

    def parameter_count(self) -> int:
        """How many numbers the parameters hold, frozen ones included, buffers not."""
        return sum(
            math.prod(variable.shape)
            for module in self.named_modules().values()
            for name, variable in module.__dict__.get("_variables", {}).items()
            if name not in module._buffers()
        )

    def state_dict(self) -> dict[str, np.ndarray]:
        """All parameters and buffers by name; names and shapes are those of the same layers in PyTorch."""
        return {name: variable.value for name, variable in self.named_variables().items()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Self:
        """Replaces parameters and buffers by those of the same names; all of them or, on an error, none.

        Parameters
        ----------
        state : mapping of str to array
            Arrays, or what NumPy converts to arrays, PyTorch's CPU tensors among them.
        strict : bool, default True
            Whether names missing from the state, or unknown to the module, are an error.

        Raises
        ------
        ValueError
            For missing and unknown names (strict), or shapes that differ; lists all of them.
        """
        own = self.named_variables()
        found = {name: np.asarray(value) for name, value in state.items()}
        faults = [
            f"{name} has shape {found[name].shape}, expected {own[name].shape}"
            for name in own
            if name in found and found[name].shape != own[name].shape
        ]
        if strict:
            faults += [f"{name} is missing" for name in own if name not in found]
            faults += [f"{name} is unknown" for name in found if name not in own]
        if faults:
            raise ValueError(f"the state does not fit this {type(self).__name__}: {'; '.join(faults)}")
        for name, variable in own.items():
            if name in found:
                variable.write(_own_copy(found[name], variable.dtype))
        return self

    def initialize(self, seed: int) -> Self:
        """Draws every parameter anew; each draw depends on the seed and the parameter's name alone.

        Examples
        --------
        >>> from wimmel.nn import Linear
        >>> bool((Linear(3, 2).initialize(0).weight == Linear(3, 2).initialize(0).weight).all())
        True
        """
        for path, module in self.named_modules().items():
            for name, drawn in module.__dict__.get("_drawn", {}).items():
                variable = module.__dict__["_variables"][name]
                words = [seed & 0xFFFFFFFF, seed >> 32, zlib.crc32(f"{path}.{name}".encode())]
                variable.write(drawn.draw(np.random.default_rng(words), variable.dtype))
        return self

    def freeze(self, frozen: bool = True) -> Self:
        """Takes this module's parameters out of training, or with False back in."""
        for module in self.named_modules().values():
            for name, variable in module.__dict__.get("_variables", {}).items():
                variable.trainable = not frozen and name not in module._buffers()
            module._raise_version()
        return self

    def astype(self, dtype: Any) -> Self:
        """Converts the floating-point parameters and buffers to float32 or float64, in place."""
        if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise TypeError(f"astype was given {dtype}; parameters are float32 or float64")
        for variable in self.named_variables().values():
            if variable.dtype.kind == "f":
                variable.write(_own_copy(variable.value, dtype))
        return self

    def save(self, path: Any, **metadata: Any) -> None:
        """Writes the network to a safetensors file, whole or not at all; see `wimmel.load`."""
        from wimmel.nn.saving import save

        save(self, path, **metadata)

    # attributes

    def __setattr__(self, name: str, value: Any) -> None:
        variables = self.__dict__.setdefault("_variables", {})
        if isinstance(value, Drawn):
            variables[name] = Variable(
                lambda: value.draw(np.random.default_rng()), name, shape=value.shape, dtype=np.float32
            )
            self.__dict__.setdefault("_drawn", {})[name] = value
            self._raise_version()
        elif isinstance(value, (Parameter, Buffer)):
            trainable = isinstance(value, Parameter)
            array = np.asarray(value.value)
            dtype = np.float32 if array.dtype.kind == "f" or trainable else array.dtype
            variables[name] = Variable(_own_copy(array, dtype), name, trainable)
            self.__dict__.pop(name, None)
            if not trainable:
                self._buffers().add(name)
            self._raise_version()
        elif name in variables:
            variable = variables[name]
            if isinstance(value, Tensor):
                variable.write(value)
                return
            array = np.asarray(value)
            if array.shape != variable.shape:
                raise ValueError(
                    f"{name} of {type(self).__name__} has shape {variable.shape} and was set to shape {array.shape}; "
                    "to change a layer's shape, put a new layer in its place"
                )
            variable.write(_own_copy(array, variable.dtype))
        else:
            if isinstance(value, list) and any(isinstance(item, Module) for item in value):
                value = tuple(value)
            if active_recording() is None and self.__dict__.get(name, self) is not value:
                self._raise_version()
            self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        variables = self.__dict__.get("_variables", {})
        if name in variables:
            return variables[name].read()
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        if self.__dict__.get("_variables", {}).pop(name, None) is None:
            object.__delattr__(self, name)
        self._raise_version()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_entry"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        children = list(self._children())
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in children]
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"

    def extra_repr(self) -> str:
        """What stands between the brackets of a layer's repr."""
        return ""

    def _repr_html_(self) -> str:
        from wimmel.nn.pages import module_page

        return module_page(self)

    # inner workings

    def _children(self) -> Iterator[tuple[str, Module]]:
        for name, value in self.__dict__.items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (tuple, dict)):
                items = value.items() if isinstance(value, dict) else enumerate(value)
                for inner, item in items:
                    if isinstance(item, Module):
                        yield f"{name}.{inner}", item

    def _buffers(self) -> set[str]:
        return self.__dict__.setdefault("_buffer_names", set())

    def _raise_version(self) -> None:
        self.__dict__["version"] = self.version + 1

    def _compiled(self) -> Callable[..., Any]:
        if "_entry" not in self.__dict__:
            self.__dict__["_entry"] = Compiled(self._entered)
        return self.__dict__["_entry"]

    def _entered(self, inputs: tuple[Any, ...], training: bool, key: Value | None) -> Any:
        """A call from outside: the root of a network, whose layers then find their paths in it."""
        call = Call(training, key, {module: path for path, module in self.named_modules().items()})
        token = _call.set(call)
        try:
            return self._run(inputs, call)
        finally:
            _call.reset(token)

    def _run(self, inputs: tuple[Any, ...], call: Call) -> Any:
        recording = active_recording()
        path = call.paths.get(self, type(self).__name__)
        if recording is not None:
            recording.settings[self] = self.version
        with scope(path):
            try:
                result = self.forward(*inputs)
            except (ValueError, TypeError) as error:
                if type(error) not in (ValueError, TypeError) or hasattr(error, "layer"):
                    raise
                what = type(self).__name__ if any(self._children()) else repr(self)
                named = type(error)(f"layer {path or 'at the top'}, {what}: {error}")
                named.layer = path  # type: ignore[union-attr]
                raise named from error
        if recording is not None and isinstance(result, Tensor):
            recording.labels[path] = result
        return result


def _key(seed: Any) -> Value | None:
    if seed is None:
        return None
    if isinstance(seed, tuple):
        return random_key(*seed)
    return random_key(int(seed)) if isinstance(seed, (int, np.integer)) else seed


def _own_copy(value: Any, dtype: Any) -> np.ndarray:
    copy = np.array(value, dtype=dtype, order="C")
    copy.flags.writeable = False
    return copy
