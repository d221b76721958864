"""Running programs: a call is one native call, and any number of threads may call one program at once."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from operator import is_, itemgetter
from typing import Any
from weakref import WeakSet

import numpy as np

from wimmel.compiler.objects import kernels
from wimmel.compiler.program import Program
from wimmel.compiler.steps import Buffer, Step, turn_by_turn
from wimmel.runtime.native import guard
from wimmel.runtime.native.driver import ROW, Call
from wimmel.runtime.native.instances import Instance, Instances
from wimmel.runtime.native.memory import aligned
from wimmel.runtime.native.pool import workers
from wimmel.runtime.native.preparations import Kept, Preparations
from wimmel.runtime.native.tables import ARENA, ARRAYS, FIXED, Location, table_of
from wimmel.runtime.native.threads import get_num_threads

C_ORDER_AND_ALIGNED = 0x101
"""The two of NumPy's flags that machine code relies on."""


class Refused(Exception):
    """A kernel met a value that must be refused; the definition, run on the same arrays, says which and why."""


class NativeRunner:
    """A program, ready to run.

    With the environment variable ``WIMMEL_GUARD`` set, every buffer lies in guarded memory; see `guard`.

    Parameters
    ----------
    program : Program

    Raises
    ------
    NativeUnavailable
        Where its kernels cannot be made or loaded.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._guarded = guard.is_wanted()
        self._kernels = kernels(program.schedules, program.target)
        self._workers = workers()
        self._most_tasks = max((step.tasks for step in program.steps), default=1)

        stable = sorted(program.stable)
        self._inputs = [(place, buffer.elements, np.dtype(buffer.dtype)) for place, buffer in enumerate(program.inputs)]
        self._changing = [each for each in self._inputs if each[0] not in program.stable]
        self._stable = _picker(stable)
        dtypes = [np.dtype(buffer.dtype) for buffer in program.outputs]
        self._outputs = list(zip(program.output_shapes, dtypes, strict=True))

        # the arrays of a table: first those that are new at every call, which a call is given
        new = [*(program.inputs[place] for place, *_ in self._changing), *program.outputs]
        old = [program.inputs[place] for place in stable]
        self._constants = {
            buffer: np.require(array, buffer.dtype, ["C", "A"]) for buffer, array in program.constants.items()
        }
        self._locations = self._located(new, old)
        self._new_count, self._array_count = len(new), len(new) + 1 + len(old)
        self._bind_old = struct.Struct(f"{1 + len(old)}q").pack_into
        self._instances = self._instances_of(program.steps, program.arena, program.arena_bytes)

        self._preparations = Preparations(program)
        self._prepared: _Prepared | None = None
        with _lock:
            _runners.add(self)

    def __call__(
        self, values: Sequence[np.ndarray], out: Sequence[np.ndarray | None] | None = None
    ) -> list[np.ndarray]:
        """The program's outputs.

        Parameters
        ----------
        values : sequence of array
            One for each input, of its shape and dtype, in any order of memory. An array of a stable input must not be
            written to after it was given.
        out : sequence of array or None, optional
            Arrays that the outputs are written to, None for a new one. They may share memory with inputs.

        Returns
        -------
        list of array
            One for each output; the arrays of ``out`` where given.

        Raises
        ------
        Refused
            If a kernel met a value that the definition refuses, such as an index out of range. Arrays of ``out`` may
            have been written to by then.
        TypeError, ValueError
            If an array does not fit.
        """
        if self._guarded:
            return self._run_guarded(values, out)
        prepared = self._prepared
        if prepared is None or (prepared.given and not all(map(is_, prepared.given, self._stable(values)))):
            prepared = self._prepare(values)
        arrays = [_fitting(values[place], elements, dtype) for place, elements, dtype in self._changing]
        if out is None:
            results = outputs = [np.empty(shape, dtype) for shape, dtype in self._outputs]
        else:
            results, outputs = self._destinations(out, [*arrays, *prepared.arrays])

        threads = self._threads()
        instance = self._instances.take(threads)
        self._bind_prepared(instance, prepared)
        refused = self._workers.run(instance.words, *arrays, *outputs)
        self._instances.give(instance)
        if refused:
            raise Refused
        if results is not outputs:
            _deliver(outputs, results)
        return results

    def bound(self, values: Sequence[np.ndarray]) -> Callable[[np.ndarray], np.ndarray | None] | None:
        """What runs the program on another array, with the same arrays of stable inputs, and gives its one output; None
        if other than one input changes. The function gives None where preparations were made anew or given back since,
        and where the definition has to say what is wrong."""
        if self._guarded or len(self._changing) != 1 or len(self._outputs) != 1:
            return None
        ((place, _, dtype),), ((shape, kind),) = self._changing, self._outputs
        if place != 0:
            return None
        number, one_task = self._prepare(values).number, self._most_tasks == 1
        take, give, run = self._instances.take, self._instances.give, self._workers.run
        empty, needed = np.empty, C_ORDER_AND_ALIGNED

        def call(array: np.ndarray) -> np.ndarray | None:
            prepared = self._prepared
            if prepared is None or prepared.number != number:
                return None
            if array.flags.num & needed != needed:
                array = np.require(array, dtype, ["C", "A"])
            result = empty(shape, kind)
            instance = take(1 if one_task else self._threads())
            if instance.prepared != number:
                self._bind_prepared(instance, prepared)
            refused = run(instance.words, array, result)
            give(instance)
            return None if refused else result

        return call

    def profile(self, values: Sequence[np.ndarray], rounds: int = 5) -> list[tuple[str, float]]:
        """Each step's label, and the seconds that its calls take in all turns together: the least of some rounds, in
        which calls run one by one."""
        arrays = [_fitting(values[place], elements, dtype) for place, elements, dtype in self._changing]
        outputs = [np.empty(shape, dtype) for shape, dtype in self._outputs]
        steps, threads = self.program.steps, self._threads()
        instance = self._instances.new(threads)
        self._bind_prepared(instance, self._prepare(values))
        words, first = instance.words, int(instance.words[Call.STEPS])
        words[Call.STEP_COUNT] = 0
        self._workers.run(words, *arrays, *outputs)
        words[Call.STEP_COUNT], words[Call.BINDING_COUNT] = 1, 0
        numbers = [number for number, _ in turn_by_turn(steps)]
        least = [float("inf")] * len(steps)
        for _ in range(rounds):
            seconds = [0.0] * len(steps)
            for row, number in enumerate(numbers):
                words[Call.STEPS] = first + 8 * ROW * row
                start = time.perf_counter()
                self._workers.run(words)
                seconds[number] += time.perf_counter() - start
            least = list(map(min, least, seconds))
        return [(step.label, took) for step, took in zip(steps, least, strict=True)]

    def release_memory(self) -> None:
        """Gives back what no call is using; the next one makes it anew."""
        self._instances.idle.clear()
        self._prepared = None

    # one call

    def _threads(self) -> int:
        threads = min(get_num_threads(), self._most_tasks)
        if threads - 1 > self._workers.count:
            self._workers.provide(threads - 1)
        return threads

    def _bind_prepared(self, instance: Instance, prepared: _Prepared) -> None:
        if instance.prepared != prepared.number:
            self._bind_kept(instance, prepared.arrays, prepared.kept.memory)
            instance.prepared = prepared.number

    def _bind_kept(self, instance: Instance, arrays: list[np.ndarray], kept: np.ndarray) -> None:
        self._bind_old(instance.memory, instance.arrays + 8 * self._new_count, id(kept), *map(id, arrays))

    def _destinations(
        self, out: Sequence[np.ndarray | None], arrays: list[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The arrays to give back, and those to write to: others where the first are read from or not in C order."""
        if len(out) != len(self.program.outputs):
            raise ValueError(f"out has {len(out)} arrays; the program has {len(self.program.outputs)} outputs.")
        results: list[np.ndarray] = []
        outputs: list[np.ndarray] = []
        for given, (shape, dtype) in zip(out, self._outputs, strict=True):
            if given is None:
                results.append(np.empty(shape, dtype))
                outputs.append(results[-1])
                continue
            if not isinstance(given, np.ndarray) or (given.shape, given.dtype) != (shape, dtype):
                found = f"{given.dtype} {given.shape}" if isinstance(given, np.ndarray) else repr(given)
                raise ValueError(f"An array for an output must be of {dtype} and shape {shape}; got {found}.")
            if not given.flags.writeable:
                raise ValueError("An array for an output is read-only.")
            direct = given.flags.num & C_ORDER_AND_ALIGNED == C_ORDER_AND_ALIGNED
            direct = direct and not any(np.may_share_memory(given, other) for other in (*arrays, *results))
            outputs.append(given if direct else np.empty(shape, dtype))
            results.append(given)
        return results, outputs

    def _run_guarded(self, values: Sequence[np.ndarray], out: Sequence[np.ndarray | None] | None) -> list[np.ndarray]:
        arrays = [_fitting(values[place], elements, dtype) for place, elements, dtype in self._inputs]
        found = guard.run(self.program, self._kernels, self._workers, arrays, self._threads())
        if found is None:
            raise Refused
        if out is None:
            return found
        results, _ = self._destinations(out, [])
        _deliver(found, results)
        return results

    # what is done beforehand

    def _prepare(self, values: Sequence[np.ndarray]) -> _Prepared:
        """What follows from the stable inputs: what there is if it will do, else made anew, for later calls too."""
        with _lock:
            given = tuple(self._stable(values))
            before = self._prepared
            if before is not None and all(map(is_, before.given, given)):
                return before
            kinds = self._stable(self._inputs)
            arrays = [
                _fitting(array, elements, dtype) for array, (_, elements, dtype) in zip(given, kinds, strict=True)
            ]
            kept = self._preparations.kept(given, lambda: self._written(arrays))
            self._prepared = _Prepared(next(_numbers), given, arrays, kept)
            return self._prepared

    def _written(self, arrays: list[np.ndarray]) -> np.ndarray:
        """Fresh memory, written by the preparations: calls that are running still read the old one."""
        kept = aligned(self.program.kept_bytes)
        program, steps = self.program, self.program.preparations
        if steps:
            threads = min(get_num_threads(), max(step.tasks for step in steps))
            instance = self._instances_of(steps, program.passing, program.passing_bytes).new(threads)
            self._bind_kept(instance, arrays, kept)
            self._workers.provide(threads - 1)
            if self._workers.run(instance.words):
                raise Refused
        return kept

    # memory

    def _instances_of(self, steps: Sequence[Step], scratch: Mapping[Buffer, int], scratch_bytes: int) -> Instances:
        program = self.program
        locations = {
            **self._locations,
            **{buffer: (ARENA, begin) for buffer, begin in scratch.items()},
            **dict.fromkeys(program.of_threads, (ARENA, scratch_bytes)),
        }
        table = table_of(steps, self._kernels, locations, self._array_count, self._workers.address)
        return Instances(table, scratch_bytes, program.thread_bytes)

    def _located(self, new: list[Buffer], old: list[Buffer]) -> dict[Buffer, Location]:
        """Of all buffers but scratch."""
        kept = ARRAYS + len(new)
        return {
            **{buffer: (FIXED, array.ctypes.data) for buffer, array in self._constants.items()},
            **{buffer: (kept, begin) for buffer, begin in self.program.kept.items()},
            **{buffer: (ARRAYS + place, 0) for place, buffer in enumerate(new)},
            **{buffer: (kept + 1 + place, 0) for place, buffer in enumerate(old)},
        }


def release_memory() -> None:
    """Gives back the memory that compiled graphs keep between calls: scratch space and weights in packed form.

    Calls that are running keep theirs, and the next call of each graph takes what it needs again.
    """
    with _lock:
        for runner in list(_runners):
            runner.release_memory()


@dataclass(frozen=True, eq=False)
class _Prepared:
    """The arrays that were given for stable inputs, the same as machine code takes them, and what was made of them."""

    number: int
    given: tuple[np.ndarray, ...]
    arrays: list[np.ndarray]
    kept: Kept


def _fitting(array: Any, elements: int, dtype: np.dtype) -> np.ndarray:
    if (
        type(array) is np.ndarray
        and array.dtype == dtype
        and array.size == elements
        and array.flags.num & C_ORDER_AND_ALIGNED == C_ORDER_AND_ALIGNED
    ):
        return array
    array = np.asarray(array)
    if array.size != elements or array.dtype.newbyteorder("=") != dtype:
        raise ValueError(f"The program takes {elements} elements of {dtype} here; got {array.dtype} {array.shape}.")
    return np.require(array, dtype, ["C", "A"])


def _deliver(outputs: list[np.ndarray], results: list[np.ndarray]) -> None:
    for output, result in zip(outputs, results, strict=True):
        if output is not result:
            np.copyto(result, output)


def _picker(places: list[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A function that gives these entries of a sequence."""
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0, 0))


_runners: WeakSet[NativeRunner] = WeakSet()
_numbers = count()
_lock = threading.RLock()


def _renew_lock() -> None:
    # whoever held it is not in the child of a fork
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
