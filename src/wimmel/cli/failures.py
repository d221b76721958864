"""What goes wrong, as people meet it: one sentence on the standard error output, and an exit code.

0 is success, 1 an error that the sentence explains, 2 a command line that makes no sense, 130 Ctrl-C.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import typer

DEBUG = "WIMMEL_DEBUG"
"""The environment variable that, set to 1, shows Python's traceback in place of the sentence."""

FAILED, INTERRUPTED = 1, 130

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def in_sentences(command: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The command, whose errors end the program with a sentence instead of a traceback."""

    @functools.wraps(command)
    def guarded(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        try:
            return command(*arguments, **named)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except KeyboardInterrupt:
            complain("Stopped by Ctrl-C.")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read the output has seen enough, as in `wimmel inspect model.safetensors | head -3`.
            drop_output()
            raise typer.Exit(FAILED) from None
        except Exception as error:
            if debugging():
                raise
            complain(sentence(error))
            raise typer.Exit(FAILED) from None

    return guarded


@contextmanager
def if_stopped(then: str) -> Iterator[None]:
    """Ctrl-C while the block runs ends the program with a clause that says what there is then."""
    try:
        yield
    except KeyboardInterrupt:
        complain(f"Stopped by Ctrl-C; {then}.")
        raise typer.Exit(INTERRUPTED) from None


def debugging() -> bool:
    """Whether the person asked for tracebacks."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def drop_output() -> None:
    """Sends nowhere what the standard output did not take, since the interpreter flushes it again at its exit."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open as long as the program runs


def complain(text: str) -> None:
    """Writes a sentence to the standard error output, in red where that is a terminal."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, highlight=False).print(Text(text, "bold red"), soft_wrap=True)


def sentence(error: Exception) -> str:
    """The error as a sentence; one that lists several things keeps a line for each.

    Examples
    --------
    >>> sentence(ValueError("photos holds no pictures"))
    'Error: photos holds no pictures.'
    >>> print(sentence(ValueError("boxes.csv has 2 faults:\\n  line 1: no box\\n  line 2: no box")))
    Error: boxes.csv has 2 faults:
      line 1: no box
      line 2: no box
    >>> sentence(FileNotFoundError(2, "No such file or directory", "a.png"))
    'Error: a.png: No such file or directory.'
    >>> sentence(KeyError("x"))
    "wimmel failed in a way it should not: KeyError: 'x'. Set WIMMEL_DEBUG=1 to see where, and please report it."
    """
    if isinstance(error, MemoryError):
        return "Error: the memory does not suffice; smaller pictures, or a smaller --size or --batch-size, need less."
    if not isinstance(error, ValueError | TypeError | OSError):
        what = f"{type(error).__name__}: {error}"
        return f"wimmel failed in a way it should not: {what}. Set {DEBUG}=1 to see where, and please report it."
    head, *lines = str(error).splitlines() or [""]
    if head.endswith(":") and lines:
        return "\n  ".join((f"Error: {head}", *(" ".join(line.split()) for line in lines)))
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    elif isinstance(error, OSError) and error.strerror and text.startswith("[Errno"):
        text = error.strerror
    return f"Error: {text}" if text[-1] in ".!?" else f"Error: {text}."
