"""`wimmel inspect`: the layers of a model file, and what it refuses to take for one."""

import json
import re

import numpy as np
import pytest

from wimmel.data import Preprocessing
from wimmel.files import save_tensors
from wimmel.models import lenet


def test_every_layer_has_its_line(wimmel, model):
    result = wimmel("inspect", model)
    assert result.exit_code == 0, result.output
    assert "Conv2d" in result.stdout
    assert "6x8x8" in result.stdout
    assert "3x3, stride 1, from (-1, -1)" in result.stdout
    assert "2: dark, light" in result.stdout
    assert "gray, 8x8" in result.stdout
    assert "\x1b" not in result.stdout


def test_the_total_of_parameters_is_that_of_the_layers(wimmel, model):
    document = json.loads(wimmel("inspect", model, "--json").stdout)
    by_hand = (9 + 1) * 6 + (9 * 6 + 1) * 16 + (64 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 2
    assert document["parameters"] == by_hand
    assert sum(layer["parameters"] for layer in document["layers"]) == by_hand
    assert document["classes"] == ["dark", "light"]
    assert document["preprocessing"] == {"shape": [1, 8, 8], "mean": [0.0], "std": [1.0]}


def test_a_trained_model_tells_how_it_was_trained(wimmel, photos, tmp_path):
    path = tmp_path / "shades.safetensors"
    assert wimmel("train", photos, "-o", path, "--epochs", 1, "--quiet").exit_code == 0
    text = wimmel("inspect", path).stdout
    assert "photos, 22 pictures" in text
    assert "1 epoch," in text
    assert json.loads(wimmel("inspect", path, "--json").stdout)["training"]["recipe"]["seed"] == 0


def test_a_narrow_terminal_breaks_no_line_of_the_table(started, model):
    text, _ = started("inspect", model, COLUMNS="56", FORCE_COLOR="1", TERM="xterm").communicate(timeout=60)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.splitlines()]
    rows = [line.split() for line in lines if "Linear" in line or "Conv2d" in line]
    assert max(len(line) for line in lines if "Linear" in line or "Conv2d" in line) <= 56
    assert rows[-2] == ["9", "Linear", "84", "10.2k", "10.1k"]


def test_a_missing_file(wimmel, tmp_path):
    result = wimmel("inspect", tmp_path / "absent.safetensors")
    assert result.exit_code == 1
    assert "absent.safetensors" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_a_truncated_model(wimmel, model, tmp_path, kept):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(model.read_bytes()[:kept])
    result = wimmel("inspect", broken)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert str(broken) in result.stderr


def test_a_picture_taken_for_a_model(wimmel, photos):
    result = wimmel("inspect", photos / "dark" / "00.png")
    assert result.exit_code == 1
    assert "PNG picture" in result.stderr


def test_tensors_without_an_architecture(wimmel, tmp_path):
    save_tensors(tmp_path / "plain.safetensors", {"weight": np.ones(3, np.float32)}, {})
    result = wimmel("inspect", tmp_path / "plain.safetensors")
    assert result.exit_code == 1
    assert "not how to build" in result.stderr


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_network_without_classes_cannot_recognise_pictures(wimmel, photos, tmp_path, command):
    path = tmp_path / "bare.safetensors"
    lenet(2, 1, (8, 8), seed=0).save(path)
    result = wimmel(command, path, photos)
    assert result.exit_code == 1
    assert "not the names of its classes" in result.stderr


def test_a_network_that_tells_no_input_is_listed_without_shapes(wimmel, tmp_path):
    path = tmp_path / "bare.safetensors"
    lenet(2, 1, (8, 8), seed=0).save(path)
    result = wimmel("inspect", path)
    assert result.exit_code == 0, result.output
    assert ["0", "Conv2d", "60"] in [line.split() for line in result.stdout.splitlines()]
    assert "--input 1x28x28" in result.stdout
    document = json.loads(wimmel("inspect", path, "--json").stdout)
    assert sum(layer["parameters"] for layer in document["layers"]) == document["parameters"]
    assert document["input_shape"] is None


def test_an_input_given_shows_the_shapes(wimmel, tmp_path):
    path = tmp_path / "bare.safetensors"
    lenet(2, 1, (8, 8), seed=0).save(path)
    assert json.loads(wimmel("inspect", path, "--input", "1x8x8", "--json").stdout)["input_shape"] == [1, 8, 8]
    assert wimmel("inspect", path, "--input", "3x8x8").exit_code == 1
    assert wimmel("inspect", path, "--input", "large").exit_code == 2


def test_preprocessing_that_does_not_fit_the_network_hides_only_the_shapes(wimmel, tmp_path):
    path = tmp_path / "odd.safetensors"
    lenet(2, 1, (8, 8), seed=0).save(path, preprocessing=Preprocessing((3, 8, 8), (0.5,) * 3, (0.5,) * 3))
    result = wimmel("inspect", path)
    assert result.exit_code == 0, result.output
    assert "colour, 8x8" in result.stdout


def test_a_picture_gives_a_page_for_each_layer_with_rows_and_columns(wimmel, model, photos, tmp_path):
    out, picture = tmp_path / "channels", photos / "dark" / "00.png"
    result = wimmel("inspect", model, "--picture", picture, "-o", out)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {"layer-1.png", "layer-4.png"}
    assert str(out / "layer-4.png") in result.stdout
    chosen = wimmel("inspect", model, "--picture", picture, "-o", out, "--layer", 0, "--json")
    assert json.loads(chosen.stdout)["channels"] == [str(out / "layer-0.png")]
    assert (out / "layer-0.png").exists()


@pytest.mark.parametrize(
    ("layer", "said"), [("99", "There is no layer '99'"), ("11", "without rows and columns"), (None, "does not tell")]
)
def test_channels_that_cannot_be_drawn_are_refused_in_a_sentence(wimmel, model, photos, tmp_path, layer, said):
    given = ("--picture", photos / "dark" / "00.png", "-o", tmp_path / "out")
    if layer is None:
        lenet(2, 1, (8, 8), seed=0).save(tmp_path / "bare.safetensors")
        result = wimmel("inspect", tmp_path / "bare.safetensors", *given)
    else:
        result = wimmel("inspect", model, *given, "--layer", layer)
    assert result.exit_code == 1
    assert said in result.stderr


def test_layers_need_a_picture(wimmel, model):
    assert wimmel("inspect", model, "--layer", "0").exit_code == 2
