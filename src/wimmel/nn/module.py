"""What every layer and network is: an object that owns parameters, buffers and sub-modules and computes `forward`.

A module holds no graph. Called on arrays it is recorded once per shape and run as a whole; called while a function is
recorded it records. What a call needs beyond its inputs (training or not, the random key) is passed along explicitly.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Hashable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from wimmel.functional import random_key
from wimmel.geometry.whole_numbers import as_integer
from wimmel.graph import CHANGES, Tensor, Value, Variable, active_recording, flatten, scope
from wimmel.nn.parameters import Buffer, Drawn, Parameter, own_copy, real_array, variable_for
from wimmel.runtime import Compiled


@dataclass(eq=False)
class Call:
    """What a running call of a network passes to its layers beside their inputs."""

    training: bool
    key: Value | None
    paths: dict[Module, list[str]]
    uses: dict[Module, int] = field(default_factory=dict)

    def entered(self, module: Module) -> str:
        """The path of a module that is about to run: the n-th of its paths at its n-th use, if it is shared."""
        use = self.uses[module] = self.uses.get(module, -1) + 1
        paths = self.paths.get(module) or [type(module).__name__]
        return paths[min(use, len(paths) - 1)]

    def stream(self, module: Module) -> int:
        """A number for this use of a layer's random draws: from its path, and how often it was used before."""
        paths = self.paths.get(module) or [type(module).__name__]
        return zlib.crc32(f"{paths[0]}#{self.uses[module]}".encode())


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
    or a key from `wimmel.random_key`. ``out`` is an array (or a structure of them, as the result is one) to write to.

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

    _inference: Compiled | None = None

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """What the module computes; written with wimmel's functions and called through `net(...)`."""
        raise TypeError(f"{type(self).__name__} has no forward method; define forward(self, x)")

    def __call__(
        self, *inputs: Any, training: bool | None = None, seed: Any = None, out: Any = None, **named: Any
    ) -> Any:
        inference = self._inference
        if inference is not None and len(inputs) == 1 and not (training or named) and seed is out is None:
            result = inference.at_once(inputs[0])
            if result is not None:
                return result
        call = _call.get()
        inputs = tuple(_array_if_numbers(item) for item in inputs)
        leaves = flatten((inputs, named))[0]
        recording = active_recording() is not None or any(isinstance(leaf, Tensor) for leaf in leaves)
        if call is not None and recording and training is None and seed is None:
            return self._run(inputs, named, call)
        key = _key(seed)
        if recording:
            if out is not None:
                raise ValueError("out was given while a function is recorded, which has no arrays to write to yet")
            return self._entered(inputs, named, bool(training), key)
        if training or key is not None or named or len(inputs) != 1:
            return self._compiled("_entry", self._entered)(inputs, named, bool(training), key, out=out)
        return self._compiled("_inference", self._inferred)(*inputs, out=out)

    # state

    def named_modules(self, shared: bool = False) -> dict[str, Module]:
        """This module, under the empty path, and all below it by path.

        Parameters
        ----------
        shared : bool, default False
            Whether a module that stands in several places is listed under each of its paths, or under the first only.
        """
        found: dict[str, Module] = {}
        pending: list[tuple[str, Module, tuple[Module, ...]]] = [("", self, ())]
        known: set[Module] = set()
        while pending:
            path, module, above = pending.pop(0)
            if module in above or (module in known and not shared):
                continue
            known.add(module)
            found[path] = module
            children = module.children().items()
            pending[:0] = [(f"{path}.{name}" if path else name, child, (*above, module)) for name, child in children]
        return found

    def children(self) -> dict[str, Module]:
        """The modules directly below this one by name: attributes, and what stands in lists and dicts among them."""
        found: dict[str, Module] = {}
        for name, value in self.__dict__.items():
            found |= _modules_in(name, value)
        return found

    def own_variables(self) -> dict[str, Variable]:
        """The parameters and buffers of this module alone by name, in the order in which they were set."""
        return self.__dict__.get("_variables", {})

    def named_variables(self, shared: bool = False) -> dict[str, Variable]:
        """Parameters and buffers by name, in the order in which they were set; `shared` as for `named_modules`."""
        return {
            f"{path}.{name}" if path else name: variable
            for path, module in self.named_modules(shared).items()
            for name, variable in module.own_variables().items()
        }

    def parameters(self) -> dict[str, np.ndarray]:
        """The trainable parameters by name; frozen ones and buffers are not among them."""
        return {name: variable.value for name, variable in self.named_variables().items() if variable.trainable}

    def parameter_count(self) -> int:
        """How many numbers the parameters hold, frozen ones included, buffers not."""
        return sum(
            math.prod(variable.shape)
            for module in self.named_modules().values()
            for name, variable in module.own_variables().items()
            if name not in module.buffer_names()
        )

    def state_dict(self) -> dict[str, np.ndarray]:
        """All parameters and buffers by name; names and shapes are those of the same layers in PyTorch."""
        return {name: variable.value for name, variable in self.named_variables(shared=True).items()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Self:
        """Replaces parameters and buffers by those of the same names; all of them or, on an error, none.

        Parameters
        ----------
        state : mapping of str to array
            Arrays, or PyTorch's tensors.
        strict : bool, default True
            Whether names missing from the state, or unknown to the module, are an error.

        Raises
        ------
        ValueError
            For missing and unknown names (strict), or shapes that differ; lists all of them.
        TypeError
            For what is not a mapping of names to arrays of real numbers.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"load_state_dict was given a {type(state).__name__}; it takes a dict of names and arrays")
        own = self.named_variables(shared=True)
        found = {name: real_array(value, name) for name, value in state.items()}
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
        fitting = [(variable, own_copy(found[name], variable.dtype)) for name, variable in own.items() if name in found]
        for variable, value in fitting:
            variable.write(value)
        return self

    def initialize(self, seed: int) -> Self:
        """Draws every parameter anew that is drawn; each draw depends on the seed and the parameter's name alone.

        Parameters that were set to an array keep it.

        Parameters
        ----------
        seed : int
            0 or more.

        Examples
        --------
        >>> from wimmel.nn import Linear
        >>> bool((Linear(3, 2).initialize(0).weight == Linear(3, 2).initialize(0).weight).all())
        True
        """
        number = as_integer(seed)
        if number is None or number < 0:
            raise ValueError(f"initialize was given seed {seed!r}; it is a whole number of 0 or more")
        seed = number
        for path, module in self.named_modules().items():
            for name, drawn in module.__dict__.get("_drawn", {}).items():
                variable = module.own_variables()[name]
                words = [seed & 0xFFFFFFFF, seed >> 32, zlib.crc32(f"{path}.{name}".encode())]
                variable.write(drawn.draw(np.random.default_rng(words), variable.dtype))
        return self

    def freeze(self, frozen: bool = True) -> Self:
        """Takes this module's parameters out of training, or with False back in."""
        for module in self.named_modules().values():
            for name, variable in module.own_variables().items():
                variable.trainable = not frozen and name not in module.buffer_names()
            module._settings_changed()
        return self

    def astype(self, dtype: Any) -> Self:
        """Converts the floating-point parameters and buffers to float32 or float64, in place."""
        if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise TypeError(f"astype was given {dtype}; parameters are float32 or float64")
        for variable in self.named_variables().values():
            if variable.dtype.kind == "f":
                variable.write(own_copy(variable.value, dtype))
        return self

    def save(self, path: Any, **metadata: Any) -> None:
        """Writes the network to a safetensors file, whole or not at all; see `wimmel.load`."""
        from wimmel.nn.saving import save

        save(self, path, **metadata)

    # attributes

    def __setattr__(self, name: str, value: Any) -> None:
        variables = self.__dict__.setdefault("_variables", {})
        if isinstance(value, (Drawn, Parameter, Buffer)):
            self.__dict__.pop(name, None)
            self._drawn_variables().pop(name, None)
            self.buffer_names().discard(name)
            if isinstance(value, Drawn):
                self._drawn_variables()[name] = value
            elif isinstance(value, Buffer):
                self.buffer_names().add(name)
            variables[name] = variable_for(name, value)
            self._settings_changed()
        elif name in variables and value is None:
            del variables[name]
            self._drawn_variables().pop(name, None)
            self.__dict__[name] = None
            self._settings_changed()
        elif name in variables:
            variable = variables[name]
            if isinstance(value, Tensor):
                variable.write(value)
                return
            array = real_array(value, name)
            if array.shape != variable.shape:
                raise ValueError(
                    f"{name} of {type(self).__name__} has shape {variable.shape} and was set to shape {array.shape}; "
                    "to change a layer's shape, put a new layer in its place"
                )
            variable.write(own_copy(array, variable.dtype))
        else:
            if active_recording() is None and self.__dict__.get(name, self) is not value:
                self._settings_changed()
            self.__dict__[name] = value
            changeable = self.__dict__.setdefault("_changeable", {})
            changeable.pop(name, None)
            if not _is_fixed(value):
                changeable[name] = None

    def __getattr__(self, name: str) -> Any:
        variables = self.__dict__.get("_variables", {})
        if name in variables:
            return variables[name].read()
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        if self.__dict__.get("_variables", {}).pop(name, None) is None:
            object.__delattr__(self, name)
        self._drawn_variables().pop(name, None)
        self._settings_changed()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _COMPILED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        children = self.children()
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in children.items()]
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"

    def extra_repr(self) -> str:
        """What stands between the brackets of a layer's repr."""
        return ""

    def _repr_html_(self) -> str:
        from wimmel.nn.pages import module_page

        return module_page(self)

    # for those who look inside

    def settings_state(self) -> Hashable:
        """Equal as long as no attribute was set, and no list, dict or array among the attributes changed."""
        names = self.__dict__.get("_changeable")
        version = self.__dict__.get("_settings_version", 0)
        if not names:
            return version
        return version, tuple(_fingerprint(self.__dict__.get(name)) for name in names)

    def settings_are_counted(self) -> bool:
        """Whether no attribute is something that can change without being set anew."""
        return not self.__dict__.get("_changeable")

    def buffer_names(self) -> set[str]:
        """Which of this module's own variables are buffers."""
        return self.__dict__.setdefault("_buffer_names", set())

    def _drawn_variables(self) -> dict[str, Drawn]:
        return self.__dict__.setdefault("_drawn", {})

    def _settings_changed(self) -> None:
        self.__dict__["_settings_version"] = self.__dict__.get("_settings_version", 0) + 1
        CHANGES.count += 1

    def _compiled(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        if name not in self.__dict__:
            self.__dict__[name] = Compiled(function)
        return self.__dict__[name]

    def _inferred(self, x: Any) -> Any:
        return self._entered((x,), {}, False, None)

    def _entered(self, inputs: tuple[Any, ...], named: dict[str, Any], training: bool, key: Value | None) -> Any:
        """A call from outside: the root of a network, whose layers then find their paths in it."""
        _check_pictures(self, inputs)
        paths: dict[Module, list[str]] = {}
        for path, module in self.named_modules(shared=True).items():
            paths.setdefault(module, []).append(path)
        recording = active_recording()
        if recording is not None:
            for module in paths:
                recording.depend_on(module)
        call = Call(training, key, paths)
        token = _call.set(call)
        try:
            return self._run(inputs, named, call)
        finally:
            _call.reset(token)

    def _run(self, inputs: tuple[Any, ...], named: dict[str, Any], call: Call) -> Any:
        recording = active_recording()
        path = call.entered(self)
        if recording is not None:
            recording.depend_on(self)
        with scope(path):
            try:
                result = self.forward(*inputs, **named)
            except (ValueError, TypeError) as error:
                if type(error) not in (ValueError, TypeError) or hasattr(error, "layer"):
                    raise
                what = type(self).__name__ if self.children() else repr(self)
                told = type(error)(f"layer {path or 'at the top'}, {what}: {error}")
                told.layer = path  # type: ignore[union-attr]
                raise told from error
        if recording is not None and isinstance(result, Tensor):
            recording.labels[path] = result
        return result


_COMPILED = frozenset(("_entry", "_inference"))
"""Attributes that a module copied or pickled leaves behind."""


def _is_fixed(value: Any) -> bool:
    """Whether the value itself, or what it is a tuple of, cannot change; a module tells itself."""
    if type(value) is tuple:
        return all(map(_is_fixed, value))
    return isinstance(value, (bool, int, float, str, Module, type(None)))


def _modules_in(name: str, value: Any) -> dict[str, Module]:
    if isinstance(value, Module):
        return {name: value}
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    found: dict[str, Module] = {}
    if isinstance(value, dict) and not name.startswith("_"):
        for key, item in value.items():
            found |= _modules_in(f"{name}.{key}", item)
    return found


def _fingerprint(value: Any) -> Hashable:
    """Equal for values that are the same; what cannot be compared is known by its identity."""
    if isinstance(value, (list, tuple)):
        return tuple(_fingerprint(item) for item in value)
    if isinstance(value, dict):
        return tuple((key, _fingerprint(item)) for key, item in value.items())
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, hash(value.tobytes())
    if isinstance(value, (bool, int, float, str)):
        return type(value).__name__, repr(value)
    return id(value)


def _check_pictures(net: Module, inputs: tuple[Any, ...]) -> None:
    """Raw pictures must not pass a network that was trained behind a preprocessing, or be scaled in another way."""
    preprocessing = net.__dict__.get("preprocessing")
    if preprocessing is not None and any(getattr(item, "dtype", None) == np.uint8 for item in inputs):
        raise TypeError(
            "the network was given uint8 pictures, and it was trained on preprocessed ones: call "
            "net(net.preprocessing(images)), or wm.predict(net, images), which does that"
        )


def _array_if_numbers(value: Any) -> Any:
    """Nested lists of numbers as an array: what is in them is an input, not a setting."""
    if isinstance(value, (list, tuple)) and value and not flatten(value)[0]:
        array = np.asarray(value)
        return array.astype(np.float32) if array.dtype.kind == "f" else array
    return value


def _key(seed: Any) -> Value | None:
    """The random key for a seed, a (seed, step) pair, or a key."""
    if seed is None or isinstance(seed, (Tensor, np.ndarray)):
        return seed
    numbers = [as_integer(number) for number in (seed if isinstance(seed, tuple) else (seed,))]
    if not 1 <= len(numbers) <= 2 or any(number is None or number < 0 for number in numbers):
        raise ValueError(
            f"seed was {seed!r}; it is a whole number of 0 or more, a (seed, step) pair of such, or a key from "
            "wm.random_key"
        )
    return random_key(*(int(number or 0) for number in numbers))
