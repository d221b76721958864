"""Threads of Linux and macOS, by the C library's pthread functions."""

from __future__ import annotations

import ctypes
import os
import signal

FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT}


def start(function: int, argument: int) -> int:
    """A thread that runs ``function(argument)``.

    All signals but its own faults stay away from it: Python's handlers, and programs that wait for a signal, want them
    in threads of theirs.

    Raises
    ------
    OSError
        Where the system gives no more threads.
    """
    thread = ctypes.c_void_p()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - FAULTS)
    try:
        create = ctypes.CDLL(None).pthread_create
        error = create(ctypes.byref(thread), None, ctypes.c_void_p(function), ctypes.c_void_p(argument))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if error:
        raise OSError(error, os.strerror(error))
    return thread.value or 0


def join(thread: int) -> None:
    ctypes.CDLL(None).pthread_join(ctypes.c_void_p(thread), None)
