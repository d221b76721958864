"""Some pictures with the classes that a network gives them and how sure it is.

Given pictures and probabilities; hands on a picture file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from wimmel.report.canvas import INK, PALE, WRONG, counted, percent, shortened
from wimmel.report.tiles import Line, Tile, tiles_page

_LONGEST_NAME = 18


def predictions_picture(
    images: np.ndarray | Sequence[np.ndarray],
    probabilities: np.ndarray,
    classes: Sequence[str],
    path: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    *,
    labels: Sequence[int] | np.ndarray | None = None,
    total: int | None = None,
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
    labels : integers (n,), optional
        The true classes, where they are known: what was taken for another is then marked (orange) and corrected.
    total : int, optional
        How many pictures there are, if those given are only the first of them.

    Raises
    ------
    ValueError
        If the numbers of pictures, probabilities, names and labels differ, or the path's suffix is none of these.
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
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"{counted(len(images), 'picture')} need as many labels; got {len(labels)}.")
    tiles = []
    for number, (image, row) in enumerate(zip(images, probabilities, strict=True)):
        first, *others = np.argsort(-row, kind="stable")[:2]
        wrong = labels is not None and int(labels[number]) != first
        lines = [_line(classes[first], row[first], WRONG if wrong else INK, strong=True)]
        if labels is not None and wrong:
            lines.append(Line(f"truly {shortened(classes[int(labels[number])], _LONGEST_NAME)}", "", WRONG))
        lines += [_line(classes[second], row[second], PALE) for second in others]
        if names is not None:
            lines.append(Line(shortened(names[number], _LONGEST_NAME + 4), "", PALE))
        tiles.append(Tile(np.asarray(image), lines))
    subtitle = "The two likeliest classes of each" + ("; mistakes in orange" if labels is not None else "")
    tiles_page(path, _title(len(tiles), total), subtitle, tiles)


def _title(shown: int, total: int | None) -> str:
    if total is not None and total > shown:
        return f"The first {shown:,} of {counted(total, 'picture')}, recognised"
    return f"{counted(shown, 'picture')}, recognised"


def _line(name: str, share: float, colour: str, strong: bool = False) -> Line:
    return Line(shortened(name, _LONGEST_NAME), percent(float(share)), colour, strong)
