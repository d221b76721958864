"""Random variations of pictures during training: shifted, mirrored, turned, zoomed, brighter or darker.

Given a batch of uint8 pictures and their places in the data set; hands on a batch of the same shape. What
happens to a picture depends on (seed, epoch, its place) alone, never on the batch it is in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wimmel.data.datasets import Dataset
from wimmel.data.draws import Purpose, uniform
from wimmel.geometry.whole_numbers import LARGEST_KEY, at_least

# The column of a picture's row of draws that decides each thing; all are drawn always, so that switching one option
# on leaves the others as they were.
_ROW_SHIFT, _COLUMN_SHIFT, _FLIP, _ANGLE, _ZOOM, _ROW_CROP, _COLUMN_CROP, _BRIGHTNESS = range(8)
_DRAWS = 8
_SMALLEST_SHIFTED_SIDE = 16


@dataclass(frozen=True)
class Augmentation:
    """How far pictures may be varied. Every option is off by default.

    The options act in this order: crop, flip, rotate, shift, brightness. The first four are one affine map,
    bilinearly interpolated once; shifts and flips alone move whole pixels and blur nothing. What comes in
    from outside the frame repeats the nearest pixel of the edge, so that a black background stays black and a
    photograph gets no black bars.

    Parameters
    ----------
    shift : float, default 0
        Largest shift along each axis, as a fraction of the side from 0 to 0.5, rounded to whole pixels.
        Shifts of -k to k pixels are equally likely.
    flip : bool, default False
        Whether half of the pictures are mirrored left to right. Wrong for digits, letters and signs.
    rotate : float, default 0
        Largest angle in degrees, from 0 to 180, either way; angles between are equally likely.
    crop : float, default 1
        The smallest part of the sides that a random crop keeps, above 0 and at most 1; the crop is scaled
        back to the full size. The part kept is drawn evenly from `crop` to 1, its place evenly inside the
        picture.
    brightness : float, default 0
        Largest change of brightness, from 0 to 1: pictures are multiplied by 1 - brightness to 1 +
        brightness.

    Raises
    ------
    ValueError
        If an option is out of its range.

    Examples
    --------
    >>> pictures = np.arange(2 * 16, dtype=np.uint8).reshape(2, 1, 4, 4)
    >>> varied = Augmentation(shift=0.25).apply(pictures, np.array([10, 11]), seed=0, epoch=3)
    >>> alone = Augmentation(shift=0.25).apply(pictures[1:], np.array([11]), seed=0, epoch=3)
    >>> varied.shape, bool((varied[1:] == alone).all())
    ((2, 1, 4, 4), True)
    """

    shift: float = 0.0
    flip: bool = False
    rotate: float = 0.0
    crop: float = 1.0
    brightness: float = 0.0

    def __post_init__(self) -> None:
        for name, lowest, highest in (("shift", 0, 0.5), ("rotate", 0, 180), ("brightness", 0, 1)):
            if not lowest <= getattr(self, name) <= highest:
                raise ValueError(f"{name} must be from {lowest} to {highest}; got {getattr(self, name)!r}.")
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop must be above 0 and at most 1; got {self.crop!r}.")

    @classmethod
    def for_dataset(cls, dataset: Dataset, flip: bool = False) -> Augmentation:
        """A moderate augmentation for a data set, decided by its size and whether it has colour.

        Gray pictures (digits, letters, scans) are turned by up to 10 degrees and shifted by up to 8%; below 16
        pixels a side, where one pixel is a large step, they are cropped to no less than 90% instead of shifted.
        Colour pictures (photographs) are shifted by up to 12%, cropped to no less than 85%, and made up to 20%
        brighter or darker. Whether a mirrored picture still shows the same thing, pixels cannot tell: say so with
        `flip`.

        Parameters
        ----------
        dataset : Dataset
        flip : bool, default False
            Whether the classes look alike in a mirror, as animals do and digits do not.

        Returns
        -------
        Augmentation

        Examples
        --------
        >>> from wimmel.data import digits
        >>> Augmentation.for_dataset(digits())
        Augmentation(shift=0.0, flip=False, rotate=10.0, crop=0.9, brightness=0.0)
        """
        channels, rows, columns = dataset.shape
        if channels == 3:
            return cls(shift=0.12, flip=flip, crop=0.85, brightness=0.2)
        if min(rows, columns) < _SMALLEST_SHIFTED_SIDE:
            return cls(flip=flip, rotate=10.0, crop=0.9)
        return cls(shift=0.08, flip=flip, rotate=10.0)

    def apply(self, images: np.ndarray, indices: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """The pictures, varied.

        Parameters
        ----------
        images : uint8 array (n, channels, rows, columns)
        indices : integer array (n,)
            The pictures' places in the data set.
        seed, epoch : int
            From 0 to 2**64 - 1. Each epoch varies the pictures anew.

        Returns
        -------
        uint8 array (n, channels, rows, columns)
            The given array itself if every option is off.

        Raises
        ------
        TypeError, ValueError
            If the pictures are not uint8 of four axes, or their number is not that of the indices.

        Examples
        --------
        >>> picture = np.array([[[[1, 2, 3]]]], np.uint8)
        >>> [Augmentation(flip=True).apply(picture, np.array([0]), 0, epoch).ravel().tolist() for epoch in (0, 1)]
        [[1, 2, 3], [3, 2, 1]]
        """
        if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(indices):
            raise (TypeError if images.dtype != np.uint8 else ValueError)(
                "Augmentation takes uint8 pictures of the shape (n, channels, rows, columns) and n indices; "
                f"got {images.dtype} {images.shape} and {len(indices)} indices."
            )
        if self == Augmentation() or not images.size:
            return images
        keys = at_least(seed, 0, "seed", LARGEST_KEY), Purpose.AUGMENTATION, at_least(epoch, 0, "epoch", LARGEST_KEY)
        draws = uniform(*keys, np.asarray(indices)[:, np.newaxis], np.arange(_DRAWS))
        varied = self._warped(images, draws) if self.rotate or self.crop < 1 else self._moved(images, draws)
        if self.brightness:
            factor = 1 + self.brightness * (2 * draws[:, _BRIGHTNESS] - 1)
            varied = np.minimum(varied * factor.astype(np.float32)[:, None, None, None], np.float32(255))
        return varied if varied.dtype == np.uint8 else (varied + np.float32(0.5)).astype(np.uint8)

    def _moved(self, images: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Whole-pixel shifts and flips, uint8: each output row and column is a copy of one of the picture's own."""
        height, width = images.shape[2:]
        down, right = self._shifts(draws, height, width)
        rows = np.clip(np.arange(height) - down[:, np.newaxis], 0, height - 1)
        columns = np.clip(np.arange(width) - right[:, np.newaxis], 0, width - 1)
        columns = np.where(self._flips(draws)[:, np.newaxis], width - 1 - columns, columns)
        return _gather(images, (rows * width)[:, :, np.newaxis] + columns[:, np.newaxis, :])

    def _warped(self, images: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """All of the affine map, float32. For every output pixel p the source point is, from the centre c,

        c + o + s F R(-angle) (p - c - d): shift d undone, rotation R undone, flip F, then the crop (scale s,
        offset o).
        """
        height, width = images.shape[2:]
        centre = np.array([(height - 1) / 2, (width - 1) / 2])
        angle = np.deg2rad(self.rotate) * (2 * draws[:, _ANGLE] - 1)
        scale = self.crop + (1 - self.crop) * draws[:, _ZOOM]
        room = (1 - scale)[:, np.newaxis] * np.array([height, width]) / 2
        offset = room * (2 * draws[:, [_ROW_CROP, _COLUMN_CROP]] - 1)
        mirror = np.where(self._flips(draws), -1.0, 1.0)
        cosine, sine = np.cos(angle), np.sin(angle)
        # Row and column axes, rows pointing down: a positive angle turns the picture counter-clockwise.
        matrix = scale[:, np.newaxis, np.newaxis] * np.stack(
            [np.stack([cosine, sine], -1), mirror[:, np.newaxis] * np.stack([-sine, cosine], -1)], 1
        )
        down, right = self._shifts(draws, height, width)
        start = centre + offset - np.einsum("nij,nj->ni", matrix, centre + np.stack([down, right], -1))
        return bilinear_warp(images, matrix, start)

    def _shifts(self, draws: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        down, right = (
            np.floor(draws[:, column] * (2 * most + 1)).astype(np.int64) - most
            for column, most in ((_ROW_SHIFT, round(self.shift * height)), (_COLUMN_SHIFT, round(self.shift * width)))
        )
        return down, right

    def _flips(self, draws: np.ndarray) -> np.ndarray:
        return (draws[:, _FLIP] < 0.5) & self.flip


def bilinear_warp(images: np.ndarray, matrix: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The pictures sampled at matrix @ (row, column) + start, bilinearly; outside, the nearest edge pixel repeats.

    Parameters
    ----------
    images : uint8 array (n, channels, rows, columns)
    matrix : float array (n, 2, 2)
        For every picture the linear map from output (row, column) to its own.
    start : float array (n, 2)
        Where in the picture output pixel (0, 0) looks.

    Returns
    -------
    float32 array (n, channels, rows, columns)
        From 0 to 255, not rounded.

    Examples
    --------
    >>> picture = np.array([[[[0, 10, 20]]]], np.uint8)
    >>> bilinear_warp(picture, np.eye(2)[None], np.array([[0, 0.5]]))
    array([[[[ 5., 15., 20.]]]], dtype=float32)
    """
    height, width = images.shape[2:]
    rows, columns = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    matrix, start = matrix.astype(np.float32), start.astype(np.float32)

    def source(axis: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        """For every output pixel the pixel at or before its source point, and how far behind it the point lies."""
        down = matrix[:, axis, 0, np.newaxis] * rows + start[:, axis, np.newaxis]
        across = matrix[:, axis, 1, np.newaxis] * columns
        point = np.clip(down[:, :, np.newaxis] + across[:, np.newaxis, :], 0, side - 1)
        before = np.minimum(point.astype(np.int64), max(side - 2, 0))
        return before, point - before.astype(np.float32)

    top, below = source(0, height)
    left, behind = source(1, width)
    corner = top * width + left
    right = 1 if width > 1 else 0
    down = width if height > 1 else 0
    below, behind = below[:, np.newaxis], behind[:, np.newaxis]
    upper = _between(_gather(images, corner), _gather(images, corner + right), behind)
    lower = _between(_gather(images, corner + down), _gather(images, corner + (down + right)), behind)
    return _between(upper, lower, below)


def _between(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    start = first.astype(np.float32, copy=False)
    return start + (second.astype(np.float32, copy=False) - start) * share


def _gather(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    """For every picture the pixels at `places` (n, rows, columns) of its flattened planes, in each channel."""
    count, channels = images.shape[:2]
    plane = math.prod(images.shape[2:])
    first = (np.arange(count * channels) * plane).reshape(count, channels, 1, 1)
    return images.reshape(-1).take(first + places[:, np.newaxis])
