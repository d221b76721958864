"""Pictures in rows with a few lines of text under each, as both the mistakes and the predictions are shown.

Given pictures and what to write under them; hands on a page of them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wimmel.report.canvas import axes_at, heading, page, show_picture

_COLUMNS = 8
_MARGIN = 0.25
_GAP = 0.16
_LINE_HEIGHT = 0.165
_FONT = 8
_CHARACTER = 0.068  # inches of an average character at that size
_NARROWEST, _WIDEST, _OF_FEW = 0.95, 2.2, 1.5


@dataclass(frozen=True)
class Line:
    """A line under a picture: text at its left edge, a figure at its right, in a colour; bold if it matters most."""

    text: str
    figure: str
    colour: str
    strong: bool = False


@dataclass(frozen=True)
class Tile:
    """A picture, uint8 (channels, rows, columns), and the lines under it."""

    picture: np.ndarray
    lines: Sequence[Line]


def tiles_page(path: str | os.PathLike[str], title: str, subtitle: str, tiles: Sequence[Tile]) -> None:
    """Writes a page of tiles in reading order, at most eight to a row, all as wide as the longest text needs."""
    longest = max((_length(line) for tile in tiles for line in tile.lines), default=0.0)
    lines = max((len(tile.lines) for tile in tiles), default=0)
    rows = math.ceil(len(tiles) / _COLUMNS)
    columns = math.ceil(len(tiles) / rows) if rows else 1
    side = min(max(_OF_FEW if len(tiles) <= _COLUMNS else _NARROWEST, longest * _CHARACTER), _WIDEST)
    picture_height = max((side * tile.picture.shape[1] / max(tile.picture.shape[1:]) for tile in tiles), default=0.0)
    tile_height = picture_height + lines * _LINE_HEIGHT + 0.3
    with page(path, columns * (side + _GAP) + 2 * _MARGIN - _GAP, 0.85 + rows * tile_height) as figure:
        heading(figure, title, subtitle, _MARGIN)
        width, height = figure.get_size_inches()
        for place, tile in enumerate(tiles):
            row, column = divmod(place, columns)
            left, top = _MARGIN + column * (side + _GAP), 0.85 + row * tile_height
            scale = side / max(tile.picture.shape[1:])
            picture_width = scale * tile.picture.shape[2]
            show_picture(axes_at(figure, left, top, picture_width, scale * tile.picture.shape[1]), tile.picture)
            for number, line in enumerate(tile.lines):
                down = 1 - (top + picture_height + 0.06 + number * _LINE_HEIGHT) / height
                weight = "bold" if line.strong else "normal"
                look: dict[str, Any] = {"color": line.colour, "fontsize": _FONT, "fontweight": weight, "va": "top"}
                figure.text(left / width, down, line.text, **look)
                figure.text((left + side) / width, down, line.figure, ha="right", **look)


def _length(line: Line) -> float:
    """How many characters wide a line is; bold ones are wider, and text and figure keep their distance."""
    return (len(line.text) + len(line.figure) + 1) * (1.15 if line.strong else 1.0)
