"""A convolution, its two gradients and its transposed form as contenders: our steps as they run inside a network, with
pictures channels last already; PyTorch in the better of its two layouts; and ONNX Runtime, which knows no gradients.

Forward convolutions have a bias and ReLU, and weights packed beforehand. Gradients are bare, and pack the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from contest import Task, repeated

REPEATED = 4
"""Times that our steps are run; the first time meets memory that the system has yet to give."""


@dataclass(frozen=True)
class Layer:
    """A convolution of n pictures of (channels, *size) into outputs channels, and which face of it is computed.

    Attributes
    ----------
    face : str
        ``forward``, ``input`` or ``weight`` (its gradient), or ``transposed``.
    """

    channels: int
    outputs: int
    kernel: tuple[int, ...]
    size: tuple[int, ...]
    pictures: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    face: str = "forward"

    @property
    def x(self) -> tuple[int, ...]:
        return (self.pictures, self.channels, *self.size)

    @property
    def weight(self) -> tuple[int, ...]:
        if self.face == "transposed":
            return (self.channels, self.outputs // self.groups, *self.kernel)
        return (self.outputs, self.channels // self.groups, *self.kernel)

    @property
    def y(self) -> tuple[int, ...]:
        sizes = []
        for size, kernel in zip(self.size, self.kernel, strict=True):
            reach = self.dilation * (kernel - 1) + 1 - 2 * self.padding
            grown = (size - 1) * self.stride + reach
            sizes.append(grown if self.face == "transposed" else (size - reach) // self.stride + 1)
        return (self.pictures, self.outputs, *sizes)

    @property
    def products(self) -> int:
        """Those with padding counted."""
        positions = self.size if self.face == "transposed" else self.y[2:]
        return int(self.pictures * np.prod(positions) * np.prod(self.weight))

    @property
    def settings(self) -> dict[str, Any]:
        axes = len(self.kernel)
        return {
            "stride": (self.stride,) * axes,
            "padding": ((self.padding, self.padding),) * axes,
            "dilation": (self.dilation,) * axes,
            "groups": self.groups,
        }

    def of(self, face: str, pictures: int | None = None) -> Layer:
        return replace(self, face=face, pictures=pictures or self.pictures)

    def arrays(self) -> dict[str, np.ndarray]:
        """x, weight, bias and y (a cotangent) of small numbers."""
        random = np.random.default_rng(0)
        shapes = {"x": self.x, "weight": self.weight, "bias": (self.outputs,), "y": self.y}
        return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def ours(layer: Layer, threads: int) -> Task:
    """The steps of the face, all but the copies that bring arrays of the caller into our layout and back."""
    import wimmel as wm
    from wimmel.compiler.planning import compiled
    from wimmel.compiler.targets import host
    from wimmel.graph import primitives, trace
    from wimmel.runtime.native import NativeRunner

    arrays = layer.arrays()
    settings, shape = layer.settings, (1, layer.outputs, *(1,) * len(layer.kernel))

    def finished(y: Any, bias: Any) -> Any:
        return wm.relu(y + bias.reshape(shape))

    chosen: dict[str, tuple[list[str], frozenset[int], Callable[..., Any]]] = {
        "forward": (
            ["x", "weight", "bias"],
            frozenset((1, 2)),
            lambda x, w, b: finished(primitives.convolution(x, w, **settings), b),
        ),
        "transposed": (
            ["x", "weight", "bias"],
            frozenset((1, 2)),
            lambda x, w, b: finished(primitives.convolution_input_gradient(x, w, size=layer.y[2:], **settings), b),
        ),
        "input": (
            ["y", "weight"],
            frozenset(),
            lambda g, w: primitives.convolution_input_gradient(g, w, size=layer.size, **settings),
        ),
        "weight": (
            ["x", "y"],
            frozenset(),
            lambda x, g: primitives.convolution_weight_gradient(x, g, kernel=layer.kernel, **settings),
        ),
    }
    names, stable, function = chosen[layer.face]
    values = [arrays[name] for name in names]
    program = compiled(trace(function, *values).graph, host(), stable)
    # the copies once, then the rest several times: so that it finds in the caches what it left there, as others do
    copies = [step for step in program.steps if step.label == "copy"]
    own = [step for step in program.steps if step.label != "copy"]
    run = NativeRunner(replace(program, steps=[*copies, *own * REPEATED]))

    def timed() -> float:
        seconds = [each for _, each in run.profile(values, 1)][len(copies) :]
        return min(sum(seconds[start : start + len(own)]) for start in range(0, len(seconds), len(own)))

    return timed


def torch_layer(layer: Layer, threads: int) -> Task:
    """Whichever of the two layouts is faster; one axis also as two, of which the first has size 1."""
    import torch

    torch.set_num_threads(threads)
    layouts = {3: [torch.contiguous_format], 4: [torch.contiguous_format, torch.channels_last],
               5: [torch.contiguous_format, torch.channels_last_3d]}  # fmt: skip
    candidates = []
    with torch.inference_mode():
        for flat in (False, True) if len(layer.size) == 1 else (False,):
            arrays = {name: torch.from_numpy(array) for name, array in layer.arrays().items()}
            axes = len(layer.kernel)
            settings = [[layer.stride] * axes, [layer.padding] * axes, [layer.dilation] * axes]
            if flat:
                settings = [[first, *row] for first, row in zip((1, 0, 1), settings, strict=True)]
                arrays |= {name: arrays[name].unsqueeze(2) for name in ("x", "weight", "y")}
            for layout in layouts[2 + axes + flat]:
                x, w, y = (arrays[name].clone(memory_format=layout) for name in ("x", "weight", "y"))
                candidates.append(_torch_task(layer, x, w, arrays["bias"], y, settings))
        return min(candidates, key=lambda task: min(repeated(torch.inference_mode()(task), 0.1)))


def _torch_task(layer: Layer, x: Any, w: Any, bias: Any, y: Any, settings: list[list[int]]) -> Task:
    import torch

    stride, padding, dilation = settings
    transposed, none = layer.face == "transposed", [0] * len(stride)
    if layer.face in ("forward", "transposed"):
        return lambda: torch.relu_(
            torch.ops.aten.convolution(x, w, bias, stride, padding, dilation, transposed, none, layer.groups)
        )
    mask = [layer.face == "input", layer.face == "weight", False]
    return lambda: torch.ops.aten.convolution_backward(
        y, x, w, None, stride, padding, dilation, False, none, layer.groups, mask
    )


def onnxruntime_layer(layer: Layer, threads: int) -> Task | None:
    if layer.face not in ("forward", "transposed"):
        return None
    import onnx
    import onnxruntime

    arrays, axes = layer.arrays(), len(layer.kernel)
    nodes = [
        onnx.helper.make_node(
            "Conv" if layer.face == "forward" else "ConvTranspose", ["x", "weight", "bias"], ["c"],
            strides=[layer.stride] * axes, pads=[layer.padding] * 2 * axes, dilations=[layer.dilation] * axes,
            group=layer.groups,
        ),
        onnx.helper.make_node("Relu", ["c"], ["y"]),
    ]  # fmt: skip
    real = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes, "layer", [onnx.helper.make_tensor_value_info("x", real, layer.x)],
        [onnx.helper.make_tensor_value_info("y", real, None)],
        [onnx.numpy_helper.from_array(arrays[name], name) for name in ("weight", "bias")],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": arrays["x"]})
