"""Scenes drawn for teaching: squares among discs, told apart by shape and by colour alone."""

import numpy as np
import pytest

from wimmel.detection import Scene

RED, BLUE = (210, 40, 40), (40, 60, 210)


def _scene(seed, kinds=("red square",), several=2, side=112):
    """A scene with `several` of each kind, and as many of every other kind; squares and discs are red or blue."""
    rng = np.random.default_rng(seed)
    picture = np.full((3, side, side), 200, np.uint8) + rng.integers(0, 20, (1, side, side)).astype(np.uint8)
    rows, columns = np.mgrid[:side, :side] + 0.5
    boxes, classes, taken = [], [], []
    for kind in ("red square", "blue square", "red disc", "blue disc") * several:
        width = int(rng.integers(12, 19))
        while True:
            left, top = (int(edge) for edge in rng.integers(0, side - width, 2))
            if all(abs(left - x) > 21 or abs(top - y) > 21 for x, y in taken):
                break
        taken.append((left, top))
        across, down = columns - left - width / 2, rows - top - width / 2
        square = np.maximum(abs(across), abs(down)) < width / 2
        shape = square if "square" in kind else np.hypot(across, down) < width / 2
        picture[:, shape] = np.array(RED if "red" in kind else BLUE, np.uint8)[:, np.newaxis]
        if kind in kinds:
            boxes.append([left, top, left + width, top + width])
            classes.append(kinds.index(kind))
    return Scene(picture, boxes, np.array(classes, int), kinds)


@pytest.fixture(scope="session")
def drawn():
    """Draws a scene: (seed, kinds of objects to mark)."""
    return _scene
