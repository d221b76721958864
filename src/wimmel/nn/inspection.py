"""What a network is made of, layer by layer: shapes, parameters, multiply-adds, receptive fields."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wimmel.graph import FieldOfView, Tensor, Trace, trace
from wimmel.graph import receptive_field as field_of
from wimmel.nn.module import Module

PRODUCTS = frozenset(["convolution", "convolution_input_gradient", "convolution_weight_gradient", "matmul"])
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
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(layer)) + "</tr>"
            for layer in self.layers
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
    traced, entry = _recorded(net, shape, dtype)
    work: dict[str, int] = {}
    for node in traced.graph.nodes():
        if node.primitive.name in PRODUCTS:
            work[node.scope] = work.get(node.scope, 0) + _multiply_adds(node)
    modules = net.named_modules(shared=True)
    first = net.named_modules()
    layers = tuple(
        _layer_report(path, module, path in first, traced.graph.labels[path], entry, work.get(path, 0))
        for path, module in modules.items()
        if path in traced.graph.labels and (module.own_variables() or not module.children())
    )
    return Inspection(type(net).__name__, shape, layers, net.parameter_count(), sum(work.values()))


def receptive_field(
    net: Module,
    input_shape: Sequence[int],
    of: str | None = None,
    wrt: str | None = None,
    index: Sequence[int] | None = None,
) -> FieldOfView | tuple[slice, ...] | None:
    """What the elements of a layer's output see of the input, or of any layer before it.

    Parameters
    ----------
    net : Module
    input_shape : sequence of int
        Of one picture: (channels, height, width).
    of : str, optional
        Path of the layer, as `inspect` and ``net.named_modules()`` list it; default the network's output.
    wrt : str, optional
        Path of the earlier layer whose output is looked at; default the network's input.
    index : sequence of int, optional
        Of one element of that output, without the picture axis: (channel, row, column), or (feature,) once flattened.

    Returns
    -------
    FieldOfView, or with an index a tuple of slices; None if nothing is seen
        Without an index, the window that all elements share: it prints as size, stride and place along the spatial
        axes, and has them as numbers; padding counts, so it may be larger than what it lies on. With one, the
        (channels, rows, columns) which that element sees, clipped in every layer on the way to what exists.

    Raises
    ------
    ValueError
        If the output passes through no layer of that path, or there is no such element.

    References
    ----------
    Lecture rows L18 and L19.

    Examples
    --------
    >>> from wimmel import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1))
    >>> print(receptive_field(net, (1, 8, 8), of="1", wrt="0"))
    3x3, stride 1, from (-1, -1)
    >>> print(receptive_field(net, (1, 8, 8)))
    5x5, stride 1, from (-2, -2)
    >>> receptive_field(net, (1, 8, 8), index=(0, 0, 4))
    (slice(0, 1, None), slice(0, 3, None), slice(2, 7, None))
    """
    traced, entry = _recorded(net, input_shape)
    later, earlier = _labelled(net, traced, of), entry if wrt is None else _labelled(net, traced, wrt)
    if index is None:
        return field_of(later, earlier)
    box = field_of(later, earlier, (0, *index))
    return None if box is None else box[1:]


def _recorded(net: Module, input_shape: Sequence[int], dtype: Any = np.float32) -> tuple[Trace, Tensor]:
    """The network recorded for one picture, and the tensor of that picture."""
    traced = trace(net, np.zeros((1, *input_shape), dtype))
    return traced, traced.graph.inputs[0]


def _labelled(net: Module, traced: Trace, path: str | None) -> Tensor:
    if path is None:
        return traced.graph.outputs[0]
    if path not in traced.graph.labels:
        known = ", ".join(repr(name) for name in traced.graph.labels if name)
        raise ValueError(f"{type(net).__name__} has no layer {path!r} that its output passes through; it has {known}")
    return traced.graph.labels[path]


def _layer_report(path: str, module: Module, counted: bool, output: Tensor, entry: Tensor, work: int) -> LayerReport:
    """A row; the parameters of a layer that stands in several places are counted at the first."""
    own = [variable for name, variable in module.own_variables().items() if name not in module.buffer_names()]
    parameters = sum(math.prod(variable.shape) for variable in own) if counted else 0
    return LayerReport(path, type(module).__name__, output.shape[1:], parameters, work, _seen(output, entry))


def _seen(output: Tensor, entry: Tensor) -> str | None:
    """The receptive field on the input's spatial axes; None for outputs without any."""
    if len(output.shape) != len(entry.shape) or len(entry.shape) < 3:
        return None
    field = field_of(output, entry)
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
