"""Which algorithm computes a convolution: it follows from its shape, the target and the precision asked for, alone."""

from __future__ import annotations

import math

from wimmel.compiler import kernels
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape, Tensor

WINDOW = 4
"""Kernels that add up products pool over at most so many rows and columns."""


def algorithm(anchor: Tensor, target: Target, precision: str) -> str:
    """The algorithm for a convolution or one of its gradients: ``direct``, ``overlap-add`` (gradients by an input of
    few channels), ``winograd 2x2``, ``winograd 4x4``, ``winograd 1x4`` or ``winograd 4x1`` (by the tile
    of outputs, or of cotangents), or ``fft``.

    Parameters
    ----------
    anchor : Tensor
        The result of the primitive.
    target : Target
    precision : {"exact", "fast"}
        ``exact`` allows only sums of products: ``direct`` and ``overlap-add``.
    """
    faces = ("convolution", "convolution_input_gradient")
    convolves = anchor.primitive.name in (*faces, "convolution_weight_gradient")
    if precision == "fast" and convolves and (tile := kernels.winograd_costs.tile_for(anchor, target)):
        return f"winograd {tile}x{tile}"
    if precision == "fast" and anchor.primitive.name in faces and kernels.fft_costs.tile_for(anchor, target):
        return "fft"
    if anchor.primitive.name == "convolution_input_gradient" and kernels.overlap_add.overlaps(anchor, target):
        return "overlap-add"
    if precision == "fast" and anchor.primitive.name in faces:
        return kernels.winograd_costs.best_in_pieces(anchor, target) or "direct"
    return "direct"


def pools(anchor: Tensor, window: Shape, target: Target, precision: str) -> bool:
    """Whether the kernel that computes a convolution stores the largest of each window of outputs if asked to.

    Parameters
    ----------
    anchor : Tensor
        The convolution.
    window : tuple of int
        One for each spatial axis.
    target, precision
        As `algorithm` takes them.
    """
    chosen = algorithm(anchor, target, precision)
    if chosen == "fft" or anchor.attributes["groups"] > 1:
        return False
    if tile := kernels.winograd_costs.TILES.get(chosen):
        whole = all(tile % size == 0 for size in window)
        return whole and math.prod(window[:-2]) == math.prod(anchor.attributes["dilation"][-2:]) == 1
    if (axis := kernels.winograd_costs.ALONG.get(chosen)) is not None:
        whole = kernels.winograd_costs.PIECE % window[axis] == 0
        return max(window) <= WINDOW and whole and anchor.attributes["dilation"][axis] == 1
    return max(window) <= WINDOW and math.prod(window[:-2]) == 1
