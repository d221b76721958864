"""Boxes as arrays: converting, measuring, clipping, and keeping the best of those that overlap.

Boxes are float64 arrays (n, 4) of left, top, right and bottom edges in pixels. The pixel in row i and column j reaches
from (left j, top i) to (right j + 1, bottom i + 1), so that a picture of 20 rows and 30 columns is the box (0, 0, 30,
20), and width is right - left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Boxes = np.ndarray | Sequence[Sequence[float]]

_AT_ONCE, _PAIRS = 1000, 2**20
"""Boxes that are compared with those kept before, and pairs of boxes, at most."""


def as_boxes(boxes: Boxes) -> np.ndarray:
    """The boxes as a float64 array (n, 4), checked.

    Parameters
    ----------
    boxes : array or nested sequence (n, 4)
        Left, top, right, bottom in pixels; none at all may be given as [].

    Returns
    -------
    float64 array (n, 4)

    Raises
    ------
    ValueError
        If the shape is another, a number is not finite, or a box has its right before its left or its bottom above its
        top.

    Examples
    --------
    >>> as_boxes([[0, 0, 30, 20]])
    array([[ 0.,  0., 30., 20.]])
    >>> as_boxes([]).shape
    (0, 4)
    """
    array = np.asarray(boxes, np.float64)
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"Boxes have the shape (n, 4): left, top, right, bottom; got {array.shape}.")
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise ValueError(f"Box {row} holds a number that is not finite: {array[row].tolist()}.")
    reversed_rows = np.flatnonzero((array[:, 2:] < array[:, :2]).any(axis=1))
    if len(reversed_rows):
        row = int(reversed_rows[0])
        raise ValueError(
            f"Box {row} ends before it begins: {array[row].tolist()}; the order is left, top, right, bottom. "
            "Boxes of left, top, width and height go through from_left_top_size."
        )
    return array


def from_left_top_size(rows: Boxes) -> np.ndarray:
    """Boxes from their left and top edges, widths and heights, as COCO writes them.

    Examples
    --------
    >>> from_left_top_size([[10, 20, 5, 6]])
    array([[10., 20., 15., 26.]])
    """
    rows = np.asarray(rows, np.float64).reshape(-1, 4)
    return as_boxes(np.concatenate((rows[:, :2], rows[:, :2] + rows[:, 2:]), axis=1))


def to_left_top_size(boxes: Boxes) -> np.ndarray:
    """Left and top edges, widths and heights of boxes: float64 (n, 4).

    Examples
    --------
    >>> to_left_top_size([[10, 20, 15, 26]])
    array([[10., 20.,  5.,  6.]])
    """
    boxes = as_boxes(boxes)
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)


def from_centre_size(rows: Boxes) -> np.ndarray:
    """Boxes from their centres (across, down), widths and heights, as YOLO writes them.

    Examples
    --------
    >>> from_centre_size([[10, 20, 4, 6]])
    array([[ 8., 17., 12., 23.]])
    """
    rows = np.asarray(rows, np.float64).reshape(-1, 4)
    return as_boxes(np.concatenate((rows[:, :2] - rows[:, 2:] / 2, rows[:, :2] + rows[:, 2:] / 2), axis=1))


def to_centre_size(boxes: Boxes) -> np.ndarray:
    """Centres (across, down), widths and heights of boxes: float64 (n, 4).

    Examples
    --------
    >>> to_centre_size([[8, 17, 12, 23]])
    array([[10., 20.,  4.,  6.]])
    """
    boxes = as_boxes(boxes)
    return np.concatenate(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), axis=1)


def areas(boxes: Boxes) -> np.ndarray:
    """The areas of boxes in square pixels: float64 (n,).

    Examples
    --------
    >>> areas([[0, 0, 30, 20], [1, 1, 1, 5]])
    array([600.,   0.])
    """
    boxes = as_boxes(boxes)
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def iou(first: Boxes, second: Boxes) -> np.ndarray:
    """Intersection over union of every box of one list with every box of another: 1 for equal boxes, 0 for apart.

    Parameters
    ----------
    first : boxes (n, 4)
    second : boxes (m, 4)

    Returns
    -------
    float64 array (n, m)
        0 where both boxes are without area.

    Raises
    ------
    ValueError
        As `as_boxes`.

    Examples
    --------
    >>> iou([[0, 0, 2, 2]], [[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]]).round(3)
    array([[1.   , 0.333, 0.   ]])
    """
    first, second = as_boxes(first), as_boxes(second)
    common = intersections(first, second)
    union = areas(first)[:, np.newaxis] + areas(second) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def intersections(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Areas that every box of one list has in common with every box of another: float64 (n, m)."""
    begin = np.maximum(first[:, np.newaxis, :2], second[:, :2])
    end = np.minimum(first[:, np.newaxis, 2:], second[:, 2:])
    sides: np.ndarray = np.maximum(end - begin, 0)
    return sides[..., 0] * sides[..., 1]


def clip(boxes: Boxes, height: float, width: float) -> np.ndarray:
    """The parts of boxes that lie within a picture; a box wholly outside ends up without area.

    Parameters
    ----------
    boxes : boxes (n, 4)
    height, width : float
        Rows and columns of the picture.

    Returns
    -------
    float64 array (n, 4)

    Examples
    --------
    >>> clip([[-3, 5, 10, 25], [40, 0, 50, 5]], height=20, width=30)
    array([[ 0.,  5., 10., 20.],
           [30.,  0., 30.,  5.]])
    """
    return np.clip(as_boxes(boxes), 0, (width, height, width, height))


def non_maximum_suppression(
    boxes: Boxes, scores: np.ndarray | Sequence[float], classes: np.ndarray | Sequence[int] | None = None,
    overlap: float = 0.5, limit: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Places of the boxes to keep: from the best score down, those that overlap none of their class kept before.

    Parameters
    ----------
    boxes : boxes (n, 4)
    scores : float array (n,)
    classes : integer array (n,), optional
        Boxes of different classes do not suppress one another; by default all are of one.
    overlap : float, default 0.5
        The IoU above which the lower score goes, from 0 to 1.
    limit : int, optional
        How many to keep at most.

    Returns
    -------
    int64 array (kept,)
        In descending order of scores; of equal scores the box that was given first comes first.

    Raises
    ------
    ValueError
        If the numbers of boxes, scores and classes differ, a score is NaN, or `overlap` is out of range.

    Examples
    --------
    >>> boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]]
    >>> non_maximum_suppression(boxes, [0.8, 0.9, 0.7])
    array([1, 2])
    >>> non_maximum_suppression(boxes, [0.8, 0.9, 0.7], classes=[0, 1, 0])
    array([1, 0, 2])
    """
    boxes, scores = as_boxes(boxes), np.asarray(scores, np.float64)
    labels = np.zeros(len(boxes), np.int64) if classes is None else np.asarray(classes)
    if scores.shape != (len(boxes),) or labels.shape != (len(boxes),):
        raise ValueError(f"{len(boxes)} boxes need as many scores and classes; got {scores.shape} and {labels.shape}.")
    if np.isnan(scores).any():
        raise ValueError(f"The score of box {int(np.flatnonzero(np.isnan(scores))[0])} is not a number.")
    if not 0 <= overlap <= 1:
        raise ValueError(f"overlap is an IoU from 0 to 1; got {overlap!r}.")
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    most = len(boxes) if limit is None else limit
    while len(order) and len(kept) < most:
        # what is kept of the best does not depend on those behind: so these wait until they are needed
        count = max(1, min(_AT_ONCE, _PAIRS // (len(kept) + 1)))
        left, order = order[:count], order[count:]
        clash = (iou(boxes[left], boxes[kept]) > overlap) & (labels[left, np.newaxis] == labels[kept])
        left = left[~clash.any(axis=1)]
        while len(left) and len(kept) < most:
            best, left = left[0], left[1:]
            kept.append(int(best))
            near = iou(boxes[best : best + 1], boxes[left])[0] > overlap
            left = left[~(near & (labels[left] == labels[best]))]
    return np.array(kept, np.int64)
