"""The lecture's rows on training: a convolutional layer's gradients, a kernel learned, LeNet on digits."""

import numpy as np
import pytest

from wimmel import data, functional, models, nn
from wimmel.functional import random_key
from wimmel.runtime import value_and_grad
from wimmel.train import Trainer, evaluate, losses, optim
from wimmel.train.step import TrainingStep


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), ((2, 1), 1)])
def test_L14_the_convolutional_layer_s_gradients_are_finite_differences(stride, padding):
    draw = np.random.default_rng(0)
    layer = nn.Conv2d(2, 3, (2, 3), stride=stride, padding=padding).initialize(0).astype(np.float64)
    x = draw.normal(size=(2, 2, 5, 6))
    weights = draw.normal(size=layer(x).shape)

    def objective(layer, x):
        return (functional.square(layer(x)) * weights).sum()

    _, gradients = value_and_grad(objective)(layer, x)
    assert set(gradients) == {"weight", "bias"}
    for name, gradient in gradients.items():
        start, difference = getattr(layer, name), np.zeros_like(gradient)
        for place in np.ndindex(start.shape):
            values = []
            for shift in (1e-6, -1e-6):
                moved = start.copy()
                moved[place] += shift
                setattr(layer, name, moved)
                values.append(float((layer(x) ** 2 * weights).sum()))
            difference[place] = (values[0] - values[1]) / 2e-6
        setattr(layer, name, start)
        assert np.abs(gradient - difference).max() / np.abs(difference).max() < 1e-6


def test_L14_a_layer_has_a_kernel_and_a_bias_drawn_at_random():
    first, second = nn.Conv2d(1, 1, 3).initialize(1), nn.Conv2d(1, 1, 3).initialize(2)
    assert list(first.parameters()) == ["weight", "bias"]
    assert not np.array_equal(first.weight, second.weight)
    assert np.array_equal(first.weight, nn.Conv2d(1, 1, 3).initialize(1).weight)


def test_L16_gradient_descent_learns_the_edge_detector_from_input_and_output():
    x = np.ones((1, 1, 6, 8), np.float32)
    x[..., 2:6] = 0
    y = x[..., :-1] - x[..., 1:]
    net = nn.Conv2d(1, 1, (1, 2), bias=False).initialize(0)
    step = TrainingStep(net, optim.SGD(), losses.mse)
    for number in range(300):
        assert step(x, y, 0.5, random_key(0, number)).finite
    np.testing.assert_allclose(net.weight.ravel(), [1, -1], atol=1e-3)


def test_L33_lenet_learns_to_read_digits_it_has_not_seen():
    train, test = data.digits().split(0.25)
    net = models.lenet(size=(8, 8), seed=0)
    Trainer(net, optim.Adam(1e-2), batch_size=32, schedule="one-cycle").fit(train, epochs=5, progress=False)
    assert evaluate(net, test).accuracy > 0.93
