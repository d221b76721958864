"""A bare machine for kernels under test: every buffer in memory of its own, ending at a page that must not be touched,
and poisoned where nothing has been written yet. Tasks run one by one, in an order drawn at random. NEON is emulated
where this processor has none."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from compiler import emulated
from wimmel.compiler import llvm
from wimmel.compiler.program import Program
from wimmel.compiler.steps import Buffer, Place, Schedule, Step, turn_by_turn
from wimmel.compiler.targets import KNOWN, Target, runs_here

PAGE = mmap.PAGESIZE
THREADS = 3
"""Tasks are said to run on one of so many, at random."""
_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class Guarded:
    """An array of bytes between two pages that fault; it ends right before the second (or starts after the first)."""

    def __init__(self, size: int, at_end: bool = True) -> None:
        pages = -(-size // PAGE) + 2
        self.memory = mmap.mmap(-1, pages * PAGE)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        start = (pages - 1) * PAGE - size if at_end else PAGE
        self.address = self.base + start
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        for page in (0, pages - 1):
            if protect(ctypes.c_void_p(self.base + page * PAGE), ctypes.c_size_t(PAGE), 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        self.bytes = np.frombuffer(self.memory, np.uint8, size, start)


def poison(dtype: str) -> object:
    """What no kernel may leave behind: NaN, or a rare whole number."""
    kind = np.dtype(dtype).kind
    return np.nan if kind == "f" else True if kind == "b" else 77


def run_steps(
    steps: Sequence[Step], values: dict[Buffer, np.ndarray], target: Target = KNOWN["avx512"], seed: int = 0
) -> dict[Buffer, np.ndarray]:
    """The steps run one after another; gives every buffer's elements, flat. Buffers without values begin poisoned."""
    buffers = dict.fromkeys(buffer for step in steps for buffer in step.buffers)
    contents = {buffer: _contents(buffer, values) for buffer in buffers}
    if target.name == "neon" and not runs_here(target):
        return emulated.run_steps(steps, contents, target, seed)
    memory: dict[Buffer, Guarded] = {}
    arrays: dict[Buffer, np.ndarray] = {}
    for place, (buffer, content) in enumerate(contents.items()):
        # alternating, so that both ends of something are tried
        times = THREADS if buffer.role == "thread" else 1
        memory[buffer] = Guarded(times * buffer.bytes, at_end=bool((seed + place) % 2 == 0))
        arrays[buffer] = memory[buffer].bytes.view(buffer.dtype)
        arrays[buffer][:] = np.tile(content, times)
    random = np.random.default_rng(seed)
    for step in steps:
        kernel = compiled(step.schedule, target)
        words = []
        for argument in step.arguments:
            if isinstance(argument, Place):
                size = np.dtype(argument.dtype).itemsize
                words.append(memory[argument.buffer].address + argument.offset * size)
            else:
                words.append(argument)
        block = np.array(words, np.int64)
        before = {buffer: arrays[buffer].copy() for buffer in step.buffers if buffer not in step.written}
        for task in random.permutation(step.tasks):
            for buffer in (buffer for buffer in step.buffers if buffer.role == "thread"):
                arrays[buffer][:] = poison(buffer.dtype)
            kernel(block.ctypes.data, int(task), int(task) + 1, int(random.integers(THREADS)))
        for buffer, old in before.items():
            assert np.array_equal(old.view(np.uint8), arrays[buffer].view(np.uint8)), f"{step.label} changed an input"
    return {buffer: array.copy() for buffer, array in arrays.items()}


def _contents(buffer: Buffer, values: dict[Buffer, np.ndarray]) -> np.ndarray:
    """What the buffer begins with."""
    if buffer in values:
        given = np.asarray(values[buffer], buffer.dtype).reshape(-1)
        assert given.size == buffer.elements, (given.size, buffer)
        return given
    return np.full(buffer.elements, 0 if buffer.role == "status" else poison(buffer.dtype), buffer.dtype)


def at(place: Place, arrays: dict[Buffer, np.ndarray]) -> np.ndarray:
    """The place's elements as an array of its shape."""
    flat = arrays[place.buffer]
    strides = tuple(stride * flat.itemsize for stride in place.strides)
    return np.lib.stride_tricks.as_strided(flat[place.offset :], place.shape, strides).copy()


@lru_cache(256)
def compiled(schedule: Schedule, target: Target) -> ctypes._CFuncPtr:
    """The schedule's kernel, compiled in this process."""
    import llvmlite.binding as llvmlite

    llvmlite.initialize_native_target()
    llvmlite.initialize_native_asmprinter()
    text = llvm.module([schedule.kernel(target, "kernel")], target)
    module = llvmlite.parse_assembly(text)
    module.verify()
    machine = llvmlite.Target.from_triple(target.triple).create_target_machine(
        opt=1, features=target.features, jit=True
    )
    engine = llvmlite.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    kernel = _KERNEL(engine.get_function_address("kernel"))
    kernel.engine = engine  # whose memory the code lies in
    return kernel


def run_program(program: Program, values: Sequence[np.ndarray], seed: int = 0) -> list[np.ndarray]:
    """The program's outputs for one array for each of its inputs; every buffer in guarded memory of its own."""
    (outputs,) = run_programs([program], [values], seed)
    return outputs


def run_programs(
    programs: Sequence[Program], values: Sequence[Sequence[np.ndarray]], seed: int = 0
) -> list[list[np.ndarray]]:
    """The outputs of several programs for one target, run in a row: an emulator then starts but once."""
    known: dict[Buffer, np.ndarray] = {}
    for program, arrays in zip(programs, values, strict=True):
        known |= dict(zip(program.inputs, arrays, strict=True)) | program.constants
    steps = [step for program in programs for _, step in turn_by_turn((*program.preparations, *program.steps))]
    found = run_steps(steps, known, programs[0].target, seed)
    return [_outputs(program, found) for program in programs]


def _outputs(program: Program, found: dict[Buffer, np.ndarray]) -> list[np.ndarray]:
    assert not found.get(program.status, np.zeros(1)).any(), "a value was refused"
    empty = (np.zeros(0, buffer.dtype) for buffer in program.outputs)
    return [
        found.get(buffer, nothing).reshape(shape)
        for buffer, nothing, shape in zip(program.outputs, empty, program.output_shapes, strict=True)
    ]
