"""The commands and the options they share, put together as one program, `app`.

Loading this loads little; each command imports what it needs when it runs.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import Annotated

import typer

from wimmel.cli.bench import bench
from wimmel.cli.demo import demo
from wimmel.cli.evaluate import evaluate
from wimmel.cli.failures import in_sentences
from wimmel.cli.find import find
from wimmel.cli.inspect import inspect
from wimmel.cli.predict import predict
from wimmel.cli.teach import teach
from wimmel.cli.train import train

__all__ = ["app"]

app = typer.Typer(
    name="wimmel",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"wimmel {version('wimmel')}")
        raise typer.Exit


@app.callback()
def _wimmel(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train a network that recognises pictures, and use it; on an ordinary computer, with your own pictures.

    New here? [bold]wimmel demo[/bold] trains one in half a minute, without any data of yours.
    """


def _flowing(text: str) -> str:
    """A docstring with the lines of each paragraph joined, but for those kept as they are by a leading backspace."""
    paragraphs = cleandoc(text).split("\n\n")
    return "\n\n".join(p if p.startswith("\b") else p.replace("\n", " ") for p in paragraphs)


for _command in (demo, train, evaluate, predict, teach, find, inspect, bench):
    app.command(help=_flowing(_command.__doc__ or ""))(in_sentences(_command))
