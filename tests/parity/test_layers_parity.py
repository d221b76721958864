"""Every layer, and LeNet, beside PyTorch's: same weights, same outputs and gradients; state dicts load both ways."""

import numpy as np
import pytest

from wimmel import nn
from wimmel.models import lenet, lenet_classic, mlp
from wimmel.runtime import value_and_grad

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.parity

TOLERANCE = 1e-5

LAYERS = [
    ("Conv1d", (3, 8, 5), {"padding": 2, "stride": 2}, (2, 3, 20)),
    ("Conv1d", (4, 8, 3), {"padding": "same", "dilation": 2, "groups": 2}, (2, 4, 20)),
    ("Conv2d", (3, 8, 5), {"padding": (2, 1), "stride": (2, 1)}, (2, 3, 12, 11)),
    ("Conv2d", (6, 6, 3), {"groups": 6, "bias": False}, (2, 6, 9, 9)),
    ("Conv2d", (3, 4, 3), {"padding": 2, "padding_mode": "reflect"}, (2, 3, 7, 8)),
    ("Conv2d", (3, 4, 3), {"padding": 1, "padding_mode": "circular"}, (2, 3, 7, 8)),
    ("Conv2d", (3, 4, 4), {"padding": "same", "padding_mode": "replicate"}, (2, 3, 7, 8)),
    ("Conv2d", (3, 4, 2), {"padding": "same"}, (2, 3, 7, 8)),
    ("Conv3d", (2, 4, 3), {"padding": 1, "stride": 2}, (2, 2, 6, 7, 8)),
    ("ConvTranspose1d", (3, 4, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (2, 3, 9)),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "groups": 2, "dilation": 2}, (2, 4, 5, 6)),
    ("ConvTranspose3d", (2, 3, 2), {"stride": 2}, (2, 2, 3, 4, 3)),
    ("Linear", (7, 5), {}, (4, 7)),
    ("Linear", (7, 5), {"bias": False}, (2, 3, 7)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, (2, 3, 11)),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, (2, 3, 10, 11)),
    ("MaxPool2d", (2,), {"dilation": 2}, (2, 3, 10, 11)),
    ("MaxPool3d", (2,), {}, (2, 2, 4, 5, 6)),
    ("AvgPool1d", (3,), {"padding": 1}, (2, 3, 11)),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False, "ceil_mode": True}, (2, 3, 10, 11)),
    ("AvgPool3d", (2,), {}, (2, 2, 4, 5, 6)),
    ("AdaptiveAvgPool2d", ((3, 5),), {}, (2, 3, 7, 8)),
    ("BatchNorm1d", (5,), {}, (6, 5)),
    ("BatchNorm2d", (5,), {}, (3, 5, 4, 4)),
    ("BatchNorm2d", (5,), {"affine": False, "momentum": None}, (3, 5, 4, 4)),
    ("BatchNorm2d", (5,), {"track_running_stats": False}, (3, 5, 4, 4)),
    ("BatchNorm3d", (2,), {"eps": 1e-3, "momentum": 0.3}, (3, 2, 4, 4, 4)),
    ("LayerNorm", ((4, 6),), {}, (3, 4, 6)),
    ("LayerNorm", (6,), {"bias": False}, (3, 4, 6)),
    ("GroupNorm", (2, 6), {}, (3, 6, 5)),
    ("ReLU", (), {}, (5, 7)),
    ("LeakyReLU", (0.2,), {}, (5, 7)),
    ("ELU", (1.5,), {}, (5, 7)),
    ("SELU", (), {}, (5, 7)),
    ("GELU", (), {}, (5, 7)),
    ("GELU", ("tanh",), {}, (5, 7)),
    ("SiLU", (), {}, (5, 7)),
    ("Mish", (), {}, (5, 7)),
    ("Sigmoid", (), {}, (5, 7)),
    ("Tanh", (), {}, (5, 7)),
    ("Hardswish", (), {}, (5, 7)),
    ("Hardsigmoid", (), {}, (5, 7)),
    ("Softplus", (2.0, 5.0), {}, (5, 7)),
    ("Softmax", (1,), {}, (5, 7)),
    ("LogSoftmax", (-1,), {}, (5, 7)),
    ("Identity", (), {}, (5, 7)),
]  # fmt: skip


def difference(ours, theirs):
    """Largest difference over largest value."""
    theirs = theirs.detach().numpy() if hasattr(theirs, "detach") else theirs
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    return np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30)


def check(ours, theirs, x, training):
    """Outputs, input gradient, parameter gradients and state after the call, all beside PyTorch's."""
    theirs.load_state_dict({name: torch.tensor(value) for name, value in ours.state_dict().items()})
    theirs.train(training)
    theirs.zero_grad()
    given = torch.tensor(x, requires_grad=True)
    expected = theirs(given)
    weights = np.random.default_rng(7).normal(size=tuple(expected.shape)).astype(np.float32)
    (expected * torch.tensor(weights)).sum().backward()

    def loss(net, x):
        return (net(x, training=training, seed=0) * weights).sum()

    state = ours.state_dict()
    _, (parameter_gradients, input_gradient) = value_and_grad(loss, (0, 1))(ours, x)
    for name, tensor in theirs.state_dict().items():
        assert difference(ours.state_dict()[name], tensor) <= TOLERANCE, name
    ours.load_state_dict(state)
    assert difference(ours(x, training=training, seed=0), expected) <= TOLERANCE
    assert difference(input_gradient, given.grad) <= TOLERANCE
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    assert set(gradients) == set(parameter_gradients)
    for name, gradient in gradients.items():
        assert difference(parameter_gradients[name], gradient) <= TOLERANCE, name


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize(("name", "arguments", "settings", "shape"), LAYERS)
def test_layer(name, arguments, settings, shape):
    ours = getattr(nn, name)(*arguments, **settings).initialize(3)
    theirs = getattr(torch.nn, name)(*arguments, **settings)
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    for training in (False, True):
        check(ours, theirs, x, training)


def test_every_layer_is_compared():
    apart = {"Dropout", "Sequential", "GlobalAvgPool", "GlobalMaxPool"}
    assert {name for name, *_ in LAYERS} | apart == {layer.__name__ for layer in nn.LAYERS}


def twin(net):
    """The same network of PyTorch's layers."""
    layers = []
    for layer in net:
        name = type(layer).__name__
        if name == "Conv2d":
            pairs = layer.padding
            made = torch.nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size, padding=pairs[0][0])
        elif name == "Linear":
            made = torch.nn.Linear(layer.in_features, layer.out_features)
        else:
            made = getattr(torch.nn, name)(*([layer.kernel_size] if "Pool" in name else []))
        layers.append(made)
    return torch.nn.Sequential(*layers)


@pytest.mark.parametrize("net", [lenet(seed=0), lenet_classic(seed=0), mlp((1, 28, 28), 10, seed=0)])
def test_networks(net):
    x = np.random.default_rng(1).normal(size=(4, 1, 28, 28)).astype(np.float32)
    check(net, twin(net), x, training=True)


def test_state_dicts_load_both_ways():
    ours = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    theirs = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    theirs(torch.randn(2, 3, 8, 8))
    ours.load_state_dict(theirs.state_dict())
    assert ours[1].num_batches_tracked == 1 and ours[1].num_batches_tracked.dtype == np.int64
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    assert difference(ours(x), theirs.eval()(torch.tensor(x))) <= TOLERANCE
    theirs.load_state_dict({name: torch.tensor(value) for name, value in ours.initialize(5).state_dict().items()})
    assert difference(ours(x), theirs(torch.tensor(x))) <= TOLERANCE
