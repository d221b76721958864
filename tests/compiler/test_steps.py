"""Places: the same elements of a buffer, under other shapes."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.machine import at
from compiler.views import drawn_place
from wimmel.compiler.steps import Buffer, Place

SHAPES = ((24,), (4, 6), (6, 4), (2, 3, 4), (1, 24, 1), (3, 2, 2, 2), (8, 3))


@pytest.mark.parametrize("seed", range(40))
def test_another_shape_shows_the_same_elements_in_the_same_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    place = drawn_place(random, "int32", SHAPES[seed % len(SHAPES)], still=True)
    numbers = {place.buffer: np.arange(place.buffer.elements)}
    for shape in SHAPES:
        moved = place.reshaped(shape)
        if moved is not None:
            assert moved.shape == shape
            np.testing.assert_array_equal(at(moved, numbers), at(place, numbers).reshape(shape))


def test_a_shape_is_refused_where_elements_would_have_to_move() -> None:
    place = Place(Buffer("int32", 24), 0, (4, 6), (1, 4))
    assert place.reshaped((24,)) is None
    split = place.reshaped((2, 2, 6))
    assert split is not None and split.strides == (2, 1, 4)


def test_elements_are_not_read_to_find_out() -> None:
    """They lie in memory that belongs to nobody: to read them would end the process."""
    far = 1 << 40
    place = Place(Buffer("int8", 999 * far + 1000), 0, (1000, 1000), (1, far))
    assert place.reshaped((1_000_000,)) is None
