"""Digits on mosaics: classes and boxes are those of the ink, and scenes follow from their seed."""

import os
from pathlib import Path

import numpy as np
import pytest

from wimmel.data import Dataset, digits, read
from wimmel.detection import iou, mosaic_scene

GROUNDS = Dataset(np.stack([np.full((3, 32, 32), level, np.uint8) for level in (30, 60, 90)]), [0, 0, 0], ("even",))


def test_a_scene_follows_from_its_seed():
    first, again, other = (mosaic_scene(seed, digits(), GROUNDS) for seed in (1, 1, 2))
    assert (first.picture == again.picture).all()
    assert (first.boxes == again.boxes).all()
    assert (first.picture != other.picture).any()


def test_boxes_lie_around_the_ink():
    for seed in range(10):
        scene = mosaic_scene(seed, digits(), GROUNDS, (200, 260))
        inked = (scene.picture > 100).any(axis=0)
        outside = inked.copy()
        for left, top, right, bottom in scene.boxes.astype(int):
            outside[top:bottom, left:right] = False
            box = inked[top:bottom, left:right]
            assert box[[0, -1]].any(axis=1).sum() >= 1
            assert box.any(axis=1).mean() > 0.9
            assert 16 <= bottom - top <= 64
        assert not outside.any()
        assert 3 <= len(scene) <= 8
        assert np.triu(iou(scene.boxes, scene.boxes), 1).max() == 0


def test_what_is_no_digit_or_ground_is_refused():
    with pytest.raises(ValueError, match="gray and grounds in colour; got pictures of 3 and 3 channels"):
        mosaic_scene(0, GROUNDS, GROUNDS)
    with pytest.raises(ValueError, match="at least 64 rows"):
        mosaic_scene(0, digits(), GROUNDS, (32, 320))


def test_mnist_on_cifar():
    given = os.environ.get("WIMMEL_DATA")
    if not given or not (Path(given) / "mnist").exists() or not (Path(given) / "cifar10" / "test.zip").exists():
        pytest.skip("set WIMMEL_DATA to a folder that holds mnist/ and cifar10/ to run this test")
    numbers = read(Path(given) / "mnist").test
    photographs = read(Path(given) / "cifar10" / "test.zip", progress=False).train
    scenes = [mosaic_scene(seed, numbers, photographs) for seed in range(40)]
    assert {int(label) for scene in scenes for label in scene.classes} == set(range(10))
    assert all(scene.size == (320, 320) and scene.picture.std() > 20 for scene in scenes)
