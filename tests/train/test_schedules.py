"""Learning-rate schedules against their formulas, and composed."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimmel.train.schedules import NAMED, Constant, Cosine, OneCycle, StepDecay, WarmUp

STEPS = st.integers(1, 500)


def test_a_constant_is_constant():
    assert {Constant(0.3)(step) for step in range(100)} == {0.3}


def test_step_decay_falls_by_its_factor_after_every_so_many_steps():
    schedule = StepDecay(1.0, every=10, factor=0.5)
    assert [schedule(step) for step in (0, 9, 10, 19, 20)] == [1.0, 1.0, 0.5, 0.5, 0.25]


@given(STEPS, st.floats(0, 0.1))
def test_a_cosine_goes_from_the_first_rate_to_the_final_one_and_is_halfway_in_the_middle(steps, final):
    schedule = Cosine(0.5, 2 * steps, final)
    assert schedule(0) == 0.5
    assert schedule(steps) == pytest.approx((0.5 + final) / 2)
    assert schedule(2 * steps) == schedule(10 * steps) == pytest.approx(final)
    assert all(schedule(step) >= schedule(step + 1) for step in range(2 * steps))


def test_a_cosine_is_equation_5_of_loshchilov_and_hutter():
    schedule = Cosine(0.2, 7, 0.01)
    for step in range(8):
        assert schedule(step) == pytest.approx(0.01 + 0.5 * (0.2 - 0.01) * (1 + math.cos(step / 7 * math.pi)))


@given(st.integers(4, 500), st.floats(0.2, 0.8))
def test_one_cycle_rises_once_to_its_highest_and_falls_once(steps, rise):
    schedule = OneCycle(0.5, steps, rise)
    rates = [schedule(step) for step in range(steps)]
    assert max(rates) <= 0.5
    assert rates[-1] == pytest.approx(0.5 / 25 / 1e4)
    summit = rates.index(max(rates))
    assert rates[: summit + 1] == sorted(rates[: summit + 1])
    assert rates[summit:] == sorted(rates[summit:], reverse=True)
    assert schedule(steps + 100) == rates[-1]


@given(STEPS)
def test_warm_up_rises_evenly_to_where_the_next_schedule_begins(steps):
    schedule = WarmUp(steps, Cosine(0.5, 100))
    rates = [schedule(step) for step in range(steps + 1)]
    assert rates[0] > 0
    assert rates[-1] == 0.5
    differences = [after - before for before, after in pairwise(rates)]
    assert differences == pytest.approx([0.5 / (steps + 1)] * steps)
    assert schedule(steps + 30) == Cosine(0.5, 100)(30)


def test_schedules_compose_and_are_equal_when_their_settings_are():
    schedule = WarmUp(2, StepDecay(0.4, every=1))
    assert schedule == WarmUp(2, StepDecay(0.4, every=1))
    assert [round(schedule(step), 6) for step in range(4)] == [0.133333, 0.266667, 0.4, 0.04]


@pytest.mark.parametrize("name", NAMED)
def test_named_schedules_follow_from_a_rate_and_a_number_of_steps(name):
    schedule = NAMED[name](0.25, 40)
    rates = [schedule(step) for step in range(40)]
    assert all(type(rate) is float for rate in rates)
    assert 0.24 < max(rates) <= 0.25


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Constant(-1), "learning_rate=-1"),
        (lambda: Constant(math.inf), "learning_rate=inf"),
        (lambda: StepDecay(0.1, every=0), "every=0"),
        (lambda: Cosine(0.1, steps=2.5), "steps=2.5"),
        (lambda: OneCycle(0.1, steps=10, rise=1.0), "rise=1.0"),
        (lambda: OneCycle(0.1, steps=10, final_divisor=0), "final_divisor=0"),
        (lambda: WarmUp(0, Constant(0.1)), "steps=0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_warm_up_takes_a_schedule_not_a_number():
    with pytest.raises(TypeError, match="takes a schedule"):
        WarmUp(3, 0.1)
