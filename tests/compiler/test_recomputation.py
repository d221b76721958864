"""What is cheap to compute again is not stored, and the regions still compute what the graph does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import wimmel as wm
from compiler.drawn import drawn_graph
from compiler.interpreted import interpreted
from compiler.test_depth import TWICE, convolutions, training
from compiler.work import lines_run
from wimmel.compiler.recomputation import recomputed
from wimmel.compiler.regions import Region, regions
from wimmel.graph import Graph, evaluate, trace
from wimmel.graph.rewrite import simplified
from wimmel.graph.tensor import Value

SHAPE = (4, 3, 8, 8)
PICTURES = np.zeros(SHAPE, np.float32)


def found(function: Callable[..., Value], *arguments: np.ndarray) -> list[Region]:
    graph = wm.compile(function, *arguments, backend="reference").graph
    return recomputed(regions(graph), graph)


def names(function: Callable[..., Value], *arguments: np.ndarray) -> list[str]:
    return [region.name for region in found(function, *arguments)]


def stored(regions: list[Region], shape: tuple[int, ...] = SHAPE) -> int:
    """How many values of that shape."""
    return sum(result.shape == shape for region in regions for result in region.results)


@pytest.mark.parametrize("seed", range(120))
def test_regions_compute_what_the_graph_computes(seed: int) -> None:
    graph, values = drawn_graph(seed, operations=5 + seed % 25, derivatives=seed % 3 == 0)
    with np.errstate(all="ignore"):
        ours = interpreted(graph, recomputed(regions(graph), graph), values)
        for array, expected in zip(ours, evaluate(graph, values), strict=True):
            np.testing.assert_array_equal(array, expected)


def test_the_deviation_from_the_mean_is_taken_where_it_is_read() -> None:
    def cubes(x: Value) -> Value:
        deviation = x - wm.mean(x, axis=(0, 2, 3), keepdims=True)
        return wm.mean(deviation * deviation, axis=(0, 2, 3)) + wm.mean(deviation**3, axis=(0, 2, 3))

    assert stored(found(cubes, PICTURES)) == 0


def test_batch_norm_stores_its_result_alone() -> None:
    scale, shift = np.ones(3, np.float32), np.zeros(3, np.float32)
    regions = found(lambda x, *given: wm.batch_norm(x, None, None, *given, training=True)[0], PICTURES, scale, shift)
    assert stored(regions) == 1


def test_a_training_step_stores_four_pictures_for_a_convolution_with_batch_norm() -> None:
    """What the convolution gives, what the next one reads, and the cotangents of both."""

    def pictures(depth: int) -> int:
        graph = simplified(training(convolutions(depth), (2, 4, 8, 8)))
        found = recomputed(regions(graph), graph)
        results = [result for region in found for result in region.results]
        return sum(result.shape == (2, 4, 8, 8) and result.dtype == np.float32 for result in results)

    assert pictures(5) - pictures(4) == 4


def test_what_takes_long_is_stored() -> None:
    assert stored(found(lambda x: (wm.sum(wm.exp(x), axis=1), wm.sum(wm.exp(x) * 3, axis=2)), PICTURES)) == 1


def test_what_more_values_would_be_read_for_is_stored() -> None:
    def function(x: Value, y: Value, z: Value) -> tuple[Value, ...]:
        total = x + y + z
        return tuple(wm.sum(total * k, axis=k) for k in range(3))

    assert stored(found(function, PICTURES, PICTURES, PICTURES)) == 1


def test_what_is_handed_out_or_looked_at_is_stored() -> None:
    def looked_at(x: Value) -> tuple[Value, Value]:
        return wm.sum(wm.transpose(x * 3, (1, 0, 2, 3)), axis=0), wm.sum(x * 3, axis=1)

    assert stored(found(looked_at, PICTURES)) == 1
    assert stored(found(lambda x: (x * 3, wm.sum(x * 3, axis=1)), PICTURES)) == 1


def test_what_a_convolution_reads_is_stored() -> None:
    w = np.zeros((3, 3, 1, 1), np.float32)
    assert names(lambda x, w: (wm.conv2d(x * 3, w), wm.sum(x * 3)), PICTURES, w)[0] == "multiply"


def test_twice_as_many_values_take_twice_the_work() -> None:
    def graph(depth: int) -> Graph:
        def function(x: Value) -> Value:
            for _ in range(depth):
                x = x - wm.mean(x, axis=0)
                x = x + wm.max(x * x, axis=1, keepdims=True)
            return x

        return trace(function, np.zeros((5, 6), np.float32)).graph

    def work(depth: int) -> int:
        graphs = graph(depth)
        before = regions(graphs)
        return lines_run(lambda: recomputed(before, graphs))[0]

    assert work(60) < TWICE * work(30)
