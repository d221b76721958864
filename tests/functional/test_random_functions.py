"""Random draws: that they depend on key, stream and place alone, and are spread as they should be."""

import numpy as np
import pytest

from oracles import assert_gradients_match, philox_block, recorded
from wimmel.functional import dropout, random_key, random_uniform
from wimmel.runtime import grad

KEY = random_key(11, 4)


def test_a_key_is_seed_and_step_in_low_and_high_words():
    np.testing.assert_array_equal(random_key(2**32 * 7 + 5, 2**32 * 3 + 1), [5, 7, 1, 3])
    assert random_key(0).dtype == np.uint32
    np.testing.assert_array_equal(random_key(np.int64(9), np.uint8(2)), [9, 0, 2, 0])


@pytest.mark.parametrize(("seed", "step"), [(-1, 0), (0, -1), (2**64, 0), (0, 2**64)])
def test_keys_out_of_range_are_refused(seed, step):
    with pytest.raises(ValueError, match=r"seed|step"):
        random_key(seed, step)
    with pytest.raises(TypeError, match="seed"):
        random_key(1.5)


def test_uniform_numbers_are_philoxs_words():
    seed, step, stream = 2**40 + 17, 2**33 + 5, 3
    words = [
        word for block in range(3) for word in philox_block((block, stream, step % 2**32, 2), (seed % 2**32, 2**8))
    ]
    drawn = random_uniform((2, 5), random_key(seed, step), stream)
    np.testing.assert_array_equal(drawn.reshape(-1), [(word >> 8) * 2.0**-24 for word in words[:10]])
    double = random_uniform(10, random_key(seed, step), stream, np.float64)
    np.testing.assert_array_equal(double, [word * 2.0**-32 for word in words[:10]])


def test_uniform_numbers_are_spread_evenly():
    drawn = random_uniform(100_000, KEY)
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0 and drawn.max() < 1
    counts = np.histogram(drawn, 20, (0, 1))[0]
    assert (
        (counts - 5000) ** 2 / 5000
    ).sum() < 43.8  # chi squared with 19 degrees of freedom exceeds this once in 1000


def test_another_seed_step_or_stream_draws_other_numbers():
    draws = [
        random_uniform(50, random_key(1, 2), 3),
        random_uniform(50, random_key(2, 2), 3),
        random_uniform(50, random_key(1, 3), 3),
        random_uniform(50, random_key(1, 2), 4),
    ]
    for i, first in enumerate(draws):
        for second in draws[i + 1 :]:
            assert not np.isin(first, second).any()
    np.testing.assert_array_equal(random_uniform(50, random_key(1, 2), 3), draws[0])
    np.testing.assert_array_equal(recorded(lambda key: random_uniform(50, key, 3), random_key(1, 2)), draws[0])


def test_dropout_keeps_a_share_and_its_sum():
    x = np.ones((200, 500))
    y = dropout(x, 0.3, key=KEY)
    assert set(np.unique(y)) == {0, 1 / 0.7}
    assert abs((y == 0).mean() - 0.3) < 0.01
    assert abs(y.mean() - 1) < 0.01


def test_what_goes_depends_on_key_stream_and_place_only():
    x = np.random.default_rng(0).normal(size=(4, 6))
    gone = dropout(x, key=KEY) == 0
    np.testing.assert_array_equal(dropout(np.ones((4, 6)), key=KEY) == 0, gone)
    np.testing.assert_array_equal(dropout(x.astype(np.float32), key=KEY) == 0, gone)
    np.testing.assert_array_equal(recorded(lambda x, key: dropout(x, key=key), x, KEY) == 0, gone)
    assert (dropout(x, key=KEY, stream=1) == 0).tolist() != gone.tolist()
    assert (dropout(x, key=random_key(11, 5)) == 0).tolist() != gone.tolist()


def test_dropout_in_inference_and_without_chance_is_the_identity():
    x = np.random.default_rng(1).normal(size=7)
    np.testing.assert_array_equal(dropout(x, 0.5, training=False), x)
    np.testing.assert_array_equal(dropout(x, 0.0), x)
    np.testing.assert_array_equal(dropout(x, 1.0, key=KEY), np.zeros(7))
    assert dropout(x.astype(np.float32), key=KEY).dtype == np.float32


def test_the_gradient_of_dropout_goes_where_the_values_went():
    x = np.random.default_rng(2).normal(size=(3, 4))
    slope = grad(lambda t, key: dropout(t, 0.4, key=key).sum())(x, KEY)
    np.testing.assert_allclose(slope, dropout(np.ones((3, 4)), 0.4, key=KEY), rtol=1e-15)
    assert_gradients_match(lambda t: dropout(t * t, 0.4, key=KEY), x)


def test_nan_is_not_dropped():
    assert np.isnan(dropout(np.full(100, np.nan), key=KEY)).all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: dropout(np.zeros(3), 1.5, key=KEY), ValueError, "p=1.5"),
        (lambda: dropout(np.zeros(3)), ValueError, "needs a key.*random_key"),
        (lambda: dropout(np.zeros(3, int), key=KEY), TypeError, "input of dtype int64"),
        (lambda: dropout(np.zeros(3), key=np.zeros(4)), ValueError, "four uint32"),
        (lambda: dropout(np.zeros(3), key=KEY, stream=-1), ValueError, "stream"),
        (lambda: random_uniform(3, KEY, 2**32), ValueError, "below 2"),
        (lambda: random_uniform(-3, KEY), ValueError, "shape"),
        (lambda: random_uniform(3, KEY, dtype=np.int64), TypeError, "float32 or float64"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match="(?s)" + words):
        call()
