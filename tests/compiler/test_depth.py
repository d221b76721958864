"""Planning takes work in proportion to the graph: a network twice as deep takes about twice as much."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import wimmel as wm
from compiler.work import lines_run
from wimmel.compiler.planning import compiled
from wimmel.compiler.regions import regions
from wimmel.compiler.targets import KNOWN
from wimmel.graph import Graph, trace
from wimmel.graph.rewrite import simplified
from wimmel.train.step import TrainingStep

TWICE = 2.3
"""What lists cost that are sorted, and trees that grow higher, is allowed for."""


def convolutions(depth: int) -> wm.nn.Module:
    def block() -> list[wm.nn.Module]:
        return [wm.nn.Conv2d(4, 4, 3, padding=1, bias=False), wm.nn.BatchNorm2d(4), wm.nn.ReLU()]

    layers = [layer for _ in range(depth) for layer in block()]
    return wm.nn.Sequential(*layers, wm.nn.GlobalAvgPool(), wm.nn.Linear(4, 4)).initialize(0)


def products(depth: int) -> wm.nn.Module:
    layers = [layer for _ in range(depth) for layer in (wm.nn.Linear(4, 4), wm.nn.Tanh())]
    return wm.nn.Sequential(*layers).initialize(0)


def inference(net: wm.nn.Module, shape: tuple[int, ...]) -> Graph:
    return trace(net, np.zeros(shape, np.float32)).graph


def training(net: wm.nn.Module, shape: tuple[int, ...]) -> Graph:
    step = TrainingStep(net, wm.optim.Adam(1e-3), wm.losses.cross_entropy, backend="reference")
    arguments = np.zeros(shape, np.float32), np.zeros(shape[0], int), np.float64(1e-3), wm.random_key(0, 0)
    return trace(step._recorded, *arguments).graph


@pytest.mark.parametrize("what", [inference, training])
@pytest.mark.parametrize(
    ("network", "shape", "depth"), [(convolutions, (2, 4, 8, 8), 6), (products, (2, 4), 12)], ids=["conv", "linear"]
)
def test_twice_the_depth_takes_twice_the_work(
    what: Callable[..., Graph], network: Callable[[int], wm.nn.Module], shape: tuple[int, ...], depth: int
) -> None:
    def work(depth: int) -> dict[str, int]:
        net = network(depth)
        traced, graph = lines_run(lambda: what(net, shape))
        rewritten, graph = lines_run(lambda: simplified(graph))
        stable = frozenset(range(1, len(graph.inputs))) if what is inference else frozenset()
        planned, _ = lines_run(lambda: compiled(graph, KNOWN["avx512"], stable))
        return {"traced": traced, "rewritten": rewritten, "planned": planned}

    work(1)  # fills what is kept from one call to the next
    once, twice = work(depth), work(2 * depth)
    assert {stage: twice[stage] / once[stage] < TWICE for stage in once} == dict.fromkeys(once, True), (once, twice)


@pytest.mark.parametrize(
    "function",
    [
        lambda *xs: sum(map(wm.tanh, xs[1:]), wm.tanh(xs[0])),
        lambda *xs: sum((wm.tanh(wm.sum(x)) for x in xs[1:]), wm.sum(xs[0])),
        lambda *xs: [wm.tanh(xs[0] * x) + x for x in xs],
    ],
    ids=["one region of many", "one that many must precede", "many that read one"],
)
def test_regions_that_become_one_take_no_more_work_the_larger_they_are(function: Callable) -> None:
    def work(count: int) -> int:
        graph = trace(function, *(np.zeros(5, np.float32) for _ in range(count))).graph
        return lines_run(lambda: regions(graph))[0]

    assert work(160) < TWICE * work(80)
