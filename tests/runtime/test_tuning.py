"""Tuning: other code, the same bits; what was found is remembered by the machine, and does no harm whatever it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wimmel as wm
from wimmel import nn
from wimmel.compiler import alternatives
from wimmel.compiler.planning import compiled as planned
from wimmel.compiler.program import Program
from wimmel.compiler.targets import host
from wimmel.runtime import tuning
from wimmel.runtime.compiled import Compiled

X = np.random.default_rng(0).standard_normal((2, 16, 14, 14)).astype(np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test, and a process that has not decided anything."""
    monkeypatch.setenv("WIMMEL_CACHE_DIR", str(tmp_path / "cache"))
    forgotten(monkeypatch)
    return tmp_path / "cache"


def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alternatives, "_answers", {})
    monkeypatch.setattr(alternatives, "_known", {})


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(16, 64, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
        nn.Conv2d(64, 40, 1), nn.ReLU(), nn.Flatten(), nn.Linear(40 * 49, 30),
    ).initialize(0)  # fmt: skip


def program_of(net: Any, x: np.ndarray = X) -> Program:
    return planned(Compiled(net, "reference").record(x).graph, host(), precision="fast")


def answers(program: Program) -> dict[str, Any]:
    return {choice.question: choice.taken for step in program.steps for choice in step.choices}


Clock = Callable[[dict[str, Any]], float]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Clock], list[Program]]:
    """Called with what a step takes by the answers to its questions, it is asked instead of the time; gives the list of
    the programs that are timed."""

    def installed(of_step: Clock) -> list[Program]:
        programs: list[Program] = []

        def timed(program: Program) -> Callable[[], Sequence[float]]:
            programs.append(program)
            return lambda: [of_step({c.question: c.taken for c in step.choices}) for step in program.steps]

        monkeypatch.setattr(tuning, "_machine", lambda values: timed)
        return programs

    return installed


def ascending() -> Clock:
    """Whatever is timed later takes less time."""
    known: dict[str, float] = {}
    return lambda taken: 1.0 / (1 + sum(known.setdefault(f"{q} {a}", len(known)) for q, a in taken.items()))


@pytest.mark.parametrize("precision", ["fast", "exact"])
@pytest.mark.parametrize("draw", range(3))
def test_results_are_the_same_bits(precision: str, draw: int, clock: Callable[[Clock], list[Program]]) -> None:
    random, net = np.random.default_rng(draw), network()
    speeds: dict[str, float] = {}
    with wm.precision(precision):
        before, larger = net(X), net(np.concatenate([X, X[::-1]]))
        was = answers(program_of(net))
        clock(lambda taken: speeds.setdefault(repr(taken), float(random.random())))
        told = wm.tune(net, X)
        assert any(decision.before != decision.after for decision in told.decisions)
        assert answers(program_of(net)) != was
        for threads in (1, 2, 3):
            with wm.num_threads(threads):
                assert np.array_equal(net(X), before)
        assert np.array_equal(net(np.concatenate([X, X[::-1]])), larger)


def test_gradients_and_training_are_the_same_bits(clock: Callable[[Clock], list[Program]]) -> None:
    net = network()
    step = wm.value_and_grad(lambda net, x: wm.square(net(x, training=True)).mean())
    loss, gradients = step(net, X)
    clock(ascending())
    assert wm.tune(step, net, X).gain > 0
    after, others = step(net, X)
    assert after == loss and all(np.array_equal(others[name], gradients[name]) for name in gradients)


def test_what_is_not_faster_is_never_kept(clock: Callable[[Clock], list[Program]]) -> None:
    net = network()
    was = answers(program_of(net))

    def slower(taken: dict[str, Any]) -> float:
        return 1.0 if all(was.get(question, answer) == answer for question, answer in taken.items()) else 0.98

    programs = clock(slower)
    told = wm.tune(net, X)
    assert len(programs) > 3 and told.decisions and told.gain == 0
    assert all(decision.before == decision.after for decision in told.decisions)
    assert answers(program_of(net)) == was


def test_the_fastest_is_kept_and_told(clock: Callable[[Clock], list[Program]]) -> None:
    net = nn.Sequential(nn.Linear(64, 48), nn.Tanh()).initialize(0)
    x = X.reshape(-1, 64)
    (question,) = [question for question in answers(program_of(net, x)) if question.startswith("block")]
    best = next(c for s in program_of(net, x).steps for c in s.choices if c.question == question).options[3]
    clock(lambda taken: 0.5 if taken.get(question) == best else 0.9 if question in taken else 0.1)
    told = wm.tune(net, x)
    assert answers(program_of(net, x))[question] == best
    assert told.decisions[0].question == question and told.decisions[0].after == repr(best)
    assert told.decisions[0].seconds == pytest.approx((0.9, 0.5)) and told.gain == pytest.approx(0.4)
    assert "1 changed" in str(told) and question in str(told) and repr(best) in str(told)


def test_networks_and_compiled_functions_take_it_at_their_next_call(clock: Callable[[Clock], list[Program]]) -> None:
    net = network()
    double = wm.compile(lambda x: net(2 * x))
    for _ in range(3):  # so that the short way to the native call is paved
        net(X), double(X)
    runners = [net.__dict__["_inference"], double]
    before = [next(iter(each._traces.values()))[1]._run.program for each in runners]
    clock(ascending())
    wm.tune(net, X)
    net(X), double(X)
    after = [next(iter(each._traces.values()))[1]._run.program for each in runners]
    assert all(answers(one) != answers(other) for one, other in zip(before, after, strict=True))


def test_compile_tunes_for_each_new_shape_what_is_not_known_yet(clock: Callable[[Clock], list[Program]]) -> None:
    net = network()
    programs = clock(ascending())
    tuned = wm.compile(net, tune=True)
    expected = wm.compile(net, backend="reference")(X)
    assert not programs
    np.testing.assert_allclose(tuned(X), expected, rtol=1e-3, atol=1e-4)
    count = len(programs)
    assert count > 3
    tuned(X)
    wm.compile(net, tune=True)(X)
    assert len(programs) == count
    tuned(np.concatenate([X, X]))  # blocks are known; how work is shared out depends on the pictures
    assert len(programs) < 2 * count


def test_a_later_process_knows(folder: Path, clock: Callable[[Clock], list[Program]]) -> None:
    net = network()
    clock(ascending())
    wm.tune(net, X)
    taken = {question: repr(answer) for question, answer in answers(program_of(net)).items()}
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from runtime.test_tuning import answers, network, program_of
for question, answer in answers(program_of(network())).items():
    print(question, answer, sep=" = ")
"""
    here = str(Path(__file__).parent.parent)
    run = subprocess.run([sys.executable, "-c", script, here], capture_output=True, text=True, check=True)
    assert dict(line.split(" = ") for line in run.stdout.splitlines()) == taken
    (file,) = folder.glob("*.json")
    assert json.loads(file.read_text()).items() >= taken.items()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"[" * 100_000, b"\xff\x00", b'{"a": 1}', b"null"])
def test_a_broken_file_is_passed_over_and_replaced(
    content: bytes, folder: Path, clock: Callable[[Clock], list[Program]], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = nn.Linear(64, 48).initialize(0)
    x = X.reshape(-1, 64)
    expected = answers(program_of(net, x))
    clock(ascending())
    wm.tune(net, x)
    tuned = answers(program_of(net, x))
    (file,) = folder.glob("*.json")
    file.write_bytes(content)
    forgotten(monkeypatch)
    with pytest.warns(RuntimeWarning, match="passed over, because [0-9a-f]{64}.json in .* is not one of its files"):
        assert answers(program_of(net, x)) == expected != tuned
    with pytest.warns(RuntimeWarning):
        wm.tune(net, x)
    forgotten(monkeypatch)
    assert answers(program_of(net, x)) == tuned


@pytest.mark.parametrize("words", ["Block(pixels=999, vectors=99, lanes=16, kind='f32', unroll=4)", "forge()", ""])
def test_a_forged_answer_is_no_answer(words: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    expected, before = answers(program_of(net)), net(X)
    alternatives.remember(expected, host())
    (file,) = folder.glob("*.json")
    file.write_text(json.dumps(dict.fromkeys(expected, words)))
    forgotten(monkeypatch)
    assert answers(program_of(net)) == expected
    assert np.array_equal(network()(X), before)


def test_a_file_is_written_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = answers(program_of(network()))
    alternatives.remember(expected, host())
    (file,) = folder.glob("*.json")
    before = file.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    alternatives.remember({"another question": 1}, host())
    assert file.read_bytes() == before and [path.name for path in folder.iterdir() if "unfinished" in path.name] == []


def test_what_several_processes_find_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alternatives.remember({"one": 1}, host())
    forgotten(monkeypatch)
    assert alternatives.is_known("one", host()) and not alternatives.is_known("two", host())
    (file,) = folder.glob("*.json")
    file.write_text(json.dumps({"one": "1", "two": "2"}))
    alternatives.remember({"three": 3}, host())
    assert json.loads(file.read_text()) == {"one": "1", "two": "2", "three": "3"}


def test_without_a_folder_it_lasts_for_the_process(
    monkeypatch: pytest.MonkeyPatch, clock: Callable[[Clock], list[Program]]
) -> None:
    monkeypatch.setenv("WIMMEL_CACHE_DIR", "off")
    net = network()
    was = answers(program_of(net))
    clock(ascending())
    wm.tune(net, X)
    assert answers(program_of(net)) != was


def test_it_says_how_far_it_is(clock: Callable[[Clock], list[Program]]) -> None:
    clock(ascending())
    told: list[tuple[str, int, int]] = []
    wm.tune(network(), X, progress=lambda *report: told.append(report))
    assert told and all(task.startswith("tuning ") and 0 < done <= total for task, done, total in told)


def test_what_is_not_compiled_cannot_be_tuned() -> None:
    with pytest.raises(ValueError, match="no machine code to be tuned: the graph holds convolution of int64"):
        wm.tune(lambda x: wm.correlate(x, x), np.arange(9).reshape(3, 3))


def test_the_machine_itself_times() -> None:
    net = nn.Linear(64, 48).initialize(0)
    x = X.reshape(-1, 64)
    before = net(x)
    told = wm.tune(net, x)
    assert told.decisions and all(0 < seconds < 1 for decision in told.decisions for seconds in decision.seconds)
    assert np.array_equal(net(x), before)
