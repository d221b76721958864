"""Which algorithm computes a convolution: it follows from its shape, the target and the precision asked for, alone."""

from __future__ import annotations

from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Tensor


def algorithm(anchor: Tensor, target: Target, precision: str) -> str:
    """The algorithm for a convolution or one of its gradients: ``direct``.

    Parameters
    ----------
    anchor : Tensor
        The result of the primitive.
    target : Target
    precision : {"exact", "fast"}
        ``exact`` allows only sums of products in their order: ``direct``.
    """
    return "direct"
