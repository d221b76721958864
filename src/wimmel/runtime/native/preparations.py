"""What the preparations of programs write, such as packed weights: kept once for all programs that prepare the same
from the same arrays, as those of one network for several batch sizes do."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np

from wimmel.compiler.program import Program
from wimmel.compiler.steps import Argument, Place


@dataclass(frozen=True, eq=False)
class Kept:
    """Memory that preparations wrote, and the arrays it was made of."""

    memory: np.ndarray
    arrays: tuple[np.ndarray, ...]


class Preparations:
    """What a program prepares, told apart from what others do."""

    def __init__(self, program: Program) -> None:
        self._program = program
        stable = [program.inputs[place] for place in sorted(program.stable)]
        self._numbers = {buffer: number for number, buffer in enumerate(stable)}
        touched = {buffer for step in program.preparations for buffer in step.buffers}
        self._read = tuple(number for number, buffer in enumerate(stable) if buffer in touched)
        self._signature: Hashable = (
            program.target,
            program.kept_bytes,
            tuple((step.schedule, step.tasks, *map(self._named, step.arguments)) for step in program.preparations),
        )

    def kept(self, given: Sequence[np.ndarray], make: Callable[[], np.ndarray]) -> Kept:
        """What was kept for these arrays of the stable inputs, by whichever program; made if there is nothing."""
        arrays = tuple(given[number] for number in self._read)
        key = (self._signature, tuple(map(id, arrays)))
        found = _kept.get(key)
        if found is None:
            found = _kept[key] = Kept(make(), arrays)
        return found

    def _named(self, argument: Argument) -> Hashable:
        if not isinstance(argument, Place):
            return argument
        buffer, program = argument.buffer, self._program
        for role, places in (("kept", program.kept), ("passing", program.passing)):
            if buffer in places:
                return role, places[buffer], buffer.dtype, argument.offset
        if buffer in self._numbers:
            return "input", self._numbers[buffer], argument.offset
        if buffer in program.constants:
            return "constant", program.constants[buffer].tobytes(), argument.offset
        return buffer.role, argument.offset


_kept: WeakValueDictionary[Hashable, Kept] = WeakValueDictionary()
"""By what is prepared and from which arrays; an entry holds its arrays, so that their identities are theirs alone."""
