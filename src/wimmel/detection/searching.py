"""`find`: whatever can find things, given a picture."""

from __future__ import annotations

import os
from typing import Protocol, runtime_checkable

import numpy as np

from wimmel.detection.finds import Finds
from wimmel.detection.learned import Detector
from wimmel.detection.templates import Template

Picture = np.ndarray | str | os.PathLike[str]


@runtime_checkable
class Finder(Protocol):
    """Anything that finds objects in a picture, such as a `Template`."""

    def find(
        self, image: Picture, *, threshold: float | None = None, overlap: float | None = None, limit: int | None = None
    ) -> Finds:
        """The objects in the picture; what is None is the finder's own default."""


def find(
    what: Finder | Picture,
    image: Picture,
    *,
    threshold: float | None = None,
    overlap: float | None = None,
    limit: int | None = None,
) -> Finds:
    """Where something is in a picture.

    Parameters
    ----------
    what : Detector, Template or other finder, array, or path
        What to look for; a file that ends in .safetensors is loaded as a `detection.Detector`, an array or a picture's
        file becomes a `detection.Template` at its own size, upright.
    image : array (rows, columns) or (channels, rows, columns), or path
        The picture to search.
    threshold : float, optional
        The score to reach; by default as the finder has it: for templates 0.7, a correlation, for detectors 0.5, a
        probability.
    overlap : float, optional
        Of two finds whose boxes' IoU is larger, the one with the lower score goes; by default 0.3.
    limit : int, optional
        How many finds to give at most; by default 100.

    Returns
    -------
    detection.Finds
        Boxes, scores and classes, best first.

    Raises
    ------
    ValueError, TypeError
        If what is looked for does not fit the picture, or an argument is out of range.
    OSError, ImageError
        If a file cannot be read.

    Examples
    --------
    >>> picture = np.random.default_rng(0).integers(0, 256, (60, 60))
    >>> find(picture[20:30, 5:25], picture).boxes.round(1)
    array([[ 5., 20., 25., 30.]])
    """
    return as_finder(what).find(image, threshold=threshold, overlap=overlap, limit=limit)


def as_finder(what: Finder | Picture) -> Finder:
    """What finds the thing: itself, the detector of a file, or a template."""
    if isinstance(what, str | os.PathLike) and os.fspath(what).lower().endswith(".safetensors"):
        return Detector.load(what)
    return what if isinstance(what, Finder) else Template(what)  # type: ignore[arg-type]
