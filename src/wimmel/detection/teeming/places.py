"""Where the people are: grounds, horizons, and what stands about, such as trees, tents and parasols."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from wimmel.detection.teeming.shapes import FINENESS, Colour, Shape, bar, block, darker, oval

if TYPE_CHECKING:
    from PIL.Image import Image

Luck = Iterator[float]
BRIGHT: tuple[Colour, ...] = (
    (214, 70, 62),
    (244, 178, 60),
    (70, 140, 196),
    (240, 236, 224),
    (126, 176, 92),
    (186, 104, 168),
)


@dataclass(frozen=True)
class Place:
    """A kind of place.

    Attributes
    ----------
    ground : Colour
        Paler towards the horizon.
    patches : tuple of Colour
        Of flat patches strewn over the ground.
    sky : Colour
    horizon : callable
        From luck, width and height of the strip above the ground to its shapes, in pixels from its lower left.
    props : tuple of callable
        Each from luck to shapes, in heights of a person.
    """

    ground: Colour
    patches: tuple[Colour, ...]
    sky: Colour
    horizon: Callable[[Luck, float, float], list[Shape]]
    props: tuple[Callable[[Luck], list[Shape]], ...]


def background(place: Place, size: tuple[int, int], horizon: int, luck: Luck) -> Image:
    """The empty place on a canvas `FINENESS` times the size (rows, columns), with the horizon so many rows down."""
    from PIL import Image, ImageDraw

    rows, columns = size
    image = Image.new("RGB", (columns * FINENESS, rows * FINENESS), place.sky)
    draw = ImageDraw.Draw(image)
    for row in range(horizon, rows):
        part = (row - horizon) / max(rows - horizon, 1)
        shade = tuple(int(value + (1 - part) * 0.35 * (255 - value)) for value in place.ground)
        draw.rectangle((0, row * FINENESS, columns * FINENESS, (row + 1) * FINENESS - 1), fill=shade)
    for shape in place.horizon(luck, columns, horizon):
        draw.polygon([(x * FINENESS, (horizon - y) * FINENESS) for x, y in shape.points], fill=shape.colour)
    for _ in range(rows * columns // 6000):
        part = next(luck)
        down = horizon + part * (rows - horizon)
        reach = (6 + 26 * next(luck)) * (0.4 + part)
        colour = place.patches[int(len(place.patches) * next(luck))]
        shape = oval(columns * next(luck), 0, reach, reach * 0.22, colour)
        draw.polygon([(x * FINENESS, (down - y) * FINENESS) for x, y in shape.points], fill=colour)
    return image


def _hills(luck: Luck, width: float, height: float) -> list[Shape]:
    shapes = []
    for layer, colour in ((1.0, (150, 186, 160)), (0.7, (116, 164, 116))):
        phase, waves = 6 * next(luck), 2 + 3 * next(luck)
        tops = [layer * height * (0.55 + 0.3 * math.sin(phase + waves * k / 10)) for k in range(41)]
        shapes.append(Shape([(0, 0), *((k * width / 40, top) for k, top in enumerate(tops)), (width, 0)], colour))
    return shapes


def _sea(luck: Luck, width: float, height: float) -> list[Shape]:
    shapes = [block(0, width, 0, height * 0.62, (72, 156, 190)), block(0, width, 0, height * 0.08, (236, 244, 240))]
    for _ in range(5):
        left, size = width * next(luck), height * (0.25 + 0.25 * next(luck))
        foot = height * (0.25 + 0.3 * next(luck))
        shapes.append(Shape([(left, foot), (left + size * 0.7, foot), (left, foot + size)], (250, 248, 240)))
        bow, stern, keel = left + size * 0.9, left - size * 0.5, foot - size * 0.2
        hull = [(stern, foot), (bow, foot), (bow - size * 0.3, keel), (stern + size * 0.2, keel)]
        shapes.append(Shape(hull, (150, 84, 58)))
    return shapes


def _houses(luck: Luck, width: float, height: float) -> list[Shape]:
    walls: tuple[Colour, ...] = ((232, 204, 160), (216, 150, 120), (238, 226, 198), (176, 190, 196), (224, 178, 170))
    shapes, left = [], 0.0
    while left < width:
        wide, tall = height * (0.6 + 0.7 * next(luck)), height * (0.4 + 0.3 * next(luck))
        wall = walls[int(len(walls) * next(luck))]
        shapes.append(block(left, left + wide, 0, tall, wall))
        roof = [(left - 1, tall), (left + wide + 1, tall), (left + wide * 0.5, tall + height * 0.28)]
        shapes.append(Shape(roof, (160, 74, 56)))
        for place in (0.2, 0.6):
            shapes.append(
                block(left + place * wide, left + (place + 0.2) * wide, tall * 0.4, tall * 0.75, (86, 104, 122))
            )
        left += wide + 1
    return shapes


def _firs(luck: Luck, width: float, height: float) -> list[Shape]:
    shapes, left = _hills(luck, width, height), 0.0
    shapes = [shape._replace(colour=(214, 226, 236)) for shape in shapes]
    while left < width:
        tall = height * (0.4 + 0.5 * next(luck))
        shapes.append(Shape([(left, 0), (left + tall * 0.5, 0), (left + tall * 0.25, tall)], (70, 110, 96)))
        left += tall * (0.3 + 0.5 * next(luck))
    return shapes


def tree(luck: Luck) -> list[Shape]:
    tall, green = 1.6 + 0.9 * next(luck), ((96, 150, 70), (120, 166, 80), (72, 128, 78))[int(3 * next(luck))]
    crown = [oval(x * 0.42, tall + y * 0.4, 0.48, 0.42, green) for x, y in ((-1, 0), (1, 0), (0, 0.7), (0, -0.25))]
    apples = [
        oval(0.9 * (next(luck) - 0.5), tall + 0.6 * (next(luck) - 0.3), 0.06, 0.06, (212, 66, 54)) for _ in range(4)
    ]
    return [bar((0, 0), (0, tall), 0.2, (116, 82, 56)), *crown, *apples]


def fir(luck: Luck) -> list[Shape]:
    tall = 1.8 + 1.2 * next(luck)
    shapes = [bar((0, 0), (0, 0.4), 0.18, (104, 76, 54))]
    for low, half in ((0.25, 0.62), (0.48, 0.5), (0.7, 0.34)):
        foot, top = low * tall, (low + 0.38) * tall
        shapes.append(Shape([(-half, foot), (half, foot), (0, top)], (64, 116, 92)))
        edge = foot + 0.7 * (top - foot)
        shapes.append(Shape([(-half * 0.3, edge), (half * 0.3, edge), (0, top)], (244, 248, 250), False))
    return shapes


def parasol(luck: Luck) -> list[Shape]:
    one, other = (BRIGHT[int(len(BRIGHT) * next(luck))] for _ in range(2))
    tops = [(math.cos(math.pi * k / 6) * 0.9, 1.25 + 0.5 * math.sin(math.pi * k / 6)) for k in range(7)]
    shapes = [bar((0, 0), (0, 1.75), 0.06, (206, 190, 160))]
    for number, (first, second) in enumerate(pairwise(tops)):
        shapes.append(Shape([first, second, (0, 1.3)], one if number % 2 else other))
    towel = BRIGHT[int(len(BRIGHT) * next(luck))]
    return [Shape([(0.3, 0.0), (1.3, 0.0), (1.5, 0.3), (0.5, 0.3)], towel), *shapes]


def tent(luck: Luck) -> list[Shape]:
    one, other = (BRIGHT[int(len(BRIGHT) * next(luck))] for _ in range(2))
    shapes = []
    for number in range(8):
        left, right = -1.1 + number * 0.275, -1.1 + (number + 1) * 0.275
        colour = one if number % 2 else other
        shapes.append(block(left, right, 0, 1.15, darker(colour, 0.9), False))
        shapes.append(Shape([(left * 1.08, 1.1), (right * 1.08, 1.1), (right * 0.08, 1.9), (left * 0.08, 1.9)], colour))
    door = Shape([(-0.28, 0), (0.28, 0), (0.0, 1.0)], (78, 58, 62))
    return [*shapes, door, bar((0, 1.85), (0, 2.2), 0.04, (120, 100, 90)), Shape([(0, 2.2), (0.4, 2.1), (0, 2.0)], one)]


def stall(luck: Luck) -> list[Shape]:
    one = BRIGHT[int(len(BRIGHT) * next(luck))]
    shapes = [block(-0.9, 0.9, 0.75, 1.3, (96, 80, 74)), block(-0.95, 0.95, 0.0, 0.72, (174, 122, 78))]
    for number in range(6):
        fruit = ((222, 70, 56), (246, 190, 66), (126, 180, 84))[int(3 * next(luck))]
        shapes.append(oval(-0.7 + number * 0.28, 0.78, 0.13, 0.12, fruit))
    for number in range(6):
        left = -1.05 + number * 0.35
        colour = one if number % 2 else (246, 242, 230)
        shapes.append(Shape([(left, 1.25), (left + 0.35, 1.25), (left * 0.9 + 0.32, 1.62), (left * 0.9, 1.62)], colour))
    return shapes


def bench(luck: Luck) -> list[Shape]:
    wood = (164, 110, 66)
    legs = [bar((x, 0), (x, 0.3), 0.08, (86, 84, 90)) for x in (-0.6, 0.6)]
    return [block(-0.75, 0.75, 0.5, 0.62, wood), *legs, block(-0.75, 0.75, 0.28, 0.38, darker(wood, 0.9))]


def lamp(luck: Luck) -> list[Shape]:
    iron = (70, 74, 84)
    post = [bar((0, 0), (0, 1.9), 0.07, iron), block(-0.12, 0.12, 0, 0.16, iron)]
    return [*post, oval(0, 2.0, 0.16, 0.2, (252, 232, 160)), Shape([(-0.18, 2.14), (0.18, 2.14), (0, 2.32)], iron)]


def dog(luck: Luck) -> list[Shape]:
    coat = ((150, 100, 60), (230, 214, 186), (74, 66, 66))[int(3 * next(luck))]
    legs = [bar((x, 0.22), (x, 0), 0.07, darker(coat, 0.8)) for x in (-0.2, -0.08, 0.14, 0.26)]
    body = [oval(0.03, 0.28, 0.32, 0.13, coat), bar((-0.26, 0.32), (-0.42, 0.5), 0.06, coat)]
    return [*legs, *body, oval(0.36, 0.44, 0.14, 0.13, coat), oval(0.3, 0.44, 0.05, 0.11, darker(coat, 0.7)),
            oval(0.49, 0.42, 0.035, 0.035, (40, 34, 34))]  # fmt: skip


def snowman(luck: Luck) -> list[Shape]:
    snow = (248, 250, 252)
    balls = [oval(0, 0.32, 0.4, 0.36, snow), oval(0, 0.82, 0.28, 0.27, snow), oval(0, 1.2, 0.2, 0.2, snow)]
    face = [oval(x, 1.25, 0.025, 0.025, (50, 46, 50)) for x in (-0.06, 0.08)]
    return [*balls, *face, Shape([(0, 1.22), (0.22, 1.17), (0, 1.16)], (240, 140, 50)),
            block(-0.15, 0.15, 1.38, 1.62, (64, 60, 72)), block(-0.22, 0.22, 1.35, 1.4, (64, 60, 72))]  # fmt: skip


def castle(luck: Luck) -> list[Shape]:
    sand = (226, 186, 120)
    towers = [block(x - 0.13, x + 0.13, 0, 0.5, sand) for x in (-0.35, 0.35)]
    teeth = [block(x - 0.04, x + 0.04, 0.5, 0.58, sand) for x in (-0.44, -0.26, 0.26, 0.44)]
    flag = [bar((0, 0.35), (0, 0.8), 0.03, (120, 90, 60)), Shape([(0, 0.8), (0.22, 0.72), (0, 0.64)], (214, 70, 62))]
    return [block(-0.4, 0.4, 0, 0.36, darker(sand, 0.92)), *towers, *teeth, *flag]


PLACES = {
    "park": Place(
        (142, 190, 100), ((132, 180, 92), (154, 200, 112), (236, 214, 120)), (190, 222, 240), _hills, (tree, bench, dog)
    ),
    "beach": Place(
        (242, 216, 160), ((236, 206, 148), (248, 226, 176)), (178, 220, 242), _sea, (parasol, castle, dog, parasol)
    ),
    "fair": Place(
        (206, 186, 158), ((198, 176, 146), (216, 198, 172)), (246, 216, 176), _houses, (tent, stall, lamp, dog)
    ),
    "snow": Place(
        (226, 236, 246), ((216, 228, 242), (238, 244, 250)), (196, 212, 230), _firs, (fir, snowman, bench, dog)
    ),
}
"""All kinds of places by name."""
