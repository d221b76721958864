"""MobileNetV2, which needs few multiply-adds: channels are convolved one by one, and 1x1 convolutions mix them."""

from __future__ import annotations

from typing import Any

from wimmel import functional, nn
from wimmel.models.units import dense, normalized

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, output channels, number of blocks and first stride: the paper's table 2."""


def mobilenet_v2(classes: int = 1000, channels: int = 3, width: float = 1.0, seed: int | None = None) -> nn.Sequential:
    """MobileNetV2: a convolution, seventeen inverted residual blocks, a 1x1 convolution, means, a dense layer.

    The picture's sides are halved five times; any size is taken. Before the dense layer a fifth is dropped in training.

    Parameters
    ----------
    classes : int, default 1000
        Outputs: one score per class, before softmax.
    channels : int, default 3
        Of the pictures.
    width : float, default 1.0
        The width multiplier: every layer has so many times the channels, rounded to multiples of 8; the last
        convolution never fewer than its 1280.
    seed : int, optional
        Draws the first parameters reproducibly.

    Returns
    -------
    Sequential, from (n, channels, height, width) to (n, classes)

    Raises
    ------
    ValueError
        For a width that is not a positive number.

    References
    ----------
    Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: inverted residuals and linear bottlenecks" (2018), table 2.
    3.0e8 multiply-adds for 224 x 224 pixels. Lecture row L34.

    Examples
    --------
    >>> mobilenet_v2().parameter_count()
    3504872
    >>> mobilenet_v2(width=0.35).parameter_count()
    1677128
    """
    if not 0 < width < float("inf"):
        raise ValueError(f"mobilenet_v2 was given width={width!r}; it is a positive number, 1 for the paper's network")
    inputs = _rounded(32 * width)
    layers: list[nn.Module] = [nn.Sequential(*normalized(channels, inputs, 3, stride=2, activation=ReLU6()))]
    for expansion, unscaled, count, first_stride in STAGES:
        outputs = _rounded(unscaled * width)
        for place in range(count):
            layers.append(InvertedResidual(inputs, expansion * inputs, outputs, 1 if place else first_stride))
            inputs = outputs
    last = _rounded(1280 * max(width, 1))
    layers.append(nn.Sequential(*normalized(inputs, last, 1, activation=ReLU6())))
    net = nn.Sequential(*layers, nn.GlobalAvgPool(), nn.Dropout(0.2), dense(last, classes))
    return net if seed is None else net.initialize(seed)


class InvertedResidual(nn.Module):
    """More channels by a 1x1 convolution, each convolved by itself, fewer by a 1x1; added to the input where it fits.

    Parameters
    ----------
    inputs, inner, outputs : int
        Channels; the inner ones are those of the 3x3 convolution. If they are the inputs, there is none before it.
    stride : int, default 1
        Of the 3x3 convolution.

    References
    ----------
    Sandler et al. (2018), table 1 and figure 4(d).

    Examples
    --------
    >>> import numpy as np
    >>> InvertedResidual(4, 24, 8, stride=2)(np.zeros((1, 4, 6, 6), np.float32)).shape
    (1, 8, 3, 3)
    """

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int = 1) -> None:
        # the channels and not their ratio: a forged file is found out by its sizes, if none is a product of others
        self.inputs, self.inner, self.outputs, self.stride = inputs, inner, outputs, stride
        widened = [] if inner == inputs else [nn.Sequential(*normalized(inputs, inner, 1, activation=ReLU6()))]
        self.main = nn.Sequential(
            *widened,
            nn.Sequential(*normalized(inner, inner, 3, stride, groups=inner, activation=ReLU6())),
            *normalized(inner, outputs, 1),
        )

    def forward(self, x: Any) -> Any:
        y = self.main(x)
        return x + y if self.stride == 1 and self.inputs == self.outputs else y


class ReLU6(nn.Module):
    """min(max(x, 0), 6), element by element.

    Examples
    --------
    >>> import numpy as np
    >>> ReLU6()(np.array([-1.0, 2.0, 7.0]))
    array([0., 2., 6.])
    """

    def forward(self, x: Any) -> Any:
        return functional.minimum(functional.relu(x), 6)


nn.built_in(InvertedResidual, ReLU6)


def _rounded(channels: float) -> int:
    """The multiple of 8 nearest to so many channels, at least 8, and not under nine tenths of them."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
