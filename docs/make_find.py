"""Runs what docs/find.md shows, and writes what it prints into the page again, below each block.

    python docs/make_find.py

It takes some minutes, most of them to teach. All blocks run one after another in one empty folder: those fenced as
``console`` are commands of wimmel, given as at a prompt, and those fenced as ``python`` share their names. ``console
refused`` are commands that end with a sentence and an error. Blocks within comments of HTML are run too, and not shown.
The page's last line says when that was, and has a digest of all blocks, by which a test sees that it is of today.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from make_lecture import run

import wimmel as wm

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "find.md"
IMAGES = DOCS / "images"

BLOCKS = re.compile(
    r"^(?P<begin>```|<!-- )(?P<kind>console|console refused|python)\n(?P<code>.*?)^(?:```|-->)\n"
    r"(?:\n```text\n.*?^```\n)?",
    re.MULTILINE | re.DOTALL,
)
_LAST_LINE = re.compile(r"\*Run on .*\n\Z")


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names: dict[str, Any] = {"np": np, "wm": wm, "images": IMAGES}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        began = sum(os.times()[:4])
        body = BLOCKS.sub(lambda block: _with_output(block, names), _LAST_LINE.sub("", text))
        seconds = sum(os.times()[:4]) - began
    versions = f"wimmel {wm.__version__}, NumPy {np.__version__}, Python {platform.python_version()}"
    took = f"{seconds:.0f} s of one processor core"
    when = f"*Run on {date.today().isoformat()} by [make_find.py](make_find.py): {took}, {versions}.*"
    PAGE.write_text(f"{body.rstrip()}\n\n{when} <!-- {digest(body)} -->\n", encoding="utf-8")


def digest(text: str) -> str:
    """Tells whether the page's blocks are still those that were run."""
    code = "\n".join(block["kind"] + "\n" + block["code"] for block in BLOCKS.finditer(text))
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def commands(text: str) -> list[list[str]]:
    """The words of each of the page's commands, without "wimmel"."""
    lines = [
        line for block in BLOCKS.finditer(text) if block["kind"] != "python" for line in block["code"].splitlines()
    ]
    return [shlex.split(line.removeprefix("$ wimmel ")) for line in lines]


def _with_output(block: re.Match[str], names: dict[str, Any]) -> str:
    kind, code, shown = block["kind"], block["code"], block["begin"] == "```"
    print(code.splitlines()[0], file=sys.stderr)
    if kind == "python":
        output = run(code, names, "find.md")
    else:
        output = "".join(_called(words, kind.endswith("refused")) for words in commands(block[0]))
    if not shown:
        return block[0]
    lines = "".join(f"{line.rstrip()}\n" for line in output.strip("\n").splitlines())
    return f"```{kind}\n{code}```\n" + (f"\n```text\n{lines}```\n" if lines else "")


def _called(words: list[str], refused: bool) -> str:
    """What a command of wimmel prints.

    Raises
    ------
    ValueError
        If it fails, or does not although it should be refused.
    """
    done = subprocess.run([sys.executable, "-m", "wimmel", *words], capture_output=True, text=True)
    if (done.returncode != 0) != refused:
        raise ValueError(f"wimmel {shlex.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
