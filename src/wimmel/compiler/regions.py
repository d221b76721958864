"""Fusion: a graph cut into regions, each of which becomes one kernel (or a few). A region is an anchor, such as a
convolution or a sum, with the elementwise primitives that can be done while its numbers are at hand; or these alone.

What is not elementwise and not a view ends a region. Views (reshape, transpose, slice, ...) compute nothing: they are
other ways to read what a region has written, and stand in no region.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from operator import attrgetter

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
    nodes : tuple of Tensor
        What the chain computes, in the graph's order.
    pool : Tensor or None
        Max pooling of the chain's one result, over windows that lie side by side. Then it is what is stored.
    """

    anchor: Tensor | None
    chain: Chain
    operands: tuple[Tensor, ...]
    results: tuple[Tensor, ...]
    shape: Shape
    nodes: tuple[Tensor, ...] = ()
    pool: Tensor | None = None

    @property
    def name(self) -> str:
        """What it does, in a few words."""
        words = [] if self.anchor is None else [self.anchor.primitive.name]
        lines = [line.operation for line in self.chain.lines if line.operation != "constant"]
        if self.anchor is not None and self.anchor.primitive.name in PRECEDED:
            words = lines[-3:] + words
        else:
            words += lines[-3:] if len(lines) <= 3 else ["...", *lines[-2:]]
        words += [] if self.pool is None else [self.pool.primitive.name]
        return " ".join(words) or "copy"

    @property
    def scope(self) -> str:
        """Path of the layer it belongs to."""
        return (self.results[0] if self.anchor is None else self.anchor).scope


@dataclass(eq=False)
class _Draft:
    """A region that still grows. A set of regions is a number with the bits of its members; regions that became one
    have the bits of both."""

    number: int
    anchor: Tensor | None
    shape: Shape
    bits: int
    nodes: list[Tensor] = field(default_factory=list)
    """What it computes, the anchor among them."""
    readers: list[Tensor] = field(default_factory=list)
    """Nodes of other regions that read what it computes."""
    before: int = 0
    """The regions that must have run: those it reads, those they read, and so on."""
    looks: int = 0
    """The regions that it reads otherwise than element by element: their results must have been stored."""


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
        self.bases: dict[Tensor, Tensor] = {}
        for node in self.nodes:
            self.bases[node] = self.bases[node.inputs[0]] if node.primitive.name in VIEWS else node
        self.numbers = count()
        self.home: dict[Tensor, _Draft] = {}

    def regions(self) -> list[Region]:
        claimed = self.claimed()
        inside = {node for nodes in claimed.values() for node in nodes}
        for node in self.nodes:
            name = node.primitive.name
            if name in SOURCES or name in VIEWS or node in inside:
                continue
            if name in ELEMENTWISE:
                self.place(node)
            else:
                self.open(node, claimed.get(node, ()))
        read = self.read_from_outside()
        return [self.finished(draft, read) for draft in self.in_order()]

    def claimed(self) -> dict[Tensor, Sequence[Tensor]]:
        """For each reduction, the elementwise nodes that nobody else needs: they run while it reads."""
        uses = Counter(source for node in self.nodes for source in node.inputs)
        uses.update(self.graph.outputs)
        claimed: dict[Tensor, Sequence[Tensor]] = {}
        for node in self.nodes:
            if node.primitive.name not in PRECEDED:
                continue
            found, pending = [], [node.inputs[0]]
            while pending:
                source = pending.pop()
                fits = source.primitive.name in ELEMENTWISE and source.shape == node.inputs[0].shape
                if fits and uses[source] == 1:
                    found.append(source)
                    pending += source.inputs
            claimed[node] = sorted(found, key=self.places.__getitem__)
        return claimed

    def open(self, anchor: Tensor, claimed: Sequence[Tensor]) -> None:
        """A region of the anchor, with what it claimed."""
        draft = self.new(anchor, anchor.inputs[0].shape if anchor.primitive.name in PRECEDED else anchor.shape)
        for node in (*claimed, anchor):
            self.join(node, draft)

    def place(self, node: Tensor) -> None:
        """The elementwise node joins the latest region that has one of its operands at hand, which then takes in the
        others that have one; or it opens a region."""
        read = self.read(node)
        offers = {draft: None for draft, aligned in read if aligned and draft.shape == node.shape and _takes(draft)}
        latest_first = sorted(offers, key=lambda draft: -draft.number)
        for draft in latest_first:
            if all(aligned if other is draft else not other.before & draft.bits for other, aligned in read):
                self.join(node, draft)
                for other in latest_first:
                    if other is not draft:
                        draft = self.merged(other, draft)
                return
        self.join(node, self.new(None, node.shape))

    def new(self, anchor: Tensor | None, shape: Shape) -> _Draft:
        number = next(self.numbers)
        return _Draft(number, anchor, shape, 1 << number)

    def read(self, node: Tensor) -> list[tuple[_Draft, bool]]:
        """The regions that compute what the node reads, and whether it needs just one element for one of its own."""
        found = []
        for source in node.inputs:
            origin = self.home.get(self.bases[source])
            if origin is not None:
                found.append((origin, self.bases[source] is source and source.shape == origin.shape))
        return found

    def join(self, node: Tensor, draft: _Draft) -> None:
        """The node becomes part of the draft."""
        self.home[node] = draft
        draft.nodes.append(node)
        for origin, aligned in self.read(node):
            if origin is not draft:
                origin.readers.append(node)
                if not aligned or node is draft.anchor:
                    draft.looks |= origin.bits
                self.wait(draft, origin)

    def wait(self, draft: _Draft, other: _Draft) -> None:
        """Notes that the draft needs the other and what that needs; and so does whoever needs the draft."""
        new, pending = other.before | other.bits, [draft]
        while pending:
            draft = pending.pop()
            before = draft.before | new
            if before != draft.before:
                draft.before = before
                pending += [self.home[reader] for reader in draft.readers]

    def merged(self, draft: _Draft, into: _Draft) -> _Draft:
        """One region of two over the same elements, if at most one has an anchor, neither must have been stored for the
        other, and none stands between; if not, the second."""
        if draft.anchor is not None and into.anchor is not None:
            return into
        if draft.looks & into.bits or into.looks & draft.bits or self.between(draft, into) or self.between(into, draft):
            return into
        if len(draft.nodes) > len(into.nodes):  # the larger one stays, so that no node moves often
            draft.number, draft, into = into.number, into, draft
        for node in draft.nodes:
            self.home[node] = into
        into.nodes += draft.nodes
        into.anchor = draft.anchor if into.anchor is None else into.anchor
        into.bits |= draft.bits
        into.looks |= draft.looks
        into.before = (into.before | draft.before) & ~into.bits
        into.readers = [node for node in (*into.readers, *draft.readers) if self.home[node] is not into]
        for reader in into.readers:
            self.wait(self.home[reader], into)
        return into

    def between(self, first: _Draft, last: _Draft) -> bool:
        """Whether a third region needs the first and is needed by the last."""
        readers = (self.home[node] for node in first.readers) if last.before & first.bits else ()
        return any(last.before & reader.bits for reader in readers if reader is not last)

    def in_order(self) -> list[_Draft]:
        """The drafts in rounds: each as soon as all it reads from is there."""
        waits = Counter(self.home[node] for draft in set(self.home.values()) for node in draft.readers)
        ready = [draft for draft in set(self.home.values()) if not waits[draft]]
        order: list[_Draft] = []
        while ready:
            ready.sort(key=lambda draft: draft.number)
            order += ready
            freed = []
            for reader in (self.home[node] for draft in ready for node in draft.readers):
                waits[reader] -= 1
                if not waits[reader]:
                    freed.append(reader)
            ready = freed
        return order

    def read_from_outside(self) -> set[Tensor]:
        """What must be stored: graph outputs, and all that is read in another region or through a view."""
        read = {self.bases[output] for output in self.graph.outputs}
        for node in self.nodes:
            here = self.home.get(node)
            read.update(
                self.bases[source] for source in node.inputs if here is None or here is not self.home.get(source)
            )
        return read

    def finished(self, draft: _Draft, read: set[Tensor]) -> Region:
        anchor = draft.anchor
        nodes = sorted((node for node in draft.nodes if node is not anchor), key=self.places.__getitem__)
        followed = anchor is not None and anchor.primitive.name in FOLLOWED
        results = [node for node in ((anchor,) if followed else ()) + tuple(nodes) if node in read]
        return composed(anchor, nodes, results, draft.shape)


def composed(anchor: Tensor | None, nodes: Sequence[Tensor], results: Sequence[Tensor], shape: Shape) -> Region:
    """The region of an anchor and elementwise nodes, in the graph's order; what is stored is the anchor where its
    kernel runs no chain on what it has computed, else the results."""
    if anchor is not None and anchor.primitive.name in PRECEDED:
        chain, operands = chain_of(nodes, [anchor.inputs[0]], ())
        return Region(anchor, chain, operands, (anchor,), shape, tuple(nodes))
    if anchor is not None and anchor.primitive.name not in FOLLOWED:
        return Region(anchor, Chain.identity(anchor.dtype.name), (), (anchor,), shape)
    chain, operands = chain_of(nodes, results, () if anchor is None else (anchor,))
    return Region(anchor, chain, operands, tuple(results), shape, tuple(nodes))


def _takes(draft: _Draft) -> bool:
    """Whether elementwise code can be added to what the draft computes."""
    anchor = draft.anchor
    return anchor is None or (anchor.primitive.name in FOLLOWED and anchor.dtype.kind == "f")


_name = cache(attrgetter("name"))
"""Of a dtype: NumPy makes the word anew each time."""


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
        key = (repr(value), _name(source.dtype))
        if key not in literals:
            lines.append(Line("constant", (), _name(source.dtype), value))
            literals[key] = len(sources) + len(lines) - 1
        return literals[key]

    for node in nodes:
        operands = tuple(number_of(source) for source in node.inputs)
        lines.append(Line(node.primitive.name, operands, _name(node.dtype)))
        numbers[node] = len(sources) + len(lines) - 1
    chain = Chain(
        tuple(_name(tensor.dtype) for tensor in sources), tuple(lines), tuple(numbers[result] for result in results)
    )
    return chain, tuple(sources)[len(first) :]
