"""Small schedules whose results show which tasks ran, how often, and in which order of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wimmel.compiler.language import INDEX, POINTER, Builder, Function, Type, Value
from wimmel.compiler.program import Program, assembled
from wimmel.compiler.steps import Argument, Buffer, Schedule, Step, row_major
from wimmel.compiler.targets import Target, host

Body = Callable[[Builder, list[Value], Value, Value], None]


def written(name: str, kinds: str, body: Body) -> Function:
    """A kernel whose every task does the body: ``body(builder, arguments, task, thread)``."""
    builder = Builder(name)
    block, begin, end, thread = builder.kernel()
    arguments = builder.arguments(block, kinds)
    builder.loop(begin, end, 1, lambda task: body(builder, arguments, task, thread))
    return builder.function()


@dataclass(frozen=True)
class Count:
    """(x, y): y[task] = x[task] + 1."""

    def kernel(self, target: Target, name: str) -> Function:
        def body(builder: Builder, arguments: list[Value], task: Value, thread: Value) -> None:
            x, y = arguments
            builder.store(builder.load(x, task, INDEX) + 1, y, task)

        return written(name, "pp", body)


@dataclass(frozen=True)
class Add:
    """(a, b, y): y[task] = a[task] + b[task]."""

    def kernel(self, target: Target, name: str) -> Function:
        def body(builder: Builder, arguments: list[Value], task: Value, thread: Value) -> None:
            a, b, y = arguments
            builder.store(builder.load(a, task, INDEX) + builder.load(b, task, INDEX), y, task)

        return written(name, "ppp", body)


@dataclass(frozen=True)
class Tally:
    """(y,): y[task] += 1, so that a task done twice, or never, shows."""

    def kernel(self, target: Target, name: str) -> Function:
        def body(builder: Builder, arguments: list[Value], task: Value, thread: Value) -> None:
            (y,) = arguments
            builder.store(builder.load(y, task, INDEX) + 1, y, task)

        return written(name, "p", body)


@dataclass(frozen=True)
class Mix:
    """(x, y, n): y[task] = 3 x[task] + x[n - 1 - task] + task: reads what other tasks of the step before wrote."""

    def kernel(self, target: Target, name: str) -> Function:
        def body(builder: Builder, arguments: list[Value], task: Value, thread: Value) -> None:
            x, y, n = arguments
            there = builder.load(x, n - task - 1, INDEX)
            builder.store(builder.load(x, task, INDEX) * 3 + there + task, y, task)

        return written(name, "ppi", body)


@dataclass(frozen=True)
class Busy:
    """(x, rounds, y): y[task] = x[task] after so many rounds of a generator of random numbers."""

    def kernel(self, target: Target, name: str) -> Function:
        def body(builder: Builder, arguments: list[Value], task: Value, thread: Value) -> None:
            x, rounds, y = arguments

            def turn(_: Value, value: Value) -> Value:
                return value * 6364136223846793005 + 1442695040888963407

            builder.store(builder.loop(0, rounds, 1, turn, [builder.load(x, task, INDEX)])[0], y, task)

        return written(name, "pip", body)


@dataclass(frozen=True)
class Threads:
    """(rounds, y): y[task] = the number of the thread, after so many rounds of waiting."""

    def kernel(self, target: Target, name: str) -> Function:
        def body(builder: Builder, arguments: list[Value], task: Value, thread: Value) -> None:
            rounds, y = arguments
            builder.loop(0, rounds, 1, lambda _: builder.let("pause", None))
            builder.store(thread, y, task)

        return written(name, "ip", body)


@dataclass(frozen=True)
class Refuse:
    """(x, y, status): y[task] = x[task]; negative numbers are refused."""

    def kernel(self, target: Target, name: str) -> Function:
        def body(builder: Builder, arguments: list[Value], task: Value, thread: Value) -> None:
            x, y, status = arguments
            value = builder.load(x, task, INDEX)
            builder.store(value, y, task)
            builder.when(
                builder.compare("lt", value, 0), lambda: builder.let("atomic_store", None, builder.index(1), status)
            )

        return written(name, "ppp", body)


@dataclass(frozen=True)
class Reach:
    """(x, y): y[task] = x[task + distance], wherever that is."""

    distance: int

    def kernel(self, target: Target, name: str) -> Function:
        def body(builder: Builder, arguments: list[Value], task: Value, thread: Value) -> None:
            x, y = arguments
            builder.store(builder.load(x, task + self.distance, INDEX), y, task)

        return written(name, "pp", body)


@dataclass(frozen=True)
class Halve:
    """(x, y): y[task] = x[task] / 2, of float32."""

    def kernel(self, target: Target, name: str) -> Function:
        def body(builder: Builder, arguments: list[Value], task: Value, thread: Value) -> None:
            x, y = arguments
            float32 = Type("f32")
            builder.store(builder.load(x, task, float32) * 0.5, y, task)

        return written(name, "pp", body)


@dataclass(frozen=True)
class FlushToZero:
    """(): from now on this thread takes small numbers for zero and rounds down."""

    def kernel(self, target: Target, name: str) -> Function:
        def body(builder: Builder, arguments: list[Value], task: Value, thread: Value) -> None:
            if target.triple.startswith("x86_64"):
                word = builder.let("stack", POINTER, bytes=64)
                builder.store(builder.constant(Type("i32"), 0x1F80 | 0x8040 | 0x2000), word, 0)
                builder.let("intrinsic", None, word, name="llvm.x86.sse.ldmxcsr")
            else:
                builder.let("intrinsic", None, builder.index(0x1800000), name="llvm.aarch64.set.fpcr")

        return written(name, "", body)


def program_of(
    steps: Sequence[Step],
    inputs: Sequence[Buffer],
    outputs: Sequence[Buffer],
    constants: dict[Buffer, np.ndarray] | None = None,
    stable: Sequence[int] = (),
    status: Buffer | None = None,
) -> Program:
    """The program of these steps for this machine, with flat outputs."""
    status = status or Buffer("int64", 1, "status")
    shapes = [(buffer.elements,) for buffer in outputs]
    return assembled(steps, inputs, outputs, shapes, constants or {}, frozenset(stable), status, host())


def step(schedule: Schedule, *arguments: Buffer | int, tasks: int, label: str = "") -> Step:
    """A step on whole buffers; it writes to the last of them, but for the status."""
    places: list[Argument] = [row_major(a, (a.elements,)) if isinstance(a, Buffer) else a for a in arguments]
    buffers = [a for a in arguments if isinstance(a, Buffer) and a.role != "status"]
    return Step(schedule, tuple(places), tuple(buffers[-1:]), tasks, label)


def numbers(name: str, elements: int, role: str = "scratch") -> Buffer:
    return Buffer("int64", elements, role, name)


def mixing(elements: int, steps: int) -> Program:
    """A chain of steps, each of which reads what other tasks of the last one wrote."""
    x, y = numbers("x", elements, "input"), numbers("y", elements, "output")
    chain = [x, *(numbers(f"between {number}", elements) for number in range(steps - 1)), y]
    made = [step(Mix(), a, b, elements, tasks=elements) for a, b in pairwise(chain)]
    return program_of(made, [x], [y])


def mixed(x: np.ndarray, steps: int) -> np.ndarray:
    """What `mixing` gives, by NumPy."""
    for _ in range(steps):
        x = 3 * x + x[::-1] + np.arange(x.size)
    return x
