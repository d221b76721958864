"""A program: what the compiler hands to the runtime. Steps in order, and where every buffer they touch lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wimmel.compiler.memory import overlaid
from wimmel.compiler.steps import Buffer, Schedule, Step
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled graph, apart from machine code and memory.

    Attributes
    ----------
    target : Target
    steps : tuple of Step
        Run at every call, in order; some take turns.
    preparations : tuple of Step
        Steps that depend on nothing but stable inputs, such as packing weights: run before the first call, and again
        when one of these arrays was replaced.
    inputs, outputs : tuple of Buffer
        One for each of the graph's. Arrays come and go in C order. An input that no step reads stands here too.
    output_shapes : tuple of shapes
    constants : dict of Buffer to array
    arena : dict of Buffer to int
        Where each scratch buffer begins, in bytes; buffers that are not needed at the same time overlap.
    arena_bytes : int
    kept : dict of Buffer to int
        The same for buffers that preparations write and other steps read; they live as long as the program.
    kept_bytes : int
    passing : dict of Buffer to int
        The same for buffers that only preparations need, while they run.
    passing_bytes : int
    stable : frozenset of int
        Positions of the inputs that preparations may depend on: their arrays are replaced, never written to.
    status : Buffer
        One int64: a kernel sets it when it meets a value that must be refused, such as an index out of range.
    """

    target: Target
    steps: tuple[Step, ...]
    preparations: tuple[Step, ...]
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    output_shapes: tuple[Shape, ...]
    constants: dict[Buffer, np.ndarray]
    arena: dict[Buffer, int]
    arena_bytes: int
    kept: dict[Buffer, int]
    kept_bytes: int
    passing: dict[Buffer, int]
    passing_bytes: int
    stable: frozenset[int]
    status: Buffer

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """Every kernel needed, once, in the order of first use."""
        return tuple(dict.fromkeys(step.schedule for step in (*self.preparations, *self.steps)))

    @property
    def of_threads(self) -> tuple[Buffer, ...]:
        """The buffers that every thread has for itself. No two are needed at the same time."""
        buffers = (buffer for step in (*self.preparations, *self.steps) for buffer in step.buffers)
        return tuple(dict.fromkeys(buffer for buffer in buffers if buffer.role == "thread"))

    @property
    def thread_bytes(self) -> int:
        """How many bytes each thread needs for itself."""
        return max((buffer.bytes for buffer in self.of_threads), default=0)


def assembled(
    steps: Sequence[Step],
    inputs: Sequence[Buffer],
    outputs: Sequence[Buffer],
    output_shapes: Sequence[Shape],
    constants: dict[Buffer, np.ndarray],
    stable: frozenset[int],
    status: Buffer,
    target: Target,
) -> Program:
    """The program of these steps: what can be done beforehand is set apart, and scratch buffers get their places."""
    prepared = _prepared_buffers(steps, {inputs[number] for number in stable}, set(constants))
    preparations = [step for step in steps if prepared.issuperset(_lasting(step.written))]
    remaining = [step for step in steps if not prepared.issuperset(_lasting(step.written))]
    needed = {buffer for step in remaining for buffer in step.buffers}
    kept, kept_bytes = overlaid(preparations, keep=True, without=prepared - needed)
    passing, passing_bytes = overlaid(preparations, without=needed)
    arena, arena_bytes = overlaid(remaining, without=prepared)
    return Program(
        target, tuple(remaining), tuple(preparations), tuple(inputs), tuple(outputs), tuple(output_shapes), constants,
        arena, arena_bytes, kept, kept_bytes, passing, passing_bytes, stable, status,
    )  # fmt: skip


def _prepared_buffers(steps: Sequence[Step], stable: set[Buffer], constants: set[Buffer]) -> set[Buffer]:
    """The scratch buffers that follow from stable inputs and constants alone."""
    if not stable:
        return set()
    touching: dict[Buffer, list[Step]] = {}
    for step in steps:
        for buffer in _lasting(step.buffers):
            touching.setdefault(buffer, []).append(step)
    lasting = stable | constants
    taking_turns = {buffer for step in steps if step.turns is not None for buffer in step.written}
    pending = [
        buffer for buffer in touching if (buffer.role != "scratch" and buffer not in lasting) or buffer in taking_turns
    ]
    changing = set(pending)
    while pending:
        for step in touching[pending.pop()]:
            for buffer in step.written:
                if buffer.role == "scratch" and buffer not in changing:
                    changing.add(buffer)
                    pending.append(buffer)
    return {buffer for buffer in touching if buffer.role == "scratch"} - changing


def _lasting(buffers: Sequence[Buffer]) -> list[Buffer]:
    """Those that hold something before a step or after it."""
    return [buffer for buffer in buffers if buffer.role != "thread"]
