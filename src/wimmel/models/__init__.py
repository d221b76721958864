"""Architectures, each a function that builds a network from layers; every one can be saved and rebuilt without code."""

from wimmel.models.lenet import lenet, lenet_classic
from wimmel.models.mobilenet import mobilenet_v2
from wimmel.models.plain import mlp, sequence_network
from wimmel.models.resnet import resnet18, resnet20, resnet34, resnet50
from wimmel.models.vgg import vgg16

__all__ = [
    "lenet",
    "lenet_classic",
    "mlp",
    "mobilenet_v2",
    "resnet18",
    "resnet20",
    "resnet34",
    "resnet50",
    "sequence_network",
    "vgg16",
]
