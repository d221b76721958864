"""`wimmel bench`: its table and its JSON, what it leaves out, and what it refuses."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wimmel import bench

FAKES = Path(__file__).parents[1] / "bench"


@pytest.fixture
def fake(monkeypatch):
    """A section of invented contenders, as the only one."""
    monkeypatch.syspath_prepend(str(FAKES))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAKES), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    for name in list(bench.SECTIONS):
        monkeypatch.delitem(bench.SECTIONS, name)
    monkeypatch.setitem(bench.SECTIONS, "fake", "fake_section")
    yield
    sys.modules.pop("fake_section", None)


def test_the_table(wimmel, fake):
    result = wimmel("bench", "--only", "small", "--rounds", 1)
    assert result.exit_code == 0, result.output
    rows = {line.split("  ")[0].strip(): line.split() for line in result.stdout.splitlines()}
    assert "Invented figures, 1 thread" in result.stdout
    figures = ["1.00", "s", "1.50", "s", "3.00", "s", "2.00", "s", "4.00", "s", "4.00", "s", "4.00", "s"]
    assert rows["small"] == ["small", *figures, "2.00", "/", "2.00", "1.33", "/", "1.33"]
    assert "wrong failed at small: its output differs from the first contender's" in result.stdout
    assert "Not installed: a_library_nobody_has; pip install a_library_nobody_has would add it." in result.stdout
    assert "Traceback" not in result.output


def test_json(wimmel, fake, tmp_path):
    path = tmp_path / "figures.json"
    arguments = ("--threads", 1, "--threads", 2, "--runs", 2, "--rounds", 1, "--only", "sizes", "--quick")
    result = wimmel("bench", "fake", *arguments, "--json", "-o", path)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert json.loads(path.read_text(encoding="utf-8")) == document
    assert {"date", "processor", "cores", "target", "versions"} <= set(document["machine"])
    assert document["settings"]["threads"] == [1, 2]
    assert document["absent"] == {"a_library_nobody_has": "pip install a_library_nobody_has"}
    (section,) = document["sections"]
    assert [(row["name"], row["threads"], len(row["runs"])) for row in section["rows"]] == [
        ("small", 1, 2),
        ("small", 2, 2),
    ]
    row = section["rows"][0]
    assert row["runs"][0]["steady"] == {"best": 3.0, "median": 3.0}
    assert row["ratios"]["wimmel"] == {"best": 2.0, "median": 2.0, "counts": 2.0, "ceiling": 2.0}
    assert "wrong" in row["failed"]
    means = [(each["threads"], each["contender"], each["group"], each["best"]) for each in section["geometric_means"]]
    by_hand = [("wimmel", pytest.approx(2.0)), ("wimmel, alone", pytest.approx(4 / 3))]
    assert means == [(threads, name, "sizes", mean) for threads in (1, 2) for name, mean in by_hand]


def test_a_narrow_terminal_shows_the_best_peer_alone(fake):
    code = "from wimmel import bench; bench.SECTIONS['fake'] = 'fake_section'; from wimmel.cli import main; main()"
    command = [sys.executable, "-c", code, "bench", "fake", "--only", "small", "--rounds", "1"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "FORCE_COLOR": "1"}
    text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120).stdout
    heading = next(line for line in text.splitlines() if "best peer" in line)
    assert "steady" not in heading
    assert re.search(r"2\.00 s.*\n *printing", re.sub(r"\x1b\[[0-9;]*m", "", text))


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX signals")
def test_ctrl_c_ends_in_a_sentence_and_shows_what_is_there(fake, tmp_path):
    code = "from wimmel import bench; bench.SECTIONS['fake'] = 'fake_section'; from wimmel.cli import main; main()"
    command = [sys.executable, "-c", code, "bench", "fake", "--only", "large", "--json"]
    hangs = tmp_path / "hangs"
    process = subprocess.Popen(
        command,
        env={**os.environ, "FAKE_SECTION_HANGS": str(hangs)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not hangs.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    text, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().startswith("Stopped by Ctrl-C")
    assert "Traceback" not in errors
    assert text == "" or json.loads(text)["sections"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("speed",), 2, "no section 'speed'"),
        (("latency", "--only", "AlexNet"), 1, "no case of latency has 'AlexNet'"),
        (("latency", "--only", "memory"), 1, "to run the section of that name: wimmel bench memory"),
        (("latency", "--rounds", "0"), 2, "--rounds"),
        (("latency", "-o", "figures.txt"), 1, ".json"),
        (("latency", "-o", "nowhere/figures.json"), 1, "no folder"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(wimmel, arguments, code, said):
    result = wimmel("bench", *arguments)
    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert result.stdout == ""
