"""Every stage of a compilation as text: what `wm.explain` shows, and the environment variable WIMMEL_EXPLAIN prints."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from wimmel.compiler import llvm
from wimmel.compiler.chain import Chain
from wimmel.compiler.choice import algorithm
from wimmel.compiler.layouts import channels_last
from wimmel.compiler.planning import compiled, fused, unsupported
from wimmel.compiler.printing import to_text
from wimmel.compiler.program import Program
from wimmel.compiler.steps import Place, Schedule, Step
from wimmel.compiler.targets import Target
from wimmel.graph import Graph
from wimmel.graph.tensor import Tensor


class Explanation:
    """How a graph becomes machine code, stage by stage.

    Attributes
    ----------
    graph : Graph
    program : Program or None
        None where the graph runs on the reference backend; ``reason`` then says why.
    reason : str or None

    Examples
    --------
    >>> import wimmel as wm, numpy as np
    >>> explanation = wm.explain(lambda x: wm.relu(x) * 2, np.zeros(5, np.float32))
    >>> print(explanation.regions)
    maximum multiply : float32 (5,)
        v0 = constant(0) : float32; v1 = maximum(x0, v0) : float32; v2 = constant(2) : float32; \
v3 = multiply(v1, v2) : float32; gives v3
    """

    def __init__(self, graph: Graph, target: Target, stable: frozenset[int], precision: str) -> None:
        self.graph = graph
        self.target = target
        self.precision = precision
        self.reason = unsupported(graph)
        self.program = None if self.reason else compiled(graph, target, stable, precision)

    @property
    def regions(self) -> str:
        """What is computed together: each region's name, results and elementwise code."""
        lines = []
        for region in fused(self.graph, self.target, self.precision):
            results = ", ".join(f"{result.dtype} {result.shape}" for result in region.results)
            lines.append(f"{region.name} : {results}" + (f"    # {region.scope}" if region.scope else ""))
            if region.chain.lines:
                lines.append(f"    {region.chain}")
        return "\n".join(lines)

    @property
    def layouts(self) -> str:
        """The values that are stored channels last, with the zeros around them. All else is in C order."""
        chosen = partial(algorithm, target=self.target, precision=self.precision)
        found = channels_last(fused(self.graph, self.target, self.precision), chosen)
        return "\n".join(f"{_named(tensor)} : channels last, halo {halo or 0}" for tensor, halo in found.items())

    @property
    def schedules(self) -> str:
        """Every step: what it does, its tasks, and the record that determines its code."""
        return "\n".join(self._step(step) for step in self._program.preparations + self._program.steps)

    @property
    def memory(self) -> str:
        """Where each buffer lies in the arena."""
        program = self._program
        lines = [f"arena {program.arena_bytes:,} bytes, kept {program.kept_bytes:,} bytes"]
        lines[0] += f", for each thread {program.thread_bytes:,} bytes" if program.thread_bytes else ""
        for title, places in (("kept", program.kept), ("passing", program.passing), ("arena", program.arena)):
            for buffer, offset in sorted(places.items(), key=lambda item: item[1]):
                lines.append(f"{title} {offset:>10} + {buffer.bytes:<10} {buffer.dtype} {buffer.name}".rstrip())
        return "\n".join(lines)

    @property
    def loops(self) -> str:
        """Every kernel in the loop-and-vector language."""
        return self._of_kernels(lambda schedule, name: to_text(schedule.kernel(self.target, name)))

    @property
    def llvm(self) -> str:
        """Every kernel as LLVM IR."""
        return self._of_kernels(lambda schedule, name: llvm.module([schedule.kernel(self.target, name)], self.target))

    @property
    def assembly(self) -> str:
        """Every kernel as the processor's instructions."""
        from wimmel.compiler.objects import assembly

        return self._of_kernels(lambda schedule, name: assembly(schedule.kernel(self.target, name), self.target))

    @property
    def _program(self) -> Program:
        if self.program is None:
            raise ValueError(f"this graph is not compiled: it holds {self.reason}")
        return self.program

    def _of_kernels(self, text: Callable[[Schedule, str], str]) -> str:
        schedules = self._program.schedules
        return "\n\n".join(text(schedule, f"kernel{number}") for number, schedule in enumerate(schedules))

    def _step(self, step: Step) -> str:
        before = "once  " if step in self._program.preparations else "      "
        sizes = " ".join(str(a) for a in step.arguments if not isinstance(a, Place))
        turns = f", in {len(step.turns.firsts)} turns" if step.turns else ""
        head = f"{before}{step.label or 'copy'}: {step.tasks} tasks{turns}"
        return f"{head}\n        {_record(step.schedule)}\n        {sizes}"

    def __str__(self) -> str:
        if self.program is None:
            return f"runs on the reference backend: {self.reason}"
        kernels, steps = len(self.program.schedules), len(self.program.steps)
        head = (
            f"target {self.target.name}: {steps} steps, {kernels} kernels, {self.program.arena_bytes:,} bytes of arena"
        )
        return f"{head}\n{self.schedules}"


STAGES = ("graph", "regions", "layouts", "schedules", "memory", "loops", "llvm", "assembly")


def print_stages(graph: Graph, target: Target, stable: frozenset[int], precision: str) -> None:
    """Prints the stages that WIMMEL_EXPLAIN names, separated by commas, to the standard error stream."""
    wanted = [name.strip() for name in os.environ.get("WIMMEL_EXPLAIN", "").split(",") if name.strip()]
    if not wanted:
        return
    unknown = [name for name in wanted if name not in STAGES]
    if unknown:
        raise ValueError(f"WIMMEL_EXPLAIN names {', '.join(unknown)}; the stages are: {', '.join(STAGES)}")
    explanation = Explanation(graph, target, stable, precision)
    if explanation.program is None:
        print(explanation, file=sys.stderr)
        return
    for name in wanted:
        print(f"== {name}\n{getattr(explanation, name)}", file=sys.stderr)


def _record(schedule: Schedule) -> str:
    """A schedule without its chain, which the regions show."""
    fields = [(field.name, getattr(schedule, field.name)) for field in dataclasses.fields(schedule)]  # type: ignore[arg-type]
    parts = [f"{name}={_short(value)}" for name, value in fields if not isinstance(value, Chain)]
    return f"{type(schedule).__name__.removesuffix('Schedule')}({', '.join(parts)})"


def _short(value: Any) -> str:
    return repr(value).replace("'", "")


def _named(tensor: Tensor) -> str:
    scope = f" of {tensor.scope}" if tensor.scope else ""
    return f"{tensor.primitive.name}{scope} {tensor.dtype} {tensor.shape}"
