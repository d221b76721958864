"""Finding a template in a picture by normalised cross-correlation, beside OpenCV's ``matchTemplate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wimmel.bench.section import OURS, Case, Contender, Ready, Section

SIZE = 2000
SIDES = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Search:
    """A square template in a square picture of `SIZE` pixels, gray or colour, of 8 bits."""

    side: int
    channels: int = 1

    def __str__(self) -> str:
        return f"{self.side}x{self.side} in {SIZE}x{SIZE}, {'gray' if self.channels == 1 else 'colour'}"

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The picture and the template, (channels, rows, columns): smoothed noise, and a part of it."""
        noise = np.random.default_rng(0).standard_normal((self.channels, SIZE, SIZE), np.float32)
        for axis in (1, 2):
            noise = np.sum([np.roll(noise, shift, axis) for shift in range(4)], axis=0)
        picture = np.clip(128 + 12 * noise, 0, 255).astype(np.uint8)
        return picture, np.ascontiguousarray(picture[:, 300 : 300 + self.side, 700 : 700 + self.side])


def ours(case: Search, threads: int) -> Ready:
    from wimmel.detection import match_template
    from wimmel.runtime.native import set_num_threads

    set_num_threads(threads)
    picture, template = case.arrays()

    def run() -> Any:
        return match_template(picture, template)

    return Ready(run, run)


def opencv(case: Search, threads: int) -> Ready:
    import cv2

    cv2.setNumThreads(threads)
    picture, template = (np.ascontiguousarray(each.transpose(1, 2, 0)) for each in case.arrays())

    def run() -> Any:
        return cv2.matchTemplate(picture, template, cv2.TM_CCOEFF_NORMED)

    return Ready(run, run)


SECTION = Section(
    "templates",
    "Finding a template",
    tuple(
        Case(str(search), "gray" if search.channels == 1 else "colour", search)
        for channels in (1, 3)
        for search in (Search(side, channels) for side in SIDES)
    ),
    (Contender(OURS, ours), Contender("opencv", opencv, ("cv2",))),
)
