"""A graph in Graphviz's DOT language, for whoever wants its layouts and its formats."""

from __future__ import annotations

from wimmel.graph.show.captions import caption, is_number, kind, names_in, operand, parts, sizes
from wimmel.graph.tensor import Tensor
from wimmel.graph.tracing import Graph

FILLS = {"operation": "#e9eef6", "input": "#f7e7c6", "parameter": "#e6def3", "constant": "#ececec"}


def to_dot(graph: Graph) -> str:
    """The graph as a DOT text: a box for every value, boxes of one layer in one frame, arrows along the data.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    str
        For ``dot -Tsvg`` and whatever else reads DOT.

    Examples
    --------
    >>> import numpy as np
    >>> from wimmel.graph.tracing import trace
    >>> print(to_dot(trace(lambda x: x * 2, np.zeros(3)).graph))
    digraph graph_of_tensors {
      node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];
      edge [color="#8a94a6"];
      n0 [label="x\\n3", fillcolor="#f7e7c6", tooltip="x: float64"];
      n1 [label="multiply(·, 2)\\n3", fillcolor="#e9eef6", tooltip="%0: float64"];
      n0 -> n1;
      output0 [label="output 0", shape=plain, style=""];
      n1 -> output0;
    }
    """
    names = names_in(graph)
    outputs = set(graph.outputs)
    nodes = [node for node in parts(graph) if not is_number(node) or node in outputs]
    numbers = {node: f"n{number}" for number, node in enumerate(nodes)}
    lines = [
        "digraph graph_of_tensors {",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];',
        '  edge [color="#8a94a6"];',
    ]
    layers: dict[str, list[Tensor]] = {}
    for node in nodes:
        layers.setdefault(node.scope, []).append(node)
    for place, (scope, members) in enumerate(layers.items()):
        rows = [f"{numbers[node]} {_appearance(node, names)};" for node in members]
        if scope:
            frame = f'label={_quoted(scope)}; style="rounded,filled"; color="#d5dbe5"; fillcolor="#f6f8fb";'
            rows = [f"subgraph cluster_{place} {{", f"  {frame}", *(f"  {row}" for row in rows), "}"]
        lines.extend(f"  {row}" for row in rows)
    arrows = ((source, node) for node in nodes for source in node.inputs if source in numbers)
    lines.extend(f"  {numbers[source]} -> {numbers[node]};" for source, node in arrows)
    for place, output in enumerate(graph.outputs):
        lines.append(f'  output{place} [label="output {place}", shape=plain, style=""];')
        lines.append(f"  {numbers[output]} -> output{place};")
    return "\n".join([*lines, "}"])


def _appearance(node: Tensor, names: dict[Tensor, str]) -> str:
    name = operand(node, names)
    label = [*caption(node, names), sizes(node)]
    tip = f"{name}: {node.dtype}"
    return f'[label={_quoted(*label)}, fillcolor="{FILLS[kind(node)]}", tooltip={_quoted(tip)}]'


def _quoted(*lines: str) -> str:
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for line in lines)
    return '"' + "\\n".join(escaped) + '"'
