"""Convolutions take in the max pooling after them where that changes nothing that anybody reads."""

from __future__ import annotations

import numpy as np
import pytest

import wimmel as wm
from compiler.drawn import drawn_graph
from compiler.interpreted import interpreted
from wimmel.compiler.joint_pooling import pooled
from wimmel.compiler.recomputation import recomputed
from wimmel.compiler.regions import Region, regions
from wimmel.graph import Graph, evaluate

X, W = np.zeros((1, 1, 9, 8), np.float32), np.zeros((4, 1, 2, 2), np.float32)


def regions_of(graph: Graph, pools=lambda *_: True) -> list[Region]:
    return pooled(recomputed(regions(graph), graph), graph, pools)


def names(function, *arguments, pools=lambda *_: True) -> list[str]:
    graph = wm.compile(function, *arguments, backend="reference").graph
    return [region.name for region in regions_of(graph, pools)]


def start_of_lenet(x, w):
    return wm.max_pool2d(wm.relu(wm.conv2d(x, w)), 2)


@pytest.mark.parametrize("seed", range(120))
def test_regions_that_pool_compute_what_the_graph_computes(seed: int) -> None:
    graph, values = drawn_graph(seed, operations=5 + seed % 25)
    with np.errstate(all="ignore"):
        found = interpreted(graph, regions_of(graph), values)
        for ours, expected in zip(found, evaluate(graph, values), strict=True):
            np.testing.assert_array_equal(ours, expected)


def test_some_of_these_graphs_pool_what_they_convolve() -> None:
    graphs = (drawn_graph(seed, operations=5 + seed % 25)[0] for seed in range(120))
    assert sum(any(region.pool is not None for region in regions_of(graph)) for graph in graphs) >= 8


def test_max_pooling_joins_the_convolution_before_it() -> None:
    assert names(start_of_lenet, X, W) == ["convolution maximum max_pool"]
    assert names(start_of_lenet, X, W, pools=lambda *_: False) == ["convolution maximum", "max_pool"]


def test_whether_a_kernel_can_pool_is_asked_with_the_window() -> None:
    asked = []
    names(start_of_lenet, X, W, pools=lambda anchor, window: asked.append((anchor.primitive.name, window)))
    assert asked == [("convolution", (2, 2))]


@pytest.mark.parametrize(
    "settings", [{"stride": 1}, {"stride": 3}, {"padding": 1}, {"dilation": 2}, {"ceil_mode": True}], ids=str
)
def test_windows_that_do_not_lie_side_by_side_are_pooled_alone(settings) -> None:
    assert names(lambda x, w: wm.max_pool2d(wm.conv2d(x, w), 2, **settings), X, W) == ["convolution", "max_pool"]


def test_what_others_read_is_stored_before_it_is_pooled() -> None:
    def handed_out(x, w):
        y = wm.conv2d(x, w)
        return wm.max_pool2d(y, 2), y

    def two_results(x, w):
        y = wm.conv2d(x, w)
        return wm.max_pool2d(wm.relu(y), 2), wm.exp(y)

    def a_view(x, w):
        y = wm.conv2d(x, w)
        return wm.max_pool2d(y, 2), wm.transpose(y)

    def two_pools(x, w):
        y = wm.conv2d(x, w)
        return wm.max_pool2d(y, 2), wm.max_pool2d(y, (1, 2))

    for function in (handed_out, two_results, a_view, two_pools):
        assert "max_pool" in names(function, X, W)


def test_averages_are_pooled_alone() -> None:
    assert names(lambda x, w: wm.avg_pool2d(wm.conv2d(x, w), 2), X, W)[0] == "convolution"


def test_gradients_read_what_was_pooled() -> None:
    assert "convolution maximum" in names(wm.grad(lambda w, x: wm.sum(start_of_lenet(x, w))), W, X)
