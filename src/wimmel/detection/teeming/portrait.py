"""Wim by himself, for those who do not know him yet."""

from __future__ import annotations

import numpy as np

from wimmel.detection.teeming.figures import WIM, Figure, shapes_of
from wimmel.detection.teeming.shapes import FINENESS, Stand, extent, paint
from wimmel.geometry.whole_numbers import at_least

_WALL = (206, 218, 186)
_MARGIN = 0.06


def portrait(height: int = 40) -> np.ndarray:
    """Wim as he stands before a light wall, one arm raised.

    Parameters
    ----------
    height : int, default 40
        Rows of the picture, at least 16.

    Returns
    -------
    uint8 array (3, height, columns)

    Raises
    ------
    TypeError, ValueError
        If the height is out of range.

    Examples
    --------
    >>> portrait(40).shape
    (3, 40, 24)
    """
    from PIL import Image, ImageDraw

    height = at_least(height, 16, "a portrait's height")
    shapes = shapes_of(Figure(WIM, arms=1, stride=0.3))
    left, top, right, bottom = extent(shapes, Stand(0.0, 0.0, 1.0))
    scale = height / (bottom - top + 2 * _MARGIN)
    width = round(scale * (right - left + 2 * _MARGIN))
    canvas = Image.new("RGB", (width * FINENESS, height * FINENESS), _WALL)
    paint(ImageDraw.Draw(canvas), shapes, Stand(scale * (_MARGIN - left), scale * (_MARGIN - top), scale))
    return np.ascontiguousarray(np.asarray(canvas.reduce(FINENESS)).transpose(2, 0, 1))
