"""Convolutions with large filters, NumPy arrays in and out; PyTorch (the better of its two layouts), ONNX Runtime,
OpenCV's filter2D and SciPy (the best of fftconvolve and oaconvolve) beside.

OpenCV and SciPy convolve channel by channel and add up; PyTorch and ONNX Runtime have the weights in their layer.
``wimmel`` is a network, whose weights stay; ``wimmel, function`` is given pictures and filters at each call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from contest import OURS, Task, contest, repeated


@dataclass(frozen=True)
class Layer:
    """A convolution of a picture of (channels, size, size) into outputs channels, of the same size."""

    channels: int
    outputs: int
    kernel: int
    size: int
    depthwise: bool = False

    @property
    def groups(self) -> int:
        return self.channels if self.depthwise else 1

    def __str__(self) -> str:
        kind = f"depthwise {self.channels}" if self.depthwise else f"{self.channels}->{self.outputs}"
        return f"{self.kernel}x{self.kernel} {kind} at {self.size}"


LAYERS = {
    str(layer): layer
    for layer in (
        Layer(1, 1, 31, 512), Layer(1, 1, 15, 512), Layer(1, 1, 9, 512), Layer(1, 1, 63, 512), Layer(8, 8, 31, 512),
        Layer(64, 64, 31, 56, True), Layer(64, 64, 13, 56, True), Layer(64, 64, 7, 56), Layer(64, 64, 5, 56),
        Layer(3, 64, 11, 224),
    )
}  # fmt: skip


def arrays(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """A picture and the filters."""
    random = np.random.default_rng(0)
    shapes = (1, layer.channels, layer.size, layer.size), (
        layer.outputs, layer.channels // layer.groups, layer.kernel, layer.kernel,
    )  # fmt: skip
    x, weight = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
    return x, weight


def network(layer: Layer, threads: int) -> Task:
    import wimmel as wm

    x, weight = arrays(layer)
    convolution = wm.nn.Conv2d(
        layer.channels, layer.outputs, layer.kernel, padding=layer.kernel // 2, groups=layer.groups, bias=False
    )
    net = wm.nn.Sequential(convolution).initialize(0)
    convolution.weight = weight
    return lambda: net(x)


def exact(layer: Layer, threads: int) -> Task:
    """By sums of products."""
    import wimmel as wm

    wm.set_precision("exact")
    return network(layer, threads)


def function(layer: Layer, threads: int) -> Task:
    import wimmel as wm

    x, weight = arrays(layer)
    return lambda: wm.conv2d(x, weight, padding=layer.kernel // 2, groups=layer.groups)


def torch_layer(layer: Layer, threads: int) -> Task:
    import torch

    torch.set_num_threads(threads)
    x, weight = arrays(layer)
    convolution = torch.nn.Conv2d(
        layer.channels, layer.outputs, layer.kernel, padding=layer.kernel // 2, groups=layer.groups, bias=False
    )
    convolution.weight.data = torch.from_numpy(weight)
    candidates = []
    with torch.inference_mode():
        for layout in (torch.contiguous_format, torch.channels_last):
            net = convolution.to(memory_format=layout).eval().requires_grad_(False)
            given = torch.from_numpy(x).clone(memory_format=layout)
            candidates.append(torch.inference_mode()(lambda net=net, given=given: net(given)))
        return min(candidates, key=lambda task: min(repeated(task, 0.1)))


def onnxruntime_layer(layer: Layer, threads: int) -> Task:
    import onnx
    import onnxruntime

    x, weight = arrays(layer)
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], pads=[layer.kernel // 2] * 4, group=layer.groups)
    real = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node], "layer", [onnx.helper.make_tensor_value_info("x", real, x.shape)],
        [onnx.helper.make_tensor_value_info("y", real, None)], [onnx.numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def by_channel(layer: Layer, filtered: Any) -> Task:
    """The sum over channels of ``filtered(picture, filter)``."""
    x, weight = arrays(layer)

    def run() -> np.ndarray:
        y = np.zeros((1, layer.outputs, layer.size, layer.size), np.float32)
        for output in range(layer.outputs):
            for number in range(weight.shape[1]):
                y[0, output] += filtered(x[0, output if layer.depthwise else number], weight[output, number])
        return y

    return run


def opencv(layer: Layer, threads: int) -> Task | None:
    import cv2

    cv2.setNumThreads(threads)
    if layer.channels * layer.outputs > 64 and not layer.depthwise:
        return None
    return by_channel(layer, lambda x, w: cv2.filter2D(x, -1, w, borderType=cv2.BORDER_CONSTANT))


def scipy_signal(layer: Layer, threads: int) -> Task | None:
    import scipy.signal

    if layer.channels * layer.outputs > 64 and not layer.depthwise:
        return None
    ways = (scipy.signal.fftconvolve, scipy.signal.oaconvolve)
    tasks = [by_channel(layer, lambda x, w, way=way: way(x, w[::-1, ::-1], mode="same")) for way in ways]
    return min(tasks, key=lambda task: min(repeated(task, 0.1)))


if __name__ == "__main__":
    contest(
        "Convolutions with large filters beside PyTorch, ONNX Runtime, OpenCV and SciPy.",
        LAYERS,
        {
            OURS: network,
            f"{OURS}, function": function,
            f"{OURS}, exact": exact,
            "torch": torch_layer,
            "onnxruntime": onnxruntime_layer,
            "opencv": opencv,
            "scipy": scipy_signal,
        },
        rounds=5,
    )
