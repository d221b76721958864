"""`wimmel find`: boxes of a template in pictures, as a table, as JSON, and as files in a folder."""

import csv
import json

import numpy as np
import pytest

from wimmel.detection import read_annotations, teeming_scene
from wimmel.files import read_image, write_image


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A folder with two scenes and, beside it, a picture of Wim cut from the first; his box."""
    folder = tmp_path_factory.mktemp("find")
    (folder / "scenes").mkdir()
    for seed in (0, 1):
        scene = teeming_scene(seed, 30, hidden=0.0, size=(240, 260))
        write_image(folder / "scenes" / f"{seed}.png", scene.picture)
        if seed == 0:
            left, top, right, bottom = (int(edge) for edge in scene.boxes[0])
            write_image(folder / "wim.png", scene.picture[:, top:bottom, left:right])
            box = [left, top, right, bottom]
    return folder, box


def test_a_table_says_where_it_is(wimmel, scenes):
    folder, box = scenes
    result = wimmel("find", folder / "wim.png", folder / "scenes" / "0.png", "--threshold", 0.95)
    assert result.exit_code == 0, result.output
    [row] = [line.split() for line in result.stdout.splitlines() if "0.png" in line]
    assert float(row[1]) > 0.99
    np.testing.assert_allclose([float(edge) for edge in row[2:]], box, atol=0.5)


def test_json_is_all_there_is_on_the_standard_output(wimmel, scenes):
    folder, box = scenes
    scales = ("--scale", 1, "--scale", 0.8)
    result = wimmel("find", folder / "wim.png", folder / "scenes", "--threshold", 0.95, *scales, "--json")
    document = json.loads(result.stdout)
    first, second = document["pictures"]
    assert (first["width"], first["height"]) == (260, 240)
    [found] = first["boxes"]
    np.testing.assert_allclose(found["box"], box, atol=0.5)
    assert (found["scale"], found["angle"]) == (1, 0)
    assert second["boxes"] == []
    assert document["failed"] == []
    assert result.stderr == ""


@pytest.mark.parametrize("format", ["json", "csv", "coco"])
def test_a_folder_gets_boxes_and_pictures(wimmel, scenes, tmp_path, format):
    folder, box = scenes
    out = tmp_path / "out"
    result = wimmel("find", folder / "wim.png", folder / "scenes", "--threshold", 0.95, "-o", out, "--format", format)
    assert result.exit_code == 0, result.output
    boxes = "found.csv" if format == "csv" else "found.json"
    assert {path.name for path in out.iterdir()} == {boxes, "0-found.png", "1-found.png", "finds.png"}
    read = read_annotations(out / boxes)
    np.testing.assert_allclose(read[0].boxes, [box], atol=0.5)
    assert len(read[1]) == 0
    assert (read_image(out / "0-found.png") != read_image(folder / "scenes" / "0.png")).any()
    if format == "csv":
        assert next(csv.DictReader((out / boxes).read_text().splitlines()))["class"] == "wim"


def test_what_is_searched_is_never_written_over(wimmel, scenes, tmp_path):
    folder = tmp_path / "scenes [1]"
    folder.mkdir()
    for name in ("a.png", "a-found.png", "finds.png"):
        write_image(folder / name, read_image(scenes[0] / "scenes" / "0.png"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for given in (folder, folder / "a.png"):
        result = wimmel("find", scenes[0] / "wim.png", given, "-o", folder)
        assert result.exit_code == 1
        assert "is searched here, and -o would write into it; give -o another folder" in result.stderr
    assert wimmel("find", scenes[0] / "wim.png", folder / "a.png", "-o", tmp_path).exit_code == 0
    for _ in range(2):
        result = wimmel("find", scenes[0] / "wim.png", folder, "-o", folder / "found", "--json")
        assert [picture["picture"] for picture in json.loads(result.stdout)["pictures"]] == [
            str(folder / name) for name in sorted(before)
        ]
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_pictures_that_cannot_be_searched_are_listed_after_the_others_are_done(wimmel, scenes, tmp_path):
    folder, _ = scenes
    cut, small = tmp_path / "cut.png", tmp_path / "small.png"
    cut.write_bytes((folder / "scenes" / "0.png").read_bytes()[:300])
    write_image(small, np.zeros((5, 5), np.uint8))
    given = (cut, small, folder / "scenes" / "1.png", tmp_path / "gone.png")
    result = wimmel("find", folder / "wim.png", *given, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    reasons = {entry["picture"]: entry["reason"] for entry in document["failed"]}
    assert "truncated" in reasons[str(cut)]
    assert "larger than the picture of 5x5" in reasons[str(small)]
    assert "no such file" in reasons[str(tmp_path / "gone.png")]
    assert [entry["picture"] for entry in document["pictures"]] == [str(folder / "scenes" / "1.png")]
    assert "3 of 4 pictures could not be searched" in result.stderr


@pytest.mark.parametrize(
    "template, said",
    [(np.zeros((9, 9), np.uint8), "all of one colour"), (None, "There is no picture")],
)
def test_what_is_no_template_is_refused_in_a_sentence(wimmel, scenes, tmp_path, template, said):
    folder, _ = scenes
    if template is not None:
        write_image(tmp_path / "template.png", template)
    result = wimmel("find", tmp_path / "template.png", folder / "scenes")
    assert result.exit_code == 1
    assert said in result.stderr


def test_a_format_that_is_not_known_is_refused(wimmel, scenes):
    folder, _ = scenes
    result = wimmel("find", folder / "wim.png", folder / "scenes", "--format", "xml")
    assert result.exit_code == 1
    assert "json, csv, coco" in result.stderr
