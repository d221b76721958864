"""Max pooling that a convolution does itself: of what its epilogue gives, only the largest of each window is stored.
From regions to regions, some of which have taken in the pooling after them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from wimmel.compiler.regions import Region
from wimmel.graph import Graph
from wimmel.graph.tensor import Shape, Tensor


def pooled(regions: Sequence[Region], graph: Graph, pools: Callable[[Tensor, Shape], bool]) -> list[Region]:
    """The regions, in their order, where convolutions pool over windows that lie side by side if nobody else reads what
    they pool.

    Parameters
    ----------
    regions : sequence of Region
    graph : Graph
    pools : function
        ``pools(convolution, window)``: whether the kernel that computes it can do so over windows of that size.
    """
    anchors = [region.anchor for region in regions if region.anchor is not None]
    poolings = {anchor.inputs[0]: anchor for anchor in anchors if _is_side_by_side(anchor)}
    if not poolings:
        return list(regions)
    uses = Counter(source for node in graph.nodes() for source in node.inputs)
    uses.update(graph.outputs)
    found, taken = [], set()
    for region in regions:
        if region.anchor is not None and region.anchor.primitive.name == "convolution" and len(region.results) == 1:
            (result,) = region.results
            pool = poolings.get(result)
            if pool is not None and uses[result] == 1 and pools(region.anchor, pool.attributes["kernel"]):
                region = replace(region, results=(pool,), pool=pool)
                taken.add(pool)
        found.append(region)
    return [region for region in found if region.anchor not in taken]


def _is_side_by_side(anchor: Tensor) -> bool:
    """Whether it is max pooling of numbers over whole windows that lie side by side."""
    if anchor.primitive.name != "max_pool" or anchor.dtype.kind != "f":
        return False
    settings = anchor.attributes
    rows = zip(anchor.inputs[0].shape[2:], settings["kernel"], settings["outputs"], strict=True)
    return (
        settings["kernel"] == settings["stride"]
        and not any(map(any, settings["padding"]))
        and all(step == 1 for step in settings["dilation"])
        and all(window * count <= size for size, window, count in rows)
    )
