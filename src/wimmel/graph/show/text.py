"""A graph as lines of text: its inputs, then one line for every step, then what it returns."""

from __future__ import annotations

from wimmel.graph.show.captions import names_in, operand, parts, settings, value
from wimmel.graph.tensor import Tensor, constant
from wimmel.graph.tracing import Graph

WIDEST = 72
"""Steps longer than this do not push the column of shapes further to the right."""


def to_text(graph: Graph) -> str:
    """The graph as text: one line for each input and each step, with its dtype and shape, then the outputs.

    Constants of one element stand where they are used. Results of layers are called by their path after an @, other
    results %0, %1, ...; behind # stands the layer that a step belongs to.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> from wimmel.graph.tracing import trace
    >>> print(to_text(trace(lambda x, y: (x @ y + 1).sum(1), np.zeros((2, 3)), np.zeros((3, 4))).graph))
    x0 = input           : float64 (2, 3)
    x1 = input           : float64 (3, 4)
    %0 = matmul(x0, x1)  : float64 (2, 4)
    %1 = add(%0, 1)      : float64 (2, 4)
    %2 = sum(%1, axes=1) : float64 (2,)
    return %2
    """
    names = names_in(graph)
    shown = [tensor for tensor in parts(graph) if tensor in names]
    scopes = [" ".join(tensor.scope.split()) for tensor in shown]
    rows = [
        (_step(tensor, names), f"{tensor.dtype} {tensor.shape}", scope)
        for tensor, scope in zip(shown, scopes, strict=True)
    ]
    first = min(max((len(step) for step, _, _ in rows), default=0), WIDEST)
    second = max((len(form) for _, form, scope in rows if scope), default=0)
    lines = [
        f"{step.ljust(first)} : {form.ljust(second)}  # {scope}" if scope else f"{step.ljust(first)} : {form}"
        for step, form, scope in rows
    ]
    outputs = ", ".join(operand(tensor, names) for tensor in graph.outputs)
    return "\n".join([*lines, f"return {outputs}".rstrip()])


def _step(tensor: Tensor, names: dict[Tensor, str]) -> str:
    name, primitive = names[tensor], tensor.primitive.name
    if tensor.primitive is constant:
        return f"{name} = constant {value(tensor)}"
    if not tensor.inputs:
        return f"{name} = {primitive}"
    inputs = [operand(source, names) for source in tensor.inputs]
    return f"{name} = {primitive}({', '.join(part for part in [*inputs, settings(tensor)] if part)})"
