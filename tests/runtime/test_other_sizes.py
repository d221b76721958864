"""Graphs are static, kernels are not: other batch and picture sizes find every kernel compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wimmel as wm
from wimmel import nn
from wimmel.compiler.objects import table
from wimmel.train.step import TrainingStep


@pytest.fixture
def from_now_on(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Called, makes it an error to ask for a kernel that this process has not loaded."""

    def refused(wanted: dict[bytes, tuple[str, Any]], target: Any) -> dict[bytes, int]:
        raise AssertionError(f"new kernels: {', '.join(name for name, _ in wanted.values())}")

    return lambda: monkeypatch.setattr(table, "_obtained", refused)


def picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


CONVOLUTIONS = {
    "3x3": lambda: nn.Conv2d(16, 24, 3, padding=1),
    "by Winograd's algorithm": lambda: nn.Conv2d(64, 64, 3, padding=1),
    "strided": lambda: nn.Conv2d(16, 24, 3, stride=2, padding=1),
    "one channel": lambda: nn.Conv2d(1, 6, 5, padding=2),
    "1x1": lambda: nn.Conv2d(32, 48, 1),
    "dilated": lambda: nn.Conv2d(16, 16, 3, padding=2, dilation=2),
    "grouped": lambda: nn.Conv2d(32, 32, 3, padding=1, groups=4),
    "groups of few channels": lambda: nn.Conv2d(32, 32, 3, padding=1, groups=8),
    "depthwise": lambda: nn.Conv2d(32, 32, 3, padding=1, groups=32),
    "transposed": lambda: nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_meets_other_pictures(name: str, from_now_on: Callable[[], None]) -> None:
    net = nn.Sequential(CONVOLUTIONS[name](), nn.ReLU()).initialize(0)
    channels = next(iter(net.state_dict().values())).shape[0 if name == "transposed" else 1] * net[0].groups
    reference = wm.compile(net, backend="reference")
    net(picture(1, channels, 32, 32))
    from_now_on()
    for x in (picture(5, channels, 32, 32), picture(2, channels, 40, 49), picture(1, channels, 96, 64)):
        np.testing.assert_allclose(net(x), reference(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("build", [wm.models.lenet, wm.models.resnet20, wm.models.mobilenet_v2])
def test_a_network_meets_other_batches(build: Callable[..., nn.Module], from_now_on: Callable[[], None]) -> None:
    shape = (1, 28, 28) if build is wm.models.lenet else (3, 32, 32)
    net = build(10, seed=0)
    net(picture(1, *shape))
    from_now_on()
    for count in (2, 5, 16):
        assert net(picture(count, *shape)).shape == (count, 10)


def test_a_training_step_meets_a_smaller_last_batch(from_now_on: Callable[[], None]) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 36, 10),
    ).initialize(0)  # fmt: skip
    step = TrainingStep(net, wm.optim.Adam(1e-3), wm.losses.cross_entropy)
    step(picture(64, 3, 12, 12), np.arange(64) % 10, 1e-3, wm.random_key(0, 0))
    from_now_on()
    step(picture(40, 3, 12, 12), np.arange(40) % 10, 1e-3, wm.random_key(0, 1))
