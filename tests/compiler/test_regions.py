"""Fusion: the regions of a graph compute what the graph does, each value once, in an order that works."""

from __future__ import annotations

import numpy as np
import pytest

import wimmel as wm
from compiler.drawn import drawn_graph
from wimmel.compiler.chain import Chain
from wimmel.compiler.regions import PRECEDED, VIEWS, Region, regions
from wimmel.graph import Graph, evaluate, trace
from wimmel.graph.primitives import PRIMITIVES
from wimmel.graph.reference import compute
from wimmel.graph.tensor import Tensor

BY_NAME = {primitive.name: primitive for primitive in PRIMITIVES}


def names(function, *arguments) -> list[str]:
    return [region.name for region in regions(wm.compile(function, *arguments, backend="reference").graph)]


def interpreted(graph: Graph, values: list[np.ndarray]) -> list[np.ndarray]:
    """The graph's outputs, region by region, by the primitives' definitions."""
    known: dict[Tensor, np.ndarray] = dict(zip(graph.inputs, values, strict=True))

    def value(tensor: Tensor) -> np.ndarray:
        if tensor not in known:
            assert tensor.primitive.name in VIEWS | {"constant"}, f"{tensor} is read before it is stored"
            for source in tensor.inputs:
                value(source)
            known[tensor] = compute(tensor, known)
        return known[tensor]

    for region in regions(graph):
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
    return run_chain(region.chain, [result, *operands])


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


@pytest.mark.parametrize("seed", range(120))
def test_regions_compute_what_the_graph_computes(seed: int) -> None:
    graph, values = drawn_graph(seed, operations=5 + seed % 25)
    with np.errstate(all="ignore"):
        for ours, expected in zip(interpreted(graph, values), evaluate(graph, values), strict=True):
            np.testing.assert_array_equal(ours, expected)


def test_a_convolution_takes_bias_and_activation_along() -> None:
    net = wm.nn.Sequential(wm.nn.Conv2d(1, 4, 3), wm.nn.ReLU())
    assert names(net, np.zeros((1, 1, 8, 8), np.float32)) == ["convolution add maximum"]


def test_residual_additions_follow_the_later_convolution() -> None:
    x, w = np.zeros((1, 4, 8, 8), np.float32), np.zeros((4, 4, 1, 1), np.float32)
    found = names(lambda x, w: wm.relu(wm.conv2d(wm.relu(wm.conv2d(x, w)), w) + x), x, w)
    assert found == ["convolution maximum", "convolution add maximum"]


def test_what_only_a_sum_needs_runs_inside_it() -> None:
    x = np.zeros((3, 4), np.float32)
    assert names(lambda x: wm.sum(wm.exp(x * 3), axis=1), x) == ["multiply exp sum"]


def test_what_a_sum_shares_is_stored() -> None:
    x = np.zeros((3, 4), np.float32)
    assert names(lambda x: (wm.sum(wm.exp(x), axis=1), wm.exp(x)), x)[-1] == "sum"


def test_an_update_of_three_values_is_one_loop() -> None:
    def update(p, g, m, v):
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        return p - m / (wm.sqrt(v) + 1e-8), m, v

    found = regions(trace(update, *(np.zeros(9, np.float32) for _ in "pgmv")).graph)
    assert len(found) == 1
    assert len(found[0].results) == 3


def test_no_region_needs_itself_by_way_of_another() -> None:
    """y = x - max(x): the maximum needs x's region, and the difference needs both."""
    x = np.zeros((3, 4), np.float32)
    found = names(lambda x: wm.tanh(x) - wm.max(wm.tanh(x), axis=1, keepdims=True), x)
    assert found[-1] == "subtract"


def test_what_a_convolution_reads_is_not_computed_in_its_epilogue() -> None:
    """Though it is of the result's shape, and added to the result."""
    x, w = np.zeros((1, 4, 8, 8), np.float32), np.zeros((4, 4, 1, 1), np.float32)
    assert names(lambda x, w: wm.conv2d(wm.tanh(x), w) + wm.tanh(x), x, w) == ["tanh", "convolution add"]
    assert names(lambda x: wm.tanh(x) @ wm.tanh(x) + wm.tanh(x), w[:, :, 0, 0]) == ["tanh", "matmul add"]


def test_views_stand_in_no_region() -> None:
    assert names(lambda x: wm.transpose(wm.reshape(x, (6, 2))), np.zeros((3, 4), np.float32)) == []
