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

    traced = _recorded(function, examples, named)
    return Explanation(traced.graph, host(), stable_inputs(traced), get_precision())


@dataclass(frozen=True)
class Profile:
    """What each step of a compiled function takes, when steps run one by one.

    Attributes
    ----------
    steps : tuple of (str, float)
        What the step does, and seconds.
    """

    steps: tuple[tuple[str, float], ...]

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(seconds for _, seconds in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """For scripts: ``{"seconds": ..., "steps": [{"step": ..., "seconds": ...}]}``."""
        return {
            "seconds": self.seconds,
            "steps": [{"step": label, "seconds": seconds} for label, seconds in self.steps],
        }

    def __str__(self) -> str:
        lines = [
            f"{1e6 * seconds:>12.1f} us {seconds / (self.seconds or 1):>6.1%}  {label}" for label, seconds in self.steps
        ]
        return "\n".join([*lines, f"{1e6 * self.seconds:>12.1f} us in all"])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(label)}</td><td>{1e6 * seconds:.1f} us</td>"
            f"<td>{seconds / (self.seconds or 1):.1%}</td></tr>"
            for label, seconds in self.steps
        )
        return f"<table><tr><th>step</th><th>time</th><th>share</th></tr>{rows}</table>"


def profile(function: Callable[..., Any], *examples: Any, rounds: int = 20, **named: Any) -> Profile:
    """The time that each step of the compiled function takes on these arguments, the least of some rounds.

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
    from wimmel.compiler import planning
    from wimmel.compiler.targets import host
    from wimmel.runtime.native import NativeRunner

    rounds = at_least(rounds, 1, "rounds")
    traced = _recorded(function, examples, named)
    reason = planning.unsupported(traced.graph)
    if reason:
        raise ValueError(f"there is no machine code to be timed: the graph holds {reason}")
    run = NativeRunner(planning.compiled(traced.graph, host(), stable_inputs(traced), get_precision()))
    arrays = _arrays(examples, named)
    return Profile(tuple(run.profile([*arrays, *(variable.value for variable in traced.variables)], rounds)))


def _arrays(examples: tuple[Any, ...], named: dict[str, Any]) -> list[np.ndarray]:
    return [as_operands([leaf], "the function")[0] for leaf in flatten((examples, named))[0]]


def _recorded(function: Callable[..., Any], examples: tuple[Any, ...], named: dict[str, Any]) -> Trace:
    """The function recorded, by the compiled function itself if it is one."""
    compiled = function if isinstance(function, Compiled) else Compiled(function, "reference")
    return compiled.record(*examples, **named)
