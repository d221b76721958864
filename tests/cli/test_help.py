"""The help of the command line: complete, quick to come, and clear about wrong usage."""

import subprocess
import sys

import pytest

COMMANDS = ("demo", "train", "evaluate", "predict", "teach", "find", "inspect", "bench")


def test_the_commands_are_listed(wimmel):
    result = wimmel("--help")
    assert result.exit_code == 0
    assert all(command in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples(wimmel, command):
    result = wimmel(command, "--help")
    assert result.exit_code == 0
    assert "Examples" in result.stdout
    assert f"wimmel {command}" in result.stdout.split("Examples")[1]


def test_the_version_is_the_packages(wimmel):
    from importlib.metadata import version

    assert wimmel("--version").stdout.split() == ["wimmel", version("wimmel")]


@pytest.mark.parametrize(
    "arguments",
    [("paint",), ("train",), ("predict", "model.safetensors"), ("train", "photos", "--epochs", "0"),
     ("train", "photos", "--model", "gpt"), ("inspect", "a", "b")],
)  # fmt: skip
def test_a_senseless_command_line_exits_with_2(wimmel, arguments):
    assert wimmel(*arguments).exit_code == 2


def test_help_imports_nothing_that_only_running_needs():
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, wimmel.cli.program; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for heavy in ("matplotlib", "PIL", "rich.progress", "wimmel.report", "safetensors"):
        assert heavy not in loaded
