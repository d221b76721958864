"""The deep networks beside PyTorch's: same weights, same outputs, and the same gradients in training."""

import numpy as np
import pytest

from wimmel import nn
from wimmel.runtime import value_and_grad

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
twins = pytest.importorskip("wimmel.bench.twins", exc_type=ImportError)
pytestmark = pytest.mark.parity

INFERENCE = [
    ("resnet18", {}),
    ("resnet34", {}),
    ("resnet50", {}),
    ("resnet20", {}),
    ("vgg16", {"size": (64, 64)}),
    ("vgg16", {"size": (64, 64), "batch_norm": True}),
    ("mobilenet_v2", {}),
    ("mobilenet_v2", {"width": 0.35, "channels": 1, "classes": 5}),
]
TRAINING = [
    ("resnet20", {}, (4, 3, 8, 8), np.float32, 1e-4),
    ("resnet20", {}, (8, 3, 32, 32), np.float64, 1e-9),
    ("mobilenet_v2", {"classes": 5, "width": 0.25}, (8, 3, 64, 64), np.float64, 1e-9),
]
"""Single precision only where there are few numbers: among millions some are so near to 0, where ReLU has its corner,
that rounding decides on which side of it they lie, in each library for itself."""


def difference(ours, theirs):
    """Largest difference over largest value."""
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    return np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30)


def trained_looking(net):
    """Batch norm as training leaves it: with 0 and 1 everywhere much could be exchanged unnoticed."""
    generator = np.random.default_rng(2)
    for layer in net.named_modules().values():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = generator.normal(0, 0.1, layer.num_features)
            layer.running_var = generator.uniform(0.5, 1.5, layer.num_features)
            layer.weight = generator.uniform(0.5, 1.5, layer.num_features)
            layer.bias = generator.normal(0, 0.1, layer.num_features)


@pytest.mark.parametrize(("name", "arguments"), INFERENCE)
def test_outputs_are_equal(name, arguments):
    ours, theirs = twins.pair(name, seed=0, **arguments)
    trained_looking(ours)
    twins.carry(ours, theirs)
    x = np.random.default_rng(1).normal(size=(2, arguments.get("channels", 3), 64, 64)).astype(np.float32)
    with torch.no_grad():
        assert difference(ours(x), theirs(torch.tensor(x))) <= 1e-4


@pytest.mark.parametrize(("name", "arguments", "shape", "dtype", "tolerance"), TRAINING)
def test_training_steps_are_equal(name, arguments, shape, dtype, tolerance):
    """Outputs, gradients and running statistics.

    Gradients are measured by the largest of their network: a batch norm that follows makes those of some biases zero,
    and what is left of them is rounding alone.
    """
    ours, theirs = twins.pair(name, seed=0, **arguments)
    trained_looking(ours)
    for dropout in (m for net in (ours.named_modules().values(), theirs.modules()) for m in net if hasattr(m, "p")):
        dropout.p = 0.0
    twins.carry(ours.astype(dtype), theirs.to(getattr(torch, np.dtype(dtype).name)))
    theirs.train()
    x = np.random.default_rng(1).normal(size=shape).astype(dtype)
    given = torch.tensor(x, requires_grad=True)
    expected = theirs(given)
    weights = np.random.default_rng(7).normal(size=tuple(expected.shape)).astype(dtype)
    (expected * torch.tensor(weights)).sum().backward()

    assert difference(ours(x, training=True, seed=0), expected) <= tolerance
    statistics = {name: value for name, value in ours.state_dict().items() if "running_var" in name}
    after = theirs.state_dict()
    for name, value in statistics.items():
        assert difference(value, after[twins.their_name(name, theirs)]) <= tolerance, name

    def loss(net, x):
        return (net(x, training=True, seed=0) * weights).sum()

    _, (gradients, input_gradient) = value_and_grad(loss, (0, 1))(ours, x)
    assert difference(input_gradient, given.grad) <= tolerance
    parameters = dict(theirs.named_parameters())
    assert {twins.their_name(name, theirs) for name in gradients} == set(parameters)
    largest = max(float(parameter.grad.abs().max()) for parameter in parameters.values())
    for name, gradient in gradients.items():
        theirs_gradient = parameters[twins.their_name(name, theirs)].grad.numpy()
        assert np.abs(gradient - theirs_gradient).max() <= tolerance * largest, name


def test_twins_have_torchvisions_names():
    names = set(twins.TWINS["resnet18"]().state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer2.0.downsample.0.weight", "layer4.1.bn2.bias", "fc.bias"} <= names
    names = set(twins.TWINS["resnet50"]().state_dict())
    assert {"layer1.0.conv3.weight", "layer1.0.downsample.1.num_batches_tracked", "layer3.5.bn3.weight"} <= names
    names = set(twins.TWINS["vgg16"](size=(32, 32)).state_dict())
    assert {"features.0.weight", "features.28.bias", "classifier.0.weight", "classifier.6.bias"} <= names
    names = set(twins.TWINS["mobilenet_v2"]().state_dict())
    assert {"features.0.0.weight", "features.1.conv.0.0.weight", "features.1.conv.1.weight"} <= names
    assert {"features.2.conv.1.0.weight", "features.17.conv.3.running_var", "features.18.1.bias"} <= names
    assert {"classifier.1.weight"} <= names
