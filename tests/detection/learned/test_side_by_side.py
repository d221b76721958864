"""Thin things that stand side by side, such as bottles on a shelf, are found one by one."""

import numpy as np
import pytest

from wimmel.detection import Detector, Scene, average_precision, recall_at

HEIGHT, WIDTH = 46, 14


def shelves(seed):
    """Bottles in four rows, most of them touching their neighbours, before a wall with rectangles on it."""
    random = np.random.default_rng(seed)
    picture = random.normal(120, 12, (3, 420, 420))
    for x, y, width, height in random.integers((0, 0, 5, 5), (400, 400, 50, 50), (60, 4)):
        picture[:, y : y + height, x : x + width] = random.integers(0, 255, 3)[:, None, None]
    boxes = []
    for row in range(4):
        left, top = int(random.integers(10, 60)), 15 + row * 100 + int(random.integers(0, 20))
        for _ in range(random.integers(3, 14)):
            right = left + WIDTH + int(random.integers(-1, 2))
            glass = np.array([30, 120, 60]) + random.integers(-15, 15, 3)
            middle = (left + right) // 2
            for x, y, end, bottom, colour in (
                (left, top + 12, right, top + HEIGHT, glass),
                (middle - 2, top, middle + 2, top + 12, glass),
                (left + 1, top + 24, right - 1, top + 34, (230, 220, 180)),
            ):
                picture[:, y:bottom, x:end] = np.reshape(colour, (3, 1, 1))
            boxes.append([left, top, right, top + HEIGHT])
            left = right + (0 if random.random() < 0.8 else int(random.integers(5, 20)))
    picture += random.normal(0, 6, picture.shape)
    return Scene(np.clip(picture, 0, 255).astype(np.uint8), boxes)


@pytest.mark.slow
def test_bottles_on_a_shelf_are_found_one_by_one():
    detector = Detector(steps=1500).fit([shelves(seed) for seed in range(10)], validation=0)
    scenes = [shelves(1000 + seed) for seed in range(20)]
    found = [detector.find(scene.picture, threshold=0.005) for scene in scenes]
    assert recall_at(found, scenes, 100) > 0.99
    assert average_precision(found, scenes) > 0.99
