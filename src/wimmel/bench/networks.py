"""Whole networks as cases: which, how many pictures, inference or a training step; and the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SHAPES = {"lenet": (1, 28, 28), "resnet20": (3, 32, 32)}
"""Of a picture; of networks that are not named (3, 224, 224)."""


@dataclass(frozen=True)
class Network:
    """A function of `wimmel.models` by name, with its own number of classes, and a batch of pictures."""

    name: str
    pictures: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.pictures, *SHAPES.get(self.name, (3, 224, 224)))

    def ours(self) -> Any:
        """The network with parameters that are the same in every process."""
        import wimmel as wm

        return getattr(wm.models, self.name)(seed=0)

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Pictures and labels, of ten classes."""
        random = np.random.default_rng(0)
        return random.random(self.shape).astype(np.float32), random.integers(0, 10, self.pictures)
