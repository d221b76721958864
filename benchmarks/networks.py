"""Networks that are measured and not part of the library."""

from __future__ import annotations

import wimmel as wm
from wimmel import nn


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        outputs = 4 * inner
        self.main = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: wm.Tensor) -> wm.Tensor:
        return wm.relu(self.main(x) + (x if self.shortcut is None else self.shortcut(x)))


class ResNet50(nn.Module):
    """He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition" (2016), table 1; strides in the 3x3
    convolutions. 25,557,032 parameters."""

    def __init__(self) -> None:
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        blocks, channels = [], 64
        for inner, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for place in range(count):
                blocks.append(Bottleneck(channels, inner, stride if place == 0 else 1))
                channels = 4 * inner
        self.body = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, 1000)

    def forward(self, x: wm.Tensor) -> wm.Tensor:
        return self.head(wm.global_avg_pool(self.body(self.stem(x))))
