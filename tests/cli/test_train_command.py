"""`wimmel train`: from pictures to a model file, its choices, Ctrl-C, going on, and data that cannot be trained on."""

import errno
import json
import signal

import numpy as np
import pytest

from wimmel.data import read
from wimmel.files import load_tensors, save_tensors
from wimmel.nn import load
from wimmel.train import Trainer, evaluate


@pytest.fixture
def interrupted_after(monkeypatch):
    """Makes every training behave as if Ctrl-C had come after so many batches."""

    def interrupt(batches):
        fit = Trainer.fit
        left = [batches]

        def stop(progress):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

        monkeypatch.setattr(Trainer, "fit", lambda self, *given, **named: fit(self, *given, **named, on_batch=stop))

    return interrupt


def test_a_model_is_trained_saved_and_recognises(wimmel, photos, tmp_path):
    path = tmp_path / "shades.safetensors"
    result = wimmel("train", photos, "-o", path, "--epochs", 12)
    assert result.exit_code == 0, result.output
    assert "24 pictures in 2 classes" in result.stdout
    assert "Classes: dark, light" in result.stdout
    assert "epoch 12/12" in result.stdout
    assert f"Saved {path}" in result.stdout
    assert "\x1b" not in result.output
    net = load(path)
    assert evaluate(net, read(photos).train).accuracy > 0.9
    assert [entry.name for entry in tmp_path.iterdir() if entry != photos] == ["shades.safetensors"]


def test_every_choice_is_shown_with_the_option_that_changes_it(wimmel, photos, tmp_path):
    lines = wimmel("train", photos, "-o", tmp_path / "m.safetensors", "--epochs", 1).stdout.splitlines()
    for name, option in {
        "size": "--size",
        "network": "--model, --width",
        "validation": "--validation",
        "variations": "--no-augment",
        "epochs": "--epochs",
        "batch size": "--batch-size",
        "learning rate": "--learning-rate",
        "seed": "--seed",
    }.items():
        [line] = [line for line in lines if line.startswith(name)]
        assert option in line


def test_options_override_the_choices(wimmel, photos, tmp_path):
    options = {"--model": "mlp", "--width": "12,7", "--epochs": 2, "--batch-size": 5, "--learning-rate": 0.01}
    options |= {"--size": "6x4", "--seed": 3, "--validation": 0.25}
    given = [str(part) for pair in options.items() for part in pair]
    result = wimmel("train", photos, "-o", tmp_path / "m.safetensors", *given, "--no-augment", "--json")
    document = json.loads(result.stdout)
    recipe = document["recipe"]
    assert (recipe["model"], recipe["width"], recipe["epochs"], recipe["batch_size"]) == ("mlp", [12, 7], 2, 5)
    assert (recipe["learning_rate"], recipe["seed"], recipe["augmentation"]) == (0.01, 3, None)
    assert document["data"]["validation_pictures"] == 6
    assert document["data"]["trained_on"] == 18
    net = load(tmp_path / "m.safetensors")
    assert net.preprocessing.shape == (1, 6, 4)
    assert [layer.weight.shape for layer in net if hasattr(layer, "weight")] == [(12, 24), (7, 12), (2, 7)]


def test_the_same_seed_gives_the_same_model_and_another_another(wimmel, photos, tmp_path):
    def trained(name, seed):
        wimmel("train", photos, "-o", tmp_path / f"{name}.safetensors", "--epochs", 2, "--seed", seed, "--quiet")
        return load_tensors(tmp_path / f"{name}.safetensors")[0]["0.weight"]

    first = trained("a", 5)
    assert (first == trained("b", 5)).all()
    assert (first != trained("c", 6)).any()


def test_json_is_all_there_is_on_the_standard_output(wimmel, photos, tmp_path):
    result = wimmel("train", photos, "-o", tmp_path / "m.safetensors", "--epochs", 2, "--json")
    document = json.loads(result.stdout)
    assert [epoch["epoch"] for epoch in document["history"]] == [1, 2]
    assert document["model"] == str(tmp_path / "m.safetensors")
    assert document["classes"] == ["dark", "light"]
    assert document["test"] is None


def test_quiet_is_quiet(wimmel, photos, tmp_path):
    result = wimmel("train", photos, "-o", tmp_path / "m.safetensors", "--epochs", 1, "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_the_test_part_is_read_once_at_the_end_and_never_trained_on(wimmel, tmp_path):
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = (labels[:, None, None] * 130 + generator.integers(0, 80, (40, 8, 8))).astype(np.uint8)
    # The labels of the test part are all wrong: whoever had trained or chosen by them would do better.
    np.savez(tmp_path / "set.npz", x_train=images[:30], y_train=labels[:30], x_test=images[30:], y_test=1 - labels[30:])
    result = wimmel("train", tmp_path / "set.npz", "-o", tmp_path / "m.safetensors", "--epochs", 10, "--json")
    document = json.loads(result.stdout)
    assert document["data"] == {"name": "set", "trained_on": 27, "validation_pictures": 3, "test_pictures": 10}
    assert document["test"]["accuracy"] < 0.2
    assert document["test_accuracy"] == document["test"]["accuracy"]


def test_a_file_in_the_way_is_replaced_whole(wimmel, photos, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"an older file, much larger" * 100_000)
    assert wimmel("train", photos, "-o", path, "--epochs", 1, "--quiet").exit_code == 0
    assert load(path).classes == ("dark", "light")


def test_ctrl_c_leaves_the_best_model_so_far(started, photos, tmp_path):
    path = tmp_path / "m.safetensors"
    process = started("train", photos, "-o", path, "--epochs", 100_000, "--batch-size", 8)
    for line in process.stdout:
        if line.startswith("epoch") and " 3/" in line:
            break
    process.send_signal(signal.SIGINT)
    output, complaint = process.communicate(timeout=60)
    assert process.returncode == 130, complaint
    assert "holds the best model so far" in complaint
    assert "--resume" in complaint
    assert "Traceback" not in complaint + output
    assert evaluate(load(path), read(photos).train).accuracy >= 0.5
    assert path.with_name("m.checkpoint.safetensors").exists()


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(wimmel, photos, tmp_path, interrupted_after, monkeypatch):
    arguments = ("train", photos, "--epochs", 4, "--batch-size", 8, "--quiet")
    assert wimmel(*arguments, "-o", tmp_path / "whole.safetensors").exit_code == 0
    with monkeypatch.context():
        interrupted_after(5)
        stopped = wimmel(*arguments, "-o", tmp_path / "broken.safetensors")
    assert stopped.exit_code == 130
    half = load_tensors(tmp_path / "broken.safetensors")[0]
    monkeypatch.undo()
    assert wimmel(*arguments, "-o", tmp_path / "broken.safetensors", "--resume").exit_code == 0
    whole = load_tensors(tmp_path / "whole.safetensors")[0]
    resumed = load_tensors(tmp_path / "broken.safetensors")[0]
    assert all((whole[name] == resumed[name]).all() for name in whole)
    assert any((half[name] != resumed[name]).any() for name in half)
    assert not (tmp_path / "broken.checkpoint.safetensors").exists()


def test_ctrl_c_before_the_first_epoch_is_complete_touches_no_model(wimmel, photos, tmp_path, interrupted_after):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"what was there")
    interrupted_after(1)
    result = wimmel("train", photos, "-o", path, "--batch-size", 4)
    assert result.exit_code == 130
    assert "was not written" in result.stderr
    assert path.read_bytes() == b"what was there"


def test_an_unfinished_training_is_mentioned_before_it_is_replaced(
    wimmel, photos, tmp_path, interrupted_after, monkeypatch
):
    interrupted_after(5)
    wimmel("train", photos, "-o", tmp_path / "m.safetensors", "--batch-size", 8)
    monkeypatch.undo()
    result = wimmel("train", photos, "-o", tmp_path / "m.safetensors", "--epochs", 1)
    assert "An unfinished training lies in" in result.stdout


def test_nothing_to_resume(wimmel, photos, tmp_path):
    result = wimmel("train", photos, "-o", tmp_path / "m.safetensors", "--resume")
    assert result.exit_code == 1
    assert "nothing to resume" in result.stderr


def test_a_corrupt_jpeg_among_good_ones_is_skipped_listed_and_counted(wimmel, photos, tmp_path):
    (photos / "dark" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF and then nothing")
    result = wimmel("train", photos, "-o", tmp_path / "m.safetensors", "--epochs", 1, "--json")
    assert result.exit_code == 0
    assert "1 file was passed over" in result.stderr
    assert "broken.jpg" in result.stderr
    document = json.loads(result.stdout)
    assert document["data"]["trained_on"] + document["data"]["validation_pictures"] == 24
    assert document["skipped"][0][0].endswith("broken.jpg")


def test_a_path_where_nothing_is(wimmel, tmp_path):
    result = wimmel("train", tmp_path / "absent", "-o", tmp_path / "m.safetensors")
    assert result.exit_code == 1
    assert "There is nothing at" in result.stderr
    assert "a folder with one folder per class" in result.stderr


def test_a_folder_without_pictures(wimmel, tmp_path):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "readme.txt").write_text("no cat")
    result = wimmel("train", tmp_path / "photos", "-o", tmp_path / "m.safetensors")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


def test_pictures_of_one_class_only(wimmel, photos, tmp_path):
    for picture in (photos / "light").iterdir():
        picture.unlink()
    (photos / "light").rmdir()
    result = wimmel("train", photos, "-o", tmp_path / "m.safetensors")
    assert result.exit_code == 1
    assert "all in one class, dark" in result.stderr


def test_a_truncated_idx_file(wimmel, tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3]))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 9]) + bytes(9))
    result = wimmel("train", tmp_path, "-o", tmp_path / "m.safetensors")
    assert result.exit_code == 1
    assert "is truncated" in result.stderr


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        ("absent/m.safetensors", "there is no folder"),
        ("m.onnx", "should end in .safetensors"),
        (".", "is a folder"),
    ],
)
def test_an_impossible_output_is_found_before_the_training(wimmel, photos, tmp_path, output, complaint):
    result = wimmel("train", photos, "-o", tmp_path / output)
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("size", ["0", "8x8x8", "large", "-3"])
def test_a_senseless_size_is_a_usage_error(wimmel, photos, tmp_path, size):
    assert wimmel("train", photos, "-o", tmp_path / "m.safetensors", f"--size={size}").exit_code == 2


def test_the_classic_network_gets_pictures_of_its_own_size(wimmel, photos, tmp_path):
    arguments = ("train", photos, "-o", tmp_path / "m.safetensors", "--model", "lenet_classic")
    assert wimmel(*arguments, "--epochs", 1, "--quiet").exit_code == 0
    assert load(tmp_path / "m.safetensors").preprocessing.shape == (1, 28, 28)
    refused = wimmel(*arguments, "--size", 32)
    assert refused.exit_code == 1
    assert "28x28" in refused.stderr


def test_a_handful_of_pictures_leaves_none_for_validation(wimmel, tmp_path):
    np.savez(tmp_path / "set.npz", x=np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8), y=[0, 1, 0, 1])
    result = wimmel("train", tmp_path / "set.npz", "-o", tmp_path / "m.safetensors", "--epochs", 1)
    assert result.exit_code == 0, result.output
    assert "none: the last epoch counts" in result.stdout


def test_early_stopping_needs_validation(wimmel, photos, tmp_path):
    options = ("--early-stopping", 2, "--validation", 0)
    result = wimmel("train", photos, "-o", tmp_path / "m.safetensors", *options)
    assert result.exit_code == 1
    assert "early_stopping needs validation" in result.stderr


def test_early_stopping_stops(wimmel, photos, tmp_path):
    options = ("--epochs", 200, "--early-stopping", 1, "--learning-rate", 1e-9, "--json")
    document = json.loads(wimmel("train", photos, "-o", tmp_path / "m.safetensors", *options).stdout)
    assert document["epochs"] < 200


def test_a_file_of_ones_own_under_the_name_of_the_checkpoint_is_left_alone(wimmel, photos, tmp_path):
    own = tmp_path / "m.checkpoint.safetensors"
    save_tensors(own, {"weight": np.ones(3, np.float32)}, {})
    before = own.read_bytes()
    result = wimmel("train", photos, "-o", tmp_path / "m.safetensors", "--epochs", 1)
    assert result.exit_code == 1
    assert "is something else" in result.stderr
    assert own.read_bytes() == before


def test_ctrl_c_during_the_test_leaves_the_trained_model(wimmel, tmp_path, monkeypatch):
    def stopped(*given):
        raise KeyboardInterrupt

    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.uint8)
    labels = np.arange(40) % 2
    np.savez(tmp_path / "set.npz", x_train=images[:30], y_train=labels[:30], x_test=images[30:], y_test=labels[30:])
    monkeypatch.setattr("wimmel.train.evaluate", stopped)
    result = wimmel("train", tmp_path / "set.npz", "-o", tmp_path / "m.safetensors", "--epochs", 1)
    assert result.exit_code == 130
    assert "holds the trained model" in result.stderr
    assert load(tmp_path / "m.safetensors").metadata["training"]["test_accuracy"] is None
    assert not (tmp_path / "m.checkpoint.safetensors").exists()


@pytest.mark.parametrize("written", [0, 2])
def test_a_checkpoint_that_does_not_fit_on_the_disk_leaves_the_model(wimmel, photos, tmp_path, monkeypatch, written):
    left = [written]

    def full(path, checkpoint):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("wimmel.train.trainer.save_checkpoint", full)
    result = wimmel("train", photos, "-o", tmp_path / "m.safetensors", "--epochs", 5)
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert "holds the best model so far" in result.stderr
    record = load(tmp_path / "m.safetensors").metadata["training"]
    assert record["epochs"] == written + 1
    assert wimmel("inspect", tmp_path / "m.safetensors").exit_code == 0


def test_a_model_that_does_not_fit_either_is_said_too(wimmel, photos, tmp_path, monkeypatch):
    def full(path, *given):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("wimmel.train.trainer.save_checkpoint", full)
    monkeypatch.setattr("wimmel.nn.saving.save_tensors", full)
    result = wimmel("train", photos, "-o", tmp_path / "m.safetensors", "--epochs", 2)
    assert result.exit_code == 1
    assert "could not be saved either" in result.stderr


def test_going_on_with_other_epochs_says_which_to_give(wimmel, photos, tmp_path, interrupted_after, monkeypatch):
    arguments = ("train", photos, "-o", tmp_path / "m.safetensors", "--batch-size", 8)
    interrupted_after(5)
    wimmel(*arguments, "--epochs", 10)
    monkeypatch.undo()
    result = wimmel(*arguments, "--epochs", 12, "--resume")
    assert result.exit_code == 1
    assert "was started with --epochs 10; give the same" in result.stderr
    assert "OneCycle" not in result.output
    assert result.stdout == ""


@pytest.mark.parametrize(("option", "example"), [("--width", "16,32"), ("--size", "24x32")])
def test_a_senseless_pair_is_answered_with_an_example_of_its_own(wimmel, photos, tmp_path, option, example):
    result = wimmel("train", photos, "-o", tmp_path / "m.safetensors", option, "0")
    assert result.exit_code == 2
    assert example in result.stderr
