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
    """The first tensor, in the order of computation, to which an output that is not finite can be traced back.

    The way back leads from such an output through tensors that are not finite themselves. So an infinity that was
    meant, such as the -inf that masks a score before softmax, is not blamed as long as what is made of it is finite.

    Parameters
    ----------
    graph : Graph
    values : sequence of array
        One for each of the graph's inputs.

    Returns
    -------
    Tensor or None
        Of the first output that is not finite; None if all are finite.
    """
    nodes = graph.nodes()
    last_use = {source: place for place, node in enumerate(nodes) for source in node.inputs}
    known: dict[Tensor, np.ndarray] = dict(zip(graph.inputs, values, strict=True))
    spoilt: set[Tensor] = set()
    for place, node in enumerate(nodes):
        if node not in known:
            known[node] = compute(node, known)
        if known[node].dtype.kind == "f" and not np.isfinite(known[node]).all():
            spoilt.add(node)
        for source in set(node.inputs):
            if last_use[source] == place:
                del known[source]
    for output in graph.outputs:
        if output in spoilt:
            return _origin(output, spoilt, nodes)
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


def _origin(output: Tensor, spoilt: set[Tensor], nodes: list[Tensor]) -> Tensor:
    chain, pending = {output}, [output]
    while pending:
        for source in pending.pop().inputs:
            if source in spoilt and source not in chain and source.primitive.name != "constant":
                chain.add(source)
                pending.append(source)
    return next(node for node in nodes if node in chain)
