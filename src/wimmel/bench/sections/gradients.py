"""Gradients of convolutional layers by input and by weights: those of `layers`, and of LeNet and ResNet-20 in batches
that people train with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from wimmel.bench.convolutions import square
from wimmel.bench.peers import jax_xla, ours, pytorch
from wimmel.bench.section import OURS, Case, Contender, Section
from wimmel.bench.sections.layers import GROUPS, LENET

RESNET20 = [square(width, width, 3, size) for width, size in ((16, 32), (32, 16), (64, 8))]
FACES = {"weight": "weights", "input": "input"}


def cases() -> Iterator[Case]:
    batches = [(pictures, f"{group}, batch {pictures}", layers) for pictures in (1, 16)
               for group, layers in GROUPS.items() if group != "LeNet"]  # fmt: skip
    batches += [(pictures, "LeNet, batch 64 and 256", LENET) for pictures in (64, 256)]
    batches += [(128, "ResNet-20, batch 128", RESNET20)]
    for face, by in FACES.items():
        for pictures, group, layers in batches:
            for layer in layers:
                if layer.face == "forward":  # a transposed convolution is itself such a gradient
                    of = replace(layer, pictures=pictures, face=face)
                    yield Case(f"{by}: {of}", f"{group}, by {by}", of)


SECTION = Section(
    "gradients",
    "Gradients of convolutional layers",
    tuple(cases()),
    (
        Contender(OURS, ours.layer_inside),
        Contender("torch", pytorch.layer(channels_last=False), ("torch",)),
        Contender("torch, channels last", pytorch.layer(channels_last=True), ("torch",)),
        Contender("jax", jax_xla.layer, ("jax",)),
    ),
)
