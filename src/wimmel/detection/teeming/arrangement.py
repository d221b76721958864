"""Who stands where in a scene, so that Wim can be told: of him, and of what tells others from him, enough is seen.

Given a seed and numbers; hands on all that stands in the scene, from the furthest to the nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wimmel.detection.teeming.figures import (
    WIM,
    Figure,
    differences,
    drawn_clothes,
    drawn_figure,
    shapes_of,
    twins_clothes,
)
from wimmel.detection.teeming.luck import lucky
from wimmel.detection.teeming.shapes import Shape, Stand, extent, silhouette

_WIMS_HEIGHT = 1.19
FURTHEST, NEAREST = 26.0 / _WIMS_HEIGHT, 61.0 / _WIMS_HEIGHT
"""Pixels to a unit, which is a person without hat."""

_OF_TWINS = 0.5
"""How much may be hidden of that by which a twin is told from Wim."""

_STEP = 0.15
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Standing:
    """Something that stands in a scene.

    Attributes
    ----------
    shapes : list of Shape
    stand : Stand
    telling : list of Shape
        By which it is told; of Wim all.
    allowance : float
        The part of those that nearer things may hide.
    is_wim : bool
    """

    shapes: Sequence[Shape]
    stand: Stand
    telling: Sequence[Shape] = ()
    allowance: float = 1.0
    is_wim: bool = False

    @property
    def stays_inside(self) -> bool:
        """Whether it may not be cut off by the picture's edge."""
        return len(self.telling) > 0


def arranged(
    seed: int,
    figures: int,
    wims: int,
    hidden: float,
    size: tuple[int, int],
    horizon: int,
    props: Sequence[Callable[[Iterator[float]], list[Shape]]],
) -> list[Standing]:
    """All that stands in a scene, from the furthest to the nearest.

    Parameters
    ----------
    seed, figures, wims, hidden, size
        As in `teeming_scene`.
    horizon : int
        The row where the ground begins.
    props : sequence of callable
        What stands about besides people.
    """
    luck = lucky(seed, 1)
    standing = []
    for number in range(wims):
        figure = drawn_figure(WIM, luck, holds=False)
        depth, across = next(luck), (number + 0.1 + 0.8 * next(luck)) / wims
        shapes = shapes_of(figure)
        stand = _stand(depth, across, luck, size, horizon, inside=True)
        standing.append(Standing(shapes, stand, shapes, hidden * next(luck), is_wim=True))
    others, shift = figures - wims, next(luck)
    for number in range(others):
        mine = lucky(seed, 2 + number)
        clothes = twins_clothes(mine) if next(mine) < 1 / 3 else drawn_clothes(mine)
        across = (shift + number * _GOLDEN + 0.04 * next(mine)) % 1  # evenly spread, whatever their number
        is_twin = differences(clothes, WIM) == 1
        stand = _stand((number + next(mine)) / others, across, mine, size, horizon, inside=is_twin)
        figure = drawn_figure(clothes, mine)
        standing.append(Standing(shapes_of(figure), stand, _telling(figure) if is_twin else (), _OF_TWINS))
    for number in range(max(4, size[0] * size[1] // 60_000)):
        mine = lucky(seed, 2 + others + number)
        shapes = props[int(len(props) * next(mine))](mine)
        stand = _stand(0.9 * next(mine), next(mine), mine, size, horizon)
        standing.append(Standing(shapes, replace(stand, lean=0.0)))
    standing.sort(key=lambda each: each.stand.down)
    return _moved_aside(standing, size[1])


def _telling(twin: Figure) -> list[Shape]:
    """The shapes by which a twin is told from Wim: those that only one of the two has."""
    own, wims = shapes_of(twin), shapes_of(replace(twin, clothes=WIM))
    return [shape for shape in own if shape not in wims] + [shape for shape in wims if shape not in own]


def _moved_aside(standing: Sequence[Standing], columns: int) -> list[Standing]:
    """The same, those that would hide too much behind them moved along; what finds no place at all is left out."""
    seen = _Seen(len(standing))
    settled = []
    for each in standing:
        for stand in _places(each, columns):
            if seen.hide(each.shapes, stand):
                each = replace(each, stand=stand)
                settled.append(each)
                seen.add(each)
                break
    return settled


def _places(each: Standing, columns: int) -> Iterator[Stand]:
    """Where it may stand: where it does, then further and further to either side, and round the picture's edge."""
    left, _, right, _ = extent(each.shapes, each.stand) - each.stand.across
    begin, end = (-left, columns - right) if each.stays_inside else (0.0, float(columns))
    for step in range(int(columns / (_STEP * each.stand.scale)) + 1):
        aside = (step + 1) // 2 * (1 if step % 2 else -1) * _STEP * each.stand.scale
        yield replace(each.stand, across=begin + (each.stand.across + aside - begin) % (end - begin))


class _Seen:
    """What tells those that stand already, and how much of it is hidden."""

    def __init__(self, most: int) -> None:
        self.windows = np.zeros((most, 4), np.int64)
        self.masks: list[np.ndarray] = []
        self.hidden: list[np.ndarray] = []
        self.allowed: list[float] = []

    def add(self, each: Standing) -> None:
        if not each.telling:
            return
        window = _window(each.telling, each.stand)
        mask = silhouette(each.telling, each.stand, window)
        self.windows[len(self.masks)] = window
        self.masks.append(mask)
        self.hidden.append(np.zeros_like(mask))
        self.allowed.append(each.allowance * mask.sum())

    def hide(self, shapes: Sequence[Shape], stand: Stand) -> bool:
        """Hides what shapes cover, unless it is too much of anything; whether it was done."""
        left, top, right, bottom = _window(shapes, stand)
        there = self.windows[: len(self.masks)]
        meets = (there[:, 0] < right) & (there[:, 2] > left) & (there[:, 1] < bottom) & (there[:, 3] > top)
        hidden = {}
        for place in np.flatnonzero(meets):
            window = self.windows[place]
            covered = silhouette(shapes, stand, (window[0], window[1], window[2], window[3]))
            hidden[place] = self.hidden[place] | (covered & self.masks[place])
            if hidden[place].sum() > self.allowed[place]:
                return False
        for place, mask in hidden.items():
            self.hidden[place] = mask
        return True


def _window(shapes: Sequence[Shape], stand: Stand) -> tuple[int, int, int, int]:
    """The whole pixels around: left, top, right, bottom."""
    left, top, right, bottom = extent(shapes, stand)
    return int(np.floor(left)), int(np.floor(top)), int(np.ceil(right)), int(np.ceil(bottom))


def _stand(
    depth: float, across: float, luck: Iterator[float], size: tuple[int, int], horizon: int, inside: bool = False
) -> Stand:
    """A stand on the ground.

    The depth runs from 0 at the horizon to 1, the scale along the ground evenly in down; there are the more people to
    an area the smaller they look.
    """
    scale = 1 / (1 / FURTHEST - depth * (1 / FURTHEST - 1 / NEAREST))
    part = (scale - FURTHEST) / (NEAREST - FURTHEST)
    rows, columns = size
    near = rows - 3 if inside else rows + 0.25 * NEAREST
    down = horizon + 0.3 * FURTHEST + part * (near - horizon - 0.3 * FURTHEST)
    margin = 0.5 * NEAREST if inside else 0.0
    lean, mirrored = 0.16 * (next(luck) - 0.5), next(luck) < 0.5
    down = max(down, 1.4 * scale) if inside else down
    return Stand(margin + across * (columns - 2 * margin), down, scale, mirrored, lean)
