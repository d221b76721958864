"""Metrics: what pycocotools' COCOeval counts on the same boxes."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from wimmel.detection import (
    COCO_OVERLAPS,
    Finds,
    Scene,
    average_precision,
    precision_recall,
    recall_at,
    to_left_top_size,
)

PICTURE = np.zeros((64, 64), np.uint8)
NAMES = ("a", "b", "c")
PROPOSALS = (1, 3, 100)


def drawn(seed, crowds):
    """Finds near and far from objects; edges are quarters of a pixel and scores few: ties are many and exact."""
    draw = np.random.default_rng(seed)
    found, scenes = [], []
    for _ in range(draw.integers(1, 6)):
        count = draw.integers(0, 7)
        corner = draw.integers(0, 160, (count, 2)) / 4
        objects = np.concatenate((corner, corner + draw.integers(8, 80, (count, 2)) / 4), axis=1)
        classes = draw.integers(0, len(NAMES), count)
        crowd = draw.random(count) < 0.3 if crowds else None
        scenes.append(Scene(PICTURE, objects, classes, NAMES, crowd))
        near = objects.repeat(2, axis=0)
        near = near + draw.integers(-8, 9, near.shape) / 4
        far = draw.integers(0, 100, (3, 2)) / 4
        boxes = np.concatenate((near, np.concatenate((far, far + 10), axis=1)))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 0.25)
        labels = np.concatenate((classes.repeat(2), draw.integers(0, len(NAMES), 3)))
        found.append(Finds(boxes, draw.integers(0, 6, len(boxes)) / 5, labels, NAMES))
    return found, scenes


def coco_of(found, scenes):
    """COCOeval's precision (overlaps, recalls, classes) with 100 finds, and recall (overlaps, classes, proposals)."""
    images = [{"id": number, "width": 64, "height": 64} for number, _ in enumerate(scenes)]
    truth = [
        {
            "image_id": number,
            "category_id": int(label),
            "bbox": box.tolist(),
            "area": box[2] * box[3],
            "iscrowd": int(c),
        }
        for number, scene in enumerate(scenes)
        for box, label, c in zip(to_left_top_size(scene.boxes), scene.classes, scene.crowd, strict=True)
    ]
    results = [
        {"image_id": number, "category_id": int(label), "bbox": box.tolist(), "score": score}
        for number, each in enumerate(found)
        for box, label, score in zip(to_left_top_size(each.boxes), each.classes, each.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        categories = [{"id": number, "name": name} for number, name in enumerate(NAMES)]
        annotations = [{"id": number, **each} for number, each in enumerate(truth, start=1)]
        coco.dataset = {"images": images, "categories": categories, "annotations": annotations}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.params.maxDets = list(PROPOSALS)
        evaluation.evaluate()
        evaluation.accumulate()
    counted = evaluation.eval
    return counted["precision"][:, :, :, 0, -1], counted["recall"][:, :, 0, :]


def mean_of_known(values):
    known = values[values > -1]
    return known.mean() if known.size else np.nan


@pytest.mark.parametrize("crowds", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_metrics_equal_cocos(seed, crowds):
    found, scenes = drawn(seed, crowds)
    precision, recall = coco_of(found, scenes)

    def same(ours, theirs):
        np.testing.assert_allclose(ours, mean_of_known(theirs), atol=1e-12)

    same(average_precision(found, scenes), precision[0])
    same(average_precision(found, scenes, 0.75), precision[5])
    same(average_precision(found, scenes, COCO_OVERLAPS), precision)
    for label in range(len(NAMES)):
        same(average_precision(found, scenes, COCO_OVERLAPS, label), precision[:, :, label])
    for place, proposals in enumerate(PROPOSALS):
        same(recall_at(found, scenes, proposals), recall[0, :, place])
        same(recall_at(found, scenes, proposals, COCO_OVERLAPS), recall[:, :, place])


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_follows_from_the_course_of_precision(seed):
    found, scenes = drawn(seed, crowds=True)
    for label in range(len(NAMES)):
        _, precision, recall = precision_recall(found, scenes, label=label)
        best = [max(precision[recall >= level], default=0) for level in np.linspace(0, 1, 101)]
        expected = average_precision(found, scenes, label=label)
        if not np.isnan(expected):
            assert np.mean(best) == pytest.approx(expected)


def test_without_objects_there_is_no_number():
    nothing = Scene(PICTURE, [])
    found = Finds([[0, 0, 5, 5]], [1.0])
    assert np.isnan(average_precision([found], [nothing]))
    assert np.isnan(recall_at([found], [nothing], 10))
    assert precision_recall([found], [nothing]).precision.tolist() == [0]
    assert np.isnan(average_precision([], []))


def test_finding_nothing_is_zero():
    assert average_precision([Finds([], [])], [Scene(PICTURE, [[0, 0, 5, 5]])]) == 0


def test_other_numbers_of_pictures_are_refused():
    with pytest.raises(ValueError, match="1 pictures cannot be compared with 0"):
        average_precision([Finds([], [])], [])
