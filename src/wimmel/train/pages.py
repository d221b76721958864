"""Histories and evaluations as notebooks show them: small HTML pages with curves and coloured tables, drawn by hand.

Given a History or an Evaluation; hands on HTML that needs no script and no style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from wimmel.train.evaluation import Evaluation
from wimmel.train.history import COLUMNS, History

_WIDTH, _HEIGHT, _MARGIN = 320, 160, 34
_TRAINING, _VALIDATION = "#0072b2", "#d55e00"
_CELL = "padding:2px 8px;text-align:right"
_LARGEST_MATRIX = 30


def history_page(history: History) -> str:
    """The history as curves of loss and accuracy over its table."""
    if not len(history):
        return "<p>History of no epochs</p>"
    figures = [_curves("loss", [e.loss for e in history], [e.validation_loss for e in history])]
    if any(epoch.accuracy is not None for epoch in history):
        accuracies = [epoch.accuracy for epoch in history], [epoch.validation_accuracy for epoch in history]
        figures.append(_curves("accuracy", *accuracies))
    best = history.best
    rows = []
    for epoch in history:
        cells = "".join(f'<td style="{_CELL}">{column.text(epoch)}</td>' for column in COLUMNS)
        weight = "bold" if epoch is best else "normal"
        rows.append(f'<tr style="font-weight:{weight}">{cells}</tr>')
    head = "".join(f'<th style="{_CELL}">{escape(column.title)}</th>' for column in COLUMNS)
    ending = "stopped by Ctrl-C" if history.interrupted else "stopped early" if history.stopped_early else ""
    return f"<div>{''.join(figures)}<table><tr>{head}</tr>{''.join(rows)}</table>{ending}</div>"


def evaluation_page(evaluation: Evaluation) -> str:
    """The evaluation's figures, and the confusion matrix with its rows coloured by their shares."""
    head = (
        f"<p><b>accuracy {evaluation.accuracy:.2%}</b> on {len(evaluation.labels):,} examples, "
        f"{len(evaluation.mistakes):,} wrong, loss {evaluation.loss:.4f}</p>"
    )
    if len(evaluation.classes) > _LARGEST_MATRIX:
        return f"<div>{head}<pre>{escape(repr(evaluation))}</pre></div>"
    names = [escape(name) for name in evaluation.classes]
    header = "".join(f'<th style="{_CELL}">{name}</th>' for name in (*names, "precision", "recall"))
    rows = []
    figures = zip(names, evaluation.confusion, evaluation.precision, evaluation.recall, strict=True)
    for place, (name, counts, precision, recall) in enumerate(figures):
        total = max(int(counts.sum()), 1)
        cells = [_cell(int(count), int(count) / total, place == column) for column, count in enumerate(counts)]
        shares = ["-" if math.isnan(share) else f"{share:.1%}" for share in (precision, recall)]
        cells += [f'<td style="{_CELL}">{share}</td>' for share in shares]
        rows.append(f'<tr><th style="{_CELL}">{name}</th>{"".join(cells)}</tr>')
    caption = "<caption>rows: true class, columns: predicted class</caption>"
    return f"<div>{head}<table>{caption}<tr><th></th>{header}</tr>{''.join(rows)}</table></div>"


def _cell(count: int, share: float, right: bool) -> str:
    colour = "0,114,178" if right else "213,94,0"
    strength = 0.0 if not count else 0.15 + 0.6 * share
    return f'<td style="{_CELL};background:rgba({colour},{strength:.2f})">{count or ""}</td>'


def _curves(title: str, training: Sequence[float | None], validation: Sequence[float | None]) -> str:
    """Two curves over the epochs in one frame, as SVG."""
    shown = [value for value in (*training, *validation) if value is not None and math.isfinite(value)]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0

    def place(epoch: int, value: float) -> str:
        x = _MARGIN + epoch * (_WIDTH - _MARGIN - 8) / max(len(training) - 1, 1)
        y = 20 + (high - value) * (_HEIGHT - 40) / span
        return f"{x:.1f},{y:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}"',
        ' font-size="10" fill="currentColor">',
        f'<text x="{_MARGIN}" y="12" font-weight="bold">{title}</text>',
        f'<text x="{_MARGIN - 4}" y="24" text-anchor="end">{high:.3g}</text>',
        f'<text x="{_MARGIN - 4}" y="{_HEIGHT - 18}" text-anchor="end">{low:.3g}</text>',
        f'<text x="{_MARGIN}" y="{_HEIGHT - 4}">1</text>',
        f'<text x="{_WIDTH - 8}" y="{_HEIGHT - 4}" text-anchor="end">epoch {len(training)}</text>',
    ]
    for name, colour, offset, values in (
        ("training", _TRAINING, 130, training),
        ("validation", _VALIDATION, 8, validation),
    ):
        points = [place(n, value) for n, value in enumerate(values) if value is not None and math.isfinite(value)]
        if not points:
            continue
        parts.append(f'<text x="{_WIDTH - offset - 54}" y="12" fill="{colour}">{name}</text>')
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = points[-1].split(",")
        parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
    return "".join([*parts, "</svg>"])
