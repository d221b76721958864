"""How well Wim is found in scenes that teem with people, by one example of him: OpenCV's template matching and ours.

Prints, for each level, the share of scenes whose first box is right (IoU 0.5), average precision, recall at 10 and at
100 proposals, and seconds to a scene, over scenes of other seeds than the example's.

    python benchmarks/finding.py [--scenes 20]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from wimmel.detection import (
    LEVELS,
    Finder,
    Finds,
    Scene,
    Template,
    average_precision,
    iou,
    non_maximum_suppression,
    recall_at,
    teeming_scene,
)
from wimmel.detection.peaks import peaks

EXAMPLE_SEED = 1_000_000
HEIGHTS = (26, 31, 37, 44, 52, 61)
THRESHOLD = 0.3


class OpenCV:
    """`cv2.matchTemplate` at several scales, its peaks taken as a template of ours takes them."""

    def __init__(self, picture: np.ndarray, scales: Sequence[float]) -> None:
        self.picture, self.scales = picture, scales

    def find(
        self,
        image: np.ndarray,
        *,
        threshold: float | None = None,
        overlap: float | None = None,
        limit: int | None = None,
    ) -> Finds:
        import cv2

        searched = np.ascontiguousarray(image.transpose(1, 2, 0))
        boxes, scores = [np.zeros((0, 4))], [np.zeros(0)]
        for scale in self.scales:
            whole = np.ascontiguousarray(self.picture.transpose(1, 2, 0))
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            template = cv2.resize(whole, None, fx=scale, fy=scale, interpolation=how)
            found = peaks(cv2.matchTemplate(searched, template, cv2.TM_CCOEFF_NORMED), threshold or 0.7, 1000)
            corners = found.places[:, ::-1]
            boxes.append(np.concatenate((corners, corners + template.shape[1::-1]), axis=1))
            scores.append(found.scores)
        every, best = np.concatenate(boxes), np.concatenate(scores)
        kept = non_maximum_suppression(every, best, overlap=overlap or 0.3, limit=limit or 100)
        return Finds(every[kept], best[kept])


def measured(finder: Finder, scenes: Sequence[Scene]) -> tuple[float, float, float, float, float]:
    """First boxes right, average precision, recall at 10 and at 100, and seconds of this thread's time to a scene."""
    begun = time.thread_time()
    found = [finder.find(scene.pixels(), threshold=THRESHOLD) for scene in scenes]
    seconds = (time.thread_time() - begun) / len(scenes)
    found = [Finds(each.boxes, each.scores) for each in found]
    first = [
        len(each) > 0 and iou(each.boxes[:1], scene.boxes).max() >= 0.5
        for each, scene in zip(found, scenes, strict=True)
    ]
    recalls = (recall_at(found, scenes, proposals) for proposals in (10, 100))
    return float(np.mean(first)), average_precision(found, scenes), *recalls, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=20, help="to a level")
    settings = parser.parse_args()
    example = teeming_scene(EXAMPLE_SEED, LEVELS["easy"].figures, hidden=0.0)
    [picture] = example.crops()
    scales = tuple(height / picture.shape[1] for height in HEIGHTS)
    finders: dict[str, Finder] = {
        "opencv, template": OpenCV(picture, scales),
        "wimmel, template": Template(picture, scales),
    }
    print(f"{'level':8} {'finder':18} {'first right':>11} {'AP':>6} {'at 10':>6} {'at 100':>6} {'seconds':>8}")
    for name, level in LEVELS.items():
        scenes = [teeming_scene(seed, level.figures, hidden=level.hidden) for seed in range(settings.scenes)]
        for called, finder in finders.items():
            first, precision, few, many, seconds = measured(finder, scenes)
            print(
                f"{name:8} {called:18} {first:11.0%} {precision:6.3f} {few:6.0%} {many:6.0%} {seconds:8.2f}", flush=True
            )


if __name__ == "__main__":
    main()
