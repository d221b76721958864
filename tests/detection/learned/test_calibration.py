"""Whether there is one anywhere: the fit against other optimisers, what it is fitted on, and how it is told."""

import json

import numpy as np
import pytest
from scipy import optimize

from wimmel.detection import Calibration, Detector, Finds, Presence, Scene, Swept, reliability
from wimmel.detection.learned.calibration import calibrations, fitted, log_odds, logistic
from wimmel.detection.learned.examples import as_scenes, parted
from wimmel.files import load_tensors, save_tensors

QUICK = {"steps": 90, "batch_size": 48, "rounds": 3, "learning_rate": 4e-3, "widths": (12, 16, 24, 32, 48)}
BLANK = np.zeros((60, 60), np.uint8)


def scores(seed, count, mean, spread):
    return mean + spread * np.random.default_rng(seed).standard_normal(count)


def objective(line, present, absent):
    """Mean losses of both kinds, written out, and the belief about the slope."""
    likely = np.logaddexp(0, -(line[0] * present + line[1])).mean() + np.logaddexp(0, line[0] * absent + line[1]).mean()
    return likely + (line[0] - 1) ** 2 / (2 * 0.5**2 * min(len(present), len(absent)))


@pytest.mark.parametrize(("with_one", "without"), [(1, 1), (2, 9), (6, 5), (30, 12), (300, 400)])
@pytest.mark.parametrize("apart", [0.5, 3, 12])
def test_the_fit_is_where_another_optimiser_ends(with_one, without, apart):
    present, absent = scores(with_one, with_one, apart, 2.0), scores(without + 1, without, -apart, 1.2)
    found = fitted(present, absent)
    best = optimize.minimize(objective, (1.0, 0.0), (present, absent), method="Nelder-Mead",
                             options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 10_000})  # fmt: skip
    if best.x[0] > 0:
        assert objective((found.slope, found.offset), present, absent) <= best.fun + 1e-9
        np.testing.assert_allclose((found.slope, found.offset), best.x, rtol=1e-3, atol=1e-3)
    assert (found.objects, found.without) == (with_one, without)


def test_of_many_scores_it_is_logistic_regression():
    linear = pytest.importorskip("sklearn.linear_model")
    present, absent = scores(0, 30_000, 2.0, 2.0), scores(1, 10_000, -1.0, 1.5)
    targets = np.repeat((1, 0), (len(present), len(absent)))
    regression = linear.LogisticRegression(C=np.inf, class_weight="balanced", tol=1e-10)
    regression.fit(np.concatenate((present, absent))[:, np.newaxis], targets)
    found = fitted(present, absent)
    assert found.slope == pytest.approx(regression.coef_[0, 0], rel=1e-3)
    assert found.offset == pytest.approx(regression.intercept_[0], abs=1e-3)


@pytest.mark.parametrize(
    ("present", "absent"),
    [([3.0], [-3.0]), ([1e4, 2e4], [-1e4]), ([2.0, 2.0], [2.0]), ([1e-9], [0.0]), ([40.0] * 50, [-40.0] * 50)],
)
def test_what_is_all_told_apart_or_all_alike_stays_finite(present, absent):
    found = fitted(np.array(present), np.array(absent))
    assert np.isfinite([found.slope, found.offset]).all() and found.slope >= 0
    believed = logistic(found.slope * np.array([*present, *absent]) + found.offset)
    assert (believed[: len(present)] >= 0.5 - 1e-6).all() and (believed[len(present) :] <= 0.5 + 1e-6).all()


def test_scores_that_rank_the_wrong_way_round_say_nothing():
    assert fitted(scores(0, 50, -4.0, 1.0), scores(1, 50, 4.0, 1.0))[:2] == (0.0, 0.0)


def test_both_kinds_count_the_same_however_many_there_are():
    present, absent = scores(0, 20, 3.0, 2.0), scores(1, 20, -1.0, 2.0)
    once, thrice = fitted(present, absent), fitted(present, np.tile(absent, 3))
    np.testing.assert_allclose(once[:2], thrice[:2], rtol=1e-6)


def test_probabilities_of_drawn_pictures_are_reliable():
    found = fitted(scores(0, 3000, 4.0, 2.0), scores(1, 3000, 0.0, 2.0))
    fresh = np.concatenate((scores(2, 2000, 4.0, 2.0), scores(3, 2000, 0.0, 2.0)))
    outcomes = np.repeat((True, False), 2000)
    assert reliability(logistic(found.slope * fresh + found.offset), outcomes).error < 0.03
    assert reliability(logistic(fresh), outcomes).error > 0.08


def swept(boxes, log_odds_of_finds, highest, classes=None, names=("object",)):
    finds = Finds(boxes, logistic(np.array(log_odds_of_finds, float)), classes, names)
    there = Presence(names, np.array(highest, float), logistic(np.array(highest, float)), (False,) * len(names))
    return Swept(finds, np.zeros((len(finds), 3)), np.zeros((1, 1)), there)


def test_each_object_counts_as_if_it_was_the_only_one(monkeypatch):
    """Of its own finds and those on background the highest; not finds on other objects, nor on crowds."""
    given = []
    monkeypatch.setattr("wimmel.detection.learned.calibration.fitted", lambda *each: given.append(each))
    scene = Scene(BLANK, [[0, 0, 10, 10], [20, 0, 30, 10], [40, 40, 60, 60]], crowd=[False, False, True])
    boxes = [[0, 0, 10, 10], [1, 1, 11, 11], [20, 0, 30, 12], [0, 30, 10, 40], [42, 42, 50, 50], [4, 0, 14, 10]]
    one = swept(boxes, [3.0, 6.0, -1.0, 1.0, 9.0, 8.0], [9.0])
    none = swept(np.zeros((0, 4)), [], [-7.5])
    unseen = swept(np.zeros((0, 4)), [], [-8.0])
    calibrations([one, none, unseen], [scene, Scene(BLANK, np.zeros((0, 4))), Scene(BLANK, [[0, 0, 9, 9]])], 0.005)
    [(present, absent)] = given
    np.testing.assert_allclose(present, [6.0, 1.0, -8.0], atol=1e-9)
    np.testing.assert_allclose(absent, [-7.5])


def test_classes_without_scenes_of_both_kinds_are_uncalibrated():
    names = ("a", "b", "c")
    scenes = [
        Scene(BLANK, [[0, 0, 10, 10], [20, 20, 30, 30]], [0, 1], names),
        Scene(BLANK, [[0, 0, 10, 10]], [1], names),
    ]
    looked = [
        swept([[0, 0, 10, 10], [20, 20, 30, 30]], [5.0, 4.0], [5.0, 4.0, -6.0], [0, 1], names),
        swept([[0, 0, 10, 10]], [3.0], [-4.0, 3.0, -5.0], [1], names),
    ]
    first, second, third = calibrations(looked, scenes, 0.005)
    assert (first.objects, first.without) == (1, 1)
    assert second is None and third is None


def test_log_odds_are_the_inverse_and_finite():
    values = np.linspace(-30, 30, 61)
    np.testing.assert_allclose(log_odds(logistic(values)), values, rtol=1e-3)
    assert np.isfinite(log_odds(np.array([1.0])))


@pytest.fixture(scope="module")
def calibrated(drawn):
    """A detector of red squares taught on scenes with and without, and calibrated by those it held out."""
    scenes = [*(drawn(seed) for seed in range(8)), *(without(drawn, seed) for seed in range(20, 26))]
    return Detector(**QUICK).fit(scenes)


def without(drawn, seed):
    """A scene in which the red squares are painted over."""
    scene = drawn(seed)
    picture = scene.picture.copy()
    for left, top, right, bottom in scene.boxes.astype(int):
        picture[:, top:bottom, left:right] = 205
    return Scene(picture, np.zeros((0, 4)), class_names=scene.class_names)


def test_fit_holds_scenes_of_both_kinds_out_and_calibrates_by_them(calibrated):
    [calibration] = calibrated.calibrations
    assert (calibration.objects, calibration.without) == (4, 3)
    assert (calibrated.report.scenes, calibrated.report.held_out) == (9, 5)
    assert "calibrated by 4 objects and 3 scenes without" in str(calibrated.report)
    json.dumps(calibrated.to_json())


def test_a_picture_with_one_is_told_from_one_without(calibrated, drawn):
    seen = [calibrated.look(drawn(seed).picture).presence for seed in range(100, 104)]
    missing = [calibrated.look(without(drawn, seed).picture).presence for seed in range(100, 104)]
    assert all(each.calibrated == (True,) for each in seen + missing)
    assert min(each.probabilities[0] for each in seen) > 0.5 > max(each.probabilities[0] for each in missing)
    assert seen[0].to_json()[0]["calibration"] == "calibrated"


def test_the_highest_score_is_that_of_the_best_find(calibrated, drawn):
    looked = calibrated.look(drawn(100).picture)
    [calibration] = calibrated.calibrations
    assert logistic(looked.presence.scores[0]) == pytest.approx(looked.finds.scores.max())
    expected = logistic(calibration.slope * looked.presence.scores + calibration.offset)
    np.testing.assert_allclose(looked.presence.probabilities, expected)


def test_the_file_keeps_the_calibration(calibrated, drawn, tmp_path):
    path = tmp_path / "squares.safetensors"
    calibrated.save(path)
    loaded = Detector.load(path)
    assert loaded.calibrations == calibrated.calibrations
    picture = drawn(100).picture
    assert loaded.look(picture).presence.to_json() == calibrated.look(picture).presence.to_json()
    tensors, document = load_tensors(path)
    del document["detector"]["calibrations"]
    save_tensors(path, tensors, document)
    assert Detector.load(path).calibrations == (None,)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda entry: entry["calibrations"][0].update(slope=float("1e300")), "slope of a calibration"),
        (lambda entry: entry["calibrations"][0].update(slope=-1.0), "slope of a calibration"),
        (lambda entry: entry["calibrations"][0].update(offset="1"), "offset of a calibration"),
        (lambda entry: entry["calibrations"][0].update(objects=True), "objects of a calibration"),
        (lambda entry: entry["calibrations"][0].update(more=1), "not one that this version"),
        (lambda entry: entry["calibrations"].append(None), "a list of 1"),
        (lambda entry: entry.update(calibrations={}), "a list of 1"),
    ],
)
def test_forged_calibrations_are_refused_in_a_sentence(calibrated, tmp_path, change, said):
    path = tmp_path / "forged.safetensors"
    calibrated.save(path)
    tensors, document = load_tensors(path)
    change(document["detector"])
    save_tensors(path, tensors, document)
    with pytest.raises(ValueError, match=said) as error:
        Detector.load(path)
    assert str(path) in str(error.value)


def test_calibrate_takes_scenes_of_its_own(drawn):
    detector = Detector(**(QUICK | {"steps": 3, "rounds": 1})).fit([drawn(seed) for seed in range(3)])
    assert detector.calibrations == (None,)
    assert "uncalibrated" in str(detector.report)
    presence = detector.look(drawn(3).picture).presence
    assert presence.calibrated == (False,) and presence.to_json()[0]["calibration"] == "uncalibrated"
    np.testing.assert_array_equal(presence.probabilities, logistic(presence.scores))
    one, none = drawn(4), without(drawn, 5)
    assert detector.calibrate([one.picture, none.picture], [one.boxes, []]) is detector
    again = Detector(**(QUICK | {"steps": 3, "rounds": 1})).fit([drawn(seed) for seed in range(3)])
    assert again.calibrate([one, none]).calibrations == detector.calibrations
    assert (detector.calibrations[0].objects, detector.calibrations[0].without) == (2, 1)
    assert "calibrated by 2 objects and 1 scene without" in str(detector.report)
    for scenes in ([one], [none]):
        with pytest.raises(ValueError, match="one kind is missing"):
            detector.calibrate(scenes)
    with pytest.raises(ValueError, match="This detector knows red square"):
        detector.calibrate([Scene(BLANK, TWO), Scene(BLANK, [])])
    with pytest.raises(RuntimeError, match="not taught yet"):
        Detector().calibrate([one, none])


TWO = [[5, 5, 20, 20], [30, 30, 45, 45]]


@pytest.mark.parametrize(
    ("showing", "empty", "validation", "held_out"),
    [
        (5, 0, None, (0, 0)), (20, 0, None, (2, 0)), (10, 10, None, (2, 5)), (5, 1, None, (0, 0)), (3, 2, None, (1, 1)),
        (10, 10, 0.0, (0, 0)), (10, 10, 0.3, (3, 3)), (1, 4, None, (0, 2)), (2, 1, 0.5, (1, 0)),
    ],
)  # fmt: skip
def test_what_is_held_out_of_each_kind(showing, empty, validation, held_out):
    scenes = as_scenes([BLANK] * (showing + empty), [TWO] * showing + [[]] * empty)
    kept, away = parted(scenes, validation, 0)
    assert (sum(len(scene) > 0 for scene in away), sum(len(scene) == 0 for scene in away)) == held_out
    assert len(kept) + len(away) == len(scenes)


def test_a_calibration_is_read_from_what_it_wrote():
    calibration = Calibration(1.25, -3.5, 6, 5)
    assert Calibration.from_json(json.loads(json.dumps(calibration._asdict()))) == calibration
