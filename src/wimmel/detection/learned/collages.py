"""Collages: windows put together from two, so that few examples stand for many.

An object is set among other surroundings (Dwibedi, Misra and Hebert, "Cut, paste and learn" (2017)), or a part of it
hidden by what is seen elsewhere (Yun et al., "CutMix" (2019); Zhong et al., "Random erasing data augmentation" (2017)):
what is common to a few examples by chance, where they stand or that all of them is seen, is then no hint.
"""

from __future__ import annotations

import numpy as np

Box = tuple[float, float, float, float]

_NARROWER, _WIDER = 2.0, 4.0
_SHORTEST = 0.2


def set_among(seen: np.ndarray, other: np.ndarray, box: Box, drawn: np.ndarray) -> None:
    """Puts what another window sees around the box, the seam from 2 pixels inside of each edge to 4 outside.

    Parameters
    ----------
    seen, other : uint8 arrays (channels, rows, columns)
        The first is changed.
    box : (left, top, right, bottom)
        In the window's pixels.
    drawn : float64 array (4,)
        From 0 to 1, where the seams run.
    """
    beyond = (_NARROWER + _WIDER) * drawn - _NARROWER
    inside = _part(np.array(box) + beyond * (-1, -1, 1, 1))
    kept = seen[inside].copy()
    seen[...] = other
    seen[inside] = kept


def hide_part(seen: np.ndarray, other: np.ndarray, box: Box, most: float, drawn: np.ndarray) -> None:
    """Covers a rectangle that is centred somewhere in the box with what another window sees there.

    Parameters
    ----------
    seen, other : uint8 arrays (channels, rows, columns)
        The first is changed.
    box : (left, top, right, bottom)
        In the window's pixels.
    most : float
        The part of the box that may be covered.
    drawn : float64 array (5,)
        From 0 to 1: the rectangle's sides, which of them is the width, and its centre.
    """
    left, top, right, bottom = box
    one = _SHORTEST + (1 - _SHORTEST) * drawn[0]
    two = min(most / one, 1.0) * drawn[1]
    wide, high = (one, two) if drawn[2] < 0.5 else (two, one)
    centre = np.array((left + drawn[3] * (right - left), top + drawn[4] * (bottom - top)))
    half = np.array((wide * (right - left), high * (bottom - top))) / 2
    covered = _part(np.concatenate((centre - half, centre + half)))
    seen[covered] = other[covered]


def _part(edges: np.ndarray) -> tuple[slice, slice, slice]:
    left, top, right, bottom = np.maximum(np.rint(edges), 0).astype(int)
    return slice(None), slice(top, bottom), slice(left, right)
