"""Rows L2 to L5 and L8: from the fully connected layer to the convolutional one, step by step."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import assert_gradients_match, recorded
from wimmel import derivation
from wimmel.functional import correlate

sizes = st.tuples(st.integers(1, 5), st.integers(1, 5))
seeds = st.integers(0, 2**32 - 1)


def shifted(x, down, right):
    """x moved by so many rows and columns, with zeros moving in."""
    y = np.zeros_like(x)
    rows, columns = x.shape
    for i, j in np.ndindex(*x.shape):
        if 0 <= i + down < rows and 0 <= j + right < columns:
            y[i + down, j + right] = x[i, j]
    return y


def test_L02_the_cost_of_full_connection():
    assert derivation.fully_connected_weights(10**6, 10**3) == 10**9
    assert derivation.fully_connected_weights(10**5, 10**3) == 10**8
    assert derivation.convolution_parameters(5, in_channels=1, out_channels=16) == 416  # a few hundred
    assert derivation.convolution_parameters((1, 1), in_channels=3, out_channels=2) == 3 * 2 + 2


@given(sizes, seeds)
def test_L03_the_dense_layer_is_the_double_sum(size, seed):
    n, m = size
    rng = np.random.default_rng(seed)
    X, W, U = rng.normal(size=(n, m)), rng.normal(size=(n, m, n, m)), rng.normal(size=(n, m))
    H = derivation.dense_image_layer(X, W, U)
    for i, j in np.ndindex(n, m):
        expected = U[i, j] + sum(W[(i, j, *pixel)] * X[pixel] for pixel in np.ndindex(n, m))
        assert H[i, j] == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(sizes, seeds)
def test_L03_both_forms_convert_into_each_other_and_give_identical_outputs(size, seed):
    n, m = size
    rng = np.random.default_rng(seed)
    X, W, U = rng.normal(size=(2, n, m)), rng.normal(size=(n, m, n, m)), rng.normal(size=(n, m))
    V = derivation.to_offsets(W)
    for i, j, a, b in product(range(n), range(m), range(1 - n, n), range(1 - m, m)):
        inside = 0 <= i + a < n and 0 <= j + b < m
        assert V[i, j, a + n - 1, b + m - 1] == (W[i, j, i + a, j + b] if inside else 0)
    np.testing.assert_array_equal(derivation.to_pixels(V), W)
    H = derivation.offset_image_layer(X, V, U)
    np.testing.assert_allclose(H, derivation.dense_image_layer(X, W, U), rtol=1e-12, atol=1e-12)
    # what V holds outside the picture meets only zeros
    anything = np.where(V == 0, rng.normal(size=V.shape), V)
    np.testing.assert_allclose(derivation.offset_image_layer(X, anything, U), H, rtol=1e-12, atol=1e-12)


@given(sizes, seeds)
def test_L04_tying_is_the_projection_onto_translation_invariant_weights(size, seed):
    n, m = size
    V = derivation.to_offsets(np.random.default_rng(seed).normal(size=(n, m, n, m)))
    tied = derivation.tie(V)
    np.testing.assert_allclose(derivation.tie(derivation.untie(tied)), tied, rtol=1e-12, atol=1e-15)  # twice is once
    for index in np.ndindex(*tied.shape):
        a, b = index[0] - (n - 1), index[1] - (m - 1)
        entries = [V[(i, j, *index)] for i in range(n) for j in range(m) if 0 <= i + a < n and 0 <= j + b < m]
        (least,) = np.linalg.lstsq(np.ones((len(entries), 1)), np.array(entries), rcond=None)[0]
        assert tied[index] == pytest.approx(least, rel=1e-10, abs=1e-12)


@given(sizes, seeds)
def test_L04_tied_weights_are_one_shared_kernel(size, seed):
    n, m = size
    rng = np.random.default_rng(seed)
    X, V, u = rng.normal(size=(n, m)), rng.normal(size=(2 * n - 1, 2 * m - 1)), rng.normal()
    H = derivation.shared_image_layer(X, V, u)
    everywhere = derivation.untie(V)
    U = np.full((n, m), u)
    np.testing.assert_allclose(derivation.offset_image_layer(X, everywhere, U), H, rtol=1e-12, atol=1e-12)
    W = derivation.to_pixels(everywhere)
    np.testing.assert_allclose(derivation.dense_image_layer(X, W, U), H, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, 0), (-2, 1), (2, -2)])
def test_L04_a_shifted_input_gives_the_shifted_output(down, right):
    """On pictures whose non-zero part stays inside the frame, and at places whose shift does."""
    rng = np.random.default_rng(4)
    X, V = np.zeros((9, 9)), rng.normal(size=(17, 17))
    X[3:6, 3:6] = rng.normal(size=(3, 3))
    H = derivation.shared_image_layer(X, V, 0.7)
    moved = derivation.shared_image_layer(shifted(X, down, right), V, 0.7)
    inner = shifted(np.ones((9, 9)), down, right) > 0
    np.testing.assert_allclose(moved[inner], shifted(H, down, right)[inner], rtol=1e-12, atol=1e-12)
    dense = rng.normal(size=(9, 9, 9, 9))
    before = derivation.dense_image_layer(X, dense, np.zeros((9, 9)))
    after = derivation.dense_image_layer(shifted(X, down, right), dense, np.zeros((9, 9)))
    assert np.allclose(after[inner], shifted(before, down, right)[inner]) == ((down, right) == (0, 0))


@given(sizes, st.integers(0, 3), seeds)
def test_L05_local_weights_give_equation_1(size, delta, seed):
    n, m = size
    rng = np.random.default_rng(seed)
    X, V, u = rng.normal(size=(n, m)), rng.normal(size=(2 * n - 1, 2 * m - 1)), rng.normal()
    near = derivation.localise(V, delta)
    assert near.shape == (2 * delta + 1, 2 * delta + 1)
    H = derivation.windowed_image_layer(X, near, u)
    np.testing.assert_allclose(derivation.windowed_image_layer(X, V, u, delta), H, rtol=1e-12, atol=1e-12)
    for i, j in np.ndindex(n, m):
        reach = product(range(-delta, delta + 1), repeat=2)
        inside = [(a, b) for a, b in reach if 0 <= i + a < n and 0 <= j + b < m]
        expected = u + sum(V[a + n - 1, b + m - 1] * X[i + a, j + b] for a, b in inside)
        assert H[i, j] == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_L05_the_three_forms_agree_where_they_should():
    rng = np.random.default_rng(5)
    n, m, delta = 6, 5, 1
    X, U, u = rng.normal(size=(n, m)), np.full((n, m), 0.3), 0.3
    local = np.zeros((2 * n - 1, 2 * m - 1))
    local[n - 2 : n + 1, m - 2 : m + 1] = rng.normal(size=(3, 3))
    windowed = derivation.windowed_image_layer(X, derivation.localise(local, delta), u)
    np.testing.assert_allclose(derivation.shared_image_layer(X, local, u), windowed, rtol=1e-12, atol=1e-12)
    W = derivation.to_pixels(derivation.untie(local))
    np.testing.assert_allclose(derivation.dense_image_layer(X, W, U), windowed, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        correlate(X, local[n - 2 : n + 1, m - 2 : m + 1], padding=1) + u, windowed, rtol=1e-12, atol=1e-12
    )
    # with weights further off than delta the window is a different layer
    far = rng.normal(size=local.shape)
    assert not np.allclose(derivation.shared_image_layer(X, far, u), derivation.windowed_image_layer(X, far, u, delta))


@pytest.mark.parametrize(("n", "m", "delta"), [(1, 1, 0), (4, 3, 1), (28, 28, 2), (1000, 1000, 5)])
def test_L05_parameters_of_the_three_forms(n, m, delta):
    assert derivation.dense_parameters(n, m) == (n * m) ** 2 + n * m
    assert derivation.shared_parameters(n, m) == (2 * n - 1) * (2 * m - 1) + 1
    assert derivation.windowed_parameters(delta) == (2 * delta + 1) ** 2 + 1
    if n < 5:
        W, V = np.zeros((n, m, n, m)), np.zeros((2 * n - 1, 2 * m - 1))
        assert W.size + n * m == derivation.dense_parameters(n, m)
        assert V.size + 1 == derivation.shared_parameters(n, m)
        assert derivation.localise(V, delta).size + 1 == derivation.windowed_parameters(delta)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), seeds)
def test_L08_channels_equation_3(h, w, c, d, delta, seed):
    rng = np.random.default_rng(seed)
    X, u = rng.normal(size=(h, w, c)), rng.normal(size=d)
    V = rng.normal(size=(2 * delta + 1, 2 * delta + 1, c, d))
    H = derivation.image_convolution(X, V, u)
    assert H.shape == (h, w, d)
    for i, j in np.ndindex(h, w):
        expected = u.copy()
        for a, b in product(range(-delta, delta + 1), repeat=2):
            if 0 <= i + a < h and 0 <= j + b < w:
                expected += X[i + a, j + b] @ V[a + delta, b + delta]
        np.testing.assert_allclose(H[i, j], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(derivation.image_convolution(X[None, None], V, u)[0, 0], H, rtol=1e-12, atol=1e-12)


def test_every_step_records_and_has_gradients():
    rng = np.random.default_rng(6)
    X, W, U = rng.normal(size=(3, 2)), rng.normal(size=(3, 2, 3, 2)), rng.normal(size=(3, 2))
    V, v = derivation.to_offsets(W), rng.normal(size=(5, 3))
    calls = [
        (derivation.dense_image_layer, X, W, U),
        (derivation.offset_image_layer, X, V, U),
        (derivation.shared_image_layer, X, v, np.float64(0.2)),
        (lambda *t: derivation.windowed_image_layer(*t, delta=1), X, v, np.float64(0.2)),
        (derivation.image_convolution, X[..., None], rng.normal(size=(3, 3, 1, 2)), rng.normal(size=2)),
        (derivation.to_offsets, W),
        (derivation.to_pixels, V),
        (derivation.tie, V),
        (derivation.untie, v),
        (lambda t: derivation.localise(t, (1, 2)), v),
    ]
    for function, *arguments in calls:
        np.testing.assert_allclose(recorded(function, *arguments), function(*arguments), rtol=1e-12)
        if max(np.size(argument) for argument in arguments) < 40:
            assert_gradients_match(function, *map(np.asarray, arguments))


def test_given_dtypes_are_kept_and_whole_numbers_taken():
    X, V = np.ones((3, 3), np.float32), np.ones((3, 3), np.float32)
    assert derivation.windowed_image_layer(X, V, 0.5).dtype == np.float32
    assert derivation.image_convolution(X[..., None], V[..., None, None], 0.5).dtype == np.float32
    np.testing.assert_array_equal(derivation.image_convolution([[[1], [2]]], [[[[3]]]], [1]), [[[4], [7]]])
    assert derivation.tie(np.ones((2, 2, 3, 3), int)).dtype == np.float64


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: derivation.dense_image_layer(np.zeros((3, 3)), np.zeros((3, 3, 3, 2)), 0),
            r"\(3, 3\).*\(3, 3, 3, 2\)",
        ),
        (lambda: derivation.to_offsets(np.zeros((3, 3, 3, 2))), r"\(n, m, n, m\).*\(3, 3, 3, 2\)"),
        (lambda: derivation.to_pixels(np.zeros((3, 3, 5, 3))), r"2n - 1.*\(3, 3, 5, 3\)"),
        (lambda: derivation.offset_image_layer(np.zeros((3, 2)), np.zeros((3, 3, 5, 5)), 0), r"\(3, 2\).*3 x 3 pixels"),
        (lambda: derivation.tie(np.zeros((3, 3))), r"\(3, 3\)"),
        (lambda: derivation.shared_image_layer(np.zeros((3, 3)), np.zeros((2, 3)), 0), "odd number"),
        (lambda: derivation.localise(np.zeros((3, 3)), -1), "delta was -1"),
        (
            lambda: derivation.image_convolution(np.zeros((3, 3, 2)), np.zeros((3, 3, 1, 4)), 0),
            r"\(3, 3, 2\).*\(3, 3, 1, 4\)",
        ),
        (
            lambda: derivation.image_convolution(np.zeros((3, 3, 1)), np.zeros((3, 3, 1, 4)), np.zeros(3)),
            r"^u has shape \(3,\); for V of shape \(3, 3, 1, 4\) it must be \(4,\)",
        ),
        (lambda: derivation.dense_parameters(0, 3), "n was 0"),
        (lambda: derivation.windowed_parameters(-1), "delta was -1"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match="(?s)" + words):
        call()
