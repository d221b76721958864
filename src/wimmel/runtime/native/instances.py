"""The memory of calls: a table and an arena for each that runs at the same time, kept for the next ones as long as all
that is kept in the process stays within bounds."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakSet

import numpy as np

from wimmel.runtime.native.driver import Call
from wimmel.runtime.native.memory import aligned
from wimmel.runtime.native.tables import Table
from wimmel.runtime.native.threads import MOST_THREADS

KEPT_BYTES = 256 * 2**20
"""What idle arenas may take in the process, unless one alone takes more: then that one is kept."""


@dataclass(eq=False)
class Instance:
    """The memory of one call.

    Attributes
    ----------
    words, memory : int64 array and the same as a memoryview
        The table; ``arrays`` is where, in bytes, its arrays begin.
    arena : byte array
        Scratch memory, with what each thread has for itself behind it; ``size`` bytes.
    most_threads : int
        How many threads it will do for.
    threads : int
        How many the next call has.
    prepared : int
        The number of the preparations it is bound to.
    """

    words: np.ndarray
    memory: memoryview
    arena: np.ndarray
    size: int
    arrays: int
    most_threads: int
    threads: int = 0
    prepared: int = -1


class Instances:
    """Those of one program.

    Attributes
    ----------
    idle : list of Instance
        Whoever wants one takes the last; list operations are indivisible, so no lock is needed.
    """

    def __init__(self, table: Table, arena_bytes: int, thread_bytes: int) -> None:
        self._table = table
        self._arena_bytes = arena_bytes
        self._thread_bytes = thread_bytes
        self.idle: list[Instance] = []
        with _lock:
            _all.add(self)

    def take(self, threads: int) -> Instance:
        """One that nobody uses, for a call with so many threads."""
        try:
            instance = self.idle.pop()
        except IndexError:
            return self.new(threads)
        if instance.threads == threads:
            return instance
        return _given_threads(instance, threads) if instance.most_threads >= threads else self.new(threads)

    def give(self, instance: Instance) -> None:
        """Back, after the call."""
        self.idle.append(instance)
        while len(self.idle) > 1 and len(self.idle) * instance.size > KEPT_BYTES:
            with suppress(IndexError):  # others may be at it too
                self.idle.pop(0)

    def new(self, threads: int) -> Instance:
        """One made now; others in the process that have not been used for longest may go for it."""
        size = self._arena_bytes + threads * self._thread_bytes
        _make_room(size)
        words, arena = aligned(self._table.words.nbytes).view(np.int64), aligned(size)
        self._table.place(words, arena.ctypes.data)
        most = threads if self._thread_bytes else MOST_THREADS
        return _given_threads(Instance(words, words.data, arena, size, 8 * self._table.arrays, most), threads)


def _given_threads(instance: Instance, threads: int) -> Instance:
    instance.words[Call.THREADS] = instance.threads = threads
    return instance


def _make_room(size: int) -> None:
    """Drops the idle instances not used for longest until the others, with one of this size, are within bounds."""
    with _lock:
        found = [(instance, owner) for owner in _all for instance in owner.idle]
        excess = size + sum(instance.size for instance, _ in found) - KEPT_BYTES
        for instance, owner in sorted(found, key=lambda pair: pair[0].words[Call.ENDED]):
            if excess <= 0:
                break
            with suppress(ValueError):  # taken by a call in the meantime
                owner.idle.remove(instance)
                excess -= instance.size


_all: WeakSet[Instances] = WeakSet()
_lock = threading.RLock()


def _renew_lock() -> None:
    # whoever held it is not in the child of a fork
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
