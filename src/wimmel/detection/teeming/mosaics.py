"""Digits strewn over mosaics of photographs: scenes with many small objects of several classes on a busy ground."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wimmel.data import Dataset
from wimmel.detection.boxes import iou
from wimmel.detection.finds import Scene
from wimmel.detection.teeming.luck import lucky

_FEWEST, _MOST = 3, 8
_LOWEST, _HIGHEST = 16, 64
_INK = 64
_TRIES = 50
_SEAM, _SEAM_STRENGTH = 1, 0.7


def mosaic_scene(seed: int, digits: Dataset, grounds: Dataset, size: tuple[int, int] = (320, 320)) -> Scene:
    """A scene of 3 to 8 of the digits, 16 to 64 pixels high and apart from each other, on a mosaic of the grounds.

    The ink is light where the ground is dark and dark where it is light, in any colour, with a faint seam that is the
    other way round.

    Parameters
    ----------
    seed : int
        Another seed, another scene; the same seed, the same scene.
    digits : Dataset
        Bright on black, gray, such as MNIST.
    grounds : Dataset
        Colour pictures, such as CIFAR-10; the mosaic has them in their own size.
    size : (rows, columns), default (320, 320)
        At least 64 each.

    Returns
    -------
    Scene
        uint8 (3, rows, columns); boxes lie around the ink, classes are those of the digits.

    Raises
    ------
    ValueError
        If the digits are not gray, the grounds not in colour, or the size too small.

    Examples
    --------
    >>> from wimmel.data import digits
    >>> grounds = Dataset(np.zeros((4, 3, 32, 32), np.uint8), [0] * 4, ("nothing",))
    >>> scene = mosaic_scene(0, digits(), grounds)
    >>> scene.size, 3 <= len(scene) <= 8
    ((320, 320), True)
    """
    if digits.shape[0] != 1 or grounds.shape[0] != 3:
        raise ValueError(
            f"Digits are gray and grounds in colour; got pictures of {digits.shape[0]} and {grounds.shape[0]} channels."
        )
    if min(size) < _HIGHEST:
        raise ValueError(f"A scene of digits has at least {_HIGHEST} rows and columns; got {size}.")
    luck = lucky(seed, 0)
    picture = _mosaic(grounds, size, luck)
    boxes: list[tuple[int, int, int, int]] = []
    labels: list[int] = []
    wanted = _FEWEST + int((_MOST - _FEWEST + 1) * next(luck))
    for _ in range(_TRIES):
        place = int(len(digits) * next(luck))
        ink = _inked(digits.images[place][0], round(_LOWEST + (_HIGHEST - _LOWEST) * next(luck)))
        height, width = ink.shape
        top, left = int((size[0] - height + 1) * next(luck)), int((size[1] - width + 1) * next(luck))
        box = (left, top, left + width, top + height)
        colour = [next(luck) for _ in range(3)]
        if width > size[1] or (boxes and iou([box], boxes).max() > 0):
            continue
        _print(picture, ink, (top, left), colour)
        boxes.append(box)
        labels.append(int(digits.labels[place]))
        if len(boxes) == wanted:
            break
    return Scene(picture, np.array(boxes), np.array(labels), digits.classes)


def _mosaic(grounds: Dataset, size: tuple[int, int], luck: Iterator[float]) -> np.ndarray:
    _, height, width = grounds.shape
    rows, columns = -(-size[0] // height), -(-size[1] // width)
    chosen = [int(len(grounds) * next(luck)) for _ in range(rows * columns)]
    tiles = grounds.images[chosen].reshape(rows, columns, 3, height, width)
    whole = tiles.transpose(2, 0, 3, 1, 4).reshape(3, rows * height, columns * width)
    return np.ascontiguousarray(whole[:, : size[0], : size[1]])


def _inked(digit: np.ndarray, height: int) -> np.ndarray:
    """The digit cut to its ink and scaled to a height: how much ink there is, from 0 to 1."""
    from PIL import Image

    inked = digit >= _INK * int(digit.max()) / 255
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    cut = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width = max(1, round(height * cut.shape[1] / cut.shape[0]))
    scaled = Image.fromarray(np.ascontiguousarray(cut)).resize((width, height), Image.Resampling.BICUBIC)
    result: np.ndarray = np.asarray(scaled) / max(int(digit.max()), 1)
    return np.minimum(result, 1)


def _print(picture: np.ndarray, ink: np.ndarray, corner: tuple[int, int], colour: list[float]) -> None:
    from PIL import Image, ImageFilter

    around = np.pad(ink, _SEAM)
    widened = Image.fromarray(np.rint(255 * around).astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * _SEAM + 1))
    seam = _SEAM_STRENGTH * np.asarray(widened) / 255
    top, left = (place - _SEAM for place in corner)
    rows = slice(max(top, 0), min(top + around.shape[0], picture.shape[1]))
    columns = slice(max(left, 0), min(left + around.shape[1], picture.shape[2]))
    within = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    ground = picture[:, rows, columns]
    is_dark = ground.mean() < 128
    tone = (np.array(colour) * 55 + (200 if is_dark else 0))[:, np.newaxis, np.newaxis]
    seamed = ground + seam[within] * ((0 if is_dark else 255) - ground.astype(np.float64))
    ground[...] = np.rint(seamed + around[within] * (tone - seamed)).astype(np.uint8)
