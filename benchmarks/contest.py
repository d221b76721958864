"""What all benchmarks share: contenders in processes of their own that take turns, so that none disturbs another and
all meet the same moments of a noisy machine. Best and median of each are shown, and the ratio to the best peer's.

A benchmark gives `contest` its cases and, for each contender, a function from a case to something to call. The file is
run again for every contender, with ``--contender``, and told over its standard input what to time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Task = Callable[[], Any]
Contender = Callable[[Any, int], Task | None]
"""From a case and a number of threads to what is timed; None if the contender cannot do the case."""

OURS = "wimmel"


def contest(
    description: str, cases: dict[str, Any], contenders: dict[str, Contender], rounds: int = 7, seconds: float = 0.15
) -> None:
    """Runs the benchmark as its command line says, and prints a table.

    Parameters
    ----------
    description : str
    cases : dict
        By name.
    contenders : dict
        By name; `OURS` is compared with the others. One whose library is not installed is left out.
    rounds : int
        Turns of each contender at each case.
    seconds : float
        What a turn takes at least, by repetition.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=1, help="threads of every contender")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--json", action="store_true", help="seconds as JSON")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        _serve(cases, contenders[options.contender], options.threads, seconds)
        return
    chosen = [name for name in cases if options.only in name]
    running = {name: _Process(name, options.threads) for name in contenders}
    running = {name: process for name, process in running.items() if process.is_there}
    results = {}
    for case in chosen:
        times: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(options.rounds):
            for name, process in running.items():
                times[name] += process.ask(case)
        results[case] = {name: {"best": min(t), "median": statistics.median(t)} for name, t in times.items() if t}
        if not options.json:
            _print_row(case, results[case], first=case == chosen[0])
    for process in running.values():
        process.end()
    if options.json:
        print(json.dumps({"threads": options.threads, "seconds": results}, indent=1))


def repeated(task: Task, seconds: float) -> list[float]:
    """The task's times, for as many repetitions as fill so many seconds, at least three."""
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        given = task()
        # a task that measures itself gives its seconds
        times.append(given if isinstance(given, float) else time.perf_counter() - start)
    return times


def _serve(cases: dict[str, Any], contender: Contender, threads: int, seconds: float) -> None:
    made: dict[str, Task | None] = {}
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name = json.loads(line)
        if name not in made:
            made[name] = contender(cases[name], threads)
            if (task := made[name]) is not None:
                repeated(task, seconds)  # to warm up
        task = made[name]
        times = [] if task is None else repeated(task, seconds)
        print(json.dumps([min(times), statistics.median(times)] if times else []), flush=True)


class _Process:
    """One contender, waiting to be asked."""

    def __init__(self, name: str, threads: int) -> None:
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "WIMMEL_NUM_THREADS")
        command = [sys.executable, str(Path(sys.argv[0]).resolve()), "--contender", name, "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **dict.fromkeys(variables, str(threads))},
        )  # fmt: skip
        self.is_there = self._answer() == "ready"

    def ask(self, case: str) -> list[float]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        if answer is None:
            raise SystemExit(f"the contender {self.process.args} ended at {case}")
        times: list[float] = answer
        return times

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None


def _print_row(case: str, result: dict[str, dict[str, float]], first: bool) -> None:
    names = list(result)
    peers = [name for name in names if not name.startswith(OURS)]
    if first:
        print(f"{'':<28}" + "".join(f"{name:>24}" for name in names) + f"{'best peer / ours':>20}")
    cells = "".join(f"{_time(result[name]['best']):>14}{_time(result[name]['median']):>10}" for name in names)
    ratio = ""
    if peers and OURS in result:
        ratio = f"{min(result[name]['best'] for name in peers) / result[OURS]['best']:>13.2f}"
        ratio += f"{min(result[name]['median'] for name in peers) / result[OURS]['median']:>7.2f}"
    print(f"{case:<28}{cells}{ratio}", flush=True)


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{1e6 * seconds:.1f} us"
    return f"{1e3 * seconds:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"
