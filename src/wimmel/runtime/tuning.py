"""Timing on this machine what the compiler can only expect: alternatives of steps that give the same bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wimmel.graph import Graph
from wimmel.runtime import compiled
from wimmel.runtime.compiled import stable_inputs
from wimmel.runtime.inspection import arrays_of, recorded
from wimmel.runtime.precision import get_precision

if TYPE_CHECKING:
    from wimmel.compiler.program import Program
    from wimmel.compiler.steps import Choice

LEADING = 6
"""Alternatives that are timed beside the one that was taken: those expected to be the fastest."""

WORTH = 0.97
"""An alternative is taken if it needs less than so much of the time: less is noise."""

TURNS, ROUNDS = 4, 3
"""An alternative and what it is compared with are timed in so many turns, in each of them the best of some rounds."""


class Progress(Protocol):
    """Whatever can be told, again and again, how much of a task is done."""

    def __call__(self, task: str, done: int, total: int) -> None:
        """Called with the task's name, and how many alternatives of how many were timed."""


Timed = Callable[["Program"], Callable[[], Sequence[float]]]
"""For a program, a function that runs it and gives the seconds of each of its steps."""


@dataclass(frozen=True)
class Decision:
    """One question, and what became of it.

    Attributes
    ----------
    question : str
    before, after : str
        What was taken, and what is now.
    seconds : (float, float)
        What the steps that depend on it took with either, the least of all turns.
    """

    question: str
    before: str
    after: str
    seconds: tuple[float, float]


@dataclass(frozen=True)
class Tuning:
    """What was tried, and what came of it.

    Attributes
    ----------
    decisions : tuple of Decision
        Those that changed something come first, the largest gain first.
    """

    decisions: tuple[Decision, ...]

    @property
    def gain(self) -> float:
        """Seconds that a run takes less, by what its steps took one by one."""
        return sum(before - after for before, after in (decision.seconds for decision in self.decisions))

    def __str__(self) -> str:
        changed = [decision for decision in self.decisions if decision.before != decision.after]
        lines = [f"{len(self.decisions)} alternatives timed, {len(changed)} changed, {1e6 * self.gain:.1f} us gained"]
        for decision in changed:
            before, after = decision.seconds
            lines.append(f"{1e6 * before:>12.1f} -> {1e6 * after:.1f} us  {decision.question}")
            lines.append(f"{'':>16}{decision.before} -> {decision.after}")
        return "\n".join(lines)


def tune(function: Callable[..., Any], *examples: Any, progress: Progress | None = None, **named: Any) -> Tuning:
    """Finds the fastest code for a function on this machine, and remembers it: here, and in later processes.

    Where steps can be computed in several ways that give the same bits, those that should be the fastest are timed with
    as many threads as calls use. What wins is taken whenever something like it is compiled from now on; compiled
    functions and networks take it at their next call. Results stay the same, to the last bit.

    It takes some seconds for a network, most of them to compile. Nothing else should be running meanwhile.

    Parameters
    ----------
    function : callable
        A function or module, as for `compile`. It is run for nothing but its time: parameters do not move.
    *examples, **named
        Its arguments, of the shapes that matter.
    progress : callable, optional
        Told, again and again, how far it has come.

    Returns
    -------
    Tuning
        Printed, it shows what has changed.

    Raises
    ------
    ValueError
        If the function is not compiled; the sentence says why.

    Examples
    --------
    >>> from wimmel import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).initialize(0)
    >>> tuning = tune(net, np.zeros((1, 3, 12, 12), np.float32))
    >>> tuning.gain >= 0
    True
    """
    from wimmel.compiler.planning import unsupported

    traced = recorded(function, examples, named)
    reason = unsupported(traced.graph)
    if reason:
        raise ValueError(f"there is no machine code to be tuned: the graph holds {reason}")
    values = [*arrays_of(examples, named), *(variable.value for variable in traced.variables)]
    return tune_graph(traced.graph, stable_inputs(traced), get_precision(), values, progress)


def tune_graph(
    graph: Graph,
    stable: frozenset[int],
    precision: str,
    values: Sequence[np.ndarray],
    progress: Progress | None = None,
    again: bool = True,
    timed: Timed | None = None,
) -> Tuning:
    """The same for a graph.

    Parameters
    ----------
    graph, stable, precision
        As `backends.prepared` takes them.
    values : sequence of array
        One for each input.
    progress : callable, optional
    again : bool, default True
        Whether what was tuned before is tuned anew.
    timed : callable, optional
        What times a program; by default the machine does.
    """
    from wimmel.compiler import alternatives
    from wimmel.compiler.planning import compiled as planned
    from wimmel.compiler.targets import host

    target = host()

    def plan() -> Program:
        return planned(graph, target, stable, precision)

    if timed is None:
        timed = _machine(values)
    decisions: list[Decision] = []
    place = 0
    while choices := _choices(plan(), place):
        if not again:
            choices = [choice for choice in choices if not alternatives.is_known(choice.question, target)]
        contest = _Contest(plan, timed, place, choices)
        for number in range(1, contest.most + 1):
            contest.challenge(number)
            if progress is not None:
                progress(f"tuning {('code', 'order')[min(place, 1)]}", number, contest.most)
        alternatives.remember(contest.taken, target)
        decisions += contest.decisions()
        place += 1
    compiled.prepare_anew()
    decisions.sort(key=lambda decision: decision.seconds[1] - decision.seconds[0])
    return Tuning(tuple(decisions))


class _Contest:
    """Alternatives of the choices that stand at one place of their steps, against those that were taken."""

    def __init__(self, plan: Callable[[], Program], timed: Timed, place: int, choices: Sequence[Choice]) -> None:
        self._plan, self._timed, self._place, self._choices = plan, timed, place, choices
        self.taken = {choice.question: choice.taken for choice in choices}
        self._others = {
            choice.question: [option for option in choice.options if option != choice.taken][:LEADING]
            for choice in choices
        }
        self._first = timed(plan()) if any(self._others.values()) else None
        self._program = plan()
        self._ratio = dict.fromkeys(self.taken, 1.0)
        self._seconds = dict.fromkeys(self.taken, float("inf"))

    @property
    def most(self) -> int:
        """How many alternatives there are of the choice that has most."""
        return max(map(len, self._others.values()), default=0)

    def challenge(self, number: int) -> None:
        """Times the alternatives of that number, from 1 on, in turns with what was taken at first."""
        from wimmel.compiler import alternatives

        challengers = {
            question: others[number - 1] for question, others in self._others.items() if number <= len(others)
        }
        with alternatives.trying(challengers):
            program = self._plan()
        run, first = self._timed(program), self._first
        assert first is not None
        own: dict[str, float] = {}
        before: dict[str, float] = {}
        for _ in range(TURNS):
            _lessen(before, self._of_questions(self._program, first()))
            _lessen(own, self._of_questions(program, run()))
        for question, challenger in challengers.items():
            self._seconds[question] = min(self._seconds[question], before[question])
            ratio = own[question] / before[question]
            if ratio < min(WORTH, self._ratio[question]):
                self._ratio[question], self.taken[question] = ratio, challenger

    def decisions(self) -> list[Decision]:
        """One for each choice of which an alternative was timed."""
        return [
            Decision(
                choice.question,
                repr(choice.taken),
                repr(self.taken[choice.question]),
                (self._seconds[choice.question], self._seconds[choice.question] * self._ratio[choice.question]),
            )
            for choice in self._choices
            if self._others[choice.question]
        ]

    def _of_questions(self, program: Program, seconds: Sequence[float]) -> dict[str, float]:
        """Of all steps that depend on each choice."""
        found = dict.fromkeys(self.taken, 0.0)
        for step, of_step in zip(program.steps, seconds, strict=True):
            question = step.choices[self._place].question if self._place < len(step.choices) else None
            if question in found:
                found[question] += of_step
        return found


def _lessen(least: dict[str, float], seconds: dict[str, float]) -> None:
    for question, of_question in seconds.items():
        least[question] = min(least.get(question, of_question), of_question)


def _choices(program: Program, place: int) -> list[Choice]:
    """Those that stand at that place of the steps, each once."""
    found = {step.choices[place].question: step.choices[place] for step in program.steps if place < len(step.choices)}
    return list(found.values())


def _machine(values: Sequence[np.ndarray]) -> Timed:
    from wimmel.runtime.native import NativeRunner

    def timed(program: Program) -> Callable[[], Sequence[float]]:
        run = NativeRunner(program)
        return lambda: [seconds for _, seconds in run.profile(values, ROUNDS)]

    return timed
