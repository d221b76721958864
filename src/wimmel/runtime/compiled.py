"""A Python function as something that runs whole: recorded once for each set of shapes, then run on arrays."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from wimmel.graph import CHANGES, Graph, Tensor, Trace, active_recording, flatten, trace, unflatten
from wimmel.graph.structure import LEAF
from wimmel.graph.tensor import as_operands
from wimmel.runtime.backends import DEFAULT, Runner, check, prepared
from wimmel.runtime.precision import checked, get_precision

RECORDINGS = 128
"""How many recordings a function keeps; beyond that the oldest goes, so that an argument that is never the same twice,
such as a Python number that changes at every call, fills no memory."""


class Compiled:
    """A function that is recorded at its first call with arguments of some shapes and dtypes, then runs as one graph.

    Arrays are the arguments of the graph. Numbers, strings and modules are part of the recording; the parameters of
    modules, also of those the function merely refers to, are inputs whose present values each call reads. Settings of
    modules are watched. All else that the function refers to (arrays, lists, numbers around it) is taken as it is when
    it is recorded: pass what changes as an argument.

    Attributes
    ----------
    function : callable
    backend : str
    precision : str or None
        None for that of each call, `get_precision`.
    tune : bool
        Whether code is tuned for arguments of each new shape.
    graph : Graph
        The simplified graph of the latest recording.
    accepts : callable
        From a call's result to whether variables that the function writes take their new values; always, if it is not
        replaced.
    """

    def __init__(
        self, function: Callable[..., Any], backend: str = DEFAULT, precision: str | None = None, tune: bool = False
    ) -> None:
        if not callable(function):
            raise TypeError(f"compile was given {function!r}; it takes a function or a module, then example arguments")
        self.function = function
        self.backend = backend
        self.precision = precision
        self.tune = tune
        self.graph: Graph | None = None
        self.accepts: Callable[[Any], bool] = _always
        self._traces: dict[Any, tuple[Trace, Runner, int]] = {}
        self._shortcuts: dict[Any, _Shortcut] = {}

    def __call__(self, *arguments: Any, out: Any = None, **named: Any) -> Any:
        """The function's result for these arguments.

        Parameters
        ----------
        *arguments, **named
            The function's.
        out : array, or a list, tuple or dict of arrays, optional
            What the result is written to, of its structure, shapes and dtypes; it may share memory with arguments.

        Raises
        ------
        ValueError
            If `out` does not fit, or was given while a function is recorded.
        """
        if len(arguments) == 1 and not named and out is None:
            result = self.at_once(arguments[0])
            if result is not None:
                return result
        changes = CHANGES.count
        leaves, structure = flatten((arguments, named))
        if active_recording() is not None or any(isinstance(leaf, Tensor) for leaf in leaves):
            if out is not None:
                raise ValueError("out was given while a function is recorded, which has no arrays to write to yet")
            return self.function(*arguments, **named)
        arrays = [as_operands([leaf], "the function")[0] for leaf in leaves]
        traced, run = self._recorded(structure, arrays, arguments, named)
        values = [*arrays, *(variable.value for variable in traced.variables)]
        outputs = run(values) if out is None else run(values, _destinations(out, traced))
        if len(arguments) == len(arrays) == 1 and arrays[0] is arguments[0] and not named:
            self._shorten(changes, traced, run, values)
        count = len(outputs) - len(traced.updated)
        result = unflatten(traced.result, outputs[:count])
        if traced.updated and self.accepts(result):
            for variable, value in zip(traced.updated, outputs[count:], strict=True):
                value.flags.writeable = False  # a variable is replaced, never changed
                variable.write(value)
        return result

    def at_once(self, array: Any) -> np.ndarray | None:
        """The result for one array, where an earlier call paved the way and nothing has changed since; None if that is
        not so, for what is no array, and while a function is recorded."""
        if type(array) is not ndarray or active_recording() is not None:
            return None
        shortcut = self._shortcuts.get((array.shape, array.dtype, self.precision or get_precision()))
        return shortcut.run(array) if shortcut is not None and shortcut.changes == CHANGES.count else None

    def record(self, *arguments: Any, **named: Any) -> Trace:
        """The recording, simplified, for arguments of these shapes and dtypes; made if there is none yet."""
        leaves, structure = flatten((arguments, named))
        arrays = [as_operands([leaf], "the function")[0] for leaf in leaves]
        return self._recorded(structure, arrays, arguments, named)[0]

    def __repr__(self) -> str:
        return f"<compiled {getattr(self.function, '__name__', self.function)!s}, backend {self.backend}>"

    def _shorten(self, changes: int, traced: Trace, run: Runner, values: list[np.ndarray]) -> None:
        """Makes the next such call short, if it can be: it takes values as they are, and looks at nothing else."""
        if len(values) - len(traced.variables) != 1 or traced.updated or traced.result != LEAF:
            return
        bound = run.bound(values)
        if bound is not None and traced.is_counted():
            if len(self._shortcuts) >= RECORDINGS:
                self._shortcuts.clear()
            key = (values[0].shape, values[0].dtype, self.precision or get_precision())
            self._shortcuts[key] = _Shortcut(changes, bound)

    def _recorded(self, structure: Any, arrays: list[np.ndarray], arguments: Any, named: Any) -> tuple[Trace, Runner]:
        precision = self.precision or get_precision()
        key = (structure, precision, tuple((array.shape, array.dtype) for array in arrays))
        entry = self._traces.get(key)
        current = entry is not None and entry[0].is_current()
        if entry is None or not current or entry[2] != _PREPARATION.count:
            # not under the lock: the function may wait for another thread that calls it too
            recorded = entry[0] if entry is not None and current else _simplified(self.function, arguments, named)
            stable = stable_inputs(recorded)
            if self.tune and entry is None and self.backend == DEFAULT:
                from wimmel.runtime.tuning import tune_graph

                values = [*arrays, *(variable.value for variable in recorded.variables)]
                tune_graph(recorded.graph, stable, precision, values, again=False)
            number = _PREPARATION.count
            entry = (recorded, prepared(recorded.graph, self.backend, stable, precision), number)
            self.graph = recorded.graph
            with _lock:
                self._traces.pop(key, None)
                while len(self._traces) >= RECORDINGS:
                    self._traces.pop(next(iter(self._traces)))
                self._traces[key] = entry
        return entry[:2]


@dataclass(frozen=True)
class _Shortcut:
    """What runs a call with one array, as long as nothing is added to `CHANGES`; it gives None where it cannot."""

    changes: int
    run: Callable[[np.ndarray], np.ndarray | None]


class _Preparation:
    """How often it became worthwhile to prepare all graphs anew."""

    def __init__(self) -> None:
        self.count = 0


_PREPARATION = _Preparation()


def prepare_anew() -> None:
    """Every graph is prepared anew before it runs again, since that would make other code of it now."""
    _PREPARATION.count += 1
    CHANGES.count += 1


_lock = threading.Lock()
"""Held while a recording is put among those that a function keeps."""


def _renew_lock() -> None:
    # whoever held it is not in the child of a fork
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def compile(
    function: Callable[..., Any],
    *examples: Any,
    backend: str = DEFAULT,
    precision: str | None = None,
    tune: bool = False,
) -> Compiled:
    """A function or module that runs as one graph, recorded anew for each set of argument shapes and dtypes.

    Parameters
    ----------
    function : callable
        Takes and returns arrays, or lists, tuples and dicts of them. It must not depend on the numbers in them: `if
        x.sum() > 0` raises a TypeError. Of what it refers to without being given it, modules and their parameters are
        followed when they change; arrays, lists and numbers are taken as they are when it is recorded.
    *examples
        If given, it is recorded for arguments like these right away.
    backend : {"native", "reference"}, default "native"
        Machine code for the whole graph, or the primitives' definitions one after another in NumPy.
    precision : {"fast", "exact"}, optional
        How machine code may compute convolutions; that of each call, `get_precision`, if not given.
    tune : bool, default False
        Whether the first call with arguments of new shapes also times alternatives of the code, for some seconds, and
        takes what is fastest on this machine: see `wimmel.tune`. Results are the same. What was tuned before, also by
        earlier processes, is known and takes no time.

    Returns
    -------
    Compiled

    Raises
    ------
    ValueError
        For an unknown backend or precision, and whatever the function raises for arguments that do not fit.

    Examples
    --------
    >>> double = compile(lambda x: x * 2, np.zeros(3))
    >>> double(np.array([1.0, 2.0, 3.0]))
    array([2., 4., 6.])
    """
    check(backend)
    compiled = Compiled(function, backend, None if precision is None else checked(precision), tune)
    if examples:
        compiled.record(*examples)
    return compiled


def _always(result: Any) -> bool:
    return True


def _simplified(function: Callable[..., Any], arguments: Any, named: Any) -> Trace:
    from wimmel.graph.rewrite import simplify

    return simplify(trace(function, *arguments, **named))


def _destinations(out: Any, traced: Trace) -> list[np.ndarray | None]:
    """The arrays of `out`, and None for each variable's new value."""
    given, structure = flatten(out)
    if structure != traced.result:
        raise ValueError("out is not built as the result is: give an array, or a list, tuple or dict of them, like it")
    return [*given, *(None for _ in traced.updated)]


def stable_inputs(traced: Trace) -> frozenset[int]:
    """Positions of the graph's inputs that are variables which the graph does not move itself."""
    first = len(traced.graph.inputs) - len(traced.variables)
    moved = set(traced.updated)
    return frozenset(place for place, variable in enumerate(traced.variables, first) if variable not in moved)
