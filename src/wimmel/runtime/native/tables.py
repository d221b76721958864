"""A program's steps as the driver reads them: a table of words, and for each word what has to be added to it.

    table = call (16 words), status (16), arguments of all steps, rows of steps, rows of bindings, arrays

All but the addresses of an instance's memory is the same for every instance, so a table is made once and copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wimmel.compiler.steps import Buffer, Place, Schedule, Step, turn_by_turn
from wimmel.runtime.native.driver import LINE, MOST_TASKS, ROW, Call

FIXED, TABLE, ARENA, ARRAYS = 0, 1, 2, 3
"""What a word counts from: nothing, the table itself, the arena, and from 3 on the elements of the caller's arrays."""

STATUS = LINE
ARGUMENTS = 2 * LINE

Location = tuple[int, int]
"""What a buffer's address counts from, and bytes after it."""


@dataclass(frozen=True, eq=False)
class Table:
    """The words of a list of steps.

    Attributes
    ----------
    words : (n,) int64 array
    origins : (n,) int8 array
        `FIXED`, `TABLE` or `ARENA`.
    rows : int
        Which word the first step's row begins at.
    arrays : int
        Which word the first array's object address goes to.
    """

    words: np.ndarray
    origins: np.ndarray
    rows: int
    arrays: int

    def place(self, words: np.ndarray, arena: int) -> None:
        """Writes the table to its place, for an arena at this address."""
        words[:] = self.words + np.array([0, words.ctypes.data, arena])[self.origins]


def table_of(
    steps: Sequence[Step],
    kernels: Mapping[Schedule, int],
    locations: Mapping[Buffer, Location],
    arrays: int,
    pool: int,
) -> Table:
    """The table of the steps.

    Parameters
    ----------
    steps : sequence of Step
    kernels : mapping from Schedule to address
    locations : mapping from Buffer to Location
        Of every buffer of the steps but the status, which lies in the table.
    arrays : int
        How many arrays the caller will give.
    pool : int
        Its address.
    """
    words: list[Location] = [(FIXED, 0)] * ARGUMENTS
    rows: list[Location] = []
    bindings: list[Location] = []
    for _, step in turn_by_turn(steps):
        if step.tasks > MOST_TASKS:
            raise ValueError(
                f"the step {step.label!r} has {step.tasks:,} tasks; at most {MOST_TASKS:,} can be shared out"
            )
        rows += [(FIXED, kernels[step.schedule]), (TABLE, 8 * len(words)), (FIXED, step.tasks)]
        for argument in step.arguments:
            if not isinstance(argument, Place):
                words.append((FIXED, argument))
                continue
            origin, begin = (TABLE, 8 * STATUS) if argument.buffer.role == "status" else locations[argument.buffer]
            begin += argument.offset * np.dtype(argument.dtype).itemsize
            if origin >= ARRAYS:
                bindings += [(TABLE, 8 * len(words)), (FIXED, origin - ARRAYS), (FIXED, begin)]
                origin, begin = FIXED, 0
            words.append((origin, begin))
    first_row = len(words)
    first_binding = first_row + len(rows)
    first_array = first_binding + len(bindings)
    words += [*rows, *bindings, *[(FIXED, 0)] * arrays]
    words[Call.POOL] = (FIXED, pool)
    words[Call.STEPS], words[Call.STEP_COUNT] = (TABLE, 8 * first_row), (FIXED, len(rows) // ROW)
    words[Call.BINDINGS], words[Call.BINDING_COUNT] = (TABLE, 8 * first_binding), (FIXED, len(bindings) // ROW)
    words[Call.TOOK] = (FIXED, 2**62)  # not known yet: long
    words[Call.ARRAYS], words[Call.STATUS] = (TABLE, 8 * first_array), (TABLE, 8 * STATUS)
    numbers = np.array([number for _, number in words], np.int64)
    origins = np.array([origin for origin, _ in words], np.int8)
    return Table(numbers, origins, first_row, first_array)
