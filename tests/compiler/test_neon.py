"""NEON, under an emulator where this processor has none: drawn graphs give what the definitions give, the vector
mathematics is as exact as elsewhere, and the emulated machine notices what it is there to notice. 50 draws here, a
thousand with -m slow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from compiler import emulated
from compiler import test_mathematics as mathematics
from compiler.families import FAMILIES, Draw
from compiler.machine import run_programs, run_steps
from wimmel.compiler.language import Builder, Function, Type
from wimmel.compiler.planning import compiled
from wimmel.compiler.steps import Buffer, Step, row_major
from wimmel.compiler.targets import KNOWN, Target, runs_here

NEON = KNOWN["neon"]
DRAWS = range(410, 460)

pytestmark = pytest.mark.skipif(emulated.EMULATOR is None and not runs_here(NEON), reason=emulated.MISSING)
only_emulated = pytest.mark.skipif(runs_here(NEON), reason="faults would end this process")


def check(seeds: Sequence[int]) -> None:
    draws = [Draw(seed) for seed in seeds]
    programs = [compiled(draw.graph, NEON) for draw in draws]
    outputs = run_programs(programs, [draw.values for draw in draws], seeds[0])
    for draw, found in zip(draws, outputs, strict=True):
        draw.check(found)


@pytest.mark.parametrize("first", DRAWS[::10])
def test_drawn(first: int) -> None:
    check(range(first, first + 10))


def test_every_family_is_drawn() -> None:
    assert {Draw(seed).family for seed in DRAWS} == set(FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(20_000, 21_000, 20))
def test_many_drawn(first: int) -> None:
    check(range(first, first + 20))


@mathematics.each_dtype
@pytest.mark.parametrize("function", mathematics.UNARY)
def test_unary_functions_are_within_two_units(function: str, dtype: str) -> None:
    count = 2**9 if (function, dtype) == ("erf", "float64") else 3 * 2**15
    mathematics.assert_good(function, mathematics.drawn(dtype, count, seed=5), target=NEON)


@mathematics.each_dtype
def test_power_is_within_two_units(dtype: str) -> None:
    mathematics.assert_good("power", *mathematics.bases_and_exponents(dtype, 2**15, seed=6), target=NEON)


@mathematics.each_dtype
def test_special_powers_are_those_of_numpy(dtype: str) -> None:
    mathematics.test_special_powers_are_those_of_numpy(dtype, "neon")


@mathematics.each_dtype
@pytest.mark.parametrize("function", mathematics.UNARY)
def test_ends_are_exact(function: str, dtype: str) -> None:
    mathematics.test_ends_are_exact(function, dtype, "neon")


@mathematics.each_dtype
def test_subnormal_numbers_are_taken_and_given(dtype: str) -> None:
    mathematics.test_subnormal_numbers_are_taken_and_given(dtype, "neon")


@dataclass(frozen=True)
class Moved:
    """One number: y[j] = x[i]."""

    def kernel(self, target: Target, name: str) -> Function:
        builder = Builder(name)
        block, _, _, _ = builder.kernel()
        x, y, i, j = builder.arguments(block, "ppii")
        builder.store(builder.load(x, i, Type("f32")), y, j)
        return builder.function()


def moved(i: int, j: int, seed: int = 0, writes: bool = True) -> list[float]:
    """y after one number of x = 0, 1, 2 was moved there. With seed 0 x ends at a page that faults, and y begins behind
    one; with seed 1 it is the other way round."""
    x, y = (row_major(Buffer("float32", 3), (3,)) for _ in range(2))
    step = Step(Moved(), (x, y, i, j), (y.buffer,) if writes else (), 1, "moved")
    return run_steps([step], {x.buffer: np.arange(3.0)}, NEON, seed)[y.buffer].tolist()


@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_not_written_stays_poisoned(seed: int) -> None:
    np.testing.assert_array_equal(moved(1, 2, seed), [np.nan, np.nan, 1])


@only_emulated
@pytest.mark.parametrize("i, j, seed", [(3, 0, 0), (0, -1, 0), (-1, 0, 1), (0, 3, 1)])
def test_nothing_outside_a_buffer_is_read_or_written(i: int, j: int, seed: int) -> None:
    with pytest.raises(AssertionError, match="in this step: moved"):
        moved(i, j, seed)


@only_emulated
def test_what_is_only_to_be_read_is_not_written() -> None:
    with pytest.raises(AssertionError, match="in this step: moved"):
        moved(0, 0, writes=False)
