"""Writes docs/performance.md and its charts from the figures of `wimmel bench`, and of benchmarks/finding.py if given.

    wimmel bench --runs 3 --threads 1 --threads 2 -o figures.json
    python benchmarks/finding.py -o finding.json
    python docs/make_performance.py figures.json finding.json

Several files are taken together, if they were measured on one machine: a section may be run by itself.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from wimmel.bench import SECTIONS, section
from wimmel.bench.results import Ratios, Row, pair_of, text_of
from wimmel.bench.run import Measured
from wimmel.bench.section import OURS

DOCS = Path(__file__).resolve().parent
PAGE, IMAGES = DOCS / "performance.md", DOCS / "images"

MOST_BARS = 12
"""A chart has a bar for every case if there are no more than these, else for every group."""

TEXT = tomllib.loads((DOCS / "performance_text.toml").read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/performance.md from figures of wimmel bench.")
    parser.add_argument(
        "figures", nargs="+", type=Path, metavar="FILE", help="JSON that wimmel bench -o wrote, or finding.py -o"
    )
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in parser.parse_args().figures]
    try:
        PAGE.write_text(written(documents), encoding="utf-8")
    except ValueError as error:
        sys.exit(f"{error}")


def written(documents: Sequence[dict[str, Any]], images: Path = IMAGES) -> str:
    """The page; its charts are drawn into the folder.

    Raises
    ------
    ValueError
        If the documents are of several machines, or none is of `wimmel bench`.
    """
    machines = [document["machine"] for document in documents]
    if len({(each["processor"], each["cores"], each["target"]) for each in machines}) > 1:
        raise ValueError("these figures were measured on several machines and say nothing beside each other")
    benches = [document for document in documents if "sections" in document]
    if not benches:
        raise ValueError("none of these files is of wimmel bench")
    measured = _measured(benches)
    parts = [_opening(benches, measured), _summary(measured)]
    parts += [_section(each, images) for each in measured]
    parts.append(_finding([document for document in documents if "finding" in document]))
    return "\n".join(part for part in parts if part)


def _measured(documents: Iterable[dict[str, Any]]) -> list[Measured]:
    """The sections, threads and cases in their order, from all documents; of a case measured twice the later."""
    rows: dict[str, dict[tuple[str, int], Row]] = {}
    for document in documents:
        for each in document["sections"]:
            for row in map(Row.from_json, each["rows"]):
                rows.setdefault(row.section, {})[row.name, row.threads] = row
    found = []
    for each in (section(name) for name in SECTIONS if name in rows):
        places = {case.name: place for place, case in enumerate(each.cases)}
        of_section = rows[each.name].values()
        in_order = sorted(of_section, key=lambda row: (row.threads, places.get(row.name, len(places))))
        found.append(Measured(each, tuple(in_order)))
    return found


def _opening(documents: Sequence[dict[str, Any]], measured: Sequence[Measured]) -> str:
    machine, settings = documents[-1]["machine"], [document["settings"] for document in documents]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    dates = sorted({document["machine"]["date"] for document in documents})
    absent = {module for document in documents for module in document["absent"]}
    lines = [
        "# Performance",
        "",
        TEXT["opening"].strip(),
        "",
        f"- **Machine**: {machine['processor']}, {machine['cores']} cores, instructions used: {machine['target']}; "
        f"{machine['system']}",
        f"- **Software**: Python {machine['python']}, {versions}",
        f"- **Measured**: {' to '.join(dict.fromkeys((dates[0], dates[-1])))}",
    ]
    if absent:
        lines.append(f"- **Not installed**, and so not compared with: {', '.join(sorted(absent))}")
    lines += ["", TEXT["rule"].strip()]
    once = [each.section.title for each in measured if min(len(row.runs) for row in each.rows) < 3]
    if any(each["quick"] for each in settings):
        lines += ["", "> **These figures are no result**: they come from a quick look at a few cases."]
    elif len(once) == len(measured):
        runs = min(len(row.runs) for each in measured for row in each.rows)
        lines += ["", f"> **These figures are no result**: they come from {runs} run{'s' * (runs > 1)}, not three."]
    elif once:
        lines += ["", f"> **No result**, since they come from fewer than three runs: {'; '.join(once)}."]
    return "\n".join(lines) + "\n"


def _summary(measured: Sequence[Measured]) -> str:
    """How many cases are ahead, level and behind, for each section, contender of ours and number of threads."""
    lines = ["## At a glance", "", "| | threads | cases | ahead | level | behind | geometric mean |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for each in measured:
        for ours in each.ours:
            for threads in each.threads:
                ratios = [found for row in each.on(threads).rows if (found := row.ratios(ours)) is not None]
                counted = Counter(found.verdict for found in ratios)
                means = each.on(threads).means(ours)
                mean = f"{list(means.values())[-1].counts:.2f}" if each.section.unit == "seconds" and means else ""
                title = each.section.title + ("" if ours == OURS else f" ({ours})")
                shown = str(threads) if each.section.is_threaded else ""
                lines.append(
                    f"| {title} | {shown} | {len(ratios)} | {counted['ahead']} | {counted['level']} | "
                    f"{counted['behind']} | {mean} |"
                )
    return "\n".join(lines) + "\n"


def _section(measured: Measured, images: Path) -> str:
    name, title = measured.section.name, measured.section.title
    parts = [f"## {title}", "", TEXT["comments"][name].strip(), ""]
    if measured.ours:
        picture = f"performance-{name}.png"
        _draw(measured, images / picture)
        parts += [f"![{title}: ratios](images/{picture})", ""]
    parts += _losses(measured)
    table = _table(measured)
    if len(measured.rows) > MOST_BARS:
        parts += [f"<details><summary>All {len(measured.rows)} figures</summary>", "", *table, "", "</details>", ""]
    else:
        parts += [*table, ""]
    return "\n".join(parts)


def _draw(measured: Measured, path: Path) -> None:
    sys.path.insert(0, str(DOCS))
    try:
        from performance_charts import Series, ratio_chart
    finally:
        sys.path.remove(str(DOCS))
    ours = [name for name in measured.ours if not name.endswith("exact")]
    by_case = len({row.name for row in measured.rows}) <= MOST_BARS
    labels = list(dict.fromkeys(row.name if by_case else row.group for row in measured.rows))
    series = []
    for name in ours:
        for threads in measured.threads:
            of = measured.on(threads)
            ratios = {row.name: row.ratios(name) for row in of.rows} if by_case else of.means(name)
            values = [found.counts if (found := ratios.get(label)) is not None else None for label in labels]
            on = f"{threads} thread{'s' if threads > 1 else ''}"
            title = ", ".join(([name] if len(ours) > 1 else []) + ([on] if measured.section.is_threaded else []))
            if any(value is not None for value in values):
                series.append(Series(title, values))
    what = "time" if measured.section.unit == "seconds" else "bytes"
    ratio_chart(path, measured.section.title, what, labels, series)


def _losses(measured: Measured) -> list[str]:
    """Where we are behind, worst first, and why."""
    lines = []
    for ours in measured.ours:
        behind = [(ratios.ceiling, row) for row in measured.rows
                  if (ratios := row.ratios(ours)) is not None and ratios.verdict == "behind"]  # fmt: skip
        behind.sort(key=lambda pair: pair[0])
        several = len(measured.threads) > 1
        cases = [
            f"{row.name}{f' on {row.threads}' if several else ''} ({ceiling:.2f}, {row.best_peer()})"
            for ceiling, row in behind
        ]
        who = f" ({ours})" if len(measured.ours) > 1 else ""
        if cases:
            lines += [f"**Behind**{who}: {'; '.join(cases)}.", ""]
    if not lines:
        return ["Nowhere behind.", ""] if measured.ours else []
    reason = TEXT["reasons"].get(measured.section.name, "").strip()
    return [*lines, reason, ""] if reason else lines


def _table(measured: Measured) -> list[str]:
    unit, ours = measured.section.unit, measured.ours or (OURS,)
    threaded = measured.section.is_threaded
    headings = ["case", *(["threads"] if threaded else []), *ours, "best peer", "its figures"]
    headings += [f"ratio ({name})" if len(ours) > 1 else "ratio" for name in ours]
    lines = [_line(headings), _line(["---", *["---:"] * (len(headings) - 1)])]
    for row in measured.rows:
        peer = row.best_peer()
        cells = [row.name, *([str(row.threads)] if threaded else [])]
        cells += [pair_of(row.figures.get(name), unit) for name in ours]
        cells += ["-", "-"] if peer is None else [peer, pair_of(row.figures[peer], unit)]
        lines.append(_line([*cells, *(_ratios(row.ratios(name)) for name in ours)]))
    return lines


def _finding(documents: Sequence[dict[str, Any]]) -> str:
    """How well things are found; of a case measured twice the later."""
    rows = {(row["case"], row["finder"]): row for document in documents for row in document["finding"]}
    believed = {row["case"]: row for document in documents for row in document["calibration"]}
    if not rows and not believed:
        return ""
    lines = ["## How well it finds", "", TEXT["finding"].strip(), ""]
    if rows:
        headings = ["", "finder", "scenes", "first right", "average precision", "recall in 10", "in 100", "precision",
                    "recall", "a scene", "teaching"]  # fmt: skip
        lines += [_line(headings), _line(["---", "---", *["---:"] * (len(headings) - 2)])]
        lines += [_line(_found(row)) for row in rows.values()]
    for row in believed.values():
        lines += ["", f"Whether Wim is there at all, {row['case']}: calibration error {row['error']:.3f}, Brier score "
                  f"{row['brier']:.3f} on {row['scenes']} scenes with him and {row['scenes']} without, calibrated by "
                  f"{row['calibrated_by']} and {row['calibrated_by']} others."]  # fmt: skip
    return "\n".join([*lines, ""])


def _found(row: dict[str, Any]) -> list[str]:
    shares = (row[name] for name in ("among_10", "among_100", "precision", "recall"))
    teaching = "-" if row["teaching"] is None else text_of(row["teaching"], "seconds")
    return [row["case"], row["finder"], str(row["scenes"]), f"{row['first_right']:.1%}",
            f"{row['average_precision']:.3f}", *(f"{share:.1%}" for share in shares),
            text_of(row["seconds"], "seconds"), teaching]  # fmt: skip


def _ratios(ratios: Ratios | None) -> str:
    return "-" if ratios is None else f"{ratios.best:.2f} / {ratios.median:.2f} / **{ratios.counts:.2f}**"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
