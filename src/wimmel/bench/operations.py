"""A network of ours as a flat list of operations with its weights, from which networks for peers are built that know no
modules: ONNX graphs and JAX functions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from wimmel.bench.convolutions import Layer


@dataclass(frozen=True)
class Operation:
    """A step of a network.

    Attributes
    ----------
    kind : str
        ``convolution``, ``transposed``, ``linear`` (all with a weight, mostly a bias), ``batch_norm`` (with weight and
        bias), ``relu``, ``relu6``, ``max_pool``, ``add``, ``mean`` (over all positions), ``flatten``, or ``padded``
        (every stride-th row and column, and zeros for channels that are missing).
    inputs : tuple of int
        Operations whose results it takes, by their places in the list; -1 is the network's input.
    weights : tuple of array
    settings : dict
        Stride, padding, dilation and kernel as one number for every axis; groups, outputs, eps.
    """

    kind: str
    inputs: tuple[int, ...]
    weights: tuple[np.ndarray, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


def of_layer(layer: Layer) -> list[Operation]:
    """A forward or transposed convolution and ReLU."""
    arrays = layer.arrays()
    settings = {"stride": (layer.stride,) * layer.axes, "padding": (layer.padding,) * layer.axes,
                "dilation": (layer.dilation,) * layer.axes, "groups": layer.groups}  # fmt: skip
    kind = "convolution" if layer.face == "forward" else "transposed"
    return [Operation(kind, (-1,), (arrays["weight"], arrays["bias"]), settings), Operation("relu", (0,))]


def of_network(net: Any, training: bool = False) -> list[Operation]:
    """The operations of a network made of layers and blocks of `wimmel.models`; for inference batch norm is merged into
    the convolutions before it.

    Raises
    ------
    NotImplementedError
        If it has a layer that is not known here.

    Examples
    --------
    >>> from wimmel import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.5)).initialize(0)
    >>> [operation.kind for operation in of_network(net)]
    ['convolution', 'relu']
    """
    found: list[Operation] = []
    _walk(net, -1, found, training)
    return found


def _walk(module: Any, x: int, found: list[Operation], training: bool) -> int:
    """Appends what the module does to the result of operation x, and gives the place of its result."""

    def add(kind: str, *inputs: int, weights: tuple[np.ndarray, ...] = (), **settings: Any) -> int:
        found.append(Operation(kind, inputs, weights, settings))
        return len(found) - 1

    match type(module).__name__:
        case "Sequential":
            for child in module:
                x = _walk(child, x, found, training)
            return x
        case "BasicBlock" | "Bottleneck":
            main = _walk(module.main, x, found, training)
            beside = x if module.shortcut is None else _walk(module.shortcut, x, found, training)
            return add("relu", add("add", main, beside))
        case "InvertedResidual":
            main = _walk(module.main, x, found, training)
            return add("add", x, main) if module.stride == 1 and module.inputs == module.outputs else main
        case "Conv2d":
            before, after = zip(*module.padding, strict=True)
            if before != after:
                raise NotImplementedError("padding of different sides")
            weights = tuple(np.asarray(each) for each in (module.weight, module.bias) if each is not None)
            return add("convolution", x, weights=weights, stride=tuple(module.stride), padding=before,
                       dilation=tuple(module.dilation), groups=module.groups)  # fmt: skip
        case "BatchNorm2d" if training:
            return add("batch_norm", x, weights=(np.asarray(module.weight), np.asarray(module.bias)), eps=module.eps)
        case "BatchNorm2d":
            if x < 0 or found[x].kind != "convolution" or x != len(found) - 1:
                raise NotImplementedError("batch norm that follows no convolution")
            found[x] = _merged(found[x], module)
            return x
        case "PaddedShortcut":
            return add("padded", x, outputs=module.outputs, stride=module.stride)
        case "ReLU" | "ReLU6":
            return add(type(module).__name__.lower(), x)
        case "MaxPool2d":
            kernel, stride, padding = (_pair(each) for each in (module.kernel_size, module.stride, module.padding))
            return add("max_pool", x, kernel=kernel, stride=stride or kernel, padding=padding)
        case "GlobalAvgPool":
            return add("mean", x)
        case "Flatten":
            return add("flatten", x)
        case "Linear":
            return add("linear", x, weights=(np.asarray(module.weight), np.asarray(module.bias)))
        case "Dropout":
            return x
    raise NotImplementedError(f"{type(module).__name__} is not known to the benchmark's peers")


def _merged(convolution: Operation, norm: Any) -> Operation:
    weight, *biases = convolution.weights
    bias = biases[0] if biases else np.zeros(len(weight), np.float32)
    factor = np.asarray(norm.weight) / np.sqrt(np.asarray(norm.running_var) + norm.eps)
    shift = np.asarray(norm.bias) + (bias - np.asarray(norm.running_mean)) * factor
    scaled = weight * factor.reshape(-1, 1, 1, 1)
    return replace(convolution, weights=(scaled.astype(np.float32), shift.astype(np.float32)))


def _pair(given: Any) -> Any:
    """One number for each axis, of a number, of numbers, or of equal pairs."""
    if given is None or isinstance(given, int):
        return given if given is None else (given, given)
    return tuple(each if isinstance(each, int) else each[0] for each in given)
