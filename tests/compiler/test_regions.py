"""Fusion: the regions of a graph compute what the graph does, each value once, in an order that works."""

from __future__ import annotations

import numpy as np
import pytest

import wimmel as wm
from compiler.drawn import drawn_graph
from compiler.interpreted import interpreted
from wimmel.compiler.regions import regions
from wimmel.graph import evaluate, trace


def names(function, *arguments) -> list[str]:
    return [region.name for region in regions(wm.compile(function, *arguments, backend="reference").graph)]


@pytest.mark.parametrize("seed", range(120))
def test_regions_compute_what_the_graph_computes(seed: int) -> None:
    graph, values = drawn_graph(seed, operations=5 + seed % 25)
    with np.errstate(all="ignore"):
        for ours, expected in zip(interpreted(graph, regions(graph), values), evaluate(graph, values), strict=True):
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
