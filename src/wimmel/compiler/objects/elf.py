"""Reading and linking the object files that LLVM writes for kernels: 64-bit ELF with code, constants, and references
among them and to a few functions of the C library.

A kernel's object is laid out as one piece: its sections, then a stub for each function from outside. So code is never
far from its constants, and its calls reach, whatever the distance to the C library.

Numbers are from "System V Application Binary Interface", chapter 4 (Object Files), and its supplements for AMD64
(section 4.4, Relocation) and for the Arm 64-bit architecture (section 5.7, Relocation).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wimmel.compiler.targets import NativeUnavailable

X86_64, AARCH64 = 62, 183
"""ELF's numbers of processors."""

_PROGRAM_BITS, _SYMBOLS, _RELOCATIONS_WITH_ADDENDS, _RELOCATIONS = 1, 2, 4, 9
_WRITABLE, _ALLOCATED = 1, 2
_UNDEFINED, _FUNCTION = 0, 2
_STUB_BYTES = 16


@dataclass(frozen=True)
class Image:
    """An object file, laid out.

    Attributes
    ----------
    machine : int
        `X86_64` or `AARCH64`.
    size, alignment : int
        Bytes it takes in memory, and what its address must be a multiple of.
    functions : dict of str to int
        Where each of its functions begins.
    external : tuple of str
        Functions it calls that are not its own.
    """

    machine: int
    size: int
    alignment: int
    functions: dict[str, int]
    external: tuple[str, ...]
    _sections: list[tuple[int, bytes]] = field(repr=False)
    _references: list[_Reference] = field(repr=False)

    def at(self, address: int, external: Mapping[str, int]) -> bytes:
        """The image's bytes for this address, given the addresses of what it calls."""
        memory = bytearray(self.size)
        for offset, content in self._sections:
            memory[offset : offset + len(content)] = content
        stubs = self.size - _STUB_BYTES * len(self.external)
        for number, name in enumerate(self.external):
            start = stubs + _STUB_BYTES * number
            memory[start : start + _STUB_BYTES] = _STUBS[self.machine] + struct.pack("<Q", external[name])
        for reference in self._references:
            value = address + reference.value
            _RULES[self.machine][reference.kind](memory, reference.place, value, address + reference.place)
        return bytes(memory)


@dataclass(frozen=True)
class _Reference:
    """At a place in the image stands, in some form, the address of another place in it: ``value``."""

    kind: int
    place: int
    value: int


def image(content: bytes) -> Image:
    """The layout of an object file.

    Raises
    ------
    NativeUnavailable
        If it is no object file for a processor known here, or holds what no kernel should: variables, or references of
        another form.
    """
    if content[:6] != b"\x7fELF\x02\x01":
        raise NativeUnavailable(
            "a kernel's object file is not 64-bit little-endian ELF, which is all that can be loaded"
        )
    (machine,) = struct.unpack_from("<H", content, 18)
    if machine not in _RULES:
        raise NativeUnavailable(f"a kernel's object file is for a processor (ELF machine {machine}) unknown here")
    sections = _sections(content)

    size, alignment, offsets, placed = 0, 64, {}, []
    for number, section in enumerate(sections):
        if not section.flags & _ALLOCATED or not section.size or section.name == b".eh_frame":
            continue  # tables for exceptions are of no use here: none is ever thrown
        if section.kind != _PROGRAM_BITS or section.flags & _WRITABLE:
            raise NativeUnavailable(f"a kernel has variables (section {section.name.decode()}), which are not loaded")
        size = -(-size // section.alignment) * section.alignment
        alignment = max(alignment, section.alignment)
        offsets[number] = size
        placed.append((size, section.content))
        size += section.size

    symbols = [symbol for section in sections if section.kind == _SYMBOLS for symbol in _symbols(section, sections)]
    external = tuple(dict.fromkeys(symbol.name for symbol in symbols if symbol.is_external))
    stubs = -(-size // _STUB_BYTES) * _STUB_BYTES
    places: list[int | None] = [
        stubs + _STUB_BYTES * external.index(symbol.name)
        if symbol.is_external
        else offsets[symbol.section] + symbol.value
        if symbol.section in offsets
        else None
        for symbol in symbols
    ]
    functions = {
        symbol.name: place
        for symbol, place in zip(symbols, places, strict=True)
        if symbol.kind == _FUNCTION and place is not None
    }
    references = _references(sections, offsets, places, machine)
    return Image(machine, stubs + _STUB_BYTES * len(external), alignment, functions, external, placed, references)


@dataclass(frozen=True)
class _Section:
    name: bytes
    kind: int
    flags: int
    content: bytes
    size: int
    link: int
    info: int
    alignment: int


@dataclass(frozen=True)
class _Symbol:
    name: str
    kind: int
    section: int
    value: int

    @property
    def is_external(self) -> bool:
        return self.section == _UNDEFINED and bool(self.name)


def _sections(content: bytes) -> list[_Section]:
    (start,) = struct.unpack_from("<Q", content, 40)
    count, names = struct.unpack_from("<HH", content, 60)
    rows = list(struct.iter_unpack("<IIQQQQIIQQ", content[start : start + 64 * count]))
    titles = content[rows[names][4] :]
    return [
        _Section(
            titles[name : titles.index(b"\0", name)], kind, flags, content[offset : offset + size], size, link, info,
            max(alignment, 1),
        )
        for name, kind, flags, _, offset, size, link, info, alignment, _ in rows
    ]  # fmt: skip


def _symbols(table: _Section, sections: list[_Section]) -> list[_Symbol]:
    names = sections[table.link].content
    return [
        _Symbol(names[name : names.index(b"\0", name)].decode(), info & 15, section, value)
        for name, info, _, section, value, _ in struct.iter_unpack("<IBBHQQ", table.content)
    ]


def _references(
    sections: list[_Section], offsets: dict[int, int], places: list[int | None], machine: int
) -> list[_Reference]:
    found = []
    for section in sections:
        if section.info not in offsets or section.kind not in (_RELOCATIONS, _RELOCATIONS_WITH_ADDENDS):
            continue
        for offset, info, addend in struct.iter_unpack("<QQq", section.content):
            kind, place = info & 0xFFFFFFFF, places[info >> 32]
            if kind not in _RULES[machine] or place is None or section.kind == _RELOCATIONS:
                raise NativeUnavailable(
                    f"a kernel's object file refers to something in a way (relocation {kind}) unknown here"
                )
            found.append(_Reference(kind, offsets[section.info] + offset, place + addend))
    return found


# How an address is written, by ELF's number of the relocation: (memory, place in it, value, the place's own address)

_Rule = Callable[[bytearray, int, int, int], None]


def _absolute(memory: bytearray, place: int, value: int, own: int) -> None:
    struct.pack_into("<Q", memory, place, value)


def _relative(form: str) -> _Rule:
    def write(memory: bytearray, place: int, value: int, own: int) -> None:
        struct.pack_into(form, memory, place, value - own)

    return write


def _instruction(bits: Callable[[int, int], int]) -> _Rule:
    """For Arm: the bits are set in the instruction that stands there."""

    def write(memory: bytearray, place: int, value: int, own: int) -> None:
        (word,) = struct.unpack_from("<I", memory, place)
        struct.pack_into("<I", memory, place, word | bits(value, own))

    return write


def _low_bits(scale: int) -> _Rule:
    """The low 12 bits of the address, in units of what the instruction loads."""
    return _instruction(lambda value, own: (value & 0xFFF) >> scale << 10)


def _page(value: int, own: int) -> int:
    distance = (value >> 12) - (own >> 12)
    return (distance & 3) << 29 | (distance >> 2 & 0x7FFFF) << 5


_BRANCH = _instruction(lambda value, own: (value - own) >> 2 & 0x3FFFFFF)

_RULES: dict[int, dict[int, _Rule]] = {
    X86_64: {
        1: _absolute,  # R_X86_64_64
        2: _relative("<i"),  # R_X86_64_PC32
        4: _relative("<i"),  # R_X86_64_PLT32
        24: _relative("<q"),  # R_X86_64_PC64
    },
    AARCH64: {
        257: _absolute,  # R_AARCH64_ABS64
        260: _relative("<q"),  # R_AARCH64_PREL64
        261: _relative("<i"),  # R_AARCH64_PREL32
        275: _instruction(_page),  # R_AARCH64_ADR_PREL_PG_HI21
        277: _low_bits(0),  # R_AARCH64_ADD_ABS_LO12_NC
        278: _low_bits(0),  # R_AARCH64_LDST8_ABS_LO12_NC
        282: _BRANCH,  # R_AARCH64_JUMP26
        283: _BRANCH,  # R_AARCH64_CALL26
        284: _low_bits(1),  # R_AARCH64_LDST16_ABS_LO12_NC
        285: _low_bits(2),  # R_AARCH64_LDST32_ABS_LO12_NC
        286: _low_bits(3),  # R_AARCH64_LDST64_ABS_LO12_NC
        299: _low_bits(4),  # R_AARCH64_LDST128_ABS_LO12_NC
    },
}
_STUBS = {
    X86_64: bytes.fromhex("ff2502000000 0f0b"),  # jmp *2(%rip), over the ud2 to the address
    AARCH64: bytes.fromhex("50000058 00021fd6"),  # ldr x16, 8 bytes on; br x16
}
