"""How well things are found in scenes that nobody learned from: Wim among people, and digits on photographs.

A detector learns from 30 boxes in 10 scenes of Wim; beside it, on some of the same scenes, stand templates of ours and
of OpenCV's, each of one example. Digits have ten classes; MNIST and CIFAR-10 are looked for in the folder WIMMEL_DATA.

For each are printed: the share of scenes whose first box is right (IoU 0.5), average precision, recall among 10 and
among 100 finds, precision and recall at the score where these together are best (F1), seconds to a scene on one
thread, and seconds that teaching took on two. Then, of the probability that a scene shows Wim at all, the expected
calibration error on scenes with and without him, after it was calibrated by other scenes of both kinds.

    python benchmarks/finding.py [--part scenes] [--level hard] [--scenes 20] [-o finding.json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import wimmel as wm
from wimmel.bench.machine import description
from wimmel.cli.screen import Screen
from wimmel.data import read
from wimmel.detection import (
    LEVELS,
    Detector,
    Finder,
    Finds,
    Scene,
    Template,
    average_precision,
    iou,
    mosaic_scene,
    non_maximum_suppression,
    precision_recall,
    recall_at,
    reliability,
    teeming_scene,
)
from wimmel.detection.peaks import peaks
from wimmel.files import write_image

EXAMPLE_SEED, TRAINING_SEED, CALIBRATION_SEED, WITHOUT_SEED = 1_000_000, 2_000_000, 3_000_000, 4_000_000
"""Seeds of the scene that templates are cut from, and of the first scenes to learn from, to calibrate by, and without
Wim; those with him that are searched begin at 0."""

TRAINING_SCENES, WIMS = 10, 3
WIM = {"mirror": True}
"""Settings for people, who look either way."""

DIGITS = {"steps": 12_000, "positives": 0.5, "hidden": 0.2, "moved": 0.3}
"""Settings for ten classes and some thousand examples: each is seen more rarely, and less must be made of it."""

HEIGHTS = (26, 31, 37, 44, 52, 61)
THRESHOLDS = {"wimmel, taught": 0.005, "wimmel, template": 0.3, "opencv, template": 0.3}
"""The score from which on finds are looked at: a low one, since precision is asked for at every recall."""

Tell = Callable[[float, str], object]


@dataclass(frozen=True)
class Row:
    """What came of a finder and scenes; `teaching` is None for templates."""

    case: str
    finder: str
    scenes: int
    first_right: float
    average_precision: float
    among_10: float
    among_100: float
    precision: float
    recall: float
    seconds: float
    teaching: float | None = None


@dataclass(frozen=True)
class Believed:
    """How far the probability that a scene shows Wim can be believed, on so many scenes with him and without."""

    case: str
    scenes: int
    calibrated_by: int
    error: float
    brier: float


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

        cv2.setNumThreads(1)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("scenes", "calibration", "digits"), help="one alone")
    parser.add_argument("--level", choices=tuple(LEVELS), help="one alone")
    parser.add_argument("--scenes", type=int, default=200, help="to search, of each kind")
    parser.add_argument("--template-scenes", type=int, default=20, help="of those, how many templates search")
    parser.add_argument("--digit-scenes", type=int, default=1000, help="to learn digits from")
    parser.add_argument("--calibration-scenes", type=int, default=40, help="to calibrate by, of each kind")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the detector")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="JSON, written anew after every line")
    asked = parser.parse_args()
    try:
        given = dict(map(setting, asked.set))
        Detector(**given)
    except (TypeError, ValueError) as error:
        parser.error(str(error))
    chosen: list[Callable[[Tell], Iterable[Row | Believed]]] = []
    if asked.part != "digits":
        levels = [asked.level] if asked.level else LEVELS
        chosen += [partial(wim_found, name, asked, given) for name in levels]
    if asked.part in (None, "digits") and not asked.level:
        chosen.append(partial(digits_found, asked.scenes, asked.digit_scenes, given))
    settings = {"wim": WIM | given, "digits": DIGITS | given}
    document: dict[str, Any] = {"machine": description(), "settings": settings, "finding": [], "calibration": []}
    screen = Screen()
    screen.say(heading())
    for part in chosen:
        with screen.bar("Finding", 1) as bar:
            for row in part(bar.move):
                document["finding" if isinstance(row, Row) else "calibration"].append(asdict(row))
                screen.say(line(row) if isinstance(row, Row) else believed_line(row))
                if asked.output is not None:
                    asked.output.write_text(json.dumps(document, indent=2), encoding="utf-8")


def wim_found(name: str, asked: argparse.Namespace, given: dict[str, Any], tell: Tell) -> Iterable[Row | Believed]:
    """A level: the taught detector on all scenes that are searched, templates on the first few of them."""
    [picture] = teeming_scene(EXAMPLE_SEED, LEVELS["easy"].figures, hidden=0.0).crops()
    scales = tuple(height / picture.shape[1] for height in HEIGHTS)
    templates = {"opencv, template": OpenCV(picture, scales), "wimmel, template": Template(picture, scales)}
    with tempfile.TemporaryDirectory() as folder:
        draw = partial(drawn, name, Path(folder), tell)
        searched = draw(range(asked.scenes), 1)
        if asked.part != "calibration":
            for called, finder in templates.items():
                yield judged(name, called, finder, searched[: asked.template_scenes], tell)
        detector, seconds = taught(name, draw(seeds_from(TRAINING_SEED, TRAINING_SCENES), WIMS), WIM | given, tell)
        if asked.part != "calibration":
            yield replace(judged(name, "wimmel, taught", detector, searched, tell), teaching=seconds)
        if asked.part != "scenes":
            count = asked.calibration_scenes
            with_him = draw(seeds_from(CALIBRATION_SEED, count), 1)
            detector.calibrate(with_him + draw(seeds_from(CALIBRATION_SEED + count, count), 0))
            without = draw(seeds_from(WITHOUT_SEED, asked.scenes), 0)
            yield believed(name, detector, searched + without, count, tell)


def seeds_from(first: int, count: int) -> range:
    return range(first, first + count)


def digits_found(count: int, training: int, given: dict[str, Any], tell: Tell) -> Iterable[Row]:
    """Digits on mosaics of photographs; those to learn from are of the training parts, those searched of the tests."""
    folder = os.environ.get("WIMMEL_DATA")
    if folder is None:
        sys.exit("Digits need WIMMEL_DATA: a folder that holds mnist/ and cifar10/.")
    tell(0, "digits: reading")
    digits, grounds = (read(Path(folder) / name, progress=False) for name in ("mnist", "cifar10"))
    assert digits.test is not None and grounds.test is not None
    tell(0, "digits: drawing")
    learned = [mosaic_scene(TRAINING_SEED + number, digits.train, grounds.train) for number in range(training)]
    searched = [mosaic_scene(number, digits.test, grounds.test) for number in range(count)]
    detector, seconds = taught("digits", learned, DIGITS | given, tell)
    yield replace(judged("digits", "wimmel, taught", detector, searched, tell), teaching=seconds)


def drawn(name: str, folder: Path, tell: Tell, seeds: Sequence[int], wims: int) -> list[Scene]:
    """Scenes of a level whose pictures lie in files, so that memory holds one at a time."""
    scenes = []
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for scene in pool.map(partial(_drawn, name, wims, folder), seeds):
            scenes.append(scene)
            tell(len(scenes) / len(seeds), f"{name}: drawing")
    return scenes


def _drawn(name: str, wims: int, folder: Path, seed: int) -> Scene:
    level = LEVELS[name]
    scene = teeming_scene(seed, level.figures, wims, level.hidden)
    path = folder / f"{seed}.png"
    write_image(path, scene.pixels())
    return replace(scene, picture=path)


def taught(case: str, scenes: Sequence[Scene], given: dict[str, Any], tell: Tell) -> tuple[Detector, float]:
    """A detector, and the seconds that it took to learn."""
    detector = Detector(**given)
    begun = time.perf_counter()
    with wm.num_threads(2):
        detector.fit(scenes, validation=0, progress=lambda at: tell(at.step / at.steps, f"{case}: teaching"))
    return detector, time.perf_counter() - begun


def judged(case: str, called: str, finder: Finder, scenes: Sequence[Scene], tell: Tell) -> Row:
    """How well it finds what is in the scenes."""
    found, seconds = [], 0.0
    for scene in scenes:
        picture = scene.pixels()
        begun = time.thread_time()
        with wm.num_threads(1):
            found.append(finder.find(picture, threshold=THRESHOLDS[called]))
        seconds += time.thread_time() - begun
        tell(len(found) / len(scenes), f"{case}: {called}")
    return Row(
        case,
        called,
        len(scenes),
        float(np.mean([is_right(each[:1], scene) for each, scene in zip(found, scenes, strict=True)])),
        average_precision(found, scenes),
        recall_at(found, scenes, 10),
        recall_at(found, scenes, 100),
        *balanced(found, scenes),
        seconds / len(scenes),
    )


def believed(case: str, detector: Detector, scenes: Sequence[Scene], calibrated_by: int, tell: Tell) -> Believed:
    """What the detector's probabilities that the scenes show Wim at all are worth."""
    probabilities = []
    for scene in scenes:
        probabilities.append(float(detector.look(scene.pixels()).presence.probabilities[0]))
        tell(len(probabilities) / len(scenes), f"{case}: calibration")
    table = reliability(probabilities, [len(scene) > 0 for scene in scenes])
    return Believed(case, len(scenes) // 2, calibrated_by, table.error, table.brier)


def is_right(first: Finds, scene: Scene) -> bool:
    """Whether there is a find, on an object of its class."""
    return len(first) > 0 and bool(
        iou(first.boxes, scene.boxes[scene.classes == first.classes[0]]).max(initial=0) >= 0.5
    )


def balanced(found: Sequence[Finds], scenes: Sequence[Scene]) -> tuple[float, float]:
    """Precision and recall at the score where F1, their harmonic mean, is largest; of several classes their means."""
    best = []
    for label in np.unique(np.concatenate([scene.classes for scene in scenes])):
        _, precision, recall = precision_recall(found, scenes, label=int(label))
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
        place = int(f1.argmax()) if len(f1) else None
        best.append((0.0, 0.0) if place is None else (precision[place], recall[place]))
    precision, recall = np.mean(best, axis=0)
    return float(precision), float(recall)


def setting(text: str) -> tuple[str, Any]:
    """A setting as it was typed, such as steps=2000 or widths=[16,24,48,48,64]."""
    name, _, value = text.partition("=")
    read = json.loads(value)
    return name, tuple(read) if isinstance(read, list) else read


def heading() -> str:
    return (
        f"{'':7} {'finder':17} {'scenes':>6} {'first right':>11} {'AP':>6} {'in 10':>6} {'in 100':>6} "
        f"{'precision':>9} {'recall':>6} {'seconds':>8} {'teaching':>8}"
    )


def line(row: Row) -> str:
    teaching = "" if row.teaching is None else f"{row.teaching:.0f} s"
    return (
        f"{row.case:7} {row.finder:17} {row.scenes:6} {row.first_right:11.1%} {row.average_precision:6.3f} "
        f"{row.among_10:6.1%} {row.among_100:6.1%} {row.precision:9.1%} {row.recall:6.1%} {row.seconds:8.3f} "
        f"{teaching:>8}"
    )


def believed_line(row: Believed) -> str:
    return (
        f"{row.case:7} is he there?      {row.scenes:6} with and {row.scenes} without: calibration error "
        f"{row.error:.3f}, Brier score {row.brier:.3f}; calibrated by {row.calibrated_by} and {row.calibrated_by}"
    )


if __name__ == "__main__":
    main()
