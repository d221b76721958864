"""What a network should take on this machine: for every step there is an estimate, and what was measured is within its
reach."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import wimmel as wm
from runtime.networks import drawn_network
from wimmel.compiler import costs
from wimmel.compiler.planning import compiled
from wimmel.compiler.program import Program
from wimmel.compiler.targets import KNOWN, Target
from wimmel.graph import trace
from wimmel.graph.rewrite import simplify

NETWORKS = range(50)
LONG = 30e-6
"""Seconds: what is shorter is disturbed by everything around it."""

REACH = 3.0
"""How many times longer a step may take than it should. A tenth of the long steps may be slower."""


def program_of(function: Any, arguments: tuple[Any, ...], target: Target) -> Program:
    return compiled(simplify(trace(function, *arguments)).graph, target, precision="fast")


@pytest.mark.parametrize("seed", NETWORKS)
def test_every_step_of_a_drawn_network_has_an_estimate(seed: int) -> None:
    function, arguments, _ = drawn_network(seed)
    target = list(KNOWN.values())[seed % len(KNOWN)]
    program = program_of(function, arguments, target)
    assert all(step.operations > 0 for step in program.steps), [s.label for s in program.steps if s.operations <= 0]
    assert all(0 < seconds < 10 for seconds in costs.expected(program, costs.typical(target)))


@pytest.mark.parametrize("seed", NETWORKS[::5])
def test_more_pictures_take_longer_and_faster_machines_less(seed: int) -> None:
    function, (*others, x), _ = drawn_network(seed)
    target = KNOWN["avx2"]
    rates = costs.typical(target)
    one = program_of(function, (*others, x), target)
    three = program_of(function, (*others, np.concatenate([x] * 3)), target)
    seconds = sum(costs.expected(one, rates))
    assert 1.5 * seconds < sum(costs.expected(three, rates)) < 6 * seconds
    assert sum(costs.expected(one, replace(rates, operation=rates.operation / 2))) < seconds
    assert sum(costs.expected(one, replace(rates, threads=2))) < seconds
    assert sum(costs.expected(one, replace(rates, reading=(0.0,) * 4, writing=(0.0,) * 4))) < seconds


def test_what_a_cache_holds_comes_from_there() -> None:
    """What the step before wrote is read from the smallest cache that has room for it."""
    target = KNOWN["avx2"]
    levels = (1.0, 10.0, 100.0, 1000.0)
    rates = costs.Rates(1, 0.0, 0.0, levels, (0.0,) * 4)  # only bytes that are read count

    def of_each_byte(elements: int) -> float:
        program = program_of(lambda x: wm.tanh(x)[::-1].sum(), (np.zeros((elements, 2), "f"),), target)
        assert len(program.steps) >= 2
        return costs.expected(program, rates)[1] / (8 * elements)

    assert [of_each_byte(elements) for elements in (1 << 9, 1 << 14, 1 << 19, 1 << 24)] == pytest.approx(
        levels, rel=0.1
    )


@pytest.mark.slow
def test_steps_of_drawn_networks_are_as_fast_as_they_should_be() -> None:
    """On one thread; each step's best of several rounds, in turns with the machine's own speed."""
    slow: dict[str, list[str]] = defaultdict(list)
    long = 0
    with wm.num_threads(1):
        for seed in NETWORKS:
            function, arguments, _ = drawn_network(seed)
            profile = wm.profile(function, *arguments)
            for (label, seconds), expected in zip(profile.steps, profile.expected, strict=True):
                if max(seconds, expected) >= LONG:
                    long += 1
                    if not 1 / REACH < seconds / expected < REACH:
                        slow[label].append(f"draw {seed}: {1e6 * seconds:.0f} us, expected {1e6 * expected:.0f}")
    assert sum(map(len, slow.values())) < long / 10, dict(slow)
