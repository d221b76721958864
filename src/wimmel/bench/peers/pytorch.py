"""PyTorch: eager in its two layouts, frozen TorchScript, and compiled by its own compiler where a C++ compiler is."""

from __future__ import annotations

from typing import Any

import numpy as np

from wimmel.bench.convolutions import Layer
from wimmel.bench.networks import Network
from wimmel.bench.section import Prepare, Ready


def layer(channels_last: bool) -> Prepare:
    """Convolutions of one axis are computed as such, or, with channels last, as those of two whose first has size 1."""

    def prepare(layer: Layer, threads: int) -> Ready:
        import torch

        torch.set_num_threads(threads)
        arrays = {name: torch.from_numpy(array) for name, array in layer.arrays().items()}
        stride, padding, dilation = ([each] * layer.axes for each in (layer.stride, layer.padding, layer.dilation))
        layout = torch.contiguous_format
        if channels_last:
            layout = torch.channels_last_3d if layer.axes == 3 else torch.channels_last
            if layer.axes == 1:
                stride, padding, dilation = [1, *stride], [0, *padding], [1, *dilation]
                arrays |= {name: arrays[name].unsqueeze(2) for name in ("x", "weight", "y")}
        x, weight, y = (arrays[name].clone(memory_format=layout) for name in ("x", "weight", "y"))
        bias, transposed, none = arrays["bias"], layer.face == "transposed", [0] * len(stride)
        mask = [layer.face == "input", layer.face == "weight", False]

        def forward() -> Any:
            return torch.relu_(
                torch.ops.aten.convolution(x, weight, bias, stride, padding, dilation, transposed, none, layer.groups)
            )

        def gradient() -> Any:
            return torch.ops.aten.convolution_backward(
                y, x, weight, None, stride, padding, dilation, False, none, layer.groups, mask
            )[mask.index(True)]

        run = torch.inference_mode()(forward if layer.has_bias else gradient)
        return Ready(run, lambda: np.ascontiguousarray(run().numpy()))

    return prepare


def network(way: str) -> Prepare:
    """A twin of our network: ``eager``, ``channels last``, ``frozen`` or ``compiled``."""

    def prepare(case: Network, threads: int) -> Ready:
        import torch

        torch.set_num_threads(threads)
        layout = torch.channels_last if way == "channels last" else torch.contiguous_format
        net = twin(case).to(memory_format=layout).requires_grad_(False)
        x = torch.from_numpy(case.batch()[0]).contiguous(memory_format=layout)
        with torch.inference_mode():
            if way == "frozen":
                net = torch.jit.freeze(torch.jit.trace(net, x))
            elif way == "compiled":
                net = torch.compile(net, dynamic=False)
        run = torch.inference_mode()(lambda: net(x))
        return Ready(run, lambda: np.asarray(run()))

    return prepare


def training(channels_last: bool) -> Prepare:
    def prepare(case: Network, threads: int) -> Ready:
        import torch

        torch.set_num_threads(threads)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        net = twin(case).train().to(memory_format=layout)
        x, y = (torch.from_numpy(array) for array in case.batch())
        x = x.contiguous(memory_format=layout)
        parameters = net.parameters()
        optimizer = (
            torch.optim.Adam(parameters, 1e-3)
            if case.name == "lenet"
            else torch.optim.SGD(parameters, 1e-3, momentum=0.9)
        )

        def step() -> Any:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return Ready(step, lambda: step().numpy().reshape(1))

    return prepare


def sequential(net: Any) -> Any:
    """A chain of convolutions, ReLU and max pooling in PyTorch, set to inference.

    Raises
    ------
    NotImplementedError
        If our network has anything else.
    """
    from torch import nn, tensor

    from wimmel.bench.operations import of_network

    layers: list[Any] = []
    for operation in of_network(net):
        settings = operation.settings
        match operation.kind:
            case "convolution":
                weight, bias = map(tensor, operation.weights)
                outputs, inputs, *kernel = weight.shape
                layers.append(nn.Conv2d(inputs * settings["groups"], outputs, kernel, **settings))
                layers[-1].load_state_dict({"weight": weight, "bias": bias})
            case "relu":
                layers.append(nn.ReLU(inplace=True))
            case "max_pool":
                layers.append(nn.MaxPool2d(settings["kernel"], settings["stride"], settings["padding"]))
            case kind:
                raise NotImplementedError(kind)
    return nn.Sequential(*layers).eval().requires_grad_(False)


def twin(case: Network) -> Any:
    """The network in PyTorch with the parameters of ours, set to inference."""
    from wimmel.bench import twins

    return twins.pair(case.name, seed=0)[1].eval()
