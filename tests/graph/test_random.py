"""The generator: Random123's published answers, an implementation word by word, and what uniform draws must be."""

from __future__ import annotations

import sys

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
from hypothesis import given

from oracles import assert_same_bits, examples, philox_block, recorded
from wimmel.graph import primitives, trace
from wimmel.graph.primitives.random import philox

words = st.integers(0, 2**32 - 1)

KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
"""Of philox4x32-10 in the file kat_vectors of Random123: zeros, ones, and the digits of pi."""


def key(seed: int = 0, step: int = 0) -> np.ndarray:
    return np.array([seed & 0xFFFFFFFF, seed >> 32, step & 0xFFFFFFFF, step >> 32], np.uint32)


def uniform(key: np.ndarray, *shape: int, stream: int = 0, dtype: str = "float64") -> np.ndarray:
    return primitives.random_uniform(key, shape=shape, stream=stream, dtype=dtype)


@pytest.mark.parametrize(("counter", "key_words", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(
    counter: tuple[int, ...], key_words: tuple[int, int], answer: tuple[int, ...]
) -> None:
    assert tuple(philox_block(counter, key_words)) == answer
    assert tuple(philox(np.array(counter, np.uint64), key_words).tolist()) == answer


@given(st.lists(st.tuples(words, words, words, words), min_size=1, max_size=4), st.tuples(words, words))
@examples(100)
def test_philox_is_the_cipher_of_the_paper_for_any_counter_and_key(
    counters: list[tuple[int, ...]], key_words: tuple[int, int]
) -> None:
    found = philox(np.array(counters, np.uint64).T, key_words)
    assert found.T.tolist() == [philox_block(counter, key_words) for counter in counters]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_are_uniform_from_zero_up_to_but_without_one(dtype: str) -> None:
    drawn = uniform(key(7), 200_000, dtype=dtype)
    assert drawn.dtype == dtype
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert scipy.stats.kstest(drawn.astype(np.float64), "uniform").pvalue > 1e-3
    counts = np.bincount((drawn * 1000).astype(int), minlength=1000)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_word_stays_below_one(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[philox.__module__]
    monkeypatch.setattr(module, "philox", lambda counter, _: np.full(counter.shape, 2**32 - 1, np.uint64))
    assert uniform(key(), 3, dtype=dtype).max() < 1
    monkeypatch.setattr(module, "philox", lambda counter, _: np.zeros(counter.shape, np.uint64))
    assert uniform(key(), 3, dtype=dtype).max() == 0


def test_seeds_steps_and_streams_draw_independently() -> None:
    changes = [
        uniform(key(0, 0), 20_000),
        uniform(key(1, 0), 20_000),
        uniform(key(2**32, 0), 20_000),
        uniform(key(0, 1), 20_000),
        uniform(key(0, 2**32), 20_000),
        uniform(key(0, 0), 20_000, stream=1),
        uniform(key(0, 0), 20_000, stream=2**32 - 1),
    ]
    correlations = np.corrcoef(changes) - np.eye(len(changes))
    assert np.abs(correlations).max() < 5 / np.sqrt(20_000)
    assert len({drawn.tobytes() for drawn in changes}) == len(changes)


def test_neighbouring_draws_are_independent() -> None:
    drawn = uniform(key(3), 100_000)
    for lag in (1, 2, 3, 4, 8):
        assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < 5 / np.sqrt(100_000)


@given(st.lists(st.integers(0, 5), max_size=4).map(tuple))
@examples(30)
def test_an_element_depends_on_its_place_alone(shape: tuple[int, ...]) -> None:
    count = int(np.prod(shape))
    assert_same_bits(np.ravel(uniform(key(5), *shape)), uniform(key(5), 700)[:count])


def test_the_same_key_draws_the_same_recorded_or_not() -> None:
    assert_same_bits(recorded(lambda k: uniform(k, 3, 5), key(11, 4)), uniform(key(11, 4), 3, 5))


@pytest.mark.parametrize("wrong", [np.zeros(4, np.int64), np.zeros(3, np.uint32), np.zeros((1, 4), np.uint32)])
def test_a_key_of_another_form_is_refused(wrong: np.ndarray) -> None:
    for run in (uniform, lambda k: trace(uniform, k)):
        with pytest.raises(ValueError, match="it must be four uint32"):
            run(wrong)
