"""conv1d, conv2d, conv3d and linear: against plain sums, SciPy and ONNX's reference; their gradients and refusals."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from onnx_oracle import onnx_operator
from oracles import assert_gradients_match, direct_convolution, recorded
from wimmel import functional
from wimmel.geometry import lecture_padding

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@st.composite
def settings_of_a_convolution(draw):
    axes = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 2))
    each = {1: st.integers(1, 6), 2: st.integers(1, 4), 3: st.integers(1, 3)}[axes]
    kernel = draw(st.tuples(*[st.integers(1, 3)] * axes))
    dilation = draw(st.tuples(*[st.integers(1, 2)] * axes))
    padding = draw(st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * axes))
    stride = draw(st.tuples(*[st.integers(1, 3)] * axes))
    sizes = tuple(
        max(1, d * (k - 1) + 1 - sum(p) + draw(each) - 1) for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    shape = (draw(st.integers(0, 2)), groups * draw(st.integers(1, 2)), *sizes)
    weight = (groups * draw(st.integers(1, 2)), shape[1] // groups, *kernel)
    return shape, weight, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def outputs_of(shape, weight, stride, padding, dilation, **_):
    rows = zip(shape[2:], weight[2:], stride, padding, dilation, strict=True)
    return tuple((n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in rows)


@given(settings_of_a_convolution(), st.integers(0, 2**32 - 1))
def test_convolution_is_the_plain_sum_and_records_the_same(case, seed):
    shape, weight_shape, settings = case
    rng = np.random.default_rng(seed)
    x, w, b = rng.normal(size=shape), rng.normal(size=weight_shape), rng.normal(size=weight_shape[0])
    axes = len(shape) - 2
    y = CONVOLUTIONS[axes](x, w, b, **settings)
    expected = np.empty((shape[0], weight_shape[0], *outputs_of(shape, weight_shape, **settings)))
    expected = direct_convolution(x, w, expected, "y", **settings) + b.reshape(-1, *(1,) * axes)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        recorded(lambda *t: CONVOLUTIONS[axes](*t, **settings), x, w, b), y, rtol=1e-5, atol=1e-12
    )


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolution_against_onnx(axes):
    rng = np.random.default_rng(axes)
    x, w, b = rng.normal(size=(2, 4, *(7, 6, 5)[:axes])), rng.normal(size=(6, 2, *(3, 2, 2)[:axes])), rng.normal(size=6)
    attributes = {"strides": [2] * axes, "pads": [1] * axes + [0] * axes, "dilations": [1, 2, 1][:axes], "group": 2}
    y = CONVOLUTIONS[axes](x, w, b, stride=2, padding=((1, 0),) * axes, dilation=(1, 2, 1)[:axes], groups=2)
    np.testing.assert_allclose(y, onnx_operator("Conv", attributes, x, w, b), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("padding", "word"), [("same", "SAME_UPPER"), ("same_lower", "SAME_LOWER"), ("valid", "VALID")]
)
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_padding_words_are_those_of_onnx(padding, word, stride):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 2, 7, 8)), rng.normal(size=(3, 2, 4, 3))
    expected = onnx_operator("Conv", {"auto_pad": word, "strides": [stride] * 2}, x, w)
    np.testing.assert_allclose(
        functional.conv2d(x, w, stride=stride, padding=padding), expected, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_full_padding_is_scipys_full_correlation(axes):
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(5, 4, 6)[:axes]), rng.normal(size=(3, 2, 2)[:axes])
    y = CONVOLUTIONS[axes](x[None, None], w[None, None], padding="full")
    np.testing.assert_allclose(y[0, 0], scipy.signal.correlate(x, w, "full", method="direct"), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("axes", "settings"),
    [
        (1, {"stride": 2, "padding": ((2, 1),), "groups": 2}),
        (2, {"padding": "same", "dilation": (1, 2)}),
        (2, {"stride": (2, 1), "padding": 1, "groups": 2}),
        (3, {"stride": 2, "padding": 1}),
    ],
)
def test_gradients_of_convolutions(axes, settings):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 2, *{1: (6,), 2: (3, 4), 3: (2, 2, 3)}[axes]))
    w = rng.normal(size=(2, 2 // settings.get("groups", 1), *(2, 3, 2)[:axes]))
    assert_gradients_match(lambda *t: CONVOLUTIONS[axes](*t, **settings), x, w, rng.normal(size=2))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_one_example_needs_no_batch_axis(axes):
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(2, *(5,) * axes)), rng.normal(size=(3, 2, *(2,) * axes))
    np.testing.assert_array_equal(CONVOLUTIONS[axes](x, w), CONVOLUTIONS[axes](x[None], w)[0])


@pytest.mark.parametrize(
    ("of_x", "of_weight", "result"),
    [("f4", "f4", "f4"), ("f8", "f8", "f8"), ("f4", "f8", "f8"), ("f8", "f4", "f8")],
)
def test_mixed_floats_promote_as_in_numpy(of_x, of_weight, result):
    x, w = np.ones((1, 1, 3), of_x), np.ones((1, 1, 2), of_weight)
    assert functional.conv1d(x, w).dtype == result
    assert recorded(functional.conv1d, x, w).dtype == result
    assert functional.linear(x, w[0]).dtype == result if x.shape[-1] == w.shape[-1] else True


def test_every_view_of_an_array_counts_the_same():
    rng = np.random.default_rng(4)
    x, w = rng.normal(size=(2, 3, 5, 6)), rng.normal(size=(4, 3, 2, 3))
    expected = functional.conv2d(x, w)
    frozen = x.copy()
    frozen.flags.writeable = False
    wide = np.zeros((2, 3, 5, 12))
    wide[..., ::2] = x
    views = [np.asfortranarray(x), x[:, :, ::-1][:, :, ::-1], x.astype(">f8"), frozen, wide[..., ::2]]
    for view in views:
        np.testing.assert_array_equal(functional.conv2d(view, w), expected)
        np.testing.assert_array_equal(functional.conv2d(view, np.asfortranarray(w)), expected)


def test_an_empty_batch_gives_an_empty_result():
    assert functional.conv2d(np.zeros((0, 3, 5, 6)), np.zeros((4, 3, 2, 3))).shape == (0, 4, 4, 4)
    assert functional.linear(np.zeros((0, 3)), np.zeros((4, 3))).shape == (0, 4)


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (((1, 3, 8, 8), (6, 1, 5, 5)), {}, ["conv2d", r"\(1, 3, 8, 8\)", r"\(6, 1, 5, 5\)", "3 channels", "1 channel"]),
        (((3, 8, 8), (6, 1, 5, 5)), {}, [r"\(3, 8, 8\)", r"\(6, 1, 5, 5\)"]),
        (((1, 4, 8, 8), (3, 2, 5, 5)), {"groups": 2}, ["3 channels", "2 groups"]),
        (((1, 3, 4, 4), (6, 3, 5, 5)), {}, ["conv2d", r"\(1, 3, 4, 4\)", "kernel is larger", "size 5 against 4"]),
        (((1, 3, 8, 8), (6, 3, 5, 5)), {"stride": 0}, ["stride must be at least 1", "got 0"]),
        (((1, 3, 8, 8), (6, 3, 5, 5)), {"dilation": 0}, ["dilation must be at least 1"]),
        (((1, 3, 8, 8), (6, 3, 5, 5)), {"padding": -1}, ["padding", "-1"]),
        (((1, 3, 8, 8), (6, 3, 5, 5)), {"padding": "some"}, ["'some'", "same_lower"]),
        (((1, 3, 8, 8), (6, 3, 5, 5)), {"groups": 0}, ["groups must be"]),
        (((3, 8), (6, 3, 5, 5)), {}, [r"\(3, 8\)", "channels, height, width"]),
        (((1, 3, 8, 8), (6, 3, 5)), {}, [r"\(6, 3, 5\)", "4 axes"]),
        (((1, 3, 8, 8), (0, 3, 5, 5)), {}, [r"\(0, 3, 5, 5\)", "none empty"]),
    ],
)
def test_what_does_not_fit_is_refused_with_both_shapes(arguments, settings, words):
    x, w = (np.zeros(shape) for shape in arguments)
    with pytest.raises(ValueError, match="(?s)" + ".*".join(words)):
        functional.conv2d(x, w, **settings)
    with pytest.raises(ValueError, match="(?s)" + ".*".join(words)):
        recorded(lambda *t: functional.conv2d(*t, **settings), x, w)


def test_a_bias_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"a bias of shape \(5,\).*6 channels"):
        functional.conv2d(np.zeros((1, 3, 8, 8)), np.zeros((6, 3, 5, 5)), np.zeros(5))
    with pytest.raises(ValueError, match=r"a bias of shape \(5,\).*6 channels"):
        functional.linear(np.zeros((1, 3)), np.zeros((6, 3)), np.zeros(5))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool"])
def test_whole_numbers_are_refused_with_advice(dtype):
    x, w = np.zeros((1, 3, 8, 8), dtype), np.zeros((6, 3, 5, 5))
    with pytest.raises(TypeError, match=rf"conv2d was given an input of dtype {dtype}.*x\.astype\(np\.float32\) / 255"):
        functional.conv2d(x, w)
    with pytest.raises(TypeError, match=rf"a weight of dtype {dtype}"):
        functional.conv2d(x.astype(float), w.astype(dtype))
    with pytest.raises(TypeError, match=rf"linear was given an input of dtype {dtype}"):
        functional.linear(np.zeros((2, 3), dtype), np.zeros((4, 3)))


@pytest.mark.parametrize("dtype", ["float16", "complex128"])
def test_other_floats_are_refused_with_advice(dtype):
    with pytest.raises(TypeError, match=rf"{dtype}.*float32"):
        functional.conv2d(np.zeros((1, 3, 8, 8), dtype), np.zeros((6, 3, 5, 5)))


@given(st.lists(st.integers(1, 3), max_size=3), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_linear_is_the_matrix_product(batch, inputs, outputs, seed):
    rng = np.random.default_rng(seed)
    x, w, b = rng.normal(size=(*batch, inputs)), rng.normal(size=(outputs, inputs)), rng.normal(size=outputs)
    expected = np.einsum("...i,oi->...o", x, w) + b
    np.testing.assert_allclose(functional.linear(x, w, b), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(recorded(functional.linear, x, w, b), expected, rtol=1e-12, atol=1e-12)


def test_gradients_of_linear():
    rng = np.random.default_rng(5)
    assert_gradients_match(functional.linear, rng.normal(size=(3, 4)), rng.normal(size=(2, 4)), rng.normal(size=2))
    assert_gradients_match(functional.linear, rng.normal(size=4), rng.normal(size=(2, 4)))


def test_linear_refuses_other_features_with_both_shapes():
    with pytest.raises(ValueError, match=r"linear.*\(2, 3\).*\(4, 5\)"):
        functional.linear(np.zeros((2, 3)), np.zeros((4, 5)))


def test_strides_and_paddings_may_be_written_long_or_short():
    rng = np.random.default_rng(6)
    x, w = rng.normal(size=(1, 2, 9, 8)), rng.normal(size=(2, 2, 3, 3))
    short = functional.conv2d(x, w, stride=2, padding=1)
    np.testing.assert_array_equal(functional.conv2d(x, w, stride=(2, 2), padding=(1, 1)), short)
    np.testing.assert_array_equal(functional.conv2d(x, w, stride=np.int64(2), padding=((1, 1), (1, 1))), short)
    np.testing.assert_array_equal(functional.conv2d(x, w, stride=2, padding=lecture_padding(3)), short)


def test_a_picture_whose_padding_no_memory_holds_is_refused():
    x, weight = np.ones((1, 2, 4), np.float32), np.ones((2, 2, 3), np.float32)
    with pytest.raises(ValueError, match=r"shape \(1, 2, 4\) with its padding is larger than any memory"):
        functional.conv1d(x, weight, padding=2**61, stride=2**61)
    with pytest.raises(ValueError, match="larger than any memory"):
        functional.conv_transpose1d(x, weight, stride=2**61)
