"""Scenes that teem with people, of whom one is Wim: the same for the same seed.

People are further away the higher up they stand, and smaller; nearer ones hide parts of those behind. A third of the
others differ from Wim in one attribute only, which can be seen; the rest in more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from wimmel.detection.finds import Scene
from wimmel.detection.teeming.arrangement import arranged
from wimmel.detection.teeming.luck import lucky
from wimmel.detection.teeming.places import PLACES, background
from wimmel.detection.teeming.shapes import FINENESS, darker, extent, oval, paint
from wimmel.geometry.whole_numbers import LARGEST_KEY, at_least

NAME = "wim"


class Level(NamedTuple):
    """How hard a scene is: how many people, and how much of Wim may be hidden, as a part of what is seen of him."""

    figures: int
    hidden: float


LEVELS = {"easy": Level(100, 0.0), "medium": Level(300, 0.15), "hard": Level(900, 0.3)}


def teeming_scene(
    seed: int,
    figures: int = 300,
    wims: int = 1,
    hidden: float = 0.15,
    size: tuple[int, int] = (1024, 1024),
    place: str | None = None,
) -> Scene:
    """A picture that teems with people, and boxes around those who are Wim.

    Wim is 26 to 61 pixels high and wears a teal coat with white stripes, an orange bobble hat and brown trousers; face,
    hair, arms and stride differ from scene to scene. A third of all others wear the same but for one of the coat's
    colour, its stripes' colour, its pattern, the hat, the hat's colour and the trousers.

    Parameters
    ----------
    seed : int
        Another seed, another scene; the same seed, the same pixels (with the same release of Pillow).
    figures : int, default 300
        How many people, Wim among them.
    wims : int, default 1
        How many of them are Wim, from 0.
    hidden : float, default 0.15
        The part of Wim that others may hide, below 1; his box is that of all of him.
    size : (rows, columns), default (1024, 1024)
        At least 128 each.
    place : {"park", "beach", "fair", "snow"}, optional
        By default drawn, too.

    Returns
    -------
    Scene
        uint8 (3, rows, columns), of the class "wim".

    Raises
    ------
    TypeError, ValueError
        If a number is out of range, or there is no such place.

    Examples
    --------
    >>> scene = teeming_scene(0, figures=20, size=(200, 240))
    >>> scene.size, scene.class_names, len(scene)
    ((200, 240), ('wim',), 1)
    """
    seed = at_least(seed, 0, "seed", LARGEST_KEY)
    figures, wims = at_least(figures, 1, "figures"), at_least(wims, 0, "wims", figures)
    rows, columns = (at_least(side, 128, "a scene's side") for side in size)
    if not 0 <= hidden < 1:
        raise ValueError(f"hidden is the part of Wim that may be hidden, from 0 and below 1; got {hidden!r}.")
    if place is not None and place not in PLACES:
        raise ValueError(f"There is no place {place!r}; there are {', '.join(PLACES)}.")
    from PIL import ImageDraw

    luck = lucky(seed, 0)
    chosen = PLACES[place or tuple(PLACES)[int(len(PLACES) * next(luck))]]
    horizon = rows // 14
    canvas = background(chosen, (rows, columns), horizon, luck)
    draw = ImageDraw.Draw(canvas)
    standing = arranged(seed, figures, wims, hidden, (rows, columns), horizon, chosen.props)
    shadow = [oval(0.05, 0.015, 0.27, 0.06, darker(chosen.ground, 0.87), outlined=False)]
    for each in standing:
        paint(draw, shadow, replace(each.stand, lean=0.0, mirrored=False))
        paint(draw, each.shapes, each.stand)
    pixels = np.asarray(canvas.reduce(FINENESS)).transpose(2, 0, 1)
    boxes = [extent(each.shapes, each.stand) for each in standing if each.is_wim]
    return Scene(np.ascontiguousarray(pixels), boxes, class_names=(NAME,))  # type: ignore[arg-type]
