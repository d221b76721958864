"""A whole benchmark: the chosen sections, thread counts and runs one after another, with what came of it as a report.

A run goes through everything before the next begins, so that runs meet different hours of the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from wimmel.bench import SECTIONS, section
from wimmel.bench.contest import Contest, missing
from wimmel.bench.machine import PACKAGES, description
from wimmel.bench.results import Ratios, Row, geometric_mean, group_means
from wimmel.bench.section import OURS, Case, Section

QUICK_ROUNDS, QUICK_SECONDS = 2, 0.02


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes
    ----------
    sections : tuple of str
    threads : tuple of int
    rounds : int
        Turns of every contender at every case.
    runs : int
        Times that all of it is done, in new processes.
    only : str
        Cases whose name or group does not contain this are left out.
    quick : bool
        Of every group the first case alone, and few short turns: to see what it looks like.
    """

    sections: tuple[str, ...] = tuple(SECTIONS)
    threads: tuple[int, ...] = (1,)
    rounds: int = 5
    runs: int = 1
    only: str = ""
    quick: bool = False

    def parts(self) -> list[Part]:
        """What a run consists of, in order; sections without a case that is wanted are left out.

        Raises
        ------
        ValueError
            If a section is not known, or no case is left.
        """
        found = []
        for name in self.sections:
            whole = section(name)
            cases = whole.chosen(self.only, self.quick)
            threads = self.threads if whole.is_threaded else self.threads[:1]
            found += [Part(whole, cases, count) for count in threads if cases]
        if not found:
            advice = f"; to run the section of that name: wimmel bench {self.only}" if self.only in SECTIONS else ""
            raise ValueError(f"no case of {', '.join(self.sections)} has {self.only!r} in its name or group{advice}")
        return found


@dataclass(frozen=True)
class Part:
    """Cases of a section, on so many threads."""

    section: Section
    cases: tuple[Case, ...]
    threads: int


@dataclass(frozen=True)
class Measured:
    """A section and what was measured of it, on any number of threads."""

    section: Section
    rows: tuple[Row, ...]

    @property
    def ours(self) -> tuple[str, ...]:
        """Contenders of ours that have ratios."""
        names = [each.name for each in self.section.contenders if each.is_ours]
        return tuple(name for name in names if any(row.ratios(name) is not None for row in self.rows))

    @property
    def threads(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(row.threads for row in self.rows))

    def on(self, threads: int) -> Measured:
        return replace(self, rows=tuple(row for row in self.rows if row.threads == threads))

    def means(self, ours: str = OURS) -> dict[str, Ratios]:
        """Geometric means of the groups and, called "all", of the cases altogether."""
        groups = group_means(self.rows, ours)
        together = geometric_mean(row.ratios(ours) for row in self.rows)
        return groups if together is None or len(groups) == 1 else {**groups, "all": together}

    def shown_means(self) -> list[str]:
        """The groups whose mean tells more than a row does: those of several cases, and all of several such groups."""
        groups = dict.fromkeys(row.group for row in self.rows)
        large = [group for group in groups if sum(row.group == group for row in self.rows) > 1]
        return [*large, "all"] if len(large) > 1 else large

    def to_json(self) -> dict[str, Any]:
        means = [
            {"threads": threads, "contender": ours, "group": group, **asdict(mean)}
            for threads in self.threads
            for ours in self.ours
            for group, mean in self.on(threads).means(ours).items()
        ]
        return {
            "name": self.section.name,
            "title": self.section.title,
            "unit": self.section.unit,
            "contenders": [each.name for each in self.section.contenders],
            "rows": [row.to_json() for row in self.rows],
            "geometric_means": means,
        }


@dataclass
class Report:
    """What has been measured so far.

    Attributes
    ----------
    plan : Plan
    machine : dict
    absent : dict of str to str
        Libraries that are not installed, and what would install them.
    rows : dict
        By section, threads and case.
    """

    plan: Plan
    machine: dict[str, Any] = field(default_factory=description)
    absent: dict[str, str] = field(default_factory=dict)
    rows: dict[tuple[str, int, str], Row] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Keeps a row of one run, behind those of the runs before."""
        key = (row.section, row.threads, row.name)
        before = self.rows.get(key)
        if before is not None:
            row = replace(row, runs=before.runs + row.runs, failed={**before.failed, **row.failed})
        self.rows[key] = row

    def section(self, name: str) -> Measured:
        return Measured(section(name), tuple(row for row in self.rows.values() if row.section == name))

    def to_json(self) -> dict[str, Any]:
        names = dict.fromkeys(row.section for row in self.rows.values())
        sections = [self.section(name).to_json() for name in names]
        settings = asdict(self.plan)
        return {"machine": self.machine, "settings": settings, "absent": self.absent, "sections": sections}


def measure(
    report: Report,
    follow: Callable[[float, str], None] = lambda done, note: None,
    finished: Callable[[Part, bool], None] = lambda part, last: None,
) -> None:
    """Nothing; everything that the report plans is measured and added to it.

    Parameters
    ----------
    report : Report
    follow : callable, optional
        Told how many cases are done, and what is going on.
    finished : callable, optional
        Told of every part that is complete, and whether no other run of it will follow.
    """
    plan = report.plan
    parts = plan.parts()
    report.absent.update(absent(each.section for each in parts))
    seconds, rounds = (QUICK_SECONDS, min(QUICK_ROUNDS, plan.rounds)) if plan.quick else (None, plan.rounds)
    done = 0
    for run in range(plan.runs):
        for part in parts:
            with Contest(part.section, part.threads, rounds, seconds) as contest:
                for case in part.cases:

                    def told(who: str, at: int = done, name: str = f"{part.section.name}: {case.name}") -> None:
                        follow(at, f"{name} ({who})")

                    figures, failed = contest.measure(case, told)
                    report.add(Row(part.section.name, case.name, case.group, part.threads, (figures,), failed))
                    done += 1
            finished(part, run == plan.runs - 1)


def steps(plan: Plan) -> int:
    """How many cases will be measured, those of all runs counted."""
    return plan.runs * sum(len(part.cases) for part in plan.parts())


def absent(sections: Iterator[Section] | Sequence[Section]) -> dict[str, str]:
    """Libraries that contenders need and that are not installed, and the command that installs each."""
    modules = {module: "" for each in sections for needed in missing(each).values() for module in needed}
    return {module: f"pip install {PACKAGES.get(module, module)}" for module in modules}
