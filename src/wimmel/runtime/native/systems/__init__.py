"""What differs between operating systems: how a thread sleeps on a word of memory, how one is started, how many cores
there are. Each is a module with the same functions, chosen by a target's triple.

=============  =========================================================================================
`functions`    addresses of the two C functions that put to sleep and wake: run-time numbers, never in code
`sleep`        emits: sleep while the low 32 bits of a word are as given; may wake for no reason
`wake`         emits: wake all that sleep on a word
`thread`       emits: the system's name of this thread, a number
`forbid`       emits: keep that thread off the processor this one is on; gives which that is, or `NOTHING`
`allow`        emits: let this thread go to that processor again
`start`        a native thread that runs ``function(argument)``, with signals left to Python's threads
`join`         waits until such a thread is gone
`cores`        physical cores that this process may use
=============  =========================================================================================

Python's own threads would do for workers, but a worker must not need the interpreter in order to end.
"""

from __future__ import annotations

from typing import Protocol, cast

from wimmel.compiler.language import Builder, Value
from wimmel.compiler.targets import Target

NOTHING = -1
"""A processor that is none."""


class System(Protocol):
    """What each module here offers."""

    def functions(self) -> tuple[int, int]: ...

    def sleep(
        self, builder: Builder, target: Target, function: Value, address: Value, value: Value, scratch: Value
    ) -> None: ...

    def wake(self, builder: Builder, target: Target, function: Value, address: Value) -> None: ...

    def thread(self, builder: Builder, target: Target, function: Value) -> Value: ...

    def forbid(self, builder: Builder, target: Target, function: Value, thread: Value, scratch: Value) -> Value: ...

    def allow(self, builder: Builder, target: Target, function: Value, processor: Value, scratch: Value) -> None: ...

    def start(self, function: int, argument: int) -> int: ...

    def join(self, thread: int) -> None: ...

    def cores(self) -> int: ...


def system_of(triple: str) -> System:
    """The module for a target's triple."""
    from wimmel.runtime.native.systems import linux, macos, windows

    module = windows if "windows" in triple else macos if "apple" in triple else linux
    return cast(System, module)
