"""The process of one contender. Told over its standard input what to make ready and when to take a turn, as lines of
JSON; answers the same way on its standard output.

    python -m wimmel.bench.child MODULE CONTENDER THREADS SECONDS
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from importlib import import_module
from typing import Any, TextIO

import numpy as np

from wimmel.bench.section import Ready, Section


def main() -> None:
    module, name, threads, seconds = sys.argv[1:]
    answers = _own_output()
    section: Section = import_module(module).SECTION
    contender = section.contender(name)
    ready: Ready | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                ready = None  # before the next takes its memory
                ready = contender.prepare(section.case(request["case"]).what, int(threads))
                answer: Any = _prepared(ready, request["outcome"], float(seconds), section.least)
            elif request["do"] == "forget":
                ready, answer = None, {}
            else:
                times = repeated(ready, float(seconds), section.least) if ready is not None else []
                answer = {"best": min(times), "median": statistics.median(times)}
        except Exception as error:
            text = " ".join(str(error).split())
            answer = {"error": f"{type(error).__name__}: {text}" if text else type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


def repeated(ready: Ready, turn: float, least: int = 3) -> list[float]:
    """Its measures, for as many repetitions as fill a turn of so many seconds, and at least so many.

    Examples
    --------
    >>> repeated(Ready(lambda: [2.5], measures=True), 0, least=2)
    [2.5, 2.5]
    """
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < least or time.perf_counter() - begin < turn:
        start = time.perf_counter()
        given = ready.task()
        seconds = time.perf_counter() - start
        times += given if ready.measures else [seconds]
    return times


def _prepared(ready: Ready | None, path: str, seconds: float, least: int) -> dict[str, Any]:
    """Warms up, and leaves the outcome at the path."""
    if ready is None:
        return {"able": False}
    if ready.outcome is not None:
        np.save(path, np.asarray(ready.outcome()))
    if least > 1:
        repeated(ready, seconds, 1)
    return {"able": True, "outcome": ready.outcome is not None}


def _own_output() -> TextIO:
    """The standard output for answers alone: what libraries print goes where errors go."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
