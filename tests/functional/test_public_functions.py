"""The list of public functions: complete, without repetition, and every one of them described with an example."""

import ast
import inspect
from pathlib import Path

import pytest

from wimmel import functional
from wimmel.graph import array

FOLDER = Path(functional.__file__).parent
NOT_OFFERED = {"arguments"}  # what the other files share


def test_every_public_function_of_every_file_is_offered():
    defined = set()
    for file in FOLDER.glob("*.py"):
        if file.stem in NOT_OFFERED:
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                defined.add(node.name)
    defined.discard("log_one_plus_exp")  # softplus without its settings, for the losses
    assert defined | set(array.__all__) == set(functional.__all__)


def test_each_name_stands_once_in_the_list():
    assert len(functional.__all__) == len(set(functional.__all__))


@pytest.mark.parametrize("name", functional.__all__)
def test_every_function_says_what_it_returns_and_shows_it(name):
    text = inspect.getdoc(getattr(functional, name))
    assert text is not None
    assert ">>> " in text
    assert text.splitlines()[0].endswith((".", ":", ";"))
