"""What the compiler knows of a processor: vector width, registers, features, caches. Nothing else in the house
says 16."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from wimmel.compiler.language import KINDS


class NativeUnavailable(RuntimeError):
    """Machine code cannot be had here; the message says why. Everything still runs on the reference backend."""


@dataclass(frozen=True)
class Target:
    """One kind of processor.

    Attributes
    ----------
    name : str
        ``avx512``, ``avx2``, ``sse4.2``, ``plain`` or ``neon``.
    triple : str
        LLVM's name of processor and system.
    features : str
        LLVM's names of the instruction sets in use.
    vector_bytes : int
        Width of a vector register.
    registers : int
        How many of those there are.
    has_fma : bool
        Whether a multiply-add rounds once; where not, ``fma`` multiplies, then adds.
    has_masks : bool
        Whether masked loads and stores are instructions; elsewhere they become branches.
    l1_bytes, l2_bytes, l3_bytes : int
        Data caches of one core (L3: of all).
    """

    name: str
    triple: str
    features: str
    vector_bytes: int
    registers: int
    has_fma: bool
    has_masks: bool
    l1_bytes: int = 32 * 2**10
    l2_bytes: int = 2**20
    l3_bytes: int = 16 * 2**20

    def lanes(self, kind: str) -> int:
        """How many numbers of a kind fill a vector register."""
        return max(1, self.vector_bytes // KINDS[kind])

    def masks(self, kind: str) -> bool:
        """Whether masked loads and stores of a kind are instructions."""
        return self.has_masks and (KINDS[kind] >= 4 or "avx512bw" in self.features)


X86 = "x86_64-unknown-linux-gnu"
_V2 = "+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt"
_V3 = _V2 + ",+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt"
_V4 = _V3 + ",+avx512f,+avx512vl,+avx512bw,+avx512dq,+avx512cd"
KNOWN = {
    "avx512": Target("avx512", X86, _V4, 64, 32, True, True),
    "avx2": Target("avx2", X86, _V3, 32, 16, True, True),
    "sse4.2": Target("sse4.2", X86, _V2, 16, 16, False, False),
    "plain": Target("plain", X86, "", 16, 16, False, False),
    "neon": Target("neon", "aarch64-unknown-linux-gnu", "+neon", 16, 32, True, False),
}
SETTING = "WIMMEL_TARGET"


def host(name: str | None = None) -> Target:
    """The processor this process runs on, or a lesser one that it can stand in for.

    Parameters
    ----------
    name : str, optional
        A key of `KNOWN`. Without it the environment variable ``WIMMEL_TARGET`` is asked, at each call; where that is
        not set, the most capable target is taken.

    Returns
    -------
    Target
        With this system's triple and, on Linux and macOS, this processor's caches: rounded, so that machines of one
        kind agree.

    Raises
    ------
    NativeUnavailable
        Where no target fits the processor or the system.
    ValueError
        For a name that is not in `KNOWN`, or that this processor cannot run.
    """
    runnable = _runnable()
    asked, given = (SETTING, os.environ.get(SETTING, "")) if name is None else ("the target", name)
    if name is None and not given:
        return runnable[list(runnable)[-1]]
    if given not in runnable:
        problem = "which this processor cannot run" if given in KNOWN else f"which is none of {', '.join(KNOWN)}"
        raise ValueError(f"{asked} is {given!r}, {problem}; this processor can run {', '.join(runnable)}")
    return runnable[given]


def runs_here(target: Target) -> bool:
    """Whether code for the target may be run by this process."""
    try:
        runnable = _runnable()
    except NativeUnavailable:
        return False
    own = runnable.get(target.name)
    return own is not None and (target.triple, target.features) == (own.triple, own.features)


_TRIPLES = {
    ("linux", "x86_64"): X86,
    ("linux", "aarch64"): "aarch64-unknown-linux-gnu",
    ("darwin", "x86_64"): "x86_64-apple-macosx10.15-elf",
    ("darwin", "aarch64"): "arm64-apple-macosx11.0-elf",
    ("win32", "x86_64"): "x86_64-pc-windows-msvc-elf",
    ("win32", "aarch64"): "aarch64-pc-windows-msvc-elf",
}
"""Calls are the system's; the object files are ELF everywhere, so that one loader reads them."""

_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_X86_NAMES = ("plain", "sse4.2", "avx2", "avx512")
_CPUINFO = {"sse3": "pni", "sse4.1": "sse4_1", "sse4.2": "sse4_2", "bmi": "bmi1", "lzcnt": "abm"}
"""Linux' names of what LLVM names otherwise."""


@cache
def _runnable() -> dict[str, Target]:
    """The targets this process can run, the least capable first."""
    machine = _MACHINES.get(_machine(), _machine())
    triple = _TRIPLES.get((sys.platform, machine))
    if triple is None or struct.calcsize("P") != 8:
        bits = 8 * struct.calcsize("P")
        raise NativeUnavailable(
            f"no code is generated for a {bits}-bit process on {machine} under {sys.platform}, but for 64-bit ones on "
            "x86-64 and aarch64 under Linux, macOS and Windows"
        )
    names = ("neon",) if machine == "aarch64" else _x86_names()
    caches = _caches()
    return {name: _with_caches(replace(KNOWN[name], triple=triple), *caches) for name in names}


def _with_caches(target: Target, l1: int, l2: int, l3: int) -> Target:
    return replace(
        target,
        l1_bytes=_rounded(l1) or target.l1_bytes,
        l2_bytes=_rounded(l2) or target.l2_bytes,
        l3_bytes=_rounded(l3) or target.l3_bytes,
    )


def _machine() -> str:
    if sys.platform != "win32":
        return os.uname().machine.lower()
    import sysconfig

    return sysconfig.get_platform().rpartition("-")[2].lower()


def _x86_names() -> tuple[str, ...]:
    flags = _linux_flags() if sys.platform == "linux" else _llvm_flags()
    count = 1
    while count < len(_X86_NAMES) and flags.issuperset(_needs(_X86_NAMES[count])):
        count += 1
    return _X86_NAMES[:count]


def _needs(name: str) -> set[str]:
    return {feature.removeprefix("+") for feature in KNOWN[name].features.split(",")}


def _linux_flags() -> set[str]:
    """LLVM's names of what the first processor in /proc/cpuinfo has: Linux lists only what it lets programs use."""
    try:
        words = _cpuinfo_flags(Path("/proc/cpuinfo"))
    except OSError:
        return _llvm_flags()
    return words | {name for name, flag in _CPUINFO.items() if flag in words}


def _cpuinfo_flags(path: Path) -> set[str]:
    # a line at a time: with hundreds of processors the whole text takes the kernel long to write
    with path.open("rb", buffering=4096) as lines:
        for line in lines:
            if line.startswith(b"flags"):
                return set(line.partition(b":")[2].decode("ascii").split())
    return set()


def _llvm_flags() -> set[str]:
    """What LLVM finds, by asking the processor; nothing where llvmlite is missing."""
    try:
        from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]

        return {name for name, there in get_host_cpu_features().items() if there}
    except (ImportError, OSError, RuntimeError):
        return set()


def _caches() -> tuple[int, int, int]:
    """Bytes of the first, second and third level; 0 where the system does not say."""
    if sys.platform == "linux":
        return _linux_caches(Path("/sys/devices/system/cpu/cpu0/cache"))
    if sys.platform == "darwin":
        return _macos_caches()
    return 0, 0, 0


def _linux_caches(folder: Path) -> tuple[int, int, int]:
    found = [0, 0, 0]
    for index in range(8):
        place = folder / f"index{index}"
        try:
            level = int((place / "level").read_text())
            kind, size = (place / "type").read_text().strip(), (place / "size").read_text().strip()
            if kind != "Instruction" and 1 <= level <= 3:
                found[level - 1] = int(size.rstrip("KMG")) * 1024 ** ("KMG".find(size[-1]) + 1)
        except (OSError, ValueError):
            continue
    return found[0], found[1], found[2]


def _macos_caches() -> tuple[int, int, int]:
    import ctypes

    sysctl: Callable[..., int] = ctypes.CDLL(None).sysctlbyname

    def asked(*names: str) -> int:
        for name in names:
            value, length = ctypes.c_uint64(0), ctypes.c_size_t(8)
            if sysctl(name.encode(), ctypes.byref(value), ctypes.byref(length), None, ctypes.c_size_t(0)) == 0:
                return value.value
        return 0

    # perflevel0 are the fast cores of processors that have two kinds
    return (
        asked("hw.perflevel0.l1dcachesize", "hw.l1dcachesize"),
        asked("hw.perflevel0.l2cachesize", "hw.l2cachesize"),
        asked("hw.l3cachesize"),
    )


def _rounded(size: int) -> int:
    """The largest of 0, 2, 3, 4, 6, 8, 12, ... (powers of two, and half as much again) not above the size."""
    power = (1 << size.bit_length()) // 2
    return power + power // 2 if size >= power + power // 2 else power
