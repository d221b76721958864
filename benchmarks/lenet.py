"""LeNet: one picture's latency and a batch's time through ``net(x)``, and a training step (forward, backward, Adam),
beside PyTorch in its two layouts (eager, and frozen TorchScript for inference) and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
from contest import OURS, Task, contest

CASES = {
    "inference, 1 picture": ("inference", 1),
    "inference, 64 pictures": ("inference", 64),
    "training step, 64 pictures": ("training", 64),
    "training step, 256 pictures": ("training", 256),
}
Case = tuple[str, int]


def batch(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.random((count, 1, 28, 28)).astype(np.float32), random.integers(0, 10, count)


def ours(case: Case, threads: int) -> Task:
    import wimmel as wm
    from wimmel.train.step import TrainingStep

    what, count = case
    x, y = batch(count)
    net = wm.models.lenet(10).initialize(0)
    if what == "inference":
        return lambda: net(x)
    step, key = TrainingStep(net, wm.optim.Adam(1e-3), wm.losses.cross_entropy), wm.random_key(0, 0)
    return lambda: step(x, y, 1e-3, key)


def torch_net() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def torch_eager(case: Case, threads: int, channels_last: bool = False) -> Task:
    import torch

    torch.set_num_threads(threads)
    what, count = case
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = torch_net().to(memory_format=layout)
    x, y = (torch.from_numpy(array) for array in batch(count))
    x = x.contiguous(memory_format=layout)
    if what == "inference":
        return torch.inference_mode()(lambda: net.eval()(x))
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    return step


def torch_channels_last(case: Case, threads: int) -> Task:
    return torch_eager(case, threads, channels_last=True)


def torch_frozen(case: Case, threads: int) -> Task | None:
    import torch

    what, count = case
    if what != "inference":
        return None
    torch.set_num_threads(threads)
    x = torch.from_numpy(batch(count)[0])
    with torch.inference_mode():
        net = torch.jit.freeze(torch.jit.trace(torch_net().eval(), x))
    return torch.inference_mode()(lambda: net(x))


def onnxruntime_session(case: Case, threads: int) -> Task | None:
    import onnxruntime

    what, count = case
    if what != "inference":
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    x = batch(count)[0]
    session = onnxruntime.InferenceSession(_onnx_model(), options, ["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def _onnx_model() -> bytes:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    nodes, weights, value, place = [], [], "x", 0

    def weight(shape: tuple[int, ...]) -> str:
        array = 0.1 * random.standard_normal(shape).astype(np.float32)
        weights.append(numpy_helper.from_array(array.astype(np.float32), f"w{len(weights)}"))
        return weights[-1].name

    def add(operation: str, *inputs: str, **attributes: Any) -> None:
        nonlocal value, place
        place += 1
        nodes.append(helper.make_node(operation, [value, *inputs], [f"v{place}"], **attributes))
        value = f"v{place}"

    for outputs, inputs, padding in ((6, 1, 2), (16, 6, 0)):
        add("Conv", weight((outputs, inputs, 5, 5)), weight((outputs,)), pads=[padding] * 4)
        add("Relu")
        add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    add("Flatten")
    for outputs, inputs in ((120, 400), (84, 120), (10, 84)):
        add("Gemm", weight((outputs, inputs)), weight((outputs,)), transB=1)
        if outputs != 10:
            add("Relu")
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 1, 28, 28))
    result = helper.make_tensor_value_info(value, TensorProto.FLOAT, ("n", 10))
    graph = helper.make_graph(nodes, "lenet", [given], [result], weights)
    model = helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    contest(
        "LeNet beside PyTorch and ONNX Runtime.",
        CASES,
        {
            OURS: ours,
            "torch": torch_eager,
            "torch, channels last": torch_channels_last,
            "torch, frozen": torch_frozen,
            "onnxruntime": onnxruntime_session,
        },
    )
