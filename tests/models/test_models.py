"""The architectures: their parameter counts and shapes, and that they learn."""

import inspect

import numpy as np
import pytest

from wimmel import functional, nn
from wimmel.models import (
    lenet,
    lenet_classic,
    mlp,
    mobilenet_v2,
    resnet18,
    resnet20,
    resnet34,
    resnet50,
    sequence_network,
    vgg16,
)
from wimmel.models.mobilenet import InvertedResidual, ReLU6
from wimmel.models.resnet import BasicBlock, Bottleneck, PaddedShortcut
from wimmel.nn import saving
from wimmel.runtime import compile, value_and_grad


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
        (resnet18(), 11_689_512),
        (resnet34(), 21_797_672),
        (resnet50(), 25_557_032),
        (resnet20(), 269_722),
        (vgg16(), 138_357_544),
        (vgg16(batch_norm=True), 138_365_992),
        (mobilenet_v2(), 3_504_872),
    ],
)
def test_parameter_counts(net, count):
    """Those of deep networks are torchvision's; He et al. (2016), table 6, gives 0.27 million for ResNet-20."""
    assert net.parameter_count() == count


@pytest.mark.parametrize(
    ("net", "billions"),
    [(resnet18(), 1.81), (resnet34(), 3.66), (resnet50(), 4.09), (vgg16(), 15.47), (mobilenet_v2(), 0.30)],
)
def test_multiply_adds_are_those_that_torchvision_lists(net, billions):
    assert round(nn.inspect(net, (3, 224, 224)).multiply_adds / 1e9, 2) == billions


DEEP = [
    lambda **k: resnet20(classes=3, **k),
    lambda **k: mobilenet_v2(classes=3, width=0.25, **k),
    resnet18, resnet34, resnet50, vgg16, lambda **k: vgg16(batch_norm=True, **k), mobilenet_v2,
]  # fmt: skip


@pytest.mark.parametrize("build", DEEP[:2])
def test_deep_networks_come_back_from_a_file_bit_for_bit(build, tmp_path):
    net = build(seed=0)
    x = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    net(x, training=True, seed=0)
    net.save(tmp_path / "net.safetensors")
    twin = nn.load(tmp_path / "net.safetensors")
    assert repr(twin) == repr(net)
    np.testing.assert_array_equal(twin(x), net(x))


@pytest.mark.parametrize("build", DEEP)
def test_deep_networks_are_rebuilt_from_their_description(build):
    """As a file would, without the parameters."""
    net = build()
    twin = saving._built(saving.description(net))
    assert repr(twin) == repr(net)
    shapes = [(name, variable.shape) for name, variable in net.named_variables().items()]
    assert [(name, variable.shape) for name, variable in twin.named_variables().items()] == shapes


@pytest.mark.parametrize(
    "block",
    [BasicBlock(4, 8, 2, False), Bottleneck(4, 8, 2), PaddedShortcut(8, 2), InvertedResidual(4, 24, 4, 1), ReLU6()],
    ids=lambda block: type(block).__name__,
)
def test_blocks_keep_their_arguments(block):
    assert repr(saving._built(saving.description(block))) == repr(block)
    assert all(hasattr(block, name) for name in inspect.signature(type(block)).parameters)


@pytest.mark.parametrize("build", DEEP[:2])
def test_deep_networks_compute_what_the_definitions_say(build):
    net = build(seed=0)
    x = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    net(x, training=True, seed=0)
    expected = compile(lambda x: net(x), backend="reference")(x)
    assert np.abs(net(x) - expected).max() <= 1e-5 * np.abs(expected).max()


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
    "build", [lenet, lenet_classic, lambda **k: mlp(4, 2, **k), lambda **k: sequence_network(1, 2, **k), *DEEP[:2]]
)
def test_a_seed_fixes_the_parameters(build):
    for one, two in zip(build(seed=1).state_dict().values(), build(seed=1).state_dict().values(), strict=True):
        np.testing.assert_array_equal(one, two)
