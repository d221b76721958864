"""How far probabilities can be believed: of what was called 70% likely, should 7 in 10 be so.

Given probabilities and what was so; hands on a table of bins, the calibration error, and a picture of both.
"""

from __future__ import annotations

import html
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wimmel.geometry.whole_numbers import at_least
from wimmel.report.canvas import LINE, PALE, RIGHT, axes_at, counted, heading, page

_HEADINGS = ("probability", "predictions", "predicted", "observed")
_WIDTH, _HEIGHT = 4.6, 5.5
_SIDE, _LEFT, _TOP, _COUNTS = 3.4, 0.8, 0.85, 0.6
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_TICK_LABELS = [f"{tick:.0%}" for tick in _TICKS]
_NORMAL_95 = 1.96


@dataclass(frozen=True, eq=False, repr=False)
class Reliability:
    """Predictions in bins of equal width by their probability; NaN where a bin is empty.

    Attributes
    ----------
    edges : float64 array (bins + 1,)
        A bin holds what is above its lower edge, and not above its upper one; the first holds 0 too.
    counts : int64 array (bins,)
        Predictions in each.
    predicted, observed : float64 array (bins,)
        Mean probability of each bin's predictions, and the share of them that came true.
    brier : float
        The mean squared difference of probability and outcome (Brier, 1950), 0 at best; 0.25 for always saying 50%.
    """

    edges: np.ndarray
    counts: np.ndarray
    predicted: np.ndarray
    observed: np.ndarray
    brier: float

    @property
    def error(self) -> float:
        """The expected calibration error: the bins' mean distance of predicted from observed, weighted by their counts.

        References
        ----------
        Guo et al., "On calibration of modern neural networks" (2017), equation 3.
        """
        filled = self.counts > 0
        distances = np.abs(self.predicted - self.observed)[filled]
        return float(distances @ self.counts[filled] / self.counts.sum())

    def to_json(self) -> dict[str, Any]:
        """The figures in what JSON can hold; None for what an empty bin has not."""
        bins = [
            {"from": float(low), "to": float(high), "predictions": int(count), "predicted": _known(predicted),
             "observed": _known(observed)}
            for low, high, count, predicted, observed in self._bins()
        ]  # fmt: skip
        return {"calibration_error": self.error, "brier": self.brier, "bins": bins}

    def __repr__(self) -> str:
        widths = [len(heading) for heading in _HEADINGS]
        lines = ["  ".join(_HEADINGS)]
        for cells in self._cells():
            lines.append("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)))
        return "\n".join([f"Reliability of {self.summary()}", *lines])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{heading}</th>" for heading in _HEADINGS)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>" for cells in self._cells()
        )
        return f"<p>Reliability of {self.summary()}</p><table><tr>{head}</tr>{body}</table>"

    def summary(self) -> str:
        """The totals, in half a sentence."""
        total = counted(int(self.counts.sum()), "prediction")
        return f"{total}: calibration error {self.error:.3f}, Brier score {self.brier:.3f}"

    def _bins(self) -> Iterator[tuple[Any, ...]]:
        return zip(self.edges[:-1], self.edges[1:], self.counts, self.predicted, self.observed, strict=True)

    def _cells(self) -> Iterator[tuple[str, ...]]:
        for low, high, count, predicted, observed in self._bins():
            shares = ("-" if np.isnan(share) else f"{share:.1%}" for share in (predicted, observed))
            yield f"{low:.2f}-{high:.2f}", f"{count:,}", *shares


def reliability(
    probabilities: Sequence[float] | np.ndarray, outcomes: Sequence[bool] | np.ndarray, bins: int = 10
) -> Reliability:
    """How often what was predicted with some probability came true, by bins of equal width.

    Parameters
    ----------
    probabilities : float array (n,)
        Predicted, from 0 to 1.
    outcomes : bool array (n,)
        What was so.
    bins : int, default 10

    Returns
    -------
    Reliability

    Raises
    ------
    ValueError
        If there are none, as many outcomes are not given, or something is no probability or outcome.

    Examples
    --------
    >>> reliability([0.1, 0.2, 0.9, 0.8], [False, True, True, True], bins=2)
    Reliability of 4 predictions: calibration error 0.250, Brier score 0.175
    probability  predictions  predicted  observed
      0.00-0.50            2      15.0%     50.0%
      0.50-1.00            2      85.0%    100.0%
    """
    bins = at_least(bins, 1, "bins")
    believed, so = np.asarray(probabilities, np.float64), np.asarray(outcomes)
    if believed.ndim != 1 or believed.shape != so.shape or not len(believed):
        raise ValueError(
            f"One or more probabilities need as many outcomes; got arrays of shape {believed.shape} and {so.shape}."
        )
    if not ((believed >= 0) & (believed <= 1)).all():
        raise ValueError("Probabilities are numbers from 0 to 1.")
    if not np.isin(so, (0, 1)).all():
        raise ValueError("Outcomes are True or False.")
    so = so.astype(np.float64)
    edges = np.arange(bins + 1) / bins
    places = np.searchsorted(edges[1:-1], believed, side="left")
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        predicted, observed = (np.bincount(places, each, bins) / counts for each in (believed, so))
    return Reliability(edges, counts, predicted, observed, float(np.mean((believed - so) ** 2)))


def reliability_picture(reliability: Reliability, path: str | os.PathLike[str]) -> None:
    """Nothing; the file at `path` then shows the reliability diagram, and below it how many predictions each bin has.

    Dots stand where a bin's predictions came true as often as is shown upwards; lines through them are 95% intervals
    (Wilson, 1927). Probabilities that can be believed lie on the dashed line.

    Parameters
    ----------
    reliability : Reliability
    path : str or path
        Ends in .png, .svg, .pdf or .jpg.

    Raises
    ------
    ValueError
        If the path's suffix is none of these.
    OSError
        If the file cannot be written; what stood there before stays.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "reliability.png")
    ...     reliability_picture(reliability([0.2, 0.9], [False, True]), path)
    ...     os.path.getsize(path) > 1000
    True
    """
    filled = reliability.counts > 0
    predicted, observed = reliability.predicted[filled], reliability.observed[filled]
    low, high = _wilson(observed, reliability.counts[filled])
    with page(path, _WIDTH, _HEIGHT) as figure:
        subtitle = f"{counted(int(reliability.counts.sum()), 'prediction')}, Brier score {reliability.brier:.3f}"
        heading(figure, f"Calibration error {reliability.error:.3f}", subtitle)
        axes = axes_at(figure, _LEFT, _TOP, _SIDE, _SIDE)
        axes.plot([0, 1], [0, 1], color=PALE, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.vlines(predicted, low, high, color=RIGHT, linewidth=1.2, alpha=0.5)
        axes.plot(predicted, observed, color=RIGHT, linewidth=0, marker="o", markersize=5)
        axes.set_ylabel("came true", fontsize=9)
        axes.set_ylim(-0.03, 1.03)
        axes.set_yticks(_TICKS, _TICK_LABELS)
        axes.grid(axis="y")
        below = axes_at(figure, _LEFT, _TOP + _SIDE + 0.15, _SIDE, _COUNTS)
        middles = (reliability.edges[:-1] + reliability.edges[1:]) / 2
        below.bar(middles, reliability.counts, width=0.9 / len(middles), color=LINE)
        below.set_ylabel("predictions", fontsize=9)
        below.set_xlabel("predicted probability", fontsize=9)
        below.yaxis.get_major_locator().set_params(integer=True, nbins=3)
        for each, labels in ((axes, [""] * len(_TICKS)), (below, _TICK_LABELS)):
            each.set_xlim(-0.03, 1.03)
            each.set_xticks(_TICKS, labels)
            each.tick_params(length=0)


def _wilson(share: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends of the 95% interval of shares of so many."""
    squared = _NORMAL_95**2 / count
    centre = (share + squared / 2) / (1 + squared)
    reach = _NORMAL_95 / (1 + squared) * np.sqrt(share * (1 - share) / count + squared / (4 * count))
    return centre - reach, centre + reach


def _known(number: float) -> float | None:
    return None if math.isnan(number) else float(number)
