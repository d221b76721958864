"""Values that are cheap to compute again where they are read, rather than to store and read: what batch norm takes from
each element, say, which its statistics, its result and its gradient need. From regions to regions that store less."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wimmel.compiler.chain import HEAVY
from wimmel.compiler.regions import FOLLOWED, PRECEDED, Region, base, composed
from wimmel.graph import Graph
from wimmel.graph.tensor import Tensor

WORK = {"divide": 4.0, "sqrt": 4.0, **dict.fromkeys(HEAVY, 12.0)}
"""What an operation costs, in bytes that are read or written in its time; others cost `LIGHT`."""

LIGHT = 0.3


def recomputed(regions: Sequence[Region], graph: Graph) -> list[Region]:
    """The regions, in their order, after values that all who read them had better compute themselves are no longer
    stored."""
    return _Recomputation(regions, graph).regions()


class _Recomputation:
    def __init__(self, regions: Sequence[Region], graph: Graph) -> None:
        self.found: list[Region | None] = list(regions)
        self.order = {node: place for place, node in enumerate(graph.nodes())}
        self.readers: dict[Tensor, set[int]] = {}
        self.held = {base(output) for output in graph.outputs}
        """What must be stored: it is handed out, read through a view, or by an anchor."""
        for place, region in enumerate(regions):
            self.read(place, region)

    def regions(self) -> list[Region]:
        for place in range(len(self.found)):
            region = self.found[place]
            for value in () if region is None else region.results:
                self.consider(value, place)
        return [region for region in self.found if region is not None]

    def read(self, place: int, region: Region) -> None:
        for operand in region.operands:
            if base(operand) is operand:
                self.readers.setdefault(operand, set()).add(place)
            else:
                self.held.add(base(operand))
        if region.anchor is not None and region.anchor.primitive.name not in PRECEDED:
            self.held.update(map(base, region.anchor.inputs))

    def consider(self, value: Tensor, place: int) -> None:
        """Whether those who read the value had better compute it; then they do."""
        region = self.found[place]
        readers = self.readers.get(value, set())
        others = [other for other in map(self.found.__getitem__, readers) if other is not None]
        if region is None or value in self.held or not all(_takes(other, value) for other in others):
            return
        expression = _expression(value, region)
        if expression is None:
            return
        nodes, leaves = expression
        whole = {leaf for leaf in leaves if leaf.shape == value.shape and base(leaf).size == value.size}
        work = sum(WORK.get(node.primitive.name, LIGHT) for node in nodes)
        stored: float = value.dtype.itemsize * (1 + len(others))
        if region.anchor is None and len(region.results) == 1:  # then there is nothing left of the region
            stored += _bytes(whole) + work
        again = sum(_bytes(whole - set(other.operands)) + work for other in others)
        if again < stored:
            for reader in list(readers):
                self.replace(reader, nodes)
            self.replace(place, unstored=value)

    def replace(self, place: int, more: Iterable[Tensor] = (), unstored: Tensor | None = None) -> None:
        """The region there computes more nodes, or stores one less; without results there is none."""
        region = self.found[place]
        assert region is not None
        for operand in region.operands:
            self.readers.get(operand, set()).discard(place)
        results = [result for result in region.results if result is not unstored]
        anchor = region.anchor
        roots = [anchor.inputs[0]] if anchor is not None and anchor.primitive.name in PRECEDED else results
        nodes = sorted(_needed(roots, {*region.nodes, *more}), key=self.order.__getitem__)
        if not results:
            self.found[place] = None
            return
        self.found[place] = region = composed(anchor, nodes, results, region.shape)
        self.read(place, region)


def _bytes(leaves: Iterable[Tensor]) -> float:
    return sum(leaf.dtype.itemsize for leaf in leaves)


def _takes(region: Region, value: Tensor) -> bool:
    """Whether the region can compute the value for each of its elements."""
    anchor = region.anchor
    if anchor is not None and anchor.primitive.name not in FOLLOWED | PRECEDED:
        return False
    return region.shape == value.shape


def _expression(value: Tensor, region: Region) -> tuple[set[Tensor], set[Tensor]] | None:
    """The nodes of the region that compute the value from others, and these others; None where one is not stored."""
    inner, results = set(region.nodes), set(region.results)
    nodes: set[Tensor] = set()
    leaves: set[Tensor] = set()
    pending = [value]
    while pending:
        node = pending.pop()
        if node in inner and (node is value or node not in results):
            nodes.add(node)
            pending += [source for source in node.inputs if source not in nodes]
        elif node is region.anchor and node not in results:
            return None
        else:
            leaves.add(node)
    return (nodes, leaves) if nodes else None


def _needed(roots: Iterable[Tensor], nodes: set[Tensor]) -> set[Tensor]:
    """Those of the nodes that the roots are computed from."""
    found: set[Tensor] = set()
    pending = list(roots)
    while pending:
        node = pending.pop()
        if node in nodes and node not in found:
            found.add(node)
            pending += node.inputs
    return found
