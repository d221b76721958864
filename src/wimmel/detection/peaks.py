"""Peaks of a map of scores: where they are, to a fraction of a pixel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from wimmel.functional import max_pool2d


class Peaks(NamedTuple):
    """Scores (n,), best first, and places (n, 2) as row and column, float64."""

    scores: np.ndarray
    places: np.ndarray


def peaks(scores: np.ndarray, threshold: float, limit: int) -> Peaks:
    """The places that score no less than their eight neighbours, and at least the threshold.

    Places come from the quadratic surface that fits a peak and its neighbours best (least squares); at the map's
    border, and where that surface has no top within a pixel, they are whole pixels. Scores are those of the whole
    pixels.

    Parameters
    ----------
    scores : float32 array (rows, columns)
    threshold : float
    limit : int
        How many to give at most, the best ones; of equal scores the upper, then the left one comes first.

    Returns
    -------
    Peaks

    Examples
    --------
    >>> rows, columns = np.mgrid[:7, :9]
    >>> bowl = 1 - 0.01 * (rows - 3.25) ** 2 - 0.02 * (columns - 4.4) ** 2
    >>> peaks(bowl.astype(np.float32), 0.5, 10).places.round(2)
    array([[3.25, 4.4 ]])
    """
    around = max_pool2d(scores[np.newaxis, np.newaxis], 3, stride=1, padding=1)[0, 0]
    rows, columns = np.nonzero((scores == around) & (scores >= threshold))
    best = np.argsort(-scores[rows, columns].astype(np.float64), kind="stable")[:limit]
    rows, columns = rows[best], columns[best]
    places = np.stack((rows, columns), axis=1).astype(np.float64)
    inner = (rows > 0) & (rows < scores.shape[0] - 1) & (columns > 0) & (columns < scores.shape[1] - 1)
    places[inner] += _tops(scores, rows[inner], columns[inner])
    return Peaks(scores[rows, columns].astype(np.float64), places)


def _tops(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """How far (rows, columns) the tops of the fitted surfaces lie from the peaks: (n, 2), 0 where there is none near.

    The surface is c + g d + d H d / 2; over the 3x3 neighbours the least-squares fit has a closed form.
    """
    steps = np.arange(-1, 2)
    near = scores[rows[:, None, None] + steps[:, None], columns[:, None, None] + steps].astype(np.float64)
    down, across = near.sum(axis=2), near.sum(axis=1)
    gradient = np.stack((down[:, 2] - down[:, 0], across[:, 2] - across[:, 0]), axis=1) / 6
    curve_down = (down[:, 0] - 2 * down[:, 1] + down[:, 2]) / 3
    curve_across = (across[:, 0] - 2 * across[:, 1] + across[:, 2]) / 3
    twist = (near[:, 0, 0] + near[:, 2, 2] - near[:, 0, 2] - near[:, 2, 0]) / 4
    determinant = curve_down * curve_across - twist**2
    sound = (determinant > 0) & (curve_down < 0)
    inverse = np.array([[curve_across, -twist], [-twist, curve_down]]) / np.where(sound, determinant, 1)
    offsets = -np.einsum("abn,nb->na", inverse, gradient)
    sound &= (np.abs(offsets) <= 1).all(axis=1)
    return np.where(sound[:, np.newaxis], offsets, 0)
