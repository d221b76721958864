"""`wimmel demo find`: what it leaves behind, and that its advice works. Its teaching is cut short here."""

import json
import shlex

import numpy as np
import pytest

from wimmel.cli.demos import find as demo
from wimmel.detection import Detector, read_annotations
from wimmel.files import read_image


@pytest.fixture(autouse=True)
def short(monkeypatch):
    for name, value in (
        ("STEPS", 4),
        ("SCENES", 2),
        ("WITHOUT", 1),
        ("NEW_SCENES", 2),
        ("SIZE", (160, 200)),
        ("FIGURES", 20),
    ):
        monkeypatch.setattr(demo, name, value)


def test_the_demo_leaves_scenes_boxes_a_detector_and_pictures_and_its_advice_works(wimmel, tmp_path):
    folder = tmp_path / "a folder with spaces"
    result = wimmel("demo", "find", "-o", folder)
    assert result.exit_code == 0, result.output
    assert "of 1 scenes with him that it had never seen the best find is Wim; in new-02.png he is not" in result.stdout
    assert "\x1b" not in result.output
    learned = read_annotations(folder / "boxes.json", folder / "scenes")
    answers = read_annotations(folder / "where-he-is.csv", folder / "new-scenes")
    assert [len(scene) for scene in learned] == [3, 3, 0]
    assert [len(scene) for scene in answers] == [1, 0]
    assert Detector.load(folder / "wim.safetensors").settings.class_names == ("wim",)
    pictures = {f"new-0{number}-{kind}.png" for number in (1, 2) for kind in ("found", "heat")}
    assert {path.name for path in (folder / "found").iterdir()} >= pictures | {"finds.png", "found.json"}
    assert read_image(folder / "overview.png").shape[1] == 160

    advised = [shlex.split(line) for line in result.stdout.splitlines() if line.startswith("  wimmel ")]
    assert [command[1] for command in advised] == ["find", "teach", "teach", "find"]
    answer = wimmel(*advised[0][1:])
    assert len(json.loads(answer.stdout)["pictures"]) == 2
    assert wimmel(*advised[1][1:], "--steps", 2).exit_code == 0


def test_it_runs_the_commands_that_it_shows(wimmel, tmp_path):
    shown = [line[2:] for line in wimmel("demo", "find", "-o", tmp_path).stdout.splitlines() if line.startswith("$ ")]
    first = Detector.load(tmp_path / "wim.safetensors").net.parameters()
    for line in shown:
        assert wimmel(*shlex.split(line)[1:]).exit_code == 0
    again = Detector.load(tmp_path / "wim.safetensors").net.parameters()
    assert all(np.array_equal(again[name], array) for name, array in first.items())


def test_another_seed_gives_other_scenes_all_of_them_different():
    drawn = [scene.picture.tobytes() for seed in (0, 1) for part in demo.drawn_scenes(seed) for scene in part.values()]
    assert len(set(drawn)) == 10
    again = [scene.picture.tobytes() for part in demo.drawn_scenes(1) for scene in part.values()]
    assert drawn[5:] == again


def test_digits_are_the_demo_unless_another_is_asked_for(wimmel):
    assert "[default: digits]" in wimmel("demo", "--help").stdout
    assert wimmel("demo", "cats").exit_code == 2
