"""Optimisers against the textbooks' loops in plain Python, recorded and on arrays; and what they refuse."""

import math

import numpy as np
import pytest

import wimmel.functional as F
from wimmel.runtime import compile
from wimmel.train.optim import SGD, Adam, AdamW, RMSprop

ALL = [
    SGD(0.1),
    SGD(0.1, momentum=0.9),
    SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    Adam(0.1),
    Adam(0.1, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
    AdamW(0.1, weight_decay=0.1),
    RMSprop(0.1),
    RMSprop(0.1, alpha=0.9, momentum=0.5, weight_decay=0.1),
]


def updated(optimizer, gradients, parameter, rate=None):
    """The parameter after an update with each of the gradients."""
    state = optimizer.initial(parameter)
    for step, gradient in enumerate(gradients, start=1):
        parameter, state = optimizer.update(gradient, parameter, state, rate or optimizer.learning_rate, step)
    return parameter


def single_numbers(gradients, p, move):
    """The same loop for one number at a time, in Python's floats."""
    for t, g in enumerate(gradients, start=1):
        p = move(t, g, p)
    return p


@pytest.fixture
def gradients():
    return list(np.random.default_rng(0).normal(size=(5, 3)))


def test_plain_sgd_walks_against_the_gradient():
    assert updated(SGD(0.5), [np.array([2.0, -4.0])], np.array([1.0, 1.0])).tolist() == [0.0, 3.0]


def test_momentum_s_buffer_begins_as_the_first_gradient_and_then_gathers(gradients):
    buffer, p = None, 0.7
    for g in (row[0] for row in gradients):
        buffer = g if buffer is None else 0.9 * buffer + g
        p -= 0.1 * buffer
    assert updated(SGD(0.1, momentum=0.9), gradients, np.full(3, 0.7))[0] == pytest.approx(p, rel=1e-12)


def test_adam_is_algorithm_1_of_kingma_and_ba(gradients):
    moments = {"m": 0.0, "v": 0.0}

    def move(t, g, p):
        moments["m"] = 0.9 * moments["m"] + 0.1 * g
        moments["v"] = 0.999 * moments["v"] + 0.001 * g * g
        corrected = moments["m"] / (1 - 0.9**t), moments["v"] / (1 - 0.999**t)
        return p - 0.1 * corrected[0] / (math.sqrt(corrected[1]) + 1e-8)

    expected = single_numbers([row[1] for row in gradients], 0.7, move)
    assert updated(Adam(0.1), gradients, np.full(3, 0.7))[1] == pytest.approx(expected, rel=1e-12)


def test_adam_s_first_step_is_the_learning_rate_whatever_the_gradient_s_size():
    moved = updated(Adam(0.01), [np.array([1e-3, 1.0, -1e3], np.float32)], np.zeros(3, np.float32))
    np.testing.assert_allclose(moved, [-0.01, -0.01, 0.01], rtol=2e-5)


def test_adamw_shrinks_the_parameter_beside_adam_s_step(gradients):
    gradient, parameter = gradients[0], np.full(3, 2.0)
    plain = updated(Adam(0.1), [gradient], parameter) - parameter
    np.testing.assert_allclose(updated(AdamW(0.1, weight_decay=0.5), [gradient], parameter), 2 * (1 - 0.05) + plain)


def test_rmsprop_divides_by_the_root_of_the_running_square(gradients):
    square, p = 0.0, 0.7
    for g in (row[2] for row in gradients):
        square = 0.99 * square + 0.01 * g * g
        p -= 0.1 * g / (math.sqrt(square) + 1e-8)
    assert updated(RMSprop(0.1), gradients, np.full(3, 0.7))[2] == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_an_update_recorded_as_a_graph_gives_the_numbers_of_one_on_arrays(optimizer, gradients):
    recorded = compile(optimizer.update)
    parameter, state = np.full(3, 0.7), optimizer.initial(np.full(3, 0.7))
    for step, gradient in enumerate(gradients, start=1):
        expected = optimizer.update(gradient, parameter, state, 0.1, step)
        parameter, state = recorded(gradient, parameter, state, np.float64(0.1), np.int64(step))
        assert np.array_equal(parameter, expected[0])
        assert all(np.array_equal(state[name], expected[1][name]) for name in state)


def test_rate_and_step_number_are_inputs_so_that_one_recording_serves_all_steps(gradients):
    optimizer = Adam(0.1)
    recorded = compile(optimizer.update)
    state = optimizer.initial(np.zeros(3))
    recorded(gradients[0], np.zeros(3), state, np.float64(0.1), np.int64(1))
    first = recorded.graph
    recorded(gradients[1], np.ones(3), state, np.float64(0.05), np.int64(2))
    assert recorded.graph is first


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_and_state_keep_their_dtype(optimizer, dtype):
    parameter = np.ones(2, dtype)
    moved, state = optimizer.update(parameter, parameter, optimizer.initial(parameter), np.float64(0.1), np.int64(1))
    assert moved.dtype == dtype
    assert all(value.dtype == dtype for value in state.values())


def test_float32_s_bias_correction_keeps_all_its_digits():
    """1 - 0.999 in float32 would be wrong by some 1e-5; the step must be right to float32's rounding."""
    gradient = np.array([1.0], np.float32)
    moved = updated(Adam(1.0, betas=(0.0, 0.999), eps=0.0), [gradient], np.zeros(1, np.float32))
    assert abs(float(moved[0]) + 1.0) < 3e-7


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_every_optimiser_finds_the_bottom_of_a_bowl(optimizer):
    parameter = np.array([3.0, -2.0])
    state = optimizer.initial(parameter)
    for step in range(1, 400):
        rate = 0.1 * 0.985**step
        parameter, state = optimizer.update(parameter * np.array([1.0, 3.0]), parameter, state, rate, step)
    assert float(F.max(F.abs(parameter))) < 0.02


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SGD(-0.1), "learning_rate=-0.1"),
        (lambda: SGD(float("nan")), "learning_rate=nan"),
        (lambda: SGD(0.1, momentum=1.0), "momentum=1.0"),
        (lambda: SGD(0.1, nesterov=True), "without momentum"),
        (lambda: Adam(betas=(0.9, 1.0)), r"betas\[1\]=1.0"),
        (lambda: Adam(betas=0.9), "a pair"),
        (lambda: AdamW(weight_decay=-1), "weight_decay=-1"),
        (lambda: RMSprop(alpha=2), "alpha=2"),
        (lambda: RMSprop(eps=-1e-8), "eps=-1e-08"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()
