"""Networks drawn at random, of the layers that people build networks from: for statements about any network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import wimmel as wm
from wimmel import nn

CHANNELS = (3, 8, 16, 24, 32, 48, 64, 96, 128, 160)
SIZES = {1: (64, 200, 1000), 2: (14, 20, 28, 32, 48, 56, 64), 3: (8, 12, 16)}
ACTIVATIONS = (nn.ReLU, nn.SiLU, nn.Tanh, nn.GELU, lambda: nn.LeakyReLU(0.1))


class Residual(nn.Module):
    """What some layers give, added to what they are given."""

    def __init__(self, layers: nn.Module) -> None:
        self.layers = layers

    def forward(self, x: Any) -> Any:
        return wm.relu(x + self.layers(x))


def drawn_network(seed: int) -> tuple[Callable[..., Any], tuple[Any, ...], nn.Module]:
    """A function and its arguments, and the network that it runs: by itself, or in every third draw the loss and the
    gradients of a training step."""
    random = np.random.default_rng(seed)
    axes = int(random.choice([1, 2, 2, 2, 2, 2, 3]))
    channels, size = int(random.choice([1, 3, 4, 16])), int(random.choice(SIZES[axes]))
    layers: list[nn.Module] = []
    now, left = channels, size
    for _ in range(int(random.integers(3, 7))):
        layer, now, left = _block(random, axes, now, left)
        layers += layer
    layers += [nn.GlobalAvgPool(), nn.Linear(now, 40), nn.Tanh(), nn.Linear(40, 10)]
    net = nn.Sequential(*layers).initialize(seed)
    pictures = int(random.choice([1, 2, 5, 8]))
    x = random.standard_normal((pictures, channels, *[size] * axes)).astype(np.float32)
    if seed % 3:
        return net, (x,), net
    return wm.value_and_grad(lambda net, x: wm.square(net(x, training=True)).mean()), (net, x), net


def _block(random: np.random.Generator, axes: int, now: int, size: int) -> tuple[list[nn.Module], int, int]:
    """A convolution and what comes after it; the channels and the size that are left."""
    kind = str(random.choice(["plain", "plain", "strided", "pointwise", "depthwise", "grouped", "dilated", "residual"]))
    following = int(random.choice(CHANNELS[1:] if axes < 3 else CHANNELS[1:5]))
    convolution = getattr(nn, f"Conv{axes}d")
    activation = ACTIVATIONS[int(random.integers(len(ACTIVATIONS)))]
    kernel = int(random.choice([3, 3, 3, 5, 7]))
    if kind == "depthwise" and now > 1:
        layers = [convolution(now, now, 3, padding=1, groups=now), convolution(now, following, 1)]
    elif kind == "grouped" and now % 4 == 0:
        layers = [convolution(now, following - following % 4, 3, padding=1, groups=4)]
        following -= following % 4
    elif kind == "pointwise":
        layers = [convolution(now, following, 1)]
    elif kind == "dilated" and size > 8:
        layers = [convolution(now, following, 3, padding=2, dilation=2)]
    elif kind == "strided" and size > 8:
        layers, size = [convolution(now, following, kernel, stride=2, padding=kernel // 2)], -(-size // 2)
    elif kind == "residual":
        inner = [convolution(now, now, 3, padding=1), activation(), convolution(now, now, 3, padding=1)]
        layers, following = [Residual(nn.Sequential(*inner))], now
    else:
        layers = [convolution(now, following, kernel, padding=kernel // 2)]
    if random.random() < 0.5:
        layers.append(getattr(nn, f"BatchNorm{axes}d")(following))
    layers.append(activation())
    if random.random() < 0.3 and size > 8:
        pooling = ("MaxPool", "AvgPool")[int(random.integers(2))]
        layers, size = [*layers, getattr(nn, f"{pooling}{axes}d")(2)], size // 2
    return layers, following, size
