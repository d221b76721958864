"""Showing how far a long task has come: a bar for people, a callback for programs, or nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_PATIENCE = 2.0


class Progress(Protocol):
    """Whatever can be told, again and again, how much of a task is done."""

    def __call__(self, task: str, done: int, total: int) -> None:
        """Called after every few pictures with the task's name, and how many of how many are done."""


@contextmanager
def reporting(progress: bool | Progress) -> Iterator[Progress]:
    """What to tell the progress to while the block runs.

    Parameters
    ----------
    progress : bool or Progress
        True shows a bar on the standard error output for tasks that take longer than two seconds; False shows
        nothing; a callback is handed on.

    Yields
    ------
    Progress

    Examples
    --------
    >>> with reporting(lambda task, done, total: print(f"{task}: {done} of {total}")) as report:
    ...     report("reading", 1, 2)
    reading: 1 of 2
    """
    if progress is True:
        with _bars() as report:
            yield report
    else:
        yield _silent if progress is False else progress


def _silent(task: str, done: int, total: int) -> None:
    pass


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    display = RichProgress(*columns, console=Console(stderr=True))
    tasks = {}
    started: dict[str, float] = {}

    def report(task: str, done: int, total: int) -> None:
        begun = started.setdefault(task, time.monotonic())
        if task not in tasks and done < total and time.monotonic() - begun > _PATIENCE:
            display.start()
            tasks[task] = display.add_task(task.capitalize(), total=total)
        if task in tasks:
            display.update(tasks[task], completed=done)

    try:
        yield report
    finally:
        if tasks:
            display.stop()
