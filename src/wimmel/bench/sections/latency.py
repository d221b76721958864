"""LeNet at ``net(x)``: how soon one picture is answered, and 64."""

from __future__ import annotations

from wimmel.bench.networks import Network
from wimmel.bench.peers import jax_xla, onnx_runtime, opencv, ours, pytorch
from wimmel.bench.section import OURS, Case, Contender, Section

CONTENDERS = (
    Contender(OURS, ours.network),
    Contender("torch", pytorch.network("eager"), ("torch",)),
    Contender("torch, channels last", pytorch.network("channels last"), ("torch",)),
    Contender("torch, frozen", pytorch.network("frozen"), ("torch",)),
    Contender("torch, compiled", pytorch.network("compiled"), ("torch",)),
    Contender("onnxruntime", onnx_runtime.network, ("onnxruntime", "onnx")),
    Contender("jax", jax_xla.network, ("jax",)),
    Contender("opencv", opencv.network, ("cv2", "onnx")),
)
"""Of whole networks: equal parameters in all of them."""

SECTION = Section(
    "latency",
    "LeNet, from the call to the answer",
    (
        Case("LeNet, 1 picture", "LeNet", Network("lenet", 1)),
        Case("LeNet, 64 pictures", "LeNet", Network("lenet", 64)),
    ),
    CONTENDERS,
)
