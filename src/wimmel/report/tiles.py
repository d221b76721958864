"""Pictures in rows with a few lines of text under each, as both the mistakes and the predictions are shown.

Given pictures and what to write under them; hands on a page of them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wimmel.report.canvas import PALE, axes_at, heading, page, show_picture

_PAGE_WIDTH = 9.0
_MARGIN = 0.25
_LINE_HEIGHT = 0.16
_LARGEST_SIDE = 2.0


@dataclass(frozen=True)
class Line:
    """A line of text under a picture, its colour, and whether it is the one to be seen first."""

    text: str
    colour: str
    strong: bool = False


@dataclass(frozen=True)
class Tile:
    """A picture, uint8 (channels, rows, columns), and the lines under it."""

    picture: np.ndarray
    lines: Sequence[Line]


def tiles_page(path: str | os.PathLike[str], title: str, subtitle: str, tiles: Sequence[Tile]) -> None:
    """Writes a page of tiles in reading order, all of one size, as many to a row as their text allows."""
    longest = max((len(line.text) for tile in tiles for line in tile.lines), default=10)
    lines = max((len(tile.lines) for tile in tiles), default=0)
    tile_width = min(max(0.95, longest * 0.075 + 0.12), _LARGEST_SIDE)
    columns = max(1, min(int((_PAGE_WIDTH - 2 * _MARGIN) / tile_width), len(tiles)))
    # Few tiles are shown larger; a page never gets narrower than its title.
    tile_width = min((_PAGE_WIDTH - 2 * _MARGIN) / columns, max(tile_width, 1.3))
    picture_height, picture_width = _shown_size(tiles, tile_width - 0.12)
    tile_height = picture_height + lines * _LINE_HEIGHT + 0.24
    rows = math.ceil(len(tiles) / columns)
    width = max(columns * tile_width + 2 * _MARGIN, 5.2, 0.115 * len(title) + 0.5, 0.072 * len(subtitle) + 0.5)
    with page(path, width, 0.9 + rows * tile_height + 0.1) as figure:
        heading(figure, title, subtitle, _MARGIN)
        for place, tile in enumerate(tiles):
            row, column = divmod(place, columns)
            left, top = _MARGIN + column * tile_width, 0.9 + row * tile_height
            show_picture(axes_at(figure, left, top, picture_width, picture_height), tile.picture)
            for number, line in enumerate(tile.lines):
                below = top + picture_height + 0.06 + number * _LINE_HEIGHT
                figure.text(
                    left / width,
                    1 - below / figure.get_figheight(),
                    line.text,
                    color=line.colour or PALE,
                    fontsize=8,
                    fontweight="bold" if line.strong else "normal",
                    va="top",
                )


def _shown_size(tiles: Sequence[Tile], room: float) -> tuple[float, float]:
    """Height and width in inches at which pictures of the tiles' shape are shown."""
    if not tiles:
        return 0.0, room
    height, width = tiles[0].picture.shape[1:]
    scale = room / max(width, height)
    return max(height * scale, 0.1), max(width * scale, 0.1)
