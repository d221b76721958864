"""Batch, layer and group normalisation: against the formulas and ONNX's reference, and what training returns."""

import numpy as np
import pytest

from onnx_oracle import onnx_operator
from oracles import assert_gradients_match, recorded
from wimmel import functional

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("sizes", [(), (4,), (3, 2), (2, 3, 2)])
def test_batch_norm_in_inference_is_onnxs(sizes):
    x = RNG.normal(size=(4, 3, *sizes)).astype(np.float32)
    weight, bias, mean = (RNG.normal(size=3).astype(np.float32) for _ in range(3))
    variance = RNG.uniform(0.5, 2, size=3).astype(np.float32)
    y = functional.batch_norm(x, mean, variance, weight, bias, eps=1e-3)
    expected = onnx_operator("BatchNormalization", {"epsilon": 1e-3}, x, weight, bias, mean, variance)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(
        recorded(lambda *t: functional.batch_norm(*t, eps=1e-3), x, mean, variance, weight, bias), y
    )


@pytest.mark.parametrize("sizes", [(), (4,), (3, 2), (2, 3, 2)])
def test_batch_norm_in_training_returns_output_and_moved_statistics(sizes):
    x = RNG.normal(3, 2, size=(4, 3, *sizes))
    weight, bias, mean = (RNG.normal(size=3) for _ in range(3))
    variance = RNG.uniform(0.5, 2, size=3)
    kept = mean.copy(), variance.copy()
    y, new_mean, new_variance = functional.batch_norm(x, mean, variance, weight, bias, True, 0.3, 1e-3)
    axes, wide = (0, *range(2, x.ndim)), (slice(None), *(None,) * len(sizes))
    centred = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-3)
    np.testing.assert_allclose(y, centred * weight[wide] + bias[wide], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(new_mean, 0.7 * mean + 0.3 * x.mean(axes), rtol=1e-12)
    np.testing.assert_allclose(new_variance, 0.7 * variance + 0.3 * x.var(axes, ddof=1), rtol=1e-12)
    np.testing.assert_array_equal((mean, variance), kept)
    again = recorded(lambda *t: functional.batch_norm(*t, True, 0.3, 1e-3), x, mean, variance, weight, bias)
    for found, expected in zip(again, (y, new_mean, new_variance), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_batch_norm_without_running_statistics_returns_the_batchs():
    x = RNG.normal(size=(5, 3, 2))
    y, mean, variance = functional.batch_norm(x, None, None, training=True)
    np.testing.assert_allclose(mean, x.mean((0, 2)), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(variance, x.var((0, 2), ddof=1), rtol=1e-12)
    np.testing.assert_array_equal(y, functional.batch_norm(x, np.zeros(3), np.ones(3), training=True)[0])


def test_momentum_of_one_over_the_count_gives_the_mean_of_all_batches():
    batches = RNG.normal(size=(4, 6, 2))
    mean, variance = np.zeros(2), np.ones(2)
    for count, batch in enumerate(batches, start=1):
        _, mean, variance = functional.batch_norm(batch, mean, variance, training=True, momentum=np.float64(1 / count))
    np.testing.assert_allclose(mean, batches.mean((0, 1)), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(variance, batches.var(1, ddof=1).mean(0), rtol=1e-12)


def test_running_statistics_keep_their_dtype():
    x = RNG.normal(size=(4, 3))
    y, mean, variance = functional.batch_norm(x, np.zeros(3, np.float32), np.ones(3, np.float32), training=True)
    assert (y.dtype, mean.dtype, variance.dtype) == (np.float64, np.float32, np.float32)


def test_gradients_of_batch_norm():
    x, weight, bias = RNG.normal(size=(3, 2, 2)), RNG.normal(size=2), RNG.normal(size=2)
    mean, variance = RNG.normal(size=2), RNG.uniform(0.5, 2, size=2)
    assert_gradients_match(functional.batch_norm, x, mean, variance, weight, bias)
    for place in range(3):
        assert_gradients_match(
            lambda *t, place=place: functional.batch_norm(*t, True)[place], x, mean, variance, weight, bias
        )


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_layer_norm_is_onnxs(shape):
    x = RNG.normal(2, 3, size=(2, 3, 4)).astype(np.float32)
    weight, bias = (RNG.normal(size=shape).astype(np.float32) for _ in range(2))
    y = functional.layer_norm(x, shape, weight, bias, 1e-3)
    expected = onnx_operator("LayerNormalization", {"axis": -len(shape), "epsilon": 1e-3}, x, weight, bias)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(
        recorded(lambda *t: functional.layer_norm(t[0], shape, *t[1:], 1e-3), x, weight, bias), y
    )


def test_layer_norm_over_one_axis_takes_a_number():
    x = RNG.normal(size=(2, 5))
    np.testing.assert_array_equal(functional.layer_norm(x, 5), functional.layer_norm(x, (5,)))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("sizes", [(), (3,), (3, 2)])
def test_group_norm_is_onnxs(groups, sizes):
    x = RNG.normal(2, 3, size=(2, 4, *sizes)).astype(np.float32)
    weight, bias = (RNG.normal(size=4).astype(np.float32) for _ in range(2))
    y = functional.group_norm(x, groups, weight, bias, 1e-3)
    rows = x.astype(float).reshape(2, groups, -1)
    centred = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + 1e-3)
    wide = (slice(None), *(None,) * len(sizes))
    np.testing.assert_allclose(y, centred.reshape(x.shape) * weight[wide] + bias[wide], rtol=1e-4, atol=1e-4)
    if sizes:
        attributes = {"num_groups": groups, "epsilon": 1e-3}
        expected = onnx_operator("GroupNormalization", attributes, x, weight, bias, opset=21)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(
        recorded(lambda *t: functional.group_norm(t[0], groups, *t[1:], 1e-3), x, weight, bias), y
    )


def test_gradients_of_layer_and_group_norm():
    x = RNG.normal(size=(2, 2, 3))
    assert_gradients_match(lambda *t: functional.layer_norm(t[0], (2, 3), *t[1:]), x, *RNG.normal(size=(2, 2, 3)))
    assert_gradients_match(lambda *t: functional.group_norm(t[0], 2, *t[1:]), x, *RNG.normal(size=(2, 2)))


def test_a_large_mean_costs_no_more_than_the_inputs_own_rounding():
    x = (1000 + RNG.normal(size=(64, 2))).astype(np.float32)
    exact = x.astype(float)
    expected = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5)
    np.testing.assert_allclose(functional.batch_norm(x, None, None, training=True)[0], expected, atol=2e-4)
    y = functional.batch_norm(x, exact.mean(0).astype(np.float32), exact.var(0).astype(np.float32))
    np.testing.assert_allclose(y, expected, atol=2e-4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: functional.batch_norm(np.zeros((4, 3)), np.zeros(2), np.ones(3)),
            r"running_mean of shape \(2,\).*3 channels",
        ),
        (lambda: functional.batch_norm(np.zeros((4, 3)), None, None), "no running statistics.*training=True"),
        (lambda: functional.batch_norm(np.zeros((4, 3)), np.zeros(3), None), "only one"),
        (
            lambda: functional.batch_norm(np.zeros((1, 3)), None, None, training=True),
            r"\(1, 3\).*more than one element",
        ),
        (lambda: functional.batch_norm(np.zeros(3), np.zeros(3), np.ones(3)), r"\(3,\).*\(n, channels, ...\)"),
        (
            lambda: functional.batch_norm(np.zeros((4, 3)), np.zeros(3), np.ones(3), np.ones(4)),
            r"a weight of shape \(4,\)",
        ),
        (lambda: functional.layer_norm(np.zeros((4, 3)), 4), r"\(4, 3\).*normalized_shape \(4,\)"),
        (lambda: functional.layer_norm(np.zeros((4, 3)), 3, np.ones(2)), r"a weight of shape \(2,\).*\(3,\)"),
        (lambda: functional.group_norm(np.zeros((4, 3)), 2), r"\(4, 3\) and 2 groups"),
        (lambda: functional.group_norm(np.zeros((4, 3)), 0), "num_groups must be"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match="(?s)" + words):
        call()


def test_whole_numbers_are_refused():
    with pytest.raises(TypeError, match="group_norm was given an input of dtype int64"):
        functional.group_norm(np.zeros((2, 4), int), 2)
