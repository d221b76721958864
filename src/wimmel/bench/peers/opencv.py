"""OpenCV: its networks, read from ONNX models, and filter2D for single large filters."""

from __future__ import annotations

from typing import Any

import numpy as np

from wimmel.bench.convolutions import Layer
from wimmel.bench.networks import Network
from wimmel.bench.operations import of_layer, of_network
from wimmel.bench.peers.onnx_runtime import onnx_model
from wimmel.bench.peers.scipy_signal import by_channel
from wimmel.bench.section import Ready


def layer(case: Layer, threads: int) -> Ready | None:
    if not case.has_bias:
        return None
    return _network(onnx_model(of_layer(case), case.x), case.arrays()["x"], threads)


def filtered(case: Layer, threads: int) -> Ready | None:
    """Channel by channel with filter2D."""
    import cv2

    cv2.setNumThreads(threads)

    def one(x: np.ndarray, w: np.ndarray) -> Any:
        return cv2.filter2D(x, -1, w, borderType=cv2.BORDER_CONSTANT)

    return by_channel(case, one)


def network(case: Network, threads: int) -> Ready:
    return _network(onnx_model(of_network(case.ours()), case.shape), case.batch()[0], threads)


def _network(model: bytes, x: np.ndarray, threads: int) -> Ready:
    import cv2

    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))

    def run() -> Any:
        net.setInput(x)
        return net.forward()

    return Ready(run, run)
