"""A machine with another processor: steps for aarch64 and their buffers become one executable, linked as the runtime
links, which an emulator runs. Every buffer lies between pages that fault, and a step can reach only its own buffers."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wimmel.compiler import llvm
from wimmel.compiler.language import INDEX, POINTER, Builder, Function, Value
from wimmel.compiler.objects import compile_modules
from wimmel.compiler.objects.elf import AARCH64, image
from wimmel.compiler.steps import Buffer, Place, Schedule, Step
from wimmel.compiler.targets import Target

EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
MISSING = "there is no qemu-aarch64, which Debian has in its package qemu-user"

_PAGE = 4096
_CALLS = 0x1000_0000
_NAME = "kernel"
"""Every function's name in its own object."""


def run_steps(
    steps: Sequence[Step], contents: Mapping[Buffer, np.ndarray], target: Target, seed: int = 0
) -> dict[Buffer, np.ndarray]:
    """The steps run one after another on buffers with these contents; gives every buffer's elements, flat.

    Raises
    ------
    AssertionError
        If a step touches anything but its buffers, or writes to one that it should only read.
    """
    code, calls, words, memory = _Part(0x0040_0000), _Part(_CALLS), _Part(0x2000_0000), _Part(0x3000_0000)
    rooms = {
        buffer: _Room.of(array, memory, at_end=(seed + number) % 2 == 0)
        for number, (buffer, array) in enumerate(contents.items())
    }
    memory.put(bytes(_PAGE))
    system = code.put(_SYSTEM)
    kernels, start = _linked([step.schedule for step in steps], target, code)
    everything = memory.base, len(memory.content)
    for call in _calls(steps, kernels, rooms, everything, words, system, np.random.default_rng(seed)):
        calls.put(struct.pack("<5q", *call))
    after = _run(_executable(start, {code: "rx", calls: "r", words: "r", memory: "rw"}))
    return {
        buffer: np.frombuffer(after, buffer.dtype, buffer.elements, rooms[buffer].address - memory.base).copy()
        for buffer in contents
    }


@dataclass(eq=False)
class _Part:
    """A part of the process, which grows with what is put there."""

    base: int
    content: bytearray = field(default_factory=bytearray)

    def end(self, alignment: int = 1) -> int:
        """The address of what is put there next."""
        self.content += bytes(-len(self.content) % alignment)
        return self.base + len(self.content)

    def put(self, content: bytes, alignment: int = 1) -> int:
        """The address of the content."""
        address = self.end(alignment)
        self.content += content
        return address


@dataclass(frozen=True)
class _Room:
    """A buffer's address, and the pages that are its own."""

    address: int
    pages: int
    size: int

    @classmethod
    def of(cls, array: np.ndarray, memory: _Part, at_end: bool) -> _Room:
        """Behind a page that nobody may touch; the buffer begins at the room's beginning or ends at its end."""
        memory.put(bytes(_PAGE))
        spare = -array.nbytes % _PAGE
        pages = memory.put(bytes(spare if at_end else 0))
        address = memory.put(array.tobytes())
        memory.put(bytes(0 if at_end else spare))
        return cls(address, pages, array.nbytes + spare)


# The process: it calls one function after another, each with four arguments

_WRITE, _EXIT, _PROTECT = 64, 93, 226
_NOTHING, _READ, _READ_AND_WRITE = 0, 1, 3

_SYSTEM = struct.pack("<6I", 0xAA0003E8, 0xAA0103E0, 0xAA0203E1, 0xAA0303E2, 0xD4000001, 0xD65F03C0)
"""A system call by its number, with three arguments: mov x8, x0; mov x0, x1; mov x1, x2; mov x2, x3; svc 0; ret."""

_Call = tuple[int, int, int, int, int]
"""The address of a function and its arguments."""


def _calls(
    steps: Sequence[Step],
    kernels: Mapping[Schedule, int],
    rooms: Mapping[Buffer, _Room],
    everything: tuple[int, int],
    words: _Part,
    system: int,
    random: np.random.Generator,
) -> Iterator[_Call]:
    """Each step says what it is, may touch its buffers, and does its tasks in a random order; in the end all memory is
    written to the standard output. What arguments point to is put among the words."""
    yield system, _PROTECT, *everything, _NOTHING
    for step in steps:
        label = f"{step.label}: {step.schedule}\n".encode()
        yield system, _WRITE, 2, words.put(label), len(label)
        for buffer in step.buffers:
            rights = _READ_AND_WRITE if buffer in step.written else _READ
            yield system, _PROTECT, rooms[buffer].pages, rooms[buffer].size, rights
        arguments = [
            rooms[argument.buffer].address + argument.offset * np.dtype(argument.dtype).itemsize
            if isinstance(argument, Place)
            else argument
            for argument in step.arguments
        ]
        block = words.put(struct.pack(f"<{len(arguments)}q", *arguments), alignment=8)
        for task in random.permutation(step.tasks):
            yield kernels[step.schedule], block, int(task), int(task) + 1, 0
        for buffer in step.buffers:
            yield system, _PROTECT, rooms[buffer].pages, rooms[buffer].size, _NOTHING
    yield system, _PROTECT, *everything, _READ
    yield system, _WRITE, 1, *everything
    yield system, _EXIT, 0, 0, 0


def _driver() -> Function:
    """Makes the calls, of which the last ends the process."""
    builder = Builder(_NAME)
    calls = builder.constant(POINTER, _CALLS)

    def call(number: Value) -> None:
        function = builder.load(calls, number * 5, POINTER)
        arguments = [builder.load(calls, number * 5 + place, INDEX) for place in range(1, 5)]
        builder.let("call", None, function, *arguments)

    builder.loop(0, 2**60, 1, call)
    return builder.function()


def _linked(schedules: Sequence[Schedule], target: Target, code: _Part) -> tuple[dict[Schedule, int], int]:
    """The addresses of kernels and driver, which are put among the code."""
    different = list(dict.fromkeys(schedules))
    functions = (_driver(), *(schedule.kernel(target, _NAME) for schedule in different))
    addresses = []
    for content in compile_modules((llvm.module([function], target), target) for function in functions):
        linked = image(content)
        address = code.put(linked.at(code.end(linked.alignment), external={}))
        addresses.append(address + linked.functions[_NAME])
    return dict(zip(different, addresses[1:], strict=True)), addresses[0]


def _executable(start: int, parts: Mapping[_Part, str]) -> bytes:
    """An ELF file that begins at start, with one segment for each part and the rights it has."""
    head = (b"\x7fELF\x02\x01\x01", 2, AARCH64, 1, start, 64, 0, 0, 64, 56, len(parts), 0, 0, 0)
    table, content = struct.pack("<16sHHIQQQIHHHHHH", *head), bytearray()
    for part, rights in parts.items():
        size = part.end(_PAGE) - part.base
        flags = sum({"x": 1, "w": 2, "r": 4}[right] for right in rights)
        place = _PAGE + len(content)
        table += struct.pack("<IIQQQQQQ", 1, flags, place, part.base, part.base, size, size, _PAGE)
        content += part.content
    return table.ljust(_PAGE, b"\0") + content


def _run(executable: bytes) -> bytes:
    """What it writes to its standard output."""
    assert EMULATOR is not None, MISSING
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program")
        path.write_bytes(executable)
        path.chmod(0o755)
        result = subprocess.run([EMULATOR, str(path)], capture_output=True, cwd=folder, timeout=600)
    last = b"\n".join(result.stderr.splitlines()[-2:]).decode(errors="replace")
    assert result.returncode == 0, f"the emulator ended with status {result.returncode} in this step: {last}"
    return result.stdout
