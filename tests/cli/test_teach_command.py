"""`wimmel teach`: boxes and scenes in, a detector out; and `wimmel find` with that detector."""

import json

import numpy as np
import pytest

from wimmel.detection import Detector, Finds, iou, read_annotations, write_boxes
from wimmel.files import read_image, write_image
from wimmel.report.canvas import percent


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """A folder of scenes with two light squares each, their boxes, and a scene apart with its boxes."""
    folder = tmp_path_factory.mktemp("teach")
    (folder / "scenes").mkdir()
    rng = np.random.default_rng(0)
    boxes, sizes = {}, {}
    for number in range(4):
        picture = rng.integers(60, 110, (1, 80, 90)).astype(np.uint8)
        name = "apart.png" if number == 3 else f"scenes/{number}.png"
        corners = [(8 + 3 * number, 10), (50 + 2 * number, 40 + 3 * number)]
        for left, top in corners:
            picture[0, top : top + 16, left : left + 16] = 240
        write_image(folder / name, picture)
        boxes[name] = Finds([[x, y, x + 16, y + 16] for x, y in corners], [1.0, 1.0], class_names=("square",))
        sizes[name] = (80, 90)
    scenes = {name.removeprefix("scenes/"): boxes[name] for name in list(boxes)[:3]}
    write_boxes(folder / "boxes.json", scenes, "coco", dict.fromkeys(scenes, (80, 90)))
    return folder, boxes["apart.png"].boxes


@pytest.fixture(scope="module")
def detector(marked, tmp_path_factory):
    path = tmp_path_factory.mktemp("taught") / "square.safetensors"
    scenes = read_annotations(marked[0] / "boxes.json", marked[0] / "scenes")
    Detector(steps=40, batch_size=32, rounds=2, learning_rate=4e-3).fit(scenes).save(path)
    return path


def test_a_detector_is_taught_and_said_to_be(wimmel, marked, tmp_path):
    out = tmp_path / "square.safetensors"
    result = wimmel("teach", marked[0] / "boxes.json", marked[0] / "scenes", "-o", out, "--steps", 2)
    assert result.exit_code == 0, result.output
    assert "6 boxes in 3 scenes" in result.stdout
    assert "No scene was held out" in result.stdout
    assert f"wimmel find {out} PICTURES" in result.stdout
    assert Detector.load(out).settings.class_names == ("square",)


def test_json_is_all_there_is_on_the_standard_output(wimmel, marked, tmp_path):
    out = tmp_path / "square.safetensors"
    given = ("teach", marked[0] / "boxes.json", marked[0] / "scenes", "-o", out, "--steps", 2, "--seed", 5, "--json")
    result = wimmel(*given, "--validation", 0.3)
    document = json.loads(result.stdout)
    assert document["settings"]["seed"] == 5
    assert (document["report"]["scenes"], document["report"]["held_out"]) == (2, 1)
    assert 0 <= document["report"]["average_precision"] <= 1
    assert result.stderr == ""


def test_what_was_taught_is_found(wimmel, marked, detector, tmp_path):
    folder, boxes = marked
    out = tmp_path / "out"
    result = wimmel("find", detector, folder / "apart.png", "-o", out, "--json", "--limit", 2, "--threshold", 0.1)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["pictures"][0]["boxes"]
    assert {each["class"] for each in found} == {"square"}
    assert (iou([each["box"] for each in found], boxes).max(axis=0) > 0.5).all()
    assert {path.name for path in out.iterdir()} == {"found.json", "apart-found.png", "apart-heat.png", "finds.png"}
    table = wimmel("find", detector, folder / "apart.png", "--limit", 1, "--threshold", 0.1)
    assert sum("apart.png" in line for line in table.stdout.splitlines()) == 1


def test_a_detector_is_inspected_with_what_its_channels_answer(wimmel, marked, detector, tmp_path):
    result = wimmel("inspect", detector, "--picture", marked[0] / "apart.png", "-o", tmp_path / "channels")
    assert result.exit_code == 0, result.output
    names = {f"layer-{place}.png" for place in (1, 3, 6, 8, 11, 12)}
    assert {path.name for path in (tmp_path / "channels").iterdir()} == names
    assert "multiply-adds" in result.stdout


def test_whether_a_picture_shows_one_is_told_and_how_far_to_believe_it(wimmel, marked, tmp_path):
    folder, out = marked[0], tmp_path / "square.safetensors"
    without = tmp_path / "scenes"
    without.mkdir()
    for number in range(3):
        write_image(without / f"{number}.png", read_image(folder / "scenes" / f"{number}.png"))
    for number in range(4):
        empty = np.random.default_rng(9 + number).integers(60, 110, (1, 80, 90)).astype(np.uint8)
        write_image(without / f"none{number}.png", empty)
    lines = [f"none{number}.png,,,,,\n" for number in range(4)]
    for scene in read_annotations(folder / "boxes.json", folder / "scenes"):
        lines += [f"{scene.picture.name},square,{','.join(str(edge) for edge in box)}\n" for box in scene.boxes]
    (tmp_path / "boxes.csv").write_text("picture,class,left,top,right,bottom\n" + "".join(lines))
    taught = wimmel("teach", tmp_path / "boxes.csv", without, "-o", out, "--steps", 30, "--json")
    assert taught.exit_code == 0, taught.output
    document = json.loads(taught.stdout)
    assert document["report"]["held_out"] == 3
    [calibration] = document["calibrations"]
    assert (calibration["objects"], calibration["without"]) == (2, 2)
    found = wimmel("find", out, folder / "apart.png", without / "none0.png", "--json")
    one, none = (picture["presence"][0] for picture in json.loads(found.stdout)["pictures"])
    assert one["class"] == "square" and one["calibration"] == none["calibration"] == "calibrated"
    assert 0 <= none["probability"] < one["probability"] <= 1
    table = wimmel("find", out, folder / "apart.png")
    assert percent(one["probability"], 1) in table.stdout and "calibrated" in table.stdout


def test_without_scenes_of_both_kinds_it_is_uncalibrated(wimmel, marked, detector):
    result = wimmel("find", detector, marked[0] / "apart.png")
    assert "uncalibrated" in result.stdout
    document = json.loads(wimmel("find", detector, marked[0] / "apart.png", "--json").stdout)
    assert document["pictures"][0]["presence"][0]["calibration"] == "uncalibrated"


def test_a_probability_of_one_is_never_reached(wimmel, marked, detector):
    result = wimmel("find", detector, marked[0] / "apart.png", "--threshold", 1)
    assert result.exit_code == 1
    assert "a probability below 1" in result.stderr


def test_scales_and_angles_belong_to_pictures(wimmel, marked, detector):
    result = wimmel("find", detector, marked[0] / "apart.png", "--scale", 2)
    assert result.exit_code == 1
    assert "a detector knows the sizes" in result.stderr


def test_other_files_are_no_detectors(wimmel, marked, tmp_path):
    from wimmel.models import lenet

    lenet(2).save(tmp_path / "lenet.safetensors", classes=("a", "b"))
    result = wimmel("find", tmp_path / "lenet.safetensors", marked[0] / "apart.png")
    assert result.exit_code == 1
    assert "not a detector" in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"images": [], "annotations": [], "categories": []}', "Error:"),
        ("picture,class,left,top,right,bottom\n0.png,a,1,1,20,20\n", "only one example"),
        ("picture,class,left,top,right,bottom\n0.png,a,1,1,20,400\n1.png,a,1,1,20,20\n", "1 fault"),
    ],
)
def test_what_cannot_teach_is_refused_in_a_sentence(wimmel, marked, tmp_path, text, said):
    boxes = tmp_path / ("boxes.json" if text.startswith("{") else "boxes.csv")
    boxes.write_text(text)
    result = wimmel("teach", boxes, marked[0] / "scenes", "-o", tmp_path / "a.safetensors", "--steps", 1)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not (tmp_path / "a.safetensors").exists()


def test_the_place_for_the_file_is_checked_before(wimmel, marked, tmp_path):
    given = ("teach", marked[0] / "boxes.json", marked[0] / "scenes", "-o")
    assert "should end in .safetensors" in wimmel(*given, tmp_path / "a.pt").stderr
    assert "there is no folder" in wimmel(*given, tmp_path / "none" / "a.safetensors").stderr
