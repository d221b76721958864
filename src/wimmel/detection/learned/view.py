"""What a detector's network is given to see of a picture, to look at it with the means there are for any network.

Given a picture and what a sweep found in it; hands on a piece of a level of the pyramid.
"""

from __future__ import annotations

import numpy as np

from wimmel.detection.learned.pyramid import level_size, piece_of_level
from wimmel.detection.learned.settings import Settings
from wimmel.files import Piecewise


def surroundings(picture: Piecewise, settings: Settings, windows: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A piece of the level where the best find is, with that in its middle as far as the picture's edges allow.

    Parameters
    ----------
    picture : Piecewise
    settings : Settings
    windows : float array (n, 3)
        Of a sweep; if there are none, the piece is the middle of a middle level.
    size : (rows, columns)
        Of the piece, at most.

    Returns
    -------
    float32 array (channels, rows, columns)
    """
    span = settings.spans[len(settings.spans) // 2]
    across, down = picture.shape[2] / 2, picture.shape[1] / 2
    if len(windows):
        across, down, span = windows[0]
    edges = []
    for centre, side, most in zip((down, across), level_size(picture, span), size, strict=True):
        length = min(side, most)
        begin = min(max(round(centre / span) - length // 2, 0), side - length)
        edges.append((begin, begin + length))
    (top, bottom), (left, right) = edges
    return piece_of_level(picture, span, top, left, bottom, right)
