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


def mistakes_picture(dataset: Dataset, evaluation: Evaluation, path: str | os.PathLike[str], limit: int = 40) -> None:
    """Nothing; the file at `path` then shows the mistakes, the most confident first.

    Under each picture stand its true class (blue), what it was taken for and with what confidence (orange), and its
    place in the data set.

    Parameters
    ----------
    dataset : Dataset
        The one that was evaluated.
    evaluation : Evaluation
    path : str or path
        Ends in .png, .svg, .pdf or .jpg.
    limit : int, default 40
        How many mistakes to show at most.

    Raises
    ------
    ValueError
        If the evaluation is not of this data set, or the path's suffix is none of these.
    OSError
        If the file cannot be written; what stood there before stays.
    """
    probabilities = evaluation.probabilities
    if len(probabilities) != len(dataset):
        raise ValueError(
            f"The evaluation is of {counted(len(probabilities), 'picture')}, the data set has {len(dataset):,}; "
            "give the data set that was evaluated."
        )
    mistakes = evaluation.mistakes
    tiles = [_tile(dataset, int(place), probabilities[place]) for place in mistakes[:limit]]
    tiles_page(path, _title(len(mistakes), len(tiles), len(dataset)), _subtitle(len(tiles)), tiles)


def _tile(dataset: Dataset, place: int, probabilities: np.ndarray) -> Tile:
    taken = int(np.argmax(probabilities))
    true = shortened(dataset.classes[dataset.labels[place]], _LONGEST_NAME)
    lines = (
        Line(true, "", RIGHT, strong=True),
        Line(f"as {shortened(dataset.classes[taken], _LONGEST_NAME)}", percent(float(probabilities[taken])), WRONG),
        Line(f"#{place:,}", "", PALE),
    )
    return Tile(dataset.images[place], lines)


def _title(wrong: int, shown: int, total: int) -> str:
    if not wrong:
        return f"No mistakes among {counted(total, 'picture')}"
    mistakes = counted(wrong, "mistake")
    if shown < wrong:
        return f"The {shown} surest of {mistakes} among {counted(total, 'picture')}"
    return f"{mistakes} among {counted(total, 'picture')}"


def _subtitle(shown: int) -> str:
    return "Surest first: the true class, what it was taken for and how surely, its place in the data" if shown else ""
