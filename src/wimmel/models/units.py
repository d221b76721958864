"""What the deeper networks are made of: convolutions drawn for ReLU, with batch norm, and dense layers drawn small."""

from __future__ import annotations

import math

from wimmel import nn


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """A convolution that divides the picture's size by the stride: normal with variance 2 / fan_out, its bias 0.

    fan_out counts all outputs, whatever the groups, so that the first weights are distributed as torchvision's.

    References
    ----------
    He, Zhang, Ren and Sun, "Delving deep into rectifiers" (2015), equation 14.

    Examples
    --------
    >>> convolution(3, 8, 3, stride=2)
    Conv2d(3, 8, kernel_size=3, stride=2, padding=1, bias=False)
    """
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)
    shape = (outputs, inputs // groups, kernel, kernel)
    _, fan_out = nn.initializers.fans(shape)
    layer.weight = nn.Parameter.drawn(shape, nn.initializers.normal(math.sqrt(2 / fan_out)))
    if bias:
        layer.bias = nn.Parameter.drawn((outputs,), nn.initializers.zeros)
    return layer


def normalized(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, activation: nn.Module | None = None
) -> list[nn.Module]:
    """A convolution without bias, batch norm, which has one, and the activation if there is any.

    Examples
    --------
    >>> normalized(4, 8, 1, activation=nn.ReLU())
    [Conv2d(4, 8, kernel_size=1, bias=False), BatchNorm2d(8), ReLU()]
    """
    layers: list[nn.Module] = [convolution(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs)]
    return layers if activation is None else [*layers, activation]


def dense(inputs: int, outputs: int) -> nn.Linear:
    """A dense layer drawn with deviation 0.01, its bias 0.

    Examples
    --------
    >>> dense(4096, 10)
    Linear(4096, 10)
    """
    layer = nn.Linear(inputs, outputs)
    layer.weight = nn.Parameter.drawn((outputs, inputs), nn.initializers.normal(0.01))
    layer.bias = nn.Parameter.drawn((outputs,), nn.initializers.zeros)
    return layer
