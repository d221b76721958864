"""The three faces of convolution: against SciPy and ONNX's reference evaluator, as adjoints, and at the edges."""

from __future__ import annotations

import sys
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.signal
from hypothesis import given

from onnx_oracle import onnx_operator
from oracles import assert_gradients_match, examples, largest_difference
from wimmel.graph import primitives, trace
from wimmel.graph.primitives import convolution_input_gradient, convolution_weight_gradient

PLAIN = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}


@st.composite
def layers(draw: Any) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """An input, a weight and the geometry of a convolution over one to three axes, in all of which it may differ."""
    axes = draw(st.integers(1, 3))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    dilation = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    padding = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(axes))
    spans = [d * (k - 1) + 1 - front - behind for k, d, (front, behind) in zip(kernel, dilation, padding, strict=True)]
    sizes = tuple(draw(st.integers(max(1, span), max(1, span) + 4)) for span in spans)
    groups, shared_in, shared_out = (draw(st.integers(1, 3)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.normal(size=(draw(st.integers(1, 3)), shared_in * groups, *sizes))
    w = rng.normal(size=(shared_out * groups, shared_in, *kernel))
    stride = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    return x, w, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def onnx_names(geometry: dict[str, Any]) -> dict[str, Any]:
    fronts, behinds = zip(*geometry["padding"], strict=True)
    return {
        "strides": geometry["stride"],
        "pads": (*fronts, *behinds),
        "dilations": geometry["dilation"],
        "group": geometry["groups"],
    }


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_plain_convolution_is_scipys_correlation(axes: int) -> None:
    rng = np.random.default_rng(axes)
    x, w = rng.normal(size=(6, 7, 8)[:axes]), rng.normal(size=(3, 2, 4)[:axes])
    geometry = {"stride": (1,) * axes, "padding": ((0, 0),) * axes, "dilation": (1,) * axes, "groups": 1}
    y = primitives.convolution(x[None, None], w[None, None], **geometry)
    assert largest_difference(y[0, 0], scipy.signal.correlate(x, w, "valid", "direct")) < 1e-14


@given(layers())
@examples(60)
def test_convolution_is_onnx_conv(layer: tuple[np.ndarray, np.ndarray, dict[str, Any]]) -> None:
    x, w, geometry = layer
    y = primitives.convolution(x, w, **geometry)
    expected = onnx_operator("Conv", {"kernel_shape": w.shape[2:], **onnx_names(geometry)}, x, w)
    assert y.shape == expected.shape
    assert largest_difference(y, expected) < 1e-13


@given(layers())
@examples(60)
def test_the_input_gradient_is_onnx_conv_transpose(layer: tuple[np.ndarray, np.ndarray, dict[str, Any]]) -> None:
    x, w, geometry = layer
    g = np.random.default_rng(0).normal(size=primitives.convolution(x, w, **geometry).shape)
    rows = zip(g.shape[2:], w.shape[2:], geometry["stride"], geometry["padding"], geometry["dilation"], strict=True)
    smallest = [(n - 1) * s - sum(pair) + d * (k - 1) + 1 for n, k, s, pair, d in rows]
    output_padding = [n - least for n, least in zip(x.shape[2:], smallest, strict=True)]
    # group by group, since the evaluator itself fails for several
    names = {**onnx_names(geometry), "group": 1, "kernel_shape": w.shape[2:], "output_padding": output_padding}
    pairs = zip(np.split(g, geometry["groups"], 1), np.split(w, geometry["groups"]), strict=True)
    expected = np.concatenate([onnx_operator("ConvTranspose", names, *pair) for pair in pairs], 1)
    found = convolution_input_gradient(g, w, size=x.shape[2:], **geometry)
    assert found.shape == expected.shape == x.shape
    assert largest_difference(found, expected) < 1e-13


@given(layers())
@examples(60)
def test_the_three_faces_are_adjoint(layer: tuple[np.ndarray, np.ndarray, dict[str, Any]]) -> None:
    x, w, geometry = layer
    y = primitives.convolution(x, w, **geometry)
    g = np.random.default_rng(0).normal(size=y.shape)
    number = np.vdot(g, y)
    scale = np.linalg.norm(g) * (np.linalg.norm(y) + 1)
    assert abs(np.vdot(x, convolution_input_gradient(g, w, size=x.shape[2:], **geometry)) - number) < 1e-12 * scale
    assert abs(np.vdot(w, convolution_weight_gradient(x, g, kernel=w.shape[2:], **geometry)) - number) < 1e-12 * scale


def test_pictures_and_taps_are_taken_a_few_at_a_time_where_patches_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    x, w = rng.integers(-9, 9, (5, 4, 6, 5)), rng.integers(-9, 9, (6, 2, 3, 2))
    geometry = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2), "groups": 2}
    g = rng.integers(-9, 9, primitives.convolution(x, w, **geometry).shape)

    def faces() -> list[np.ndarray]:
        return [
            primitives.convolution(x, w, **geometry),
            convolution_input_gradient(g, w, size=x.shape[2:], **geometry),
            convolution_weight_gradient(x, g, kernel=w.shape[2:], **geometry),
        ]

    module = sys.modules[primitives.convolution.definition.__module__]
    at_once = faces()
    one_tap_of_one_picture = 4 * g.shape[2] * g.shape[3] * 8
    for memory in (1, 4 * one_tap_of_one_picture, 2 * 6 * one_tap_of_one_picture):
        monkeypatch.setattr(module, "PATCH_BYTES", memory)
        for found, expected in zip(faces(), at_once, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_whole_numbers_stay_exact_beyond_what_floats_hold() -> None:
    x = np.array([[[2**60 + 1, 1, 3]]])
    y = primitives.convolution(x, np.array([[[1, -1]]]), stride=(1,), padding=((0, 0),), dilation=(1,), groups=1)
    np.testing.assert_array_equal(y, [[[2**60, -2]]])


@pytest.mark.parametrize(("n", "c_in", "c_out"), [(0, 2, 3), (2, 0, 3), (2, 2, 0), (0, 0, 0)])
def test_nothing_in_gives_nothing_or_zeros_out(n: int, c_in: int, c_out: int) -> None:
    x, w, g = np.ones((n, c_in, 4, 4)), np.ones((c_out, c_in, 2, 2)), np.ones((n, c_out, 3, 3))
    y = primitives.convolution(x, w, **PLAIN)
    assert y.shape == g.shape
    assert not y.any() or c_in
    assert convolution_input_gradient(g, w, size=(4, 4), **PLAIN).shape == x.shape
    assert convolution_weight_gradient(x, g, kernel=(2, 2), **PLAIN).shape == w.shape


def test_infinities_and_nan_are_values_and_warn_of_nothing() -> None:
    x = np.array([[[np.inf, 1.0, np.nan, 1.0, 2.0]]])
    w = np.array([[[1.0, -1.0]]])
    geometry = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1}
    np.testing.assert_array_equal(primitives.convolution(x, w, **geometry), [[[np.inf, np.nan, np.nan, -1.0]]])
    assert np.isnan(convolution_weight_gradient(x, np.zeros((1, 1, 4)), kernel=(2,), **geometry)).all()
    assert np.isnan(convolution_input_gradient(np.zeros((1, 1, 4)), w * np.inf, size=(5,), **geometry)).all()


def test_outputs_that_stop_before_the_input_does_have_derivatives_too() -> None:
    """A transposed convolution with an output padding of one at stride 1: dilation 2 allows it."""
    rng = np.random.default_rng(1)
    geometry = {"stride": (1,), "padding": ((1, 0),), "dilation": (2,), "groups": 1, "size": (7,)}
    g, w = rng.normal(size=(2, 2, 5)), rng.normal(size=(2, 3, 2))
    assert_gradients_match(lambda g, w: convolution_input_gradient(g, w, **geometry), g, w)


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "changes", "sentence"),
    [
        (
            (1, 3, 5, 5),
            (4, 2, 3, 3),
            {},
            r"3 channels, and a weight of shape \(4, 2, 3, 3\), which with groups=1 takes 2",
        ),
        ((1, 4, 5, 5), (3, 2, 3, 3), {"groups": 2}, "cannot share 3 outputs among 2 groups"),
        ((1, 4, 5, 5), (4, 4, 3, 3), {"groups": 2}, "takes 8 channels"),
        ((1, 4, 5, 5), (4, 4, 3, 3), {"groups": 0}, "groups=0; there is at least one group"),
        ((1, 2, 5), (2, 2, 3, 3), {}, "with as many axes"),
        ((1, 2), (2, 2), {}, "with as many axes"),
        ((1, 2, 2, 5), (2, 2, 3, 3), {}, "larger than"),
    ],
)
def test_operands_that_do_not_fit_are_refused_in_a_sentence(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], changes: dict[str, Any], sentence: str
) -> None:
    for call in (
        primitives.convolution,
        lambda *operands, **named: trace(lambda *t: primitives.convolution(*t, **named), *operands),
    ):
        with pytest.raises(ValueError, match=sentence):
            call(np.zeros(x_shape), np.zeros(w_shape), **{**PLAIN, **changes})
