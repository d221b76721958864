"""docs/find.md: its outputs are those of the blocks that stand there, its commands and calls are understood, its links
and pictures are there."""

import ast
import re

import pytest
import typer.main

from page_generators import find
from wimmel.cli.program import app

PAGE = find.PAGE.read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app)


def test_the_blocks_are_those_that_were_run():
    stamp = re.search(r"<!-- (\w+) -->\n\Z", PAGE)
    assert stamp is not None
    assert stamp[1] == find.digest(PAGE), "run: python docs/make_find.py"


def test_a_changed_block_is_noticed():
    """That the comparison can fail."""
    assert find.digest(PAGE) != find.digest(PAGE.replace("wimmel teach ", "wimmel  teach "))
    assert find.digest(PAGE) == find.digest(PAGE.replace("Mark some of it", "Mark it"))


@pytest.mark.parametrize("words", find.commands(PAGE), ids=" ".join)
def test_every_command_is_understood(words):
    """That its options and arguments are such as there are; nothing is run."""
    COMMANDS.commands[words[0]].make_context(words[0], words[1:])


def test_every_call_is_python():
    blocks = [block["code"] for block in find.BLOCKS.finditer(PAGE) if block["kind"] == "python"]
    assert len(blocks) > 3
    for code in blocks:
        ast.parse(code)


def test_every_shown_block_has_its_output():
    shown = [block[0] for block in find.BLOCKS.finditer(PAGE) if block["begin"] == "```"]
    assert shown
    assert all("\n```text\n" in block for block in shown)


def test_links_and_pictures_of_the_page_exist():
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGE):
        assert (find.DOCS / target).exists(), target
