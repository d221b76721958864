"""Transposed convolution: against the definition, one filter added per element, ONNX's reference, and as an adjoint."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_oracle import onnx_operator
from oracles import assert_gradients_match, recorded
from wimmel import functional

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def spread(x, w, stride, padding, output_padding, groups, dilation):
    """Every element of x adds its filter, scaled, to an output that is cut at the sides afterwards."""
    n, c_in, *sizes = x.shape
    c_out, kernel = w.shape[1], w.shape[2:]
    rows = list(zip(sizes, kernel, stride, padding, output_padding, dilation, strict=True))
    whole = np.zeros((n, c_out * groups, *((m - 1) * s + d * (k - 1) + 1 + extra for m, k, s, _, extra, d in rows)))
    for channel, place, tap in product(range(c_in), product(*map(range, sizes)), product(*map(range, kernel))):
        group = channel // (c_in // groups)
        at = tuple(p * s + t * d for p, s, t, d in zip(place, stride, tap, dilation, strict=True))
        part = slice(group * c_out, (group + 1) * c_out)
        whole[(slice(None), part, *at)] += np.outer(x[(slice(None), channel, *place)], w[(channel, slice(None), *tap)])
    inner = tuple(slice(front, size - behind) for (front, behind), size in zip(padding, whole.shape[2:], strict=True))
    return whole[(slice(None), slice(None), *inner)]


@st.composite
def settings_of_a_transposed_convolution(draw):
    axes = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 2))
    each = [st.integers(1, 3)] * axes
    sizes, kernel, stride, dilation = (draw(st.tuples(*each)) for _ in range(4))
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    padding = []
    for n, k, s, d, more in zip(sizes, kernel, stride, dilation, extra, strict=True):
        room = (n - 1) * s + d * (k - 1) + more
        front = draw(st.integers(0, min(room, 2)))
        padding.append((front, draw(st.integers(0, min(room - front, 2)))))
    x = (draw(st.integers(0, 2)), groups * draw(st.integers(1, 2)), *sizes)
    weight = (x[1], draw(st.integers(1, 2)), *kernel)
    settings = {
        "stride": stride,
        "padding": tuple(padding),
        "output_padding": extra,
        "groups": groups,
        "dilation": dilation,
    }
    return x, weight, settings


@given(settings_of_a_transposed_convolution(), st.integers(0, 2**32 - 1))
def test_it_adds_a_filter_for_every_element(case, seed):
    shape, weight_shape, settings = case
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=shape), rng.normal(size=weight_shape)
    axes = len(shape) - 2
    b = rng.normal(size=weight_shape[1] * settings["groups"])
    y = TRANSPOSED[axes](x, w, b, **settings)
    expected = spread(x, w, **settings) + b.reshape(-1, *(1,) * axes)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(recorded(lambda *t: TRANSPOSED[axes](*t, **settings), x, w, b), y, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_against_onnx(axes):
    rng = np.random.default_rng(axes)
    x, w = rng.normal(size=(2, 2, *(4, 3, 2)[:axes])), rng.normal(size=(2, 3, *(3, 2, 2)[:axes]))
    attributes = {"strides": [2] * axes, "pads": [1] * axes + [0] * axes, "output_padding": [1] * axes}
    expected = onnx_operator("ConvTranspose", attributes, x, w)
    y = TRANSPOSED[axes](x, w, stride=2, padding=((1, 0),) * axes, output_padding=1)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_it_is_the_transpose_of_the_convolution(axes):
    """<conv(x), y> = <x, conv_transpose(y)> for all x and y."""
    rng = np.random.default_rng(axes)
    settings = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}
    x, w = rng.normal(size=(2, 4, *(7,) * axes)), rng.normal(size=(6, 2, *(3,) * axes))
    image = CONVOLUTIONS[axes](x, w, **settings)
    y = rng.normal(size=image.shape)
    assert np.vdot(image, y) == pytest.approx(np.vdot(x, TRANSPOSED[axes](y, w, **settings)), rel=1e-12)


@pytest.mark.parametrize(
    ("axes", "settings"),
    [
        (1, {"stride": 2, "padding": 1, "output_padding": 1}),
        (2, {"stride": (2, 1), "padding": ((1, 0), (0, 1)), "groups": 2}),
        (2, {"stride": 1, "dilation": 2, "output_padding": 1}),
        (3, {"stride": 2}),
    ],
)
def test_gradients_of_transposed_convolutions(axes, settings):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 2, *{1: (4,), 2: (2, 3), 3: (1, 2, 2)}[axes]))
    w = rng.normal(size=(2, 1, *(3, 2, 1)[:axes]))
    bias = rng.normal(size=settings.get("groups", 1))
    assert_gradients_match(lambda *t: TRANSPOSED[axes](*t, **settings), x, w, bias)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_one_example_needs_no_batch_axis(axes):
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(2, *(3,) * axes)), rng.normal(size=(2, 3, *(2,) * axes))
    np.testing.assert_array_equal(TRANSPOSED[axes](x, w), TRANSPOSED[axes](x[None], w)[0])


@pytest.mark.parametrize(
    ("shapes", "settings", "words"),
    [
        (((1, 3, 4, 4), (6, 3, 2, 2)), {}, [r"\(1, 3, 4, 4\)", r"\(6, 3, 2, 2\)", "3 channels", "6 channels"]),
        (((1, 3, 4, 4), (3, 3, 2, 2)), {"groups": 2}, ["3 channels", "2 groups"]),
        (((1, 3, 4, 4), (3, 3, 2, 2)), {"stride": 0}, ["stride must be at least 1"]),
        (((1, 3, 4, 4), (3, 3, 2, 2)), {"stride": 2, "output_padding": 2}, ["output_padding", "stride 2"]),
        (((1, 3, 1, 1), (3, 3, 1, 1)), {"padding": 1}, ["leaves nothing"]),
        (((1, 3, 4, 4), (3, 3, 2, 2)), {"padding": "same"}, ["'same'", "numbers"]),
        (((4, 4), (3, 3, 2, 2)), {}, [r"\(4, 4\)", "channels, height, width"]),
    ],
)
def test_what_does_not_fit_is_refused(shapes, settings, words):
    x, w = (np.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="(?s)conv_transpose2d.*" + ".*".join(words)):
        functional.conv_transpose2d(x, w, **settings)


def test_whole_numbers_are_refused():
    with pytest.raises(TypeError, match="conv_transpose1d was given an input of dtype int64"):
        functional.conv_transpose1d(np.zeros((1, 3, 4), int), np.zeros((3, 3, 2)))
