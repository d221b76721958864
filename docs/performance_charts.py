"""Draws the bar charts of docs/performance.md: ratios of groups or cases, on a logarithmic axis around 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wimmel.report.canvas import INK, PALE, axes_at, heading, page

FILLS = (("#1f4e79", ""), ("#a8c6e5", "////"), ("#6b7785", ""), ("#e3e6ea", "...."))
"""Colour and hatching of each series: dark and light in turn, so that they differ in gray, too."""

_WIDTH, _LABELS, _BAR, _GAP = 9.0, 2.9, 0.17, 0.14


@dataclass(frozen=True)
class Series:
    """Bars of one kind.

    Attributes
    ----------
    name : str
    ratios : sequence of float or None
        One for each label; None draws nothing.
    """

    name: str
    ratios: Sequence[float | None]


def ratio_chart(path: Path, title: str, what: str, labels: Sequence[str], series: Sequence[Series]) -> None:
    """Nothing; the file then shows a group of horizontal bars for each label, to the right of 1 where we are ahead."""
    block = _BAR * len(series) + _GAP
    height = block * len(labels)
    below = 0.85 if len(series) > 1 else 0.45
    values = [ratio for each in series for ratio in each.ratios if ratio is not None]
    with page(path, _WIDTH, 0.85 + height + below) as figure:
        heading(figure, title, f"The best peer's {what} divided by wimmel's: right of the line wimmel is ahead")
        axes = axes_at(figure, _LABELS, 0.85, _WIDTH - _LABELS - 0.7, height)
        axes.set_xscale("log")
        _scale(axes, min(values), max(values))
        axes.set_ylim(block * len(labels), 0)
        for number, each in enumerate(series):
            colour, hatch = FILLS[number]
            for place, ratio in enumerate(each.ratios):
                if ratio is None:
                    continue
                middle = place * block + _GAP / 2 + (number + 0.5) * _BAR
                axes.barh(middle, ratio - 1, 0.88 * _BAR, left=1, color=colour, hatch=hatch, edgecolor=INK,
                          linewidth=0.6, label=each.name if place == _first(each) else None)  # fmt: skip
                side = "left" if ratio >= 1 else "right"
                axes.annotate(f"{ratio:.2f}", (ratio, middle), (3 if ratio >= 1 else -3, 0),
                              textcoords="offset points", va="center", ha=side, fontsize=7)  # fmt: skip
        axes.axvline(1, color=INK, linewidth=1.2)
        axes.set_yticks([(place + 0.5) * block for place in range(len(labels))], labels)
        axes.tick_params(length=0)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        if len(series) > 1:
            axes.legend(loc="upper right", bbox_to_anchor=(1, -0.34 / height), ncols=len(series), frameon=False,
                        fontsize=8, labelcolor=INK)  # fmt: skip


def _first(series: Series) -> int:
    return next(place for place, ratio in enumerate(series.ratios) if ratio is not None)


def _scale(axes: object, least: float, most: float) -> None:
    """Limits that hold 1 and all bars with their numbers, and ticks at plain numbers."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min(least, 1) / 1.4, max(most, 1) * 1.25
    if high / low < 3:
        low, high = low / 1.3, high * 1.3
    span = math.log10(high / low)
    steps = (1,) if span > 3 else (1, 3) if span > 2 else (1, 2, 5) if span > 0.9 else (1, 1.5, 2, 3, 5, 7)
    ticks = [step * 10.0**power for power in range(-6, 7) for step in steps]
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(axis="x", labelcolor=PALE)
