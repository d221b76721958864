"""Errors as people meet them: one sentence, an exit code, a traceback only on demand."""

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from wimmel.cli.failures import in_sentences, sentence
from wimmel.cli.screen import Screen, half_blocks


def raising(error):
    @in_sentences
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (ValueError("photos holds\n  no pictures"), 1, "Error: photos holds no pictures.\n"),
        (
            ValueError("a.csv has 2 faults:\n  line 1:  x\n  line 2: y"),
            1,
            "Error: a.csv has 2 faults:\n  line 1: x\n  line 2: y\n",
        ),
        (TypeError("x is not y."), 1, "Error: x is not y.\n"),
        (PermissionError(errno.EACCES, "Permission denied", "a.png"), 1, "Error: a.png: Permission denied.\n"),
        (
            MemoryError(),
            1,
            "Error: the memory does not suffice; smaller pictures, or a smaller --size or --batch-size, need less.\n",
        ),
        (KeyboardInterrupt(), 130, "Stopped by Ctrl-C.\n"),
    ],
)
def test_an_error_is_one_sentence_on_the_error_output(capsys, error, code, expected):
    with pytest.raises(typer.Exit) as caught:
        raising(error)()
    assert caught.value.exit_code == code
    captured = capsys.readouterr()
    assert captured.err == expected
    assert captured.out == ""


def test_an_error_of_the_programs_own_says_so(capsys):
    with pytest.raises(typer.Exit):
        raising(KeyError("x"))()
    assert "in a way it should not: KeyError: 'x'" in capsys.readouterr().err


def test_a_traceback_comes_on_demand(monkeypatch):
    monkeypatch.setenv("WIMMEL_DEBUG", "1")
    with pytest.raises(ValueError, match="no pictures"):
        raising(ValueError("no pictures"))()


def test_a_closed_pipe_ends_quietly(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # the command replaces it, for the interpreter's last flush
    with pytest.raises(typer.Exit) as caught:
        raising(BrokenPipeError())()
    assert caught.value.exit_code == 1
    sys.stdout.close()
    assert capsys.readouterr().err == ""


def test_other_peoples_errors_name_the_file():
    assert sentence(OSError(errno.EIO, "Input/output error", "disk.png")) == "Error: disk.png: Input/output error."


def test_debugging_shows_the_traceback_of_a_process(started, tmp_path):
    _, complaint = started("inspect", tmp_path / "absent", WIMMEL_DEBUG="1").communicate(timeout=60)
    assert "Traceback" in complaint
    process = started("inspect", tmp_path / "absent")
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in complaint


def test_a_picture_as_half_blocks_has_two_pixels_to_a_character():
    text = half_blocks(np.array([[[0, 255], [255, 0], [9, 9]]], np.uint8))
    assert text.plain == "▀▀\n▀▀"
    assert [str(span.style) for span in text.spans] == [
        "#000000 on #ffffff",
        "#ffffff on #000000",
        "#090909 on #090909",
        "#090909 on #090909",
    ]


def test_text_that_looks_like_markup_is_written_as_it_is(capsys):
    Screen().say("[bold]x[/bold] :smile: 12")
    Screen().table(("a",), [("[red]b",)])
    written = capsys.readouterr().out
    assert "[bold]x[/bold] :smile: 12" in written
    assert "[red]b" in written


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [("train", "--help"), ("--version",), ("inspect", "MODEL")])
def test_a_full_disk_behind_the_output_is_one_sentence(model, arguments):
    named = [str(model) if argument == "MODEL" else argument for argument in arguments]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "wimmel", *named], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "No space left on device." in ended.stderr
    assert "Errno" not in ended.stderr


def test_ctrl_c_while_the_program_is_loaded_ends_in_a_sentence(monkeypatch, capsys):
    from wimmel.cli import main

    class Interrupting:
        def find_spec(self, name, path=None, target=None):
            if name == "wimmel.cli.program":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "wimmel.cli.program", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Stopped by Ctrl-C.\n"
