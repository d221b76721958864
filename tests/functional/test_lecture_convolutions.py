"""The lecture's sections 3.2 to 3.4 in its own numbers: rows L12 to L17 and L21 to L29."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import finite_difference, largest_difference
from wimmel import functional
from wimmel.functional import conv2d, convolve, correlate, linear
from wimmel.geometry import lecture_output_size, lecture_padding
from wimmel.runtime import grad

X = np.arange(9).reshape(3, 3)
K = np.arange(4).reshape(2, 2)
EDGE = np.array([[1.0, -1.0]])


def picture_with_a_dark_band():
    x = np.ones((6, 8))
    x[:, 2:6] = 0
    return x


def learned_kernel(operation, pairs, shape, rate, steps, seed=0):
    """A kernel found by gradient descent on the mean squared difference from the outputs given."""

    def loss(kernel, inputs, outputs):
        return functional.mean(functional.square(operation(inputs, kernel) - outputs))

    slope = grad(loss)
    kernel = np.random.default_rng(seed).normal(size=shape)
    for _ in range(steps):
        for inputs, outputs in pairs:
            kernel = kernel - rate * slope(kernel, inputs, outputs)
    return kernel


def test_L12_figure_3():
    expected = [[19, 25], [37, 43]]
    np.testing.assert_array_equal(correlate(X, K), expected)
    np.testing.assert_array_equal(conv2d(X[None].astype(float), K[None, None].astype(float))[0], expected)


@given(st.tuples(*[st.integers(1, 8)] * 2), st.tuples(*[st.integers(1, 8)] * 2))
def test_L13_output_size_without_padding(n, k):
    if all(size >= window for size, window in zip(n, k, strict=True)):
        assert correlate(np.zeros(n), np.zeros(k)).shape == (n[0] - k[0] + 1, n[1] - k[1] + 1)
    else:
        with pytest.raises(ValueError, match="larger than the input"):
            correlate(np.zeros(n), np.zeros(k))


def test_L14_a_layer_is_kernel_and_scalar_bias_with_gradients_for_both():
    rng = np.random.default_rng(14)
    x, weights = rng.normal(size=(5, 6)), rng.normal(size=(4, 5))
    kernel, bias = rng.normal(size=(2, 2)), rng.normal()  # initialised at random

    def layer(kernel, bias):
        return functional.sum(functional.multiply(correlate(x, kernel) + bias, weights))

    by_kernel, by_bias = grad(layer, argnums=(0, 1))(kernel, bias)
    for place, found in enumerate((by_kernel, by_bias)):
        expected = finite_difference(layer, [kernel, np.asarray(bias)], place)
        assert largest_difference(found, expected) < 1e-6


def test_L15_the_edge_detector():
    y = correlate(picture_with_a_dark_band(), EDGE)
    expected = np.zeros((6, 7))
    expected[:, 1], expected[:, 5] = 1, -1
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(correlate(picture_with_a_dark_band().T, EDGE), np.zeros((8, 5)))


def test_L16_learning_the_edge_detector():
    x = picture_with_a_dark_band()
    kernel = learned_kernel(correlate, [(x, correlate(x, EDGE))], (1, 2), rate=0.5, steps=200)
    np.testing.assert_allclose(kernel, EDGE, atol=1e-3)


def test_L17_a_convolution_learns_the_flipped_kernel_and_gives_the_same_output():
    rng = np.random.default_rng(17)
    pairs = [(x, correlate(x, K)) for x in rng.normal(size=(4, 8, 8))]
    kernel = learned_kernel(convolve, pairs, (2, 2), rate=0.2, steps=50)
    np.testing.assert_allclose(kernel, np.flip(K), atol=1e-3)
    for x, y in pairs:
        np.testing.assert_allclose(convolve(x, kernel), y, atol=1e-2)
    np.testing.assert_array_equal(convolve(X, np.flip(K)), correlate(X, K))


def test_L17_on_figure_3_alone_the_output_is_the_same_but_the_kernel_is_not_unique():
    """Four windows of evenly rising numbers span only a plane: two of the kernel's four numbers stay as they began."""
    windows = [X[i : i + 2, j : j + 2].ravel() for i in (0, 1) for j in (0, 1)]
    assert np.linalg.matrix_rank(np.array(windows)) == 2
    x = X.astype(float)
    kernel = learned_kernel(convolve, [(x, correlate(X, K))], (2, 2), rate=0.01, steps=600)
    np.testing.assert_allclose(convolve(x, kernel), [[19, 25], [37, 43]], atol=1e-3)
    assert abs(kernel - np.flip(K)).max() > 0.1


def test_L21_figure_4():
    expected = [[0, 3, 8, 4], [9, 19, 25, 10], [21, 37, 43, 16], [6, 7, 8, 0]]
    np.testing.assert_array_equal(correlate(X, K, padding=1), expected)
    np.testing.assert_array_equal(correlate(np.pad(X, 1), K), expected)


@given(*[st.tuples(*[st.integers(1, 7)] * 2)] * 2, *[st.tuples(*[st.integers(0, 3)] * 2)] * 2)
def test_L22_output_size_with_total_padding(n, k, front, behind):
    if any(size + a + b < window for size, window, a, b in zip(n, k, front, behind, strict=True)):
        return
    y = correlate(np.zeros(n), np.zeros(k), padding=tuple(zip(front, behind, strict=True)))
    total = (front[0] + behind[0], front[1] + behind[1])
    assert y.shape == (n[0] - k[0] + total[0] + 1, n[1] - k[1] + total[1] + 1)


@pytest.mark.parametrize("kernel", [(1, 1), (3, 5), (2, 4), (3, 2), (7, 6)])
def test_L23_padding_of_k_less_one_keeps_the_size(kernel):
    x = np.random.default_rng(23).normal(size=(9, 8))
    pairs = lecture_padding(kernel)
    assert pairs == tuple((-(-(k - 1) // 2), (k - 1) // 2) for k in kernel)
    y = correlate(x, np.ones(kernel), padding=pairs)
    assert y.shape == x.shape
    np.testing.assert_array_equal(y, correlate(x, np.ones(kernel), padding="same_lower"))


def test_L23_the_window_of_an_odd_kernel_is_centred_on_its_pixel():
    centre = np.zeros((3, 5))
    centre[1, 2] = 1
    x = np.random.default_rng(24).normal(size=(6, 7))
    np.testing.assert_array_equal(correlate(x, centre, padding=lecture_padding((3, 5))), x)


def test_L24_figure_5():
    np.testing.assert_array_equal(correlate(X, K, stride=(3, 2), padding=1), [[0, 8], [6, 8]])
    one_more_column = ((1, 1), (1, 2))
    np.testing.assert_array_equal(correlate(X, K, stride=(3, 2), padding=one_more_column), [[0, 8, 0], [6, 8, 0]])


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 6), st.integers(1, 4))
def test_L25_output_size_with_stride(n, k, p, s):
    if k <= n + p:
        found = correlate(np.zeros(n), np.zeros(k), stride=s, padding=((p - p // 2, p // 2),)).shape
        assert found == ((n - k + p + s) // s,) == (lecture_output_size(n, k, p, s),)
    same = correlate(np.zeros(n), np.zeros(k), stride=s, padding=lecture_padding(k, 1)).shape
    assert same == ((n + s - 1) // s,)
    if n % s == 0:
        assert same == (n // s,)


def test_L26_short_forms():
    rng = np.random.default_rng(26)
    x, k = rng.normal(size=(8, 9)), rng.normal(size=(3, 3))
    np.testing.assert_array_equal(correlate(x, k, padding=1, stride=2), correlate(x, k, padding=(1, 1), stride=(2, 2)))
    np.testing.assert_array_equal(correlate(x, k), correlate(x, k, padding=(0, 0), stride=(1, 1)))
    # "padding 1" is one row on each side, and so a total of p_h = 2
    assert correlate(X, K, padding=1).shape == (lecture_output_size(3, 2, total_padding=2),) * 2


def test_L27_figure_6_many_input_channels():
    x, kernel = np.stack([X, X + 1]).astype(float), np.stack([K, K + 1]).astype(float)
    y = conv2d(x, kernel[None])
    np.testing.assert_array_equal(y, [[[56, 72], [104, 120]]])
    np.testing.assert_array_equal(y[0], sum(correlate(x[c], kernel[c]) for c in range(2)))


def test_L28_many_output_channels():
    x, kernel = np.stack([X, X + 1]).astype(float), np.stack([K, K + 1]).astype(float)
    y = conv2d(x, np.stack([kernel, kernel + 1, kernel + 2]))
    np.testing.assert_array_equal(y, [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]])


def test_L29_figure_7_a_1x1_convolution_is_one_linear_layer_at_every_pixel():
    rng = np.random.default_rng(29)
    x, weight, bias = rng.normal(size=(3, 3, 3)), rng.normal(size=(2, 3)), rng.normal(size=2)
    y = conv2d(x, weight[:, :, None, None], bias)
    assert y.shape == (2, 3, 3)
    np.testing.assert_allclose(y.reshape(2, 9), weight @ x.reshape(3, 9) + bias[:, None], rtol=1e-12)
    for i, j in np.ndindex(3, 3):
        np.testing.assert_allclose(y[:, i, j], linear(x[:, i, j], weight, bias), rtol=1e-12)
