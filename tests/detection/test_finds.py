"""Finds and scenes: checked when they are made, not written through, chosen from."""

import numpy as np
import pytest

from wimmel.detection import Finds, Scene
from wimmel.files import write_image


def test_arrays_cannot_be_written_through():
    found = Finds([[0, 0, 1, 1]], [1.0])
    with pytest.raises(ValueError, match="read-only"):
        found.boxes[0, 0] = 5


def test_finds_are_chosen_by_slices_places_and_marks():
    found = Finds([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]], [0.1, 0.9, 0.9], [0, 1, 0], ("a", "b"), np.ones((3, 2)))
    assert found.ordered().boxes[:, 2].tolist() == [2, 3, 1]
    assert found[found.scores > 0.5].classes.tolist() == [1, 0]
    assert len(found[[]]) == 0
    assert found[:2].poses.shape == (2, 2)
    with pytest.raises(TypeError, match="slice"):
        found[1]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (([[0, 0, 1, 1]], [1, 2]), "as many scores"),
        (([[0, 0, 1, 1]], [1], [3]), "from 0 to 0"),
        (([[0, 0, 1, 1]], [1], [0.5]), "whole numbers"),
        (([[0, 0, 1, 1]], [1], [0], ("a",), np.ones(2)), "poses"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        Finds(*arguments)


def test_a_scene_gives_its_pixels_and_crops(tmp_path):
    picture = np.arange(200, dtype=np.uint8).reshape(1, 10, 20)
    write_image(tmp_path / "scene.png", picture)
    for given in (picture, picture[0], tmp_path / "scene.png"):
        scene = Scene(given, [[2, 3, 6.5, 5], [15, 8, 30, 30]])
        assert (scene.pixels() == picture).all()
        first, second = scene.crops()
        assert (first == picture[:, 3:5, 2:7]).all()
        assert (second == picture[:, 8:, 15:]).all()


@pytest.mark.parametrize("picture", [np.zeros((4, 4)), np.zeros((2, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)])
def test_a_scene_refuses_what_is_no_picture(picture):
    with pytest.raises(ValueError, match="uint8"):
        Scene(picture, [])


def test_a_scene_refuses_marks_that_do_not_fit():
    with pytest.raises(ValueError, match="crowd"):
        Scene(np.zeros((4, 4), np.uint8), [[0, 0, 1, 1]], crowd=[True, False])
