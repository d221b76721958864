"""The reference evaluator: a graph run on its primitives' NumPy definitions, one by one. Slow, and the oracle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wimmel.graph.tensor import Tensor
from wimmel.graph.tracing import Graph


def evaluate(graph: Graph, values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The graph's outputs for these inputs.

    Parameters
    ----------
    graph : Graph
    values : sequence of array
        One for each of the graph's inputs, of its shape and dtype.

    Returns
    -------
    list of array, one for each of the graph's outputs: new arrays, which share no memory with the inputs or each other
    """
    nodes = graph.nodes()
    last_use = {source: place for place, node in enumerate(nodes) for source in node.inputs}
    kept = set(graph.outputs)
    known: dict[Tensor, np.ndarray] = dict(zip(graph.inputs, values, strict=True))
    for place, node in enumerate(nodes):
        if node not in known:
            known[node] = compute(node, known)
        for source in set(node.inputs):
            if last_use[source] == place and source not in kept:
                known.pop(source, None)
    return _owned([known[output] for output in graph.outputs], values)


def first_not_finite(graph: Graph, values: Sequence[np.ndarray]) -> Tensor | None:
    """The first tensor, in the order of computation, that holds an infinity or a NaN; inputs count."""
    known: dict[Tensor, np.ndarray] = dict(zip(graph.inputs, values, strict=True))
    for node in graph.nodes():
        if node not in known:
            known[node] = compute(node, known)
        if known[node].dtype.kind == "f" and not np.isfinite(known[node]).all():
            return node
    return None


def _owned(results: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The results, copied where they are views, constants, inputs or stand twice: who calls may write into them."""
    taken = {id(value) for value in values}
    owned = []
    for result in results:
        if result.base is not None or not result.flags.writeable or id(result) in taken:
            result = np.array(result, order="C")
        taken.add(id(result))
        owned.append(result)
    return owned


def compute(node: Tensor, known: dict[Tensor, np.ndarray]) -> np.ndarray:
    """The node's definition applied to what is known of its inputs."""
    return np.asarray(node.primitive.definition(*(known[source] for source in node.inputs), **node.attributes))
