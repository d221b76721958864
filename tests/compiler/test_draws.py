"""Draws over all families of kernels: what is compiled gives what the definitions give, reads nothing it was not given
and writes everything it must. 300 draws for the best target here and 50 for each lesser one; thousands with -m slow."""

from __future__ import annotations

import pytest

from compiler.families import FAMILIES, Draw
from compiler.machine import run_program
from wimmel.compiler.planning import compiled
from wimmel.compiler.targets import NativeUnavailable, host


def check(seed: int, target: str | None = None) -> None:
    draw = Draw(seed)
    program = compiled(draw.graph, host(target))
    draw.check(run_program(program, draw.values, seed))


@pytest.mark.parametrize("seed", range(300))
def test_drawn_for_this_processor(seed: int) -> None:
    check(seed)


@pytest.mark.parametrize("target", ["avx2", "sse4.2"])
@pytest.mark.parametrize("seed", range(300, 350))
def test_drawn_for_a_lesser_processor(seed: int, target: str) -> None:
    try:
        host(target)
    except (NativeUnavailable, ValueError) as error:
        pytest.skip(str(error))
    check(seed, target)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10_000, 15_000))
def test_many_drawn_for_this_processor(seed: int) -> None:
    check(seed)


def test_every_family_is_drawn() -> None:
    assert {Draw(seed).family for seed in range(300)} == set(FAMILIES)
