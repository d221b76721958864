"""`wimmel demo`: see it work without any data of one's own; on hand-written digits, or on scenes that teem."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Subject(StrEnum):
    """What to be shown."""

    DIGITS = "digits"
    FIND = "find"


_FOLDERS = {Subject.DIGITS: Path("wimmel-demo"), Subject.FIND: Path("wimmel-demo-find")}


def demo(
    subject: Annotated[
        Subject, typer.Argument(help="What to see: digits recognised, or somebody found in a crowd.")
    ] = Subject.DIGITS,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The folder for what it makes.",
            show_default="wimmel-demo, or wimmel-demo-find",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Another seed, another network and other pictures that it has not seen.")
    ] = 0,
) -> None:
    """See it work: train, test and use a network, without any data of yours.

    [bold]digits[/bold] trains a small convolutional network on 1,797 hand-written digits, which takes about half a
    minute; tests it on a quarter of them that it has never seen; recognises some; and leaves the model and pictures of
    all this in a folder.

    [bold]find[/bold] draws scenes that teem with people, of whom some are Wim; teaches a detector who that is, which
    takes about a minute; finds him in scenes that it has never seen; and leaves scenes, boxes, detector and pictures in
    a folder.

    \b
    [bold]Examples[/bold]
      wimmel demo
      wimmel demo find
      wimmel demo find -o somewhere --seed 1
    """
    from wimmel.cli.demos.digits import show_digits
    from wimmel.cli.demos.find import show_find
    from wimmel.cli.outputs import made_folder

    shows = {Subject.DIGITS: show_digits, Subject.FIND: show_find}
    shows[subject](made_folder(output or _FOLDERS[subject]), seed)
