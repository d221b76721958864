"""Writing to the terminal: sentences, tables, tiny pictures and bars, plain where the output is a file or a pipe.

Colour is never the only sign of anything, and blue and orange are told apart with any colour vision.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from wimmel.report.canvas import counted

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.text import Text

RIGHT, WRONG, PALE, STRONG = "dodger_blue1", "dark_orange", "bright_black", "bold"

_UNLIMITED = 10_000


class Screen:
    """The standard output, or with `quiet=True` nothing, for everything but results as JSON.

    Parameters
    ----------
    quiet : bool, default False
    """

    def __init__(self, quiet: bool = False) -> None:
        from rich.console import Console

        self.quiet = quiet
        self.console = Console(highlight=False, markup=False, emoji=False, quiet=quiet)
        if not self.console.is_terminal:
            self.console.width = _UNLIMITED

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return self.console.width

    @property
    def shows_pictures(self) -> bool:
        """Whether pictures of coloured blocks would be seen as such."""
        return self.console.color_system is not None and self.console.encoding.startswith("utf")

    def say(self, text: str = "", style: str = "") -> None:
        """Writes a line, or several; the terminal breaks those that are too long, so that they can be copied whole."""
        self.console.print(text, style=style or None, soft_wrap=True)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[int] = ()) -> None:
        """Writes a table; the columns numbered in `right` hold figures. A cell is text or a rich Text."""
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style=STRONG)
        for number, heading in enumerate(headings):
            if number in right:
                table.add_column(heading, justify="right", no_wrap=True)
            else:
                table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def pairs(self, rows: Sequence[Sequence[str]]) -> None:
        """Writes in columns a name, what it stands for and, pale, how to change it."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0))
        for row in rows:
            table.add_row(Text(row[0], STRONG), Text(row[1]), *(Text(cell, PALE) for cell in row[2:]))
        self.console.print(table)

    def tiles(self, pictures: Sequence[Text], captions: Sequence[Text]) -> None:
        """Writes pictures side by side with their captions below, as many to a row as fit."""
        from rich.table import Table

        widths = [max(line.cell_len for line in (*picture.split(), caption)) for picture, caption in
                  zip(pictures, captions, strict=True)]  # fmt: skip
        most = max(1, min(len(pictures), (self.width + 2) // (max(widths) + 2)))
        columns = math.ceil(len(pictures) / math.ceil(len(pictures) / most))  # rows of equal length
        grid = Table.grid(padding=(0, 2, 0, 0))
        for first in range(0, len(pictures), columns):
            grid.add_row(*pictures[first : first + columns])
            grid.add_row(*captions[first : first + columns])
            grid.add_row()
        self.console.print(grid)

    @contextmanager
    def bar(self, task: str, total: int) -> Iterator[Bar]:
        """A bar on the terminal while the block runs; elsewhere, or when quiet, nothing."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        note = TextColumn("{task.fields[note]}")
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), note)
        shown = self.console.is_interactive and not self.quiet
        with Progress(*columns, console=self.console, transient=True, disable=not shown) as progress:
            yield Bar(progress, task, total)


class Bar:
    """A bar that can be moved and annotated."""

    def __init__(self, progress: Progress, task: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(task, total=total, note="")

    def move(self, done: float, note: str) -> None:
        self._progress.update(self._task, completed=done, note=note)


def warn(text: str) -> None:
    """Writes a line to the standard error output."""
    from rich.console import Console

    Console(stderr=True, highlight=False, markup=False, emoji=False).print(text, style=WRONG, soft_wrap=True)


def write_json(document: Any) -> None:
    """Writes a document to the standard output as JSON, and nothing else: in ASCII, which every encoding can hold."""
    print(json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False))


def half_blocks(picture: np.ndarray) -> Text:
    """A picture as text: each character's upper and lower half is one pixel.

    Parameters
    ----------
    picture : uint8 array (1 or 3, rows, columns)
        A few pixels a side.

    Examples
    --------
    >>> half_blocks(np.zeros((1, 4, 3), np.uint8)).plain
    '▀▀▀\\n▀▀▀'
    """
    from rich.text import Text

    colours = np.broadcast_to(picture, (3, *picture.shape[1:])).transpose(1, 2, 0)
    if len(colours) % 2:
        colours = np.concatenate([colours, colours[-1:]])
    text = Text()
    for number, (upper, lower) in enumerate(zip(colours[::2], colours[1::2], strict=True)):
        text.append("\n" if number else "")
        for above, below in zip(upper, lower, strict=True):
            text.append("▀", f"{_rgb(above)} on {_rgb(below)}")
    return text


def listed(names: Sequence[str], most: int = 10) -> str:
    """The first names, separated by commas.

    Examples
    --------
    >>> listed(("cat", "dog", "horse"), most=2)
    'cat, dog, ...'
    """
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def show_skipped(skipped: Sequence[tuple[str, str]], most: int = 10) -> None:
    """Warns of pictures that were passed over: how many, which and why."""
    if not skipped:
        return
    warn(f"{counted(len(skipped), 'file was', 'files were')} passed over:")
    for name, reason in skipped[:most]:
        warn(f"  {name}: {reason}")
    if len(skipped) > most:
        warn(f"  and {len(skipped) - most:,} more")


def _rgb(pixel: np.ndarray) -> str:
    return "#" + "".join(f"{value:02x}" for value in pixel)
