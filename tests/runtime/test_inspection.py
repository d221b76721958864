"""Looking into compiled functions: every stage as text, and the time of each step."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import wimmel as wm
from wimmel.compiler.stages import STAGES
from wimmel.compiler.targets import host

X = np.random.default_rng(0).standard_normal((2, 3, 12, 12)).astype(np.float32)


@pytest.fixture
def net() -> wm.nn.Module:
    return wm.nn.Sequential(
        wm.nn.Conv2d(3, 8, 3, padding=1, bias=False), wm.nn.BatchNorm2d(8), wm.nn.ReLU(), wm.nn.MaxPool2d(2)
    ).initialize(0)


def test_every_stage_is_text(net: wm.nn.Module) -> None:
    explanation = wm.explain(net, X)
    for stage in STAGES:
        assert str(getattr(explanation, stage)).strip(), stage


def test_regions_show_what_is_fused(net: wm.nn.Module) -> None:
    regions = wm.explain(net, X).regions
    assert re.search(r"^convolution .* maximum max_pool : float32 \(2, 8, 6, 6\)", regions, re.MULTILINE)
    assert not re.search(r"^max_pool", regions, re.MULTILINE)


def test_layouts_show_halos(net: wm.nn.Module) -> None:
    layouts = wm.explain(net, X).layouts.splitlines()
    assert any(line.startswith("input") and "channels last, halo ((1, 1), (1, 1))" in line for line in layouts)


def test_schedules_show_what_is_done_once_and_what_at_every_call(net: wm.nn.Module) -> None:
    schedules = wm.explain(net, X).schedules
    assert re.search(r"^once  pack: \d+ tasks$", schedules, re.MULTILINE)
    assert re.search(r"^      convolution .*: \d+ tasks$", schedules, re.MULTILINE)


def test_memory_shows_an_arena_that_buffers_share(net: wm.nn.Module) -> None:
    deep = wm.nn.Sequential(*(wm.nn.Conv2d(3, 3, 3, padding=1) for _ in range(6))).initialize(0)
    memory = wm.explain(deep, X).memory
    size = int(re.match(r"arena ([\d,]+) bytes", memory)[1].replace(",", ""))
    buffers = [int(n) for n in re.findall(r"^arena +\d+ \+ (\d+)", memory, re.MULTILINE)]
    assert size < sum(buffers)


def test_code_is_shown_in_our_language_as_llvm_and_as_instructions(net: wm.nn.Module) -> None:
    explanation = wm.explain(net, X)
    kernels = len(explanation.program.schedules)
    assert explanation.loops.count(": ptr, ") >= kernels
    assert len(re.findall(r"^define .*@kernel\d+\(", explanation.llvm, re.MULTILINE)) == kernels
    if host().has_fma and host().name.startswith("avx"):
        assert "vfmadd" in explanation.assembly


def test_what_runs_on_the_reference_backend_says_so() -> None:
    whole = np.arange(9).reshape(3, 3)
    explanation = wm.explain(lambda x: wm.correlate(x, x), whole)
    assert str(explanation).startswith("runs on the reference backend: convolution of int64")
    with pytest.raises(ValueError, match="not compiled: it holds convolution of int64"):
        _ = explanation.schedules
    with pytest.raises(ValueError, match="no machine code to be timed"):
        wm.profile(lambda x: wm.correlate(x, x), whole)


def test_the_environment_prints_stages_whenever_something_is_compiled(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WIMMEL_EXPLAIN", "regions, schedules")
    double = wm.compile(lambda x: 2 * x + 1)
    double(np.zeros(5, np.float32))
    said = capfd.readouterr().err
    assert said.index("== regions\nmultiply add : float32 (5,)") < said.index("== schedules\n")
    double(np.zeros(5, np.float32))
    assert capfd.readouterr().err == ""
    monkeypatch.setenv("WIMMEL_EXPLAIN", "everything")
    with pytest.raises(ValueError, match="WIMMEL_EXPLAIN names everything; the stages are: graph, regions"):
        double(np.zeros(6, np.float32))


@pytest.mark.parametrize("rounds", [0, -1, 1.5, "a"])
def test_a_profile_wants_at_least_one_round(rounds: object) -> None:
    with pytest.raises((ValueError, TypeError), match="rounds must be"):
        wm.profile(lambda x: x + 1, np.zeros(3, np.float32), rounds=rounds)


def test_a_profile_has_every_step_and_its_time(net: wm.nn.Module) -> None:
    before = net.state_dict()
    profile = wm.profile(net, X, rounds=2)
    assert [step for step, _ in profile.steps] == [step.label for step in wm.explain(net, X).program.steps]
    assert all(0 < seconds < 10 for _, seconds in profile.steps)
    assert profile.seconds == pytest.approx(sum(seconds for _, seconds in profile.steps))
    assert len(profile.expected) == len(profile.steps) and all(0 < seconds < 1 for seconds in profile.expected)
    first = json.loads(json.dumps(profile.to_dict()))["steps"][0]
    assert (first["step"], first["seconds"], first["expected"]) == (*profile.steps[0], profile.expected[0])
    assert str(profile).splitlines()[0].split() == ["time", "share", "expected"]
    assert str(profile).endswith("us  in all")
    assert profile._repr_html_().count("<tr>") == 1 + len(profile.steps)
    assert all(before[name] is value for name, value in net.state_dict().items())
