"""Windows: sleeping by WaitOnAddress, threads and cores from kernel32."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numpy as np

from wimmel.compiler.language import Builder, Type, Value
from wimmel.compiler.targets import Target
from wimmel.runtime.native.systems import NOTHING

FOREVER = 2**32 - 1
CORE = 0
"""RelationProcessorCore."""


def functions() -> tuple[int, int]:
    library = _library("KernelBase")
    sleep, wake = (
        ctypes.cast(function, ctypes.c_void_p).value or 0
        for function in (library.WaitOnAddress, library.WakeByAddressAll)
    )
    return sleep, wake


def sleep(builder: Builder, target: Target, function: Value, address: Value, value: Value, scratch: Value) -> None:
    builder.store(builder.convert(value, "i32"), scratch, 0)
    size, forever = builder.index(4), builder.constant(Type("i32"), -1)
    builder.let("call", Type("i32"), function, address, scratch, size, forever)


def wake(builder: Builder, target: Target, function: Value, address: Value) -> None:
    builder.let("call", None, function, address)


def thread(builder: Builder, target: Target, function: Value) -> Value:
    """Not asked for: nothing is done with it."""
    return builder.index(0)


def forbid(builder: Builder, target: Target, function: Value, thread: Value, scratch: Value) -> Value:
    """Nothing: the system places threads well."""
    return builder.index(NOTHING)


def allow(builder: Builder, target: Target, function: Value, processor: Value, scratch: Value) -> None:
    """Never asked for."""


def start(function: int, argument: int) -> int:
    """A thread that runs ``function(argument)``; OSError where the system gives no more."""
    create = _library("kernel32").CreateThread
    create.restype = ctypes.c_void_p
    thread = create(None, ctypes.c_size_t(0), ctypes.c_void_p(function), ctypes.c_void_p(argument), 0, None)
    if not thread:
        raise OSError("CreateThread failed")
    return int(thread)


def join(thread: int) -> None:
    library, handle = _library("kernel32"), ctypes.c_void_p(thread)
    library.WaitForSingleObject(handle, ctypes.c_uint32(FOREVER))
    library.CloseHandle(handle)


def cores() -> int:
    """Physical cores of the process's processor group that its affinity holds."""
    library = _library("kernel32")
    process, system = ctypes.c_size_t(0), ctypes.c_size_t(0)
    own = ctypes.c_void_p(-1)  # what GetCurrentProcess gives
    library.GetProcessAffinityMask(own, ctypes.byref(process), ctypes.byref(system))
    length = ctypes.c_uint32(0)
    library.GetLogicalProcessorInformation(None, ctypes.byref(length))
    row = np.dtype([("mask", np.uint64), ("relation", np.uint32), ("rest", np.uint8, 20)])
    rows = np.zeros(length.value // row.itemsize, row)
    known = library.GetLogicalProcessorInformation(ctypes.c_void_p(rows.ctypes.data), ctypes.byref(length))
    if not known:
        return os.cpu_count() or 1
    counted = (rows["relation"] == CORE) & ((rows["mask"] & np.uint64(process.value)) != 0)
    return max(1, int(counted.sum()))


def _library(name: str) -> Any:
    """A library of the system's, with functions of our own to set types on."""
    return getattr(ctypes, "WinDLL")(name)  # noqa: B009  (it exists on Windows alone)
