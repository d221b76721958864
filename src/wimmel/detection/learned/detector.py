"""`Detector`: learns what objects look like from scenes in which they are marked, and finds them in other pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, Self

import numpy as np

from wimmel import nn
from wimmel.detection.annotations import SceneSet
from wimmel.detection.finds import OVERLAP, Finds
from wimmel.detection.learned.calibration import Calibrations, calibrations, calibrations_from_json
from wimmel.detection.learned.examples import Pictures, as_scenes, parted
from wimmel.detection.learned.network import network
from wimmel.detection.learned.pyramid import as_piecewise
from wimmel.detection.learned.settings import Settings, settings_for
from wimmel.detection.learned.sweep import Swept, sweep
from wimmel.detection.learned.teaching import FAINT, Progress, Report, faint_finds, teach
from wimmel.detection.learned.view import surroundings
from wimmel.files import Piecewise, read_image_header
from wimmel.nn.saving import description

_ENTRY = "detector"
_DERIVED = frozenset({"class_names", "channels", "object_size", "spans"})


class Detector:
    """Finds what it was taught, in pictures of any size.

    Parameters
    ----------
    **given
        Settings that are not to be chosen from the scenes: fields of `detection.Settings`, such as ``steps=2000``,
        ``mirror=True`` or ``seed=1``.

    Attributes
    ----------
    settings : Settings or None
        None before `fit`, like the others.
    net : nn.Sequential or None
    calibrations : tuple of Calibration or None
        For each class how its highest score in a picture becomes the probability that the picture shows one.
    report : Report or None
        What `fit` did. None too after `load`; what the file says of it is in ``net.metadata["detector"]["report"]``.

    Raises
    ------
    TypeError
        For a setting that there is not.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scenes = rng.integers(90, 120, (3, 1, 60, 60)).astype(np.uint8)
    >>> for scene in scenes:
    ...     scene[0, 20:36, 12:28] = 255
    >>> boxes = [[[12, 20, 28, 36]]] * 3
    >>> detector = Detector(steps=30, batch_size=32).fit(scenes, boxes)
    >>> bool(np.abs(detector.find(scenes[0]).boxes[0] - boxes[0]).max() < 4)
    True
    """

    def __init__(self, **given: Any) -> None:
        known = {field.name for field in fields(Settings)} - _DERIVED
        if unknown := set(given) - known:
            raise TypeError(f"There is no setting {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}.")
        self._given = given
        self.settings: Settings | None = None
        self.net: nn.Sequential | None = None
        self.calibrations: Calibrations = ()
        self.report: Report | None = None

    def __repr__(self) -> str:
        if self.settings is None:
            return "Detector(not taught yet)"
        return f"Detector({', '.join(self.settings.class_names)})"

    def fit(
        self,
        scenes: Pictures,
        boxes: Sequence[Any] | None = None,
        *,
        classes: Sequence[Any] | None = None,
        class_names: Sequence[str] | None = None,
        validation: float | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Self:
        """Learns from scenes; every object in them should be marked, since what is not is taken for background.

        Parameters
        ----------
        scenes : SceneSet, sequence of Scene, or of uint8 arrays (rows, columns) or (1 or 3, rows, columns) and paths
        boxes : sequence of boxes (n, 4), one entry for each scene
            Left, top, right, bottom in pixels; where the scenes have none of their own. A scene without objects has [].
        classes : sequence of integer arrays (n,), optional
            Places in `class_names`; by default all are of one class.
        class_names : sequence of str, optional
        validation : float, optional
            The part of the scenes to hold out, 0 for none, to see how well it finds: of those with objects and of
            those without alike. By default 0.1 of 20 scenes or more; where there are scenes without objects, half of
            these and 0.2 of the others. If both kinds are held out, they calibrate the detector; see `calibrate`.
        progress : callable, optional
            Called with a `Progress` after each step.

        Returns
        -------
        Detector
            Itself.

        Raises
        ------
        ValueError, TypeError
            If there is nothing to learn from, or an argument is not as described.
        OSError, ImageError
            If a picture cannot be read.
        """
        examples = as_scenes(scenes, boxes, classes, class_names)
        settings = settings_for(examples, _channels(examples), **self._given)
        kept, held_out = parted(examples, validation, settings.seed)
        self.net, self.report = teach(settings, kept, held_out, progress)
        self.settings = settings
        self.calibrations = self.report.calibrations or (None,) * len(settings.class_names)
        return self

    def calibrate(
        self,
        scenes: Pictures,
        boxes: Sequence[Any] | None = None,
        *,
        classes: Sequence[Any] | None = None,
    ) -> Self:
        """Learns from scenes how probable it is that a picture shows an object at all, given its highest score.

        Each object counts as if it was the only one in its scene. Probabilities are those for pictures of which as many
        show one as show none.

        Parameters
        ----------
        scenes, boxes, classes
            As for `fit`, of the same class names; not those that it learned from, where it is too sure. Some must be
            without objects of a class, and some with, for the class to be calibrated by them; it is uncalibrated else.

        Returns
        -------
        Detector
            Itself.

        Raises
        ------
        RuntimeError
            If the detector was not taught yet.
        ValueError, TypeError
            If no class has scenes of both kinds, or an argument is not as described.
        OSError, ImageError
            If a picture cannot be read.

        References
        ----------
        Platt, "Probabilistic outputs for support vector machines" (1999).
        """
        settings, net = self._taught()
        names = None if boxes is None else settings.class_names
        examples = as_scenes(scenes, boxes, classes, names, to_learn=False)
        if examples.class_names != settings.class_names:
            raise ValueError(
                f"This detector knows {', '.join(settings.class_names)}, in this order; the scenes' classes are "
                f"{', '.join(examples.class_names)}."
            )
        found = calibrations(faint_finds(net, settings, examples), examples, FAINT)
        if not any(found):
            raise ValueError("To calibrate takes scenes with objects and scenes without; one kind is missing here.")
        self.calibrations = found
        if self.report is not None:
            self.report = replace(self.report, calibrations=found)
        return self

    def find(
        self,
        image: np.ndarray | str | os.PathLike[str] | Piecewise,
        *,
        threshold: float | None = None,
        overlap: float | None = None,
        limit: int | None = None,
    ) -> Finds:
        """The objects in a picture.

        Parameters
        ----------
        image : uint8 array (rows, columns) or (1 or 3, rows, columns), path, or Piecewise
            Of any size. One that is `Piecewise` is never in memory as a whole, nor is a TIFF in tiles or strips; other
            files may have up to 500 million pixels, or what `files.open_image` is asked to open. Files are turned
            upright as their camera says, and so are the boxes.
        threshold : float, default 0.5
            The probability to reach, above 0 and below 1.
        overlap : float, default 0.3
            Of two finds of a class whose boxes' IoU is larger, the one with the lower score goes.
        limit : int, default 100
            How many finds to give at most.

        Returns
        -------
        Finds
            Best first.

        Raises
        ------
        RuntimeError
            If the detector was not taught yet.
        ValueError, TypeError
            If an argument is not as described.
        OSError, ImageError
            If the picture's file cannot be read.
        """
        return self.look(image, threshold=threshold, overlap=overlap, limit=limit).finds

    def look(
        self,
        image: np.ndarray | str | os.PathLike[str] | Piecewise,
        *,
        threshold: float | None = None,
        overlap: float | None = None,
        limit: int | None = None,
    ) -> Swept:
        """What `find` finds, and beside it what the detector says about every place; takes and raises the same.

        Returns
        -------
        Swept
            With ``finds``; ``heat`` (rows, columns), which `detection.heat_map` lays over the picture; and
            ``presence``, the probability that there is one anywhere, and whether it is calibrated.
        """
        settings, net = self._taught()
        least = 0.5 if threshold is None else threshold
        most = 100 if limit is None else limit
        if not 0 < least < 1:
            raise ValueError(f"threshold is a probability above 0 and below 1; got {threshold!r}.")
        if most < 1:
            raise ValueError(f"limit must be at least 1; got {limit!r}.")
        picture = as_piecewise(image, settings.channels)
        closest = OVERLAP if overlap is None else overlap
        return sweep(net, settings, picture, least, closest, most, calibrations=self.calibrations)

    def view(
        self, image: np.ndarray | str | os.PathLike[str] | Piecewise, size: tuple[int, int] = (120, 160)
    ) -> np.ndarray:
        """What the network is given of a picture's best find and what is around it, for a look at its layers.

        Parameters
        ----------
        image : uint8 array (rows, columns) or (1 or 3, rows, columns), path, or Piecewise
            Where nothing is found, however improbable, its middle is taken.
        size : (rows, columns), default (120, 160)
            At most, in the network's pixels, of which an object is 40 long.

        Returns
        -------
        float32 array (channels, rows, columns)
            Which `report.feature_maps_picture` takes, together with `net`.

        Raises
        ------
        RuntimeError, ValueError, TypeError, OSError, ImageError
            As `find`.
        """
        settings, net = self._taught()
        picture = as_piecewise(image, settings.channels)
        return surroundings(picture, settings, sweep(net, settings, picture, FAINT, OVERLAP, 1).windows, size)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the detector to a safetensors file, whole or not at all; it is a network's file too.

        Raises
        ------
        RuntimeError
            If the detector was not taught yet.
        OSError
            If the file cannot be written; what stood there before stays.
        """
        settings, net = self._taught()
        net.save(path, classes=settings.class_names, detector=self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Settings, report and calibrations in what JSON can hold; all of the detector but its parameters.

        Raises
        ------
        RuntimeError
            If the detector was not taught yet.
        """
        settings, _ = self._taught()
        return {
            "settings": settings.to_json(),
            "report": None if self.report is None else self.report.to_json(),
            "calibrations": [None if each is None else each._asdict() for each in self.calibrations],
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The detector that `save` wrote; nothing in a file is executed.

        Raises
        ------
        ValueError
            If the file is truncated, of another kind, holds another network, or one that its settings do not describe.
        OSError
            If it is missing or cannot be read.
        """
        net = nn.load(path)
        entry = net.__dict__["metadata"].get(_ENTRY)
        if not isinstance(entry, dict):
            raise ValueError(f"{path} holds a network, but not a detector; wimmel teach and Detector.save write those.")
        try:
            settings = Settings.from_json(entry["settings"])
            if not isinstance(net, nn.Sequential) or description(net) != description(network(settings)):
                raise ValueError("its network is not the one of its settings")
            known = calibrations_from_json(entry.get("calibrations"), len(settings.class_names))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} does not describe a detector: {error}.") from error
        if not all(np.isfinite(array).all() for array in net.parameters().values()):
            raise ValueError(f"{path} holds a detector with numbers that are not finite.")
        detector = cls()
        detector.settings, detector.net, detector.calibrations = settings, net, known
        return detector

    def _taught(self) -> tuple[Settings, nn.Sequential]:
        if self.settings is None or self.net is None:
            raise RuntimeError("This detector was not taught yet: call fit with scenes and boxes, or load one.")
        return self.settings, self.net


def _channels(examples: SceneSet) -> int:
    """3 if a scene is in colour."""
    for scene in examples:
        picture = scene.picture
        if (len(picture) if isinstance(picture, np.ndarray) else read_image_header(picture).channels) == 3:
            return 3
    return 1
