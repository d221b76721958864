"""What a network is made of, layer by layer: shapes, parameters, multiply-adds, receptive fields."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wimmel.graph import Tensor, trace
from wimmel.nn.module import Module

PRODUCTS = frozenset(
    ["convolution", "convolution_input_gradient", "convolution_weight_gradient", "matmul"]
)
"""Primitives whose multiply-adds are counted; elementwise work is not."""


@dataclass(frozen=True)
class LayerReport:
    """One layer: its path and kind, the shape it gives for one picture, its parameters and multiply-adds, and the
    receptive field of its elements on the network's input (None where it has no spatial axes or sees everything)."""

    path: str
    layer: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: str | None


@dataclass(frozen=True)
class Inspection:
    """A network layer by layer; printed as a table, shown as one in notebooks."""

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[LayerReport, ...]
    parameters: int
    multiply_adds: int

    def to_json(self) -> dict[str, Any]:
        """The report as nested dicts and lists."""
        return asdict(self)

    def __str__(self) -> str:
        rows = [HEADINGS, *(_cells(layer) for layer in self.layers)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
        lines = [
            "  ".join(cell.rjust(width) if 2 < column < 5 else cell.ljust(width) for column, (cell, width) in pairs)
            for pairs in (enumerate(zip(row, widths, strict=True)) for row in rows)
        ]
        rule = "-" * max(len(line.rstrip()) for line in lines)
        return "\n".join([lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:]), rule, self.summary()])

    def summary(self) -> str:
        """The totals, in a sentence."""
        megabytes = self.parameters * 4 / 1e6
        return (
            f"{self.name} on {_sizes(self.input_shape)}: {self.parameters:,} parameters ({megabytes:.2f} MB), "
            f"{self.multiply_adds:,} multiply-adds ({2 * self.multiply_adds / 1e6:.2f} MFLOP) per picture"
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(heading)}</th>" for heading in HEADINGS)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(layer)) + "</tr>" for layer in self.layers
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{html.escape(self.summary())}</p>"


HEADINGS = ("path", "layer", "output", "parameters", "multiply-adds", "sees of the input")


def inspect(net: Module, input_shape: Sequence[int], dtype: Any = np.float32) -> Inspection:
    """The network layer by layer: output shapes, parameters, multiply-adds and receptive fields on the input.

    Parameters
    ----------
    net : Module
    input_shape : sequence of int
        Of one picture, without the picture axis: (channels, height, width).
    dtype : default float32

    Returns
    -------
    Inspection

    Raises
    ------
    ValueError
        If such an input does not fit the network; names the layer.

    References
    ----------
    Lecture rows L18, L19 and L30.

    Examples
    --------
    >>> from wimmel.models import lenet_classic
    >>> report = inspect(lenet_classic(), (1, 28, 28))
    >>> report.parameters
    61706
    >>> [layer.receptive_field for layer in report.layers if layer.layer == "AvgPool2d"]
    ['6x6, stride 2, from (-2, -2)', '16x16, stride 4, from (-2, -2)']
    """
    shape = tuple(int(size) for size in input_shape)
    traced = trace(net, np.zeros((1, *shape), dtype))
    (entry,) = traced.graph.inputs[: len(traced.graph.inputs) - len(traced.variables)]
    work: dict[str, int] = {}
    for node in traced.graph.nodes():
        if node.primitive.name in PRODUCTS:
            work[node.scope] = work.get(node.scope, 0) + _multiply_adds(node)
    modules = net.named_modules()
    layers = tuple(
        _layer_report(path, module, traced.graph.labels[path], entry, work.get(path, 0))
        for path, module in modules.items()
        if path in traced.graph.labels and (path or len(modules) == 1) and not any(module._children())
    )
    return Inspection(type(net).__name__, shape, layers, net.parameter_count(), sum(work.values()))


def _layer_report(path: str, module: Module, output: Tensor, entry: Tensor, work: int) -> LayerReport:
    return LayerReport(
        path, type(module).__name__, output.shape[1:], module.parameter_count(), work, _seen(output, entry)
    )


def _seen(output: Tensor, entry: Tensor) -> str | None:
    """The receptive field on the input's spatial axes; None for outputs without any."""
    if len(output.shape) != len(entry.shape) or len(entry.shape) < 3:
        return None
    from wimmel.graph.receptive import receptive_field

    field = receptive_field(output, entry)
    return None if field is None else str(field)


def _multiply_adds(node: Tensor) -> int:
    """Products that the definition adds up, those with padding included."""
    first, second = node.inputs
    if node.primitive.name == "matmul":
        return node.size * first.shape[-1]
    if node.primitive.name == "convolution":
        return node.size * math.prod(second.shape[1:])
    if node.primitive.name == "convolution_input_gradient":
        return first.size * math.prod(second.shape[1:])
    return node.size * second.shape[0] * math.prod(second.shape[2:])


def _cells(layer: LayerReport) -> tuple[str, ...]:
    return (
        layer.path,
        layer.layer,
        _sizes(layer.output_shape),
        f"{layer.parameters:,}",
        f"{layer.multiply_adds:,}",
        layer.receptive_field or "",
    )


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "1"
