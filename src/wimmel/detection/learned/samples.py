"""Windows to learn from: objects moved, scaled, set elsewhere and partly hidden; background; what was wrongly found.

Given scenes; hands on batches of what the network sees in windows, and what it should say about them. What is drawn at
random is a function of the seed, the step, and the window's place in the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from wimmel.data.draws import Purpose, uniform
from wimmel.detection.boxes import areas
from wimmel.detection.finds import Scene
from wimmel.detection.learned.collages import hide_part, set_among
from wimmel.detection.learned.network import OFFSETS, window_size
from wimmel.detection.learned.pyramid import WholePicture, scaled
from wimmel.detection.learned.settings import LONGER_SIDE, Settings

if TYPE_CHECKING:
    from PIL.Image import Image

APART = 0.3
"""The IoU with an object below which a box shows background."""

HIDDEN = 0.3
"""The part of an object that is hidden from the network at most."""

_MIDDLE_GRAY = 128
_TINY = 1e-9
_TRIES = 12
_DRAWS = 19


@dataclass(frozen=True, eq=False)
class Grounds:
    """Scenes to cut windows from: pictures with a margin around them, for windows that reach beyond.

    Attributes
    ----------
    settings : Settings
    scenes : tuple of Scene
    pictures : tuple of WholePicture
    framed : tuple of images
        The pictures in a frame of middle gray.
    margin : int
        The frame's width.
    owners : int64 array (objects,)
        The scene of each object.
    boxes, classes : float64 array (objects, 4) and int64 array (objects,)
    together, crowded, starts : arrays
        All scenes' boxes, those of crowds among them, which of them are, and where each scene's begin and end.
    """

    settings: Settings
    scenes: tuple[Scene, ...]
    pictures: tuple[WholePicture, ...]
    framed: tuple[Image, ...]
    margin: int
    owners: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    together: np.ndarray
    crowded: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, settings: Settings, scenes: Sequence[Scene]) -> Self:
        """Reads the scenes' pictures.

        Raises
        ------
        OSError, ImageError
            If one cannot be read.
        """
        pictures = tuple(WholePicture(scene.pixels(settings.channels)) for scene in scenes)
        reach = max(window_size(settings)) / 2 + settings.shift * LONGER_SIDE
        margin = math.ceil(max(settings.spans) * math.exp(2 * settings.scale) * reach) + 2
        single = [scene.boxes[~scene.crowd] for scene in scenes]
        return cls(
            settings,
            tuple(scenes),
            pictures,
            tuple(_framed(picture.pixels, margin) for picture in pictures),
            margin,
            np.repeat(np.arange(len(scenes)), [len(boxes) for boxes in single]),
            np.concatenate(single),
            np.concatenate([scene.classes[~scene.crowd] for scene in scenes]),
            np.concatenate([scene.boxes for scene in scenes]),
            np.concatenate([scene.crowd for scene in scenes]),
            np.cumsum([0, *(len(scene.boxes) for scene in scenes)]),
        )

    def cut(self, scene: int, x: float, y: float, span: float) -> np.ndarray:
        """What the window around a place sees, uint8 (channels, rows, columns); `span` as of a pyramid's level."""
        from PIL import Image

        rows, columns = window_size(self.settings)
        left, top = x - columns * span / 2 + self.margin, y - rows * span / 2 + self.margin
        box = (left, top, left + columns * span, top + rows * span)
        seen = np.asarray(self.framed[scene].resize((columns, rows), Image.Resampling.BILINEAR, box=box))
        return seen[np.newaxis] if seen.ndim == 2 else seen.transpose(2, 0, 1)

    def show_background(self, scenes: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """For each box, and its scene, whether no object, nor a crowd, is in it."""
        counts = self.starts[scenes + 1] - self.starts[scenes]
        # every box beside every box of its scene, one pair after another
        pairs = np.repeat(np.arange(len(boxes)), counts)
        others = np.arange(len(pairs)) + np.repeat(self.starts[scenes] - np.cumsum(counts) + counts, counts)
        box, other = boxes[pairs], self.together[others]
        sides = np.maximum(np.minimum(box[:, 2:], other[:, 2:]) - np.maximum(box[:, :2], other[:, :2]), 0)
        common, area = sides[:, 0] * sides[:, 1], areas(boxes)[pairs]
        union = np.where(self.crowded[others], area, area + areas(self.together)[others] - common)
        near = common >= APART * np.maximum(union, _TINY)
        return np.bincount(pairs, near, len(boxes)) == 0


def batch(grounds: Grounds, wrong: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows (n, channels, rows, columns) and targets (n, classes + 4), float32.

    Parameters
    ----------
    grounds : Grounds
    wrong : float64 array (m, 4)
        Scene, centre across and down, and span of windows that wrongly gave a find.
    step : int
        Another step, another batch.
    """
    settings = grounds.settings
    count = settings.batch_size
    objects = min(max(round(settings.positives * count), 1), count - 1)
    hard = round(settings.hard * (count - objects)) if len(wrong) else 0
    classes = len(settings.class_names)
    draws = uniform(settings.seed, Purpose.WINDOWS, step, np.arange(count)[:, np.newaxis], np.arange(_DRAWS))
    seen = np.empty((count, settings.channels, *window_size(settings)), np.uint8)
    targets = np.zeros((count, classes + OFFSETS), np.float32)
    places = np.arange(count)
    moved = places[(places < objects + hard) & (draws[:, 8] < settings.moved)]
    hidden = places[(places < objects) & (draws[:, 13] < settings.hidden)]
    background = _on_background(
        grounds, step, np.concatenate((places[objects + hard :], count + moved, 2 * count + hidden))
    )
    for place, drawn in enumerate(draws):
        if place < objects:
            scene, window, target = _on_object(grounds, drawn)
            targets[place] = target
        elif place < objects + hard:
            scene, window = _on_wrong_find(settings, wrong, drawn)
        else:
            scene, window = background[place]
        seen[place] = grounds.cut(scene, *window)
        box = _box(settings, targets[place])
        if count + place in background:
            scene, window = background[count + place]
            set_among(seen[place], grounds.cut(scene, *window), box, drawn[9:13])
        if 2 * count + place in background:
            scene, window = background[2 * count + place]
            hide_part(seen[place], grounds.cut(scene, *window), box, HIDDEN, drawn[14:19])
        if settings.mirror and drawn[7] < 0.5:
            seen[place] = seen[place, :, :, ::-1].copy()
            targets[place, classes] *= -1
    windows = scaled(seen)
    spread = 2 * draws[:, 5:7, np.newaxis, np.newaxis] - 1
    windows *= np.exp(settings.contrast * spread[:, :1]).astype(np.float32)
    windows += (settings.brightness * spread[:, 1:]).astype(np.float32)
    return windows, targets


def _on_object(grounds: Grounds, drawn: np.ndarray) -> tuple[int, tuple[float, float, float], np.ndarray]:
    settings = grounds.settings
    chosen = int(drawn[0] * len(grounds.boxes))
    left, top, right, bottom = grounds.boxes[chosen]
    width, height = right - left, bottom - top
    span = max(width, height) / LONGER_SIDE * math.exp(settings.scale * (2 * drawn[1] - 1))
    across, down = settings.shift * (2 * drawn[2:4] - 1)
    target = np.zeros(len(settings.class_names) + OFFSETS, np.float32)
    target[grounds.classes[chosen]] = 1
    typical_height, typical_width = settings.object_size
    target[-OFFSETS:] = (
        across, down, math.log(width / span / typical_width), math.log(height / span / typical_height)
    )  # fmt: skip
    x, y = (left + right) / 2 - across * LONGER_SIDE * span, (top + bottom) / 2 - down * LONGER_SIDE * span
    return int(grounds.owners[chosen]), (x, y, span), target


def _box(settings: Settings, target: np.ndarray) -> tuple[float, float, float, float]:
    """Where in a window the object is that the target tells of; one of typical size in the middle, where it is 0."""
    rows, columns = window_size(settings)
    height, width = settings.object_size
    across, down, wide, high = target[-OFFSETS:].astype(np.float64)
    x, y = columns / 2 + across * LONGER_SIDE, rows / 2 + down * LONGER_SIDE
    half_width, half_height = width * math.exp(wide) / 2, height * math.exp(high) / 2
    return x - half_width, y - half_height, x + half_width, y + half_height


def _on_wrong_find(settings: Settings, wrong: np.ndarray, drawn: np.ndarray) -> tuple[int, tuple[float, float, float]]:
    scene, x, y, span = wrong[int(drawn[0] * len(wrong))]
    # a little away, as the next sweep of a similar scene would see it
    nudge = 2 * span * (2 * drawn[2:4] - 1)
    return int(scene), (x + nudge[0], y + nudge[1], span * math.exp(settings.scale / 3 * (2 * drawn[1] - 1)))


def _on_background(
    grounds: Grounds, step: int, places: np.ndarray
) -> dict[int, tuple[int, tuple[float, float, float]]]:
    """For each place a scene and a window at random, of some tries the first without an object in it."""
    settings = grounds.settings
    numbers = _DRAWS + np.arange(_TRIES * 4).reshape(_TRIES, 4)
    tries = uniform(settings.seed, Purpose.WINDOWS, step, places[:, np.newaxis, np.newaxis], numbers)
    scenes = (tries[..., 0] * len(grounds.scenes)).astype(np.int64)
    spans = np.array(settings.spans)[(tries[..., 1] * len(settings.spans)).astype(np.int64)]
    sizes = np.array([picture.shape[:0:-1] for picture in grounds.pictures])
    centres = tries[..., 2:] * sizes[scenes]
    half = np.array(settings.object_size[::-1]) * spans[..., np.newaxis] / 2
    boxes = np.concatenate((centres - half, centres + half), axis=-1)
    taken, left = np.full(len(places), _TRIES - 1), np.arange(len(places))
    for attempt in range(_TRIES):
        shows = grounds.show_background(scenes[left, attempt], boxes[left, attempt])
        taken[left[shows]] = attempt
        left = left[~shows]
    rows = np.arange(len(places))
    chosen = zip(places, scenes[rows, taken], *centres[rows, taken].T, spans[rows, taken], strict=True)
    return {int(place): (int(scene), (float(x), float(y), float(span))) for place, scene, x, y, span in chosen}


def _framed(pixels: np.ndarray, margin: int) -> Image:
    from PIL import Image

    frame = ((0, 0), (margin, margin), (margin, margin))
    planes = np.pad(pixels, frame, constant_values=_MIDDLE_GRAY).transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(planes[:, :, 0] if planes.shape[2] == 1 else planes))
