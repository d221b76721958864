"""Layouts: in which order a value's elements lie in memory. What convolutions and pooling read and write is channels
last, with a halo of zeros around each picture where a convolution looks beyond its edge; all else is in C order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wimmel.compiler import kernels
from wimmel.compiler.regions import Region, base
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape, Tensor

POOLING = frozenset(("sum_pool", "sum_unpool", "max_pool", "max_unpool", "max_pool_take"))


def pictures(anchor: Tensor) -> tuple[Tensor, ...]:
    """Which of the anchor's inputs are pictures (n, c, *sizes); the rest are weights."""
    name = anchor.primitive.name
    if name in ("convolution", "convolution_input_gradient"):
        return anchor.inputs[:1]
    if name == "convolution_weight_gradient" or name in POOLING:
        return anchor.inputs
    return ()


def halos(anchor: Tensor, algorithm: str) -> tuple[Pairs | None, ...]:
    """For each of `pictures`, how many zeros around it the algorithm's kernel reads; None where it asks for none."""
    attributes, tile = anchor.attributes, kernels.winograd_costs.TILES.get(algorithm, 1)
    dilation = attributes.get("dilation", ())
    match anchor.primitive.name:
        case "convolution":
            x, w = anchor.inputs
            halo = _reached(x.shape[2:], w.shape[2:], anchor.shape[2:], attributes)
            return (kernels.winograd_costs.widened(halo, anchor.shape[2:], tile, dilation),)
        case "convolution_input_gradient":
            g, w = anchor.inputs
            if algorithm == "overlap-add":
                return (None,)
            halo = kernels.input_gradient.input_gradient_halo(g.shape, w.shape, **attributes)
            return (kernels.winograd_costs.widened(halo, anchor.shape[2:], tile, dilation),)
        case "convolution_weight_gradient":
            x, g = anchor.inputs
            sizes = g.shape[2:]
            of_g = kernels.winograd_costs.widened(((0, 0),) * len(sizes), sizes, tile) if tile > 1 else None
            halo = _reached(x.shape[2:], anchor.shape[2:], sizes, attributes)
            return kernels.winograd_costs.widened(halo, sizes, tile), of_g
    return tuple(None for _ in pictures(anchor))


def _reached(sizes: Shape, kernel: Shape, outputs: Shape, attributes: dict[str, Any]) -> Pairs:
    """As much of a convolution's padding as its taps meet: with strides, the last ones may end before it does."""
    settings = (attributes[name] for name in ("stride", "padding", "dilation"))
    return tuple(
        (front, min(behind, max(0, (count - 1) * step + (taps - 1) * apart + 1 - front - size)))
        for size, taps, count, step, (front, behind), apart in zip(sizes, kernel, outputs, *settings, strict=True)
    )


def channels_last(regions: Sequence[Region], algorithm: Callable[[Tensor], str]) -> dict[Tensor, Pairs | None]:
    """The values to be stored channels last, with the halo that their readers need (None: none); `algorithm` tells by
    which an anchor is computed."""
    found: dict[Tensor, Pairs | None] = {}
    for region in regions:
        anchor = region.anchor
        if anchor is None or not (read := pictures(anchor)) or algorithm(anchor) == "fft":
            continue
        for picture, halo in zip(read, halos(anchor, algorithm(anchor)), strict=True):
            if base(picture) is picture:
                found[picture] = _united(found.get(picture), halo)
        if anchor.primitive.name != "convolution_weight_gradient":
            for result in region.results:
                found.setdefault(result, None)
    for region in regions:
        sources = region.operands
        if region.anchor is not None and region.anchor.primitive.name in ("concatenate", "pad"):
            sources = region.anchor.inputs
        reduces = region.anchor is not None and region.anchor.primitive.name in ("sum", "max", "argmax", "matmul")
        if (
            not reduces
            and len(region.shape) > 2
            and any(source in found and len(source.shape) == len(region.shape) for source in sources)
        ):
            for result in region.results:
                found.setdefault(result, None)
    for region in regions:
        if region.anchor is not None and algorithm(region.anchor) == "fft":
            for result in region.results:
                if result.shape[1] > 1:  # computed channel after channel
                    found.pop(result, None)
    return found


def _united(first: Pairs | None, second: Pairs | None) -> Pairs | None:
    if first is None or second is None:
        return first or second
    return tuple((max(a, c), max(b, d)) for (a, b), (c, d) in zip(first, second, strict=True))
