"""The people of the scenes: what they wear, who Wim is, and how all of them are drawn.

A figure is a unit high from its soles to the top of its head; hats go beyond.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from wimmel.detection.teeming.shapes import Colour, Point, Shape, bar, block, darker, oval

COLOURS: dict[str, Colour] = {
    "red": (206, 51, 48),
    "orange": (238, 135, 42),
    "yellow": (247, 205, 62),
    "green": (74, 148, 72),
    "teal": (18, 148, 150),
    "blue": (52, 92, 176),
    "violet": (128, 76, 158),
    "pink": (240, 138, 170),
    "white": (246, 243, 233),
    "brown": (128, 84, 52),
    "black": (56, 54, 62),
}
PATTERNS = ("plain", "stripes", "spots", "bars")
HATS = ("none", "bobble", "top", "brim", "cone", "cap")
SKINS: tuple[Colour, ...] = ((250, 219, 190), (232, 184, 140), (186, 128, 88), (118, 78, 54))
HAIRS: tuple[Colour, ...] = ((60, 42, 32), (128, 78, 40), (226, 182, 92), (186, 84, 40), (206, 204, 200))
THINGS = ("none", "none", "none", "balloon", "bag", "cane", "ice")

TALLEST = 1.3
"""The height of a figure with the tallest hat."""


@dataclass(frozen=True)
class Clothes:
    """The attributes by which figures are told apart, each with the values it may have."""

    coat: str
    trim: str
    pattern: str
    hat: str
    hat_colour: str
    trousers: str


CHOICES: dict[str, tuple[str, ...]] = {
    "coat": ("red", "orange", "yellow", "green", "teal", "blue", "violet", "pink"),
    "trim": ("white", "black", "yellow", "red", "blue"),
    "pattern": PATTERNS,
    "hat": HATS,
    "hat_colour": ("red", "orange", "yellow", "green", "blue", "violet", "black", "white"),
    "trousers": ("blue", "brown", "black", "green", "red"),
}

WIM = Clothes("teal", "white", "stripes", "bobble", "orange", "brown")
"""The one to be found: a teal coat with white stripes, an orange bobble hat, brown trousers."""


@dataclass(frozen=True)
class Figure:
    """A person: clothes, and what does not tell who it is.

    Attributes
    ----------
    skin, hair : int
        Places in `SKINS` and `HAIRS`.
    arms : int
        0 both down, 1 one raised, 2 both raised, 3 on the hips.
    stride : float
        How far apart the feet are, from 0 to 1.
    thing : str
        What is held, of `THINGS`.
    """

    clothes: Clothes
    skin: int = 0
    hair: int = 0
    arms: int = 0
    stride: float = 0.5
    thing: str = "none"


def differences(one: Clothes, other: Clothes) -> int:
    """How many attributes are seen to differ; the colours of what is not there are not seen.

    Examples
    --------
    >>> differences(WIM, WIM), differences(WIM, replace(WIM, hat="none")), differences(WIM, replace(WIM, coat="red"))
    (0, 1, 1)
    """
    names = {field.name for field in fields(Clothes)}
    if "plain" in (one.pattern, other.pattern):
        names.discard("trim")
    if "none" in (one.hat, other.hat):
        names.discard("hat_colour")
    return sum(getattr(one, name) != getattr(other, name) for name in names)


def drawn_clothes(luck: Iterator[float]) -> Clothes:
    """Clothes with at least two differences from Wim's."""
    while True:
        clothes = Clothes(**{name: _one_of(values, next(luck)) for name, values in CHOICES.items()})
        if clothes.trim != clothes.coat and differences(clothes, WIM) >= 2:
            return clothes


def twins_clothes(luck: Iterator[float]) -> Clothes:
    """Wim's clothes but for one attribute."""
    name = _one_of(tuple(CHOICES), next(luck))
    others = tuple(value for value in CHOICES[name] if value != getattr(WIM, name))
    return replace(WIM, **{name: _one_of(others, next(luck))})


def drawn_figure(clothes: Clothes, luck: Iterator[float], holds: bool = True) -> Figure:
    """A figure in these clothes."""
    skin, hair = int(len(SKINS) * next(luck)), int(len(HAIRS) * next(luck))
    arms, stride, thing = int(4 * next(luck)), next(luck), _one_of(THINGS, next(luck))
    return Figure(clothes, skin, hair, arms, stride, thing if holds else "none")


def shapes_of(figure: Figure) -> list[Shape]:
    """The figure as shapes, the undermost first."""
    clothes, skin = figure.clothes, SKINS[figure.skin]
    coat = COLOURS[clothes.coat]
    hands = _HANDS[figure.arms]
    shapes = [*_legs(COLOURS[clothes.trousers], figure.stride)]
    shapes += _held(figure, hands[1])
    for side, hand in zip((-1, 1), hands, strict=True):
        shapes += _arm(clothes, coat, (side * 0.13, 0.65), hand, skin)
    shapes += _coat(clothes, coat)
    shapes += _head(skin, HAIRS[figure.hair], clothes.hat)
    shapes += _HAT_SHAPES[clothes.hat](COLOURS[clothes.hat_colour])
    return shapes


_HANDS: tuple[tuple[Point, Point], ...] = (
    ((-0.25, 0.36), (0.25, 0.36)),
    ((-0.25, 0.36), (0.31, 0.90)),
    ((-0.30, 0.92), (0.30, 0.92)),
    ((-0.20, 0.44), (0.27, 0.40)),
)
_BALLOONS: tuple[Colour, ...] = ((226, 64, 84), (250, 190, 60), (90, 170, 220), (150, 200, 90), (214, 120, 200))
_SHOULDERS, _HEM, _TOP, _LOW = 0.15, 0.215, 0.70, 0.28


def _legs(colour: Colour, stride: float) -> list[Shape]:
    foot = 0.06 + 0.09 * stride
    shapes = []
    for side in (-1, 1):
        shapes.append(bar((side * 0.07, 0.34), (side * foot, 0.05), 0.115, colour))
        shapes.append(oval(side * (foot + 0.025), 0.035, 0.085, 0.04, (64, 48, 40)))
    return shapes


def _arm(clothes: Clothes, coat: Colour, shoulder: Point, hand: Point, skin: Colour) -> list[Shape]:
    shapes = [bar(shoulder, hand, 0.105, coat)]
    if clothes.pattern == "stripes":
        for part in (0.35, 0.75):
            middle = [begin + part * (end - begin) for begin, end in zip(shoulder, hand, strict=True)]
            step = [0.1 * (end - begin) for begin, end in zip(shoulder, hand, strict=True)]
            ends = [(middle[0] - step[0], middle[1] - step[1]), (middle[0] + step[0], middle[1] + step[1])]
            shapes.append(bar(ends[0], ends[1], 0.105, COLOURS[clothes.trim])._replace(outlined=False))
    return [*shapes, oval(hand[0], hand[1], 0.055, 0.055, skin)]


def _half_width(up: float) -> float:
    return _HEM + (up - _LOW) / (_TOP - _LOW) * (_SHOULDERS - _HEM)


def _coat(clothes: Clothes, coat: Colour) -> list[Shape]:
    shapes = [Shape([(-_HEM, _LOW), (_HEM, _LOW), (_SHOULDERS, _TOP), (-_SHOULDERS, _TOP)], coat)]
    trim = COLOURS[clothes.trim]
    if clothes.pattern == "stripes":
        for low in (0.32, 0.46, 0.60):
            wide, narrow = _half_width(low) - 0.008, _half_width(low + 0.07) - 0.008
            shapes.append(Shape([(-wide, low), (wide, low), (narrow, low + 0.07), (-narrow, low + 0.07)], trim, False))
    elif clothes.pattern == "bars":
        for place in (-0.6, 0.0, 0.6):
            foot, top, half = place * _HEM, place * _SHOULDERS, 0.032
            ends, high = [(foot - half, _LOW + 0.01), (foot + half, _LOW + 0.01)], _TOP - 0.01
            shapes.append(Shape([*ends, (top + half * 0.8, high), (top - half * 0.8, high)], trim, False))
    elif clothes.pattern == "spots":
        for across, up in ((-0.1, 0.36), (0.1, 0.36), (0.0, 0.48), (-0.09, 0.60), (0.09, 0.60)):
            shapes.append(oval(across, up, 0.045, 0.045, trim, outlined=False))
    return shapes


def _head(skin: Colour, hair: Colour, hat: str) -> list[Shape]:
    shapes = [oval(0, 0.85, 0.15, 0.155, hair)]
    if hat != "none":
        shapes = [oval(0, 0.83, 0.15, 0.135, hair)]
    shapes.append(oval(0.015, 0.825, 0.125, 0.13, skin, outlined=False))
    for across in (-0.03, 0.065):
        shapes.append(oval(across, 0.845, 0.02, 0.024, (40, 34, 34), outlined=False))
    shapes.append(oval(0.025, 0.765, 0.045, 0.016, (176, 72, 66), outlined=False))
    return shapes


def _bobble(colour: Colour) -> list[Shape]:
    dome = [(-0.155, 0.89), (0.155, 0.89), (0.14, 1.0), (0.08, 1.08), (-0.08, 1.08), (-0.14, 1.0)]
    return [Shape(dome, colour), block(-0.165, 0.165, 0.87, 0.935, darker(colour, 0.8)),
            oval(0, 1.12, 0.07, 0.07, (246, 243, 233))]  # fmt: skip


def _top(colour: Colour) -> list[Shape]:
    band = (246, 243, 233) if sum(colour) < 400 else (56, 54, 62)
    return [block(-0.11, 0.11, 0.92, 1.18, colour), block(-0.11, 0.11, 0.95, 1.0, band, False),
            block(-0.19, 0.19, 0.90, 0.945, colour)]  # fmt: skip


def _brim(colour: Colour) -> list[Shape]:
    return [oval(0, 0.97, 0.11, 0.09, colour), oval(0, 0.92, 0.25, 0.05, colour)]


def _cone(colour: Colour) -> list[Shape]:
    spot = (246, 243, 233) if sum(colour) < 600 else (206, 51, 48)
    return [Shape([(-0.14, 0.90), (0.14, 0.90), (0.0, 1.26)], colour), oval(-0.03, 0.97, 0.03, 0.03, spot, False),
            oval(0.02, 1.08, 0.026, 0.026, spot, False)]  # fmt: skip


def _cap(colour: Colour) -> list[Shape]:
    dome = [(-0.15, 0.89), (0.15, 0.89), (0.13, 0.97), (0.06, 1.02), (-0.06, 1.02), (-0.13, 0.97)]
    return [Shape(dome, colour), block(0.05, 0.27, 0.875, 0.915, darker(colour, 0.85))]


_HAT_SHAPES = {"none": lambda colour: [], "bobble": _bobble, "top": _top, "brim": _brim, "cone": _cone, "cap": _cap}


def _held(figure: Figure, hand: Point) -> list[Shape]:
    (across, up), thing = hand, figure.thing
    if thing == "balloon":
        knot = (across + 0.06, up + 0.42)
        string = bar(hand, knot, 0.014, (90, 90, 90))._replace(outlined=False)
        return [string, oval(knot[0], knot[1] + 0.15, 0.13, 0.16, _BALLOONS[figure.hair])]
    if thing == "bag":
        handle = bar(hand, (across, up - 0.1), 0.03, (96, 66, 44))
        return [handle, block(across - 0.09, across + 0.09, up - 0.26, up - 0.1, (150, 104, 62))]
    if thing == "cane":
        return [bar((across, up + 0.04), (across + 0.05, max(up - 0.34, 0.01)), 0.03, (112, 76, 46))]
    if thing == "ice":
        return [Shape([(across - 0.05, up + 0.08), (across + 0.05, up + 0.08), (across, up - 0.06)], (222, 170, 104)),
                oval(across, up + 0.12, 0.065, 0.065, (250, 214, 222))]  # fmt: skip
    return []


def _one_of(values: tuple[str, ...], part: float) -> str:
    return values[int(part * len(values))]
