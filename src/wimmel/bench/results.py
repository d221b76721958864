"""What came of a benchmark, and the ratios computed from it.

A ratio is the best peer's figure divided by ours, so above 1 we are ahead. It counts when both the ratio of the best
times and the ratio of the medians reach it in two of three runs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, field
from typing import Any

from wimmel.bench.section import OURS


@dataclass(frozen=True)
class Figures:
    """Best and median, in seconds or bytes."""

    best: float
    median: float


@dataclass(frozen=True)
class Ratios:
    """The best peer's figures divided by ours.

    Attributes
    ----------
    best, median : float
        Of the best and of the median figures of all runs.
    counts : float
        What both reach in two of three runs.
    ceiling : float
        What both stay at or under in two of three runs.
    """

    best: float
    median: float
    counts: float
    ceiling: float

    @property
    def verdict(self) -> str:
        """``ahead`` or ``behind`` where that counts, else ``level``."""
        return "ahead" if self.counts > 1 else "behind" if self.ceiling < 1 else "level"


@dataclass(frozen=True)
class Row:
    """A case and its figures.

    Attributes
    ----------
    section, name, group : str
    threads : int
    runs : tuple of dict of str to Figures
        One for each run, by contender.
    failed : dict of str to str
        Why contenders have no figures.
    """

    section: str
    name: str
    group: str
    threads: int
    runs: tuple[dict[str, Figures], ...]
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, Figures]:
        """By contender, of all runs that it finished: the best, and the median of the medians."""
        names = dict.fromkeys(name for run in self.runs for name in run)
        seen = {name: [run[name] for run in self.runs if name in run] for name in names}
        return {
            name: Figures(min(each.best for each in of), statistics.median(each.median for each in of))
            for name, of in seen.items()
        }

    def best_peer(self) -> str | None:
        """The peer whose median is smallest."""
        medians = {name: of.median for name, of in self.figures.items() if not name.startswith(OURS)}
        return min(medians, key=lambda name: medians[name]) if medians else None

    def ratios(self, ours: str = OURS) -> Ratios | None:
        """Those of one contender of ours; None where it has no figures, or no peer has.

        Examples
        --------
        >>> run = {"wimmel": Figures(1.0, 1.0), "torch": Figures(2.0, 3.0), "jax": Figures(2.5, 2.5)}
        >>> Row("layers", "a", "", 1, (run,)).ratios()
        Ratios(best=2.0, median=2.5, counts=2.0, ceiling=2.5)
        """
        whole = _ratio(self.figures, ours)
        pairs = [pair for run in self.runs if (pair := _ratio(run, ours)) is not None]
        if whole is None or not pairs:
            return None
        enough = math.ceil(2 * len(pairs) / 3)
        lower, upper = sorted(map(min, pairs), reverse=True), sorted(map(max, pairs))
        return Ratios(*whole, lower[enough - 1], upper[enough - 1])

    def to_json(self) -> dict[str, Any]:
        ratios = {name: self.ratios(name) for name in self.figures if name.startswith(OURS)}
        return {**asdict(self), "ratios": {name: asdict(each) for name, each in ratios.items() if each is not None}}

    @staticmethod
    def from_json(document: dict[str, Any]) -> Row:
        runs = tuple({name: Figures(**each) for name, each in run.items()} for run in document["runs"])
        names = ("section", "name", "group", "threads", "failed")
        return Row(runs=runs, **{name: document[name] for name in names})


def geometric_mean(ratios: Iterable[Ratios | None]) -> Ratios | None:
    """Of each kind of ratio; None without any.

    Examples
    --------
    >>> geometric_mean([Ratios(2.0, 1.0, 1.0, 2.0), None, Ratios(8.0, 4.0, 1.0, 8.0)])
    Ratios(best=4.0, median=2.0, counts=1.0, ceiling=4.0)
    """
    there = [each for each in ratios if each is not None]
    if not there:
        return None
    columns = zip(*map(astuple, there), strict=True)
    return Ratios(*(math.exp(math.fsum(map(math.log, column)) / len(there)) for column in columns))


def group_means(rows: Iterable[Row], ours: str = OURS) -> dict[str, Ratios]:
    """The geometric mean of every group of cases that has one, in the order of the groups."""
    groups: dict[str, list[Ratios | None]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row.ratios(ours))
    means = {group: geometric_mean(ratios) for group, ratios in groups.items()}
    return {group: mean for group, mean in means.items() if mean is not None}


def text_of(number: float, unit: str) -> str:
    """A figure with its unit, in three digits.

    Examples
    --------
    >>> text_of(12.34e-6, "seconds"), text_of(0.1234, "seconds"), text_of(2.5, "seconds"), text_of(123456789, "bytes")
    ('12.3 µs', '123 ms', '2.50 s', '123 MB')
    """
    units = {"seconds": (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)), "bytes": (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))}
    name, size = next((pair for pair in units[unit] if number >= pair[1]), units[unit][-1])
    scaled = number / size
    return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {name}"


def pair_of(figures: Figures | None, unit: str) -> str:
    """Best and median with their unit; one figure where they are alike, a dash where there are none.

    Examples
    --------
    >>> pair_of(Figures(2e-3, 2.5e-3), "seconds"), pair_of(Figures(0.5, 1.5), "seconds"), pair_of(None, "seconds")
    ('2.00 / 2.50 ms', '500 ms / 1.50 s', '-')
    """
    if figures is None:
        return "-"
    best, median = (text_of(number, unit) for number in (figures.best, figures.median))
    if best == median:
        return best
    same_unit = best.split()[1] == median.split()[1]
    return f"{best.split()[0] if same_unit else best} / {median}"


def _ratio(figures: dict[str, Figures], ours: str) -> tuple[float, float] | None:
    """Best and median figure of the best peer by ours."""
    peers = [of for name, of in figures.items() if not name.startswith(OURS)]
    if ours not in figures or not peers:
        return None
    own = figures[ours]
    return min(of.best for of in peers) / own.best, min(of.median for of in peers) / own.median
