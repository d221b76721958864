"""Boxes: conversions go there and back, IoU is what counting pixels gives, the best of those that overlap stay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimmel.detection import (
    areas,
    as_boxes,
    clip,
    from_centre_size,
    from_left_top_size,
    iou,
    non_maximum_suppression,
    to_centre_size,
    to_left_top_size,
)
from wimmel.detection import boxes as module

SIDE = 12
EDGES = st.integers(0, SIDE)
BOX = st.tuples(EDGES, EDGES, EDGES, EDGES).map(
    lambda edges: (*map(min, edges[:2], edges[2:]), *map(max, edges[:2], edges[2:]))
)
BOXES = st.lists(BOX, max_size=8)


def pixels_of(box):
    picture = np.zeros((SIDE, SIDE), bool)
    left, top, right, bottom = box
    picture[top:bottom, left:right] = True
    return picture


@given(BOXES, BOXES)
def test_iou_is_the_share_of_common_pixels(first, second):
    for row, one in zip(iou(first, second), first, strict=True):
        for value, other in zip(row, second, strict=True):
            either = (pixels_of(one) | pixels_of(other)).sum()
            both = (pixels_of(one) & pixels_of(other)).sum()
            assert value == pytest.approx(both / either if either else 0)


@given(BOXES)
def test_areas_count_pixels(boxes):
    assert areas(boxes).tolist() == [pixels_of(box).sum() for box in boxes]


@given(BOXES)
def test_conversions_go_there_and_back(boxes):
    np.testing.assert_allclose(from_left_top_size(to_left_top_size(boxes)), as_boxes(boxes))
    np.testing.assert_allclose(from_centre_size(to_centre_size(boxes)), as_boxes(boxes))


@given(BOXES, st.integers(1, SIDE), st.integers(1, SIDE))
def test_clipping_keeps_the_pixels_within(boxes, height, width):
    for box, kept in zip(boxes, clip(boxes, height, width).astype(int), strict=True):
        expected = pixels_of(box)
        expected[height:] = False
        expected[:, width:] = False
        assert (pixels_of(kept) == expected).all()


@given(BOXES, st.data(), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_suppression_is_the_textbooks(boxes, data, overlap):
    scores = data.draw(st.lists(st.integers(0, 3), min_size=len(boxes), max_size=len(boxes)))
    classes = data.draw(st.lists(st.integers(0, 1), min_size=len(boxes), max_size=len(boxes)))
    kept = []
    for place in sorted(range(len(boxes)), key=lambda place: (-scores[place], place)):
        clashes = [k for k in kept if classes[k] == classes[place] and iou([boxes[k]], [boxes[place]])[0, 0] > overlap]
        if not clashes:
            kept.append(place)
    assert non_maximum_suppression(boxes, scores, classes, overlap).tolist() == kept
    assert non_maximum_suppression(boxes, scores, classes, overlap, limit=2).tolist() == kept[:2]


@pytest.mark.parametrize("pairs", [2**20, 500, 1])
def test_suppression_of_many_is_that_of_few_at_a_time(pairs, monkeypatch):
    random = np.random.default_rng(3)
    corners = random.uniform(0, 300, (3000, 2))
    boxes = np.concatenate((corners, corners + random.uniform(5, 30, (3000, 2))), axis=1)
    scores, classes = random.integers(0, 50, 3000) / 50, random.integers(0, 3, 3000)
    monkeypatch.setattr(module, "_AT_ONCE", 5000)
    at_once = non_maximum_suppression(boxes, scores, classes, 0.3)
    assert 100 < len(at_once) < 2000
    monkeypatch.setattr(module, "_AT_ONCE", 70)
    monkeypatch.setattr(module, "_PAIRS", pairs)
    assert non_maximum_suppression(boxes, scores, classes, 0.3).tolist() == at_once.tolist()
    assert non_maximum_suppression(boxes, scores, classes, 0.3, limit=333).tolist() == at_once[:333].tolist()


def test_equal_scores_keep_the_order_given():
    boxes = [[0, 0, 4, 4]] * 3 + [[8, 8, 9, 9]] * 2
    assert non_maximum_suppression(boxes, [1.0] * 5).tolist() == [0, 3]


@pytest.mark.parametrize(
    "boxes, said",
    [
        ([[1, 2, 3]], "shape"),
        ([1, 2, 3, 4], "shape"),
        ([[0, 0, 1, np.nan]], "not finite"),
        ([[0, 0, 1, 1], [5, 0, 4, 1]], "Box 1 ends before it begins"),
    ],
)
def test_what_is_no_box_is_refused(boxes, said):
    with pytest.raises(ValueError, match=said):
        as_boxes(boxes)


def test_suppression_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="as many scores"):
        non_maximum_suppression([[0, 0, 1, 1]], [1, 2])
    with pytest.raises(ValueError, match="not a number"):
        non_maximum_suppression([[0, 0, 1, 1]], [np.nan])
    with pytest.raises(ValueError, match="from 0 to 1"):
        non_maximum_suppression([[0, 0, 1, 1]], [1.0], overlap=2)
