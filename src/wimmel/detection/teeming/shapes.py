"""Polygons with colours, from which everything in a scene is made, and the canvas they are painted on.

Drawings have coordinates of their own: x to the right, y up from the ground, some unit of length. Where they stand on
the canvas, how large, mirrored and leaning, is said by a `Stand`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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

    def placed(self, shapes: Sequence[Shape]) -> np.ndarray:
        """All points of all shapes, one after another, in pixels (n, 2): across, down."""
        points = np.array([point for shape in shapes for point in shape.points])
        side = -1 if self.mirrored else 1
        sine, cosine = math.sin(self.lean), math.cos(self.lean)
        turn = self.scale * np.array([[side * cosine, side * sine], [sine, -cosine]])
        return points @ turn + (self.across, self.down)


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


def paint(draw: ImageDraw, shapes: Sequence[Shape], stand: Stand) -> None:
    """Draws the shapes, the first undermost, on a canvas that is `FINENESS` times the picture."""
    thick = 1 if stand.scale < 40 else 2
    for shape, points in _polygons(shapes, stand.placed(shapes) * FINENESS):
        draw.polygon(points, fill=shape.colour)
        if shape.outlined:
            draw.line([*points, points[0]], fill=darker(shape.colour, _OUTLINE), width=thick)


def silhouette(shapes: Sequence[Shape], stand: Stand, window: tuple[int, int, int, int]) -> np.ndarray:
    """Which pixels of a window (left, top, right, bottom) the shapes cover: bool (rows, columns)."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = window
    mask = Image.new("1", (right - left, bottom - top))
    draw = ImageDraw.Draw(mask)
    # Pillow's coordinates are those of pixels' centres
    for _, points in _polygons(shapes, stand.placed(shapes) - (left + 0.5, top + 0.5)):
        draw.polygon(points, fill=1)
    return np.asarray(mask)


def extent(shapes: Sequence[Shape], stand: Stand) -> np.ndarray:
    """The box around all shapes: left, top, right, bottom in pixels."""
    points = stand.placed(shapes)
    return np.concatenate((points.min(axis=0), points.max(axis=0)))


def _polygons(shapes: Sequence[Shape], placed: np.ndarray) -> Iterator[tuple[Shape, list[Point]]]:
    """Each shape with its points among those placed."""
    points = [(x, y) for x, y in placed.tolist()]
    first = 0
    for shape in shapes:
        last = first + len(shape.points)
        yield shape, points[first:last]
        first = last
