"""Linux: sleeping by futex, cores from /sys and the control group's quota."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wimmel.compiler.language import INDEX, Builder, Value
from wimmel.compiler.targets import Target
from wimmel.runtime.native.systems.posix import join, start

__all__ = ["allow", "cores", "forbid", "functions", "join", "sleep", "start", "thread", "wake"]

CALLS = {
    "x86_64": {"futex": 202, "sched_setaffinity": 203, "sched_getaffinity": 204, "getcpu": 309, "gettid": 186},
    "aarch64": {"futex": 98, "sched_setaffinity": 122, "sched_getaffinity": 123, "getcpu": 168, "gettid": 178},
}
"""Numbers of system calls, by processor."""
WAIT, WAKE = 128, 129
"""FUTEX_WAIT and FUTEX_WAKE, within one process."""
SET_BYTES = 128
"""Of a set of processors, a bit for each: 1024, as in the C library."""


def functions() -> tuple[int, int]:
    """libc's ``syscall``, for both."""
    syscall = ctypes.cast(ctypes.CDLL(None).syscall, ctypes.c_void_p).value or 0
    return syscall, syscall


def sleep(builder: Builder, target: Target, function: Value, address: Value, value: Value, scratch: Value) -> None:
    no_timeout = 0
    _call(builder, target, function, "futex", address, WAIT, value, no_timeout, 0, 0)


def wake(builder: Builder, target: Target, function: Value, address: Value) -> None:
    everybody = 2**31 - 1
    _call(builder, target, function, "futex", address, WAKE, everybody, 0, 0, 0)


def thread(builder: Builder, target: Target, function: Value) -> Value:
    return _call(builder, target, function, "gettid")


def forbid(builder: Builder, target: Target, function: Value, thread: Value, scratch: Value) -> Value:
    """Some kernels of virtual machines let a thread wake where its waker runs, with other processors idle."""
    builder.store(builder.index(0), scratch, 0)
    _call(builder, target, function, "getcpu", scratch, 0, 0)
    own = builder.load(scratch, 0, INDEX)
    _place(builder, target, function, thread, own, False, scratch)
    return own


def allow(builder: Builder, target: Target, function: Value, processor: Value, scratch: Value) -> None:
    this_thread = builder.index(0)
    _place(builder, target, function, this_thread, processor, True, scratch)


def _place(
    builder: Builder, target: Target, function: Value, thread: Value, processor: Value, allowed: bool, scratch: Value
) -> None:
    """Lets a thread go where this one may, with or without one processor."""
    size = _call(builder, target, function, "sched_getaffinity", 0, SET_BYTES, scratch)

    def place() -> None:
        bit = builder.binary("shift_left", 1, processor % 64)
        with_it = builder.load(scratch, processor // 64, INDEX)
        with_it = builder.binary("or", with_it, bit)
        builder.store(with_it if allowed else with_it ^ bit, scratch, processor // 64)
        _call(builder, target, function, "sched_setaffinity", thread, size, scratch)

    # without an answer the size is negative; an empty set is refused, and nothing changes
    builder.when(builder.compare("lt", processor, size * 8), place)


def _call(builder: Builder, target: Target, function: Value, name: str, *arguments: Value | int) -> Value:
    number = CALLS[target.triple.partition("-")[0]][name]
    values = [a if isinstance(a, Value) else builder.index(a) for a in (number, *arguments)]
    return builder.let("call", INDEX, function, *values)


def cores(root: Path = Path("/")) -> int:
    """Physical cores that this process may run on: hyperthreads of one count once, and no more than its quota of
    processor time pays for.

    Parameters
    ----------
    root : Path
        Where the file system is looked for.
    """
    allowed = os.sched_getaffinity(0)
    distinct = len({_siblings(root, number) for number in allowed})
    return max(1, int(min(distinct, _quota(root))))


def _siblings(root: Path, number: int) -> str:
    """A name of the core that a logical processor belongs to."""
    topology = root / f"sys/devices/system/cpu/cpu{number}/topology"
    for name in ("core_cpus_list", "thread_siblings_list"):  # the second is what kernels before 5.3 say
        with suppress(OSError):
            return (topology / name).read_text().strip()
    return str(number)


def _quota(root: Path) -> float:
    """How many processors' time the control groups grant, of both versions; infinite without a limit."""
    grants = [math.inf]
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            names = controllers.split(",")
            if controllers == "":
                grants += _granted(root / "sys/fs/cgroup", path, _second_version)
            elif "cpu" in names:
                for mount in (controllers, "cpu"):
                    grants += _granted(root / "sys/fs/cgroup" / mount, path, _first_version)
    return min(grants)


def _granted(mount: Path, path: str, read: Callable[[Path], float]) -> list[float]:
    """The limits of a group and of those it lies in. Inside a container the path may be the host's, and not there."""
    group = mount / path.lstrip("/")
    places = [group, *(parent for parent in group.parents if parent.is_relative_to(mount))]
    grants = []
    for place in places:
        with suppress(OSError, ValueError):
            grants.append(read(place))
    return grants


def _second_version(group: Path) -> float:
    quota, period = (group / "cpu.max").read_text().split()
    return math.inf if quota == "max" else int(quota) / int(period)


def _first_version(group: Path) -> float:
    quota = int((group / "cpu.cfs_quota_us").read_text())
    return math.inf if quota <= 0 else quota / int((group / "cpu.cfs_period_us").read_text())
