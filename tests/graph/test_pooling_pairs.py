"""Pooling and what its gradients need: against ONNX's reference evaluator, as adjoints, and with ties, NaN, infinities
and windows that hold nothing but padding."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given

from onnx_oracle import onnx_operator
from oracles import assert_gradients_match, examples, largest_difference
from wimmel.graph import primitives
from wimmel.graph.primitives import max_pool, max_pool_take, max_unpool, sum_pool, sum_unpool


@st.composite
def poolings(draw: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """An input with many ties, and windows over one or two axes with padding below half a window, as ONNX asks."""
    axes = draw(st.integers(1, 2))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(axes))
    padding = tuple((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in kernel)
    sizes = tuple(d * (k - 1) + 1 + draw(st.integers(0, 4)) for k, d in zip(kernel, dilation, strict=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(-4, 0, (draw(st.integers(1, 2)), 2, *sizes)).astype(np.float64)
    stride = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    return x, {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}


def with_onnx(operator: str, x: np.ndarray, windows: dict[str, Any], **attributes: Any) -> np.ndarray:
    fronts, behinds = zip(*windows["padding"], strict=True)
    geometry = {
        "kernel_shape": windows["kernel"],
        "strides": windows["stride"],
        "pads": (*fronts, *behinds),
        "dilations": windows["dilation"],
    }
    return onnx_operator(operator, {**geometry, **attributes}, x)


@given(poolings(), st.booleans())
@examples(60)
def test_max_pool_is_onnx_max_pool_also_of_negative_numbers(
    drawn: tuple[np.ndarray, dict[str, Any]], ceil: bool
) -> None:
    x, windows = drawn
    # without stride or dilation the evaluator takes another path, which misreads paddings
    assume(any(number > 1 for number in windows["stride"] + windows["dilation"]))
    expected = with_onnx("MaxPool", x, windows, ceil_mode=int(ceil))
    np.testing.assert_array_equal(max_pool(x, outputs=expected.shape[2:], **windows), expected)


@given(st.integers(0, 1), st.integers(1, 3), st.integers(0, 2**32 - 1), st.booleans())
@examples(20)
def test_sums_over_counts_are_onnx_average_pool(padding: int, stride: int, seed: int, counted: bool) -> None:
    """Over two axes with the same padding on all sides, which is where the evaluator can be trusted."""
    x = np.random.default_rng(seed).normal(size=(2, 2, 5, 4))
    windows = {"kernel": (3, 2), "stride": (stride, 2), "padding": ((padding, padding),) * 2, "dilation": (1, 1)}
    expected = with_onnx("AveragePool", x, windows, count_include_pad=int(counted))
    total, count = (sum_pool(a, outputs=expected.shape[2:], **windows) for a in (x, np.ones_like(x)))
    assert largest_difference(total / (6 if counted else count), expected) < 1e-13


@given(poolings(), st.integers(0, 1))
@examples(60)
def test_each_pooling_and_its_gradient_are_adjoint(drawn: tuple[np.ndarray, dict[str, Any]], beyond: int) -> None:
    x, windows = drawn
    rows = zip(x.shape[2:], windows["kernel"], windows["padding"], windows["stride"], windows["dilation"], strict=True)
    windows["outputs"] = tuple((n + sum(pair) - d * (k - 1) - 1) // s + 1 + beyond for n, k, pair, s, d in rows)
    rng = np.random.default_rng(0)
    v, g = rng.normal(size=x.shape), rng.normal(size=(*x.shape[:2], *windows["outputs"]))
    assert np.isclose(np.vdot(g, sum_pool(v, **windows)), np.vdot(sum_unpool(g, size=x.shape[2:], **windows), v))
    assert np.isclose(np.vdot(g, max_pool_take(x, v, **windows)), np.vdot(max_unpool(x, g, **windows), v))
    held = sum_pool(np.ones_like(x), **windows) > 0
    np.testing.assert_array_equal(max_pool(x, **windows)[held], max_pool_take(x, x, **windows)[held])


ROW = {"kernel": (2,), "stride": (2,), "padding": ((0, 0),), "dilation": (1,)}


def row(*numbers: float) -> np.ndarray:
    return np.array([[numbers]], np.float64)


def test_ties_go_to_the_first_in_row_major_order() -> None:
    x = np.array([[[[1.0, 3.0, 3.0], [3.0, 3.0, 0.0]]]])
    windows = {"kernel": (2, 3), "stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "outputs": (1, 1)}
    np.testing.assert_array_equal(
        max_unpool(x, np.full((1, 1, 1, 1), 5.0), **windows), [[[[0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]]]
    )


def test_nan_is_larger_than_any_number_and_the_first_of_several_counts() -> None:
    x = row(np.inf, np.nan, np.nan, np.nan, 1.0, 2.0)
    np.testing.assert_array_equal(max_pool(x, **ROW, outputs=(3,)), row(np.nan, np.nan, 2))
    np.testing.assert_array_equal(max_unpool(x, row(1, 2, 3), **ROW, outputs=(3,)), row(0, 1, 2, 0, 0, 3))


def test_a_window_of_minus_infinities_has_its_maximum_at_its_first_element() -> None:
    x = row(-np.inf, -np.inf, -np.inf, 0.0)
    np.testing.assert_array_equal(max_pool(x, **ROW, outputs=(2,)), row(-np.inf, 0))
    np.testing.assert_array_equal(max_unpool(x, row(1, 2), **ROW, outputs=(2,)), row(1, 0, 0, 2))


def test_padding_never_wins_against_a_number() -> None:
    windows = {**ROW, "padding": ((1, 1),), "outputs": (2,)}
    x = row(-np.inf, -7.0)
    np.testing.assert_array_equal(max_pool(x, **windows), row(-np.inf, -7))
    np.testing.assert_array_equal(max_unpool(x, row(1, 2), **windows), row(1, 2))
    np.testing.assert_array_equal(sum_pool(row(3, -7), **windows), row(3, -7))


@pytest.mark.parametrize(
    ("dtype", "lowest"), [("float64", -np.inf), ("float32", -np.inf), ("int8", -128), ("uint8", 0), ("bool", 0)]
)
def test_a_window_of_padding_alone_gives_the_lowest_number_and_no_gradient(dtype: str, lowest: float) -> None:
    windows = {**ROW, "padding": ((2, 3),), "outputs": (4,)}
    x = np.ones((1, 1, 2), dtype)
    y = max_pool(x, **windows)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, np.array([[[lowest, 1, lowest, lowest]]]))
    np.testing.assert_array_equal(max_unpool(x, row(5, 1, 6, 7), **windows), row(1, 0))
    np.testing.assert_array_equal(max_pool_take(x, row(8, 9), **windows), row(0, 8, 0, 0))
    np.testing.assert_array_equal(sum_unpool(row(5, 1, 6, 7), size=(2,), **windows), row(1, 1))


def test_windows_beyond_the_padding_have_derivatives() -> None:
    windows = {"kernel": (2, 3), "stride": (2, 2), "padding": ((1, 0), (0, 0)), "dilation": (1, 2), "outputs": (2, 2)}
    x = np.random.default_rng(2).permutation(24).reshape(1, 2, 2, 6) / 10
    assert_gradients_match(lambda x: primitives.max_pool(x, **windows), x)
    assert_gradients_match(lambda x: primitives.sum_pool(x, **windows), x)


def test_sums_that_meet_infinities_warn_of_nothing() -> None:
    np.testing.assert_array_equal(sum_pool(row(np.inf, -np.inf), **ROW, outputs=(1,)), row(np.nan))
