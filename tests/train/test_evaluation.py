"""Evaluation and prediction: every figure against scikit-learn's, whatever the batch size, and what is refused."""

import json
import xml.dom.minidom

import numpy as np
import pytest
import sklearn.metrics as oracle
from hypothesis import given
from hypothesis import strategies as st

from wimmel import functional, nn
from wimmel.data import Dataset, Preprocessing
from wimmel.train import Evaluation, evaluate, losses, predict, scorer


def identity(classes):
    """A network whose scores are its inputs."""
    net = nn.Sequential(nn.Linear(classes, classes))
    net[0].weight, net[0].bias = np.eye(classes), np.zeros(classes)
    return net


def scores_and_labels(count=200, classes=4, seed=0):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, count)
    return (draw.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels]).astype(np.float32), labels


def test_every_figure_is_scikit_learn_s():
    scores, labels = scores_and_labels()
    result = evaluate(identity(4), (scores, labels))
    shares = {"average": None, "zero_division": np.nan}
    assert result.accuracy == oracle.accuracy_score(labels, result.predictions)
    exact = np.exp(scores.astype(np.float64))
    assert result.loss == pytest.approx(oracle.log_loss(labels, exact / exact.sum(axis=1, keepdims=True)), rel=1e-5)
    assert np.array_equal(result.confusion, oracle.confusion_matrix(labels, result.predictions))
    assert result.confusion.dtype == np.int64
    np.testing.assert_array_equal(result.precision, oracle.precision_score(labels, result.predictions, **shares))
    np.testing.assert_array_equal(result.recall, oracle.recall_score(labels, result.predictions, **shares))


def test_classes_that_never_occur_have_no_share():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])
    result = Evaluation(np.array([0, 1]), probabilities, 0.5, ("a", "b", "c"))
    np.testing.assert_array_equal(result.precision, [0.5, np.nan, np.nan])
    np.testing.assert_array_equal(result.recall, [1.0, 0.0, np.nan])
    assert result.to_json()["recall"] == [1.0, 0.0, "nan"]


def test_mistakes_come_with_the_surest_first():
    probabilities = np.array([[0.6, 0.4], [0.1, 0.9], [0.7, 0.3], [0.2, 0.8]])
    assert Evaluation(np.array([1, 0, 0, 0]), probabilities, 0.0, ("a", "b")).mistakes.tolist() == [1, 3, 0]


@given(st.integers(1, 40), st.integers(1, 50))
def test_the_batch_size_changes_nothing_but_the_number_of_calls(count, batch_size):
    scores, _ = scores_and_labels(count, 3)
    np.testing.assert_allclose(
        predict(identity(3), scores, batch_size=batch_size), functional.softmax(scores, 1), rtol=1e-6
    )


def test_two_shapes_are_recorded_at_most():
    net = identity(3)
    shapes = []
    net.forward = lambda x: shapes.append(x.shape) or nn.Sequential.forward(net, x)
    predict(net, scores_and_labels(25, 3)[0], batch_size=10)
    assert shapes == [(10, 3), (5, 3)]


def test_no_images_have_no_probabilities_but_as_many_columns():
    assert predict(identity(3), np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_pictures_go_through_the_network_s_own_preprocessing_and_floats_do_not():
    pictures = np.random.default_rng(0).integers(0, 256, (5, 1, 2, 2)).astype(np.uint8)
    preprocessing = Preprocessing((1, 2, 2), (0.5,), (0.25,))
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).initialize(0)
    floats = preprocessing(pictures)
    expected = functional.softmax(net(floats), dim=1)
    net.preprocessing = preprocessing
    for images in (pictures, floats, floats.astype(np.float64)):
        np.testing.assert_allclose(predict(net, images), expected, rtol=1e-6)
    other = Preprocessing((1, 2, 2), (0.1,), (0.25,))
    assert not np.allclose(predict(net, pictures, other), expected)


def test_any_numpy_view_gives_the_same_answers():
    scores, _ = scores_and_labels(12, 3)
    expected = predict(identity(3), scores)
    wide = np.zeros((24, 6), np.float32)
    wide[::2, ::2] = scores
    views = [
        wide[::2, ::2],
        np.asfortranarray(scores),
        scores[::-1].copy()[::-1],
        scores.astype(">f4"),
        np.broadcast_to(scores, scores.shape),
    ]
    for view in views:
        np.testing.assert_array_equal(predict(identity(3), view), expected)


def test_a_scorer_reads_the_parameters_at_every_call():
    net = identity(2)
    run = scorer(net)
    x = np.ones((1, 2), np.float32)
    assert run(x).tolist() == [[1, 1]]
    net[0].weight = 3 * np.eye(2)
    assert run(x).tolist() == [[3, 3]]


def test_names_come_from_the_data_set_or_the_network_or_are_numbers():
    pictures = np.zeros((2, 1, 1, 2), np.uint8)
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    preprocessing = Preprocessing((1, 1, 2), (0.5,), (0.5,))
    assert evaluate(net, (pictures, [0, 1]), preprocessing).classes == ("0", "1")
    net.classes = ("left", "right")
    assert evaluate(net, (pictures, [0, 1]), preprocessing).classes == ("left", "right")
    assert evaluate(net, Dataset(pictures, [0, 1], ("cat", "dog")), preprocessing).classes == ("cat", "dog")


def test_the_figures_are_json_and_the_page_is_well_formed():
    result = evaluate(identity(4), scores_and_labels())
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert document["accuracy"] == result.accuracy
    assert document["confusion"] == result.confusion.tolist()
    page = xml.dom.minidom.parseString(result._repr_html_())
    assert len(page.getElementsByTagName("tr")) == 5
    many = Evaluation(np.arange(40), np.eye(40), 0.0, tuple(f"<{n}>" for n in range(40)))
    assert xml.dom.minidom.parseString(many._repr_html_()).getElementsByTagName("pre")
    assert repr(many).endswith("... and 20 classes more")


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ((np.zeros((3, 2), np.float32), [0, 1, 2]), ValueError, "labels from 0 to 2.*2 scores"),
        ((np.zeros((3, 2), np.float32), [0, 1, -1]), ValueError, "labels from -1"),
        ((np.zeros((3, 2), np.float32), [0.5, 1.0, 2.0]), ValueError, "integer labels"),
        ((np.zeros((3, 2), np.float32), [0, 1]), ValueError, "same number of examples"),
        ((np.zeros((0, 2), np.float32), []), ValueError, "no examples"),
        ((np.zeros((3, 5), np.float32), [0, 1, 1]), ValueError, "layer 0"),
        ((np.zeros((3, 2), np.float16), [0, 1, 1]), TypeError, "float16"),
        ((np.zeros((3, 2), complex), [0, 1, 1]), TypeError, "complex"),
        ((np.zeros((3, 2), np.uint8), [0, 1, 1]), TypeError, "uint8"),
        ("photos", TypeError, "takes a wimmel.data.Dataset"),
    ],
)
def test_examples_that_do_not_fit_are_refused_in_a_sentence(data, error, words):
    with pytest.raises(error, match=words):
        evaluate(identity(2), data)


def test_prediction_takes_a_batch_and_a_batch_size():
    with pytest.raises(ValueError, match="a batch of them"):
        predict(identity(2), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="batch_size"):
        predict(identity(2), np.zeros((1, 2), np.float32), batch_size=0)


def test_another_loss_may_judge():
    scores, labels = scores_and_labels(10, 3)
    doubled = evaluate(identity(3), (scores, labels), loss=lambda s, t: 2 * losses.cross_entropy(s, t)).loss
    assert doubled == pytest.approx(2 * evaluate(identity(3), (scores, labels)).loss)


def test_a_damaged_model_gives_no_answers():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).initialize(0)
    net[1].bias = np.array([np.nan, 0.0])
    pictures = np.ones((3, 1, 2, 2), np.float32)
    for call in (lambda: predict(net, pictures), lambda: evaluate(net, (pictures, np.zeros(3, np.int64)))):
        with pytest.raises(ValueError, match=r"not numbers \(NaN\) for 3 of 3 examples; its 1.bias hold"):
            call()


def test_images_that_are_not_finite_are_named_as_the_cause():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).initialize(0)
    with pytest.raises(ValueError, match="look for NaN or huge values in the images"):
        predict(net, np.full((1, 1, 2, 2), np.nan, np.float32))
