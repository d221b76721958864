"""Regions run by the definitions of the primitives they are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wimmel.compiler.chain import Chain
from wimmel.compiler.regions import PRECEDED, VIEWS, Region
from wimmel.graph import Graph
from wimmel.graph.primitives import PRIMITIVES
from wimmel.graph.reference import compute
from wimmel.graph.tensor import Tensor

BY_NAME = {primitive.name: primitive for primitive in PRIMITIVES}


def interpreted(graph: Graph, regions: Sequence[Region], values: list[np.ndarray]) -> list[np.ndarray]:
    """The graph's outputs, region by region, by the primitives' definitions."""
    known: dict[Tensor, np.ndarray] = dict(zip(graph.inputs, values, strict=True))

    def value(tensor: Tensor) -> np.ndarray:
        if tensor not in known:
            assert tensor.primitive.name in VIEWS | {"constant"}, f"{tensor} is read before it is stored"
            for source in tensor.inputs:
                value(source)
            known[tensor] = compute(tensor, known)
        return known[tensor]

    for region in regions:
        for result, array in zip(region.results, run_region(region, value), strict=True):
            assert result not in known, f"{result} is stored twice"
            known[result] = array.reshape(result.shape)
    return [value(output) for output in graph.outputs]


def run_region(region: Region, value) -> list[np.ndarray]:
    anchor = region.anchor
    operands = [np.broadcast_to(value(operand), region.shape) for operand in region.operands]
    if anchor is None:
        return run_chain(region.chain, operands)
    if anchor.primitive.name in PRECEDED:
        (taken,) = run_chain(region.chain, operands)
        return [np.asarray(anchor.primitive.definition(taken, **anchor.attributes))]
    result = np.asarray(anchor.primitive.definition(*map(value, anchor.inputs), **anchor.attributes))
    results = run_chain(region.chain, [result, *operands])
    if region.pool is None:
        return results
    return [np.asarray(region.pool.primitive.definition(*results, **region.pool.attributes))]


def run_chain(chain: Chain, inputs: list[np.ndarray]) -> list[np.ndarray]:
    values = list(inputs)
    assert tuple(array.dtype.name for array in inputs) == chain.inputs
    for line in chain.lines:
        if line.operation == "constant":
            values.append(np.asarray(line.constant, line.dtype))
            continue
        attributes = {"dtype": line.dtype} if line.operation == "cast" else {}
        operands = (values[number] for number in line.operands)
        values.append(np.asarray(BY_NAME[line.operation].definition(*operands, **attributes)))
        assert values[-1].dtype == line.dtype
    return [values[number] for number in chain.results]
