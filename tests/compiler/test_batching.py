"""Batches a few pictures at a time: whatever is cut, and wherever, the bits stay the same; and cuts are made where they
save time and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

import wimmel as wm
from compiler.drawn import drawn_graph
from compiler.machine import run_program
from wimmel.compiler import batching
from wimmel.compiler.planning import compiled
from wimmel.compiler.program import Program
from wimmel.compiler.steps import turn_by_turn
from wimmel.compiler.targets import KNOWN, host
from wimmel.functional import avg_pool2d, conv2d, conv_transpose2d, max_pool2d
from wimmel.graph import Graph, gradients, trace
from wimmel.graph import primitives as p
from wimmel.graph.reference import evaluate
from wimmel.graph.tensor import Tensor


def cut_at_random(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever the cost, regions are cut anywhere and go through the batch by any number of pictures."""
    random = np.random.default_rng(seed)

    def cuts(works: Sequence[object], batch: int, target: object) -> list[tuple[int, int]]:
        ends = sorted({*(int(end) for end in random.integers(1, len(works) + 1, 3)), len(works)})
        return [(end, int(random.integers(1, batch + 1))) for end in ends]

    monkeypatch.setattr(batching, "_cuts", cuts)


def turns_of(program: Program) -> int:
    """How many steps take turns."""
    return sum(step.turns is not None for step in program.steps)


def check_cut(graph: Graph, values: list[np.ndarray], seed: int, monkeypatch: pytest.MonkeyPatch) -> int:
    stable = frozenset({1, 2}) if seed % 2 else frozenset()
    whole = compiled(graph, host(), stable)
    cut_at_random(monkeypatch, seed)
    cut = compiled(graph, host(), stable)
    for one, other in zip(run_program(whole, values), run_program(cut, values), strict=True):
        assert one.tobytes() == other.tobytes()
    return turns_of(cut)


@pytest.mark.parametrize("group", range(8))
def test_drawn_graphs_give_the_same_bits_however_they_are_cut(group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0
    for seed in range(20 * group, 20 * group + 20):
        graph, values = drawn_graph(seed, derivatives=seed % 2)
        turns += check_cut(graph, values, seed, monkeypatch)
        monkeypatch.undo()
    assert turns


def network(x: Tensor, *weights: Tensor) -> Tensor:
    """Convolutions of several kinds, a residual, a concatenation, a pad, poolings, a bias, a mask for all pictures."""
    first, depthwise, up, bias, mask = weights
    y = p.maximum(p.add(conv2d(x, first, padding=1), bias), 0)
    y = p.add(y, conv2d(y, depthwise, padding=1, groups=8))
    y = p.concatenate(y, p.multiply(y, mask), axis=1)
    y = p.pad(y, low=(0, 0, 1, 0), high=(0, 0, 0, 1), interior=(0,) * 4, value=0.5)
    y = max_pool2d(y, 2)
    y = p.tanh(conv_transpose2d(y, up, stride=2))
    return p.add(avg_pool2d(y, 2), p.broadcast(p.reshape(bias, shape=(1, 8, 1, 1)), shape=(y.shape[0], 8, 6, 6)))


def arrays(pictures: int) -> list[np.ndarray]:
    random = np.random.default_rng(pictures)
    shapes = ((pictures, 3, 11, 11), (8, 3, 3, 3), (8, 1, 3, 3), (16, 8, 2, 2), (8, 1, 1), (8, 11, 11))
    return [random.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("pictures", [3, 8])
def test_networks_give_the_same_bits_however_they_are_cut(
    seed: int, pictures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = arrays(pictures)
    assert check_cut(trace(network, *values).graph, values, seed, monkeypatch) > 0


@pytest.mark.parametrize("seed", range(6))
def test_convolutions_that_pool_give_the_same_bits_however_they_are_cut(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def function(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        y = max_pool2d(p.maximum(conv2d(x, first, padding=1), 0), 2)
        return max_pool2d(p.tanh(conv2d(y, second, padding=1)), (1, 2))

    random = np.random.default_rng(seed)
    shapes = ((7, 3, 12, 14), (8, 3, 3, 3), (24, 8, 3, 3))
    values = [random.standard_normal(shape).astype(np.float32) for shape in shapes]
    assert check_cut(trace(function, *values).graph, values, seed, monkeypatch) > 0


@pytest.mark.parametrize("seed", range(6))
def test_training_steps_give_the_same_bits_however_they_are_cut(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = arrays(8)  # as many pictures as channels: weights look like batches, too

    def step(*inputs: Tensor) -> list[Tensor]:
        y = network(*inputs)
        loss = p.reduce_sum(p.multiply(y, y), axes=(0, 1, 2, 3))
        moved = [p.subtract(w, p.multiply(g, 0.1)) for w, g in zip(inputs, gradients(loss, list(inputs)), strict=True)]
        return [loss, *moved]

    assert check_cut(trace(step, *values).graph, values, seed, monkeypatch) > 0


def small_caches(share: int) -> object:
    target = host()
    return replace(target, l2_bytes=target.l2_bytes // share, l3_bytes=target.l3_bytes // share)


def test_what_is_cut_for_small_caches_is_what_the_definitions_say() -> None:
    values = arrays(16)
    graph = trace(network, *values).graph
    program = compiled(graph, small_caches(64), frozenset(range(1, 6)))
    assert turns_of(program) > 5
    (expected,) = evaluate(graph, values)
    (found,) = run_program(program, values)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_constants_by_picture_are_read_by_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    values = arrays(6)
    noise = np.random.default_rng(0).standard_normal(values[0].shape).astype(np.float32)

    def function(x: Tensor, w: Tensor) -> Tensor:
        return p.add(conv2d(x, w, padding=1), conv2d(noise, w, padding=1))

    graph = trace(function, *values[:2]).graph
    whole = compiled(graph, host(), frozenset({1}))
    monkeypatch.setattr(batching, "_cuts", lambda works, batch, target: [(len(works), 4)])
    cut = compiled(graph, host(), frozenset({1}))
    assert turns_of(cut)
    assert run_program(whole, values[:2])[0].tobytes() == run_program(cut, values[:2])[0].tobytes()


def network_at(pictures: int, channels: int = 32, size: int = 64) -> Graph:
    """Eight 3x3 convolutions."""

    def function(x: Tensor, *weights: Tensor) -> Tensor:
        for weight in weights:
            x = p.maximum(conv2d(x, weight, padding=1), 0)
        return x

    x, weight = np.zeros((pictures, channels, size, size), np.float32), np.zeros((channels, channels, 3, 3), np.float32)
    return trace(function, x, *[weight] * 8).graph


def test_what_the_caches_hold_is_not_cut() -> None:
    assert not turns_of(compiled(network_at(1), KNOWN["avx512"], frozenset(range(1, 9))))
    assert not turns_of(compiled(network_at(8, 8, 8), KNOWN["avx512"], frozenset(range(1, 9))))


def test_what_they_do_not_hold_is_cut_and_takes_little_memory() -> None:
    few, many = (compiled(network_at(n), KNOWN["avx512"], frozenset(range(1, 9))) for n in (16, 256))
    assert turns_of(many) >= 8
    assert many.arena_bytes <= few.arena_bytes


def test_pictures_at_a_time_follow_the_caches() -> None:
    def pictures(share: int) -> int:
        target = replace(KNOWN["avx512"], l2_bytes=2**16, l3_bytes=2**26 // share)
        steps = compiled(network_at(64), target, frozenset(range(1, 9))).steps
        return min(64 if step.turns is None else step.turns.firsts[1] for step in steps)

    assert pictures(1) > pictures(4) > pictures(16) >= 1


def test_the_last_turn_ends_with_the_batch() -> None:
    graph = network_at(67)
    steps = compiled(graph, KNOWN["avx512"], frozenset(range(1, 9))).steps
    for step in steps:
        if step.turns is not None:
            firsts = step.turns.firsts
            assert list(firsts[:-1]) == list(range(0, firsts[-2] + 1, firsts[1]))
            assert firsts[-2] < firsts[-1] == 67 - firsts[1] <= firsts[-2] + firsts[1]
    assert len(list(turn_by_turn(steps))) > len(steps)


def test_profiles_count_all_turns_of_a_step() -> None:
    net = wm.nn.Sequential(*[wm.nn.Conv2d(32, 32, 3, padding=1) for _ in range(4)])
    x = np.zeros((64, 32, 64, 64), np.float32)
    shown = wm.explain(net, x).schedules
    assert "turns" in shown
    assert len(wm.profile(net, x, rounds=1).steps) == len(compiled_of(net, x).steps)


def compiled_of(net: wm.nn.Module, x: np.ndarray) -> Program:
    program = wm.explain(net, x).program
    assert program is not None
    return program
