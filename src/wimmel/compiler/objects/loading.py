"""Machine code in this process: memory that may be executed, and objects linked into it. LLVM has no part in it."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Sequence
from functools import cache

from wimmel.compiler.objects.elf import AARCH64, X86_64, Image, image
from wimmel.compiler.targets import NativeUnavailable

ALLOWED = (
    "memcpy", "memmove", "memset", "bzero", "__bzero", "__chkstk", "fma", "fmaf", "sqrt", "sqrtf", "floor", "floorf",
    "ceil", "ceilf", "trunc", "truncf", "rint", "rintf", "roundeven", "roundevenf",
)  # fmt: skip
"""Functions of the C library that LLVM may call where a processor has no instruction. Their results are exact."""


def load(objects: Sequence[bytes]) -> list[dict[str, int]]:
    """The addresses of the functions in each object.

    Parameters
    ----------
    objects : sequence of bytes
        ELF object files for this processor. They come to lie side by side, and stay until the process ends.

    Returns
    -------
    list of dict, from the name of a function to its address

    Raises
    ------
    NativeUnavailable
        If an object is for another processor, calls functions that are not there, or the system does not let this
        process run code that it made.
    """
    images = [image(content) for content in objects]
    machine = AARCH64 if _is_arm() else X86_64
    if any(each.machine != machine for each in images):
        raise NativeUnavailable("a kernel was compiled for another kind of processor than this process runs on")
    external = {name: _address_of(name) for each in images for name in each.external}
    starts, size = _side_by_side(images)
    base = _reserve(max(size, 1))
    addresses = [base + start for start in starts]
    for each, address in zip(images, addresses, strict=True):
        code = each.at(address, external)
        ctypes.memmove(address, code, len(code))
    _make_executable(base, max(size, 1))
    return [
        {name: address + offset for name, offset in each.functions.items()}
        for each, address in zip(images, addresses, strict=True)
    ]


def _side_by_side(images: list[Image]) -> tuple[list[int], int]:
    starts, size = [], 0
    for each in images:
        size = -(-size // each.alignment) * each.alignment
        starts.append(size)
        size += each.size
    return starts, size


def _is_arm() -> bool:
    if sys.platform == "win32":
        import sysconfig

        return sysconfig.get_platform().endswith("arm64")
    return os.uname().machine.lower() in ("aarch64", "arm64")


@cache
def _address_of(name: str) -> int:
    if name in ALLOWED:
        for library in _libraries():
            try:
                return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
            except AttributeError:
                continue
    raise NativeUnavailable(
        f"a kernel calls the C function {name!r}, which this system's C library does not offer to it"
    )


if sys.platform == "win32":

    def _libraries() -> list[ctypes.CDLL]:
        return [ctypes.CDLL(name) for name in ("ucrtbase", "msvcrt", "ntdll")]

    def _reserve(size: int) -> int:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.VirtualAlloc.restype = ctypes.c_void_p
        kernel.VirtualAlloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_uint32]
        address = kernel.VirtualAlloc(None, size, 0x3000, 0x04)  # MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE
        if not address:
            raise MemoryError(f"Windows gives no memory for {size:,} bytes of code")
        return address

    def _make_executable(address: int, size: int) -> None:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.VirtualProtect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_void_p]
        before = ctypes.c_uint32()
        if not kernel.VirtualProtect(address, size, 0x20, ctypes.byref(before)):  # PAGE_EXECUTE_READ
            raise NativeUnavailable(
                f"Windows does not let this process run code it made: error {ctypes.get_last_error()}"
            )
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        kernel.FlushInstructionCache.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        kernel.FlushInstructionCache(kernel.GetCurrentProcess(), address, size)

else:

    def _libraries() -> list[ctypes.CDLL]:
        return [ctypes.CDLL(None)]

    def _reserve(size: int) -> int:
        # not Python's mmap: it would take the memory back at the end, when threads may still run in it
        system = ctypes.CDLL(None, use_errno=True)
        system.mmap.restype = ctypes.c_void_p
        system.mmap.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64,
        ]  # fmt: skip
        protection, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANON
        address = system.mmap(None, size, protection, flags, -1, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            raise MemoryError(
                f"the system gives no memory for {size:,} bytes of code: {os.strerror(ctypes.get_errno())}"
            )
        return address

    def _make_executable(address: int, size: int) -> None:
        # never writable and executable at once, which hardened systems refuse. Linux itself brings the instruction
        # caches up to date when pages become executable; macOS wants to be asked.
        system = ctypes.CDLL(None, use_errno=True)
        system.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        if system.mprotect(address, size, mmap.PROT_READ | mmap.PROT_EXEC) != 0:
            problem = os.strerror(ctypes.get_errno())
            system.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
            system.munmap(address, size)
            raise NativeUnavailable(f"this system does not let a process run code that it made itself: {problem}")
        if sys.platform == "darwin":
            system.sys_icache_invalidate.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
            system.sys_icache_invalidate(address, size)
