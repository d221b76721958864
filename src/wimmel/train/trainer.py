"""The training loop: a network, an optimiser and data go in; the best parameters found and a history come out.

Everything drawn at random follows from the seed, the epoch, the step and the example's place, so that a training
repeated, or broken off and resumed, gives the same bits.
"""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from wimmel.data import Augmentation, Batches, Dataset, Preprocessing
from wimmel.files.atomic import sentence_error
from wimmel.functional import cross_entropy, random_key
from wimmel.geometry.whole_numbers import LARGEST_KEY, at_least
from wimmel.nn import Module
from wimmel.runtime import Compiled
from wimmel.runtime.backends import DEFAULT
from wimmel.train.checkpoint import Checkpoint, Progress, check_same, described, load_checkpoint, save_checkpoint
from wimmel.train.diagnosis import explained
from wimmel.train.display import Display
from wimmel.train.evaluation import all_scores, scorer
from wimmel.train.history import Epoch, History
from wimmel.train.inputs import (
    Examples,
    as_examples,
    check_labels,
    chosen_preprocessing,
    classifies,
    fingerprint,
    scores_shape,
)
from wimmel.train.interrupts import Interrupts
from wimmel.train.optim import Optimizer
from wimmel.train.schedules import NAMED, Schedule
from wimmel.train.step import Loss, TrainingStep

_VALIDATION_BATCH = 256


class Trainer:
    """What trains a network: the network, how it is to be moved, and by what it is judged.

    Parameters
    ----------
    net : Module
        Trained in place. Frozen parameters stay as they are.
    optimizer : Optimizer
        From `wimmel.optim`.
    loss : callable, default cross_entropy
        From (scores, labels) to one number; see `wimmel.losses`.
    preprocessing : Preprocessing, optional
        What turns uint8 pictures into the network's input, inside the step's graph. By default the network's own
        ``preprocessing``; if it has none, one fitted to the training pictures. Floats are given to the network as they
        are.
    augmentation : Augmentation, optional
        Random variations of the training pictures, which must then be uint8.
    batch_size : int, default 64
    schedule : callable or str, optional
        From the number of updates made to the next one's learning rate, such as those of `wimmel.schedules`; or
        "constant" (the default), "cosine" or "one-cycle": over the whole of `fit`, with the optimiser's learning rate
        as the first or, for "one-cycle", the highest.
    clip_norm : float, optional
        Gradients whose norm, over all parameters together, exceeds this are scaled down to it.
    seed : int, default 0
        Of order, augmentation, dropout and the choice of validation examples. First parameters are the network's own
        affair: ``net.initialize(seed)``.
    backend : str, default "native"

    Raises
    ------
    ValueError, TypeError
        For a setting out of its range.

    References
    ----------
    Lecture rows L14, L16 and L33.

    Examples
    --------
    >>> from wimmel import data, nn
    >>> from wimmel.train import optim
    >>> train, test = data.digits().take(600).split(0.25)
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).initialize(0)
    >>> history = Trainer(net, optim.Adam(0.01)).fit(train, validation=0.2, epochs=3, progress=False)
    >>> len(history), history.best.validation_accuracy > 0.8
    (3, True)
    """

    def __init__(
        self,
        net: Module,
        optimizer: Optimizer,
        loss: Loss = cross_entropy,
        *,
        preprocessing: Preprocessing | None = None,
        augmentation: Augmentation | None = None,
        batch_size: int = 64,
        schedule: Schedule | str | None = None,
        clip_norm: float | None = None,
        seed: int = 0,
        backend: str = DEFAULT,
    ) -> None:
        _check_settings(net, optimizer, loss, schedule, clip_norm)
        self.net = net
        self.optimizer = optimizer
        self.loss = loss
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.batch_size = at_least(batch_size, 1, "batch_size")
        self.schedule: Schedule | str = "constant" if schedule is None else schedule
        self.clip_norm = clip_norm
        self.seed = at_least(seed, 0, "seed", LARGEST_KEY)
        self.backend = backend

    def fit(
        self,
        train: Any,
        validation: Any = None,
        epochs: int = 10,
        *,
        early_stopping: int | None = None,
        checkpoint: Any = None,
        resume: Any = None,
        progress: bool = True,
        on_batch: Callable[[Progress], None] | None = None,
        on_epoch: Callable[[Epoch], None] | None = None,
    ) -> History:
        """Trains the network and returns the history; the network then has the parameters of the best epoch.

        That is the epoch with the highest validation accuracy, or the lowest validation loss where labels are not
        classes; without validation, the latest state counts. The network's ``preprocessing`` is set, and from a Dataset
        its ``classes``, so that `predict` and `save` know them. Ctrl-C ends the training after the batch under way,
        with the best parameters in the network and the history marked as interrupted; a second Ctrl-C does not wait.

        Every call begins anew from the network's present parameters, with a fresh state of the optimiser.

        Parameters
        ----------
        train : Dataset or (images, labels)
            Labels are classes (integers) or what else the loss takes. A last batch of only one example, which has no
            statistics, is left out.
        validation : Dataset, (images, labels) or float, optional
            A number is the part of the training examples, drawn once by the seed, to keep back for validation. Use no
            test data here: what the best epoch is chosen by says too much good of it.
        epochs : int, default 10
            In all: those before a resumed checkpoint count.
        early_stopping : int, optional
            Stop when this many epochs have passed since the best one.
        checkpoint : path-like, optional
            File to keep the state of the training and the best parameters in, written after every epoch and on Ctrl-C.
        resume : path-like, optional
            A checkpoint to go on from, as if the training had never stopped; data and settings must be the same.
        progress : bool, default True
            Show a bar and one line per epoch.
        on_batch, on_epoch : callable, optional
            Called after every batch and epoch with how far it is. They may raise KeyboardInterrupt to end the training.

        Returns
        -------
        History

        Raises
        ------
        NotFiniteError
            A ValueError: a number became infinite or not a number. Names the first operation that gave one.
        ValueError, TypeError
            If the data do not fit the network, labels are not among its outputs, or the checkpoint is of another
            training.
        OSError
            If a checkpoint cannot be read or written.
        """
        plan = self._planned(train, validation, epochs, early_stopping, checkpoint)
        run = _Run(self, plan)
        if resume is not None:
            run.restore(resume)
        with Interrupts() as interrupts, Display(epochs, progress) as display:
            try:
                while len(run.history) < epochs and not run.stops_early(early_stopping):
                    run.train_epoch(interrupts, display, on_batch)
                    record = run.finish_epoch(interrupts)
                    display.epoch_ends(record, plan.validation is not None and run.history.best is record)
                    if checkpoint is not None:
                        save_checkpoint(checkpoint, run.checkpoint())
                    if on_epoch is not None:
                        on_epoch(record)
                    interrupts.raise_if_asked()
            except KeyboardInterrupt:
                if interrupts.impatient:
                    raise
                if checkpoint is not None:
                    save_checkpoint(checkpoint, run.checkpoint())
                run.history = replace(run.history, interrupted=True)
                display.say(f"stopped by Ctrl-C in epoch {min(len(run.history) + 1, epochs)}")
            finally:
                if run.best is not None:
                    self.net.load_state_dict(run.best)
        return run.history

    def _planned(self, train: Any, validation: Any, epochs: int, early_stopping: int | None, checkpoint: Any) -> _Plan:
        """Everything that `fit` was given, checked before anything is computed."""
        at_least(epochs, 1, "epochs")
        if early_stopping is not None:
            at_least(early_stopping, 1, "early_stopping")
            if validation is None:
                raise ValueError("early_stopping needs validation data to see when to stop, for example validation=0.1")
        _check_folder(checkpoint)

        examples = as_examples(train, "train")
        held_out: Examples | None = None
        if isinstance(validation, (int, float)):
            examples, held_out = examples.split(validation, self.seed)
        elif validation is not None:
            held_out = as_examples(validation, "validation")
        if self.augmentation is not None and examples.images.dtype != np.uint8:
            raise TypeError(
                f"augmentation varies uint8 pictures, and the training images are {examples.images.dtype}; "
                "give them as uint8, 0 to 255, or leave augmentation out"
            )
        preprocessing = chosen_preprocessing(self.net, self.preprocessing, examples)
        for role, given in (("train", examples), ("validation", held_out)):
            if given is not None:
                check_labels(scores_shape(self.net, given.images, preprocessing), given, role)
        batches = Batches(
            cast(Dataset, examples),
            self.batch_size,
            self.seed,
            augmentation=self.augmentation,
            drop_last=len(examples) % self.batch_size == 1 and len(examples) > self.batch_size,
        )
        schedule = self.schedule
        if isinstance(schedule, str):
            schedule = NAMED[schedule](self.optimizer.learning_rate, epochs * len(batches))
        return _Plan(examples, held_out, preprocessing, batches, schedule)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a training works on, checked."""

    train: Examples
    validation: Examples | None
    preprocessing: Preprocessing | None
    batches: Batches
    schedule: Schedule


class _Run:
    """A training under way: all that changes while it goes on."""

    def __init__(self, trainer: Trainer, plan: _Plan) -> None:
        if not trainer.net.parameters():
            raise ValueError("the network has no parameter to train: there are none, or net.freeze() froze them all")
        self.trainer = trainer
        self.plan = plan
        net = trainer.net
        if plan.preprocessing is not None and plan.preprocessing != net.__dict__.get("preprocessing"):
            net.preprocessing = plan.preprocessing
        if isinstance(plan.train, Dataset) and plan.train.classes != net.__dict__.get("classes"):
            net.classes = plan.train.classes
        self.step = TrainingStep(
            net, trainer.optimizer, trainer.loss, plan.preprocessing, trainer.clip_norm, trainer.backend
        )
        self.scores: Compiled = scorer(net, plan.preprocessing, trainer.backend)
        self.history = History()
        self.progress = Progress()
        self.best: dict[str, np.ndarray] | None = None

    def train_epoch(
        self, interrupts: Interrupts, display: Display, on_batch: Callable[[Progress], None] | None
    ) -> None:
        """The rest of the epoch under way."""
        epoch = len(self.history)
        display.epoch_begins(epoch + 1, len(self.plan.batches), self.progress.batches)
        since = time.perf_counter()
        with closing(self.plan.batches.epoch(epoch, self.progress.batches)) as batches:
            for images, labels, indices in batches:
                key = random_key(self.trainer.seed, self.step.count)
                rate = self._rate()
                outcome = self.step(images, labels, rate, key)
                if not outcome.finite:
                    number = self.progress.batches + 1
                    raise explained(self.step, images, labels, indices, rate, key, epoch + 1, number)
                now = time.perf_counter()
                done = self.progress
                self.progress = Progress(
                    done.batches + 1,
                    done.examples + len(labels),
                    done.places + labels.size,
                    done.loss_sum + outcome.loss * len(labels),
                    None if outcome.right is None else (done.right or 0) + outcome.right,
                    done.seconds + (now - since),
                )
                since = now
                display.batch_ends(self.progress.batches, self.progress.loss_sum / self.progress.examples)
                if on_batch is not None:
                    on_batch(self.progress)
                interrupts.raise_if_asked()

    def stops_early(self, patience: int | None) -> bool:
        """Whether so many epochs have passed since the best one that the training ends here."""
        best = self.history.best
        stops = patience is not None and best is not None and len(self.history) - best.epoch >= patience
        self.history = replace(self.history, stopped_early=stops)
        return stops

    def finish_epoch(self, interrupts: Interrupts) -> Epoch:
        """Validates, records the epoch, and keeps the parameters if they are the best so far."""
        loss, accuracy = self._validated(interrupts)
        done = self.progress
        record = Epoch(
            epoch=len(self.history) + 1,
            loss=done.loss_sum / done.examples,
            accuracy=None if done.right is None else done.right / done.places,
            validation_loss=loss,
            validation_accuracy=accuracy,
            learning_rate=self._rate(-1),
            seconds=done.seconds,
            images_per_second=done.examples / done.seconds if done.seconds else 0.0,
        )
        self.history, self.progress = replace(self.history, epochs=(*self.history.epochs, record)), Progress()
        if self.plan.validation is not None and self.history.best is record:
            # copied, since a backend may write later values where these stand
            self.best = {name: value.copy() for name, value in self.trainer.net.state_dict().items()}
        return record

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            self._description(),
            self.trainer.net.state_dict(),
            self.step.state_dict(),
            self.step.count,
            self.history,
            self.progress,
            self.best,
        )

    def restore(self, path: Any) -> None:
        """Puts everything where a checkpoint left it."""
        kept = load_checkpoint(path)
        check_same(path, kept.description, self._description())
        self.step.load_state_dict(kept.optimizer, kept.steps)
        self.trainer.net.load_state_dict(kept.network)
        self.history = replace(kept.history, interrupted=False, stopped_early=False)
        self.progress, self.best = kept.progress, kept.best

    def _rate(self, later: int = 0) -> float:
        rate = float(self.plan.schedule(self.step.count + later))
        if not 0 <= rate < math.inf:
            raise ValueError(
                f"the schedule gave the learning rate {rate} for step {self.step.count + later}; "
                "a rate is finite and at least 0"
            )
        return rate

    def _validated(self, interrupts: Interrupts) -> tuple[float | None, float | None]:
        """Loss and accuracy on the validation examples, where there are any."""
        examples = self.plan.validation
        if examples is None:
            return None, None
        scores = all_scores(self.scores, examples.images, _VALIDATION_BATCH, interrupts.raise_if_asked)
        loss = float(self.trainer.loss(scores, examples.labels))
        if not classifies(scores.shape, examples.labels):
            return loss, None
        return loss, float(np.mean(np.argmax(scores, axis=1) == examples.labels))

    def _description(self) -> dict[str, Any]:
        """What must be the same for a training to go on, in what JSON can hold."""
        trainer, plan = self.trainer, self.plan
        return {
            "train": fingerprint(plan.train),
            "validation": fingerprint(plan.validation),
            "network": {
                name: [list(variable.value.shape), variable.value.dtype.name, variable.trainable]
                for name, variable in trainer.net.named_variables().items()
            },
            "architecture": repr(trainer.net),
            "optimizer": described(trainer.optimizer),
            "loss": described(trainer.loss),
            "preprocessing": described(plan.preprocessing),
            "augmentation": described(trainer.augmentation),
            "batch_size": trainer.batch_size,
            "schedule": described(plan.schedule),
            "clip_norm": trainer.clip_norm,
            "seed": trainer.seed,
        }


def _check_settings(net: Any, optimizer: Any, loss: Any, schedule: Any, clip_norm: Any) -> None:
    if not isinstance(net, Module):
        raise TypeError(f"Trainer was given {net!r} to train; it takes a network, a wimmel.nn.Module")
    needed = ("learning_rate", "initial", "update")
    if isinstance(optimizer, type) or not all(hasattr(optimizer, name) for name in needed):
        raise TypeError(f"Trainer was given the optimizer {optimizer!r}; it takes one such as wimmel.optim.Adam(1e-3)")
    if not callable(loss):
        raise TypeError(f"Trainer was given the loss {loss!r}; it takes a function of (scores, labels)")
    if isinstance(schedule, str) and schedule not in NAMED:
        raise ValueError(f"there is no schedule {schedule!r}; there are {', '.join(NAMED)} and wimmel.schedules")
    if not (schedule is None or isinstance(schedule, str) or callable(schedule)):
        raise TypeError(f"Trainer was given the schedule {schedule!r}; it takes a function from step to learning rate")
    if clip_norm is not None and not 0 < clip_norm < math.inf:
        raise ValueError(f"clip_norm was {clip_norm!r}; it is a number above 0, or None")


def _check_folder(checkpoint: Any) -> None:
    """Better now than after the first epoch."""
    if checkpoint is not None and not Path(checkpoint).absolute().parent.is_dir():
        sentence = f"The checkpoint {checkpoint} cannot be written: there is no folder {Path(checkpoint).parent}."
        raise sentence_error(FileNotFoundError, errno.ENOENT, sentence)
