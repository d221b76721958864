"""Writes docs/lecture.md from docs/lecture_rows: the code of every row is run, and what it prints is set below it.

    python docs/make_lecture.py                     run the exact rows, take the figures stored for the measured ones
    python docs/make_lecture.py --measure L1 L38    measure these rows anew (all of them, if none is named) first

Measuring needs MNIST's four files in the folder mnist of $WIMMEL_DATA, and takes minutes.

In the rows' files a block fenced as ``python`` is shown and run; its output is what it prints, and the value of its
last line. ``python measured`` is run only to measure, and what it calls `accuracy` is stored. ``python picture`` is
run, not shown, and draws into docs/images. ``console measured`` is commands of the shell. A row's blocks share names.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import io
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import wimmel as wm

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "lecture.md"
ROWS = DOCS / "lecture_rows"
FIGURES = DOCS / "lecture_figures.json"
IMAGES = DOCS / "images"

Figures = dict[str, dict[str, Any]]
"""What was measured, by row: when, with what, how long it took, a digest of the code, accuracies and outputs."""


@dataclass(frozen=True)
class Part:
    """A piece of a row: text as it will stand on the page (kind ""), or a block of code of one of the kinds above."""

    kind: str
    text: str

    @property
    def is_measured(self) -> bool:
        return self.kind.endswith("measured")


@dataclass(frozen=True)
class Row:
    """A row of the lecture, such as L12, with its heading; or, without a name, text between rows."""

    name: str
    parts: tuple[Part, ...]

    @property
    def is_measured(self) -> bool:
        return any(part.is_measured for part in self.parts)

    @property
    def digest(self) -> str:
        """Tells whether the measured code is still what it was."""
        code = "\n".join(part.text for part in self.parts if part.is_measured)
        return hashlib.sha256(code.encode()).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/lecture.md with the output of every call on it.")
    parser.add_argument("--measure", nargs="*", metavar="ROW", help="measure these rows anew; all, if none is named")
    wanted = parser.parse_args().measure
    rows = read_rows()
    measurable = [row.name for row in rows if row.is_measured]
    unknown = set(wanted or ()) - set(measurable)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: not among the measured rows, {', '.join(measurable)}")
    figures = read_figures()
    for row in rows:
        if wanted is not None and row.name in (wanted or measurable):
            print(f"measuring {row.name}", file=sys.stderr)
            figures[row.name] = measure(row, draw=True)
            FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text("".join(rendered(row, figures, draw=True) for row in rows), encoding="utf-8")


def read_rows() -> list[Row]:
    """The rows in the order of the page, with what stands between them."""
    text = "\n".join(path.read_text(encoding="utf-8").rstrip("\n") + "\n" for path in sorted(ROWS.glob("*.md")))
    pieces = re.split(r"^(?=###? )", text, flags=re.MULTILINE)
    return [_row(piece) for piece in pieces]


def read_figures() -> Figures:
    """What was measured and stored."""
    figures: Figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    return figures


def rendered(row: Row, figures: Mapping[str, dict[str, Any]], draw: bool = False) -> str:
    """The row as it stands on the page: its exact code is run here, measured outputs are the stored ones.

    Parameters
    ----------
    row : Row
    figures : mapping
        As `read_figures` gives them.
    draw : bool, default False
        Whether to draw the pictures of exact rows anew.

    Raises
    ------
    ValueError
        If a measured row has not been measured, or its code has changed since.
    """
    stored = iter(_stored_outputs(row, figures))
    names = _names()
    page = []
    for part in row.parts:
        if part.kind == "":
            page.append(part.text)
        elif part.kind == "python":
            page.append(_shown("python", part.text, run(part.text, names, row.name)))
        elif part.is_measured:
            output, note = next(stored)
            page.append(_shown(part.kind.split()[0], part.text, output) + note)
        elif draw and not row.is_measured:
            run(part.text, names, row.name)
    return "".join(page)


def measure(row: Row, draw: bool = False) -> dict[str, Any]:
    """Runs all code of a row and gives what `lecture_figures.json` keeps of it.

    Raises
    ------
    ValueError
        If $WIMMEL_DATA does not say where MNIST is.
    """
    data = os.environ.get("WIMMEL_DATA")
    if data is None:
        raise ValueError("measuring needs MNIST: set WIMMEL_DATA to the folder that holds its folder mnist")
    names = _names() | {"mnist": Path(data) / "mnist"}
    outputs = []
    seconds = 0.0
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("mnist").symlink_to(names["mnist"].resolve(), target_is_directory=True)
        for part in row.parts:
            start = _processor_seconds()
            if part.kind == "console measured":
                outputs.append(_shell(part.text))
            elif part.kind == "python measured":
                outputs.append(run(part.text, names, row.name))
            elif part.kind == "python" or (part.kind == "python picture" and draw):
                run(part.text, names, row.name)
            seconds += _processor_seconds() - start if part.is_measured else 0.0
    return {
        "measured": date.today().isoformat(),
        "with": f"wimmel {wm.__version__}, NumPy {np.__version__}, Python {platform.python_version()}",
        "processor_seconds": round(seconds),
        "code": row.digest,
        "accuracy": names["accuracy"],
        "outputs": outputs,
    }


def run(source: str, names: dict[str, Any], row: str) -> str:
    """What the code prints, and at the end the value of its last line, as Python's prompt shows it."""
    body = ast.parse(source, filename=f"row {row}")
    last = body.body.pop() if isinstance(body.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(body, f"row {row}", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"row {row}", "eval"), names)
            if value is not None:
                print(repr(value))
    return printed.getvalue()


def _processor_seconds() -> float:
    """Of this process and of the finished ones that it started."""
    return sum(os.times()[:4])


def _names() -> dict[str, Any]:
    """What every row's code may name from the start."""
    sys.path.insert(0, str(DOCS))
    try:
        import lecture_pictures
    finally:
        sys.path.remove(str(DOCS))
    drawing = {name: getattr(lecture_pictures, name) for name in lecture_pictures.__all__}
    return {"np": np, "wm": wm, "images": IMAGES} | drawing


def _row(piece: str) -> Row:
    heading = re.match(r"### (L\d+)\b", piece)
    return Row(heading[1] if heading else "", tuple(_parts(piece)))


def _parts(piece: str) -> Iterator[Part]:
    """Text and blocks in turn; links to code and tests are written out."""
    fenced = re.compile(r"^```(python(?: \w+)?|console measured)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
    end = 0
    for block in fenced.finditer(piece):
        yield Part("", _with_links(piece[end : block.start()]))
        yield Part(block[1], block[2])
        end = block.end() + (block[1] == "python picture")  # not shown, nor is the empty line after it
    yield Part("", _with_links(piece[end:]))


def _with_links(text: str) -> str:
    """Lines such as ``code: functional/pooling.py`` and ``test: test_lecture.py``, as links."""

    def links(folder: str, paths: str) -> str:
        return ", ".join(f"[{path}](../{folder}/{path})" for path in paths.split())

    text = re.sub(r"^code: (.+)\n", lambda line: f"Code: {links('src/wimmel', line[1])}  \n", text, flags=re.MULTILINE)
    return re.sub(r"^test: (.+)\n", lambda line: f"Test: {links('tests', line[1])}\n", text, flags=re.MULTILINE)


def _shown(language: str, source: str, output: str) -> str:
    block = f"```{language}\n{source}```\n"
    lines = "".join(f"{line.rstrip()}\n" for line in output.splitlines())
    return f"{block}\n```text\n{lines}```\n" if lines else block


def _stored_outputs(row: Row, figures: Mapping[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """For each measured block what it printed, and after the last one when that was."""
    if not row.is_measured:
        return []
    stored = figures.get(row.name)
    if stored is None or stored["code"] != row.digest:
        what = "was never measured" if stored is None else "has changed since it was measured"
        raise ValueError(f"row {row.name} {what}; run: python docs/make_lecture.py --measure {row.name}")
    took = f"{stored['processor_seconds']} s of one processor core"
    when = f"\n*Measured on {stored['measured']}: {took}, {stored['with']}.*\n"
    outputs = stored["outputs"]
    return [(output, when if number == len(outputs) else "") for number, output in enumerate(outputs, start=1)]


def _shell(source: str) -> str:
    """What wimmel's commands print, given as at a prompt."""
    printed = []
    for line in source.splitlines():
        command = shlex.split(line.removeprefix("$ wimmel "))
        done = subprocess.run([sys.executable, "-m", "wimmel", *command], capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"{line} failed: {done.stderr}")
        printed.append(done.stdout)
    return "".join(printed)


if __name__ == "__main__":
    main()
