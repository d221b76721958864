"""What was found in a picture, and what is truly there: boxes with classes as frozen values.

Given arrays; hands on values that are checked once, which metrics, pictures and writers share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wimmel.detection.boxes import as_boxes, clip
from wimmel.files import read_image

ONE_CLASS = ("object",)
"""The name of the class where nobody gave one."""

OVERLAP = 0.3
"""Of two finds of a class whose boxes' IoU is larger, the one with the lower score goes, unless asked otherwise."""


@dataclass(frozen=True, eq=False, repr=False)
class Finds:
    """Boxes found in a picture, with scores and classes; the arrays cannot be written through.

    Parameters
    ----------
    boxes : float array (n, 4)
        Left, top, right, bottom in pixels.
    scores : float array (n,)
    classes : integer array (n,), optional
        Places in `class_names`; by default all 0.
    class_names : sequence of str, default ("object",)
    poses : float array (n, 2), optional
        Scale and angle (degrees, anticlockwise) at which a template was found.

    Raises
    ------
    ValueError
        If the arrays do not fit together.

    Examples
    --------
    >>> found = Finds([[0, 0, 10, 20], [5, 5, 9, 9]], [0.5, 0.9])
    >>> found
    Finds(2 boxes, best score 0.9)
    >>> found.ordered()[:1].boxes
    array([[5., 5., 9., 9.]])
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray = field(default=None)  # type: ignore[arg-type]  # filled in when made
    class_names: tuple[str, ...] = ONE_CLASS
    poses: np.ndarray | None = None

    def __post_init__(self) -> None:
        boxes, names = as_boxes(self.boxes), tuple(self.class_names)
        scores = np.asarray(self.scores, np.float64)
        if scores.shape != (len(boxes),):
            raise ValueError(f"{len(boxes)} boxes need as many scores; got an array of shape {scores.shape}.")
        classes = _checked_classes(self.classes, len(boxes), names)
        poses = None if self.poses is None else np.asarray(self.poses, np.float64)
        if poses is not None and poses.shape != (len(boxes), 2):
            raise ValueError(f"{len(boxes)} boxes need poses of the shape ({len(boxes)}, 2); got {poses.shape}.")
        _set(self, boxes=boxes, scores=scores, classes=classes, class_names=names, poses=poses)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, places: slice | np.ndarray | Sequence[int]) -> Finds:
        """Those at the given places: a slice, whole numbers, or for each whether to keep it."""
        chosen = places if isinstance(places, slice) else np.asarray(places)
        if not isinstance(chosen, slice) and chosen.ndim != 1:
            raise TypeError(f"Finds are chosen by a slice or an array of one dimension; got {places!r}.")
        if isinstance(chosen, np.ndarray) and chosen.size == 0:
            chosen = chosen.astype(np.int64)
        poses = None if self.poses is None else self.poses[chosen]
        return Finds(self.boxes[chosen], self.scores[chosen], self.classes[chosen], self.class_names, poses)

    def __repr__(self) -> str:
        best = f", best score {self.scores.max():.3g}" if len(self) else ""
        return f"Finds({len(self):,} {'box' if len(self) == 1 else 'boxes'}{best})"

    def ordered(self) -> Finds:
        """The same, best score first; of equal ones the earlier first."""
        return self[np.argsort(-self.scores, kind="stable")]


@dataclass(frozen=True, eq=False, repr=False)
class Scene:
    """A picture and the objects that are truly in it.

    Parameters
    ----------
    picture : path, or uint8 array (rows, columns) or (1 or 3, rows, columns)
    boxes : float array (n, 4)
        Left, top, right, bottom in pixels, within the picture.
    classes : integer array (n,), optional
        Places in `class_names`; by default all 0.
    class_names : sequence of str, default ("object",)
    crowd : bool array (n,), optional
        Which boxes hold a crowd of objects that are not told apart: neither asked for nor held against, as COCO's
        ``iscrowd``. By default none.
    size : (rows, columns), optional
        Of the picture, if known; an array's is.

    Raises
    ------
    ValueError
        If the arrays do not fit together.

    Examples
    --------
    >>> scene = Scene(np.zeros((20, 30), np.uint8), [[1, 2, 11, 12]])
    >>> scene, scene.size, scene.pixels(channels=3).shape
    (Scene(array, 1 object), (20, 30), (3, 20, 30))
    """

    picture: Path | np.ndarray
    boxes: np.ndarray
    classes: np.ndarray = field(default=None)  # type: ignore[arg-type]  # filled in when made
    class_names: tuple[str, ...] = ONE_CLASS
    crowd: np.ndarray = field(default=None)  # type: ignore[arg-type]  # filled in when made
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        boxes, names = as_boxes(self.boxes), tuple(self.class_names)
        classes = _checked_classes(self.classes, len(boxes), names)
        crowd = np.zeros(len(boxes), bool) if self.crowd is None else np.asarray(self.crowd, bool)
        if crowd.shape != (len(boxes),):
            raise ValueError(f"{len(boxes)} boxes need as many crowd marks; got an array of shape {crowd.shape}.")
        picture, size = self.picture, self.size
        if isinstance(picture, np.ndarray):
            picture = _checked_pixels(picture)
            size = (picture.shape[1], picture.shape[2])
        else:
            picture = Path(picture)
        _set(self, picture=picture, boxes=boxes, classes=classes, class_names=names, crowd=crowd, size=size)

    def __len__(self) -> int:
        return len(self.boxes)

    def __repr__(self) -> str:
        picture = "array" if isinstance(self.picture, np.ndarray) else str(self.picture)
        return f"Scene({picture}, {len(self):,} {'object' if len(self) == 1 else 'objects'})"

    def pixels(self, channels: int | None = None) -> np.ndarray:
        """The picture itself as `files.read_image` gives it: uint8 (channels, rows, columns), upright.

        Parameters
        ----------
        channels : 1 or 3, optional
            By default as the picture is.

        Raises
        ------
        OSError, ImageError
            If the file is missing, truncated or no picture.
        """
        from wimmel.files import fit_image

        if isinstance(self.picture, np.ndarray):
            return fit_image(self.picture, None, channels)
        return read_image(self.picture, channels=channels)

    def crops(self, channels: int | None = None) -> Iterator[np.ndarray]:
        """What each box shows, to whole pixels outwards: uint8 (channels, rows, columns)."""
        pixels = self.pixels(channels)
        height, width = pixels.shape[1:]
        for left, top, right, bottom in clip(self.boxes, height, width):
            yield pixels[:, int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]


def _set(value: Finds | Scene, **fields: object) -> None:
    for name, content in fields.items():
        if isinstance(content, np.ndarray):
            content = content.view()
            content.flags.writeable = False
        object.__setattr__(value, name, content)


def _checked_classes(classes: np.ndarray | None, count: int, names: tuple[str, ...]) -> np.ndarray:
    labels = np.zeros(count, np.int64) if classes is None else np.asarray(classes)
    if labels.size == 0:
        labels = labels.astype(np.int64)
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{count} boxes need as many classes, whole numbers; got {labels.dtype} of shape {labels.shape}."
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < len(names)):
        raise ValueError(
            f"The classes go from 0 to {len(names) - 1}, the places of {', '.join(names)}; "
            f"got {labels.min()} to {labels.max()}."
        )
    return labels.astype(np.int64, copy=False)


def _checked_pixels(picture: np.ndarray) -> np.ndarray:
    planes = picture[np.newaxis] if picture.ndim == 2 else picture
    if planes.dtype != np.uint8 or planes.ndim != 3 or planes.shape[0] not in (1, 3) or 0 in planes.shape:
        raise ValueError(
            "A scene's picture is uint8, (rows, columns) or (1 or 3, rows, columns); "
            f"got {picture.dtype} of shape {picture.shape}."
        )
    return planes
