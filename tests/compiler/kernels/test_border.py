"""Halos: whatever the shape, all of the border and nothing but the border is written."""

import math

import numpy as np
import pytest

from compiler.kernels.test_elements import each_target
from compiler.machine import run_steps
from wimmel.compiler.kernels.border import plan_border, with_halo
from wimmel.compiler.steps import KIND_OF, Buffer, Place
from wimmel.compiler.targets import KNOWN, Target

DTYPES = tuple(KIND_OF)


def filled(shape: tuple[int, ...], halo: tuple, dtype: str, target: Target, value: float = 0, before: int = 0) -> None:
    """Fills the border and compares with np.pad of pictures that are all 1."""
    place = with_halo(dtype, shape, halo)
    buffer = Buffer(dtype, place.buffer.elements + before)
    place = Place(buffer, place.offset + before, place.shape, place.strides)
    ones = np.ones((shape[0], *shape[2:], shape[1]), dtype)
    expected = np.pad(ones, ((0, 0), *halo, (0, 0)), constant_values=np.asarray(value, dtype))
    memory = {buffer: np.ones(buffer.elements, dtype)}
    steps = plan_border(place, halo, target, value)
    assert bool(steps) == (expected.size != ones.size)
    memory = run_steps(steps, memory, target) if steps else memory
    np.testing.assert_array_equal(memory[buffer][before:].reshape(expected.shape), expected)
    assert (memory[buffer][:before] == 1).all()


@each_target
@pytest.mark.parametrize("seed", range(20))
def test_the_border_is_zero_and_pictures_stay(target: Target, seed: int) -> None:
    random = np.random.default_rng(seed)
    rank = 1 + seed % 3
    sizes = (1, 2, 3, 5, 8, 17, 31)
    shape = (*(int(random.choice((1, 2, 3))) for _ in range(1)), *(int(random.choice(sizes)) for _ in range(rank + 1)))
    while math.prod(shape) > 20000:
        shape = tuple(max(1, size // 2) for size in shape)
    halo = tuple((int(random.integers(4)), int(random.integers(4))) for _ in range(rank))
    dtype = str(random.choice(DTYPES))
    filled(shape, halo, dtype, target, before=int(random.integers(3)))


@each_target
def test_other_values_fill_too(target: Target) -> None:
    for dtype, value in (("float32", -np.inf), ("float64", -0.0), ("uint8", 255), ("int16", -3), ("uint64", 2**63)):
        filled((2, 3, 4, 5), ((1, 2), (3, 0)), dtype, target, value)
        filled((1, 20, 4, 5), ((1, 1), (1, 1)), dtype, target, value)


@each_target
def test_large_borders_are_several_tasks(target: Target) -> None:
    place = with_halo("float32", (2, 64, 60, 8), ((3, 3), (40, 40)))
    assert plan_border(place, ((3, 3), (40, 40)), target)[0].tasks > 2
    filled((2, 64, 60, 8), ((3, 3), (40, 40)), "float32", target)
    filled((1, 16, 5, 40, 8), ((1, 0), (1, 3), (40, 40)), "float32", target)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4), (2, 3, 4, 0), (2, 3, 0, 0)])
def test_empty_pictures_may_have_a_border(shape: tuple[int, ...]) -> None:
    filled(shape, ((1, 2), (2, 1)), "float32", KNOWN["avx512"])
    filled((*shape[:2], 2, *shape[2:]), ((0, 1), (1, 2), (2, 1)), "float32", KNOWN["avx512"])
    filled((*shape, 2), ((0, 1), (1, 2), (2, 1)), "float32", KNOWN["avx512"])


def test_without_a_halo_there_is_nothing_to_do() -> None:
    place = with_halo("float32", (2, 3, 4, 5), ((0, 0), (0, 0)))
    assert place.strides == (60, 1, 15, 3)
    assert plan_border(place, ((0, 0), (0, 0)), KNOWN["avx512"]) == []


def test_one_kernel_serves_all_pictures() -> None:
    def schedule(shape: tuple[int, ...], halo: tuple, dtype: str) -> object:
        return plan_border(with_halo(dtype, shape, halo), halo, KNOWN["avx512"])[0].schedule

    assert schedule((1, 3, 4, 5), ((1, 1), (2, 2)), "float32") == schedule((8, 64, 9, 9), ((3, 0), (0, 1)), "int32")
