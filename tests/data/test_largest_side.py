"""`data.read` with `largest_side`: pictures that share a large size are scaled down, others are as without it."""

import numpy as np
import pytest

from wimmel.data import read
from wimmel.files import write_image


def test_pictures_of_one_large_size_are_scaled_down_with_their_aspect(tmp_path):
    for name, gray in (("dark", 10), ("light", 200)):
        (tmp_path / name).mkdir()
        write_image(tmp_path / name / "1.png", np.full((1, 60, 120), gray, np.uint8))
    assert read(tmp_path, largest_side=40).train.shape == (1, 20, 40)
    assert read(tmp_path, largest_side=120).train.shape == (1, 60, 120)
    assert read(tmp_path).train.shape == (1, 60, 120)


def test_a_given_size_comes_first(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        write_image(tmp_path / name / "1.png", np.zeros((1, 60, 120), np.uint8))
    assert read(tmp_path, size=50, largest_side=40).train.shape == (1, 50, 50)


@pytest.mark.parametrize("part", ["", "_test"])
def test_arrays_are_scaled_down_too(tmp_path, part):
    images = np.random.default_rng(0).integers(0, 256, (4, 30, 60)).astype(np.uint8)
    labels = np.array([0, 1, 0, 1])
    arrays = {"x": images, "y": labels}
    if part:
        arrays = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    np.savez(tmp_path / "set.npz", **arrays)
    train, test = read(tmp_path / "set.npz", largest_side=20)
    assert train.shape == (1, 10, 20)
    assert train.labels.tolist() == [0, 1, 0, 1]
    if part:
        assert test.shape == (1, 10, 20)
    assert abs(float(train.images.mean()) - float(images.mean())) < 5


def test_a_side_below_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match="largest_side must be a whole number of at least 1"):
        read(tmp_path, largest_side=0)
