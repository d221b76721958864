"""Adaptive and global pooling, against windows from floor(i n / m) to ceil((i + 1) n / m) written out, and ONNX."""

from itertools import product
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_oracle import onnx_operator
from oracles import assert_gradients_match, recorded
from wimmel import functional
from wimmel.runtime import grad

POOLS = {
    "mean": {1: functional.adaptive_avg_pool1d, 2: functional.adaptive_avg_pool2d},
    "max": {1: functional.adaptive_max_pool1d, 2: functional.adaptive_max_pool2d},
}
REDUCE = {"mean": np.mean, "max": np.max}


def written_out(x, outputs, reduce):
    y = np.empty((*x.shape[:2], *outputs))
    for index in product(*map(range, outputs)):
        rows = zip(index, x.shape[2:], outputs, strict=True)
        window = tuple(slice(floor(i * n / m), ceil((i + 1) * n / m)) for i, n, m in rows)
        part = x[(slice(None), slice(None), *window)]
        y[(slice(None), slice(None), *index)] = reduce(part, axis=tuple(range(2, x.ndim)))
    return y


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=2),
    st.sampled_from(["mean", "max"]),
    st.integers(0, 2**32 - 1),
)
def test_every_window_is_where_it_should_be(axes, kind, seed):
    sizes, outputs = zip(*axes, strict=True)
    x = np.random.default_rng(seed).normal(size=(2, 2, *sizes))
    pool = POOLS[kind][len(axes)]
    y = pool(x, outputs)
    np.testing.assert_allclose(y, written_out(x, outputs, REDUCE[kind]), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(recorded(lambda t: pool(t, outputs), x), y)


@pytest.mark.parametrize("outputs", [3, (2, 4), (5, 2), (7, 3)])
def test_gradients_of_adaptive_pooling(outputs):
    apart = np.random.default_rng(0).permutation(40).reshape(1, 2, 5, 4) / 7.0
    assert_gradients_match(lambda t: functional.adaptive_avg_pool2d(t, outputs), apart)
    assert_gradients_match(lambda t: functional.adaptive_max_pool2d(t, outputs), apart)


def test_none_keeps_an_axis():
    x = np.random.default_rng(1).normal(size=(1, 2, 6, 5))
    np.testing.assert_allclose(functional.adaptive_avg_pool2d(x, (None, 1)), x.mean(-1, keepdims=True), rtol=1e-12)
    np.testing.assert_array_equal(functional.adaptive_avg_pool2d(x, None), x)
    np.testing.assert_array_equal(functional.adaptive_max_pool1d(x[0], 1), x[0].max(-1, keepdims=True))


def test_one_example_needs_no_batch_axis():
    x = np.random.default_rng(2).normal(size=(2, 6, 5))
    np.testing.assert_array_equal(functional.adaptive_avg_pool2d(x, 4), functional.adaptive_avg_pool2d(x[None], 4)[0])


def test_nan_stays_in_the_windows_that_hold_it():
    x = np.ones((1, 1, 5))
    x[..., 0] = np.nan
    np.testing.assert_array_equal(np.isnan(functional.adaptive_avg_pool1d(x, 3)), [[[True, False, False]]])
    np.testing.assert_array_equal(np.isnan(functional.adaptive_max_pool1d(x, 3)), [[[True, False, False]]])


def test_of_equal_maxima_the_first_in_row_major_order_gets_the_gradient():
    expected = np.zeros((1, 1, 3, 5))
    expected[0, 0, 0, [0, 2]] = expected[0, 0, 1, [0, 2]] = 1
    np.testing.assert_array_equal(
        grad(lambda t: functional.adaptive_max_pool2d(t, 2).sum())(np.ones((1, 1, 3, 5))), expected
    )
    slope = grad(lambda t: functional.global_max_pool(t).sum())(np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(slope, [[[[1, 0], [0, 0]]]])


@pytest.mark.parametrize("sizes", [(4,), (3, 2), (2, 3, 2)])
def test_global_pooling(sizes):
    x = np.random.default_rng(3).normal(size=(2, 3, *sizes)).astype(np.float32)
    axes = tuple(range(2, x.ndim))
    mean, largest = functional.global_avg_pool(x), functional.global_max_pool(x)
    assert mean.shape == largest.shape == (2, 3)
    np.testing.assert_array_equal(largest, x.max(axes))
    np.testing.assert_allclose(
        functional.global_avg_pool(x, keepdims=True), onnx_operator("GlobalAveragePool", {}, x), 1e-5
    )
    np.testing.assert_array_equal(functional.global_max_pool(x, keepdims=True), x.max(axes, keepdims=True))
    np.testing.assert_array_equal(recorded(functional.global_avg_pool, x), mean)
    np.testing.assert_array_equal(recorded(functional.global_max_pool, x), largest)
    assert mean.dtype == largest.dtype == np.float32


def test_gradients_of_global_pooling():
    apart = np.random.default_rng(4).permutation(24).reshape(2, 2, 3, 2) / 7.0
    assert_gradients_match(functional.global_avg_pool, apart)
    assert_gradients_match(lambda t: functional.global_max_pool(t, keepdims=True), apart)


def test_global_maxima_of_nan_infinity_and_whole_numbers():
    x = np.array([[[1.0, np.nan, 2.0]], [[-np.inf, -np.inf, -np.inf]], [[np.inf, 0, 1]]])
    np.testing.assert_array_equal(functional.global_max_pool(x), [[np.nan], [-np.inf], [np.inf]])
    whole = np.array([[[-3, -1, -2]]], np.int8)
    assert functional.global_max_pool(whole).dtype == np.int8
    np.testing.assert_array_equal(functional.global_max_pool(whole), [[-1]])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: functional.adaptive_avg_pool2d(np.zeros((1, 2, 3, 3)), 0), "output_size must be at least 1"),
        (lambda: functional.adaptive_avg_pool2d(np.zeros((1, 2, 3, 3)), (1, 2, 3)), "one whole number or 2"),
        (lambda: functional.adaptive_avg_pool2d(np.zeros((3, 3)), 1), r"\(3, 3\).*channels, height, width"),
        (lambda: functional.adaptive_max_pool2d(np.zeros((1, 2, 0, 3)), 1), "empty"),
        (lambda: functional.global_avg_pool(np.zeros((2, 3))), r"global_avg_pool.*\(2, 3\)"),
        (lambda: functional.global_max_pool(np.zeros((2, 3, 0))), r"global_max_pool.*\(2, 3, 0\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match="(?s)" + words):
        call()


def test_dtypes_that_make_no_sense_are_refused():
    with pytest.raises(TypeError, match="adaptive_max_pool2d was given booleans"):
        functional.adaptive_max_pool2d(np.zeros((1, 2, 3, 3), bool), 1)
    with pytest.raises(TypeError, match="global_avg_pool was given an input of dtype int64"):
        functional.global_avg_pool(np.zeros((1, 2, 3), np.int64))
