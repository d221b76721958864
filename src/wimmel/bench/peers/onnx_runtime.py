"""ONNX Runtime, and the ONNX models that it and OpenCV are given; they know no gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wimmel.bench.convolutions import Layer
from wimmel.bench.networks import Network
from wimmel.bench.operations import Operation, of_layer, of_network
from wimmel.bench.section import Ready


def layer(case: Layer, threads: int) -> Ready | None:
    if not case.has_bias:
        return None
    return _session(onnx_model(of_layer(case), case.x), case.arrays()["x"], threads)


def network(case: Network, threads: int) -> Ready:
    return _session(onnx_model(of_network(case.ours()), case.shape), case.batch()[0], threads)


def onnx_model(operations: Sequence[Operation], shape: tuple[int | str, ...]) -> bytes:
    """A model file from operations, for inputs of that shape; a name stands for a size that is left open."""
    import onnx
    from onnx import helper, numpy_helper

    nodes, weights = [], []
    names = {-1: "x", **{place: f"v{place}" for place in range(len(operations))}}
    for place, operation in enumerate(operations):
        given = [names[each] for each in operation.inputs]
        for number, array in enumerate(operation.weights):
            weights.append(numpy_helper.from_array(np.ascontiguousarray(array), f"w{place}_{number}"))
            given.append(f"w{place}_{number}")
        if operation.kind == "relu6":
            weights += [numpy_helper.from_array(np.float32(n), f"c{place}_{n}") for n in (0, 6)]
            given += [f"c{place}_{n}" for n in (0, 6)]
        if operation.kind == "mean":
            nodes.append(helper.make_node("GlobalAveragePool", given, [f"m{place}"]))
            given = [f"m{place}"]
        nodes.append(helper.make_node(_KINDS[operation.kind], given, [names[place]], **_attributes(operation)))
    real = onnx.TensorProto.FLOAT
    result = names[len(operations) - 1]
    graph = helper.make_graph(
        nodes, "network", [helper.make_tensor_value_info("x", real, shape)],
        [helper.make_tensor_value_info(result, real, None)], weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())


_KINDS = {
    "convolution": "Conv", "transposed": "ConvTranspose", "linear": "Gemm", "relu": "Relu", "relu6": "Clip",
    "max_pool": "MaxPool", "add": "Add", "mean": "Flatten", "flatten": "Flatten",
}  # fmt: skip


def _attributes(operation: Operation) -> dict[str, Any]:
    settings = operation.settings
    if operation.kind == "linear":
        return {"transB": 1}
    if not settings:
        return {}
    found = {"strides": settings["stride"], "pads": settings["padding"] * 2}
    if operation.kind == "max_pool":
        return {**found, "kernel_shape": settings["kernel"]}
    kernel = operation.weights[0].shape[2:]
    return {**found, "kernel_shape": kernel, "dilations": settings["dilation"], "group": settings["groups"]}


def session_of(model: bytes, threads: int) -> Any:
    """What runs a model file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def _session(model: bytes, x: np.ndarray, threads: int) -> Ready:
    session = session_of(model, threads)
    given = {"x": x}
    return Ready(lambda: session.run(None, given), lambda: session.run(None, given)[0])
