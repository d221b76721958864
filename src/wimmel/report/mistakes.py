"""A page of the mistakes that a network was surest of: they tell more about it than its accuracy does.

Given a data set and its evaluation; hands on a picture file.
"""

from __future__ import annotations

import os

import numpy as np

from wimmel.data import Dataset
from wimmel.report.canvas import PALE, RIGHT, WRONG, counted, percent, shortened
from wimmel.report.tiles import Line, Tile, tiles_page
from wimmel.train import Evaluation

_LONGEST_NAME = 18


def mistakes_picture(dataset: Dataset, evaluation: Evaluation, path: str | os.PathLike[str], limit: int = 48) -> None:
    """Nothing; the file at `path` then shows the mistakes, the most confident first.

    Under each picture stand its true class (blue), what it was taken for and with what confidence (orange), and its place
    in the data set.

    Parameters
    ----------
    dataset : Dataset
        The one that was evaluated.
    evaluation : Evaluation
    path : str or path
        Ends in .png, .svg, .pdf or .jpg.
    limit : int, default 48
        How many mistakes to show at most.

    Raises
    ------
    ValueError
        If the evaluation is not of this data set, or the path's suffix is none of these.
    OSError
        If the file cannot be written; what stood there before stays.
    """
    predictions, probabilities = evaluation.predictions, evaluation.probabilities
    if len(predictions) != len(dataset):
        raise ValueError(
            f"The evaluation is of {counted(len(predictions), 'picture')}, the data set has {len(dataset):,}; "
            "give the data set that was evaluated."
        )
    wrong = np.flatnonzero(predictions != dataset.labels)
    confidence = probabilities[wrong, predictions[wrong]]
    order = wrong[np.argsort(-confidence, kind="stable")]
    tiles = [
        Tile(
            dataset.images[place],
            (
                Line(shortened(dataset.classes[dataset.labels[place]], _LONGEST_NAME), RIGHT, strong=True),
                Line(
                    f"not {shortened(dataset.classes[predictions[place]], _LONGEST_NAME)} "
                    f"{percent(float(probabilities[place, predictions[place]]))}",
                    WRONG,
                ),
                Line(f"picture {place:,}", PALE),
            ),
        )
        for place in order[:limit]
    ]
    tiles_page(path, _title(len(wrong), len(tiles), len(dataset)), _subtitle(len(tiles)), tiles)


def _title(wrong: int, shown: int, total: int) -> str:
    if not wrong:
        return f"No mistakes among {counted(total, 'picture')}"
    mistakes = counted(wrong, "mistake")
    if shown < wrong:
        return f"The {shown} surest of {mistakes} among {counted(total, 'picture')}"
    return f"{mistakes} among {counted(total, 'picture')}"


def _subtitle(shown: int) -> str:
    return "Surest first: the true class, what it was taken for and with what confidence" if shown else ""
