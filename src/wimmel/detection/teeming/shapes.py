"""Polygons with colours, from which everything in a scene is made, and the canvas they are painted on.

Drawings have coordinates of their own: x to the right, y up from the ground, some unit of length. Where they stand on
the canvas, how large, mirrored and leaning, is said by a `Stand`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

FINENESS = 3
"""Dots of the canvas across a pixel of the finished picture."""

_OUTLINE = 0.62
_CIRCLE = [(math.cos(2 * math.pi * k / 14), math.sin(2 * math.pi * k / 14)) for k in range(14)]


class Shape(NamedTuple):
    """A polygon and its colour, with or without a darker outline."""

    points: Sequence[Point]
    colour: Colour
    outlined: bool = True


@dataclass(frozen=True)
class Stand:
    """Where a drawing stands: its origin in pixels, pixels to a unit, whether mirrored, how it leans (radians)."""

    across: float
    down: float
    scale: float
    mirrored: bool = False
    lean: float = 0.0

    def placed(self, points: Sequence[Point]) -> np.ndarray:
        """The points in pixels (n, 2): across, down."""
        x, y = np.array(points, np.float64).T
        x = -x if self.mirrored else x
        sine, cosine = math.sin(self.lean), math.cos(self.lean)
        return np.stack(
            (
                self.across + self.scale * (cosine * x + sine * y),
                self.down + self.scale * (sine * x - cosine * y),
            ),
            axis=1,
        )


def oval(across: float, up: float, width: float, height: float, colour: Colour, outlined: bool = True) -> Shape:
    """An ellipse around a centre, given its two radii."""
    return Shape([(across + width * x, up + height * y) for x, y in _CIRCLE], colour, outlined)


def bar(begin: Point, end: Point, width: float, colour: Colour) -> Shape:
    """A straight piece of a width, such as an arm."""
    (x, y), (to_x, to_y) = begin, end
    length = math.hypot(to_x - x, to_y - y) or 1.0
    aside, along = -(to_y - y) / length * width / 2, (to_x - x) / length * width / 2
    return Shape([(x + aside, y + along), (to_x + aside, to_y + along), (to_x - aside, to_y - along),
                  (x - aside, y - along)], colour)  # fmt: skip


def block(left: float, right: float, low: float, high: float, colour: Colour, outlined: bool = True) -> Shape:
    """A rectangle."""
    return Shape([(left, low), (right, low), (right, high), (left, high)], colour, outlined)


def darker(colour: Colour, part: float) -> Colour:
    red, green, blue = (int(part * value) for value in colour)
    return red, green, blue


def paint(draw: ImageDraw, shapes: Iterable[Shape], stand: Stand) -> None:
    """Draws the shapes, the first undermost, on a canvas that is `FINENESS` times the picture."""
    for shape in shapes:
        points = [tuple(point) for point in (stand.placed(shape.points) * FINENESS).tolist()]
        outline = darker(shape.colour, _OUTLINE) if shape.outlined else None
        draw.polygon(points, fill=shape.colour, outline=outline, width=1 if stand.scale < 40 else 2)


def silhouette(shapes: Iterable[Shape], stand: Stand, window: tuple[int, int, int, int]) -> np.ndarray:
    """Which pixels of a window (left, top, right, bottom) the shapes cover: bool (rows, columns)."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = window
    mask = Image.new("1", (right - left, bottom - top))
    draw = ImageDraw.Draw(mask)
    for shape in shapes:
        points = stand.placed(shape.points) - (
            left + 0.5,
            top + 0.5,
        )  # Pillow's coordinates are those of pixels' centres
        draw.polygon([tuple(point) for point in points.tolist()], fill=1)
    return np.asarray(mask)


def extent(shapes: Iterable[Shape], stand: Stand) -> np.ndarray:
    """The box around all shapes: left, top, right, bottom in pixels."""
    points = np.concatenate([stand.placed(shape.points) for shape in shapes])
    return np.concatenate((points.min(axis=0), points.max(axis=0)))
