"""Contenders take turns in processes of their own, and one that fails takes nobody with it."""

import subprocess
from dataclasses import replace

import pytest

from wimmel.bench.contest import Contest, missing
from wimmel.bench.results import Figures
from wimmel.bench.section import Contender


def test_everyone_who_can_is_measured(fake):
    with Contest(fake, 1, rounds=2) as contest:
        figures, failed = contest.measure(fake.case("small"))
    assert figures == {
        "wimmel": Figures(1.0, 1.0),
        "wimmel, alone": Figures(1.5, 1.5),
        "steady": Figures(3.0, 3.0),
        "printing": Figures(2.0, 2.0),
        "failing": Figures(4.0, 4.0),
        "crashing": Figures(4.0, 4.0),
        "hanging": Figures(4.0, 4.0),
    }
    assert failed == {"wrong": "its output differs from the first contender's, by 0.1 of the largest number"}


def test_who_fails_ends_or_hangs_loses_the_case_and_says_why(fake):
    with Contest(fake, 1, rounds=1, limit=3) as contest:
        figures, failed = contest.measure(fake.case("large"))
        assert set(figures) == {"wimmel", "wimmel, alone", "steady", "printing"}
        assert failed["failing"] == "RuntimeError: it is too large"
        assert failed["crashing"] == "its process ended by itself, by signal SIGKILL"
        assert failed["hanging"] == "it gave no answer within 3 s and was ended"
        again, _ = contest.measure(fake.case("other"))
    assert {"failing", "crashing", "hanging"} <= set(again)


def test_the_missing_are_known_beforehand(fake):
    assert missing(fake) == {"missing": ("a_library_nobody_has",)}


def test_no_process_is_left(fake, monkeypatch):
    started = []
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(real(*a, **k)) or started[-1])
    with pytest.raises(KeyboardInterrupt), Contest(fake, 1, rounds=1, limit=3) as contest:
        contest.measure(fake.case("small"))
        raise KeyboardInterrupt
    assert len(started) == len(fake.contenders) - 1
    assert all(process.returncode is not None for process in started)


def test_a_peer_far_behind_has_one_turn(fake):
    slow = Contender("steady", fake.contender("steady").prepare)
    with Contest(replace(fake, contenders=(fake.contenders[0], slow)), 1, rounds=3) as contest:
        asked = []
        for rival in contest._rivals:
            real = rival.ask
            answers = {"best": 9.0, "median": 9.0} if rival.name == "steady" else {"best": 1.0, "median": 1.0}

            def ask(request, name=rival.name, real=real, answers=answers):
                asked.append((name, request["do"]))
                return answers if request["do"] == "time" else real(request)

            rival.ask = ask
        figures, _ = contest.measure(fake.case("small"))
    assert asked.count(("steady", "time")) == 1
    assert asked.count(("wimmel", "time")) == 3
    assert figures["steady"] == Figures(9.0, 9.0)


def test_a_case_that_does_not_fit_into_memory_is_left_out(fake, monkeypatch):
    monkeypatch.setattr("wimmel.bench.contest.available_memory", lambda: 5e9)
    with Contest(replace(fake, contenders=fake.contenders[:3]), 1, rounds=1) as contest:
        figures, failed = contest.measure(replace(fake.case("small"), memory=2e9))
        assert figures == {}
        reason = "all contenders together would take 6.00 GB of memory, more than is free"
        assert failed == {"wimmel": reason, "wimmel, alone": reason, "steady": reason}
        assert set(contest.measure(replace(fake.case("small"), memory=1e9))[0]) == set(failed)


def test_turns_are_limited_by_the_section(fake):
    once = replace(fake, most_rounds=1, contenders=fake.contenders[:1])
    with Contest(once, 1, rounds=50) as contest:
        assert contest.rounds == 1
