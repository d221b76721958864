"""The confusion matrix as a picture: what each class was taken for, with the mistakes in a colour of their own.

Given an evaluation; hands on a picture file that stays readable from 2 classes to some 200.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from wimmel.report.canvas import (
    INK,
    LINE,
    PALE,
    PAPER,
    RIGHT,
    WRONG,
    axes_at,
    counted,
    heading,
    page,
    percent,
    shortened,
)
from wimmel.train import Evaluation

_MOST_NUMBERED = 30
_NAMED_CONFUSIONS = 3
_LONGEST_NAME = 20


def confusion_matrix_picture(evaluation: Evaluation, path: str | os.PathLike[str]) -> None:
    """Nothing; the file at `path` then shows how often each class was taken for each other one.

    Rows are the true classes, columns the predicted ones. Right answers are blue, mistakes orange; the depth of colour
    is the share of the row (for mistakes of the worst one, and its square root, so that single ones show). Up to 30
    classes every count is written out, and below each column its precision: the part of what was taken for the class
    that was right. Beside each row stands its recall: the part of the class that was recognised.

    Parameters
    ----------
    evaluation : Evaluation
    path : str or path
        Ends in .png, .svg, .pdf or .jpg.

    Raises
    ------
    ValueError
        If the path's suffix is none of these.
    OSError
        If the file cannot be written; what stood there before stays.
    """
    confusion, classes = np.asarray(evaluation.confusion), evaluation.classes
    count = len(classes)
    cell = _cell_size(count)
    font = min(9.0, 72 * cell * 0.62)
    # One in twenty or fewer names fits at a readable size when there are hundreds of classes.
    every = max(1, round(5.0 / font))
    font = max(font, 5.0)
    names = [shortened(name, _LONGEST_NAME) for name in classes]
    name_width = max(len(name) for name in names) * font * 0.62 / 72
    turned = max(len(name) for name in names) * font * 0.62 / 72 > 0.9 * cell * every
    left, top = 0.5 + name_width, 0.95 + (name_width if turned else font / 72) + 0.1
    side = max(cell * count, 1.2)
    width, height = max(left + side + 1.35, 5.2), top + side + 0.45

    with page(path, width, height) as figure:
        heading(figure, f"{100 * evaluation.accuracy:.2f}% recognised", _summary(confusion, classes))
        axes = axes_at(figure, left, top, side, side)
        axes.imshow(_colours(confusion), interpolation="nearest", aspect="auto")
        ticks = np.arange(0, count, every)
        axes.set_xticks(ticks, [names[tick] for tick in ticks], rotation=90 if turned else 0, fontsize=font)
        axes.set_yticks(ticks, [names[tick] for tick in ticks], fontsize=font)
        axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0, pad=3)
        axes.set_xlabel("predicted class", fontsize=9)
        axes.xaxis.set_label_position("top")
        axes.set_ylabel("true class", fontsize=9)
        _rule(axes, count, cell)
        if count <= _MOST_NUMBERED:
            _write_counts(axes, confusion, min(9.0, 72 * cell * 0.3))
            _write_precision(axes, evaluation.precision, min(font, 72 * cell * 0.27))
        _recall_bars(axes_at(figure, left + side + 0.14, top, 0.5, side), evaluation.recall, font, every)


def _summary(confusion: np.ndarray, classes: Sequence[str]) -> str:
    """How many were right, and the most frequent mistakes, in one line."""
    total, right = int(confusion.sum()), int(np.trace(confusion))
    wrong = confusion - np.diag(np.diag(confusion))
    worst = np.argsort(-wrong, axis=None, kind="stable")[:_NAMED_CONFUSIONS]
    pairs = [np.unravel_index(place, wrong.shape) for place in worst if wrong.flat[place]]
    text = f"{right:,} of {counted(total, 'picture')}"
    if not pairs:
        return text
    named = (
        f"{shortened(classes[true], 14)} as {shortened(classes[taken], 14)} ({wrong[true, taken]:,})"
        for true, taken in pairs
    )
    return f"{text}.  Most often mistaken: {', '.join(named)}"


def _cell_size(count: int) -> float:
    """The side of a cell in inches: room for a number where numbers are written, a page's width at most otherwise."""
    if count <= 12:
        return 0.5
    return 0.36 if count <= _MOST_NUMBERED else max(9.0 / count, 0.02)


def _colours(confusion: np.ndarray) -> np.ndarray:
    """RGB (classes, classes, 3) from 0 to 1: paper where nothing is, towards blue on the diagonal, orange elsewhere."""
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    right = np.eye(len(confusion), dtype=bool)
    worst = share[~right].max(initial=0.0)
    mistaken = np.where(share > 0, 0.12 + 0.78 * np.sqrt(share / (worst or 1.0)), 0.0)
    depth = np.where(right, 0.9 * share, mistaken)[:, :, np.newaxis]
    return (1 - depth) * _rgb(PAPER) + depth * np.where(right[:, :, np.newaxis], _rgb(RIGHT), _rgb(WRONG))


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255


def _rule(axes: Any, count: int, cell: float) -> None:
    """Thin lines between the cells, fewer where the cells are tiny."""
    for spine in axes.spines.values():
        spine.set_visible(True)
    step = 1 if cell >= 0.25 else 10
    if count > step:
        axes.set_xticks(np.arange(step, count, step) - 0.5, minor=True)
        axes.set_yticks(np.arange(step, count, step) - 0.5, minor=True)
        axes.grid(which="minor", color=LINE, linewidth=0.6)
        axes.tick_params(which="minor", length=0, top=False, bottom=False, left=False)


def _write_counts(axes: Any, confusion: np.ndarray, font: float) -> None:
    colours = _colours(confusion)
    for (row, column), number in np.ndenumerate(confusion):
        if number:
            dark = colours[row, column] @ (0.299, 0.587, 0.114) < 0.6
            text = f"{number:,}" if number < 10_000 else f"{number / 1000:,.0f}k"
            axes.text(column, row, text, ha="center", va="center", fontsize=font, color=PAPER if dark else INK)


def _write_precision(axes: Any, precision: np.ndarray, font: float) -> None:
    row = len(precision) - 0.4
    for column, share in enumerate(precision):
        axes.text(column, row, _share(share), ha="center", va="top", fontsize=font, color=_share_colour(share))
    beside = {"xytext": (10, 0), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate("precision", (len(precision) - 0.5, row), fontsize=9, color=PALE, va="top", **beside)


def _recall_bars(axes: Any, recall: np.ndarray, font: float, every: int) -> None:
    """One bar for each row, as long as the part of the class that was recognised."""
    rows = np.arange(len(recall))
    axes.barh(rows, np.ones(len(rows)), height=0.4, color="#e6eaee")
    axes.barh(rows, np.nan_to_num(recall), height=0.4, color=RIGHT)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.axis("off")
    axes.text(0, -0.62, "recall", fontsize=9, color=PALE, va="bottom")
    for row in rows[::every]:
        axes.text(1.12, row, _share(recall[row]), fontsize=font, va="center", color=_share_colour(recall[row]))


def _share(share: float) -> str:
    return "–" if np.isnan(share) else percent(float(share), 1)


def _share_colour(share: float) -> str:
    return PALE if np.isnan(share) else INK
