"""How a graph is run: by name, a function that prepares a graph and gives back what runs it on arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from wimmel.graph import Graph, evaluate

if TYPE_CHECKING:
    from wimmel.runtime.native import NativeRunner

Arrays = Sequence[np.ndarray]


class Runner(Protocol):
    """A graph that is ready to run."""

    def __call__(self, values: Arrays, out: Sequence[np.ndarray | None] | None = None) -> list[np.ndarray]:
        """Takes one array for each input of the graph and gives one for each output: new ones, or those of `out`, which
        may share memory with inputs; None in it stands for a new one."""

    def bound(self, values: Arrays) -> Callable[[np.ndarray], np.ndarray | None] | None:
        """A function that runs it on another first array and the same others, and gives the one output; None where that
        is no faster. The function gives None where it has to be asked for anew."""


NOTHING: frozenset[int] = frozenset()


class _Reference:
    """Every primitive's definition, one after another."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __call__(self, values: Arrays, out: Sequence[np.ndarray | None] | None = None) -> list[np.ndarray]:
        results = evaluate(self._graph, values)
        if out is None:
            return results
        return [_delivered(result, given) for result, given in zip(results, out, strict=True)]

    def bound(self, values: Arrays) -> None:
        return None


def _delivered(result: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    if given is None:
        return result
    if not isinstance(given, np.ndarray) or (given.shape, given.dtype) != (result.shape, result.dtype):
        raise ValueError(f"an array for an output must be of {result.dtype} and shape {result.shape}; got {given!r}")
    np.copyto(given, result)
    return given


def _native(graph: Graph, stable: frozenset[int], precision: str) -> Runner:
    """Machine code for the whole graph. Where this machine or the graph does not allow it, the reference."""
    from wimmel.compiler.rounding import to_nearest

    with to_nearest():  # from the first import on, for modules hold numbers too
        return _compiled(graph, stable, precision)


def _compiled(graph: Graph, stable: frozenset[int], precision: str) -> Runner:
    from wimmel.compiler import planning
    from wimmel.compiler.objects import NativeUnavailable
    from wimmel.compiler.stages import print_stages
    from wimmel.compiler.targets import host
    from wimmel.runtime.native import NativeRunner, expect_workers

    if planning.unsupported(graph) is not None:
        return _Reference(graph)
    try:
        target = host()
        expect_workers()
        print_stages(graph, target, stable, precision)
        run = NativeRunner(planning.compiled(graph, target, stable, precision))
    except NativeUnavailable as error:
        warnings.warn(f"wimmel runs on NumPy instead of machine code: {error}", RuntimeWarning, stacklevel=2)
        return _Reference(graph)
    return _Native(run, _Reference(graph))


class _Native:
    """Machine code; and where it meets something that must be refused, the definition, which says what is wrong."""

    def __init__(self, run: NativeRunner, definition: _Reference) -> None:
        from wimmel.runtime.native import Refused

        self._run = run
        self._definition = definition
        self._refused = Refused

    def __call__(self, values: Arrays, out: Sequence[np.ndarray | None] | None = None) -> list[np.ndarray]:
        try:
            return self._run(values, out)
        except self._refused:
            return self._definition(values, out)

    def bound(self, values: Arrays) -> Callable[[np.ndarray], np.ndarray | None] | None:
        return self._run.bound(values)


BACKENDS: dict[str, Callable[[Graph, frozenset[int], str], Runner]] = {
    "native": _native,
    "reference": lambda graph, stable, precision: _Reference(graph),
}
DEFAULT = "native"


def prepared(graph: Graph, backend: str, stable: frozenset[int] = NOTHING, precision: str = "exact") -> Runner:
    """What runs the graph on the named backend.

    Parameters
    ----------
    graph : Graph
    backend : str
        A key of `BACKENDS`.
    stable : frozenset of int
        Positions of inputs that are variables' values: never written to, only replaced.
    precision : {"exact", "fast"}
        See `get_precision`.

    Raises
    ------
    ValueError
        For a backend that does not exist.
    """
    check(backend)
    return BACKENDS[backend](graph, stable, precision)


def check(backend: str) -> None:
    """Raises a ValueError for a backend that does not exist."""
    if backend not in BACKENDS:
        raise ValueError(f"there is no backend {backend!r}; there are: {', '.join(BACKENDS)}")
