"""Architectures, each a function that builds a network from layers; every one can be saved and rebuilt without code."""

from wimmel.models.lenet import lenet, lenet_classic
from wimmel.models.plain import mlp, sequence_network

__all__ = ["lenet", "lenet_classic", "mlp", "sequence_network"]
