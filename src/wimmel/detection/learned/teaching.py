"""Teaching: windows of objects and of background, and now and then a sweep of the scenes for what is wrongly found.

Given settings and scenes; hands on a network that has learned, and what was done for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from wimmel import nn
from wimmel.detection.finds import OVERLAP, Scene
from wimmel.detection.learned.calibration import Calibrations, calibrations, in_words
from wimmel.detection.learned.network import loss_of, network
from wimmel.detection.learned.pyramid import WholePicture
from wimmel.detection.learned.samples import Grounds, batch
from wimmel.detection.learned.settings import Settings
from wimmel.detection.learned.sweep import Swept, sweep
from wimmel.detection.metrics import average_precision, recall_at
from wimmel.functional import random_key
from wimmel.report.canvas import counted
from wimmel.train import optim, schedules
from wimmel.train.step import TrainingStep

PROPOSALS = (1, 10, 100)
"""Numbers of finds among which a report looks for the objects."""

FAINT = 0.005
"""The score from which on finds are judged: a low one, since what is ranked need not be probable."""

_FIRST_ROUND, _LAST_ROUND = 0.12, 0.85
_MOST_WRONG = 60
_CLIP_NORM = 10.0


class Progress(NamedTuple):
    """How far teaching is: steps done of all, the latest losses' mean, and how many wrong finds are remembered."""

    step: int
    steps: int
    loss: float
    wrong: int


@dataclass(frozen=True)
class Report:
    """What was done to teach a detector.

    Attributes
    ----------
    scenes, objects : int
        Scenes learned from, and objects in them.
    steps : int
    wrong_finds : tuple of int
        For each sweep of the scenes how many wrong finds were remembered after it.
    losses : tuple of float
        Mean losses of tenths of the steps, or of single steps where there are fewer.
    held_out : int
        Scenes that were kept back, and are what the following says.
    average_precision : float or None
        At an IoU of 0.5; None if nothing was held out, or no object is in it.
    recalls : dict of int to float
        The share of held-out objects that are among so many best finds of their scene.
    calibrations : tuple of Calibration or None
        For each class, what scenes that were not learned from say about its scores; empty if there were none.
    """

    scenes: int
    objects: int
    steps: int
    wrong_finds: tuple[int, ...]
    losses: tuple[float, ...]
    held_out: int = 0
    average_precision: float | None = None
    recalls: dict[int, float] | None = None
    calibrations: Calibrations = ()

    def to_json(self) -> dict[str, Any]:
        """The report in what JSON can hold; without the calibrations, which belong to the detector."""
        recalls = None if self.recalls is None else {str(count): share for count, share in self.recalls.items()}
        lists = {"wrong_finds": list(self.wrong_finds), "losses": list(self.losses), "recalls": recalls}
        document = {**asdict(self), **lists}
        del document["calibrations"]
        return document

    def __str__(self) -> str:
        losses = f"loss {self.losses[0]:.3f} at first, {self.losses[-1]:.3f} at last"
        seen = f"{counted(self.objects, 'object')} in {counted(self.scenes, 'scene')}"
        done = f"Learned from {seen} in {counted(self.steps, 'step')} ({losses})."
        if self.wrong_finds:
            done += f" It learned from {counted(self.wrong_finds[-1], 'wrong find')} of its own too."
        return f"{done} {self._judgement()} {in_words(self.calibrations)}"

    def _judgement(self) -> str:
        if not self.held_out:
            return "No scene was held out, so how well it finds is not known."
        if self.average_precision is None or self.recalls is None:
            return f"In {counted(self.held_out, 'scene')} held out there is no object."
        recalls = ", ".join(f"{share:.0%} among {count}" for count, share in self.recalls.items())
        return (
            f"On {counted(self.held_out, 'scene')} held out: average precision {self.average_precision:.3f}; "
            f"of the objects are among a scene's best finds: {recalls}."
        )


def teach(
    settings: Settings,
    scenes: Sequence[Scene],
    held_out: Sequence[Scene] = (),
    progress: Callable[[Progress], object] | None = None,
) -> tuple[nn.Sequential, Report]:
    """A network taught to find the scenes' objects; the same settings and scenes give the same bits.

    Raises
    ------
    ValueError
        If a number overflowed, such as by too high a learning rate.
    OSError, ImageError
        If a picture cannot be read.
    """
    grounds = Grounds.of(settings, scenes)
    net = network(settings).initialize(settings.seed)
    step = TrainingStep(net, optim.Adam(settings.learning_rate), loss_of(settings), clip_norm=_CLIP_NORM)
    schedule = schedules.OneCycle(settings.learning_rate, settings.steps, rise=0.1)
    rounds, key = _rounds(settings), random_key(settings.seed)
    wrong, swept, losses, counts = np.zeros((0, 4)), 0, [], []
    with ThreadPoolExecutor(1) as ahead:  # the next batch is cut while a step runs
        following = ahead.submit(batch, grounds, wrong, 0)
        for number in range(settings.steps):
            if number in rounds:
                wrong, swept = _with_wrong_finds(net, grounds, wrong, swept)
                counts.append(len(wrong))
                following = ahead.submit(batch, grounds, wrong, number)
            windows, targets = following.result()
            if number + 1 < settings.steps and number + 1 not in rounds:
                following = ahead.submit(batch, grounds, wrong, number + 1)
            outcome = step(windows, targets, schedule(number), key)
            if not outcome.finite:
                raise ValueError(
                    f"In step {number + 1} of teaching a number was not finite; a learning_rate below "
                    f"{settings.learning_rate:g} helps."
                )
            losses.append(outcome.loss)
            if progress is not None:
                progress(Progress(number + 1, settings.steps, float(np.mean(losses[-20:])), len(wrong)))
    tenths = [float(np.mean(part)) for part in np.array_split(np.array(losses), min(10, len(losses)))]
    report = Report(len(scenes), len(grounds.boxes), settings.steps, tuple(counts), tuple(tenths))
    return net, report if not held_out else _judged(net, settings, report, held_out)


def _rounds(settings: Settings) -> set[int]:
    """The steps before which the scenes are swept."""
    parts = np.linspace(_FIRST_ROUND, _LAST_ROUND, settings.rounds)
    return {int(part * settings.steps) for part in parts}


def _with_wrong_finds(net: nn.Sequential, grounds: Grounds, wrong: np.ndarray, swept: int) -> tuple[np.ndarray, int]:
    """What was wrongly found so far and in the next scenes, the newest last; and how many scenes were swept so far."""
    settings, pixels, begun = grounds.settings, 0, swept
    found = [wrong]
    while pixels < settings.swept_pixels and swept - begun < len(grounds.scenes):
        scene = swept % len(grounds.scenes)
        picture = grounds.pictures[scene]
        finds, windows, *_ = sweep(net, settings, picture, FAINT, OVERLAP, 2 * _MOST_WRONG)
        elsewhere = grounds.show_background(np.full(len(finds.boxes), scene), finds.boxes)
        errors = windows[elsewhere][:_MOST_WRONG]
        found.append(np.column_stack((np.full(len(errors), scene), errors)))
        pixels += picture.shape[1] * picture.shape[2]
        swept += 1
    together = np.concatenate(found)
    _, first = np.unique(together[::-1], axis=0, return_index=True)
    newest = np.sort(len(together) - 1 - first)
    return together[newest][-settings.kept :] if settings.kept else together[:0], swept


def faint_finds(net: nn.Sequential, settings: Settings, scenes: Sequence[Scene]) -> list[Swept]:
    """What the network finds in scenes, be it ever so improbable."""
    pictures = (WholePicture(scene.pixels(settings.channels)) for scene in scenes)
    return [sweep(net, settings, picture, FAINT, OVERLAP, max(PROPOSALS)) for picture in pictures]


def _judged(net: nn.Sequential, settings: Settings, report: Report, scenes: Sequence[Scene]) -> Report:
    """The report with how well the network finds what is in other scenes, and what they say about its scores."""
    swept = faint_finds(net, settings, scenes)
    report = replace(report, held_out=len(scenes), calibrations=calibrations(swept, scenes, FAINT))
    if not any((~scene.crowd).any() for scene in scenes):
        return report
    found = [each.finds for each in swept]
    recalls = {count: recall_at(found, scenes, count) for count in PROPOSALS}
    return replace(report, average_precision=average_precision(found, scenes), recalls=recalls)
