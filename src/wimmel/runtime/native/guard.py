"""A mode for finding mistakes: every buffer in memory of its own, between pages that nobody may touch.

With ``WIMMEL_GUARD=1`` in the environment, each call runs twice: once with every buffer ending where a forbidden page
begins, once with every buffer beginning where one ends. What has not been written is filled with something else each
time, so whatever depends on it differs. A kernel that reaches outside of its buffers ends the process at the spot, and
the standard library's ``faulthandler`` tells in which call.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Mapping, Sequence

import numpy as np

from wimmel.compiler.program import Program
from wimmel.compiler.steps import Buffer, Schedule
from wimmel.runtime.native.driver import Call
from wimmel.runtime.native.memory import aligned
from wimmel.runtime.native.pool import Workers
from wimmel.runtime.native.tables import FIXED, table_of

SETTING = "WIMMEL_GUARD"
NO_ACCESS = 0
POISONS = (0xFF, 0x7F)
"""Bytes in memory not written yet: NaN or -1, and a large number."""


def is_wanted() -> bool:
    return os.environ.get(SETTING, "0") not in ("", "0")


def run(
    program: Program, kernels: Mapping[Schedule, int], workers: Workers, arrays: Sequence[np.ndarray], threads: int
) -> list[np.ndarray] | None:
    """The program's outputs; None if a kernel refused a value.

    Raises
    ------
    RuntimeError
        If they depend on memory that was never written, or if an input was changed.
    """
    workers.provide(threads - 1)
    first, second = (
        _run_once(program, kernels, workers, arrays, threads, at_end, poison)
        for at_end, poison in zip((True, False), POISONS, strict=True)
    )
    if first is None or second is None:
        return None
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        if one.tobytes() != other.tobytes():
            raise RuntimeError(f"output {number} depends on memory that was not written, or on chance")
    return first


def _run_once(
    program: Program,
    kernels: Mapping[Schedule, int],
    workers: Workers,
    arrays: Sequence[np.ndarray],
    threads: int,
    at_end: bool,
    poison: int,
) -> list[np.ndarray] | None:
    steps = (*program.preparations, *program.steps)
    known = {**dict(zip(program.inputs, arrays, strict=True)), **program.constants}
    buffers = dict.fromkeys((*program.outputs, *(buffer for step in steps for buffer in step.buffers)))
    memory = {
        buffer: _guarded(buffer, at_end, poison, known.get(buffer), threads if buffer.role == "thread" else 1)
        for buffer in buffers
    }
    locations = {buffer: (FIXED, array.ctypes.data) for buffer, array in memory.items()}
    table = table_of(steps, kernels, locations, 0, workers.address)
    words = aligned(table.words.nbytes).view(np.int64)
    table.place(words, 0)
    words[Call.THREADS] = threads
    refused = workers.run(words)
    for buffer in buffers:
        if buffer in known and memory[buffer].tobytes() != known[buffer].tobytes():
            raise RuntimeError(f"a kernel wrote to the {buffer.role} {buffer.name!r}")
    if refused:
        return None
    return [
        memory[buffer].reshape(shape).copy()
        for buffer, shape in zip(program.outputs, program.output_shapes, strict=True)
    ]


def _guarded(buffer: Buffer, at_end: bool, poison: int, values: np.ndarray | None, times: int) -> np.ndarray:
    """So many times the buffer's elements, flat, at the end or the beginning of memory of its own."""
    page, size = mmap.PAGESIZE, times * buffer.bytes
    pages = -(-size // page) + 2
    memory = mmap.mmap(-1, pages * page)
    start = (pages - 1) * page - size if at_end else page
    array = np.frombuffer(memory, np.uint8, size, start)
    array[:] = poison
    array = array.view(buffer.dtype)
    if values is not None:
        array[:] = np.asarray(values, buffer.dtype).reshape(-1)
    base = np.frombuffer(memory, np.uint8).ctypes.data
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for forbidden in (0, pages - 1):
        if protect(ctypes.c_void_p(base + forbidden * page), ctypes.c_size_t(page), NO_ACCESS):
            raise OSError(ctypes.get_errno(), "mprotect")
    return array
