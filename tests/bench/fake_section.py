"""A section for tests: contenders that answer at once, differ, fail, end, hang, are missing, or cannot."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from wimmel.bench.section import Case, Contender, Ready, Section

HANGS = "FAKE_SECTION_HANGS"
"""The environment's variable that names a file to be made by the one that hangs, when it does."""


def giving(seconds, outcome=1.0):
    """A contender that always measures so many seconds for each unit of the case."""

    def prepare(what, threads):
        return Ready(lambda: [seconds * what], lambda: np.full(3, outcome), measures=True)

    return prepare


def printing(what, threads):
    os.write(1, b"a library's greeting\n")
    print("another one")
    return Ready(lambda: [2.0 * what], measures=True)


def failing(what, threads):
    if what > 1:
        raise RuntimeError("it is\n  too large")
    return giving(4.0)(what, threads)


def crashing(what, threads):
    return Ready(lambda: os.kill(os.getpid(), signal.SIGKILL) if what > 1 else [4.0], measures=True)


def hanging(what, threads):
    def hang():
        if HANGS in os.environ:
            Path(os.environ[HANGS]).touch()
        time.sleep(600)

    return Ready(lambda: hang() if what > 1 else [4.0], measures=True)


SECTION = Section(
    "fake",
    "Invented figures",
    (Case("small", "sizes", 1), Case("large", "sizes", 2), Case("other", "others", 1)),
    (
        Contender("wimmel", giving(1.0)),
        Contender("wimmel, alone", giving(1.5)),
        Contender("steady", giving(3.0)),
        Contender("printing", printing),
        Contender("unable", lambda what, threads: None),
        Contender("wrong", giving(0.1, outcome=1.1)),
        Contender("failing", failing),
        Contender("crashing", crashing),
        Contender("hanging", hanging),
        Contender("missing", giving(1.0), needs=("a_library_nobody_has",)),
    ),
    seconds=0,
    least=1,
    limit=10,
)
