"""The training step: its gradients and updates against formulas, what its flag protects, what stays frozen."""

import threading

import numpy as np
import pytest

import wimmel.functional as F
from wimmel import nn
from wimmel.data import Preprocessing
from wimmel.functional import random_key
from wimmel.train import losses, optim
from wimmel.train.step import TrainingStep

KEY = random_key(0)


def line(seed=0, dtype=np.float64):
    return nn.Sequential(nn.Linear(3, 2)).initialize(seed).astype(dtype)


def points(dtype=np.float64, seed=0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(5, 3)).astype(dtype), draw.normal(size=(5, 2)).astype(dtype)


def squared_error_gradients(net, x, y):
    """Of the mean of (x W^T + b - y)^2, from the formula."""
    distance = x @ net[0].weight.T + net[0].bias - y
    return {"0.weight": 2 * distance.T @ x / y.size, "0.bias": 2 * distance.sum(axis=0) / y.size}


def test_a_step_of_gradient_descent_is_the_formula_s():
    net, (x, y) = line(), points()
    gradients = squared_error_gradients(net, x, y)
    expected = {name: value - 0.1 * gradients[name] for name, value in net.state_dict().items()}
    loss = np.mean((x @ net[0].weight.T + net[0].bias - y) ** 2)
    outcome = TrainingStep(net, optim.SGD(), losses.mse)(x, y, 0.1, KEY)
    assert outcome.loss == pytest.approx(loss)
    assert outcome.right is None
    assert outcome.finite
    for name, value in net.state_dict().items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-12)


def test_threads_that_share_a_step_lose_no_update():
    net, (x, y) = line(), points()
    step = TrainingStep(net, optim.SGD(), losses.mse)
    alone = TrainingStep(line(), optim.SGD(), losses.mse)

    def updates():
        for _ in range(50):
            step(x, y, 0.01, KEY)

    threads = [threading.Thread(target=updates) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(200):
        alone(x, y, 0.01, KEY)
    assert step.count == 200
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, alone.net.state_dict()[name])


def test_right_answers_are_counted_in_the_step():
    net = line()
    net[0].weight, net[0].bias = [[1, 0, 0], [0, 1, 0]], [0, 0]
    x = np.array([[2.0, 1, 0], [1, 2, 0], [2, 1, 0]])
    outcome = TrainingStep(net, optim.SGD(), losses.cross_entropy)(x, np.array([0, 1, 1]), 0.1, KEY)
    assert outcome.right == 2


def test_rate_step_and_key_are_inputs_and_one_recording_serves_them_all():
    net, (x, y) = line(), points()
    step = TrainingStep(net, optim.Adam(), losses.mse)
    step(x, y, 0.1, random_key(0, 0))
    first = step.graph
    step(x, y, 0.05, random_key(0, 1))
    assert step.graph is first
    assert step.count == 2


def test_pictures_are_normalised_inside_the_graph():
    pictures = np.random.default_rng(0).integers(0, 256, (4, 1, 2, 2)).astype(np.uint8)
    preprocessing = Preprocessing((1, 2, 2), (0.4,), (0.2,))
    nets = [nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).initialize(0) for _ in range(2)]
    labels = np.array([0, 1, 1, 0])
    step = TrainingStep(nets[0], optim.SGD(), losses.cross_entropy, preprocessing)
    inside = step(pictures, labels, 0.1, KEY)
    outside = TrainingStep(nets[1], optim.SGD(), losses.cross_entropy)(preprocessing(pictures), labels, 0.1, KEY)
    assert inside == outside
    assert np.array_equal(nets[0][1].weight, nets[1][1].weight)
    assert step.graph.inputs[0].dtype == np.uint8


def test_float64_examples_are_computed_in_the_network_s_dtype():
    net, (x, y) = line(dtype=np.float32), points()
    step = TrainingStep(net, optim.SGD(), losses.mse)
    step(x, y.astype(np.float32), 0.1, KEY)
    forward = [node for node in step.graph.nodes() if node.primitive.name == "matmul"]
    assert forward
    assert all(node.dtype == np.float32 for node in forward)


# the flag


def normalised():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.25), nn.Linear(4, 2)).initialize(0)


def everything(step):
    return {**step.net.state_dict(), **step.state_dict(), "count": step.count}


@pytest.mark.parametrize("optimizer", [optim.Adam(), optim.SGD(momentum=0.9)], ids=repr)
def test_where_a_number_is_not_finite_nothing_moves(optimizer):
    net, (x, _) = normalised(), points(np.float32)
    labels = np.array([0, 1, 1, 0, 1])
    step = TrainingStep(net, optimizer, losses.cross_entropy)
    assert step(x, labels, 0.1, KEY).finite
    before = everything(step)
    assert int(before["1.num_batches_tracked"]) == 1
    spoilt = x.copy()
    spoilt[2, 1] = np.nan
    assert not step(spoilt, labels, 0.1, KEY).finite
    after = everything(step)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert step(x, labels, 0.1, KEY).finite
    assert step.count == 2
    assert any(not np.array_equal(before[name], value) for name, value in everything(step).items())


def test_an_update_that_overflows_is_not_made_though_loss_and_gradients_are_finite():
    net, (x, y) = line(dtype=np.float32), points(np.float32)
    step = TrainingStep(net, optim.SGD(), losses.mse)
    before = everything(step)
    outcome = step(x, y, 1e39, KEY)
    assert np.isfinite(outcome.loss)
    assert not outcome.finite
    assert all(np.array_equal(before[name], value) for name, value in everything(step).items())


class Clipping:
    """An optimiser that makes a finite step of any gradient."""

    learning_rate = 0.1

    def initial(self, parameter):
        return {}

    def update(self, gradient, parameter, state, learning_rate, step):
        return parameter - 0.1 * F.clip(gradient, -1, 1), {}


def test_a_gradient_that_is_infinite_is_not_followed_though_its_step_would_be_finite():
    net = nn.Sequential(nn.Linear(1, 1)).initialize(0).astype(np.float64)
    net[0].weight, net[0].bias = [[0.0]], [0.0]
    step = TrainingStep(net, Clipping(), lambda scores, labels: F.sum(F.sqrt(scores)))
    assert not step(np.ones((1, 1)), np.zeros((1, 1)), 0.1, KEY).finite
    assert net[0].weight.item() == 0


# what is trained


def test_frozen_parameters_stay_and_have_no_state():
    net, (x, _) = normalised(), points(np.float32)
    net[0].freeze()
    before = {name: value.copy() for name, value in net.state_dict().items()}
    step = TrainingStep(net, optim.Adam(), losses.cross_entropy)
    step(x, np.array([0, 1, 1, 0, 1]), 0.1, KEY)
    changed = {name for name, value in net.state_dict().items() if not np.array_equal(before[name], value)}
    assert not {"0.weight", "0.bias"} & changed
    assert {"1.weight", "4.weight", "4.bias", "1.running_mean"} <= changed
    assert not any(name.startswith("0.") for name in step.state_dict())


def test_a_layer_thawed_in_mid_training_joins_it():
    net, (x, _) = normalised(), points(np.float32)
    net[0].freeze()
    step, labels = TrainingStep(net, optim.Adam(), losses.cross_entropy), np.array([0, 1, 1, 0, 1])
    step(x, labels, 0.1, KEY)
    net[0].freeze(False)
    before = net[0].weight
    step(x, labels, 0.1, KEY)
    assert not np.array_equal(before, net[0].weight)
    assert "0.weight/first" in step.state_dict()


# clipping


def test_gradients_beyond_the_norm_are_scaled_down_to_it_all_together():
    net, (x, y) = line(), points()
    y = 100 * y
    gradients = squared_error_gradients(net, x, y)
    norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
    assert norm > 1
    before = net.state_dict()
    TrainingStep(net, optim.SGD(), losses.mse, clip_norm=1.0)(x, y, 0.1, KEY)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(net.state_dict()[name], before[name] - 0.1 * gradient / norm, rtol=1e-6)


def test_gradients_within_the_norm_are_left_alone():
    nets, (x, y) = [line(), line()], points()
    TrainingStep(nets[0], optim.SGD(), losses.mse, clip_norm=1e6)(x, y, 0.1, KEY)
    TrainingStep(nets[1], optim.SGD(), losses.mse)(x, y, 0.1, KEY)
    assert np.array_equal(nets[0][0].weight, nets[1][0].weight)


def test_the_norm_of_gradients_whose_squares_overflow_float32_is_still_right():
    net, (x, y) = line(dtype=np.float32), points(np.float32)
    before = net[0].weight
    assert TrainingStep(net, optim.SGD(), lambda s, t: losses.mse(s, t) * 1e25, clip_norm=1.0)(x, y, 1.0, KEY).finite
    moved = np.concatenate([(net[0].weight - before).ravel()])
    assert 0.1 < np.sqrt((moved**2).sum()) <= 1.0


# state


def test_a_step_continues_from_another_s_state_bit_for_bit():
    x, labels = points(np.float32)[0], np.array([0, 1, 1, 0, 1])
    first, second = (TrainingStep(normalised(), optim.Adam(), losses.cross_entropy) for _ in range(2))
    for number in range(3):
        first(x, labels, 0.05, random_key(1, number))
    second.load_state_dict(first.state_dict(), first.count)
    second.net.load_state_dict(first.net.state_dict())
    for number in range(3, 6):
        outcomes = [step(x, labels, 0.05, random_key(1, number)) for step in (first, second)]
        assert outcomes[0] == outcomes[1]
    ours, theirs = everything(first), everything(second)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_another_optimiser_s_state_is_refused():
    adam, sgd = (TrainingStep(line(), o, losses.mse) for o in (optim.Adam(), optim.SGD(momentum=0.5)))
    with pytest.raises(ValueError, match="another optimiser"):
        sgd.load_state_dict(adam.state_dict(), 1)
