"""What a section of the benchmark consists of: cases, contenders that are given them, and how long a turn takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

OURS = "wimmel"
"""Contenders whose names begin so are compared with the others."""


@dataclass(frozen=True)
class Ready:
    """A case made ready by a contender.

    Attributes
    ----------
    task : callable
        What is timed.
    outcome : callable, optional
        Gives an array that must be equal, but for rounding, whoever computes it. Called once, before anything is timed.
    measures : bool, default False
        Whether the task itself gives a list of measures, in seconds or bytes, instead of being timed.
    """

    task: Callable[[], Any]
    outcome: Callable[[], np.ndarray] | None = None
    measures: bool = False


Prepare = Callable[[Any, int], Ready | None]
"""From what a case is about and a number of threads; None if the contender cannot do the case."""


@dataclass(frozen=True)
class Case:
    """Something to be measured.

    Attributes
    ----------
    name : str
        Unique in its section.
    group : str
        Cases of a group share a geometric mean.
    what : object
        What contenders are given.
    memory : float
        Bytes that each contender may take; where there is not so much for all of them, the case is left out.
    """

    name: str
    group: str
    what: Any
    memory: float = 0


@dataclass(frozen=True)
class Contender:
    """A library, or a way to use it.

    Attributes
    ----------
    name : str
    prepare : callable
    needs : tuple of str
        Modules that must be installed.
    """

    name: str
    prepare: Prepare
    needs: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        return self.name.startswith(OURS)


@dataclass(frozen=True)
class Section:
    """Cases that the same contenders are measured at.

    Attributes
    ----------
    name, title : str
    cases : tuple of Case
    contenders : tuple of Contender
    unit : {"seconds", "bytes"}
    is_threaded : bool
        Whether the number of threads matters.
    seconds : float
        What a turn takes at least, by repetition.
    least : int
        Repetitions that a turn has at least.
    most_rounds : int
        Turns after which more would not tell more.
    limit : float
        Seconds after which a contender that has not answered is given up.
    """

    name: str
    title: str
    cases: tuple[Case, ...]
    contenders: tuple[Contender, ...]
    unit: str = "seconds"
    is_threaded: bool = True
    seconds: float = 0.15
    least: int = 3
    most_rounds: int = 100
    limit: float = 300.0

    def contender(self, name: str) -> Contender:
        return next(each for each in self.contenders if each.name == name)

    def case(self, name: str) -> Case:
        return next(each for each in self.cases if each.name == name)

    def chosen(self, only: str = "", first_of_groups: bool = False) -> tuple[Case, ...]:
        """Cases whose name or group contains the text; if wished for, of every group the first alone."""
        found = [case for case in self.cases if only.lower() in f"{case.group}\n{case.name}".lower()]
        if first_of_groups:
            found = [case for place, case in enumerate(found) if case.group not in {c.group for c in found[:place]}]
        return tuple(found)
