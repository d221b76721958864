"""L31: maximum and average pooling, against window by window sums and maxima and ONNX's reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_oracle import onnx_operator
from oracles import assert_gradients_match, direct_windows, recorded
from wimmel import functional
from wimmel.geometry import pooled_sizes
from wimmel.runtime import grad

MAX = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
MEAN = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


@st.composite
def windows(draw, dilations=2):
    axes = draw(st.integers(1, 3))
    kernel, stride = (draw(st.tuples(*[st.integers(1, 3)] * axes)) for _ in range(2))
    padding = tuple((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in kernel)
    dilation = tuple(draw(st.integers(1, dilations)) for _ in kernel)
    # two elements more than a window's reach in front, so that no window misses the picture
    sizes = tuple(d * (k - 1) + 1 + draw(st.integers(0, 3)) for k, d in zip(kernel, dilation, strict=True))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *sizes)
    settings = {"stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}
    return shape, kernel, dilation, settings


def looked_at(x, kernel, dilation, stride, padding, ceil_mode):
    outputs = pooled_sizes(x.shape[2:], kernel, padding, stride, dilation, ceil_mode)
    found = direct_windows(x, kernel, outputs, stride=stride, padding=padding, dilation=dilation)
    return found, (*x.shape[:2], *outputs)


@given(windows(), st.booleans(), st.integers(0, 2**32 - 1))
def test_L31_maximum_pooling_is_the_maximum_of_every_window(case, whole, seed):
    shape, kernel, dilation, settings = case
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, shape) if whole else rng.normal(size=shape)
    places, outputs = looked_at(x, kernel, dilation, **settings)
    expected = np.zeros(outputs, x.dtype)
    for index, found in places.items():
        expected[index] = max(x[place] for place in found)
    pool = MAX[len(kernel)]
    y = pool(x, kernel, dilation=dilation, **settings)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(recorded(lambda t: pool(t, kernel, dilation=dilation, **settings), x), expected)


@given(windows(dilations=1), st.booleans(), st.integers(0, 2**32 - 1))
def test_L31_average_pooling_is_the_mean_of_every_window(case, include, seed):
    shape, kernel, dilation, settings = case
    x = np.random.default_rng(seed).normal(size=shape)
    places, outputs = looked_at(x, kernel, dilation, **settings)
    expected = np.zeros(outputs)
    for index, found in places.items():
        total, count = sum(x[place] for place in found), len(found)
        if include:  # what of the window lies inside the padded picture
            count = 1
            rows = zip(index[2:], kernel, settings["stride"], settings["padding"], shape[2:], strict=True)
            for position, k, s, (front, behind), n in rows:
                count *= min(position * s + k, front + n + behind) - position * s
        expected[index] = total / count
    pool = MEAN[len(kernel)]
    y = pool(x, kernel, count_include_pad=include, **settings)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    again = recorded(lambda t: pool(t, kernel, count_include_pad=include, **settings), x)
    np.testing.assert_array_equal(again, y)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pooling_against_onnx(axes, ceil_mode):
    x = np.random.default_rng(axes).normal(size=(2, 3, *(7, 6, 5)[:axes])).astype(np.float32)
    attributes = {
        "kernel_shape": [3] * axes,
        "strides": [2] * axes,
        "pads": [1] * 2 * axes,
        "ceil_mode": int(ceil_mode),
    }
    largest = MAX[axes](x, 3, 2, 1, ceil_mode=ceil_mode)
    np.testing.assert_array_equal(largest, onnx_operator("MaxPool", attributes, x))
    mean = MEAN[axes](x, 3, 2, 1, ceil_mode, count_include_pad=False)
    np.testing.assert_allclose(mean, onnx_operator("AveragePool", attributes, x), rtol=1e-6, atol=1e-6)


def test_the_stride_is_the_kernel_unless_told():
    x = np.random.default_rng(0).normal(size=(1, 2, 6, 8))
    np.testing.assert_array_equal(functional.max_pool2d(x, (3, 2)), functional.max_pool2d(x, (3, 2), (3, 2)))
    np.testing.assert_array_equal(functional.avg_pool2d(x, 2), functional.avg_pool2d(x, 2, 2))


def test_a_divisor_of_ones_own():
    x = np.arange(16.0).reshape(1, 4, 4)
    np.testing.assert_allclose(functional.avg_pool2d(x, 2, divisor_override=1), functional.avg_pool2d(x, 2) * 4)
    with pytest.raises(ValueError, match="divisor_override=0"):
        functional.avg_pool2d(x, 2, divisor_override=0)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_one_example_needs_no_batch_axis(axes):
    x = np.random.default_rng(1).normal(size=(2, *(5,) * axes))
    np.testing.assert_array_equal(MAX[axes](x, 2), MAX[axes](x[None], 2)[0])
    np.testing.assert_array_equal(MEAN[axes](x, 2), MEAN[axes](x[None], 2)[0])


@pytest.mark.parametrize(
    ("axes", "settings"),
    [
        (1, {"stride": 2, "padding": 1}),
        (2, {"stride": (1, 2), "ceil_mode": True}),
        (2, {"stride": 3}),
        (3, {"stride": 1}),
    ],
)
def test_gradients_of_pooling(axes, settings):
    rng = np.random.default_rng(2)
    shape = (1, 2, *{1: (7,), 2: (4, 5), 3: (3, 2, 3)}[axes])
    apart = rng.permutation(np.prod(shape)).reshape(shape) / 7.0  # no two elements near each other
    assert_gradients_match(lambda t: MAX[axes](t, 2, **settings), apart)
    assert_gradients_match(lambda t: MEAN[axes](t, 2, **settings), apart)
    assert_gradients_match(lambda t: MEAN[axes](t, 2, count_include_pad=False, **settings), apart)


def test_gradients_of_dilated_maxima():
    apart = np.random.default_rng(3).permutation(35).reshape(1, 1, 5, 7) / 7.0
    assert_gradients_match(lambda t: functional.max_pool2d(t, 2, 1, 1, 2), apart)


def test_of_equal_maxima_the_first_in_row_major_order_gets_the_gradient():
    slope = grad(lambda x: functional.max_pool2d(x, 2).sum())(np.ones((1, 4, 4)))
    np.testing.assert_array_equal(slope[0], [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])


def test_nan_is_the_maximum_and_gets_the_gradient():
    x = np.array([[[1.0, np.nan], [3.0, 2.0]]])
    assert np.isnan(functional.max_pool2d(x, 2)).all()
    np.testing.assert_array_equal(grad(lambda t: functional.max_pool2d(t, 2).sum())(x)[0], [[0, 1], [0, 0]])
    assert np.isnan(functional.avg_pool2d(x, 2)).all()


def test_padding_is_below_everything_for_maxima():
    x = np.full((1, 2, 2), -5.0)
    np.testing.assert_array_equal(functional.max_pool2d(x, 2, padding=1), x)
    np.testing.assert_array_equal(functional.max_pool2d(x.astype(np.int8), 2, padding=1), x)
    np.testing.assert_array_equal(
        functional.max_pool2d(np.full((1, 2, 2), -np.inf), 2, padding=1), np.full((1, 2, 2), -np.inf)
    )


def test_same_padding_keeps_ceil_of_size_over_stride():
    x = np.random.default_rng(4).normal(size=(1, 7, 7))
    assert functional.max_pool2d(x, 3, 2, "same").shape == (1, 4, 4)
    assert functional.avg_pool2d(x, 2, 1, "same").shape == (1, 7, 7)


@pytest.mark.parametrize(
    ("shape", "settings", "words"),
    [
        ((1, 3, 2, 2), {"kernel_size": 3}, r"max_pool2d.*\(1, 3, 2, 2\).*larger than the input.*size 3 against 2"),
        ((3, 2, 2), {"kernel_size": 3}, r"max_pool2d was given an input of shape \(3, 2, 2\) and a window of size 3"),
        ((1, 3, 4, 4), {"kernel_size": 2, "padding": 2}, "at most half the kernel"),
        ((1, 3, 4, 4), {"kernel_size": 2, "stride": 0}, "stride must be at least 1"),
        ((1, 3, 4, 4), {"kernel_size": 0}, "kernel_size must be at least 1"),
        ((1, 3, 4, 4), {"kernel_size": (2, 2, 2)}, "kernel_size must be one whole number or 2"),
        ((4, 4), {"kernel_size": 2}, r"\(4, 4\).*channels, height, width"),
        ((1, 3, 0, 4), {"kernel_size": 2}, r"\(1, 3, 0, 4\)"),
    ],
)
def test_what_does_not_fit_is_refused(shape, settings, words):
    with pytest.raises(ValueError, match="(?s)" + words):
        functional.max_pool2d(np.zeros(shape), **settings)


def test_dtypes_that_make_no_sense_are_refused():
    with pytest.raises(TypeError, match="max_pool1d was given booleans"):
        functional.max_pool1d(np.zeros((1, 4), bool), 2)
    with pytest.raises(TypeError, match="avg_pool1d was given an input of dtype uint8"):
        functional.avg_pool1d(np.zeros((1, 4), np.uint8), 2)


def test_an_empty_batch_gives_an_empty_result():
    assert functional.max_pool2d(np.zeros((0, 3, 4, 4)), 2).shape == (0, 3, 2, 2)
    assert functional.avg_pool2d(np.zeros((0, 3, 4, 4)), 2).shape == (0, 3, 2, 2)
