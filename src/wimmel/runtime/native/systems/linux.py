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

__all__ = ["cores", "functions", "join", "sleep", "start", "wake"]

FUTEX = {"x86_64": 202, "aarch64": 98}
"""The system call's number, by processor."""
WAIT, WAKE = 128, 129
"""FUTEX_WAIT and FUTEX_WAKE, within one process."""


def functions() -> tuple[int, int]:
    """libc's ``syscall``, for both."""
    syscall = ctypes.cast(ctypes.CDLL(None).syscall, ctypes.c_void_p).value or 0
    return syscall, syscall


def sleep(builder: Builder, target: Target, function: Value, address: Value, value: Value, scratch: Value) -> None:
    _futex(builder, target, function, address, WAIT, value)


def wake(builder: Builder, target: Target, function: Value, address: Value) -> None:
    _futex(builder, target, function, address, WAKE, builder.index(2**31 - 1))


def _futex(builder: Builder, target: Target, function: Value, address: Value, operation: int, value: Value) -> None:
    number = FUTEX[target.triple.partition("-")[0]]
    no_timeout = builder.index(0)
    builder.let(
        "call", INDEX, function, builder.index(number), address, builder.index(operation), value, no_timeout,
        builder.index(0), builder.index(0),
    )  # fmt: skip


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
    with suppress(OSError):
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
