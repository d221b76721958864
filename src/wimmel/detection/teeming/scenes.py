"""Scenes that teem with people, of whom one is Wim: the same for the same seed.

People are further away the higher up they stand, and smaller; nearer ones hide parts of those behind. A third of the
others differ from Wim in one attribute only, the rest in more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from wimmel.detection.finds import Scene
from wimmel.detection.teeming.figures import WIM, drawn_clothes, drawn_figure, shapes_of, twins_clothes
from wimmel.detection.teeming.luck import lucky
from wimmel.detection.teeming.places import PLACES, background
from wimmel.detection.teeming.shapes import FINENESS, Shape, Stand, darker, extent, oval, paint, silhouette
from wimmel.geometry.whole_numbers import LARGEST_KEY, at_least

NAME = "wim"

_WIMS_HEIGHT = 1.19
_FURTHEST, _NEAREST = 26.0 / _WIMS_HEIGHT, 61.0 / _WIMS_HEIGHT


class Level(NamedTuple):
    """How hard a scene is: how many people, and how much of Wim may be hidden, as a part of what is seen of him."""

    figures: int
    hidden: float


LEVELS = {"easy": Level(100, 0.0), "medium": Level(300, 0.15), "hard": Level(900, 0.3)}


@dataclass
class Standing:
    """Something that stands in a scene.

    Attributes
    ----------
    shapes : list of Shape
    stand : Stand
    allowance : float or None
        Of Wim, how much of him may be hidden; None for all others.
    hidden : bool array (rows, columns)
        Of Wim, the pixels of his box that are hidden; `mask` are those that he covers.
    """

    shapes: list[Shape]
    stand: Stand
    allowance: float | None = None
    mask: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), bool))
    hidden: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), bool))

    @property
    def window(self) -> tuple[int, int, int, int]:
        """The whole pixels around it: left, top, right, bottom."""
        left, top, right, bottom = extent(self.shapes, self.stand)
        return int(np.floor(left)), int(np.floor(top)), int(np.ceil(right)), int(np.ceil(bottom))


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
    boxes = [extent(each.shapes, each.stand) for each in standing if each.allowance is not None]
    return Scene(np.ascontiguousarray(pixels), boxes, class_names=(NAME,))  # type: ignore[arg-type]


def arranged(
    seed: int, figures: int, wims: int, hidden: float, size: tuple[int, int], horizon: int, props: tuple
) -> list[Standing]:
    """All that stands in a scene, from the furthest to the nearest, none hiding more of a Wim than is allowed."""
    luck = lucky(seed, 1)
    standing = []
    for number in range(wims):
        figure = drawn_figure(WIM, luck, holds=False)
        stand = _stand(next(luck), (number + 0.1 + 0.8 * next(luck)) / wims, luck, size, horizon, inside=True)
        standing.append(Standing(shapes_of(figure), stand, allowance=hidden * next(luck)))
    others = figures - wims
    shift = next(luck)
    for number in range(others):
        mine = lucky(seed, 2 + number)
        clothes = twins_clothes(mine) if next(mine) < 1 / 3 else drawn_clothes(mine)
        across = (shift + number * 0.6180339887498949 + 0.04 * next(mine)) % 1  # evenly spread, whatever their number
        stand = _stand((number + next(mine)) / others, across, mine, size, horizon)
        standing.append(Standing(shapes_of(drawn_figure(clothes, mine)), stand))
    for number in range(max(4, size[0] * size[1] // 60_000)):
        mine = lucky(seed, 2 + others + number)
        shapes = props[int(len(props) * next(mine))](mine)
        stand = _stand(0.9 * next(mine), next(mine), mine, size, horizon)
        standing.append(Standing(shapes, replace(stand, lean=0.0)))
    standing.sort(key=lambda each: each.stand.down)
    return _with_room_for_wims(standing, size[1])


def _with_room_for_wims(standing: list[Standing], columns: int) -> list[Standing]:
    """The same, those that would hide too much of a Wim behind them moved aside."""
    behind: list[Standing] = []
    settled = []
    for each in standing:
        for step in range(2 * columns):
            aside = (step + 1) // 2 * (1 if step % 2 else -1) * 0.15 * each.stand.scale
            moved = replace(each, stand=replace(each.stand, across=each.stand.across + aside))
            if (hides := _hidden_by(moved, behind)) is not None:
                break
        else:
            continue  # there is no room for it anywhere
        for wim, mask in zip(behind, hides, strict=True):
            wim.hidden |= mask
        if each.allowance is not None:
            moved.mask = silhouette(moved.shapes, moved.stand, moved.window)
            moved.hidden = np.zeros_like(moved.mask)
            behind.append(moved)
        settled.append(moved)
    return settled


def _hidden_by(nearer: Standing, wims: list[Standing]) -> list[np.ndarray] | None:
    """Of each Wim the pixels that something nearer hides; None if it is too much."""
    masks = []
    left, top, right, bottom = nearer.window
    for wim in wims:
        window = wim.window
        if left >= window[2] or right <= window[0] or top >= window[3] or bottom <= window[1]:
            masks.append(np.zeros_like(wim.mask))
            continue
        mask = silhouette(nearer.shapes, nearer.stand, window) & wim.mask
        if (mask | wim.hidden).sum() > (wim.allowance or 0) * wim.mask.sum():
            return None
        masks.append(mask)
    return masks


def _stand(
    depth: float, across: float, luck: Iterator[float], size: tuple[int, int], horizon: int, inside: bool = False
) -> Stand:
    """A stand on the ground.

    The depth runs from 0 at the horizon to 1, the scale along the ground evenly in down; there are the more people to
    an area the smaller they look.
    """
    scale = 1 / (1 / _FURTHEST - depth * (1 / _FURTHEST - 1 / _NEAREST))
    part = (scale - _FURTHEST) / (_NEAREST - _FURTHEST)
    rows, columns = size
    near = rows - 3 if inside else rows + 0.25 * _NEAREST
    down = horizon + 0.3 * _FURTHEST + part * (near - horizon - 0.3 * _FURTHEST)
    margin = 0.5 * _NEAREST if inside else 0
    lean, mirrored = 0.16 * (next(luck) - 0.5), next(luck) < 0.5
    return Stand(
        margin + across * (columns - 2 * margin), max(down, 1.4 * scale if inside else 0), scale, mirrored, lean
    )
