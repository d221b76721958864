"""A convolution as a case: its sizes, which of its faces is computed, and the arrays that every contender is given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Layer:
    """A convolution of n pictures of (channels, *size) into outputs channels, and which face of it is computed.

    Forward and transposed convolutions have a bias and end in ReLU; gradients are bare.

    Attributes
    ----------
    face : str
        ``forward``, ``input`` or ``weight`` (its gradient), or ``transposed``.
    """

    channels: int
    outputs: int
    kernel: tuple[int, ...]
    size: tuple[int, ...]
    pictures: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    face: str = "forward"

    def __str__(self) -> str:
        kernel = "x".join(map(str, self.kernel)) + (" taps" if self.axes == 1 else "")
        stride = f" /{self.stride}" if self.stride > 1 else ""
        depthwise = 1 < self.groups == self.channels
        channels = f"depthwise {self.channels}" if depthwise else f"{self.channels}->{self.outputs}"
        dilation = f" dilated by {self.dilation}" if self.dilation > 1 else ""
        groups = f" in {self.groups} groups" if 1 < self.groups < self.channels else ""
        transposed = "transposed " if self.face == "transposed" else ""
        return f"{transposed}{kernel}{stride}{dilation} {channels}{groups} at {self.size[0]}, n={self.pictures}"

    @property
    def axes(self) -> int:
        return len(self.kernel)

    @property
    def x(self) -> tuple[int, ...]:
        return (self.pictures, self.channels, *self.size)

    @property
    def weight(self) -> tuple[int, ...]:
        if self.face == "transposed":
            return (self.channels, self.outputs // self.groups, *self.kernel)
        return (self.outputs, self.channels // self.groups, *self.kernel)

    @property
    def y(self) -> tuple[int, ...]:
        sizes = []
        for size, kernel in zip(self.size, self.kernel, strict=True):
            reach = self.dilation * (kernel - 1) + 1 - 2 * self.padding
            grown = (size - 1) * self.stride + reach
            sizes.append(grown if self.face == "transposed" else (size - reach) // self.stride + 1)
        return (self.pictures, self.outputs, *sizes)

    @property
    def operations(self) -> int:
        """Multiplications and additions, those of padding counted."""
        positions = self.size if self.face == "transposed" else self.y[2:]
        return int(2 * self.pictures * np.prod(positions) * np.prod(self.weight))

    @property
    def has_bias(self) -> bool:
        return self.face in ("forward", "transposed")

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "stride": (self.stride,) * self.axes,
            "padding": ((self.padding, self.padding),) * self.axes,
            "dilation": (self.dilation,) * self.axes,
            "groups": self.groups,
        }

    def of(self, face: str = "forward", pictures: int | None = None) -> Layer:
        return replace(self, face=face, pictures=pictures or self.pictures)

    def arrays(self) -> dict[str, np.ndarray]:
        """x, weight, bias and y (a cotangent) of small numbers."""
        random = np.random.default_rng(0)
        shapes = {"x": self.x, "weight": self.weight, "bias": (self.outputs,), "y": self.y}
        return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def square(channels: int, outputs: int, kernel: int, size: int, stride: int = 1, groups: int = 1) -> Layer:
    """A layer on one picture of (size, size), padded as much as keeps that size without a stride."""
    sides = (kernel, kernel), (size, size)
    return Layer(channels, outputs, *sides, stride=stride, padding=(kernel - 1) // 2, groups=groups)
