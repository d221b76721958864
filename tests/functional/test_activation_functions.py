"""L32: activation functions, against SciPy and ONNX's reference; their gradients, NaN, and extreme arguments."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onnx_oracle import onnx_operator
from oracles import assert_gradients_match, recorded
from wimmel import functional
from wimmel.functional import tanh
from wimmel.runtime import grad

ELEMENTWISE = {
    "relu": functional.relu,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
    "elu": lambda x: functional.elu(x, 0.7),
    "selu": functional.selu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "mish": functional.mish,
    "sigmoid": functional.sigmoid,
    "tanh": tanh,
    "hardswish": functional.hardswish,
    "hardsigmoid": functional.hardsigmoid,
    "softplus": functional.softplus,
    "softplus_2": lambda x: functional.softplus(x, beta=2.0, threshold=3.0),
}
TEXTBOOK = {
    "relu": lambda x: np.where(x > 0, x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0))),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * scipy.special.ndtr(x),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x * scipy.special.expit(x),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "sigmoid": scipy.special.expit,
    "tanh": np.tanh,
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "softplus": lambda x: np.where(x > 20, x, np.logaddexp(0, x)),
    "softplus_2": lambda x: np.where(2 * x > 3, x, np.logaddexp(0, 2 * x) / 2),
}
SMOOTH_AT_ZERO = {
    "gelu": 0.5,
    "gelu_tanh": 0.5,
    "silu": 0.5,
    "mish": 0.6,
    "sigmoid": 0.25,
    "tanh": 1.0,
    "hardswish": 0.5,
    "hardsigmoid": 1 / 6,
    "softplus": 0.5,
    "softplus_2": 0.5,
}
floats = arrays(np.float64, st.integers(1, 8), elements=st.floats(-50, 50))


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(x=floats)
def test_L32_values(name, x):
    expected = TEXTBOOK[name](x)
    y = ELEMENTWISE[name](x)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(recorded(ELEMENTWISE[name], x), y)
    single = ELEMENTWISE[name](x.astype(np.float32))
    assert single.dtype == np.float32
    # a threshold or a kink may fall the other way where x was rounded
    np.testing.assert_allclose(single, TEXTBOOK[name](x.astype(np.float32).astype(float)), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("operator", "attributes", "name"),
    [
        ("Relu", {}, "relu"),
        ("LeakyRelu", {"alpha": 0.2}, "leaky_relu"),
        ("Elu", {"alpha": 0.7}, "elu"),
        ("Selu", {}, "selu"),
        ("Gelu", {}, "gelu"),
        ("Gelu", {"approximate": "tanh"}, "gelu_tanh"),
        ("Mish", {}, "mish"),
        ("Sigmoid", {}, "sigmoid"),
        ("Tanh", {}, "tanh"),
        ("HardSwish", {}, "hardswish"),
        ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, "hardsigmoid"),
        ("Softplus", {}, "softplus"),
    ],
)
def test_L32_values_of_onnx(operator, attributes, name):
    x = np.linspace(-6, 6, 49, dtype=np.float32)
    np.testing.assert_allclose(ELEMENTWISE[name](x), onnx_operator(operator, attributes, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_L32_gradients(name):
    away_from_kinks = np.array([-7.3, -2.6, -0.8, -0.11, 0.2, 0.9, 1.4, 2.2, 4.5, 8.1])
    assert_gradients_match(ELEMENTWISE[name], away_from_kinks)


@pytest.mark.parametrize("name", SMOOTH_AT_ZERO)
def test_gradients_at_zero_where_there_is_no_kink(name):
    slope = grad(lambda x: ELEMENTWISE[name](x).sum())(np.zeros(1))
    np.testing.assert_allclose(slope, SMOOTH_AT_ZERO[name], rtol=1e-14)
    assert_gradients_match(ELEMENTWISE[name], np.zeros(1))


def test_gradients_at_kinks_are_those_said():
    def slope(function, x):
        return float(grad(lambda t: function(t).sum())(np.array([x]))[0])

    assert slope(functional.relu, 0.0) == 0
    assert slope(lambda x: functional.leaky_relu(x, 0.2), 0.0) == 0.2
    assert slope(lambda x: functional.elu(x, 0.7), 0.0) == 0.7


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_and_both_gradients_stay_finite_far_out(name, dtype):
    x = np.array([-1e30, -1000, -90, -17, 17, 90, 1000, 1e30], dtype)
    function = ELEMENTWISE[name]
    slope = grad(lambda t: function(t).sum())
    curve = grad(lambda t: slope(t).sum())
    for value in (function(x), slope(x), curve(x)):
        assert np.isfinite(value).all()
    np.testing.assert_allclose(function(x), TEXTBOOK[name](x.astype(float)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nan_gives_nan(name):
    y = ELEMENTWISE[name](np.array([np.nan, 1.0]))
    assert np.isnan(y[0]) and np.isfinite(y[1])
    assert np.isnan(recorded(ELEMENTWISE[name], np.array([np.nan, 1.0]))[0])


@pytest.mark.parametrize(
    "name", sorted(ELEMENTWISE.keys() - {"tanh"})
)  # that is NumPy's, which makes of uint8 a float16
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_whole_numbers_count_as_floats_of_their_value(name, dtype):
    x = np.array([0, 1, 3, 200, 255]).astype(dtype)
    np.testing.assert_allclose(ELEMENTWISE[name](x), TEXTBOOK[name](x.astype(float)), rtol=1e-12)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"approximate='erf'.*'none' or 'tanh'"):
        functional.gelu(np.zeros(2), approximate="erf")
    with pytest.raises(ValueError, match="beta=0"):
        functional.softplus(np.zeros(2), beta=0)
    with pytest.raises(ValueError, match="softmax was given axis -1 and a single number"):
        functional.softmax(np.zeros(()))
    with pytest.raises(ValueError, match=r"^log_softmax was given axis 2; with 2 axes"):
        functional.log_softmax(np.zeros((2, 3)), dim=2)


@given(
    arrays(np.float64, st.tuples(*[st.integers(1, 4)] * 3), elements=st.floats(-1000, 1000)),
    st.integers(-3, 2),
)
def test_L32_softmax_and_its_logarithm(x, axis):
    y, logarithm = functional.softmax(x, axis), functional.log_softmax(x, axis)
    np.testing.assert_allclose(y, scipy.special.softmax(x, axis), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(logarithm, scipy.special.log_softmax(x, axis), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(y.sum(axis), 1, rtol=1e-12)
    np.testing.assert_array_equal(recorded(lambda t: functional.softmax(t, axis), x), y)
    np.testing.assert_array_equal(recorded(lambda t: functional.log_softmax(t, axis), x), logarithm)


def test_gradients_of_softmax():
    x = np.random.default_rng(0).normal(size=(2, 4))
    for axis in (0, -1):
        assert_gradients_match(lambda t, axis=axis: functional.softmax(t, axis), x)
        assert_gradients_match(lambda t, axis=axis: functional.log_softmax(t, axis), x)


def test_scores_of_minus_infinity_have_no_share_and_no_gradient():
    x = np.array([0.0, -np.inf, 1.0])
    np.testing.assert_allclose(functional.softmax(x), scipy.special.softmax(x))
    slope = grad(lambda t: functional.log_softmax(t)[0])(x)
    np.testing.assert_allclose(slope, np.array([1.0, 0, 0]) - scipy.special.softmax(x), atol=1e-15)


def test_whole_numbers_below_the_largest_do_not_wrap_around():
    np.testing.assert_allclose(functional.softmax(np.array([0, 255], np.uint8)), scipy.special.softmax([0.0, 255.0]))
