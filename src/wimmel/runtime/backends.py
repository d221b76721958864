"""How a graph is run: by name, a function that prepares a graph and gives back what runs it on arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from wimmel.graph import Graph, evaluate

Runner = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
"""Takes one array for each input of the graph and gives one for each output."""

NOTHING: frozenset[int] = frozenset()


def _reference(graph: Graph, stable: frozenset[int]) -> Runner:
    return lambda values: evaluate(graph, values)


def _native(graph: Graph, stable: frozenset[int]) -> Runner:
    """Machine code for the whole graph. Where this machine or the graph does not allow it, the reference."""
    from wimmel.compiler import planning
    from wimmel.compiler.objects import NativeUnavailable
    from wimmel.compiler.targets import host
    from wimmel.runtime.native import NativeRunner, Refused

    if planning.unsupported(graph) is not None:
        return _reference(graph, stable)
    try:
        run = NativeRunner(planning.compiled(graph, host(), stable))
    except NativeUnavailable as error:
        warnings.warn(f"wimmel runs on NumPy instead of machine code: {error}", RuntimeWarning, stacklevel=2)
        return _reference(graph, stable)

    def runner(values: Sequence[np.ndarray]) -> list[np.ndarray]:
        try:
            return run(values)
        except Refused:
            return evaluate(graph, values)  # the definition says what is wrong

    return runner


BACKENDS: dict[str, Callable[[Graph, frozenset[int]], Runner]] = {"native": _native, "reference": _reference}
DEFAULT = "native"


def prepared(graph: Graph, backend: str, stable: frozenset[int] = NOTHING) -> Runner:
    """What runs the graph on the named backend.

    Parameters
    ----------
    graph : Graph
    backend : str
        A key of `BACKENDS`.
    stable : frozenset of int
        Positions of inputs that are variables' values: never written to, only replaced.

    Raises
    ------
    ValueError
        For a backend that does not exist.
    """
    check(backend)
    return BACKENDS[backend](graph, stable)


def check(backend: str) -> None:
    """Raises a ValueError for a backend that does not exist."""
    if backend not in BACKENDS:
        raise ValueError(f"there is no backend {backend!r}; there are: {', '.join(BACKENDS)}")
