"""The pictures of the lecture's page: rows of small arrays, accuracy against the number of examples, curves.

Given numbers and a path; hands on a PNG file in the look of wimmel's reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wimmel.report.canvas import PALE, RIGHT, WRONG, axes_at, page

__all__ = ["chart", "curves", "gallery"]

_COLOURS = (RIGHT, WRONG, "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARGIN = 0.2


def gallery(
    path: Path,
    rows: Sequence[Sequence[np.ndarray]],
    names: Sequence[str] = (),
    titles: Sequence[str] = (),
    side: float = 0.85,
) -> None:
    """Nothing; the file then shows rows of arrays: gray where none is negative, else red above zero and blue below.

    The red and blue ones of a row share one scale.

    Parameters
    ----------
    path : Path
    rows : sequence of rows of arrays (rows, columns)
    names : sequence of str, optional
        What to write to the left of each row.
    titles : sequence of str, optional
        What to write above each array of the first row.
    side : float, default 0.85
        Inches of an array's longer side.
    """
    left = _MARGIN + (0.075 * max(map(len, names)) + 0.1 if names else 0)
    top = _MARGIN + (0.2 if titles else 0)
    step = side + 0.12 if not titles else max(side + 0.3, 0.09 * max(map(len, titles)))
    width = left + step * max(map(len, rows)) + _MARGIN - 0.1
    with page(path, width, top + len(rows) * (side + 0.12) + _MARGIN - 0.1) as figure:
        for number, row in enumerate(rows):
            down = top + number * (side + 0.12)
            strongest = max((float(np.abs(array).max()) for array in row if array.min() < 0), default=1.0)
            for place, array in enumerate(row):
                height, breadth = (side * size / max(array.shape) for size in array.shape)
                axes = axes_at(figure, left + place * step, down, breadth, height)
                _show(axes, array, strongest)
                if titles and number == 0:
                    axes.set_title(titles[place], fontsize=8, loc="left", pad=4)
                if names and place == 0:
                    axes.set_ylabel(names[number], rotation=0, ha="right", va="center", labelpad=6)


def chart(path: Path, accuracy: Mapping[str, Mapping[str, float]], x_label: str, y_label: str) -> None:
    """Nothing; the file then shows accuracies, by name and number of examples, over a logarithmic axis."""
    with page(path, 5.6, 3.4) as figure:
        axes = axes_at(figure, 0.7, 0.25, 4.2, 2.5)
        for (name, values), colour in zip(accuracy.items(), _COLOURS, strict=False):
            numbers = [int(number) for number in values]
            percent = [100 * value for value in values.values()]
            axes.plot(numbers, percent, color=colour, marker="o", markersize=4, linewidth=1.6)
            end = numbers[-1], percent[-1]
            axes.annotate(name, end, (8, 0), textcoords="offset points", color=colour, va="center")
        axes.set_xscale("log")
        axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
        axes.minorticks_off()
        axes.grid(axis="y")
        axes.set_xlabel(x_label)
        axes.set_ylabel(f"{y_label}, %")


def curves(path: Path, functions: Sequence[Callable[[np.ndarray], Any]]) -> None:
    """Nothing; the file then shows functions of a number from -4 to 4, four to a row, each with its name."""
    x = np.linspace(-4, 4, 321)
    with page(path, 6.4, 0.3 + 1.5 * -(-len(functions) // 4)) as figure:
        for number, function in enumerate(functions):
            row, column = divmod(number, 4)
            axes = axes_at(figure, 0.35 + 1.5 * column, 0.35 + 1.5 * row, 1.25, 1.05)
            for line in (axes.axhline, axes.axvline):
                line(0, color=PALE, linewidth=0.6)
            axes.plot(x, function(x), color=RIGHT, linewidth=1.6)
            axes.set_title(function.__name__, fontsize=9, loc="left")
            axes.set_xticks([-4, 0, 4])
            axes.set_yticks([-1, 0, 1, 4])
            axes.set_ylim(-2, 4.2)


def _show(axes: Any, array: np.ndarray, strongest: float) -> None:
    signed = array.min() < 0
    largest = strongest if signed else float(array.max()) or 1.0
    axes.imshow(
        array,
        cmap="RdBu_r" if signed else "gray",
        vmin=-largest if signed else 0,
        vmax=largest,
        interpolation="nearest",
        aspect="auto",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
