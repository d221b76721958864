"""macOS: sleeping by __ulock_wait, which the C++ library's atomic waits use too; the fast cores alone count."""

from __future__ import annotations

import ctypes
import os

from wimmel.compiler.language import Builder, Type, Value
from wimmel.compiler.targets import Target
from wimmel.runtime.native.systems import NOTHING
from wimmel.runtime.native.systems.posix import join, start

__all__ = ["allow", "cores", "forbid", "functions", "join", "sleep", "start", "thread", "wake"]

COMPARE_AND_WAIT, WAKE_ALL, NO_ERRNO = 1, 0x100, 0x1000000


def functions() -> tuple[int, int]:
    library = ctypes.CDLL(None)
    sleep, wake = (ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (library.__ulock_wait, library.__ulock_wake))
    return sleep, wake


def sleep(builder: Builder, target: Target, function: Value, address: Value, value: Value, scratch: Value) -> None:
    operation = builder.constant(Type("i32"), COMPARE_AND_WAIT | NO_ERRNO)
    forever = builder.constant(Type("i32"), 0)
    builder.let("call", Type("i32"), function, operation, address, value, forever)


def wake(builder: Builder, target: Target, function: Value, address: Value) -> None:
    operation = builder.constant(Type("i32"), COMPARE_AND_WAIT | WAKE_ALL | NO_ERRNO)
    builder.let("call", Type("i32"), function, operation, address, builder.index(0))


def thread(builder: Builder, target: Target, function: Value) -> Value:
    """Not asked for: nothing is done with it."""
    return builder.index(0)


def forbid(builder: Builder, target: Target, function: Value, thread: Value, scratch: Value) -> Value:
    """Nothing: threads cannot be placed here."""
    return builder.index(NOTHING)


def allow(builder: Builder, target: Target, function: Value, processor: Value, scratch: Value) -> None:
    """Never asked for."""


def cores() -> int:
    """Fast cores; all cores where there is one kind."""
    for name in (b"hw.perflevel0.physicalcpu", b"hw.physicalcpu"):
        count, size = ctypes.c_int(0), ctypes.c_size_t(4)
        known = ctypes.CDLL(None).sysctlbyname(name, ctypes.byref(count), ctypes.byref(size), None, ctypes.c_size_t(0))
        if known == 0 and count.value > 0:
            return count.value
    return os.cpu_count() or 1
