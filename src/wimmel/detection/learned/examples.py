"""What a detector is given to learn from, checked, and what of it is held out.

Given scenes as they come, or pictures and boxes beside them; hands on sets of scenes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wimmel.detection.annotations import SceneSet
from wimmel.detection.boxes import as_boxes
from wimmel.detection.finds import ONE_CLASS, Scene
from wimmel.files import read_image_header

Pictures = Sequence[Scene] | Sequence[np.ndarray | str | os.PathLike[str]]

_SMALLEST = 4
_ENOUGH = 20
_HELD_OUT = 0.1
_HELD_OUT_TO_CALIBRATE = 0.2, 0.5


def as_scenes(
    pictures: Pictures,
    boxes: Sequence[np.ndarray | Sequence[Sequence[float]]] | None = None,
    classes: Sequence[np.ndarray | Sequence[int]] | None = None,
    class_names: Sequence[str] | None = None,
    to_learn: bool = True,
) -> SceneSet:
    """Scenes with at least two objects, and of each class at least one, unless they are not to be learned from.

    Parameters
    ----------
    pictures : SceneSet, sequence of Scene, or of arrays and paths
    boxes : sequence of boxes (n, 4), one entry for each picture
        Left, top, right, bottom in pixels; where the pictures are no scenes.
    classes : sequence of integer arrays (n,), optional
        Places in `class_names`; by default all are of one class.
    class_names : sequence of str, optional
        By default "object", or "class 0", "class 1" and so on.
    to_learn : bool, default True
        Whether there must be enough to learn from.

    Raises
    ------
    ValueError
        If there is nothing to learn from: too few objects, a class without any, objects that are not within their
        picture or smaller than 4 pixels; or if the arguments do not fit together.
    OSError, ImageError
        If a picture cannot be read.
    """
    if isinstance(pictures, str | os.PathLike) or (isinstance(pictures, np.ndarray) and pictures.ndim != 4):
        raise TypeError("Scenes are given as a list of pictures, or as a SceneSet; for one picture: [picture].")
    given = list(pictures)
    if not given:
        raise ValueError("There is no scene to learn from.")
    if all(isinstance(each, Scene) for each in given):
        if boxes is not None or classes is not None or class_names is not None:
            raise ValueError("These scenes have boxes and classes of their own; leave out boxes, classes, class_names.")
        scenes = [_with_size(scene) for scene in given]  # type: ignore[arg-type]
    else:
        scenes = _made(given, boxes, classes, class_names)
    if len({scene.class_names for scene in scenes}) != 1:
        raise ValueError("The scenes do not all have the same class names, in the same order.")
    examples = SceneSet(tuple(scenes), scenes[0].class_names)
    if to_learn:
        _check(examples)
    return examples


def parted(examples: SceneSet, validation: float | None, seed: int) -> tuple[SceneSet, SceneSet | tuple[()]]:
    """The scenes to learn from, each class among them, and those held out.

    Parameters
    ----------
    examples : SceneSet
    validation : float or None
        Which part to hold out, of scenes with objects and of scenes without alike; None chooses, see `Detector.fit`.
    seed : int

    Raises
    ------
    ValueError
        If it is no part, or too little is left to learn from.
    """
    if validation is not None and not 0 <= validation < 1:
        raise ValueError(f"validation is a part of the scenes, from 0 to below 1; got {validation!r}.")
    kinds = [
        SceneSet(tuple(scene for scene in examples if bool(len(scene)) is shows), examples.class_names)
        for shows in (True, False)
    ]
    parts = (validation, validation) if validation is not None else _parts_to_hold_out(*map(len, kinds))
    kept, held_out = examples[:0], examples[:0]
    for kind, part in zip(kinds, parts, strict=True):
        rest, away = kind.split(part, seed) if part and len(kind) > 1 else (kind, kind[:0])
        kept, held_out = _joined(kept, rest), _joined(held_out, away)
    if not len(held_out):
        return examples, ()
    try:
        as_scenes(kept)
    except ValueError as error:
        if validation is None:
            return examples, ()
        raise ValueError(
            f"With {len(held_out)} of {len(examples)} scenes held out, too little is left to learn from: {error}"
        ) from error
    return kept, held_out


def _parts_to_hold_out(showing: int, empty: int) -> tuple[float, float]:
    """Of how many scenes with objects and without which parts to hold out, where nobody said."""
    if empty > 1:
        return _HELD_OUT_TO_CALIBRATE
    return (_HELD_OUT if showing + empty >= _ENOUGH else 0.0), 0.0


def _joined(some: SceneSet, more: SceneSet) -> SceneSet:
    return SceneSet(some.scenes + more.scenes, some.class_names)


def _made(
    pictures: list, boxes: Sequence | None, classes: Sequence | None, class_names: Sequence[str] | None
) -> list[Scene]:
    if boxes is None:
        raise ValueError("Pictures need boxes, a list of them for each picture; those of read_annotations have some.")
    labels = [None] * len(pictures) if classes is None else list(classes)
    if not len(pictures) == len(boxes) == len(labels):
        raise ValueError(
            f"{len(pictures)} pictures need as many entries of boxes and classes; got {len(boxes)} and {len(labels)}."
        )
    if class_names is None:
        highest = max((int(np.max(each)) for each in labels if each is not None and np.size(each)), default=0)
        class_names = ONE_CLASS if highest == 0 else tuple(f"class {label}" for label in range(highest + 1))
    names = tuple(class_names)
    return [
        _with_size(Scene(picture, as_boxes(each), _as_labels(label, len(each)), names))
        for picture, each, label in zip(pictures, boxes, labels, strict=True)
    ]


def _as_labels(labels: Sequence[int] | np.ndarray | None, count: int) -> np.ndarray:
    return np.zeros(count, np.int64) if labels is None else np.asarray(labels)


def _with_size(scene: Scene) -> Scene:
    if scene.size is not None or isinstance(scene.picture, np.ndarray):
        return scene
    header = read_image_header(scene.picture)
    return replace(scene, size=(header.height, header.width))


def _check(examples: SceneSet) -> None:
    for number, scene in enumerate(examples):
        rows, columns = scene.size  # type: ignore[misc]  # _with_size has seen to it
        sides = scene.boxes[:, 2:] - scene.boxes[:, :2]
        name = f"scene {number}" if isinstance(scene.picture, np.ndarray) else str(scene.picture)
        beyond = np.any((scene.boxes < -1) | (scene.boxes > (columns + 1, rows + 1) * 2), axis=1)
        for place in np.flatnonzero(beyond | (sides.max(axis=1, initial=0) < _SMALLEST) | (sides <= 0).any(axis=1)):
            box = [round(float(edge), 1) for edge in scene.boxes[place]]
            why = f"does not lie within its {columns}x{rows} pixels"
            if not beyond[place]:
                why = f"is too small to learn from; the longer side must have at least {_SMALLEST} pixels"
            raise ValueError(f"Box {place} of {name}, {box}, {why}.")
    counts = np.sum([_counts(scene) for scene in examples], axis=0)
    if counts.sum() == 0:
        raise ValueError(f"None of the {len(examples)} scenes has a box, so there is no example to learn from.")
    if (counts == 0).any():
        without = ", ".join(name for name, count in zip(examples.class_names, counts, strict=True) if count == 0)
        raise ValueError(f"There is no example of {without}; mark some, or leave the class out.")
    if counts.sum() == 1:
        raise ValueError(
            "There is only one example, from which nothing can be learned; give more, or look for it as it is: "
            "wm.find(template, picture) in Python, wimmel find TEMPLATE PICTURES on the command line."
        )


def _counts(scene: Scene) -> np.ndarray:
    return np.bincount(scene.classes[~scene.crowd], minlength=len(scene.class_names))
