"""Pictures read in pieces, and pieces of their pyramid: the picture at several sizes, as the network wants them.

A level's pixel in row i and column j shows the picture's pixels from span * j to span * (j + 1), likewise
downwards.
"""

from __future__ import annotations

import math
import os
from threading import Lock
from typing import NamedTuple

import numpy as np

from wimmel.detection.learned.settings import GRAIN
from wimmel.files import Piecewise, fit_image, open_image

_MIDDLE, _UNIT = 127.5, 64.0
_AT_ONCE = 2**22


class WholePicture(NamedTuple):
    """A picture in memory, as one that is read in pieces."""

    pixels: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, rows, columns = self.pixels.shape
        return channels, rows, columns

    def piece(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        return self.pixels[:, top:bottom, left:right]


class OneAtATime:
    """A picture whose pieces are read by one thread at a time, whatever it is."""

    def __init__(self, picture: Piecewise) -> None:
        self._picture, self._turn = picture, Lock()

    @property
    def shape(self) -> tuple[int, int, int]:
        return self._picture.shape

    def piece(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        with self._turn:
            return self._picture.piece(top, left, bottom, right)


def as_piecewise(image: np.ndarray | str | os.PathLike[str] | Piecewise, channels: int) -> Piecewise:
    """The picture, with so many channels.

    Raises
    ------
    TypeError, ValueError
        If it is no uint8 picture of 1 or 3 channels; of one read in pieces, if it has others than asked for.
    OSError, ImageError
        If the file cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        return open_image(image, channels)
    if isinstance(image, np.ndarray):
        planes = image[np.newaxis] if image.ndim == 2 else image
        return WholePicture(fit_image(planes, None, channels))
    if not isinstance(image, Piecewise):
        raise TypeError(f"A picture to search is a uint8 array or a path; got {type(image).__name__}.")
    if image.shape[0] != channels:
        raise ValueError(f"This detector takes pictures of {channels} channels, and this has {image.shape[0]}.")
    return image


def level_size(picture: Piecewise, span: float) -> tuple[int, int]:
    """Rows and columns of the level whose pixels span so many of the picture's; what is less than one is left out."""
    _, rows, columns = picture.shape
    return math.floor(rows / span), math.floor(columns / span)


def piece_of_level(picture: Piecewise, span: float, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    """A piece of a level, scaled for the network: float32 (channels, bottom - top, right - left), 0 beyond the picture.

    The same bits as that part of the whole level, since `span` is a multiple of 1 / GRAIN.
    """
    rows, columns = level_size(picture, span)
    channels = picture.shape[0]
    piece = np.zeros((channels, bottom - top, right - left), np.float32)
    first_row, last_row = max(top, 0), min(bottom, rows)
    first_column, last_column = max(left, 0), min(right, columns)
    if first_row >= last_row or first_column >= last_column:
        return piece
    shown = pixels_of_level(picture, span, first_row, first_column, last_row, last_column)
    within = piece[:, first_row - top : last_row - top, first_column - left : last_column - left]
    scaled(shown, within)
    return piece


def pixels_of_level(picture: Piecewise, span: float, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    """A piece of a level that lies within it: uint8 (channels, bottom - top, right - left)."""
    height, width = bottom - top, right - left
    if height * width * span**2 > _AT_ONCE and height * width > 1:
        # of the picture only so much is in memory at a time
        row, column = (top + height // 2, right) if height >= width else (bottom, left + width // 2)
        first = pixels_of_level(picture, span, top, left, row, column)
        corner = (row, left) if height >= width else (top, column)
        second = pixels_of_level(picture, span, *corner, bottom, right)
        return np.concatenate((first, second), axis=1 if height >= width else 2)
    reach = math.ceil(max(span, 1)) + 1
    above, before = (max(math.floor(first * span) - reach, 0) for first in (top, left))
    below = min(math.ceil(bottom * span) + reach, picture.shape[1])
    after = min(math.ceil(right * span) + reach, picture.shape[2])
    end, foot = min(right * span, picture.shape[2]), min(bottom * span, picture.shape[1])
    box = (left * span - before, top * span - above, end - before, foot - above)
    return resized(picture.piece(above, before, below, after), (height, width), box)


def shrunken(picture: Piecewise, most: int) -> tuple[np.ndarray, float]:
    """The picture, smaller if it has more than so many pixels, uint8 (channels, rows, columns), and a pixel's span."""
    _, rows, columns = picture.shape
    if rows * columns <= most:
        return picture.piece(0, 0, rows, columns), 1.0
    span = math.ceil(max(math.sqrt(rows * columns / most), max(rows, columns) / most) * GRAIN) / GRAIN
    height, width = (max(side, 1) for side in level_size(picture, span))
    return pixels_of_level(picture, span, 0, 0, height, width), span


def resized(pixels: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float]) -> np.ndarray:
    """The part of a picture in a box (left, top, right, bottom), brought to a size (rows, columns): uint8."""
    from PIL import Image

    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in pixels]
    image = planes[0] if len(planes) == 1 else Image.merge("RGB", planes)
    left, top, right, bottom = box
    # across, then down: in one call Pillow chooses the order by the sizes, and rounds otherwise in each
    image = image.resize((size[1], image.height), Image.Resampling.BILINEAR, box=(left, 0, right, image.height))
    shown = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, box=(0, top, size[1], bottom)))
    return shown[np.newaxis] if shown.ndim == 2 else shown.transpose(2, 0, 1)


def scaled(pixels: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Bytes as the network takes them: float32, 0 for a middle gray; written to `out`, if it is given."""
    out = np.subtract(pixels, np.float32(_MIDDLE), out=out, dtype=np.float32)
    return np.divide(out, np.float32(_UNIT), out=out)
