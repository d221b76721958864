"""Groups of axes under a reshape, against the elements' own numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimmel.geometry import axis_groups


@st.composite
def regroupings(draw):
    """Two lists of sizes with the same product, built from common factors, with ones sprinkled in."""

    def cut(factors):
        sizes, rest = [], list(factors)
        while rest:
            count = draw(st.integers(1, len(rest)))
            sizes.append(math.prod(rest[:count]))
            rest = rest[count:]
            sizes.extend([1] * draw(st.integers(0, 1)))
        return sizes

    factors = draw(st.lists(st.integers(1, 4), max_size=5))
    return cut(factors), cut(factors)


@given(regroupings())
def test_groups_cover_all_axes_in_order_and_hold_as_many_elements(sizes):
    before, after = sizes
    groups = axis_groups(before, after)
    assert [axis for group, _ in groups for axis in group] == list(range(len(before)))
    assert [axis for _, group in groups for axis in group] == list(range(len(after)))
    for olds, news in groups:
        assert math.prod(before[axis] for axis in olds) == math.prod(after[axis] for axis in news)


@given(regroupings())
def test_indices_within_a_group_do_not_depend_on_other_axes(sizes):
    before, after = sizes
    flat = np.arange(math.prod(before))
    old, new = np.unravel_index(flat, before) if before else (), np.unravel_index(flat, after) if after else ()
    for olds, news in axis_groups(before, after):
        left = np.ravel_multi_index([old[a] for a in olds], [before[a] for a in olds]) if len(olds) else 0 * flat
        right = np.ravel_multi_index([new[a] for a in news], [after[a] for a in news]) if len(news) else 0 * flat
        assert np.array_equal(left, right)


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        ((4, 5), (4, 5), [([0], [0]), ([1], [1])]),
        ((4, 5), (1, 1, 4, 5), [([], [0]), ([], [1]), ([0], [2]), ([1], [3])]),
        ((2, 3, 1, 1), (2, 3), [([0], [0]), ([1], [1]), ([2], []), ([3], [])]),
        ((2, 12, 5), (2, 3, 4, 5), [([0], [0]), ([1], [1, 2]), ([2], [3])]),
        ((6, 4), (4, 6), [([0, 1], [0, 1])]),
        ((), (1,), [([], [0])]),
        ((3, 0, 2), (3, 5, 0), [([0], [0]), ([1, 2], [1, 2])]),
    ],
)
def test_known_regroupings(before, after, pairs):
    assert [(list(olds), list(news)) for olds, news in axis_groups(before, after)] == pairs


def test_a_reshape_must_keep_the_number_of_elements():
    with pytest.raises(ValueError, match=r"\(2, 3\), 6 elements, and \(5,\), 5 elements"):
        axis_groups((2, 3), (5,))
