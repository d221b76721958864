"""Draws are a fixed function of their keys, spread evenly, and unrelated for neighbouring keys."""

import numpy as np
import pytest
from scipy import stats

from wimmel.data.draws import random_order, uniform, words
from wimmel.geometry.whole_numbers import LARGEST_KEY, at_least


def test_one_key_gives_the_first_number_of_splitmix64():
    """Published first outputs of the reference generator for the seeds 0 and 1234567."""
    assert int(words(0)) == 0xE220A8397B1DCDAF
    assert int(words(1234567)) == 6457827717110365317


def test_keys_are_hashed_one_after_the_other_as_plain_integers_would_be():
    def hashed(*keys):
        state = 0
        for key in keys:
            state = (state + 0x9E3779B97F4A7C15 + key) % 2**64
            state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
            state ^= state >> 31
        return state

    keys = (2**64 - 1, 4, 17)
    np.testing.assert_array_equal(words(*keys, np.arange(5)), [hashed(*keys, k) for k in range(5)])


def test_arrays_of_keys_broadcast():
    table = words(3, np.arange(4)[:, None], np.arange(2))
    assert table.shape == (4, 2)
    assert table[2, 1] == words(3, 2, 1)
    assert words(3, 2, 1) != words(3, 1, 2)


@pytest.mark.parametrize("keys", [(0, 0), (0, 1), (12345, 7)])
def test_uniform_draws_are_uniform(keys):
    draws = uniform(*keys, np.arange(20_000))
    assert draws.min() >= 0
    assert draws.max() < 1
    assert stats.kstest(draws, "uniform").pvalue > 1e-3


def test_neighbouring_keys_are_unrelated():
    draws = uniform(0, np.arange(20)[:, None], np.arange(5000))
    correlation = np.corrcoef(draws) - np.eye(20)
    assert np.abs(correlation).max() < 0.07


def test_an_order_is_a_permutation_that_follows_its_keys():
    order = random_order(1000, 5, 6)
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    np.testing.assert_array_equal(order, random_order(1000, 5, 6))
    assert (order != random_order(1000, 5, 7)).mean() > 0.9


@pytest.mark.parametrize(
    ("seed", "error", "expected"),
    [
        (-1, ValueError, "seed must be at least 0; got -1"),
        (2**64, ValueError, "seed must be at most"),
        (1.0, TypeError, r"seed must be a whole number; got 1\.0"),
        (True, TypeError, "seed must be a whole number; got True"),
        ("a", TypeError, "seed must be a whole number; got 'a'"),
    ],
)
def test_seeds_are_whole_numbers_of_64_bits(seed, error, expected):
    assert at_least(np.int32(5), 0, "seed", LARGEST_KEY) == 5
    with pytest.raises(error, match=expected):
        at_least(seed, 0, "seed", LARGEST_KEY)
