"""A picture, what was found in it, what the detector says about every place, and the best find from near: on one page.

Given a picture, finds and a heat map's scores; hands on a picture as an array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wimmel.detection.finds import Finds
from wimmel.detection.pictures import COLOURS, annotated, heat_map, in_pieces
from wimmel.files import fit_image

if TYPE_CHECKING:
    from wimmel.detection.pictures import Picture

_GAP = 8
_PAPER, _FRAME = 255, 3
_AROUND = 1.6
"""How much of the picture the close-up shows, into the higher of the find's box and what is as high at its width."""


def overview(picture: Picture, found: Finds, heat: np.ndarray) -> np.ndarray:
    """The picture with its finds framed; beside it, half as large, its heat map and below that the best find from near.

    Parameters
    ----------
    picture : uint8 array (rows, columns) or (1 or 3, rows, columns), or path
    found : Finds
        If there are none, the close-up shows the picture's middle.
    heat : float array (map rows, map columns)
        A detector's probabilities, as `Detector.look` gives them.

    Returns
    -------
    uint8 array (3, rows, columns)

    Raises
    ------
    TypeError, ValueError
        If an array is not as described.
    OSError, ImageError
        If the file cannot be read.

    Examples
    --------
    >>> heat = np.zeros((15, 20))
    >>> overview(np.zeros((120, 160), np.uint8), Finds([[70, 40, 90, 80]], [0.9]), heat).shape
    (3, 120, 243)
    """
    framed = annotated(picture, found)
    rows, columns = framed.shape[1:]
    upper = (rows - _GAP) // 2
    lower, width = rows - _GAP - upper, round(columns * upper / rows)
    page = np.full((3, rows, columns + _GAP + width), _PAPER, np.uint8)
    page[:, :, :columns] = framed
    page[:, :upper, columns + _GAP :] = fit_image(heat_map(picture, heat, high=1.0), (upper, width), 3)
    page[:, upper + _GAP :, columns + _GAP :] = _close_up(picture, found, (lower, width))
    return page


def _close_up(picture: Picture, found: Finds, size: tuple[int, int]) -> np.ndarray:
    """What the best find shows and a little around it, at a size (rows, columns), framed in the colour of its class."""
    pieces = in_pieces(picture)
    rows, columns = pieces.shape[1:]
    if len(found):
        left, top, right, bottom = found.ordered().boxes[0]
    else:
        left, top, right, bottom = 0.25 * columns, 0.25 * rows, 0.75 * columns, 0.75 * rows
    high = _AROUND * max(bottom - top, (right - left) * size[0] / size[1], 1)
    high = min(high, rows, columns * size[0] / size[1])
    wide = high * size[1] / size[0]
    above = min(max((top + bottom - high) / 2, 0), rows - high)
    before = min(max((left + right - wide) / 2, 0), columns - wide)
    end, foot = max(round(before + wide), 1), max(round(above + high), 1)
    shown = fit_image(pieces.piece(round(above), round(before), foot, end), size, 3)
    if len(found):
        colour = np.array(COLOURS[found.ordered().classes[0] % len(COLOURS)], np.uint8)[:, np.newaxis, np.newaxis]
        for edge in (shown[:, :_FRAME], shown[:, -_FRAME:], shown[:, :, :_FRAME], shown[:, :, -_FRAME:]):
            edge[...] = colour
    return shown
