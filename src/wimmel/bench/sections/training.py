"""Training steps (forward, backward, update) with the data in memory: LeNet with Adam, ResNet-20 with momentum."""

from __future__ import annotations

from wimmel.bench.networks import Network
from wimmel.bench.peers import jax_xla, ours, pytorch
from wimmel.bench.section import OURS, Case, Contender, Section

SECTION = Section(
    "training",
    "Training steps",
    (
        Case("LeNet, batch 64", "LeNet", Network("lenet", 64)),
        Case("LeNet, batch 256", "LeNet", Network("lenet", 256)),
        Case("ResNet-20, batch 128", "ResNet-20", Network("resnet20", 128)),
    ),
    (
        Contender(OURS, ours.training),
        Contender("torch", pytorch.training(channels_last=False), ("torch",)),
        Contender("torch, channels last", pytorch.training(channels_last=True), ("torch",)),
        Contender("jax", jax_xla.training, ("jax",)),
    ),
)
