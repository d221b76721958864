"""`wimmel bench`: how fast it is on this machine, side by side with whatever peers are installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wimmel.cli.failures import INTERRUPTED, complain

if TYPE_CHECKING:
    from wimmel.bench.results import Ratios, Row
    from wimmel.bench.run import Measured, Part, Report
    from wimmel.cli.screen import Screen

_BEST_PEER = "best peer"


def bench(
    sections: Annotated[
        list[str] | None,
        typer.Argument(
            help="Which to run, of layers, gradients, latency, training, networks, templates, sweep, start, size and "
            "memory; else all.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option(min=1, help="Threads of everyone; may be given several times.", show_default="1")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every contender at every case.")] = 5,
    runs: Annotated[int, typer.Option(min=1, help="Do all of it so many times; three tell luck from speed.")] = 1,
    only: Annotated[str, typer.Option(metavar="TEXT", help="Only cases whose name or group contains this.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="A few cases, two short turns each: a first look.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .json file for the figures, written anew after every section."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write JSON to the standard output, and nothing else.")] = False,
) -> None:
    """Measure speed, size and memory on this machine, beside other libraries.

    Each contender is a process of its own, and they take turns. Peers are those that are installed of PyTorch, ONNX
    Runtime, JAX, OpenCV and SciPy. Best and median are shown, and the best peer's time divided by wimmel's: above 1
    wimmel is ahead. All sections together take an hour or more. Compiling is counted in the section start alone.

    \b
    [bold]Examples[/bold]
      wimmel bench latency
      wimmel bench layers --only depthwise --threads 1 --threads 2
      wimmel bench --quick
      wimmel bench --runs 3 -o figures.json
    """
    from wimmel.bench import SECTIONS
    from wimmel.bench.run import Plan, Report, measure, steps
    from wimmel.cli.outputs import checked_file
    from wimmel.cli.screen import Screen, write_json

    names = tuple(dict.fromkeys(sections or SECTIONS))
    if strangers := [name for name in names if name not in SECTIONS]:
        raise typer.BadParameter(
            f"there is no section {strangers[0]!r}; there are {', '.join(SECTIONS)}.", param_hint="SECTIONS"
        )
    if output is not None:
        checked_file(output, ".json")
    plan = Plan(names, tuple(dict.fromkeys(threads or [1])), rounds, runs, only, quick)
    report = Report(plan)
    total = steps(plan)
    screen = Screen(quiet=json)
    _show_machine(screen, report)
    interrupted = False
    try:
        with screen.bar("Measuring", total) as bar:

            def finished(part: Part, is_last: bool) -> None:
                _save(report, output)
                if is_last:
                    _show_part(screen, report.section(part.section.name).on(part.threads), part.threads)

            measure(report, bar.move, finished)
    except KeyboardInterrupt:
        interrupted = True
        _save(report, output)
    _show_end(screen, report)
    if json:
        write_json(report.to_json())
    if interrupted:
        complain("Stopped by Ctrl-C; what is not complete is not shown.")
        raise typer.Exit(INTERRUPTED)
    if output is not None:
        screen.say(f"Saved {output}")


def _save(report: Report, output: Path | None) -> None:
    import json

    from wimmel.files import write_whole

    if output is not None:
        with write_whole(output) as temporary:
            temporary.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")


def _show_machine(screen: Screen, report: Report) -> None:
    from wimmel.report.canvas import counted

    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    screen.pairs(
        [
            ("processor", f"{machine['processor']}, {counted(machine['cores'], 'core')}, {machine['target']}"),
            ("system", f"{machine['system']}, Python {machine['python']}"),
            ("versions", versions),
            ("date", machine["date"]),
        ]
    )
    screen.say()


def _show_part(screen: Screen, measured: Measured, threads: int) -> None:
    """A section's table for one number of threads: with every contender, or, where that is too wide, with the best peer
    alone."""
    from wimmel.report.canvas import counted

    section = measured.section
    on = f", {counted(threads, 'thread')}" if section.is_threaded else ""
    screen.say(f"{section.title}{on}", "bold")
    there = tuple(each.name for each in section.contenders if any(each.name in row.figures for row in measured.rows))
    table = _table(measured, there, measured.ours)
    if _width(table) > screen.width:
        ours = measured.ours[:1]
        table = _table(measured, (*(ours or there[:1]), _BEST_PEER), ours)
    headings, *rows = table
    screen.table(headings, rows, right=range(1, len(headings)))


def _table(measured: Measured, columns: tuple[str, ...], ours: tuple[str, ...]) -> list[list[str]]:
    """Headings and rows: the case, the figures of contenders, the ratios of some of ours; geometric means below."""
    several = any(len(row.runs) > 1 for row in measured.rows)
    headings = ["case", *columns]
    for name in ours:
        headings += [f"ratio of {name}" if len(ours) > 1 else "ratio", *(["counts"] if several else [])]
    rows = []
    for row in measured.rows:
        figures = [_figures_in(row, name, measured.section.unit) for name in columns]
        rows.append([row.name, *figures, *(cell for name in ours for cell in _ratio_cells(row.ratios(name), several))])
    means = {name: measured.means(name) for name in ours}
    for group in measured.shown_means() if ours else []:
        ratios = [cell for name in ours for cell in _ratio_cells(means[name].get(group), several)]
        rows.append([f"geometric mean, {group}", *[""] * len(columns), *ratios])
    return [[heading.replace(", ", ",\n").replace(" of ", " of\n") for heading in headings], *rows]


def _width(table: list[list[str]]) -> int:
    """The characters that the table takes."""
    columns = zip(*table, strict=True)
    return sum(3 + max(len(line) for cell in column for line in cell.split("\n")) for column in columns)


def _figures_in(row: Row, name: str, unit: str) -> str:
    """A contender's cell; that of the best peer says who it is."""
    from wimmel.bench.results import pair_of

    if name != _BEST_PEER:
        return pair_of(row.figures.get(name), unit)
    peer = row.best_peer()
    return "-" if peer is None else f"{pair_of(row.figures[peer], unit)}\n{peer}"


def _ratio_cells(ratios: Ratios | None, several: bool) -> list[str]:
    """The ratio of the best and of the median; of several runs the one that counts, too."""
    if ratios is None:
        return ["-"] * (1 + several)
    return [f"{ratios.best:.2f} / {ratios.median:.2f}", *([f"{ratios.counts:.2f}"] if several else [])]


def _show_end(screen: Screen, report: Report) -> None:
    """Who could not take part and why; what the columns mean."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in report.rows.values():
        for name, reason in row.failed.items():
            cases = reasons.setdefault((name, reason), [])
            if row.name not in cases:
                cases.append(row.name)
    for (name, reason), cases in reasons.items():
        others = f" and {len(cases) - 1} more" if len(cases) > 1 else ""
        screen.say(f"{name} failed at {cases[0]}{others}: {reason.rstrip('.')}.")
    for module, command in report.absent.items():
        screen.say(f"Not installed: {module}; {command} would add it.")
    screen.say(
        "Everywhere the best / the median. A ratio is the best peer's figure by wimmel's: above 1 wimmel is ahead."
    )
