"""Fusion: a graph cut into regions, each of which becomes one kernel (or a few). A region is an anchor, such as a
convolution or a sum, with the elementwise primitives that can be done while its numbers are at hand; or these alone.

What is not elementwise and not a view ends a region. Views (reshape, transpose, slice, ...) compute nothing: they are
other ways to read what a region has written, and stand in no region.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from wimmel.compiler.chain import ROWS, Chain, Line, literal
from wimmel.graph import Graph
from wimmel.graph.tensor import Shape, Tensor

VIEWS = frozenset(("reshape", "transpose", "broadcast", "slice", "flip", "identity"))
ELEMENTWISE = frozenset(ROWS) - VIEWS
SOURCES = frozenset(("input", "constant"))
FOLLOWED = frozenset(("convolution", "convolution_input_gradient", "matmul"))
"""Anchors whose kernels run a chain on what they have computed before they store it: the epilogue."""
PRECEDED = frozenset(("sum", "max"))
"""Anchors whose kernels run a chain on what they read: the prologue."""


@dataclass(eq=False)
class Region:
    """What one kernel computes.

    Attributes
    ----------
    anchor : Tensor or None
        The result of the primitive that gives the kernel its shape; None for a loop over elements.
    chain : Chain
        Of an anchor that is followed, its first input is the anchor's value; of one that is preceded, its one result
        is what the anchor combines.
    operands : tuple of Tensor
        The chain's (other) inputs.
    results : tuple of Tensor
        What is stored, one for each result of the chain; for an anchor without an epilogue, the anchor.
    shape : tuple of int
        Of the elements that the chain runs over.
    """

    anchor: Tensor | None
    chain: Chain
    operands: tuple[Tensor, ...]
    results: tuple[Tensor, ...]
    shape: Shape

    @property
    def name(self) -> str:
        """What it does, in a few words."""
        words = [] if self.anchor is None else [self.anchor.primitive.name]
        lines = [line.operation for line in self.chain.lines if line.operation != "constant"]
        if self.anchor is not None and self.anchor.primitive.name in PRECEDED:
            words = lines[-3:] + words
        else:
            words += lines[-3:] if len(lines) <= 3 else ["...", *lines[-2:]]
        return " ".join(words) or "copy"

    @property
    def scope(self) -> str:
        """Path of the layer it belongs to."""
        return (self.results[0] if self.anchor is None else self.anchor).scope


@dataclass(eq=False)
class _Draft:
    """A region that still grows."""

    number: int
    anchor: Tensor | None
    shape: Shape
    nodes: list[Tensor] = field(default_factory=list)
    before: int = 0
    """Bit i: region i must have run."""


def regions(graph: Graph) -> list[Region]:
    """The graph's regions, each after those whose results it reads."""
    return _Fusion(graph).regions()


def base(tensor: Tensor) -> Tensor:
    """What a view, or a view of a view, looks at."""
    while tensor.primitive.name in VIEWS:
        (tensor,) = tensor.inputs
    return tensor


def scalar_literal(tensor: Tensor) -> float | int | None:
    """The number, if the tensor is one that is written into code, in every element."""
    source = base(tensor)
    if source.primitive.name != "constant" or source.size != 1:
        return None
    value = source.attributes["value"].reshape(()).item()
    return value if literal(value) else None


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = graph.nodes()
        self.places = {node: place for place, node in enumerate(self.nodes)}
        self.uses = Counter(source for node in self.nodes for source in node.inputs)
        self.uses.update(graph.outputs)
        self.numbers = count()
        self.drafts: list[_Draft] = []
        self.home: dict[Tensor, _Draft] = {}

    def regions(self) -> list[Region]:
        claimed = self.claimed()
        for node in self.nodes:
            name = node.primitive.name
            if name in SOURCES or name in VIEWS or node in claimed:
                continue
            if name not in ELEMENTWISE:
                self.open(node, claimed)
            else:
                self.place(node)
        read = self.read_from_outside()
        order = sorted(self.drafts, key=lambda draft: draft.number)
        done, sorted_drafts = 0, []
        while order:
            ready = [draft for draft in order if not draft.before & ~done]
            assert ready, "regions depend on each other in a circle"
            sorted_drafts += ready
            for draft in ready:
                done |= 1 << draft.number
            order = [draft for draft in order if not done >> draft.number & 1]
        return [self.finished(draft, read) for draft in sorted_drafts]

    def claimed(self) -> dict[Tensor, Tensor]:
        """Elementwise nodes that nobody but one reduction needs, with that reduction: they run while it reads."""
        claimed: dict[Tensor, Tensor] = {}
        for node in self.nodes:
            if node.primitive.name not in PRECEDED:
                continue
            pending = [node.inputs[0]]
            while pending:
                source = pending.pop()
                fits = source.primitive.name in ELEMENTWISE and source.shape == node.inputs[0].shape
                if fits and source not in claimed and self.uses[source] == 1:
                    claimed[source] = node
                    pending += source.inputs
        return claimed

    def open(self, anchor: Tensor, claimed: dict[Tensor, Tensor]) -> None:
        """A region of the anchor, with what it claimed."""
        preceded = anchor.primitive.name in PRECEDED
        draft = _Draft(next(self.numbers), anchor, anchor.inputs[0].shape if preceded else anchor.shape)
        if preceded:
            draft.nodes = [node for node in self.nodes if claimed.get(node) is anchor]
        self.drafts.append(draft)
        self.home[anchor] = draft
        for node in (*draft.nodes, anchor):
            for source in node.inputs:
                if claimed.get(source) is not anchor:
                    self.depend(draft, self.needed(source))

    def place(self, node: Tensor) -> None:
        """The elementwise node joins the latest region that has one of its operands at hand, or opens one."""
        needs = [self.needed(source) for source in node.inputs]
        for draft in sorted(self.offers(node), key=lambda draft: -draft.number):
            others = 0
            for need in needs:
                others |= need & ~(1 << draft.number)
            if not self.needs(others, draft) and not self.looks_at(node, draft):
                draft.nodes.append(node)
                self.home[node] = draft
                self.depend(draft, others)
                for other in self.offers(node) - {draft}:
                    self.merge(other, draft)
                return
        draft = _Draft(next(self.numbers), None, node.shape, [node])
        self.drafts.append(draft)
        self.home[node] = draft
        for need in needs:
            self.depend(draft, need)

    def merge(self, draft: _Draft, into: _Draft) -> None:
        """Makes one region of two over the same elements, if at most one has an anchor and none stands between."""
        if (draft.anchor is not None and into.anchor is not None) or self.between(draft, into):
            return
        if any(self.looks_at(a, into) for a in draft.nodes) or any(self.looks_at(a, draft) for a in into.nodes):
            return
        into.nodes += draft.nodes
        into.anchor = draft.anchor if into.anchor is None else into.anchor
        for node in (*draft.nodes, *(() if draft.anchor is None else (draft.anchor,))):
            self.home[node] = into
        self.drafts.remove(draft)
        gone = 1 << draft.number
        for other in self.drafts:
            if other.before & gone:
                other.before = other.before & ~gone | (0 if other is into else 1 << into.number)
        self.depend(into, draft.before & ~(1 << into.number))
        for other in self.drafts:
            if other.before >> into.number & 1:
                other.before |= into.before

    def between(self, first: _Draft, second: _Draft) -> bool:
        """Whether a third region needs one of the two and is needed by the other."""
        for a, b in ((first, second), (second, first)):
            for other in self.drafts:
                if other not in (a, b) and b.before >> other.number & 1 and other.before >> a.number & 1:
                    return True
        return False

    def offers(self, node: Tensor) -> set[_Draft]:
        """Regions over the node's shape in which one of its operands is computed."""
        found = set()
        for source in node.inputs:
            draft = self.home.get(source)
            if draft is None or draft.shape != node.shape or source.shape != node.shape:
                continue
            if draft.anchor is None or (draft.anchor.primitive.name in FOLLOWED and draft.anchor.dtype.kind == "f"):
                found.add(draft)
        return found

    def looks_at(self, node: Tensor, draft: _Draft) -> bool:
        """Whether the node reads what the draft computes otherwise than element by element: then it must be stored."""
        return any(
            self.home.get(base(source)) is draft and (source.shape != draft.shape or base(source) is not source)
            for source in node.inputs
        )

    def needed(self, source: Tensor) -> int:
        """The region that writes what the source looks at, as a bit."""
        draft = self.home.get(base(source))
        return 0 if draft is None else 1 << draft.number

    def needs(self, regions: int, draft: _Draft) -> bool:
        """Whether any of these regions must wait for the draft."""
        return any(other.before >> draft.number & 1 for other in self.drafts if regions >> other.number & 1)

    def depend(self, draft: _Draft, regions: int) -> None:
        """Notes that the draft needs the regions, and what they need; and so does whoever needs the draft."""
        regions &= ~(1 << draft.number)
        new = regions
        for other in self.drafts:
            if regions >> other.number & 1:
                new |= other.before
        if new & ~draft.before:
            for other in self.drafts:
                if other is draft or other.before >> draft.number & 1:
                    other.before |= new

    def read_from_outside(self) -> set[Tensor]:
        """What must be stored: graph outputs, and all that is read in another region or through a view."""
        read = {base(output) for output in self.graph.outputs}
        for node in self.nodes:
            for source in node.inputs:
                here, there = self.home.get(node), self.home.get(source)
                if here is None or here is not there:
                    read.add(base(source))
        for draft in self.drafts:  # what a reduction claimed is read by itself alone
            if draft.anchor is not None and draft.anchor.primitive.name in PRECEDED:
                inner = set(draft.nodes)
                for node in (*draft.nodes, draft.anchor):
                    read.update(base(source) for source in node.inputs if source not in inner)
        return read

    def finished(self, draft: _Draft, read: set[Tensor]) -> Region:
        anchor = draft.anchor
        if anchor is None or anchor.primitive.name in FOLLOWED:
            followed = () if anchor is None else (anchor,)
            nodes = sorted(draft.nodes, key=self.places.__getitem__)
            results = [node for node in (*followed, *nodes) if node in read]
            chain, operands = chain_of(nodes, results, followed)
            return Region(anchor, chain, operands, tuple(results), draft.shape)
        if anchor.primitive.name in PRECEDED:
            chain, operands = chain_of(draft.nodes, [anchor.inputs[0]], ())
            return Region(anchor, chain, operands, (anchor,), draft.shape)
        return Region(anchor, Chain.identity(anchor.dtype.name), (), (anchor,), draft.shape)


def chain_of(
    nodes: Sequence[Tensor], results: Sequence[Tensor], first: tuple[Tensor, ...]
) -> tuple[Chain, tuple[Tensor, ...]]:
    """The nodes as a chain whose inputs are `first` and then the operands, which are given back with it."""
    inner = set(nodes)
    sources: dict[Tensor, int] = {tensor: number for number, tensor in enumerate(first)}
    for node in (*nodes, *results):
        for source in node.inputs if node in inner else (node,):
            if source not in inner and source not in sources and (node not in inner or scalar_literal(source) is None):
                sources[source] = len(sources)
    numbers = dict(sources)
    lines: list[Line] = []
    literals: dict[tuple[object, ...], int] = {}

    def number_of(source: Tensor) -> int:
        if source in numbers:
            return numbers[source]
        value = scalar_literal(source)
        assert value is not None, source
        key = (repr(value), source.dtype.name)
        if key not in literals:
            lines.append(Line("constant", (), source.dtype.name, value))
            literals[key] = len(sources) + len(lines) - 1
        return literals[key]

    for node in nodes:
        operands = tuple(number_of(source) for source in node.inputs)
        lines.append(Line(node.primitive.name, operands, node.dtype.name))
        numbers[node] = len(sources) + len(lines) - 1
    chain = Chain(
        tuple(tensor.dtype.name for tensor in sources), tuple(lines), tuple(numbers[result] for result in results)
    )
    return chain, tuple(sources)[len(first) :]
