"""Whole networks at ``net(x)``, pictures of 224 x 224 pixels."""

from __future__ import annotations

from wimmel.bench.networks import Network
from wimmel.bench.section import Case, Section
from wimmel.bench.sections.latency import CONTENDERS

NETWORKS = {"ResNet-18": "resnet18", "ResNet-50": "resnet50", "VGG-16": "vgg16", "MobileNetV2": "mobilenet_v2"}
MEMORY = {"vgg16": 1.7e9}
"""Bytes of a contender; of networks that are not named half a gigabyte."""

SECTION = Section(
    "networks",
    "Whole networks",
    tuple(
        Case(f"{title}, n={pictures}", f"batch {pictures}", Network(name, pictures), MEMORY.get(name, 0.5e9))
        for pictures in (1, 16)
        for title, name in NETWORKS.items()
    ),
    CONTENDERS,
    most_rounds=3,
    limit=600,
)
