"""What a reader of any format hands on: pictures that a file names, boxes marked in them, and what it could not use.

Nothing here is checked against the pictures yet; `checking` does that for all formats alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

Numbers = tuple[float, float, float, float]


class Problem(NamedTuple):
    """Something in an annotation file that cannot be used: the file, the line or record in it, and what is wrong."""

    file: str
    place: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.file}, {self.place}" if self.place else self.file
        return f"{where}: {self.reason}"


@dataclass(frozen=True)
class Mark:
    """A box as a file has it.

    Attributes
    ----------
    file : Path
    place : str
        The line or record.
    class_name : str
    box : (left, top, right, bottom)
    crowd : bool
    is_relative : bool
        Whether the box is in parts of the picture's width and height, and not in pixels.
    """

    file: Path
    place: str
    class_name: str
    box: Numbers
    crowd: bool = False
    is_relative: bool = False


@dataclass
class Listed:
    """A picture as a file names it, with the size (rows, columns) it is said to have, and its boxes."""

    name: str
    file: Path
    place: str
    size: tuple[int, int] | None = None
    marks: list[Mark] = field(default_factory=list)


@dataclass
class Listing:
    """All that a reader found.

    Attributes
    ----------
    pictures : dict of Listed
        By whatever the format knows them by.
    class_names : list of str, optional
        If the format declares them; else they are those of the boxes.
    problems : list of Problem
    """

    pictures: dict[Any, Listed] = field(default_factory=dict)
    class_names: list[str] | None = None
    problems: list[Problem] = field(default_factory=list)

    def complain(self, file: Path, place: str, reason: str) -> None:
        self.problems.append(Problem(str(file), place, reason))


def numbers(values: object, count: int = 4) -> tuple[float, ...] | None:
    """So many finite numbers, if that is what was given, perhaps as text; else None.

    Examples
    --------
    >>> numbers(["1", 2, 3.5, 4]), numbers([1, 2, 3]), numbers([1, 2, 3, "x"]), numbers([1, 2, 3, True])
    ((1.0, 2.0, 3.5, 4.0), None, None, None)
    """
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != count:
        return None
    found = [number(value) for value in values]
    return None if None in found else tuple(value for value in found if value is not None)


def number(value: object) -> float | None:
    """A finite number, if that is what was given, perhaps as text; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        converted = float(value)
    except (ValueError, OverflowError):
        return None
    return converted if math.isfinite(converted) else None


def around(points: object) -> Numbers | None:
    """The box around points (x, y), or None if they are not two or more pairs of numbers.

    Examples
    --------
    >>> around([[3, 1], [0, 4], [2, 2]])
    (0.0, 1.0, 3.0, 4.0)
    """
    if not isinstance(points, Sequence) or isinstance(points, str) or len(points) < 2:
        return None
    pairs = [numbers(point, 2) for point in points]
    known = [pair for pair in pairs if pair is not None]
    if len(known) < len(pairs):
        return None
    across, down = zip(*known, strict=True)
    return min(across), min(down), max(across), max(down)


def said_size(height: object, width: object) -> tuple[int, int] | None:
    """Rows and columns where both are given as positive whole numbers, else None."""
    pair = numbers((height, width), 2)
    if pair is None or not all(side >= 1 and side == int(side) for side in pair):
        return None
    return int(pair[0]), int(pair[1])


def shortened(value: object, limit: int = 60) -> str:
    """Something from a file as it may stand in a message."""
    text = " ".join(str(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
