"""Contenders in processes of their own that take turns, so that none disturbs another and all meet the same moments of
a noisy machine.

Given a section; hands on a row of figures for each of its cases. A contender that fails, ends or hangs at a case loses
that case, with the reason, and is started anew for the next.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from wimmel.bench import SECTIONS
from wimmel.bench.machine import available_memory
from wimmel.bench.results import Figures, text_of
from wimmel.bench.section import Case, Contender, Section

TOLERANCE = 1e-3
"""Of an output's largest number: what a peer's may differ from ours."""

_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "WIMMEL_NUM_THREADS",
    "NPROC",  # how many threads XLA starts
)  # fmt: skip


_HOPELESS = 8
"""Times the quickest contender's figure, from which on a peer has no second turn: it will not be the best."""

_PARTING = 5.0
"""Seconds that a process has to end by itself."""


class Failure(Exception):
    """A contender did not do what it was asked; the message says why, as a clause."""


def missing(section: Section) -> dict[str, tuple[str, ...]]:
    """The contenders that cannot take part, and what would have to be installed for each."""
    absent = {each.name: tuple(name for name in each.needs if find_spec(name) is None) for each in section.contenders}
    return {name: modules for name, modules in absent.items() if modules}


class Contest:
    """The contenders of a section, on so many threads. A context; at its end all their processes are gone.

    Parameters
    ----------
    section : Section
    threads : int
    rounds : int
        Turns of every contender at every case.
    seconds : float, optional
        What a turn takes at least; the section's own, if it is not given.
    limit : float, optional
        After how many seconds without an answer a contender is given up; the section's own, if it is not given.
    """

    def __init__(
        self, section: Section, threads: int, rounds: int, seconds: float | None = None, limit: float | None = None
    ) -> None:
        self.section = section
        self.rounds = min(rounds, section.most_rounds)
        absent = missing(section)
        turn = section.seconds if seconds is None else min(seconds, section.seconds)
        patience = section.limit if limit is None else limit
        self._rivals = [
            _Rival(section, each, threads, turn, patience) for each in section.contenders if each.name not in absent
        ]

    def __enter__(self) -> Contest:
        return self

    def __exit__(self, *_: object) -> None:
        for rival in self._rivals:
            rival.end()

    def measure(self, case: Case, follow: Callable[[str], None] = lambda _: None) -> tuple[dict, dict[str, str]]:
        """The figures of those that can do the case, by name, and why others failed.

        Parameters
        ----------
        case : Case
        follow : callable, optional
            Told whose turn it is.

        Returns
        -------
        dict of str to Figures, dict of str to str
        """
        wanted = case.memory * len(self._rivals)
        if wanted > available_memory():
            reason = f"all contenders together would take {text_of(wanted, 'bytes')} of memory, more than is free"
            return {}, {rival.name: reason for rival in self._rivals}
        failed: dict[str, str] = {}
        able = self._prepared(case, failed, follow)
        turns: dict[str, list[Figures]] = {rival.name: [] for rival in able}
        for _ in range(self.rounds):
            quickest = min((seen[-1].best for seen in turns.values() if seen), default=0.0)
            for rival in able:
                seen = turns[rival.name]
                if rival.name in failed or (seen and not rival.is_ours and seen[-1].best > _HOPELESS * quickest):
                    continue
                follow(rival.name)
                with _noted(rival.name, failed):
                    seen.append(Figures(**rival.ask({"do": "time"})))
        for rival in able:
            if rival.name not in failed:
                with _noted(rival.name, failed):
                    rival.ask({"do": "forget"})
        figures = {name: _together(seen) for name, seen in turns.items() if name not in failed}
        return figures, failed

    def _prepared(self, case: Case, failed: dict[str, str], follow: Callable[[str], None]) -> list[_Rival]:
        """Those that can do the case and whose outcome is ours."""
        able, expected = [], None
        with tempfile.TemporaryDirectory() as folder:
            for rival in self._rivals:
                follow(f"{rival.name} prepares")
                path = Path(folder) / "outcome.npy"
                with _noted(rival.name, failed):
                    answer = rival.ask({"do": "prepare", "case": case.name, "outcome": str(path)})
                    if not answer["able"]:
                        continue
                    if answer["outcome"]:
                        outcome = np.load(path)
                        if expected is None:
                            expected = outcome
                        _check(outcome, expected)
                    able.append(rival)
        return able


class _Rival:
    """One contender in its process, which is started when it is first asked something."""

    def __init__(self, section: Section, contender: Contender, threads: int, seconds: float, limit: float) -> None:
        self.name, self.is_ours, self.limit = contender.name, contender.is_ours, limit
        self._command = [
            sys.executable, "-P", "-m", "wimmel.bench.child", SECTIONS[section.name], contender.name, str(threads),
            str(seconds),
        ]  # fmt: skip
        self._environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
        self._process: subprocess.Popen[str] | None = None
        self._is_asked = False
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask(self, request: dict[str, str]) -> dict[str, Any]:
        """The answer.

        Raises
        ------
        Failure
            If there is none, or it says so.
        """
        process = self._process or self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            self._is_asked = True
            line = self._answers.get(timeout=self.limit)
        except queue.Empty:
            self.end()
            raise Failure(f"it gave no answer within {self.limit:g} s and was ended") from None
        except BrokenPipeError:
            line = None
        if line is None:
            code = process.wait()
            self.end()
            raise Failure(f"its process ended by itself, {_reason(code)}")
        self._is_asked = False
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failure(_shortened(answer["error"]))
        return answer

    def end(self) -> None:
        """Ends the process, and those that it started; where it waits to be asked, it may tidy up first."""
        if self._process is None:
            return
        process, self._process = self._process, None
        with contextlib.suppress(BrokenPipeError), contextlib.suppress(subprocess.TimeoutExpired):
            if process.stdin is not None:
                process.stdin.close()
            process.wait(0 if self._is_asked else _PARTING)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()
        self._is_asked = False

    def _started(self) -> subprocess.Popen[str]:
        self._process = process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            encoding="utf-8", env=self._environment, start_new_session=True,
        )  # fmt: skip
        answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._answers = answers
        threading.Thread(target=_read, args=(process, answers), daemon=True).start()
        return process


def _read(process: subprocess.Popen[str], answers: queue.SimpleQueue[str | None]) -> None:
    """Hands on what the process says, and None at its end."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            answers.put(line)
    answers.put(None)


@contextlib.contextmanager
def _noted(name: str, failed: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except Failure as failure:
        failed[name] = str(failure)


def _check(outcome: np.ndarray, expected: np.ndarray) -> None:
    if outcome.size != expected.size:
        raise Failure(f"its output has shape {outcome.shape}, the first contender's {expected.shape}")
    difference = np.abs(outcome.ravel() - expected.ravel()).max() / max(np.abs(expected).max(), 1e-30)
    if not difference <= TOLERANCE:
        raise Failure(f"its output differs from the first contender's, by {difference:.2g} of the largest number")


def _together(turns: list[Figures]) -> Figures:
    return Figures(min(turn.best for turn in turns), statistics.median(turn.median for turn in turns))


def _reason(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


def _shortened(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
