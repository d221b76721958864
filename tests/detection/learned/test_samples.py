"""Windows to learn from show what their targets say, whatever was done to them."""

from dataclasses import replace

import numpy as np
import pytest

from wimmel.detection import Scene
from wimmel.detection.boxes import areas, intersections, iou
from wimmel.detection.learned.network import OFFSETS, window_size
from wimmel.detection.learned.samples import APART, Grounds, batch
from wimmel.detection.learned.settings import LONGER_SIDE, settings_for

PLAIN = {"brightness": 0.0, "contrast": 0.0, "batch_size": 40, "positives": 0.5}


def grounds(empty=0, **given):
    """One white rectangle on black, and so many pictures that are black altogether."""
    picture = np.zeros((1, 200, 240), np.uint8)
    picture[:, 60:140, 80:120] = 255
    scenes = [Scene(picture, [[80, 60, 120, 140]])] + [Scene(np.zeros((1, 90, 90), np.uint8), np.zeros((0, 4)))] * empty
    return Grounds.of(settings_for(scenes, 1, **(PLAIN | given)), scenes)


def boxes_of(settings, targets):
    """Where targets say that the object is, in the window's pixels."""
    rows, columns = window_size(settings)
    across, down, wide, high = targets[:, -OFFSETS:].T.astype(np.float64)
    x, y = columns / 2 + LONGER_SIDE * across, rows / 2 + LONGER_SIDE * down
    height, width = settings.object_size[0] * np.exp(high), settings.object_size[1] * np.exp(wide)
    return np.stack((x - width / 2, y - height / 2, x + width / 2, y + height / 2), axis=1)


def bounds(window):
    """Edges of what is lighter than the gray beyond a picture's edge."""
    light = window > 0.2
    rows, columns = np.flatnonzero(light.any(axis=1)), np.flatnonzero(light.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("moved", [0.0, 1.0])
def test_an_object_is_where_its_target_says(mirror, moved):
    ground = grounds(empty=100, mirror=mirror, moved=moved, hidden=0.0)
    windows, targets = batch(ground, np.zeros((0, 4)), 0)
    shown = targets[:, 0] == 1
    assert shown.sum() == 20
    for window, box in zip(windows[shown, 0], boxes_of(ground.settings, targets[shown]), strict=True):
        np.testing.assert_allclose(bounds(window), box, atol=0.8 + 2 * moved)  # a seam may run 2 pixels inside
    assert (targets[~shown] == 0).all()


def test_windows_of_background_do_not_show_the_object_in_the_middle():
    ground = grounds(moved=1.0, hidden=1.0)
    for step in range(10):
        windows, targets = batch(ground, np.zeros((0, 4)), step)
        background = windows[targets[:, 0] == 0, 0]
        assert (background[:, 24:-24, 15:-15] > 0.2).mean() < 0.5


def test_a_box_shows_background_if_no_object_and_no_crowd_is_in_it():
    random = np.random.default_rng(0)

    def drawn(count):
        corners = random.uniform(0, 30, (count, 2))
        return np.concatenate((corners, corners + random.uniform(20, 60, (count, 2))), axis=1)

    picture = np.zeros((1, 120, 120), np.uint8)
    scenes = [Scene(picture, drawn(n), crowd=random.random(n) < 0.4) for n in (3, 0, 1, 12)]
    ground, asked, boxes = Grounds.of(settings_for(scenes, 1), scenes), random.integers(0, 4, 400), drawn(400)
    expected = []
    for number, box in zip(asked, boxes, strict=True):
        there = scenes[number]
        near = iou([box], there.boxes[~there.crowd]).max(initial=0) >= APART
        crowded = intersections(box[np.newaxis], there.boxes[there.crowd]).max(initial=0) >= APART * areas([box])[0]
        expected.append(not near and not crowded)
    assert 0.2 < np.mean(expected) < 0.8
    assert ground.show_background(asked, boxes).tolist() == expected
    assert ground.show_background(np.zeros(0, np.int64), np.zeros((0, 4))).tolist() == []


def test_a_part_of_objects_is_hidden_if_asked_and_never_of_background():
    whole, hidden = (batch(grounds(moved=0.0, hidden=share), np.zeros((0, 4)), 3) for share in (0.0, 1.0))
    np.testing.assert_array_equal(whole[1], hidden[1])
    shown = whole[1][:, 0] == 1
    differs = (whole[0] != hidden[0]).any(axis=(1, 2, 3))
    assert differs[shown].mean() > 0.5
    assert not differs[~shown].any()


def test_what_is_drawn_follows_from_seed_step_and_place_alone():
    ground = grounds()
    first, again, later = (batch(ground, np.zeros((0, 4)), step)[0] for step in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != later).any()
    larger = replace(ground, settings=replace(ground.settings, seed=1))
    assert (batch(larger, np.zeros((0, 4)), 1)[0] != first).any()


def test_wrong_finds_are_shown_again_where_they_were():
    wrong = np.array([[0.0, 30.0, 30.0, 1.0]])
    ground = grounds(moved=0.0, hard=1.0)
    windows, targets = batch(ground, wrong, 0)
    background = windows[targets[:, 0] == 0]
    rows, columns = window_size(ground.settings)
    assert background.shape[1:] == (1, rows, columns)
    assert (background[:, 0, : rows // 2, : columns // 4].max(axis=(1, 2)) <= 0.01).all()
