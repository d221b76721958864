"""Settings of a detector: everything that, with the scenes, decides what it becomes.

Given scenes, and whatever the person settled already; hands on a frozen value that network, sweep and teaching share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from wimmel.detection.finds import Scene

GRAIN = 256
"""Pixels of a level of the pyramid span a multiple of 1 / GRAIN of a picture's pixel: so that a piece of a level, whose
place in the picture is then exact in float32 too, comes out as the same bits as that part of the whole level."""

_BEYOND = 1.07
_LEVELS = 64


@dataclass(frozen=True)
class Settings:
    """How to look for objects, and how to learn to.

    Attributes
    ----------
    class_names : tuple of str
    channels : 1 or 3
        Of the pictures, which others are brought to.
    object_size : (float, float)
        Rows and columns of a typical object in the network's pixels; the longer side is the same for all detectors.
    spans : tuple of float
        For each level of the pyramid how many pixels of the picture a pixel of it spans, in multiples of 1 / 256.
    widths : five ints
        Channels of the network's convolutions.
    steps : int
        Updates of the parameters.
    batch_size : int
        Windows per step.
    positives : float
        The share of windows that show an object.
    hard : float
        The share of the other windows that show what was wrongly found, once there are such.
    rounds : int
        How many times the training scenes are swept for what is wrongly found.
    kept : int
        How many wrong finds are remembered at most.
    swept_pixels : int
        Of how many pixels together the scenes are that one round sweeps; with more scenes the rounds take turns.
    learning_rate : float
        The highest of a one-cycle schedule.
    box_weight : float
        What the boxes' loss counts, the scores' being 1.
    shift, scale, brightness, contrast : float
        How far windows on objects are moved (into the object's longer side) and scaled (e to the power of up to so
        much), and all windows' pixels moved and scaled (likewise), up or down.
    moved : float
        The share of objects, and of what was wrongly found, that are set among other surroundings.
    hidden : float
        The share of objects of which a part is hidden.
    mirror : bool
        Whether the mirror image of an object is one too.
    seed : int
    """

    class_names: tuple[str, ...]
    channels: int
    object_size: tuple[float, float]
    spans: tuple[float, ...]
    widths: tuple[int, int, int, int, int] = (16, 24, 48, 48, 64)
    steps: int = 4000
    batch_size: int = 64
    positives: float = 0.25
    hard: float = 0.75
    rounds: int = 6
    kept: int = 3000
    swept_pixels: int = 12_000_000
    learning_rate: float = 2e-3
    box_weight: float = 2.0
    shift: float = 0.125
    scale: float = 0.15
    brightness: float = 0.15
    contrast: float = 0.12
    moved: float = 0.5
    hidden: float = 0.6
    mirror: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self)

    def to_json(self) -> dict[str, Any]:
        """The settings in what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Settings that `to_json` gave.

        Raises
        ------
        ValueError
            If something is missing, unknown, or out of range.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(document, dict) or set(document) != known:
            raise ValueError("the detector's settings are not those that this version of wimmel knows")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
        }
        return cls(**values)


def settings_for(scenes: Sequence[Scene], channels: int, **given: Any) -> Settings:
    """Settings chosen from the objects' sizes, and what the person gives.

    Parameters
    ----------
    scenes : sequence of Scene
        With at least one object.
    channels : 1 or 3
    **given
        Further fields of `Settings`.

    Examples
    --------
    >>> scene = Scene(np.zeros((90, 90), np.uint8), [[0, 0, 10, 20], [30, 30, 50, 70]])
    >>> settings_for([scene], 1).object_size
    (40.0, 20.0)
    """
    boxes = np.concatenate([scene.boxes[~scene.crowd] for scene in scenes])
    sides = boxes[:, [3, 2]] - boxes[:, [1, 0]]
    longer = sides.max(axis=1)
    smallest, largest = float(longer.min()) / _BEYOND, float(longer.max()) * _BEYOND
    count = math.ceil(3 * math.log2(largest / smallest)) + 1
    sizes = smallest * (largest / smallest) ** (np.arange(count) / (count - 1))
    spans = tuple(max(round(size / LONGER_SIDE * GRAIN), 1) / GRAIN for size in sizes)
    # the mean on a logarithmic scale: twice as wide and half as wide cancel out
    aspect = float(np.exp(np.log(sides[:, 1] / sides[:, 0]).mean()))
    size = (LONGER_SIDE, LONGER_SIDE * aspect) if aspect <= 1 else (LONGER_SIDE / aspect, LONGER_SIDE)
    names = scenes[0].class_names
    return Settings(names, channels, size, tuple(dict.fromkeys(spans)), **given)


LONGER_SIDE = 40.0
"""The longer side of a typical object in the network's pixels."""

_RANGES = {
    "steps": (1, 10**7), "batch_size": (2, 10**4), "rounds": (0, 1000), "kept": (0, 10**6), "swept_pixels": (1, 10**12),
    "seed": (0, 2**63 - 1), "positives": (0.01, 0.99), "hard": (0.0, 1.0), "learning_rate": (1e-9, 10.0),
    "box_weight": (0.0, 1e6), "shift": (0.0, 0.5), "scale": (0.0, 1.0), "brightness": (0.0, 2.0),
    "contrast": (0.0, 2.0), "moved": (0.0, 1.0), "hidden": (0.0, 1.0),
}  # fmt: skip


def _check(settings: Settings) -> None:
    for name, (least, most) in _RANGES.items():
        value = getattr(settings, name)
        kind = "a whole number" if isinstance(least, int) else "a number"
        allowed = int if isinstance(least, int) else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed) or not least <= value <= most:
            raise ValueError(f"{name} is {kind} from {least:g} to {most:g}; got {value!r}")
    if settings.channels not in (1, 3):
        raise ValueError(f"channels are 1 or 3; got {settings.channels!r}")
    names = settings.class_names
    named = isinstance(names, tuple) and names and all(isinstance(name, str) for name in names)
    if not named or len(set(names)) != len(names):
        raise ValueError(f"class_names are one or more different names; got {names!r}")
    _check_numbers("object_size", settings.object_size, 0.5, LONGER_SIDE, 2, 2)
    _check_numbers("spans", settings.spans, 1 / GRAIN, 4096, 1, _LEVELS)
    if any(span * GRAIN != round(span * GRAIN) for span in settings.spans):
        raise ValueError(f"spans are multiples of 1/{GRAIN}; got {settings.spans!r}")
    _check_numbers("widths", settings.widths, 1, 4096, 5, 5)
    if not all(isinstance(width, int) for width in settings.widths):
        raise ValueError(f"widths are whole numbers; got {settings.widths!r}")
    if not isinstance(settings.mirror, bool):
        raise ValueError(f"mirror is True or False; got {settings.mirror!r}")


def _check_numbers(name: str, values: Any, least: float, most: float, fewest: int, many: int) -> None:
    sound = isinstance(values, tuple) and fewest <= len(values) <= many
    if not sound or not all(
        isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most for value in values
    ):
        count = f"{fewest}" if fewest == many else f"{fewest} to {many}"
        raise ValueError(f"{name} are {count} numbers from {least:g} to {most:g}; got {values!r}")
