"""First values have the distributions that the papers state."""

import math
import pickle

import numpy as np
import pytest
from scipy import stats

from wimmel.nn import initializers

SHAPE = (64, 32, 3, 3)
FAN_IN, FAN_OUT = 32 * 9, 64 * 9

DEVIATIONS = {
    "glorot_uniform": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "glorot_normal": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "he_uniform": math.sqrt(2 / FAN_IN),
    "he_normal": math.sqrt(2 / FAN_IN),
    "lecun_normal": math.sqrt(1 / FAN_IN),
    "fan_in_uniform": 1 / math.sqrt(3 * FAN_IN),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_distributions(name):
    drawn = getattr(initializers, name)()(SHAPE, np.random.default_rng(0)).ravel()
    width = DEVIATIONS[name]
    if name.endswith("uniform"):
        expected = stats.uniform(-math.sqrt(3) * width, 2 * math.sqrt(3) * width)
    else:
        expected = stats.norm(0, width)
    assert stats.kstest(drawn, expected.cdf).pvalue > 0.001


@pytest.mark.parametrize("shape", [(7,), (300, 200), (1 << 14, 3)])
def test_draws_are_the_generators_own_in_float32(shape):
    for initializer, method in ((initializers.uniform(0.5), "uniform"), (initializers.normal(2.0), "normal")):
        drawn = initializer(shape, np.random.default_rng(3))
        expected = getattr(np.random.default_rng(3), method)(*(-0.5, 0.5) if method == "uniform" else (0, 2.0), shape)
        assert drawn.dtype == np.float32
        assert np.array_equal(drawn, expected.astype(np.float32))


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 2, 3, 3)])
def test_orthogonal_rows_or_columns(shape):
    matrix = initializers.orthogonal(2.0)(shape, np.random.default_rng(0)).reshape(shape[0], -1)
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 4 * np.eye(min(matrix.shape)), atol=1e-12)


def test_constants():
    assert (initializers.ones((2, 3), np.random.default_rng(0)) == 1).all()
    assert (initializers.zeros((2, 3), np.random.default_rng(0)) == 0).all()


def test_biases_have_no_fans():
    with pytest.raises(ValueError, match="no fan_in and fan_out"):
        initializers.he_normal()((3,), np.random.default_rng(0))


@pytest.mark.parametrize("name", [*DEVIATIONS, "orthogonal", "normal"])
def test_initializers_are_pickled(name):
    one = getattr(initializers, name)()
    two = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(one(SHAPE, np.random.default_rng(1)), two(SHAPE, np.random.default_rng(1)))
