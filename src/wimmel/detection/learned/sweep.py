"""The sweep: the network over a whole picture at several sizes, in tiles, and the boxes of windows that score well.

Tiles begin at multiples of the total stride and overlap by the receptive field; beyond the picture there are zeros. So
the scores are those of the untiled sweep. Memory is needed for a tile of each thread, and for the scores of a band of
tiles, whatever the picture's size and the objects'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from itertools import product
from typing import NamedTuple, TypeAlias

import numpy as np

from wimmel.detection.boxes import clip, non_maximum_suppression
from wimmel.detection.finds import Finds
from wimmel.detection.learned.calibration import Calibrations, Presence, logistic, presence
from wimmel.detection.learned.network import OFFSETS, STRIDE, window_size
from wimmel.detection.learned.pyramid import OneAtATime, level_size, piece_of_level
from wimmel.detection.learned.settings import LONGER_SIDE, Settings
from wimmel.files import Piecewise
from wimmel.runtime.native import get_num_threads, num_threads

Network = Callable[[np.ndarray], np.ndarray]

TILE = 128
"""Windows along a side of a tile, at most."""

BAND = 2**23
"""Numbers that the network gives for a band, unless one row of tiles has more."""

_STEP = 4
_MOST_WINDOWS = 40_000
_LARGEST_LOGARITHM = 3.0


class Band(NamedTuple):
    """What the network says about a part of a level, from side to side.

    Attributes
    ----------
    outputs : float32 array (classes + 4, rows, columns)
    first : int
        The level's row of windows that the band begins with.
    rows : int
        Of the whole level.
    span : float
        What a pixel of the level spans.
    """

    outputs: np.ndarray
    first: int
    rows: int
    span: float


class Swept(NamedTuple):
    """What a sweep finds, and what it says about every place.

    Attributes
    ----------
    finds : Finds
        Best first.
    windows : float64 array (n, 3)
        For each find the centre of its window, across and down in the picture's pixels, and what a pixel of it spans.
    heat : float32 array (rows, columns)
        The highest probability of any class, at any size, for cells that cover the picture evenly, about 4 pixels each.
    presence : Presence
        Whether there is one anywhere.
    """

    finds: Finds
    windows: np.ndarray
    heat: np.ndarray
    presence: Presence


def bands(net: Network, settings: Settings, picture: Piecewise, tile: int = TILE) -> Iterator[Band]:
    """The network's outputs for every level of the picture's pyramid; the first window is centred on the corner."""
    picture = OneAtATime(picture)
    numbers = len(settings.class_names) + OFFSETS
    for span in settings.spans:
        rows, columns = (side // STRIDE + 1 for side in level_size(picture, span))
        tile_size = _side(rows, tile), _side(columns, tile)
        high = max(BAND // (numbers * columns * tile_size[0]), 1) * tile_size[0]
        for first in range(0, rows, high):
            outputs = np.empty((numbers, min(high, rows - first), columns), np.float32)
            corners = list(
                product(range(first, first + outputs.shape[1], tile_size[0]), range(0, columns, tile_size[1]))
            )
            _share_out(partial(_look, net, settings, picture, Band(outputs, first, rows, span), tile_size), corners)
            yield Band(outputs, first, rows, span)


def _side(count: int, most: int) -> int:
    """Windows along a side of the tiles that cut so many into equal parts; of few sizes, since each is planned."""
    if count > most:
        count = math.ceil(count / math.ceil(count / most))
    return min(math.ceil(count / _STEP) * _STEP, max(most, 1))


def _share_out(look: Callable[[tuple[int, int]], None], tiles: Sequence[tuple[int, int]]) -> None:
    """Every tile is looked at: each by a thread of its own where there are enough of them, else by all together."""
    threads = get_num_threads()
    first, rest = tiles[0], tiles[1:]
    look(first)  # alone, since the first call of a size plans it, and all threads would
    if not 1 < threads <= len(rest):
        for tile in rest:
            look(tile)
        return
    with num_threads(1):
        pool = ThreadPoolExecutor(threads)
        try:
            for looked in [pool.submit(copy_context().run, look, tile) for tile in rest]:
                looked.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _look(
    net: Network,
    settings: Settings,
    picture: Piecewise,
    band: Band,
    size: tuple[int, int],
    corner: tuple[int, int],
) -> None:
    """Fills in what the network says about a tile."""
    row = corner[0] - band.first
    part = band.outputs[:, row : row + size[0], corner[1] : corner[1] + size[1]]
    seen = seen_by(settings, picture, band.span, corner, size)
    part[...] = net(seen[np.newaxis])[0, :, : part.shape[1], : part.shape[2]]


def seen_by(
    settings: Settings, picture: Piecewise, span: float, first: tuple[int, int], counts: tuple[int, int]
) -> np.ndarray:
    """What the windows from `first` on see, so many down and across."""
    top, left = (STRIDE * place - side // 2 for place, side in zip(first, window_size(settings), strict=True))
    height, width = (STRIDE * (n - 1) + side for n, side in zip(counts, window_size(settings), strict=True))
    return piece_of_level(picture, span, top, left, top + height, left + width)


def centres(settings: Settings, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where in a level, across and down, the centres of windows in these rows and columns are."""
    height, width = window_size(settings)
    return STRIDE * columns + width / 2 - width // 2, STRIDE * rows + height / 2 - height // 2


def sweep(
    net: Network,
    settings: Settings,
    picture: Piecewise,
    threshold: float,
    overlap: float,
    limit: int,
    tile: int = TILE,
    calibrations: Calibrations | None = None,
) -> Swept:
    """What is found in a picture; scores are probabilities.

    Parameters
    ----------
    net : callable
        From tiles to outputs.
    settings : Settings
    picture : Piecewise
    threshold : float
        The score to reach, above 0 and below 1.
    overlap : float
        Of two finds of a class whose boxes' IoU is larger, the one with the lower score goes.
    limit : int
        How many finds to give at most.
    tile : int, default 64
        Windows along a side of a tile, at most.
    calibrations : tuple of Calibration or None, optional
        For each class, of the probability that there is one anywhere; by default there are none.

    Raises
    ------
    ValueError
        If the network gives a number that is not finite.
    """
    least = math.log(threshold / (1 - threshold))
    strongest = np.full(len(settings.class_names), -np.inf)
    heat = np.zeros([math.ceil(side / STRIDE) for side in picture.shape[1:]], np.float32)
    found: dict[float, _Candidates] = {}
    for band in bands(net, settings, picture, tile):
        if not np.isfinite(band.outputs).all():
            raise ValueError("The detector answered with a number that is not finite: its parameters are too large.")
        _add_heat(heat, band, settings, picture)
        strongest = np.maximum(strongest, band.outputs[: len(strongest)].max(axis=(1, 2)))
        above = [found[band.span]] if band.first else []
        found[band.span] = _best([*above, _candidates(settings, band, least)])
    scores, boxes, classes, windows = _together(list(found.values()))
    boxes = clip(boxes, *picture.shape[1:])
    inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    scores, boxes, classes, windows = (each[inside] for each in (scores, boxes, classes, windows))
    kept = non_maximum_suppression(boxes, scores, classes, overlap, limit)
    finds = Finds(boxes[kept], logistic(scores[kept]), classes[kept], settings.class_names)
    there = presence(settings.class_names, strongest, calibrations or (None,) * len(strongest))
    return Swept(finds, windows[kept], heat, there)


_Candidates: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Scores (n,), boxes (n, 4), classes (n,) and windows (n, 3)."""


def _candidates(settings: Settings, band: Band, least: float) -> _Candidates:
    """All windows that score at least so much. Not the peaks among them alone: of thin things side by side, each has a
    window of its own, which scores less than its neighbour's."""
    count = len(settings.class_names)
    classes, rows, columns = np.nonzero(band.outputs[:count] >= least)
    scores = band.outputs[classes, rows, columns].astype(np.float64)
    across, down, wide, high = band.outputs[count:, rows, columns].astype(np.float64)
    x, y = centres(settings, band.first + rows, columns)
    centre = np.stack((x + LONGER_SIDE * across, y + LONGER_SIDE * down), axis=1)
    logarithms = np.clip(np.stack((wide, high), axis=1), -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)
    half = np.exp(logarithms) * settings.object_size[::-1] / 2
    boxes = np.concatenate((centre - half, centre + half), axis=1) * band.span
    windows = np.stack((x * band.span, y * band.span, np.full(len(x), band.span)), axis=1)
    return scores, boxes, classes, windows


def _best(parts: Sequence[_Candidates]) -> _Candidates:
    """Of a level's candidates, class by class, the best, as many as are kept; of equal ones those given first."""
    scores, boxes, classes, windows = _together(parts)
    if np.bincount(classes).max(initial=0) <= _MOST_WINDOWS:
        kept = np.argsort(classes, kind="stable")
    else:
        order = np.lexsort((-scores, classes))
        place = np.arange(len(order)) - np.searchsorted(classes[order], classes[order])
        kept = order[place < _MOST_WINDOWS]
    return scores[kept], boxes[kept], classes[kept], windows[kept]


def _together(parts: Sequence[_Candidates]) -> _Candidates:
    scores, boxes, classes, windows = (np.concatenate(each) for each in zip(*parts, strict=True))
    return scores, boxes, classes, windows


def _add_heat(heat: np.ndarray, band: Band, settings: Settings, picture: Piecewise) -> None:
    """Raises cells to what the band says there; where several of its windows fall into one, to the highest."""
    scores = band.outputs[: len(settings.class_names)].max(axis=0)
    probabilities = logistic(scores)
    cell = [side / count for side, count in zip(picture.shape[1:], heat.shape, strict=True)]
    window = STRIDE * band.span
    if window >= max(cell):
        rows, columns = (
            np.minimum(((np.arange(count) + 0.5) * size / window).round().astype(int), most - 1)
            for count, size, most in zip(heat.shape, cell, (band.rows, scores.shape[1]), strict=True)
        )
        begin, end = np.searchsorted(rows, (band.first, band.first + len(scores)))
        part = heat[begin:end]
        np.maximum(part, probabilities[np.ix_(rows[begin:end] - band.first, columns)], out=part)
    else:
        rows, columns = (
            np.minimum(((first + np.arange(count)) * window / size).astype(int), most - 1)
            for first, count, size, most in zip((band.first, 0), scores.shape, cell, heat.shape, strict=True)
        )
        np.maximum.at(heat, np.ix_(rows, columns), probabilities)
