"""The network of a detector: five convolutions without padding, which score windows at every fourth pixel.

Given settings; hands on the network, the size of the window that decides one of its outputs, and the loss it learns by.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wimmel import functional, nn
from wimmel.detection.learned.settings import LONGER_SIDE, Settings

STRIDE = 4
"""Pixels from one window to the next."""

APART = 8
"""Pixels from one tap of the last kernel to the next."""

OFFSETS = 4
"""Outputs beside the classes' scores: from the window's centre to the box's, across and down, into the object's longer
side; and the logarithms of the box's width and height, into those of a typical object."""

_BEFORE_LAST = 31
_AROUND = 15
_KNEE = 0.1


def network(settings: Settings) -> nn.Sequential:
    """The network, without parameters yet: (n, channels, rows, columns) to (n, classes + 4, rows', columns')."""
    first, second, third, fourth, fifth = settings.widths
    return nn.Sequential(
        nn.Conv2d(settings.channels, first, 5, stride=2),
        nn.ReLU(),
        nn.Conv2d(first, second, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(second, third, 3),
        nn.ReLU(),
        nn.Conv2d(third, fourth, 3),
        nn.ReLU(),
        nn.MaxPool2d(2, stride=1),
        nn.Conv2d(fourth, fifth, _last_kernel(settings), dilation=APART // STRIDE),
        nn.ReLU(),
        nn.Conv2d(fifth, len(settings.class_names) + OFFSETS, 1),
    )


def window_size(settings: Settings) -> tuple[int, int]:
    """Rows and columns of the window that decides one output, the network's receptive field.

    Examples
    --------
    >>> window_size(Settings(("object",), 3, (40.0, 40.0), (1.0,)))
    (55, 55)
    """
    rows, columns = (_BEFORE_LAST + APART * (side - 1) for side in _last_kernel(settings))
    return rows, columns


def _last_kernel(settings: Settings) -> tuple[int, int]:
    """The smallest with which the window holds a typical object and some of what is around it."""
    rows, columns = (max(1, math.ceil((side + _AROUND - _BEFORE_LAST) / APART) + 1) for side in settings.object_size)
    return rows, columns


def loss_of(settings: Settings) -> Callable[[Any, Any], Any]:
    """The loss of outputs (n, classes + 4, 1, 1) and targets (n, classes + 4).

    Logistic loss of the scores, whose targets are 0 or 1; where one is 1, the smooth L1 loss of the offsets (Girshick,
    "Fast R-CNN" (2015), equations 2 and 3), those of the centre measured in the object's own width and height: what
    is little beside a wide object is much beside a thin one.
    """
    classes = len(settings.class_names)
    typical_height, typical_width = settings.object_size
    in_typical_sides = np.array((LONGER_SIDE / typical_width, LONGER_SIDE / typical_height), np.float32)

    def loss(outputs: Any, targets: Any) -> Any:
        outputs = outputs.reshape((outputs.shape[0], classes + OFFSETS))
        scores, labels = outputs[:, :classes], targets[:, :classes]
        logistic = (
            functional.maximum(scores, 0)
            - scores * labels
            + functional.log(1 + functional.exp(-functional.abs(scores)))
        )
        distance = functional.abs(outputs[:, classes:] - targets[:, classes:])
        in_own_sides = in_typical_sides * functional.exp(-targets[:, classes + 2 :])
        distance = functional.concatenate([distance[:, :2] * in_own_sides, distance[:, 2:]], axis=1)
        smooth = functional.where(distance < _KNEE, distance * distance / (2 * _KNEE), distance - _KNEE / 2)
        boxes = smooth.sum(axis=1) * labels.sum(axis=1)
        return logistic.sum(axis=1).mean() + settings.box_weight * boxes.mean()

    return loss
