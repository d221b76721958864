"""How good finds are: precision and recall, average precision, recall at a number of proposals; as COCO counts.

Given finds and scenes, picture by picture; hands on numbers that equal those of pycocotools' COCOeval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wimmel.detection.boxes import areas, intersections
from wimmel.detection.finds import Finds, Scene

COCO_OVERLAPS = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""The IoUs over which COCO's average precision is a mean."""

MOST_FINDS = 100
"""Of each class in each picture, the best so many count, unless told otherwise."""

_RECALLS = np.linspace(0, 1, 101)


class PrecisionRecall(NamedTuple):
    """Precision and recall of the finds with at least each score: float64 (n,), from the best score down.

    There is an entry for each find that counts; those that match a crowd do not.
    """

    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


def precision_recall(
    found: Sequence[Finds], scenes: Sequence[Scene], overlap: float = 0.5, label: int = 0, limit: int = MOST_FINDS
) -> PrecisionRecall:
    """The course of precision and recall of one class as the score that is asked for goes down.

    From the best score down, a find takes the object of its class in its picture with which its IoU is largest, if
    that is at least `overlap` and the object is not yet taken; then it is right. With a crowd the intersection is
    measured by the find's own area, and finds that lie in a crowd do not count.

    Parameters
    ----------
    found : sequence of Finds
    scenes : sequence of Scene
        As many, in the same order.
    overlap : float, default 0.5
        The IoU at which a find is right.
    label : int, default 0
        The class.
    limit : int, default 100
        How many finds to count in each picture at most, the best ones.

    Returns
    -------
    PrecisionRecall
        Recall is NaN if there is no such object.

    Raises
    ------
    ValueError
        If the numbers of pictures differ.

    Examples
    --------
    >>> scene = Scene(np.zeros((50, 50), np.uint8), [[0, 0, 10, 10], [20, 20, 30, 30]])
    >>> found = Finds([[0, 0, 10, 9], [40, 40, 50, 50], [20, 20, 30, 30]], [0.9, 0.8, 0.7])
    >>> precision_recall([found], [scene]).precision.round(2)
    array([1.  , 0.5 , 0.67])
    >>> precision_recall([found], [scene]).recall
    array([0.5, 0.5, 1. ])
    """
    _check_pairs(found, scenes)
    scores, right, ignored = _judged(found, scenes, label, np.array([overlap]), limit)
    objects = _objects(scenes, label)
    counted = ~ignored[0]
    hits = np.cumsum(right[0][counted])
    recall = hits / objects if objects else np.full(len(hits), np.nan)
    return PrecisionRecall(scores[counted], hits / np.arange(1, len(hits) + 1), recall)


def average_precision(
    found: Sequence[Finds],
    scenes: Sequence[Scene],
    overlap: float | Sequence[float] = 0.5,
    label: int | None = None,
    limit: int = MOST_FINDS,
) -> float:
    """The mean, over 101 recalls from 0 to 1, of the best precision that reaches each; over classes and IoUs, too.

    Parameters
    ----------
    found, scenes, limit
        As for `precision_recall`.
    overlap : float or sequence of float, default 0.5
        The IoU at which a find is right; of several, such as `COCO_OVERLAPS`, the mean is taken.
    label : int, optional
        One class; by default the mean over all that have objects.

    Returns
    -------
    float
        From 0 to 1; NaN if there are no objects.

    Raises
    ------
    ValueError
        If the numbers of pictures differ.

    References
    ----------
    Lin et al., "Microsoft COCO: Common objects in context" (2014), and pycocotools' COCOeval, for objects of all sizes.

    Examples
    --------
    >>> scene = Scene(np.zeros((50, 50), np.uint8), [[0, 0, 10, 10], [20, 20, 30, 30]])
    >>> found = Finds([[0, 0, 10, 9], [40, 40, 50, 50], [20, 20, 30, 30]], [0.9, 0.8, 0.7])
    >>> round(average_precision([found], [scene]), 3)
    0.835
    >>> round(average_precision([found], [scene], COCO_OVERLAPS), 3)
    0.768
    """
    _check_pairs(found, scenes)
    overlaps = np.atleast_1d(np.asarray(overlap, np.float64))
    values = [_average_precisions(found, scenes, each, overlaps, limit) for each in _labels(scenes, label)]
    return float(np.mean(values)) if values else float("nan")


def recall_at(
    found: Sequence[Finds],
    scenes: Sequence[Scene],
    proposals: int,
    overlap: float | Sequence[float] = 0.5,
    label: int | None = None,
) -> float:
    """The share of objects that are among the best finds of their picture, so many of each class.

    Parameters
    ----------
    found, scenes, overlap, label
        As for `average_precision`.
    proposals : int
        How many finds of a class to look at in each picture, the best ones.

    Returns
    -------
    float
        From 0 to 1; NaN if there are no objects.

    Raises
    ------
    ValueError
        If the numbers of pictures differ.

    Examples
    --------
    >>> scene = Scene(np.zeros((50, 50), np.uint8), [[0, 0, 10, 10], [20, 20, 30, 30]])
    >>> found = Finds([[0, 0, 10, 9], [40, 40, 50, 50], [20, 20, 30, 30]], [0.9, 0.8, 0.7])
    >>> [recall_at([found], [scene], proposals) for proposals in (1, 2, 3)]
    [0.5, 0.5, 1.0]
    """
    _check_pairs(found, scenes)
    overlaps = np.atleast_1d(np.asarray(overlap, np.float64))
    values = []
    for each in _labels(scenes, label):
        _, right, _ = _judged(found, scenes, each, overlaps, proposals)
        values.append(right.sum(axis=1) / _objects(scenes, each))
    return float(np.mean(values)) if values else float("nan")


def _average_precisions(
    found: Sequence[Finds], scenes: Sequence[Scene], label: int, overlaps: np.ndarray, limit: int
) -> list[float]:
    _, right, ignored = _judged(found, scenes, label, overlaps, limit)
    objects = _objects(scenes, label)
    values = []
    for hit, unseen in zip(right, ignored, strict=True):
        hits, misses = np.cumsum(hit), np.cumsum(~hit & ~unseen)
        precision = hits / np.maximum(hits + misses, 1)
        best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
        reached = np.searchsorted(hits / objects, _RECALLS, side="left")
        values.append(float(np.append(best_from_here, 0.0)[reached].mean()))
    return values


def _judged(
    found: Sequence[Finds], scenes: Sequence[Scene], label: int, overlaps: np.ndarray, limit: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (n,) of all finds of a class, best first; for each overlap whether each is right, and whether ignored."""
    scores, right, ignored = [], [], []
    for finds, scene in zip(found, scenes, strict=True):
        mine = np.flatnonzero(finds.classes == label)
        mine = mine[np.argsort(-finds.scores[mine], kind="stable")[:limit]]
        there = np.flatnonzero(scene.classes == label)
        crowd = scene.crowd[there]
        shares = _shares(finds.boxes[mine], scene.boxes[there], crowd)
        taken = [_taken(shares, crowd, overlap) for overlap in overlaps]
        scores.append(finds.scores[mine])
        right.append([(place >= 0) & ~np.append(crowd, False)[place] for place in taken])
        ignored.append([(place >= 0) & np.append(crowd, False)[place] for place in taken])
    if not scores:
        return np.zeros(0), np.zeros((len(overlaps), 0), bool), np.zeros((len(overlaps), 0), bool)
    together = np.concatenate(scores)
    order = np.argsort(-together, kind="stable")
    joined = (np.concatenate(parts, axis=1).astype(bool)[:, order] for parts in (right, ignored))
    return together[order], *joined  # type: ignore[return-value]


def _shares(boxes: np.ndarray, objects: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """IoU of every find with every object; with a crowd, the share of the find that lies in it."""
    common = intersections(boxes, objects)
    own = areas(boxes)[:, np.newaxis]
    whole = np.where(crowd, own, own + areas(objects) - common)
    return np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)


def _taken(shares: np.ndarray, crowd: np.ndarray, overlap: float) -> np.ndarray:
    """The object that each find takes, -1 for none: the best that is free, and a crowd only where there is no other."""
    taken = np.full(len(shares), -1)
    free = ~crowd
    least = min(overlap, 1 - 1e-10)
    for place, row in enumerate(shares):
        for open_to in (free, crowd):
            fits = np.flatnonzero(open_to & (row >= least))
            if len(fits):
                taken[place] = fits[np.flatnonzero(row[fits] == row[fits].max())[-1]]  # of equal ones COCO has the last
                free[taken[place]] = False
                break
    return taken


def _labels(scenes: Sequence[Scene], label: int | None) -> list[int]:
    """The classes to average over: those asked for that have objects."""
    asked = {int(each) for scene in scenes for each in scene.classes[~scene.crowd]}
    return sorted(asked if label is None else asked & {label})


def _objects(scenes: Sequence[Scene], label: int) -> int:
    return sum(int(((scene.classes == label) & ~scene.crowd).sum()) for scene in scenes)


def _check_pairs(found: Sequence[Finds], scenes: Sequence[Scene]) -> None:
    if len(found) != len(scenes):
        raise ValueError(f"Finds in {len(found)} pictures cannot be compared with {len(scenes)} scenes.")
