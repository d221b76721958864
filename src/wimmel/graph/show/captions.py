"""What the parts of a graph are called where it is shown: names, settings in short form, shapes, values, kinds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from wimmel.graph.tensor import Tensor, constant, input_
from wimmel.graph.tracing import Graph

TOLD_BY_SHAPE = frozenset(["shape", "dtype", "outputs", "size"])
"""Attributes that say no more than the shape and dtype of the result do."""

LONGEST_VALUE = 4
"""Constants of more elements than this are shown by their first ones."""


def parts(graph: Graph) -> list[Tensor]:
    """The graph's inputs, also those that nothing is made from, then everything else in the order of computation."""
    inputs = set(graph.inputs)
    return [*graph.inputs, *(tensor for tensor in graph.nodes() if tensor not in inputs)]


def names_in(graph: Graph) -> dict[Tensor, str]:
    """A name for every tensor of the graph, each one different.

    Inputs have the name they were given, parameters the path of their layer before it, the results of layers their path
    after an @, and the others %0, %1, ... in the order in which they are computed.
    """
    names: dict[Tensor, str] = {}
    taken: Counter[str] = Counter()
    readers = _layers_that_read(graph)
    for tensor in graph.inputs:
        name = tensor.attributes.get("name") or "input"
        layer = readers.get(tensor, "") if kind(tensor) == "parameter" else ""
        _give(tensor, f"{layer}.{name}" if layer else name, names, taken)
    for path, tensor in graph.labels.items():
        if path and tensor.inputs and tensor not in names:
            _give(tensor, f"@{path}", names, taken)
    number = 0
    for tensor in graph.nodes():
        if tensor not in names and not is_number(tensor):
            names[tensor] = f"%{number}"
            number += 1
    return names


def _give(tensor: Tensor, name: str, names: dict[Tensor, str], taken: Counter[str]) -> None:
    name = " ".join(name.split())
    taken[name] += 1
    names[tensor] = name if taken[name] == 1 else f"{name}#{taken[name]}"


def _layers_that_read(graph: Graph) -> dict[Tensor, str]:
    """For each input the layer that it was read in, or else the first that computes with it."""
    readers = {tensor: tensor.scope for tensor in graph.inputs if tensor.scope}
    for node in graph.nodes():
        for source in node.inputs:
            if node.scope and source.primitive is input_:
                readers.setdefault(source, node.scope)
    return readers


def is_number(tensor: Tensor) -> bool:
    """Whether it is a constant of one element, which is shown where it is used."""
    return tensor.primitive is constant and tensor.size == 1


def operand(tensor: Tensor, names: dict[Tensor, str]) -> str:
    """The tensor as an operation names it: the number itself, or its name."""
    return value(tensor) if is_number(tensor) else names[tensor]


def value(tensor: Tensor) -> str:
    """A constant's elements, or the first of them."""
    array = tensor.attributes["value"]
    shown = [f"{item:.6g}" if array.dtype.kind == "f" else str(item) for item in array.reshape(-1)[:LONGEST_VALUE]]
    return shown[0] if array.size == 1 else f"[{', '.join(shown)}{', ...' if array.size > LONGEST_VALUE else ''}]"


def caption(node: Tensor, names: dict[Tensor, str]) -> list[str]:
    """What stands in a node's box: the operation, with numbers where it takes any, and its settings; or its name."""
    if kind(node) == "constant":
        return [value(node)]
    if not node.inputs:
        return [names[node]]
    operands = [value(source) if is_number(source) else "·" for source in node.inputs]
    numbers = any(is_number(source) for source in node.inputs)
    lines = [f"{node.primitive.name}({', '.join(operands)})" if numbers else node.primitive.name]
    return [*lines, settings(node)] if settings(node) else lines


def settings(tensor: Tensor) -> str:
    """The attributes in short form, without what is usual and what the shape tells: ``stride=2, padding=1``."""
    attributes = tensor.attributes
    if {"start", "stop", "step"} <= attributes.keys():
        return _slices(tensor)
    if {"low", "high", "interior"} <= attributes.keys():
        return _paddings(attributes)
    parts = (_setting(name, given) for name, given in attributes.items() if name not in TOLD_BY_SHAPE)
    return ", ".join(part for part in parts if part)


def _setting(name: str, given: Any) -> str:
    if name in ("stride", "dilation", "kernel"):
        same = given[0] if len(set(given)) == 1 else given
        return "" if same == 1 and name != "kernel" else f"{name}={same}"
    if name == "padding":
        return "" if not any(map(any, given)) else f"padding={_padding(given)}"
    if name == "groups":
        return "" if given == 1 else f"groups={given}"
    if name == "stop_gradient":
        return "stop_gradient" if given else ""
    if name in ("name", "value"):
        return ""
    return f"{name}={given[0] if isinstance(given, tuple) and len(given) == 1 else given}"


def _padding(given: Sequence[Sequence[int]]) -> Any:
    """One number if all sides have as much, one per axis if both of its sides do, else the pairs."""
    if any(front != behind for front, behind in given):
        return tuple(map(tuple, given))
    sides = tuple(front for front, _ in given)
    return sides[0] if len(set(sides)) == 1 else sides


def _slices(tensor: Tensor) -> str:
    (x,) = tensor.inputs
    columns = (tensor.attributes[name] for name in ("start", "stop", "step"))
    bounds = []
    for start, stop, step, size in zip(*columns, x.shape, strict=True):
        run = f"{start or ''}:{'' if stop >= size else stop}"
        bounds.append(run if step == 1 else f"{run}:{step}")
    return f"[{', '.join(bounds)}]"


def _paddings(attributes: dict[str, Any]) -> str:
    parts = [str(tuple(zip(attributes["low"], attributes["high"], strict=True)))]
    if any(attributes["interior"]):
        parts.append(f"interior={attributes['interior']}")
    if attributes.get("value", 0) != 0:
        parts.append(f"value={attributes['value']}")
    return ", ".join(parts)


def sizes(tensor: Tensor) -> str:
    """The shape as people write it: 1×6×28×28."""
    return "×".join(map(str, tensor.shape)) or "number"


def kind(tensor: Tensor) -> str:
    """What a tensor is to a reader: "input", "parameter", "constant" or "operation".

    Arguments of a recorded function are called x, x0, x1, ... and read outside all layers; other inputs are variables.
    """
    if tensor.primitive is constant:
        return "constant"
    if tensor.primitive is not input_:
        return "operation"
    argument = not tensor.scope and re.fullmatch(r"x\d*", tensor.attributes["name"])
    return "input" if argument else "parameter"


def common_dtype(graph: Graph) -> np.dtype:
    """The dtype that most tensors have, which need not be said of each."""
    counted = Counter(tensor.dtype for tensor in graph.nodes())
    return counted.most_common(1)[0][0] if counted else np.dtype(np.float32)
