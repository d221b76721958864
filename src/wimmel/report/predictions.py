"""Some pictures with the classes that a network gives them and how sure it is.

Given pictures and probabilities; hands on a picture file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from wimmel.report.canvas import INK, PALE, counted, percent, shortened
from wimmel.report.tiles import Line, Tile, tiles_page

_LONGEST_NAME = 18


def predictions_picture(
    images: np.ndarray | Sequence[np.ndarray],
    probabilities: np.ndarray,
    classes: Sequence[str],
    path: str | os.PathLike[str],
    names: Sequence[str] | None = None,
) -> None:
    """Nothing; the file at `path` then shows each picture with its likeliest classes.

    Parameters
    ----------
    images : uint8 array (n, channels, rows, columns)
    probabilities : float array (n, classes)
    classes : sequence of str
    path : str or path
        Ends in .png, .svg, .pdf or .jpg.
    names : sequence of str, optional
        A line to write under each picture, such as its file's name.

    Raises
    ------
    ValueError
        If the numbers of pictures, probabilities and names differ, or the path's suffix is none of these.
    OSError
        If the file cannot be written; what stood there before stays.
    """
    probabilities = np.asarray(probabilities)
    if probabilities.shape != (len(images), len(classes)) or (names is not None and len(names) != len(images)):
        raise ValueError(
            f"{counted(len(images), 'picture')} and {counted(len(classes), 'class', 'classes')} need probabilities of "
            f"the shape ({len(images)}, {len(classes)}) and, if any, as many names as pictures; "
            f"got {probabilities.shape}{'' if names is None else f' and {len(names)} names'}."
        )
    tiles = []
    for number, (image, row) in enumerate(zip(images, probabilities, strict=True)):
        first, *others = np.argsort(-row, kind="stable")[:2]
        lines = [_line(classes[first], row[first], INK, strong=True)]
        lines += [_line(classes[second], row[second], PALE) for second in others]
        if names is not None:
            lines.append(Line(shortened(names[number], _LONGEST_NAME + 4), "", PALE))
        tiles.append(Tile(np.asarray(image), lines))
    tiles_page(path, f"{counted(len(tiles), 'picture')}, recognised", "The two likeliest classes of each", tiles)


def _line(name: str, share: float, colour: str, strong: bool = False) -> Line:
    return Line(shortened(name, _LONGEST_NAME), percent(float(share)), colour, strong)
