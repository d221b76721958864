"""The course of a training as a picture: loss and accuracy, epoch by epoch, on training and validation pictures.

Given a history; hands on a picture file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from wimmel.report.canvas import INK, PALE, RIGHT, axes_at, counted, heading, page
from wimmel.train import History

_WIDTH, _HEIGHT = 8.6, 3.4
_LOGARITHMIC_FROM = 20.0


def history_picture(history: History, path: str | os.PathLike[str]) -> None:
    """Nothing; the file at `path` then shows loss and accuracy over the epochs, the best epoch marked.

    Parameters
    ----------
    history : History
        Of at least one epoch.
    path : str or path
        Ends in .png, .svg, .pdf or .jpg.

    Raises
    ------
    ValueError
        If there are no epochs, or the path's suffix is none of these.
    OSError
        If the file cannot be written; what stood there before stays.
    """
    epochs = list(history)
    if not epochs:
        raise ValueError("A history without epochs has no course to show; train for at least one epoch.")
    best = history.best if any(epoch.validation_loss is not None for epoch in epochs) else None
    panels = [("loss", "loss", "validation_loss")]
    if any(epoch.accuracy is not None or epoch.validation_accuracy is not None for epoch in epochs):
        panels.append(("recognised", "accuracy", "validation_accuracy"))

    with page(path, _WIDTH, _HEIGHT) as figure:
        heading(figure, counted(len(epochs), "epoch"), _subtitle(history, best))
        room = (_WIDTH - 0.3) / len(panels)
        for place, (label, *names) in enumerate(panels):
            axes = axes_at(figure, 0.7 + place * room, 1.1, room - 1.55, _HEIGHT - 1.1 - 0.55)
            numbers = [epoch.epoch for epoch in epochs]
            curves = [[getattr(epoch, name) for epoch in epochs] for name in names]
            _draw(axes, numbers, curves, label)
            if best is not None:
                axes.axvline(best.epoch, color=PALE, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)


def _subtitle(history: History, best: Any) -> str:
    ending = "; stopped by Ctrl-C" if history.interrupted else "; stopped early" if history.stopped_early else ""
    if best is None:
        return f"Without validation{ending}"
    if best.validation_accuracy is None:
        return f"Best after epoch {best.epoch} (dotted): validation loss {best.validation_loss:.4f}{ending}"
    accuracy = f"{100 * best.validation_accuracy:.2f}%"
    return f"Best after epoch {best.epoch} (dotted): {accuracy} of the validation pictures recognised{ending}"


def _draw(axes: Any, epochs: Sequence[int], curves: Sequence[Sequence[float | None]], label: str) -> None:
    """One panel: training and validation, each named at its end."""
    share = label == "recognised"
    drawn = []
    for values, name, colour in zip(curves, ("training", "validation"), (PALE, RIGHT), strict=True):
        heights = np.array([np.nan if value is None else value for value in values], float) * (100 if share else 1)
        heights[~np.isfinite(heights)] = np.nan
        if np.isnan(heights).all():
            continue
        axes.plot(epochs, heights, color=colour, linewidth=1.6, marker="o" if len(epochs) <= 30 else None, markersize=3)
        drawn.append((heights[np.isfinite(heights)], name, colour))
    axes.set_title(f"{label}, %" if share else label, fontsize=9, color=INK, loc="left")
    axes.set_xlabel("epoch", fontsize=9)
    axes.set_xlim(min(epochs) - 0.3, max(epochs) + 0.3)
    if len(epochs) <= 10:
        axes.set_xticks(epochs)
    else:
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(axis="y")
    axes.tick_params(length=0)
    seen = np.concatenate([heights for heights, _, _ in drawn]) if drawn else np.ones(1)
    if not share and seen.min() > 0 and seen.max() > _LOGARITHMIC_FROM * seen.min():
        _plain_logarithmic(axes)
    elif share:
        axes.set_ylim(top=min(100.0, seen.max() + 0.08 * np.ptp(seen) + 0.01))
    _name_ends(axes, drawn)


def _plain_logarithmic(axes: Any) -> None:
    """A logarithmic axis with ticks at 1, 2 and 5 written as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _name_ends(axes: Any, drawn: Sequence[tuple[np.ndarray, str, str]]) -> None:
    """Each curve's name to the right of its last point; moved apart where they would lie on each other."""
    bottom, top = axes.transData.transform([(0, low) for low in axes.get_ylim()])[:, 1]
    places = [(axes.transData.transform((0, heights[-1]))[1] - bottom) / (top - bottom) for heights, _, _ in drawn]
    order = np.argsort(places)
    moved = dict(zip(order, (places[i] for i in order), strict=True))
    for lower, upper in pairwise(order):
        middle, gap = (moved[lower] + moved[upper]) / 2, 0.11
        if moved[upper] - moved[lower] < gap:
            moved[lower], moved[upper] = middle - gap / 2, middle + gap / 2
    for number, (_, name, colour) in enumerate(drawn):
        axes.text(1.02, moved[number], name, color=colour, fontsize=9, va="center", transform=axes.transAxes)
