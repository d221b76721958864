"""From regions to steps: gives every value a place in a buffer, and has each region lowered to steps that compute it
from places to places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from wimmel.compiler import kernels
from wimmel.compiler.batching import Shrunk, Stretch, read_by, stretches
from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.choice import algorithm, pools
from wimmel.compiler.joint_pooling import pooled
from wimmel.compiler.layouts import POOLING, channels_last, halos, pictures
from wimmel.compiler.lowering import LOWERINGS
from wimmel.compiler.program import Program, assembled
from wimmel.compiler.recomputation import recomputed
from wimmel.compiler.regions import SOURCES, Region, base, regions
from wimmel.compiler.steps import Buffer, Place, Step, Turns, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph import Graph
from wimmel.graph.tensor import Shape, Tensor


def compiled(graph: Graph, target: Target, stable: frozenset[int] = frozenset(), precision: str = "exact") -> Program:
    """The program of a graph.

    Parameters
    ----------
    graph : Graph
    target : Target
    stable : frozenset of int
        Positions of inputs whose arrays are replaced rather than written to: parameters. What depends on nothing else
        is computed once for each replacement.
    precision : {"exact", "fast"}
        Whether convolutions add up their products, or may be computed in ways that round more; see `choice`.
    """
    return Planner(graph, target, precision).program(stable)


def fused(graph: Graph, target: Target, precision: str) -> list[Region]:
    """The regions that the graph is computed by; `precision` as `compiled` takes it."""
    can_pool = partial(pools, target=target, precision=precision)
    return pooled(recomputed(regions(graph), graph), graph, can_pool)


def unsupported(graph: Graph) -> str | None:
    """What in the graph no kernel can compute, as a sentence; None if there is nothing."""
    for node in graph.nodes():
        name, whole = node.primitive.name, node.dtype.kind != "f"
        if name.startswith("convolution") and whole:
            return f"{name} of {node.dtype}: kernels convolve float32 and float64"
        if (name.startswith("convolution") or name in POOLING) and len(node.inputs[0].shape) > 5:
            return f"{name} over {len(node.inputs[0].shape) - 2} spatial axes: kernels take up to three"
        if name == "power" and whole and not _counts(node.inputs[1]):
            return "power of whole numbers with an exponent that may be negative"
    return None


def _counts(exponent: Tensor) -> bool:
    """Whether it is known to be a whole number that is not negative."""
    source = base(exponent)
    return source.dtype.kind in "ub" or (
        source.primitive.name == "constant" and bool((np.asarray(source.attributes["value"]) >= 0).all())
    )


class Planner:
    """A graph on its way to steps: which values have been computed, and where they lie."""

    def __init__(self, graph: Graph, target: Target, precision: str) -> None:
        self.graph = graph
        self.target = target
        self.precision = precision
        self.regions = fused(graph, target, precision)
        self.layouts = channels_last(self.regions, self.algorithm)
        self.steps: list[Step] = []
        self.places: dict[Tensor, Place] = {}
        self.halos: dict[Buffer, Pairs] = {}
        self.copies: dict[tuple[Tensor, object], Place] = {}
        self.constants: dict[Buffer, np.ndarray] = {}
        self.status = Buffer("int64", 1, "status")
        self.outputs: dict[Tensor, Buffer] = {}
        self.handed_out: dict[Place, Tensor] = {}  # what has to be copied to where it is handed out
        self.region: Region | None = None
        self.turned = _read_turned(graph)
        self.prepared: set[Tensor] = set()

    def program(self, stable: frozenset[int]) -> Program:
        graph = self.graph
        self.prepared = _prepared(graph, stable)
        inputs = [Buffer(x.dtype.name, x.size, "input", x.attributes["name"]) for x in graph.inputs]
        outputs = [Buffer(y.dtype.name, y.size, "output") for y in graph.outputs]
        for tensor, buffer in zip(graph.inputs, inputs, strict=True):
            self.places[tensor] = row_major(buffer, tensor.shape)
        for tensor, buffer in zip(graph.outputs, outputs, strict=True):
            computed = _reshaped(tensor)
            if base(computed) is computed and computed.primitive.name not in SOURCES and computed not in self.layouts:
                self.outputs.setdefault(computed, buffer)  # computed right where it is handed out
            if self.outputs.get(computed) is not buffer:
                self.handed_out[row_major(buffer, tensor.shape)] = tensor
        for stretch in self.stretches():
            if stretch.pictures:
                self.lower_in_turns(stretch)
            else:
                self.lower(stretch.regions)
        for place, tensor in self.handed_out.items():
            self.copy(self.place(tensor), place)
        shapes = [tensor.shape for tensor in graph.outputs]
        return assembled(self.steps, inputs, outputs, shapes, self.constants, stable, self.status, self.target)

    def stretches(self) -> list[Stretch]:
        """The regions, those together that take turns."""
        handed_out = set(map(base, self.graph.outputs))
        return stretches(self.regions, self.prepared, handed_out, self.layouts, self.enlarged, self.target)

    def lower(self, regions: Sequence[Region]) -> None:
        """Adds the steps of the regions."""
        for region in regions:
            self.region = region
            LOWERINGS["elements" if region.anchor is None else region.anchor.primitive.name](self, region)
        self.region = None

    def lower_in_turns(self, stretch: Stretch) -> None:
        """Adds the steps of a stretch, which take turns: those of the first pictures, and how to go on from there."""
        shrunk = Shrunk(stretch)
        strides: dict[Buffer, int] = {}

        def first_pictures(place: Place) -> Place:
            strides[place.buffer] = place.strides[0]
            return Place(place.buffer, place.offset, (stretch.pictures, *place.shape[1:]), place.strides)

        here = {result for region in stretch.regions for result in region.results}
        handed_out = [place for place, tensor in self.handed_out.items() if shrunk.has(tensor, here)]
        copies = {first_pictures(place): shrunk.tensor(self.handed_out.pop(place)) for place in handed_out}
        needed = {*self.outputs, *map(base, self.handed_out.values())} | read_by(
            set(self.regions) - set(stretch.regions)
        )
        for small, tensor in shrunk.computed.items():
            if tensor in self.layouts:
                self.layouts[small] = self.layouts[tensor]
            if tensor not in here:
                self.places[small] = first_pictures(self.place(tensor))
            elif tensor in needed:
                self.places[small] = first_pictures(self.result(tensor))
        steps, self.steps = self.steps, []
        self.lower(shrunk.regions)
        for place, small in copies.items():
            self.copy(self.place(small), place)
        own, self.steps = self.steps, steps
        turns, taking = Turns(stretch.firsts, strides), _reached(own, set(strides))
        self.steps += [step for step in own if step not in taking]
        self.steps += [replace(step, turns=turns) for step in own if step in taking]

    def enlarged(self, anchor: Tensor) -> float:
        """How many times larger the anchor's weights are in the form that its kernel reads."""
        costs, chosen = kernels.winograd_costs, self.algorithm(anchor)
        if chosen in costs.ALONG:
            taps = anchor.inputs[1].shape[costs.ALONG[chosen]]
            return (costs.PIECE + costs.odd(taps) - 1) / taps
        return ((costs.TILES[chosen] + 2) / 3) ** 2 if chosen in costs.TILES else 1.0

    def algorithm(self, anchor: Tensor) -> str:
        """By which the anchor of a region is computed."""
        return algorithm(anchor, self.target, self.precision)

    # places

    def place(self, tensor: Tensor) -> Place:
        """Where a value can be read that has been computed, or a view of one."""
        if tensor in self.places:
            return self.places[tensor]
        name, attributes = tensor.primitive.name, tensor.attributes
        if name == "constant":
            value = np.ascontiguousarray(attributes["value"])
            buffer = Buffer(tensor.dtype.name, tensor.size, "constant")
            self.constants[buffer] = value
            place = row_major(buffer, tensor.shape)
        else:
            (source,) = tensor.inputs
            at = self.place(source)
            match name:
                case "identity":
                    place = at
                case "transpose":
                    place = at.transposed(attributes["axes"])
                case "broadcast":
                    place = at.stretched(attributes["shape"])
                case "slice":
                    place = at.sliced(attributes["start"], tensor.shape, attributes["step"])
                case "flip":
                    axes = attributes["axes"]
                    first = tuple(n - 1 if axis in axes and n else 0 for axis, n in enumerate(at.shape))
                    place = at.sliced(first, at.shape, tuple(-1 if a in axes else 1 for a in range(len(at.shape))))
                case "reshape":
                    place = at.reshaped(tensor.shape) or _of_shape(self.in_order(source), tensor.shape)
                case _:
                    raise AssertionError(f"{tensor!r} has not been computed")
        self.places[tensor] = place
        return place

    def in_order(self, tensor: Tensor) -> Place:
        """The value in C order; copied if it lies otherwise."""
        place = self.place(tensor)
        if place.strides == row_major(place.buffer, place.shape).strides or place.size == 0:
            return place
        return self.copied(tensor, "C", row_major(self.scratch(tensor), tensor.shape))

    def in_channels_last(self, tensor: Tensor, halo: Pairs | None, dtype: str | None = None) -> Place:
        """The value channels last, with at least this halo of zeros around, as another dtype if one is given; copied
        if it lies otherwise."""
        place, dtype = self.place(tensor), dtype or tensor.dtype.name
        wanted = halo or ((0, 0),) * (len(tensor.shape) - 2)
        has = self.halos.get(place.buffer) if place is self.places.get(base(tensor)) else None
        if _is_channels_last(place) and place.dtype == dtype and _covers(has, wanted):
            return place
        known = self.copies.get((tensor, (dtype, wanted)))
        return known or self.copied(tensor, (dtype, wanted), self.new_channels_last(tensor.shape, dtype, wanted))

    def new_channels_last(self, shape: Shape, dtype: str, halo: Pairs | None) -> Place:
        """A place for a value of that shape, channels last, with zeros around it."""
        halo = halo or ((0, 0),) * (len(shape) - 2)
        place: Place = kernels.border.with_halo(dtype, shape, halo)
        self.halos[place.buffer] = halo
        if any(map(any, halo)):
            self.add(kernels.border.plan_border(place, halo, self.target))
        return place

    def scratch(self, tensor: Tensor) -> Buffer:
        return Buffer(tensor.dtype.name, tensor.size)

    def result(self, tensor: Tensor) -> Place:
        """The place that a region's result is to be written to."""
        if tensor in self.places:
            return self.places[tensor]
        if tensor in self.layouts:
            place = self.new_channels_last(tensor.shape, tensor.dtype.name, self.layouts[tensor])
        else:
            place = row_major(self.outputs.get(tensor) or self.scratch(tensor), tensor.shape)
            if self.is_turned():
                place = row_major(place.buffer, place.turned().shape).turned()
        self.places[tensor] = place
        return place

    def is_turned(self) -> bool:
        """Whether the region at hand is a product whose results are all read with rows and columns exchanged."""
        region = self.region
        if region is None or region.anchor is None or region.anchor.primitive.name != "matmul":
            return False
        return all(result in self.turned for result in region.results)

    def operands(self, region: Region) -> list[Place]:
        """The places of a region's operands, stretched to its shape."""
        return [self.place(operand).stretched(region.shape) for operand in region.operands]

    def conforming(self, region: Region) -> list[Place]:
        """The operands as an epilogue takes them: channels last, or stretched from something small."""
        places = []
        for operand in region.operands:
            stretched = self.place(operand).stretched(region.shape)
            if not kernels.convolution.conforms(stretched):
                missing = len(region.shape) - len(operand.shape)
                if missing:
                    whole = self.new_channels_last((1,) * missing + operand.shape, operand.dtype.name, None)
                    copy = Place(whole.buffer, whole.offset, whole.shape[missing:], whole.strides[missing:])
                    place = self.copied(operand, "channels neighbouring", copy)
                else:
                    place = self.in_channels_last(operand, None)
                stretched = place.stretched(region.shape)
            places.append(stretched)
        return places

    # steps

    def add(self, steps: Sequence[Step]) -> None:
        self.steps += steps

    def copy(self, source: Place, result: Place) -> None:
        """Steps that write one place's elements to another, as the other's dtype."""
        chain = Chain.identity(source.dtype)
        if source.dtype != result.dtype:
            chain = Chain((source.dtype,), (Line("cast", (0,), result.dtype),), (1,))
        self.add(kernels.elements.plan_elements(chain, [source], [result], self.target, "copy"))

    def copied(self, tensor: Tensor, layout: object, result: Place) -> Place:
        """A copy of a value in another layout, made once."""
        key = (tensor, layout)
        if key not in self.copies:
            self.copy(self.place(tensor), result)
            self.copies[key] = result
        return self.copies[key]

    def pictures(self, anchor: Tensor) -> list[Place]:
        """The pictures that the anchor reads, as it needs them."""
        dtype = anchor.dtype.name if anchor.primitive.name.startswith("convolution") else None
        read = zip(pictures(anchor), halos(anchor, self.algorithm(anchor)), strict=True)
        return [self.in_channels_last(picture, halo, dtype) for picture, halo in read]

    def of_dtype(self, tensor: Tensor, dtype: str) -> Place:
        """The value in C order as another dtype; as it lies if it is of that dtype."""
        if tensor.dtype.name == dtype:
            return self.place(tensor)
        return self.copied(tensor, dtype, row_major(Buffer(dtype, tensor.size), tensor.shape))


def _reached(steps: Sequence[Step], buffers: set[Buffer]) -> set[Step]:
    """The steps that touch one of the buffers, or what such a step writes."""
    found: set[Step] = set()
    while more := [step for step in steps if step not in found and not buffers.isdisjoint(step.buffers)]:
        found.update(more)
        buffers = buffers.union(*(step.written for step in more))
    return found


def _of_shape(place: Place, shape: Shape) -> Place:
    """A place in C order under another shape."""
    return Place(place.buffer, place.offset, shape, row_major(place.buffer, shape).strides)


def _reshaped(tensor: Tensor) -> Tensor:
    """What has the same elements in the same order, under another shape."""
    while tensor.primitive.name == "reshape":
        (tensor,) = tensor.inputs
    return tensor


def _read_turned(graph: Graph) -> set[Tensor]:
    """The values that are read with rows and columns exchanged, and in no other way."""
    turned: set[Tensor] = set()
    otherwise: set[Tensor] = set(graph.outputs)
    for node in graph.nodes():
        axes = range(len(node.shape))
        exchanges = node.primitive.name == "transpose" and node.attributes["axes"] == (*axes[:-2], *axes[-2:][::-1])
        (turned if exchanges and len(axes) >= 2 else otherwise).update(node.inputs)
    return turned - otherwise


def _prepared(graph: Graph, stable: frozenset[int]) -> set[Tensor]:
    """The values that follow from stable inputs and constants alone."""
    known = {graph.inputs[place] for place in stable}
    if not known:
        return set()
    for node in graph.nodes():
        if node.primitive.name == "constant" or (node.inputs and known.issuperset(node.inputs)):
            known.add(node)
    return known


def _is_channels_last(place: Place) -> bool:
    channels = place.shape[1]
    return (channels == 1 or place.strides[1] == 1) and (
        math.prod(place.shape[2:]) == 1 or place.strides[-1] >= channels
    )


def _covers(halo: Pairs | None, wanted: Pairs) -> bool:
    if halo is None:
        return not any(map(any, wanted))
    return all(a >= c and b >= d for (a, b), (c, d) in zip(halo, wanted, strict=True))
