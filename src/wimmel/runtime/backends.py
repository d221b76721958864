"""How a graph is run: by name, a function that prepares a graph and gives back what runs it on arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from wimmel.graph import Graph, evaluate

Runner = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
"""Takes one array for each input of the graph and gives one for each output."""


def _reference(graph: Graph) -> Runner:
    return lambda values: evaluate(graph, values)


BACKENDS: dict[str, Callable[[Graph], Runner]] = {"reference": _reference}
DEFAULT = "reference"


def prepared(graph: Graph, backend: str) -> Runner:
    """What runs the graph on the named backend.

    Raises
    ------
    ValueError
        For a backend that does not exist.
    """
    if backend not in BACKENDS:
        raise ValueError(f"there is no backend {backend!r}; there are: {', '.join(BACKENDS)}")
    return BACKENDS[backend](graph)
