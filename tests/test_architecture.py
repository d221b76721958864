"""The order of the house: a part imports only what docs/architecture.md lists above it."""

import ast
import re
from pathlib import Path

import pytest

import wimmel

PACKAGE = Path(wimmel.__file__).parent
DOCUMENT = Path(__file__).parent.parent / "docs" / "architecture.md"
PARTS = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
FILES = sorted(file for file in PACKAGE.rglob("*.py") if file.parent != PACKAGE or file.stem in PARTS)


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(file: Path) -> set[str]:
    """Parts of ours that a file imports, anywhere in it; `from wimmel import functional` counts as functional."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{file} imports relatively; write the whole name, so that this test can read it")
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("wimmel.")}
    return found & set(PARTS)


def test_the_document_lists_every_part():
    there = {
        entry.stem for entry in PACKAGE.iterdir() if not entry.name.startswith("_") and entry.suffix in ("", ".py")
    }
    assert there == set(PARTS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_part_imports_only_what_stands_above_it(file):
    own = part_of(file)
    below = set(PARTS[PARTS.index(own) + 1 :])
    assert not imported_parts(file) & below, f"{file} reaches down"


@pytest.mark.parametrize("heavy", ["llvmlite", "matplotlib", "PIL", "safetensors", "rich", "typer"])
def test_heavy_imports_happen_where_they_are_used(heavy):
    for file in PACKAGE.rglob("*.py"):
        if part_of(file) in ("cli", "report"):
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert heavy not in {name.split(".")[0] for name in names}, f"{file} imports {heavy} on loading"
