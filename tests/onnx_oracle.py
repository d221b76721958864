"""ONNX's reference evaluator as an oracle: what one operator of the standard gives for some arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator


def onnx_operator(kind: str, attributes: dict[str, Any], *arrays: np.ndarray, outputs: int = 1, opset: int = 22) -> Any:
    """The operator's result, or its list of results if there are several outputs."""
    names, results = [f"x{i}" for i in range(len(arrays))], [f"y{i}" for i in range(outputs)]
    node = onnx.helper.make_node(kind, names, results, **attributes)
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in zip(names, arrays, strict=True)
    ]
    graph = onnx.helper.make_graph(
        [node], "one", inputs, [onnx.helper.make_empty_tensor_value_info(y) for y in results]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    found = ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))
    return found[0] if outputs == 1 else found
