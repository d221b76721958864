"""What the networks reach on real data, through the commands that people use. Run with: pytest -m slow."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from wimmel.cli.demos.digits import trained_digits
from wimmel.train import evaluate

pytestmark = pytest.mark.slow


@pytest.fixture
def mnist():
    folder = Path(os.environ.get("WIMMEL_DATA", "")) / "mnist"
    if "WIMMEL_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("WIMMEL_DATA does not name a folder that holds mnist/")
    return folder


@pytest.mark.parametrize(("model", "least"), [("lenet", 0.99), ("lenet_classic", 0.975)])
def test_mnist_in_at_most_ten_epochs(started, mnist, tmp_path, model, least):
    process = started("train", mnist, "-o", tmp_path / "digits.safetensors", "--model", model, "--json")
    output, complaint = process.communicate()
    assert process.returncode == 0, complaint
    document = json.loads(output)
    assert document["epochs"] <= 10
    assert document["data"] == {
        "name": "mnist",
        "trained_on": 54_000,
        "validation_pictures": 6_000,
        "test_pictures": 10_000,
    }
    assert document["test_accuracy"] >= least


def test_embedded_digits_over_five_stratified_splits():
    accuracies = []
    for seed in range(5):
        trained = trained_digits(seed)
        accuracies.append(evaluate(trained.net, trained.held_out).accuracy)
    assert np.mean(accuracies) >= 0.985, accuracies
