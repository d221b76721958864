"""`wimmel predict`: tables, JSON, folders and patterns, and pictures that cannot be read."""

import json
import os

import numpy as np
import pytest

from wimmel.files import read_image, write_image


def test_a_folder_is_recognised_picture_by_picture(wimmel, model, photos):
    result = wimmel("predict", model, photos)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines() if ".png" in line]
    assert len(lines) == 24
    for path, answer, confidence in lines:
        assert answer == ("dark" if "/dark/" in path else "light")
        assert confidence.endswith("%")


def test_json_is_all_there_is_on_the_standard_output(wimmel, model, photos):
    result = wimmel("predict", model, photos / "dark" / "00.png", photos / "light" / "00.png", "--json")
    document = json.loads(result.stdout)
    assert [entry["class"] for entry in document["pictures"]] == ["dark", "light"]
    assert [entry["picture"] for entry in document["pictures"]] == [
        str(photos / "dark" / "00.png"),
        str(photos / "light" / "00.png"),
    ]
    assert all(0.5 < entry["confidence"] <= 1 for entry in document["pictures"])
    assert document["unreadable"] == []
    assert result.stderr == ""


def test_top_shows_the_likeliest_classes_whose_shares_add_up(wimmel, model, photos):
    result = wimmel("predict", model, photos / "dark", "--top", 2, "--json")
    for entry in json.loads(result.stdout)["pictures"]:
        shares = [answer["confidence"] for answer in entry["top"]]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1, abs=1e-6)
        assert entry["top"][0]["class"] == entry["class"]
    assert "light" in wimmel("predict", model, photos / "dark" / "00.png", "--top", 2).stdout


def test_patterns_that_the_shell_left_alone_are_expanded_and_no_picture_comes_twice(wimmel, model, photos):
    result = wimmel("predict", model, photos / "*" / "0[01].png", photos / "dark" / "00.png", "--json")
    names = [entry["picture"] for entry in json.loads(result.stdout)["pictures"]]
    assert names == [str(photos / shade / f"{number}.png") for shade in ("dark", "light") for number in ("00", "01")]


def test_pictures_of_any_size_and_colour_are_brought_to_what_the_model_takes(wimmel, model, tmp_path):
    write_image(tmp_path / "large.jpg", np.full((3, 90, 70), 230, np.uint8))
    result = wimmel("predict", model, tmp_path / "large.jpg", "--json")
    assert json.loads(result.stdout)["pictures"][0]["class"] == "light"


def test_unreadable_pictures_are_listed_after_the_others_are_done(wimmel, model, photos):
    (photos / "dark" / "broken.png").write_bytes((photos / "dark" / "00.png").read_bytes()[:80])
    result = wimmel("predict", model, photos / "dark", photos / "absent.png", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert len(document["pictures"]) == 12
    reasons = {entry["picture"]: entry["reason"] for entry in document["unreadable"]}
    assert set(reasons) == {str(photos / "dark" / "broken.png"), str(photos / "absent.png")}
    assert "there is no such file" in reasons[str(photos / "absent.png")]
    assert "truncated or damaged" in reasons[str(photos / "dark" / "broken.png")]
    assert "2 of 14 pictures could not be read" in result.stderr


def test_a_picture_whose_name_is_no_text_is_listed_and_the_others_are_recognised(wimmel, model, photos):
    copy = photos / "dark" / os.fsdecode(b"caf\xe9.png")  # as written by who thinks in Latin-1
    try:
        copy.write_bytes((photos / "dark" / "00.png").read_bytes())
    except OSError as error:
        pytest.skip(f"this file system refuses such names: {error}")
    result = wimmel("predict", model, photos / "dark", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1 and len(document["pictures"]) == 12
    [listed] = document["unreadable"]
    assert listed["picture"].endswith(r"caf\udce9.png") and "another" in listed["reason"]


def test_a_folder_without_pictures_is_an_error(wimmel, model, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    result = wimmel("predict", model, tmp_path / "empty")
    assert result.exit_code == 1
    assert "there are no pictures in this folder" in result.stderr
    assert result.stdout == ""


def test_hidden_files_in_a_folder_are_left_out(wimmel, model, photos):
    (photos / "dark" / ".thumbnail.png").write_bytes((photos / "dark" / "00.png").read_bytes())
    assert len(json.loads(wimmel("predict", model, photos, "--json").stdout)["pictures"]) == 24


def test_the_answers_can_be_drawn(wimmel, model, photos, tmp_path):
    drawn = tmp_path / "drawn.png"
    result = wimmel("predict", model, photos, "-o", drawn)
    assert result.exit_code == 0, result.output
    assert f"Saved {drawn}" in result.stdout
    assert min(read_image(drawn).shape[1:]) > 200


@pytest.mark.parametrize("top", ["0", "-1", "many"])
def test_a_senseless_number_of_classes_is_a_usage_error(wimmel, model, photos, top):
    assert wimmel("predict", model, photos, "--top", top).exit_code == 2


@pytest.mark.parametrize("given", ["photos/dark/00.png", "photos", "photos/dark/*.png"])
def test_a_picture_that_is_read_is_not_drawn_over(wimmel, model, photos, monkeypatch, given):
    monkeypatch.chdir(photos.parent)
    before = (photos / "dark" / "00.png").read_bytes()
    result = wimmel("predict", model, given, "-o", photos / "dark" / ".." / "dark" / "00.png")
    assert result.exit_code == 1
    assert "write over it" in result.stderr
    assert (photos / "dark" / "00.png").read_bytes() == before


def test_json_can_be_written_in_every_encoding(started, model, photos):
    (photos / "dark" / "00.png").rename(photos / "dark" / "日本.png")
    process = started("predict", model, photos / "dark" / "日本.png", "--json", PYTHONIOENCODING="latin-1")
    output, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    assert json.loads(output)["pictures"][0]["picture"].endswith("日本.png")
