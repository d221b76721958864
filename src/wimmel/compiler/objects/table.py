"""The kernels of this process: where each is in memory, and how it gets there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from wimmel.compiler import llvm
from wimmel.compiler.language import Function
from wimmel.compiler.objects import cache, identity
from wimmel.compiler.objects.loading import load
from wimmel.compiler.objects.workers import CompilationFailed, compile_modules
from wimmel.compiler.rounding import to_nearest
from wimmel.compiler.steps import Schedule
from wimmel.compiler.targets import NativeUnavailable, Target, runs_here

NAME = "kernel"
"""Every function's name in its own object."""


def kernels(schedules: Sequence[Schedule], target: Target) -> dict[Schedule, int]:
    """The address of each schedule's kernel; see `steps` for how they are called.

    Parameters
    ----------
    schedules : sequence of Schedule
        Compiled together: what is new in them is shared out to the machine's cores.
    target : Target
        One that this process can run.

    Returns
    -------
    dict of Schedule to int

    Raises
    ------
    NativeUnavailable
        Where code cannot be compiled or run; the message says why.
    CompilationFailed
        If LLVM refuses a kernel.
    """
    keys = {schedule: identity.of_schedule(schedule, target) for schedule in schedules}
    wanted = {key: _kernel_of(schedule, target) for schedule, key in keys.items()}
    addresses = _addresses(wanted, target)
    return {schedule: addresses[key] for schedule, key in keys.items()}


def load_functions(functions: Mapping[str, Function], target: Target) -> dict[str, int]:
    """The addresses of functions that belong to no schedule, such as the one that runs a program's steps.

    Parameters
    ----------
    functions : mapping of str to Function
        By what messages call them. Compiled together.
    target : Target
        One that this process can run.

    Raises
    ------
    NativeUnavailable, CompilationFailed
        As `kernels` does.
    """
    with to_nearest():
        texts = {name: llvm.module([replace(function, name=NAME)], target) for name, function in functions.items()}
    keys = {name: identity.of_text(text, target) for name, text in texts.items()}
    addresses = _addresses({keys[name]: (name, partial(str, text)) for name, text in texts.items()}, target)
    return {name: addresses[key] for name, key in keys.items()}


def load_function(name: str, function: Function, target: Target) -> int:
    """The address of one; see `load_functions`."""
    return load_functions({name: function}, target)[name]


def assembly(function: Function, target: Target) -> str:
    """The function as the processor's instructions, as text; for any target.

    Raises
    ------
    NativeUnavailable, CompilationFailed
        As `kernels` does.
    """
    (text,) = compile_modules([(llvm.module([function], target), target)], assembly=True)
    return text.decode()


_Code = tuple[str, Callable[[], str]]
"""What people call it, and what writes its LLVM IR."""


def _kernel_of(schedule: Schedule, target: Target) -> _Code:
    def text() -> str:
        with to_nearest():
            return llvm.module([schedule.kernel(target, NAME)], target)

    return repr(schedule), text


_loaded: dict[bytes, int] = {}
"""The address of every kernel in this process, by the key of its object."""

_pending: dict[bytes, threading.Event] = {}
"""What some thread is compiling or loading now."""

_lock = threading.Lock()


def _addresses(wanted: dict[bytes, _Code], target: Target) -> dict[bytes, int]:
    """The addresses for the keys. What another thread is already at is waited for; if that fails, it is tried here."""
    while True:
        done, own = threading.Event(), []
        try:
            with _lock:
                missing = [key for key in wanted if key not in _loaded]
                awaited = [_pending[key] for key in missing if key in _pending]
                own = [key for key in missing if key not in _pending]
                _pending.update(dict.fromkeys(own, done))
            if not missing:
                return {key: _loaded[key] for key in wanted}
            if own:
                found = _obtained({key: wanted[key] for key in own}, target)
                with _lock:
                    _loaded.update(found)
        finally:
            with _lock:
                for key in own:
                    if _pending.get(key) is done:
                        del _pending[key]
            done.set()
        for event in awaited:
            event.wait()


def _obtained(wanted: dict[bytes, _Code], target: Target) -> dict[bytes, int]:
    if not runs_here(target):
        raise NativeUnavailable(f"this processor cannot run code for {target.name} ({target.triple})")
    objects = cache.read(wanted) if identity.unchanged() else {}
    missing = [key for key in wanted if key not in objects]
    if missing:
        try:
            emitted = compile_modules((wanted[key][1](), target) for key in missing)
        except CompilationFailed as error:
            if error.module is not None:
                error.add_note(f"It is the code of {wanted[missing[error.module]][0]}.")
            raise
        compiled = dict(zip(missing, emitted, strict=True))
        if identity.unchanged():
            cache.write(compiled)
        objects.update(compiled)
    loaded = load([objects[key] for key in wanted])
    return {key: functions[NAME] for key, functions in zip(wanted, loaded, strict=True)}


def _start_again() -> None:
    """In a forked child: the threads that were compiling are not there."""
    global _lock
    _lock = threading.Lock()
    _pending.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again)
