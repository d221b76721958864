"""Simplification: the rules applied to every tensor of a graph once, sources first, and equal tensors made one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from operator import is_not

from wimmel.graph import primitives
from wimmel.graph.rewrite.patterns import Rule
from wimmel.graph.rewrite.rules import RULES
from wimmel.graph.tensor import Primitive, Tensor, constant, input_, scope
from wimmel.graph.tracing import Graph, Trace, reachable

COMPARED_BYTES = 4096
"""Constants of up to this many bytes count as equal if their bytes are; larger ones if they are the same array."""

COMMUTATIVE = (primitives.add, primitives.multiply, primitives.equal)


def simplify(traced: Trace) -> Trace:
    """The recorded function with a simplified graph; see `simplified`."""
    return replace(traced, graph=simplified(traced.graph))


def simplified(graph: Graph, rules: Sequence[Rule] = RULES) -> Graph:
    """A graph that computes the same with fewer or cheaper steps.

    What is computed twice is computed once, what rests on constants alone is computed now, and the rules do away with
    what does nothing. The inputs stay, the very tensors and in their order, also those no longer used; an output may
    become an input or a constant. Labels name the tensor that took the place of theirs.

    Every result keeps all its bits, except as the rules with a `liberty` say.

    Parameters
    ----------
    graph : Graph
        Gradients have been taken: what only matters to them (stop_gradient) goes.
    rules : sequence of Rule, optional

    Returns
    -------
    Graph

    Examples
    --------
    >>> import numpy as np
    >>> from wimmel.graph.tracing import trace
    >>> graph = trace(lambda x: (x.T.T * 1 + (x - 0)) ** 1, np.zeros((2, 3))).graph
    >>> [node.primitive.name for node in graph.nodes() if node.inputs]
    ['transpose', 'transpose', 'multiply', 'subtract', 'add', 'power']
    >>> [node.primitive.name for node in simplified(graph).nodes() if node.inputs]
    ['add']
    """
    table: dict[Primitive, list[Rule]] = {}
    for rule in rules:
        for primitive in rule.pattern.primitives:
            table.setdefault(primitive, []).append(rule)
    work = _Simplification(table)
    for node in reachable([*graph.inputs, *graph.outputs, *graph.labels.values()]):
        work.settle(node)
    outputs = tuple(work.settled[output] for output in graph.outputs)
    labels = {path: work.settled[tensor] for path, tensor in graph.labels.items()}
    return Graph(graph.inputs, outputs, labels)


@dataclass(eq=False)
class _Simplification:
    """One run: what each tensor became, and what was made so far by what it is made of.

    A tensor is settled when no rule applies to it and its inputs are settled. Rules look only backwards, so settling
    every tensor once, sources first, leaves nothing to do.
    """

    table: dict[Primitive, list[Rule]]
    settled: dict[Tensor, Tensor] = field(default_factory=dict)
    made: dict[Hashable, Tensor] = field(default_factory=dict)

    def settle(self, tensor: Tensor) -> Tensor:
        if tensor in self.settled:
            return self.settled[tensor]
        # No deeper than a replacement is: everything a tensor of the graph is made from has been settled before it.
        inputs = tuple(self.settle(source) for source in tensor.inputs)
        identity = _identity(tensor, inputs)
        result = self.made.get(identity)
        if result is None:
            result = self._rewritten(tensor, inputs)
            self.made[identity] = result
        self.settled[tensor] = self.settled[result] = result
        return result

    def _rewritten(self, tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        if not inputs and tensor.primitive not in self.table:
            return tensor
        with scope(tensor.scope):
            if any(map(is_not, inputs, tensor.inputs)):
                tensor = Tensor(tensor.primitive, inputs, tensor.attributes, tensor.shape, tensor.dtype)
            for rule in self.table.get(tensor.primitive, ()):
                replacement = rule.apply(tensor)
                if replacement is not None:
                    return self.settle(replacement)
        return tensor


def _identity(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Hashable:
    """Equal for tensors that hold the same value: same primitive, inputs and attributes."""
    if tensor.primitive is input_:
        return id(tensor)
    if tensor.primitive is constant:
        value = tensor.attributes["value"]
        return (value.dtype, value.shape, value.tobytes()) if value.nbytes <= COMPARED_BYTES else id(value)
    places = [id(source) for source in inputs]
    if tensor.primitive in COMMUTATIVE:
        places.sort()
    # repr tells -0.0 from 0.0 and True from 1, and finds NaN equal to NaN
    return (tensor.primitive, tuple(places), repr(sorted(tensor.attributes.items())) if tensor.attributes else "")
