"""The architectures: their parameter counts and shapes, and that they learn."""

import numpy as np
import pytest

from wimmel import functional
from wimmel.models import lenet, lenet_classic, mlp, sequence_network
from wimmel.runtime import value_and_grad


def test_L30_lenet_halves_the_picture_and_deepens_the_channels():
    shapes, x = [], np.zeros((1, 1, 28, 28), np.float32)
    for layer in lenet_classic():
        x = layer(x)
        if x.ndim == 4:
            shapes.append(x.shape[1:])
    assert shapes[0] == shapes[1] == (6, 28, 28)
    assert shapes[2] == (6, 14, 14) and shapes[-1] == (16, 5, 5)


@pytest.mark.parametrize(
    ("net", "count"),
    [
        (lenet_classic(), 61706),
        (lenet(), 61706),
        (mlp((1, 28, 28), 10, hidden=(100,)), 784 * 100 + 100 + 1010),
        (sequence_network(4, 3, width=8), 4 * 8 * 5 + 2 * 8 * 8 * 5 + 3 * 16 + 27),
    ],
)
def test_parameter_counts(net, count):
    assert net.parameter_count() == count


@pytest.mark.parametrize("size", [(4, 4), (5, 9), (8, 8), (15, 40), (16, 16), (17, 31), (32, 32), (64, 48)])
@pytest.mark.parametrize("channels", [1, 3])
def test_lenet_takes_any_size(size, channels):
    net = lenet(classes=5, channels=channels, size=size)
    assert net(np.zeros((2, channels, *size), np.float32)).shape == (2, 5)


def test_lenet_refuses_pictures_that_vanish():
    with pytest.raises(ValueError, match="pictures of 3 x 9; it needs at least 4 x 4"):
        lenet(size=(3, 9))


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (lenet(3, 1, (8, 8), seed=0), (1, 8, 8)),
        (mlp((1, 8, 8), 3, seed=0), (1, 8, 8)),
        (sequence_network(2, 3, 8, 0), (2, 20)),
    ],
)
def test_every_model_learns_a_small_batch_by_heart(net, shape):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(12, *shape)).astype(np.float32), np.arange(12) % 3
    step = value_and_grad(lambda net, x: functional.cross_entropy(net(x, training=True, seed=0), y))
    first = step(net, x)[0]
    for _ in range(150):
        _, gradients = step(net, x)
        net.load_state_dict(
            {name: net.state_dict()[name] - 0.1 * gradient for name, gradient in gradients.items()}, strict=False
        )
    assert step(net, x)[0] < 0.3 * first


@pytest.mark.parametrize(
    "build", [lenet, lenet_classic, lambda **k: mlp(4, 2, **k), lambda **k: sequence_network(1, 2, **k)]
)
def test_a_seed_fixes_the_parameters(build):
    for one, two in zip(build(seed=1).state_dict().values(), build(seed=1).state_dict().values(), strict=True):
        np.testing.assert_array_equal(one, two)
