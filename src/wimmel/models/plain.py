"""The networks that convolutions are compared with, and one for sequences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from wimmel import nn


def mlp(
    inputs: int | Sequence[int], classes: int, hidden: Sequence[int] = (256, 128), seed: int | None = None
) -> nn.Sequential:
    """A multilayer perceptron on flattened pictures: dense layers with ReLU between them.

    Parameters
    ----------
    inputs : int or sequence of int
        Size of the input, or its shape without the picture axis, such as (1, 28, 28).
    classes : int
    hidden : sequence of int, default (256, 128)
        Sizes of the hidden layers.
    seed : int, optional

    Returns
    -------
    Sequential, from (n, *inputs) to (n, classes)

    References
    ----------
    Lecture rows L1, L2 and L38.

    Examples
    --------
    >>> mlp((1, 28, 28), 10, hidden=[100]).parameter_count()
    79510
    """
    sizes = [inputs if isinstance(inputs, int) else math.prod(inputs), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(sizes[-1], classes))
    return net if seed is None else net.initialize(seed)


def sequence_network(channels: int, classes: int, width: int = 32, seed: int | None = None) -> nn.Sequential:
    """A small convolutional network for sequences of any length: sound, text, time series.

    Three convolutions of 5 steps with batch norm and ReLU, the first two followed by pooling, then the largest response
    of every channel over time, and one dense layer.

    Parameters
    ----------
    channels : int
        Values per time step.
    classes : int
    width : int, default 32
        Channels of the convolutions.
    seed : int, optional

    Returns
    -------
    Sequential, from (n, channels, length) to (n, classes), length at least 4

    References
    ----------
    Lecture row L11.

    Examples
    --------
    >>> import numpy as np
    >>> sequence_network(channels=2, classes=3)(np.zeros((5, 2, 100), np.float32)).shape
    (5, 3)
    """
    layers: list[nn.Module] = []
    for place in range(3):
        layers += [nn.Conv1d(width if place else channels, width, 5, padding="same", bias=False)]
        layers += [nn.BatchNorm1d(width), nn.ReLU()]
        layers += [nn.MaxPool1d(2)] if place < 2 else []
    net = nn.Sequential(*layers, nn.GlobalMaxPool(), nn.Linear(width, classes))
    return net if seed is None else net.initialize(seed)
