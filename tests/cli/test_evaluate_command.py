"""`wimmel evaluate`: figures, confusion, pictures, and data that does not fit the model."""

import json
import shutil

import numpy as np
import pytest

from wimmel.files import read_image


def test_accuracy_and_every_class_are_shown(wimmel, model, photos):
    result = wimmel("evaluate", model, photos)
    assert result.exit_code == 0, result.output
    assert "100.00% of 24 pictures recognised (photos)" in result.stdout
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.strip()}
    assert rows["light"] == ["·", "12"]
    assert ["dark", "12", "100.0%", "100.0%"] in [line.split() for line in result.stdout.splitlines()]


def test_mistakes_are_counted_where_they_happen(wimmel, model, photos):
    shutil.move(photos / "light" / "00.png", photos / "dark" / "light-in-truth.png")
    document = json.loads(wimmel("evaluate", model, photos, "--json").stdout)
    assert document["confusion"] == [[12, 1], [0, 11]]
    assert document["accuracy"] == pytest.approx(23 / 24)
    assert document["recall"] == pytest.approx([12 / 13, 1])
    assert document["precision"] == pytest.approx([1, 11 / 12])


def test_classes_are_matched_by_name_not_by_order(wimmel, model, tmp_path):
    images = np.concatenate([np.full((3, 8, 8), 230), np.full((4, 8, 8), 20)]).astype(np.uint8)
    np.savez(
        tmp_path / "set.npz", x=images, y=np.array(["light"] * 3 + ["dark"] * 4), classes=np.array(["light", "dark"])
    )
    document = json.loads(wimmel("evaluate", model, tmp_path / "set.npz", "--json").stdout)
    assert document["classes"] == ["dark", "light"]
    assert document["confusion"] == [[4, 0], [0, 3]]


def test_classes_that_the_model_does_not_know_are_named(wimmel, model, photos):
    (photos / "light").rename(photos / "green")
    result = wimmel("evaluate", model, photos)
    assert result.exit_code == 1
    assert "does not know the class green" in result.stderr


def test_the_test_part_is_used_where_there_is_one(wimmel, model, tmp_path):
    images = np.full((6, 8, 8), 20, np.uint8)
    images[::2] = 230
    labels = np.array(["light", "dark"] * 3)
    np.savez(tmp_path / "set.npz", x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
    count = {
        part: json.loads(wimmel("evaluate", model, tmp_path / "set.npz", "--json", *arguments).stdout)["examples"]
        for part, arguments in {"": (), "test": ("--part", "test"), "train": ("--part", "train")}.items()
    }
    assert count == {"": 2, "test": 2, "train": 6}


def test_asking_for_a_test_part_that_is_not_there(wimmel, model, photos):
    result = wimmel("evaluate", model, photos, "--part", "test")
    assert result.exit_code == 1
    assert "has no test part" in result.stderr


def test_pictures_are_drawn_into_a_folder_that_is_made(wimmel, model, photos, tmp_path):
    folder = tmp_path / "deep" / "report"
    document = json.loads(wimmel("evaluate", model, photos, "-o", folder, "--json").stdout)
    assert document["pictures"] == [str(folder / "confusion-matrix.png"), str(folder / "mistakes.png")]
    for picture in document["pictures"]:
        assert min(read_image(picture).shape[1:]) > 100


def test_a_file_in_the_place_of_the_folder(wimmel, model, photos, tmp_path):
    (tmp_path / "taken").write_text("mine")
    result = wimmel("evaluate", model, photos, "-o", tmp_path / "taken")
    assert result.exit_code == 1
    assert "is a file" in result.stderr
    assert (tmp_path / "taken").read_text() == "mine"


def test_pictures_that_cannot_be_read_are_listed_and_counted(wimmel, model, photos):
    (photos / "dark" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of a picture")
    result = wimmel("evaluate", model, photos, "--json")
    assert result.exit_code == 0
    assert "1 file was passed over" in result.stderr
    assert "broken.jpg" in result.stderr
    document = json.loads(result.stdout)
    assert document["examples"] == 24
    assert [name for name, _ in document["skipped"]] == [str(photos / "dark" / "broken.jpg")]


def test_many_classes_show_their_most_frequent_mistakes(wimmel, tmp_path):
    from wimmel.data import Preprocessing
    from wimmel.models import mlp

    classes = tuple(f"class {number}" for number in range(30))
    mlp((1, 4, 4), 30, [8], seed=0).save(
        tmp_path / "many.safetensors", classes=classes, preprocessing=Preprocessing((1, 4, 4), (0.5,), (0.5,))
    )
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4)).astype(np.uint8)
    np.savez(tmp_path / "set.npz", x=images, y=np.arange(60) % 30, classes=np.array(classes))
    result = wimmel("evaluate", tmp_path / "many.safetensors", tmp_path / "set.npz")
    assert result.exit_code == 0, result.output
    assert "was taken for this" in result.stdout


def test_pictures_of_one_class_are_enough(wimmel, model, photos, tmp_path):
    shutil.rmtree(photos / "light")
    document = json.loads(wimmel("evaluate", model, photos, "--json").stdout)
    assert document["confusion"] == [[12, 0], [0, 0]]
    assert (document["recall"], document["precision"]) == ([1, None], [1, None])
    np.savez(tmp_path / "set.npz", x=np.full((3, 8, 8), 230, np.uint8), y=np.array(["light"] * 3))
    assert json.loads(wimmel("evaluate", model, tmp_path / "set.npz", "--json").stdout)["accuracy"] == 1


def test_what_is_not_defined_is_null_and_mistakes_are_listed(wimmel, model, tmp_path):
    images = np.full((4, 8, 8), 20, np.uint8)
    np.savez(tmp_path / "set.npz", x=images, y=np.array(["dark", "dark", "light", "dark"]))
    document = json.loads(wimmel("evaluate", model, tmp_path / "set.npz", "--json").stdout)
    assert document["precision"] == [0.75, None]
    [mistake] = document["mistakes"]
    assert (mistake["index"], mistake["true"], mistake["predicted"]) == (2, "light", "dark")
    assert 0.5 < mistake["confidence"] <= 1
