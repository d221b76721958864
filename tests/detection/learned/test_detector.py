"""A detector learns from drawn scenes, finds in others what it was shown, and is the same after its file."""

import json
import struct

import numpy as np
import pytest

import wimmel as wm
from wimmel.detection import Detector, Scene, SceneSet, average_precision, iou
from wimmel.detection.learned.pyramid import WholePicture, level_size, piece_of_level
from wimmel.files import load_tensors, save_tensors, write_image

QUICK = {"steps": 90, "batch_size": 48, "rounds": 3, "learning_rate": 4e-3, "widths": (12, 16, 24, 32, 48)}


@pytest.fixture(scope="module")
def taught(drawn):
    """A detector of red squares, and scenes it has not seen."""
    detector = Detector(**QUICK).fit([drawn(seed) for seed in range(6)])
    return detector, [drawn(seed) for seed in range(100, 106)]


@pytest.fixture(scope="module")
def saved(taught, tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "squares.safetensors"
    taught[0].save(path)
    return path


def test_red_squares_are_found_among_blue_ones_and_discs(taught):
    detector, scenes = taught
    found = [detector.find(scene.picture, threshold=0.01) for scene in scenes]
    assert average_precision(found, scenes) > 0.8
    best = [iou(finds.boxes[:1], scene.boxes).max() for finds, scene in zip(found, scenes, strict=True)]
    assert np.mean(np.array(best) > 0.6) >= 5 / 6


def test_two_classes_are_told_apart(drawn):
    kinds = ("red square", "blue disc")
    scenes = [drawn(seed, kinds) for seed in range(36)]
    detector = Detector(**QUICK | {"steps": 180}).fit(SceneSet(tuple(scenes[:6]), kinds))
    found = [detector.find(scene.picture, threshold=0.01) for scene in scenes[6:]]
    assert found[0].class_names == kinds
    assert average_precision(found, scenes[6:]) > 0.8


def test_the_same_seed_gives_the_same_bits_and_another_does_not(drawn):
    scenes = [drawn(seed) for seed in range(2)]
    settings = QUICK | {"steps": 6, "rounds": 1}
    with wm.num_threads(1):
        first = Detector(**settings).fit(scenes).net.state_dict()
    with wm.num_threads(2):
        second = Detector(**settings).fit(scenes).net.state_dict()
    other = Detector(**settings, seed=1).fit(scenes).net.state_dict()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    assert any((array != other[name]).any() for name, array in first.items())


def test_arrays_paths_and_scenes_teach_the_same(drawn, tmp_path):
    scenes = [drawn(seed) for seed in range(2)]
    settings = QUICK | {"steps": 3, "rounds": 1}
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for scene, path in zip(scenes, paths, strict=True):
        write_image(path, scene.picture)
    boxes = [scene.boxes.tolist() for scene in scenes]
    nets = [
        Detector(**settings).fit(scenes).net,
        Detector(**settings).fit([scene.picture for scene in scenes], boxes).net,
        Detector(**settings).fit(paths, boxes).net,
    ]
    for net in nets[1:]:
        np.testing.assert_array_equal(net.state_dict()["0.weight"], nets[0].state_dict()["0.weight"])


def test_a_report_says_what_was_done_and_held_out(drawn):
    steps = []
    scenes = [drawn(seed) for seed in range(4)]
    detector = Detector(**(QUICK | {"steps": 12})).fit(scenes, validation=0.25, progress=steps.append)
    report = detector.report
    assert (report.scenes, report.objects, report.steps, report.held_out) == (3, 6, 12, 1)
    assert len(report.wrong_finds) == 3 and 0 <= report.average_precision <= 1
    assert set(report.recalls) == {1, 10, 100}
    assert "On 1 scene held out" in str(report)
    assert [each.step for each in steps] == list(range(1, 13))
    assert "No scene was held out" in str(Detector(**(QUICK | {"steps": 2})).fit(scenes).report)


def test_mirror_images_are_learned_from_if_asked(drawn):
    scenes = [drawn(seed) for seed in range(2)]
    settings = QUICK | {"steps": 2, "rounds": 1}
    plain, mirrored = (Detector(**settings, mirror=mirror).fit(scenes).net.state_dict() for mirror in (False, True))
    assert (plain["0.weight"] != mirrored["0.weight"]).any()


def test_heat_is_high_where_objects_are_and_low_elsewhere(taught):
    detector, scenes = taught
    picture, boxes = scenes[0].picture[:, :109], scenes[0].boxes
    finds, _, heat, _ = detector.look(picture, threshold=0.3)
    assert heat.shape == (28, 28) and 0 <= heat.min() < 0.1
    places = np.argwhere(heat >= finds.scores.max() - 1e-6) + 0.5
    [[left, top, right, bottom]] = finds.boxes[:1]
    assert any(top < row * 109 / 28 < bottom and left < column * 4 < right for row, column in places), boxes


def test_a_gray_picture_is_searched_by_a_detector_of_coloured_ones(taught):
    gray = np.zeros((50, 60), np.uint8)
    assert len(taught[0].find(gray, threshold=0.9)) == 0


def test_a_loaded_detector_finds_the_same_bits(taught, saved):
    detector, scenes = taught
    loaded = Detector.load(saved)
    assert loaded.settings == detector.settings
    one, other = (each.find(scenes[0].picture, threshold=0.01) for each in (detector, loaded))
    np.testing.assert_array_equal(one.boxes, other.boxes)
    np.testing.assert_array_equal(one.scores, other.scores)


def test_find_takes_detectors_and_their_files(taught, saved):
    detector, scenes = taught
    expected = detector.find(scenes[0].picture).boxes
    np.testing.assert_array_equal(wm.find(detector, scenes[0].picture).boxes, expected)
    np.testing.assert_array_equal(wm.find(saved, scenes[0].picture).boxes, expected)


def _forged(saved, path, change):
    tensors, document = load_tensors(saved)
    change(tensors, document)
    save_tensors(path, tensors, document)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t, d: d.pop("detector"), "not a detector"),
        (lambda t, d: d["detector"].pop("settings"), "does not describe a detector"),
        (lambda t, d: d["detector"]["settings"].update(spans=[1e-9]), "spans are"),
        (lambda t, d: d["detector"]["settings"].update(spans=["a"]), "spans are"),
        (lambda t, d: d["detector"]["settings"].update(widths=[10**9] * 5), "widths are"),
        (lambda t, d: d["detector"]["settings"].update(widths=[12, 16, 24, 32, 49]), "not the one of its settings"),
        (lambda t, d: d["detector"]["settings"].update(channels=1), "not the one of its settings"),
        (lambda t, d: d["detector"]["settings"].update(class_names=["a", "b"]), "not the one of its settings"),
        (lambda t, d: d["detector"]["settings"].update(class_names="object"), "class_names are"),
        (lambda t, d: d["detector"]["settings"].update(object_size=[40.0, float(10**300)]), "object_size are"),
        (lambda t, d: d["detector"]["settings"].update(steps=True), "steps is"),
        (lambda t, d: d["detector"]["settings"].update(more=1), "not those that this version"),
        (lambda t, d: t["0.weight"].fill(np.nan), "not finite"),
        (lambda t, d: d["architecture"].update(type="eval"), "eval"),
        (lambda t, d: t.pop("0.weight"), "0.weight"),
    ],
)
def test_forged_files_are_refused_in_a_sentence(saved, tmp_path, change, said):
    path = tmp_path / "forged.safetensors"
    _forged(saved, path, change)
    with pytest.raises(ValueError, match=said) as error:
        Detector.load(path)
    assert str(path) in str(error.value)


def test_truncated_and_other_files_are_refused(saved, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(ValueError, match="truncated"):
        Detector.load(cut)
    with pytest.raises(FileNotFoundError):
        Detector.load(tmp_path / "none.safetensors")
    header = json.dumps({"__metadata__": {}}).encode()
    cut.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ValueError, match="wimmel"):
        Detector.load(cut)


BLANK = np.zeros((60, 60), np.uint8)
TWO = [[5, 5, 20, 20], [30, 30, 45, 45]]


@pytest.mark.parametrize(
    ("pictures", "boxes", "more", "said"),
    [
        ([], [], {}, "no scene"),
        ([BLANK], None, {}, "need boxes"),
        ([BLANK], [], {}, "1 pictures need as many"),
        ([BLANK, BLANK], [[], []], {}, "None of the 2 scenes has a box"),
        ([BLANK], [TWO[:1]], {}, "only one example.*wimmel find TEMPLATE"),
        ([BLANK], [[[5, 5, 20, 90], [0, 0, 9, 9]]], {}, "does not lie within its 60x60"),
        ([BLANK], [[[5, 5, 8, 8], *TWO]], {}, "too small to learn from"),
        ([BLANK], [[[5, 5, 5, 20], *TWO]], {}, "too small to learn from"),
        ([BLANK], [TWO], {"class_names": ("a", "b")}, "no example of b"),
        ([BLANK], [TWO], {"classes": [[0, 3]], "class_names": ("a", "b")}, "go from 0 to 1"),
        ([BLANK], [TWO], {"validation": 1.0}, "validation"),
        ([BLANK.astype(float)], [TWO], {}, "uint8"),
        ([Scene(BLANK, TWO)], [TWO], {}, "of their own"),
    ],
)
def test_what_cannot_teach_is_refused_in_a_sentence(pictures, boxes, more, said):
    with pytest.raises(ValueError, match=said):
        Detector(steps=1, batch_size=2).fit(pictures, boxes, **more)


def test_arguments_are_checked(taught):
    with pytest.raises(TypeError, match="no setting stepps"):
        Detector(stepps=3)
    with pytest.raises(ValueError, match="steps is a whole number"):
        Detector(steps=0).fit([BLANK], [TWO])
    with pytest.raises(TypeError, match="list of pictures"):
        Detector().fit(BLANK, TWO)
    with pytest.raises(RuntimeError, match="not taught yet"):
        Detector().find(BLANK)
    for arguments, said in (({"threshold": 1.0}, "threshold"), ({"limit": 0}, "limit"), ({"overlap": 2}, "overlap")):
        with pytest.raises(ValueError, match=said):
            taught[0].find(BLANK, **arguments)
    with pytest.raises(TypeError, match="uint8 array or a path"):
        taught[0].find(3)


def test_a_view_is_the_level_around_the_best_find(taught):
    detector, scenes = taught
    rows, columns = 64, 72
    for scene in scenes:
        across, down, span = detector.look(scene.picture, threshold=0.005, limit=1).windows[0]
        picture = WholePicture(scene.picture)
        height, width = level_size(picture, span)
        level = piece_of_level(picture, span, 0, 0, height, width)
        seen = detector.view(scene.picture, size=(rows, columns))
        [(top, left)] = [
            (top, left)
            for top in range(height - rows + 1)
            for left in range(width - columns + 1)
            if (level[:, top : top + rows, left : left + columns] == seen).all()
        ]
        assert abs(top + rows / 2 - down / span) <= 1 or top in (0, height - rows)
        assert abs(left + columns / 2 - across / span) <= 1 or left in (0, width - columns)


def test_a_view_stays_inside_the_picture_and_needs_no_find(taught):
    detector, _ = taught
    assert detector.view(np.zeros((300, 20), np.uint8), size=(90, 90)).shape[1] == 90
    with pytest.raises(RuntimeError, match="not taught yet"):
        Detector().view(np.zeros((30, 20), np.uint8))
