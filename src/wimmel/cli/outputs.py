"""Results: places for them, checked before the work begins and not after it, and what a model tells of its training.

Given the path that a person named; hands it on if it can be written to. Given a training; hands on its record.
"""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from typing import Any

from wimmel.data import Dataset
from wimmel.files.atomic import sentence_error
from wimmel.train import Evaluation, History
from wimmel.train.recipes import Recipe


def made_folder(path: Path) -> Path:
    """The folder, made if it is not there.

    Raises
    ------
    OSError
        If it cannot be made, or a file has its name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        sentence = f"{path} is a file; give the name of a folder"
        raise sentence_error(FileExistsError, errno.EEXIST, sentence) from None
    except OSError as error:
        raise sentence_error(type(error), error.errno, f"The folder {path} cannot be made: {error.strerror}") from error
    return path


def checked_file(path: Path, suffix: str) -> Path:
    """The path of a file to be written later: with the right suffix, in a folder that exists and may be written to.

    Raises
    ------
    ValueError
        If it has another suffix.
    OSError
        If it is a folder, or its folder does not exist or may not be written to.
    """
    if path.is_dir():
        raise sentence_error(IsADirectoryError, errno.EISDIR, f"{path} is a folder; give the name of a file in it")
    if path.suffix.lower() != suffix:
        raise ValueError(f"{path} should end in {suffix}, by which such files are known")
    folder = path.absolute().parent
    if not folder.is_dir():
        sentence = f"{path} cannot be written: there is no folder {folder}; create it first"
        raise sentence_error(FileNotFoundError, errno.ENOENT, sentence)
    if not os.access(folder, os.W_OK):
        sentence = f"{path} cannot be written: this account may not write to the folder {folder}"
        raise sentence_error(PermissionError, errno.EACCES, sentence)
    return path


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation's figures for JSON, null where one is not defined, and its mistakes, the surest first."""
    predictions, classes = evaluation.predictions, evaluation.classes
    mistakes = [
        {
            "index": int(place),
            "true": classes[evaluation.labels[place]],
            "predicted": classes[predictions[place]],
            "confidence": _defined(evaluation.probabilities[place, predictions[place]]),
        }
        for place in evaluation.mistakes
    ]
    return {
        **evaluation.to_json(),
        "loss": _defined(evaluation.loss),
        "precision": [_defined(share) for share in evaluation.precision],
        "recall": [_defined(share) for share in evaluation.recall],
        "mistakes": mistakes,
    }


def _defined(number: Any) -> float | None:
    return float(number) if math.isfinite(number) else None


def training_record(
    name: str, trained_on: int, validation: Dataset | None, recipe: Recipe, history: History, test: Evaluation | None
) -> dict[str, Any]:
    """How a model came to be, to be kept in its file and shown by `wimmel inspect`."""
    from importlib.metadata import version

    best = history.best
    return {
        "wimmel": version("wimmel"),
        "data": {
            "name": name,
            "trained_on": trained_on,
            "validation_pictures": 0 if validation is None else len(validation),
            "test_pictures": 0 if test is None else len(test.labels),
        },
        "recipe": recipe.to_json(),
        "epochs": len(history),
        "best_epoch": None if best is None else best.epoch,
        "validation_accuracy": None if best is None else best.validation_accuracy,
        "test_accuracy": None if test is None else test.accuracy,
        "interrupted": history.interrupted,
    }
