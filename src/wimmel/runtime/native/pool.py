"""The worker threads of this process: started when first needed, stopped before it forks or ends."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from wimmel.compiler.objects import load_functions
from wimmel.compiler.targets import Target, host
from wimmel.runtime.native.driver import LINE, Pool, Slot, functions
from wimmel.runtime.native.interpreter import array_data, builtin, lock_functions, number_function
from wimmel.runtime.native.memory import aligned
from wimmel.runtime.native.systems import NOTHING, system_of
from wimmel.runtime.native.threads import MOST_THREADS

SPIN_SECONDS = 50e-6
"""How long who waits looks on before it sleeps: longer than most serial steps, too short for a neighbour to suffer."""


class Workers:
    """The driver, loaded, with the memory and the threads that all programs of the process share.

    Attributes
    ----------
    run : callable
        ``run(words, *arrays)``: the driver's, which the interpreter's lock is free during.
    address : int
        Of the pool.
    """

    def __init__(self, target: Target) -> None:
        self._system = system_of(target.triple)
        addresses = load_functions(functions(target, array_data()), target)
        number, pointer = ctypes.c_int64, ctypes.c_void_p
        self.run: Callable[..., int] = builtin("run", addresses["run"])
        self._stop = ctypes.CFUNCTYPE(None, pointer, number)(addresses["stop"])
        self._clock = ctypes.CFUNCTYPE(number)(addresses["clock"])
        self._work = addresses["work"]

        self._memory = aligned(8 * (Pool.SLOTS + MOST_THREADS * LINE)).view(np.int64)
        # a thread of somebody's may still be in a call while the interpreter takes itself apart
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._memory))
        self.address: int = self._memory.ctypes.data
        self._started = self._now()
        self._threads: list[int] = []
        self._most = MOST_THREADS - 1
        self._lock = threading.RLock()
        self._clear()
        atexit.register(self._end)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._before_fork, after_in_parent=self._lock.release, after_in_child=self._born)

    @property
    def count(self) -> int:
        """How many there are now."""
        return len(self._threads)

    def provide(self, count: int) -> None:
        """Starts workers until there are as many, or as many as the system gives. Another thread may be at it."""
        count = min(count, self._most)
        if count <= len(self._threads) or not self._lock.acquire(blocking=False):
            return
        try:
            if not self._threads:
                self._memory[Pool.STOP] = 0
            self._memory[Pool.SPIN] = self._memory[Pool.PATIENCE] = self._ticks(SPIN_SECONDS)
            while len(self._threads) < count:
                number = len(self._threads) + 1
                slot = Pool.SLOTS + number * LINE
                self._memory[slot : slot + LINE] = 0
                for word, value in ((Slot.NUMBER, number), (Slot.POOL, self.address), (Slot.FORBIDDEN, NOTHING)):
                    self._memory[slot + word] = value
                self._threads.append(self._system.start(self._work, self.address + 8 * slot))
        except OSError:
            self._most = len(self._threads)
        finally:
            self._lock.release()

    def stop(self) -> None:
        """Ends all workers, each after the step it is at; the next call that wants some starts them again."""
        with self._lock:
            self._stop(self.address, len(self._threads))
            while self._threads:
                self._system.join(self._threads.pop())

    def _clear(self) -> None:
        self._memory[:] = 0
        self._memory[Pool.PROCESSORS] = _processors()
        self._memory[Pool.SLEEP], self._memory[Pool.WAKE] = self._system.functions()
        self._memory[Pool.RELEASE], self._memory[Pool.ACQUIRE] = lock_functions()
        self._memory[Pool.ANSWER] = number_function()

    def _now(self) -> tuple[int, int]:
        return self._clock(), time.perf_counter_ns()

    def _ticks(self, seconds: float) -> int:
        """The processor's clock in what time it takes: measured, for nothing tells its speed everywhere."""
        while True:
            ticks, nanoseconds = (now - then for now, then in zip(self._now(), self._started, strict=True))
            if nanoseconds > 50_000:
                return round(seconds * 1e9 * ticks / nanoseconds)

    def _before_fork(self) -> None:
        self._lock.acquire()
        self.stop()

    def _born(self) -> None:
        """In the child of a fork, which may have come while another thread was in a call."""
        self._clear()
        self._lock.release()

    def _end(self) -> None:
        with self._lock:
            self._most = 0
            self.stop()


_workers: Workers | None = None
_making = threading.Lock()


def workers() -> Workers:
    """The one of this process.

    Raises
    ------
    NativeUnavailable
        Where code cannot be made or loaded.
    """
    global _workers
    with _making:
        if _workers is None:
            _workers = Workers(host())
        return _workers


def expect_workers() -> None:
    """Begins to make them, in a thread of its own, if there are none: `workers` will soon be asked for."""
    if _workers is None and not _making.locked():
        threading.Thread(target=_made_or_not, daemon=True, name="wimmel loads its driver").start()


def _made_or_not() -> None:
    with suppress(Exception):  # whoever asks for them tries again, and learns why
        workers()


def _renew_lock() -> None:
    global _making
    _making = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _processors() -> int:
    """Logical processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
