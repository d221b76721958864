"""Looking into compiled functions: every stage of the compilation, and the time that each step takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from wimmel.geometry.whole_numbers import at_least
from wimmel.graph import Trace, flatten
from wimmel.graph.tensor import as_operands
from wimmel.runtime.compiled import Compiled, stable_inputs
from wimmel.runtime.precision import get_precision

if TYPE_CHECKING:
    from wimmel.compiler.stages import Explanation


def explain(function: Callable[..., Any], *examples: Any, **named: Any) -> Explanation:
    """How a function becomes machine code for arguments like these: each stage as text.

    Parameters
    ----------
    function : callable
        A function or module, as for `compile`.
    *examples, **named
        Its arguments.

    Returns
    -------
    Explanation
        Printed, it shows every step and its schedule. Its attributes ``graph``, ``regions``, ``layouts``,
        ``schedules``, ``memory``, ``loops``, ``llvm`` and ``assembly`` are the stages. Setting the environment variable
        WIMMEL_EXPLAIN to some of these names, separated by commas, prints them whenever something is compiled.

    Examples
    --------
    >>> explanation = explain(lambda x: (x + 1) * x, np.zeros(3, np.float32))
    >>> print(explanation.regions)
    add multiply : float32 (3,)
        v0 = constant(1) : float32; v1 = add(x0, v0) : float32; v2 = multiply(v1, x0) : float32; gives v2
    """
    from wimmel.compiler.stages import Explanation
    from wimmel.compiler.targets import host

    traced = recorded(function, examples, named)
    return Explanation(traced.graph, host(), stable_inputs(traced), get_precision())


@dataclass(frozen=True)
class Profile:
    """What each step of a compiled function takes, when steps run one by one, and what it should take on this machine.

    Attributes
    ----------
    steps : tuple of (str, float)
        What the step does, and seconds.
    expected : tuple of float
        For each step, seconds by a simple model: the time of its multiply-adds and other instructions at this machine's
        best, or that of the bytes it reads and writes, from the caches that can hold them, if that is longer. Steps of
        some microseconds may take a small multiple; where a long one does, its code or schedule could be better.
    """

    steps: tuple[tuple[str, float], ...]
    expected: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(seconds for _, seconds in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """For scripts: ``{"seconds": ..., "steps": [{"step": ..., "seconds": ..., "expected": ...}]}``."""
        steps = [
            {"step": label, "seconds": seconds, "expected": expected}
            for (label, seconds), expected in zip(self.steps, self.expected, strict=True)
        ]
        return {"seconds": self.seconds, "steps": steps}

    def __str__(self) -> str:
        lines = [f"{'time':>15} {'share':>6} {'expected':>15}"]
        for (label, seconds), expected in zip(self.steps, self.expected, strict=True):
            lines.append(f"{_microseconds(seconds)} {self._share(seconds):>6} {_microseconds(expected)}  {label}")
        return "\n".join([*lines, f"{_microseconds(self.seconds)} {'':>6} {_microseconds(sum(self.expected))}  in all"])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(label)}</td><td>{_microseconds(seconds)}</td>"
            f"<td>{self._share(seconds)}</td><td>{_microseconds(expected)}</td></tr>"
            for (label, seconds), expected in zip(self.steps, self.expected, strict=True)
        )
        return f"<table><tr><th>step</th><th>time</th><th>share</th><th>expected</th></tr>{rows}</table>"

    def _share(self, seconds: float) -> str:
        return f"{seconds / (self.seconds or 1):.1%}"


def _microseconds(seconds: float) -> str:
    return f"{1e6 * seconds:>12.1f} us"


TURNS = 4
"""Rounds are made in so many turns with measurements of the machine, whose speed changes from moment to moment."""


def profile(function: Callable[..., Any], *examples: Any, rounds: int = 20, **named: Any) -> Profile:
    """The time that each step of the compiled function takes on these arguments, the least of some rounds, and beside
    it what is to be expected.

    Parameters
    ----------
    function : callable
        A function or module, as for `compile`. It is run for nothing but its time: parameters do not move.
    *examples, **named
        Its arguments.
    rounds : int, default 20
        At least 1.

    Raises
    ------
    ValueError, TypeError
        If the function is not compiled, the sentence says why; if rounds is not a whole number from 1 on.

    Examples
    --------
    >>> len(profile(lambda x: x + 1, np.zeros(3, np.float32)).steps)
    1
    """
    from wimmel.compiler import costs, planning
    from wimmel.compiler.targets import host
    from wimmel.runtime import machine
    from wimmel.runtime.native import NativeRunner

    rounds = at_least(rounds, 1, "rounds")
    traced = recorded(function, examples, named)
    reason = planning.unsupported(traced.graph)
    if reason:
        raise ValueError(f"there is no machine code to be timed: the graph holds {reason}")
    program = planning.compiled(traced.graph, host(), stable_inputs(traced), get_precision())
    run = NativeRunner(program)
    values = [*arrays_of(examples, named), *(variable.value for variable in traced.variables)]
    seconds, rates = [float("inf")] * len(program.steps), machine.rates()
    for left in range(min(TURNS, rounds), 0, -1):
        share = -(-rounds // left)
        rounds -= share
        seconds = [min(each) for each in zip(seconds, (found for _, found in run.profile(values, share)), strict=True)]
        rates = rates.better(machine.rates())
    labels = (step.label for step in program.steps)
    return Profile(tuple(zip(labels, seconds, strict=True)), costs.expected(program, rates))


def arrays_of(examples: tuple[Any, ...], named: dict[str, Any]) -> list[np.ndarray]:
    """The arrays among the arguments, in the order of the graph's inputs."""
    return [as_operands([leaf], "the function")[0] for leaf in flatten((examples, named))[0]]


def recorded(function: Callable[..., Any], examples: tuple[Any, ...], named: dict[str, Any]) -> Trace:
    """The function recorded, by the compiled function itself if it is one."""
    compiled = function if isinstance(function, Compiled) else Compiled(function, "reference")
    return compiled.record(*examples, **named)
