"""Is there one anywhere: from a picture's highest score to a probability that can be believed.

Given what was found in scenes that the detector did not learn from; hands on two numbers for each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from wimmel.detection.boxes import areas, intersections, iou
from wimmel.detection.finds import Finds, Scene
from wimmel.report.canvas import counted

if TYPE_CHECKING:
    from wimmel.detection.learned.sweep import Swept

_RIGHT, _APART = 0.5, 0.3
_BELIEF = 0.5
_RIDGE = 1e-12
_ITERATIONS = 200
_CONVERGED = 1e-9
_LARGEST = 1e6


class Presence(NamedTuple):
    """Whether there is one anywhere in a picture, class by class.

    Attributes
    ----------
    class_names : tuple of str
    scores : float64 array (classes,)
        The highest that the network says anywhere, as log-odds.
    probabilities : float64 array (classes,)
        That the picture shows at least one. Calibrated, it is that for pictures of which as many show one as show none;
        uncalibrated, the network's own for the likeliest of many places.
    calibrated : tuple of bool
        For each class whether scenes with and without, which were not learned from, have decided its probability.
    """

    class_names: tuple[str, ...]
    scores: np.ndarray
    probabilities: np.ndarray
    calibrated: tuple[bool, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """An entry for each class in what JSON can hold."""
        each = zip(self.class_names, self.probabilities, self.calibrated, strict=True)
        return [
            {"class": name, "probability": round(float(probability), 6), "calibration": in_a_word(calibrated)}
            for name, probability, calibrated in each
        ]


class Calibration(NamedTuple):
    """From a picture's highest score of a class to the probability that it shows one, 1 / (1 + exp(-(a score + b))).

    Attributes
    ----------
    slope, offset : float
        a, which is not negative, and b.
    objects, without : int
        Objects, and scenes without any, that have decided them.
    """

    slope: float
    offset: float
    objects: int
    without: int

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """What `_asdict` gave.

        Raises
        ------
        ValueError
            If something is missing, unknown, or out of range.
        """
        if not isinstance(document, dict) or set(document) != set(cls._fields):
            raise ValueError("a calibration is not one that this version of wimmel knows")
        for name, value in document.items():
            whole = name in ("objects", "without")
            least = -_LARGEST if name == "offset" else int(whole)
            sound = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            if not sound or not least <= value <= _LARGEST:
                raise ValueError(f"{name} of a calibration is a number from {least:g} to {_LARGEST:g}; got {value!r}")
        return cls(**document)


Calibrations = tuple[Calibration | None, ...]
"""For each class; None where nothing is known, and probabilities are the network's own."""


def calibrations_from_json(document: Any, classes: int) -> Calibrations:
    """What a detector's file says of them; files of before there were any say nothing.

    Raises
    ------
    ValueError
        If they are not as they were written.
    """
    if document is None:
        return (None,) * classes
    if not isinstance(document, list) or len(document) != classes:
        raise ValueError(f"calibrations are a list of {classes}, one for each class")
    return tuple(None if each is None else Calibration.from_json(each) for each in document)


def presence(class_names: tuple[str, ...], scores: np.ndarray, calibrations: Calibrations) -> Presence:
    """What a picture's highest scores, as log-odds (classes,), say under calibrations."""
    lines = [(1.0, 0.0) if each is None else (each.slope, each.offset) for each in calibrations]
    slopes, offsets = np.array(lines).T
    calibrated = tuple(each is not None for each in calibrations)
    return Presence(class_names, scores, logistic(slopes * scores + offsets), calibrated)


def calibrations(swept: Sequence[Swept], scenes: Sequence[Scene], lowest: float) -> Calibrations:
    """For each class what scenes with and without it say, if there are both.

    Parameters
    ----------
    swept : sequence of Swept
        Scenes that were not learned from.
    scenes : sequence of Scene
        The same scenes.
    lowest : float
        The score down to which finds were asked for.
    """
    return tuple(_of_class(swept, scenes, label, lowest) for label in range(len(scenes[0].class_names)))


def _of_class(swept: Sequence[Swept], scenes: Sequence[Scene], label: int, lowest: float) -> Calibration | None:
    present: list[float] = []
    absent: list[float] = []
    for each, scene in zip(swept, scenes, strict=True):
        mine, score = scene.classes == label, each.presence.scores[label]
        if mine.any():
            finds, least = each.finds[each.finds.classes == label], min(score, log_odds(np.array(lowest)))
            present.extend(_alone(finds, scene.boxes[mine], scene.crowd[mine], least))
        else:
            absent.append(score)
    return fitted(np.array(present), np.array(absent)) if present and absent else None


def _alone(finds: Finds, there: np.ndarray, crowd: np.ndarray, least: float) -> np.ndarray:
    """For each object the highest score that its scene would have if it was the only one: of it, or of background."""
    scores = log_odds(finds.scores)
    shares = iou(finds.boxes, there[~crowd])
    crowded = intersections(finds.boxes, there[crowd]) >= _APART * np.maximum(areas(finds.boxes), 1e-9)[:, np.newaxis]
    background = (shares.max(axis=1, initial=0) < _APART) & ~crowded.any(axis=1)
    telling = (shares >= _RIGHT) | background[:, np.newaxis]
    return np.where(telling, scores[:, np.newaxis], least).max(axis=0, initial=least)


def fitted(present: np.ndarray, absent: np.ndarray) -> Calibration:
    """The line that makes probabilities of scores with and without, by logistic regression.

    Both kinds count the same together, however many there are of each: so that probabilities are those for pictures of
    which as many show one as show none. Scores are log-odds, so before anything is known the slope is believed to be 1,
    with a standard deviation of 0.5; that counts as much as one example of the rarer kind. The belief keeps the slope
    finite where few scores are all told apart, and does not keep probabilities from 0 and 1, as targets drawn in
    from there do.

    Parameters
    ----------
    present, absent : float64 arrays (n,) and (m,)
        Highest scores of pictures that show one and that show none, at least one each.

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines" (1999), whose targets are those; Newton's method with
    halved steps as Lin, Lin and Weng, "A note on Platt's probabilistic outputs" (2007).

    Examples
    --------
    >>> fitted(np.array([4.0, 6.0, 9.0]), np.array([-3.0, -1.0, 1.0])).slope > 0.8
    True
    """
    scores = np.concatenate((present, absent))
    targets = np.repeat((1.0, 0.0), (len(present), len(absent)))
    weights = np.repeat((1 / len(present), 1 / len(absent)), (len(present), len(absent)))
    belief = 1 / (_BELIEF**2 * min(len(present), len(absent)))
    features = np.stack((scores, np.ones(len(scores))), axis=1)

    def loss(line: np.ndarray) -> float:
        sums = features @ line
        return float(weights @ (np.logaddexp(0, sums) - targets * sums) + belief * (line[0] - 1) ** 2 / 2)

    line = np.array([1.0, -(present.mean() + absent.mean()) / 2])
    for _ in range(_ITERATIONS):
        believed = logistic(features @ line)
        slope = features.T @ (weights * (believed - targets)) + (belief * (line[0] - 1), 0)
        curvature = (features.T * (weights * believed * (1 - believed))) @ features
        curvature += np.diag((belief + _RIDGE, _RIDGE))
        step = np.linalg.solve(curvature, slope)
        length = 1.0
        while loss(line - length * step) > loss(line) - 1e-4 * length * (slope @ step) and length > _CONVERGED:
            length /= 2
        line = line - length * step
        if np.abs(slope).max() < _CONVERGED or length <= _CONVERGED:
            break
    if line[0] < 0:  # they rank the wrong way round, so they say nothing
        line = np.zeros(2)
    return Calibration(float(line[0]), float(line[1]), len(present), len(absent))


def logistic(scores: np.ndarray) -> np.ndarray:
    """Probabilities of log-odds, without overflow."""
    return np.exp(-np.logaddexp(0, -scores))


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """What `logistic` makes these probabilities of; finite for 1, too."""
    return np.log(probabilities) - np.log(np.maximum(1 - probabilities, 2.0**-53))


def in_words(calibrations: Calibrations) -> str:
    """Whether the probabilities that there is one anywhere can be believed, in a sentence."""
    known = [each for each in calibrations if each is not None]
    if not known:
        return (
            "Whether a picture shows one at all is uncalibrated: that takes scenes with objects and scenes without, "
            "both held out."
        )
    objects, without = min(each.objects for each in known), min(each.without for each in known)
    classes = "" if len(calibrations) == 1 else f"for {len(known)} of {len(calibrations)} classes "
    at_least = "" if len(known) == 1 else "at least "
    return (
        f"Whether a picture shows one at all is calibrated {classes}by {at_least}{counted(objects, 'object')} "
        f"and {counted(without, 'scene')} without."
    )


def in_a_word(calibrated: bool) -> str:
    return "calibrated" if calibrated else "uncalibrated"
