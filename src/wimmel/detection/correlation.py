"""Normalised cross-correlation: how much every window of a picture resembles a template, from -1 to 1.

Given arrays; hands on a map of scores. The template slides by `wimmel.conv2d`, directly or through Fourier transforms
as its compiler sees fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from wimmel.detection.windows import divide_by_deviations
from wimmel.functional import conv2d

FLAT = 1e-6
"""Windows whose variance is below this part of the picture's score 0."""

FLAT_UNDER_MASK = 1e-4
"""The same under a mask, where sums over windows are no better than float32."""

_GRAIN = 8
"""Templates are brought to multiples of so many pixels by zeros: similar sizes share their machine code."""

_WIDEST = 160
"""Filters with more taps along an axis are split into as many phases as it takes to be no larger."""


def match_template(image: np.ndarray, template: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """The correlation coefficient of a template with every window of a picture, as OpenCV's ``TM_CCOEFF_NORMED``.

    With T' the template less its mean, channel by channel, and I' the window at (i, j) less its own,

        R[i, j] = sum(T' * I') / sqrt(sum(T'**2) * sum(I'**2))

    Parameters
    ----------
    image : array (rows, columns) or (channels, rows, columns)
        Whole numbers or floats, of any range.
    template : array (rows, columns) or (channels, rows, columns)
        As many channels as the picture, and not larger.
    mask : array (rows, columns), optional
        Where it is not 0 the template counts; by default everywhere.

    Returns
    -------
    float32 array (rows - template rows + 1, columns - template columns + 1)
        From -1 to 1 but for rounding; 0 where the window's variance is less than a millionth of the picture's (under a
        mask, a ten-thousandth).

    Raises
    ------
    ValueError
        If the template is larger than the picture, has other channels, is all of one colour, or something is not
        finite.
    TypeError
        If an array does not hold real numbers.

    References
    ----------
    Lewis, "Fast normalized cross-correlation" (1995). Lecture row L9.

    Examples
    --------
    >>> picture = np.zeros((6, 8), np.uint8)
    >>> picture[2:4, 3:6] = [[9, 0, 9], [0, 9, 0]]
    >>> scores = match_template(picture, picture[2:4, 3:6])
    >>> np.unravel_index(scores.argmax(), scores.shape), bool(scores.max() > 0.9999)
    ((np.int64(2), np.int64(3)), True)
    """
    template = as_planes(template, "template")
    searched = Searched.of(image)
    searched.check_fit(template)
    return searched.scores(template, None if mask is None else checked_mask(mask, template))


@dataclass(frozen=True, eq=False)
class Searched:
    """A picture made ready to be searched for many templates.

    Attributes
    ----------
    pixels : float32 array (channels, rows, columns)
        Less each channel's mean, and in units of their common standard deviation.
    is_flat : bool
        Whether the picture is all of one colour.
    """

    pixels: np.ndarray
    is_flat: bool

    @classmethod
    def of(cls, image: np.ndarray) -> Searched:
        planes = as_planes(image, "picture")
        exact = planes.dtype.kind in "iu" and planes.itemsize <= 2
        pixels = planes.astype(np.float32 if exact else np.float64)
        lowest, highest = pixels.min(axis=(1, 2)), pixels.max(axis=(1, 2))
        if (lowest == highest).all():
            return cls(np.zeros(pixels.shape, np.float32), True)
        if not exact:
            np.divide(pixels, max(highest.max(), -lowest.min()), out=pixels)  # squares neither vanish nor overflow
        np.subtract(pixels, pixels.mean(axis=(1, 2), keepdims=True), out=pixels)
        np.multiply(pixels, np.sqrt(pixels[0].size) / np.linalg.norm(pixels), out=pixels)
        return cls(pixels.astype(np.float32, copy=False), False)

    def check_fit(self, template: np.ndarray) -> None:
        """Refuses, in a sentence, a template with other channels or larger than the picture."""
        channels, rows, columns = self.pixels.shape
        if len(template) != channels:
            raise ValueError(
                f"The template has {_channels(len(template))} and the picture {_channels(channels)}; "
                "bring both to gray, or both to colour."
            )
        if not self.holds(template.shape[1:]):
            raise ValueError(
                f"The template of {template.shape[2]}x{template.shape[1]} pixels is larger than the picture of "
                f"{columns}x{rows}; cut it smaller, or search at a smaller scale."
            )

    def holds(self, size: tuple[int, ...]) -> bool:
        return size[0] <= self.pixels.shape[1] and size[1] <= self.pixels.shape[2]

    def scores(self, template: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The map of `match_template`, of a template that fits: float32 (rows, columns)."""
        size = template.shape[1:]
        filters = standardised(template, mask)
        if self.is_flat:
            return np.zeros(
                [sides[0] - sides[1] + 1 for sides in zip(self.pixels.shape[1:], size, strict=True)], np.float32
            )
        scores = _slid(self.pixels[np.newaxis], filters)[0]
        if mask is None:
            return divide_by_deviations(scores, self.pixels, (size[0], size[1]), FLAT)
        scores *= self._inverse_deviations_under(mask)
        return scores

    def _inverse_deviations_under(self, mask: np.ndarray) -> np.ndarray:
        """What `windows.divide_by_deviations` divides by, inverted, for windows of any shape."""
        channels, count = len(self.pixels), float(mask.sum())
        both = np.concatenate((self.pixels, self.pixels**2))[:, np.newaxis]
        sums = _slid(both, mask[np.newaxis].astype(np.float32)).astype(np.float64)
        deviations = (sums[channels:] - sums[:channels] ** 2 / count).sum(axis=0)
        flat = deviations < FLAT_UNDER_MASK * count
        result: np.ndarray = np.where(flat, 0, 1 / np.sqrt(np.where(flat, 1, deviations))).astype(np.float32)
        return result


def as_planes(picture: np.ndarray, what: str) -> np.ndarray:
    """The picture as (channels, rows, columns) of finite real numbers; `what` is its name in messages."""
    planes = np.asarray(picture)
    if planes.dtype.kind not in "buif":
        raise TypeError(f"The {what} must hold real numbers; got {planes.dtype}.")
    if planes.ndim == 2:
        planes = planes[np.newaxis]
    if planes.ndim != 3 or 0 in planes.shape:
        raise ValueError(f"The {what} has the shape (rows, columns) or (channels, rows, columns); got {planes.shape}.")
    if planes.shape[2] in (3, 4) and planes.shape[0] > 4:
        raise ValueError(
            f"The {what} seems to have its channels last: {planes.shape}; give it as (channels, rows, columns), "
            "which .transpose(2, 0, 1) makes of it."
        )
    if planes.dtype.kind == "f" and not np.isfinite(planes).all():
        raise ValueError(f"The {what} holds numbers that are not finite (NaN or infinity); replace them first.")
    return planes.astype(np.float32) if planes.dtype.kind == "b" or planes.dtype == np.float16 else planes


def checked_mask(mask: np.ndarray, template: np.ndarray) -> np.ndarray:
    """The mask as bool (rows, columns), of the template's size and not empty."""
    marks = np.asarray(mask) != 0
    if marks.shape != template.shape[1:]:
        raise ValueError(f"The mask has the template's rows and columns, {template.shape[1:]}; got {marks.shape}.")
    if not marks.any():
        raise ValueError("The mask is 0 everywhere; nothing of the template would count.")
    return marks


def standardised(template: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The template less its means, with sum of squares 1, 0 outside the mask: float32, same shape."""
    marks = np.ones(template.shape[1:], bool) if mask is None else mask
    values = template.astype(np.float64)
    means = values[:, marks].mean(axis=1)[:, np.newaxis, np.newaxis]
    values = (values - means) * marks
    largest = np.abs(values).max()
    if not largest > 1e-12 * np.abs(means).max():
        raise ValueError(
            "The template is all of one colour, so that there is nothing to tell it by; choose another part."
        )
    values /= largest
    result: np.ndarray = (values / np.sqrt((values**2).sum())).astype(np.float32)
    return result


def _slid(pictures: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Pictures (n, channels, rows, columns) correlated with a filter (channels, height, width): (n, rows, columns)."""
    height, width = filters.shape[1:]
    phases = -(-max(height, width) // _WIDEST)
    if phases > 1:
        return _slid_in_phases(pictures, filters, phases)
    below, right = _up(height) - height, _up(width) - width
    padded = np.pad(filters, ((0, 0), (0, below), (0, right)))
    found: np.ndarray = conv2d(pictures, padded[np.newaxis], padding=((0, below), (0, right)))[:, 0]
    return found


def _slid_in_phases(pictures: np.ndarray, filters: np.ndarray, phases: int) -> np.ndarray:
    """The same, by many small filters in place of a large one.

    With f phases, row f i + a of the result is the sum over rows u of the filter and pixels f i + a + u. Let
    a + u = f p + c: that is a convolution of the pictures made of every f-th pixel from c on, with the filters made of
    every f-th tap from c - a on; the same along columns.
    """
    count, channels = pictures.shape[:2]
    rows, columns = (side - taps + 1 for side, taps in zip(pictures.shape[2:], filters.shape[1:], strict=True))
    tall, wide = ((side + phases - 2) // phases + 1 for side in filters.shape[1:])
    down, across = -(-rows // phases), -(-columns // phases)
    split = np.zeros((count, channels, phases, phases, down + tall - 1, across + wide - 1), np.float32)
    weight = np.zeros((phases, phases, channels, phases, phases, tall, wide), np.float32)
    shifted = np.zeros((channels, phases * tall, phases * wide), np.float32)
    for a, b in product(range(phases), repeat=2):
        part = pictures[:, :, a::phases, b::phases][:, :, : split.shape[4], : split.shape[5]]
        split[:, :, a, b, : part.shape[2], : part.shape[3]] = part
        shifted[...] = 0
        shifted[:, a : a + filters.shape[1], b : b + filters.shape[2]] = filters
        for c, d in product(range(phases), repeat=2):
            weight[a, b, :, c, d] = shifted[:, c::phases, d::phases]
    inputs = channels * phases**2
    found = conv2d(split.reshape(count, inputs, *split.shape[4:]), weight.reshape(phases**2, inputs, tall, wide))
    together = np.empty((count, rows, columns), np.float32)
    for a, b in product(range(phases), repeat=2):
        part = together[:, a::phases, b::phases]
        part[...] = found[:, a * phases + b, : part.shape[1], : part.shape[2]]
    return together


def _up(side: int) -> int:
    """The size a filter is brought to."""
    return side + -side % _GRAIN


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
