"""Reliability: scikit-learn's calibration curve and Brier score, the equation in the paper, and the picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimmel.detection import reliability, reliability_picture
from wimmel.files import read_image


def drawn(seed, count=300):
    rng = np.random.default_rng(seed)
    probabilities = rng.random(count) ** 2
    return probabilities, rng.random(count) < probabilities**0.7


@pytest.mark.parametrize("bins", [1, 3, 10, 40])
def test_bins_and_brier_score_are_those_of_scikit_learn(bins):
    calibration = pytest.importorskip("sklearn.calibration")
    metrics = pytest.importorskip("sklearn.metrics")
    probabilities, outcomes = drawn(bins)
    table = reliability(probabilities, outcomes, bins)
    observed, predicted = calibration.calibration_curve(outcomes, probabilities, n_bins=bins)
    filled = table.counts > 0
    np.testing.assert_allclose(table.observed[filled], observed, rtol=1e-12)
    np.testing.assert_allclose(table.predicted[filled], predicted, rtol=1e-12)
    assert table.brier == pytest.approx(metrics.brier_score_loss(outcomes, probabilities), rel=1e-12)


@given(
    st.lists(st.tuples(st.integers(0, 64).map(lambda part: part / 64), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 12),
)
def test_the_error_is_that_of_the_paper(pairs, bins):
    total = 0.0
    for place in range(1, bins + 1):
        members = [
            (p, so) for p, so in pairs if (place - 1) / bins < p <= place / bins or (place == 1 and p == 0)
        ]  # fmt: skip
        if members:
            accuracy = sum(so for _, so in members) / len(members)
            confidence = sum(p for p, _ in members) / len(members)
            total += len(members) / len(pairs) * abs(accuracy - confidence)
    table = reliability(*zip(*pairs, strict=True), bins)
    assert table.error == pytest.approx(total, abs=1e-12)
    assert table.counts.sum() == len(pairs)


def test_empty_bins_are_shown_as_such():
    table = reliability([0.05, 0.95, 1.0, 0.0], [False, True, True, False])
    assert table.counts.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert np.isnan(table.observed[1:9]).all()
    assert table.error == pytest.approx(0.025)
    assert "0.10-0.20            0          -         -" in repr(table)
    assert table.to_json()["bins"][1] == {"from": 0.1, "to": 0.2, "predictions": 0, "predicted": None, "observed": None}
    page = table._repr_html_()
    assert page.count("<tr>") == 11 and "calibration error 0.025" in page


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_picture_shows_it(tmp_path, ending):
    path = tmp_path / f"reliability.{ending}"
    reliability_picture(reliability(*drawn(0)), path)
    if ending == "svg":
        assert "<svg" in path.read_text()
    else:
        pixels = read_image(path)
        assert ((pixels == np.array([0x00, 0x72, 0xB2])[:, None, None]).all(axis=0)).sum() > 300
    reliability_picture(reliability([0.5], [True]), path)
    with pytest.raises(ValueError, match="end its name"):
        reliability_picture(reliability([0.5], [True]), tmp_path / "picture.doc")


@pytest.mark.parametrize(
    ("probabilities", "outcomes", "bins", "said"),
    [
        ([], [], 10, "One or more"),
        ([0.5], [True, False], 10, "as many outcomes"),
        ([1.5], [True], 10, "from 0 to 1"),
        ([float("nan")], [True], 10, "from 0 to 1"),
        ([0.5], [2], 10, "True or False"),
        ([0.5], [True], 0, "bins must be at least 1"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(probabilities, outcomes, bins, said):
    with pytest.raises(ValueError, match=said):
        reliability(probabilities, outcomes, bins)
