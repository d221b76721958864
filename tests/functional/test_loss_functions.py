"""Losses: against SciPy, ONNX's reference and the formulas; gradients; classes that are ignored or do not exist."""

import numpy as np
import pytest
import scipy.special

from onnx_oracle import onnx_operator
from oracles import assert_gradients_match, recorded
from wimmel import functional
from wimmel.runtime import grad

RNG = np.random.default_rng(0)
REDUCTIONS = ["mean", "sum", "none"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("sizes", [(), (2,), (2, 3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_classes_is_onnxs(reduction, sizes, weighted):
    x = RNG.normal(size=(3, 4, *sizes)).astype(np.float32)
    target = RNG.integers(0, 4, (3, *sizes))
    target.flat[0] = 2
    weight = (RNG.uniform(0.5, 2, 4).astype(np.float32),) if weighted else ()
    attributes = {"reduction": reduction, "ignore_index": 2}
    expected = onnx_operator("SoftmaxCrossEntropyLoss", attributes, x, target, *weight)
    y = functional.cross_entropy(x, target, *weight, ignore_index=2, reduction=reduction)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    found = recorded(lambda *t: functional.cross_entropy(*t, ignore_index=2, reduction=reduction), x, target, *weight)
    np.testing.assert_array_equal(found, y)
    logarithms = scipy.special.log_softmax(x, 1)
    negative = functional.nll_loss(logarithms, target, *weight, ignore_index=2, reduction=reduction)
    np.testing.assert_allclose(
        negative, onnx_operator("NegativeLogLikelihoodLoss", attributes, logarithms, target, *weight), 1e-5
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_of_probabilities(smoothing):
    x, weight = RNG.normal(size=(3, 4, 2)), RNG.uniform(0.5, 2, 4)
    target = RNG.dirichlet(np.ones(4), (3, 2)).transpose(0, 2, 1)
    shared = (1 - smoothing) * target + smoothing / 4
    each = -(scipy.special.log_softmax(x, 1) * shared * weight[:, None]).sum(1)
    for reduction, expected in (("none", each), ("sum", each.sum()), ("mean", each.mean())):
        y = functional.cross_entropy(x, target, weight, reduction=reduction, label_smoothing=smoothing)
        np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_smoothed_classes_are_smoothed_probabilities():
    x, target = RNG.normal(size=(5, 4)), RNG.integers(0, 4, 5)
    smoothed = functional.cross_entropy(x, target, label_smoothing=0.2)
    np.testing.assert_allclose(
        smoothed, functional.cross_entropy(x, np.eye(4)[target], label_smoothing=0.2), rtol=1e-12
    )


def test_smoothing_leaves_out_what_is_ignored():
    x, target = RNG.normal(size=(5, 4)), np.array([0, 1, -100, 3, 2])
    counted = target >= 0
    y = functional.cross_entropy(x, target, label_smoothing=0.2)
    np.testing.assert_allclose(
        y, functional.cross_entropy(x[counted], target[counted], label_smoothing=0.2), rtol=1e-12
    )


def test_one_example_needs_no_batch_axis():
    x = RNG.normal(size=4)
    expected = -scipy.special.log_softmax(x)[2]
    assert functional.cross_entropy(x, np.array(2)) == pytest.approx(expected, rel=1e-12)
    assert functional.cross_entropy(x, 2) == pytest.approx(expected, rel=1e-12)
    assert functional.cross_entropy(x, np.eye(4)[2]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "uint64"])
def test_classes_of_any_whole_number_dtype(dtype):
    x, target = RNG.normal(size=(3, 4)), np.array([0, 3, 1])
    assert functional.cross_entropy(x, target.astype(dtype)) == functional.cross_entropy(x, target)


def test_gradients_of_cross_entropy():
    x, weight = RNG.normal(size=(3, 4, 2)), RNG.uniform(0.5, 2, 4)
    target = np.array([[0, 1], [3, -100], [2, 2]])
    probabilities = RNG.dirichlet(np.ones(4), (3, 2)).transpose(0, 2, 1)
    assert_gradients_match(lambda x, w: functional.cross_entropy(x, target, w, label_smoothing=0.1), x, weight)
    assert_gradients_match(
        lambda x, p, w: functional.cross_entropy(x, p, w, reduction="none"), x, probabilities, weight
    )
    assert_gradients_match(lambda x, w: functional.nll_loss(x, target, w), x, weight)


def test_the_gradient_of_cross_entropy_is_softmax_less_target():
    x, target = RNG.normal(size=(3, 4)), np.array([1, 0, 3])
    slope = grad(lambda t: functional.cross_entropy(t, target))(x)
    np.testing.assert_allclose(slope, (scipy.special.softmax(x, 1) - np.eye(4)[target]) / 3, rtol=1e-12, atol=1e-15)


def test_scores_far_apart_are_exact_and_finite():
    x = np.array([[1e4, 0.0, -1e4]], np.float32)
    assert functional.cross_entropy(x, np.array([2])) == 2e4
    assert np.isfinite(grad(lambda t: functional.cross_entropy(t, np.array([2])))(x)).all()


def test_a_class_masked_by_minus_infinity_does_no_harm_elsewhere():
    x = np.array([[0.0, -np.inf, 1.0]])
    assert functional.cross_entropy(x, np.array([0])) == pytest.approx(np.log1p(np.e))
    assert np.isfinite(grad(lambda t: functional.cross_entropy(t, np.array([0])))(x)).all()


def test_a_class_that_does_not_exist_is_refused_and_in_a_recording_nan():
    x = np.zeros((2, 3))
    for wrong in (-1, 3):
        with pytest.raises(ValueError, match=r"classes from .* with scores for 3 classes they are 0 to 2"):
            functional.cross_entropy(x, np.array([0, wrong]))
        assert np.isnan(recorded(functional.cross_entropy, x, np.array([0, wrong])))
    assert np.isfinite(recorded(functional.cross_entropy, x, np.array([0, -100])))
    assert np.isnan(functional.cross_entropy(x, np.array([-100, -100])))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_distances(reduction):
    x, target = RNG.normal(0, 2, size=(2, 3, 4))
    d = x - target
    cases = [
        (functional.mse_loss, {}, d**2),
        (functional.l1_loss, {}, abs(d)),
        (functional.smooth_l1_loss, {"beta": 0.5}, np.where(abs(d) < 0.5, d**2, abs(d) - 0.25)),
        (functional.smooth_l1_loss, {"beta": 0.0}, abs(d)),
        (functional.huber_loss, {"delta": 1.5}, scipy.special.huber(1.5, d)),
    ]
    for loss, settings, each in cases:
        expected = {"none": each, "sum": each.sum(), "mean": each.mean()}[reduction]
        y = loss(x, target, reduction=reduction, **settings)
        np.testing.assert_allclose(y, expected, rtol=1e-12)
        again = recorded(lambda *t, loss=loss, settings=settings: loss(*t, reduction=reduction, **settings), x, target)
        np.testing.assert_array_equal(again, y)


def test_gradients_of_distances():
    x = np.array([0.1, -0.2, 3.0, -4.0, 0.7])
    target = np.zeros(5)
    assert_gradients_match(functional.mse_loss, x, target)
    assert_gradients_match(functional.l1_loss, x, target)
    assert_gradients_match(lambda *t: functional.smooth_l1_loss(*t, beta=0.5), x, target)
    assert_gradients_match(lambda *t: functional.huber_loss(*t, delta=2.0, reduction="none"), x, target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy(reduction):
    x, target = RNG.normal(size=(3, 4)), RNG.uniform(size=(3, 4))
    weight, positive = RNG.uniform(size=(3, 1)), RNG.uniform(1, 3, size=4)
    p = scipy.special.expit(x)
    each = -weight * (positive * target * np.log(p) + (1 - target) * np.log(1 - p))
    expected = {"none": each, "sum": each.sum(), "mean": each.mean()}[reduction]
    y = functional.binary_cross_entropy_with_logits(x, target, weight, reduction=reduction, pos_weight=positive)
    np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_gradients_of_binary_cross_entropy():
    x, target, positive = np.array([0.0, 2.0, -3.0, 0.4]), RNG.uniform(size=4), RNG.uniform(1, 3, 4)
    assert_gradients_match(
        lambda x, t, p: functional.binary_cross_entropy_with_logits(x, t, pos_weight=p), x, target, positive
    )


def test_binary_cross_entropy_far_out_is_linear_and_finite():
    x, target = np.array([-1e4, 1e4, 1e4], np.float32), np.array([1, 0, 1])
    y = functional.binary_cross_entropy_with_logits(x, target, reduction="none")
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, [1e4, 1e4, 0])
    slope = grad(lambda t: functional.binary_cross_entropy_with_logits(t, target, reduction="sum"))(x)
    np.testing.assert_allclose(slope, [-1, 1, 0], atol=1e-7)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: functional.cross_entropy(np.zeros((2, 3)), np.zeros(3, int)), ValueError, r"\(2, 3\).*\(3,\).*\(2,\)"),
        (
            lambda: functional.cross_entropy(np.zeros((2, 3)), np.zeros(2)),
            ValueError,
            r"\(2, 3\).*\(2,\).*probabilities",
        ),
        (
            lambda: functional.cross_entropy(np.zeros((2, 3)), np.zeros(2, bool)),
            TypeError,
            "bool; classes are integers",
        ),
        (lambda: functional.nll_loss(np.zeros((2, 3)), np.zeros(2)), TypeError, "float64; classes are integers"),
        (lambda: functional.cross_entropy(np.zeros((2, 3), int), np.zeros(2, int)), TypeError, "input of dtype int64"),
        (lambda: functional.cross_entropy(np.zeros((2, 3)), np.zeros(2, int), np.ones(2)), ValueError, "3 channels"),
        (
            lambda: functional.cross_entropy(np.zeros((2, 3)), np.zeros(2, int), label_smoothing=2),
            ValueError,
            "between 0 and 1",
        ),
        (
            lambda: functional.cross_entropy(np.zeros((2, 3)), np.zeros(2, int), reduction="max"),
            ValueError,
            "'max'.*mean, sum",
        ),
        (lambda: functional.cross_entropy(np.zeros(()), np.zeros((), int)), ValueError, r"\(n, classes, ...\)"),
        (lambda: functional.mse_loss(np.zeros((2, 3)), np.zeros(3)), ValueError, r"mse_loss.*\(2, 3\).*\(3,\)"),
        (lambda: functional.huber_loss(np.zeros(2), np.zeros(2), delta=0), ValueError, "delta=0"),
        (lambda: functional.smooth_l1_loss(np.zeros(2), np.zeros(2), beta=-1), ValueError, "beta=-1"),
        (
            lambda: functional.binary_cross_entropy_with_logits(np.zeros(2), np.zeros(2), np.ones(3)),
            ValueError,
            r"\(3,\).*\(2,\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match="(?s)" + words):
        call()
