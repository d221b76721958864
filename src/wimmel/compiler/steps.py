"""What a compiled graph is made of: buffers, places in them, and steps, each one kernel with its arguments.

A kernel is machine code for one schedule: ``kernel(arguments, begin, end, thread)``, where ``arguments`` points to i64
words (pointers and sizes), and the tasks ``begin`` to ``end - 1`` of the step are to be done. Tasks write to different
elements and may run in any order, on any thread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from wimmel.compiler.language import KINDS, Function
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape

KIND_OF = {"bool": "i1", "uint8": "i8", "int8": "i8", "uint16": "i16", "int16": "i16", "uint32": "i32", "int32": "i32",
           "uint64": "i64", "int64": "i64", "float32": "f32", "float64": "f64"}  # fmt: skip
"""The language's kind for each dtype; whether a whole number has a sign is known from the dtype alone."""


@dataclass(eq=False)
class Buffer:
    """A piece of memory that one value, or several parts of one, lie in.

    Attributes
    ----------
    dtype : str
    elements : int
    role : str
        ``input``, ``output`` (arrays from and for the caller), ``constant``, ``status`` (one int64 that a kernel sets
        to a number other than 0 when it met something that must be refused), ``scratch`` (a place in the arena), or
        ``thread`` (as much for each thread that runs the step, one after another: a kernel finds its own by its
        thread's number, and what a task leaves there is lost; one for a step at most).
    name : str
        For people.
    """

    dtype: str
    elements: int
    role: str = "scratch"
    name: str = ""

    @property
    def bytes(self) -> int:
        return self.elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, eq=False)
class Place:
    """Where the elements of a value lie: a strided view into a buffer. Offset and strides count elements."""

    buffer: Buffer
    offset: int
    shape: Shape
    strides: Shape

    @property
    def dtype(self) -> str:
        return self.buffer.dtype

    @property
    def kind(self) -> str:
        return KIND_OF[self.buffer.dtype]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Of the elements that it shows, each once."""
        shown = math.prod(size for size, stride in zip(self.shape, self.strides, strict=True) if stride)
        return shown * np.dtype(self.dtype).itemsize

    def transposed(self, axes: Shape) -> Place:
        return Place(self.buffer, self.offset, tuple(self.shape[a] for a in axes), tuple(self.strides[a] for a in axes))

    def turned(self) -> Place:
        """With rows and columns exchanged."""
        axes = range(len(self.shape))
        return self.transposed((*axes[:-2], axes[-1], axes[-2]))

    def stretched(self, shape: Shape) -> Place:
        """As NumPy broadcasts: new and stretched axes have stride 0."""
        extra = len(shape) - len(self.shape)
        strides = tuple(
            0 if axis < extra or self.shape[axis - extra] != size else self.strides[axis - extra]
            for axis, size in enumerate(shape)
        )
        return Place(self.buffer, self.offset, tuple(shape), strides)

    def sliced(self, start: Shape, shape: Shape, step: Shape) -> Place:
        """Elements ``start + i * step`` for i below the new shape; a step may be negative."""
        offset = self.offset + sum(first * stride for first, stride in zip(start, self.strides, strict=True))
        strides = tuple(stride * by for stride, by in zip(self.strides, step, strict=True))
        return Place(self.buffer, offset, tuple(shape), strides)

    def one_batch_axis(self) -> Place | None:
        """With all axes but the last two merged into one; None where they step unevenly."""
        shape, strides = self.shape[:-2], self.strides[:-2]
        axes = [axis for axis, size in enumerate(shape) if size != 1]
        step = strides[axes[-1]] if axes else 0
        expected = step
        for axis in reversed(axes):
            if strides[axis] != expected:
                return None
            expected *= shape[axis]
        size = math.prod(shape)
        return Place(self.buffer, self.offset, (size, *self.shape[-2:]), (step, *self.strides[-2:]))

    def reshaped(self, shape: Shape) -> Place | None:
        """The same elements in row-major order under another shape; None where that would move some."""
        if self.strides == row_major(self.buffer, self.shape).strides and 0 not in self.shape:
            return row_major(self.buffer, shape, self.offset)
        unread = np.lib.stride_tricks.as_strided(np.empty(0, np.int8), self.shape, self.strides)
        try:
            # never by assigning to `.shape`, which reads the elements before it refuses
            view = unread.reshape(shape, copy=False)
        except ValueError:
            return None
        return Place(self.buffer, self.offset, tuple(shape), tuple(int(stride) for stride in view.strides))


def row_major(buffer: Buffer, shape: Shape, offset: int = 0) -> Place:
    """The buffer's elements, from one on, in C order."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return Place(buffer, offset, tuple(shape), tuple(reversed(strides)))


class Schedule(Protocol):
    """What determines a kernel's code, apart from the target: a frozen dataclass of numbers, strings and tuples, equal
    for equal code. Its repr, the target's and the versions are the key of the compiled object."""

    def kernel(self, target: Target, name: str) -> Function:
        """The kernel's code, under that name."""

    def __hash__(self) -> int: ...


Argument: TypeAlias = "Place | int"
Option = TypeVar("Option", covariant=True)


@dataclass(frozen=True)
class Choice(Generic[Option]):
    """What was decided for a step by its expected time alone: any answer gives the same bits.

    Attributes
    ----------
    question : str
        What is decided, in words that are the same in every process.
    options : tuple
        What could be taken; what is expected to be fastest first.
    taken
        What was, one of them or one that stands for all sizes of a step.
    """

    question: str
    options: tuple[Option, ...]
    taken: Option


@dataclass(frozen=True, eq=False)
class Turns:
    """How neighbouring steps go through a batch: all of them for some pictures, then all for the next, and so on.

    Attributes
    ----------
    firsts : tuple of int
        The first picture of each turn.
    strides : dict of Buffer to int
        For each buffer that holds the whole batch, the elements from one picture to the next. The steps' arguments are
        those of the turn that begins with picture 0.
    """

    firsts: Shape
    strides: dict[Buffer, int]


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel and its arguments.

    Attributes
    ----------
    schedule : Schedule
    arguments : tuple of Place or int
        In the order the kernel reads them: a place stands for the address of its first element.
    written : tuple of Buffer
        Which buffers it writes to, in whole or part. It reads the others.
    tasks : int
        How many tasks there are to share out.
    label : str
        What it does, for people.
    operations : float
        Its arithmetic: about how many multiply-adds of vectors take as long, with data in the first-level cache.
    passes : mapping of Buffer to float
        How many times the places in a buffer pass by, where that is not once. With `operations` these are what `costs`
        reckons with.
    choices : tuple of Choice
        What its schedule and arguments could have been besides.
    turns : Turns, optional
        The same for all steps that take turns together.
    """

    schedule: Schedule
    arguments: tuple[Argument, ...]
    written: tuple[Buffer, ...]
    tasks: int
    label: str = ""
    operations: float = 0.0
    passes: Mapping[Buffer, float] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()
    turns: Turns | None = None

    @cached_property
    def buffers(self) -> tuple[Buffer, ...]:
        """Every buffer it touches."""
        return tuple(dict.fromkeys(a.buffer for a in self.arguments if isinstance(a, Place)))


def turn_by_turn(steps: Sequence[Step]) -> Iterator[tuple[int, Step]]:
    """Every call of a kernel that the steps stand for, in order, as a step, with the number of its own among them."""
    numbered = enumerate(steps)
    for turns, group in groupby(numbered, lambda each: each[1].turns):
        if turns is None:
            yield from group
            continue
        members = list(group)
        for first in turns.firsts:
            for number, step in members:
                arguments = tuple(_further(each, first, turns.strides) for each in step.arguments)
                yield number, replace(step, arguments=arguments, turns=None)


def _further(argument: Argument, first: int, strides: Mapping[Buffer, int]) -> Argument:
    if not isinstance(argument, Place) or not (stride := strides.get(argument.buffer)):
        return argument
    return Place(argument.buffer, argument.offset + first * stride, argument.shape, argument.strides)


def bytes_of(kind: str) -> int:
    """In memory, of one number of that kind."""
    return KINDS[kind]
