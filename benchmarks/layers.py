"""Convolutional layers of well-known networks, with bias and ReLU: inside a network (the layer's step alone, weights
packed beforehand), and alone with NCHW arrays in and out; PyTorch (the better of its two layouts) and ONNX Runtime
beside.

``--peak`` prints what share of this processor's multiply-add peak the step reaches, on one thread.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from contest import OURS, Task, contest, repeated


@dataclass(frozen=True)
class Layer:
    """A convolution of n pictures of (channels, size, size) into outputs channels."""

    channels: int
    outputs: int
    kernel: int
    stride: int
    size: int
    pictures: int = 1

    @property
    def padding(self) -> int:
        return (self.kernel - 1) // 2

    @property
    def operations(self) -> int:
        """Multiplications and additions, those of padding counted."""
        side = (self.size + 2 * self.padding - self.kernel) // self.stride + 1
        return 2 * self.pictures * self.outputs * self.channels * self.kernel**2 * side**2

    def __str__(self) -> str:
        stride = f" /{self.stride}" if self.stride > 1 else ""
        return f"{self.kernel}x{self.kernel}{stride} {self.channels}->{self.outputs} at {self.size}, n={self.pictures}"


SINGLE = [
    Layer(64, 64, 3, 1, 56), Layer(128, 128, 3, 1, 28), Layer(256, 256, 3, 1, 14), Layer(512, 512, 3, 1, 7),
    Layer(3, 64, 7, 2, 224), Layer(128, 128, 3, 2, 56), Layer(64, 256, 1, 1, 56), Layer(256, 64, 1, 1, 56),
    Layer(512, 128, 1, 1, 28), Layer(1024, 256, 1, 1, 14), Layer(2048, 512, 1, 1, 7),
]  # fmt: skip
LAYERS = {str(layer): layer for layer in SINGLE}
LAYERS |= {str(each): each for each in (Layer(x.channels, x.outputs, x.kernel, x.stride, x.size, 16) for x in SINGLE)}


def network(layer: Layer) -> Any:
    import wimmel as wm

    convolution = wm.nn.Conv2d(layer.channels, layer.outputs, layer.kernel, layer.stride, layer.padding)
    return wm.nn.Sequential(convolution, wm.nn.ReLU()).initialize(0)


def picture(layer: Layer) -> np.ndarray:
    shape = (layer.pictures, layer.channels, layer.size, layer.size)
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def inside(layer: Layer, threads: int, precision: str = "fast") -> Task:
    """The convolution's own step, as it runs within a network."""
    import wimmel as wm
    from wimmel.compiler.planning import compiled
    from wimmel.compiler.targets import host
    from wimmel.runtime.native import NativeRunner

    net, x = network(layer), picture(layer)
    traced = wm.compile(net, backend="reference").record(x)
    stable = frozenset(range(1, len(traced.graph.inputs)))
    run = NativeRunner(compiled(traced.graph, host(), stable, precision))
    values = [x, *(variable.value for variable in traced.variables)]
    run.profile(values, 1)

    def timed() -> float:
        return next(seconds for label, seconds in run.profile(values, 1) if label.startswith("convolution"))

    return timed


def exact(layer: Layer, threads: int) -> Task:
    """The same, of sums of products alone."""
    return inside(layer, threads, "exact")


def alone(layer: Layer, threads: int) -> Task:
    net, x = network(layer), picture(layer)
    return lambda: net(x)


def torch_layer(layer: Layer, threads: int) -> Task:
    """Whichever of the two layouts is faster."""
    import torch

    torch.set_num_threads(threads)
    convolution = torch.nn.Conv2d(layer.channels, layer.outputs, layer.kernel, layer.stride, layer.padding)
    x = torch.from_numpy(picture(layer))
    candidates = []
    with torch.inference_mode():
        for layout in (torch.contiguous_format, torch.channels_last):
            net = torch.nn.Sequential(convolution, torch.nn.ReLU(inplace=True)).to(memory_format=layout).eval()
            net = net.requires_grad_(False)
            given = x.clone(memory_format=layout)
            candidates.append(lambda net=net, given=given: net(given))
        return min(candidates, key=lambda task: min(repeated(torch.inference_mode()(task), 0.1)))


def onnxruntime_layer(layer: Layer, threads: int) -> Task:
    import onnx
    import onnxruntime

    random = np.random.default_rng(0)
    shape = (layer.outputs, layer.channels, layer.kernel, layer.kernel)
    weights = [random.standard_normal(shape).astype(np.float32), random.standard_normal(shape[:1]).astype(np.float32)]
    x = picture(layer)
    nodes = [
        onnx.helper.make_node(
            "Conv", ["x", "w", "b"], ["c"], strides=[layer.stride] * 2, pads=[layer.padding] * 4,
        ),
        onnx.helper.make_node("Relu", ["c"], ["y"]),
    ]  # fmt: skip
    real = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes, "layer", [onnx.helper.make_tensor_value_info("x", real, x.shape)],
        [onnx.helper.make_tensor_value_info("y", real, None)],
        [onnx.numpy_helper.from_array(array, name) for array, name in zip(weights, "wb", strict=True)],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


@dataclass(frozen=True)
class PeakSchedule:
    """Independent multiply-adds on registers alone."""

    lanes: int

    def kernel(self, target: Any, name: str) -> Any:
        from wimmel.compiler.language import Builder, Type

        builder = Builder(name)
        block, begin, end, _ = builder.kernel()
        (pointer,) = builder.arguments(block, "p")
        vector = Type("f32", self.lanes)
        sums = [builder.load(pointer, number * self.lanes, vector) for number in range(12)]
        factor = builder.load(pointer, 0, vector)
        results = builder.loop(
            begin, end, 1, lambda _, *values: [builder.fma(factor, value, value) for value in values], sums
        )
        for number, value in enumerate(results):
            builder.store(value, pointer, number * self.lanes)
        return builder.function()


def peak() -> float:
    """Operations a second of one core, right now."""
    import ctypes

    from wimmel.compiler.objects import kernels
    from wimmel.compiler.targets import host

    schedule = PeakSchedule(host().lanes("f32"))
    address = kernels([schedule], host())[schedule]
    run = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address)
    numbers = np.zeros(12 * schedule.lanes, np.float32)
    block = np.array([numbers.ctypes.data])
    turns = 100_000
    best = min(repeated(lambda: run(block.ctypes.data, 0, turns, 0), 0.02))
    return turns * 12 * schedule.lanes * 2 / best


def print_shares() -> None:
    """Of every layer, on one core: operations a second and the share of the peak, measured in turns."""
    import wimmel as wm

    wm.set_num_threads(1)
    for layer in SINGLE:
        step, best, top = exact(layer, 1), float("inf"), 0.0
        start = time.perf_counter()
        while time.perf_counter() - start < 1.5:
            top = max(top, peak())
            best = min(best, *repeated(step, 0.05))
        rate = layer.operations / best
        print(f"{layer!s:<28}{rate / 1e9:>8.0f} GFLOP/s {rate / top:>7.1%} of {top / 1e9:.0f}", flush=True)


if __name__ == "__main__":
    if "--peak" in sys.argv:
        print_shares()
    else:
        contest(
            "Convolutional layers beside PyTorch and ONNX Runtime.",
            LAYERS,
            {
                OURS: inside,
                f"{OURS}, exact": exact,
                f"{OURS}, alone": alone,
                "torch": torch_layer,
                "onnxruntime": onnxruntime_layer,
            },
        )
