"""Searching for one example: a template at several scales and rotations, found by normalised cross-correlation."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wimmel.detection.boxes import non_maximum_suppression
from wimmel.detection.correlation import Searched, as_planes, checked_mask, standardised
from wimmel.detection.finds import ONE_CLASS, OVERLAP, Finds
from wimmel.detection.peaks import peaks
from wimmel.files import read_image, read_opacity

_SMALLEST = 2
_MOST_PEAKS = 1000


class _Variant(NamedTuple):
    """The template at a scale and an angle: pixels, mask, and the true size (rows, columns) of the box around it."""

    pixels: np.ndarray
    mask: np.ndarray | None
    size: tuple[float, float]
    scale: float
    angle: float


@dataclass(frozen=True, eq=False, repr=False)
class Template:
    """One example of what is looked for.

    Parameters
    ----------
    picture : path, or array (rows, columns) or (channels, rows, columns)
        Whole numbers or floats of any range.
    scales : sequence of float, default (1.0,)
        How large to look for it, in parts of its own size.
    angles : sequence of float, default (0.0,)
        How far turned, in degrees anticlockwise.
    mask : array (rows, columns), optional
        Where it is not 0 the template counts; by default everywhere, or where a file is not transparent.
    name : str, default "object"
        What to call it.

    Raises
    ------
    ValueError
        If the picture is all of one colour or not finite, the mask does not fit, or scales or angles are none, or out
        of range.
    OSError, ImageError
        If the picture's file cannot be read.

    Examples
    --------
    >>> scene = np.random.default_rng(0).integers(0, 256, (80, 90))
    >>> template = Template(scene[30:50, 40:65])
    >>> template.find(scene).boxes.round(1)
    array([[40., 30., 65., 50.]])
    """

    picture: np.ndarray
    scales: tuple[float, ...] = (1.0,)
    angles: tuple[float, ...] = (0.0,)
    mask: np.ndarray | None = None
    name: str = ONE_CLASS[0]

    def __post_init__(self) -> None:
        given, shown = self.picture, self.mask
        if isinstance(given, str | os.PathLike):
            opaque = read_opacity(given) if shown is None else None
            shown = shown if opaque is None else opaque > 127
            given = read_image(given)
        planes = as_planes(given, "template")
        mask = None if shown is None else checked_mask(shown, planes)
        standardised(planes, mask)  # refuses what cannot be told from anything
        scales, angles = (tuple(float(each) for each in several) for several in (self.scales, self.angles))
        if not scales or not all(0 < scale < math.inf for scale in scales):
            raise ValueError(f"The scales are one or more numbers above 0; got {self.scales!r}.")
        if not angles or not all(math.isfinite(angle) for angle in angles):
            raise ValueError(f"The angles are one or more numbers, in degrees; got {self.angles!r}.")
        for field, value in (("picture", planes), ("mask", mask), ("scales", scales), ("angles", angles)):
            object.__setattr__(self, field, value)

    def __repr__(self) -> str:
        channels, rows, columns = self.picture.shape
        variants = len(self.scales) * len(self.angles)
        return (
            f"Template({self.name!r}, {channels}x{rows}x{columns}, {variants} {'pose' if variants == 1 else 'poses'})"
        )

    def find(
        self,
        image: np.ndarray | str | os.PathLike[str],
        *,
        threshold: float | None = None,
        overlap: float | None = None,
        limit: int | None = None,
    ) -> Finds:
        """Where the template is in a picture.

        Parameters
        ----------
        image : array (rows, columns) or (channels, rows, columns), or path
            With as many channels as the template, which a file is brought to. Scales and angles at which the template
            is larger than the picture are passed over.
        threshold : float, default 0.7
            The correlation coefficient to reach, above 0 and up to 1.
        overlap : float, default 0.3
            Of two finds whose boxes' IoU is larger, the one with the lower score goes.
        limit : int, default 100
            How many finds to give at most.

        Returns
        -------
        Finds
            Best first, with `poses`: the scale and angle of each. The box of a turned template is the box around it.

        Raises
        ------
        ValueError
            If the template is larger than the picture at every scale, has other channels, or an argument is out of
            range.
        OSError, ImageError
            If the picture's file cannot be read.
        """
        least = 0.7 if threshold is None else threshold
        most = 100 if limit is None else limit
        if not 0 < least <= 1:
            raise ValueError(f"threshold is a correlation coefficient above 0 and up to 1; got {threshold!r}.")
        if most < 1:
            raise ValueError(f"limit must be at least 1; got {limit!r}.")
        searched = Searched.of(self._pixels_of(image))
        variants = list(self._variants())
        fits = [variant for variant in variants if searched.holds(variant.pixels.shape[1:])]
        searched.check_fit((fits or [min(variants, key=lambda each: each.pixels.size)])[0].pixels)
        found = [_found(searched, variant, least) for variant in fits]
        boxes, scores, poses = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = non_maximum_suppression(boxes, scores, overlap=OVERLAP if overlap is None else overlap, limit=most)
        return Finds(boxes[kept], scores[kept], np.zeros(len(kept), np.int64), (self.name,), poses[kept])

    def _pixels_of(self, image: np.ndarray | str | os.PathLike[str]) -> np.ndarray:
        if not isinstance(image, str | os.PathLike):
            return image
        channels = len(self.picture)
        return read_image(image, channels=channels if channels in (1, 3) else None)

    def _variants(self) -> Iterator[_Variant]:
        for scale in self.scales:
            pixels, mask = _scaled(self.picture, self.mask, scale)
            for angle in self.angles:
                yield _turned(pixels, mask, scale, angle, self.picture.shape[1:])


def _found(searched: Searched, variant: _Variant, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (n, 4), scores (n,) and poses (n, 2) of one variant's peaks."""
    # sums are rounded, so that a window equal to the template may score a little less than 1
    found = peaks(searched.scores(variant.pixels, variant.mask), threshold - 1e-6, _MOST_PEAKS)
    rows, columns = variant.pixels.shape[1:]
    centres = found.places[:, ::-1] + (columns / 2, rows / 2)
    half = np.array(variant.size[::-1]) / 2
    poses = np.tile((variant.scale, variant.angle), (len(centres), 1))
    return np.concatenate((centres - half, centres + half), axis=1), np.clip(found.scores, -1, 1), poses


def _scaled(pixels: np.ndarray, mask: np.ndarray | None, scale: float) -> tuple[np.ndarray, np.ndarray | None]:
    from PIL import Image

    rows, columns = (round(side * scale) for side in pixels.shape[1:])
    if (rows, columns) == pixels.shape[1:]:
        return pixels, mask
    if min(rows, columns) < _SMALLEST:
        raise ValueError(
            f"At scale {scale:g} the template of {pixels.shape[2]}x{pixels.shape[1]} pixels has less than "
            f"{_SMALLEST} pixels across; leave that scale out."
        )

    def resized(plane: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((columns, rows), Image.Resampling.BICUBIC))

    smaller = np.stack([resized(plane) for plane in pixels])
    return smaller, None if mask is None else resized(mask) > 0.5


def _turned(
    pixels: np.ndarray, mask: np.ndarray | None, scale: float, angle: float, original: Sequence[int]
) -> _Variant:
    """The variant; quarters of a turn are exact, others have a mask for the corners that a turned rectangle leaves."""
    from PIL import Image

    true = (original[0] * scale, original[1] * scale)
    if angle % 90 == 0:
        quarters = int(angle // 90) % 4
        turned = np.rot90(pixels, quarters, axes=(1, 2))
        marks = None if mask is None else np.rot90(mask, quarters)
        return _Variant(np.ascontiguousarray(turned), marks, true if quarters % 2 == 0 else true[::-1], scale, angle)
    mean = pixels.mean(axis=(1, 2))

    def rotated(plane: np.ndarray) -> np.ndarray:
        image = Image.fromarray(plane.astype(np.float32))
        return np.asarray(image.rotate(angle, Image.Resampling.BICUBIC, expand=True))

    whole = np.stack([rotated(plane - level) + level for plane, level in zip(pixels, mean, strict=True)])
    marks = rotated(np.ones(pixels.shape[1:]) if mask is None else mask) > 0.99
    sine, cosine = abs(math.sin(math.radians(angle))), abs(math.cos(math.radians(angle)))
    size = (true[0] * cosine + true[1] * sine, true[1] * cosine + true[0] * sine)
    return _Variant(whole, marks, size, scale, angle)
