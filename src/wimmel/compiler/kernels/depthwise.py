"""Depthwise convolution, each channel with a filter of its own, and its gradients. Lanes run over channels; a block of
neighbouring outputs stays in registers while the inputs around it pass by once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.chain import Chain, Line
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.kernels.windows import filled_lanes
from wimmel.compiler.language import BOOLEAN, Builder, Function, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

TASK_PRODUCTS = 1 << 14
"""Vector multiply-adds that one task does at least, where there are as many."""

UNROLLED = 640
"""Multiply-adds that are written out for one block of outputs."""


@dataclass(frozen=True)
class DepthwiseSchedule:
    dtype: str
    taps: Shape
    stride: Shape
    dilation: Shape
    rows: int
    columns: int
    vectors: int
    lanes: int
    channels: int
    inside: bool
    chain: Chain
    column: int
    operands: tuple[tuple[int, int], ...]
    results: tuple[tuple[int, int], ...]

    def kernel(self, target: Target, name: str) -> Function:
        return _Depthwise(self, target, name).write()


def three(values, missing):
    return (missing,) * (3 - len(values)) + tuple(values)


def with_three_axes(place):
    extra = 5 - len(place.shape)
    return Place(place.buffer, place.offset, (*place.shape[:2], *(1,) * extra, *place.shape[2:]),
                 (*place.strides[:2], *(0,) * extra, *place.strides[2:]))


FORCE = {}


def plan_depthwise(x, weight, results, chain, operands, stride, padding, dilation, target, label=""):
    shape = results[0].shape
    if 0 in shape:
        return []
    taps = three(weight.shape[2:], 1)
    stride, dilation = three(stride, 1), three(dilation, 1)
    x = with_three_axes(x)
    back = sum(front * step for (front, _), step in zip(three(padding, (0, 0)), x.strides[2:]))
    x = replace(x, offset=x.offset - back)
    results = [with_three_axes(p) for p in results]
    operands = [with_three_axes(p) for p in operands]
    n, c, depth, height, width = results[0].shape
    dtype = chain.inputs[0]
    axes = len(weight.shape)
    order = (*range(2, axes), 1, 0)
    packed = row_major(Buffer(dtype, weight.size, name="packed weights"), tuple(weight.shape[a] for a in order))
    steps = plan_elements(Chain.identity(dtype), [weight.transposed(order)], [packed], target, "pack")
    full = target.lanes(KIND_OF[dtype])
    lanes, filled, _ = filled_lanes([x, *results], full, False, target)
    vectors = FORCE.get("vectors", 1)
    rows = FORCE.get("rows", 1)
    columns = min(FORCE.get("columns", 7), width)
    inside = FORCE.get("inside", True)
    sched = DepthwiseSchedule(x.dtype, taps, stride, dilation, rows, columns, vectors, lanes, c, inside, chain, x.strides[4],
        tuple((p.strides[4], p.strides[1]) for p in operands), tuple((p.strides[4], 1) for p in results))
    products = width * c // lanes * math.prod(taps)
    total = depth * height
    per = max(1, TASK_PRODUCTS // max(products, 1))
    per = min(-(-per // rows) * rows, total)
    blocks = -(-total // per)
    numbers = [n, depth, height, width, per, blocks]
    for p in (x, *results, *operands):
        numbers += [p.strides[0], p.strides[2], p.strides[3]]
    return [*steps, Step(sched, (x, packed, *results, *operands, *numbers), tuple(dict.fromkeys(p.buffer for p in results)), n * blocks, label)]


class _Depthwise:
    def __init__(self, schedule, target, name):
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)
        self.kind = KIND_OF[schedule.chain.inputs[0]]
        self.vector = Type(self.kind, schedule.lanes)

    def write(self):
        builder, schedule = self.builder, self.schedule
        argument, begin, end, _ = builder.kernel()
        count = len(schedule.results) + len(schedule.operands)
        words = builder.arguments(argument, "pp" + "p" * count + "i" * 6 + "iii" * (1 + count))
        self.x, self.packed, *pointers = words[: 2 + count]
        words = words[2 + count:]
        self.pictures, self.depth, self.height, self.width, per, blocks = words[:6]
        strides = [words[6 + 3 * i: 9 + 3 * i] for i in range(1 + count)]
        self.x_strides = strides[0]
        chain = schedule.chain
        types = [Type(KIND_OF[d]) for d in (*chain.result_dtypes, *chain.inputs[1:])]
        self.views = list(zip(pointers, strides[1:], (*schedule.results, *schedule.operands), types))

        def task(number):
            n, part = number // blocks, number % blocks
            first = part * per
            last = builder.minimum(first + per, self.depth * self.height)
            R = schedule.rows
            def rows(c, lanes, mask):
                if R == 1:
                    builder.loop(first, last, 1, lambda row: self.row(n, row, 1, c, lanes, mask))
                else:
                    whole = first + (last - first) // R * R
                    builder.loop(first, whole, R, lambda row: self.row(n, row, R, c, lanes, mask))
                    builder.loop(whole, last, 1, lambda row: self.row(n, row, 1, c, lanes, mask))
            if schedule.inside:
                rows(None, None, None)
            else:
                self.each_vector(rows)

        builder.loop(begin, end, 1, task)
        return builder.function()

    def each_vector(self, body):
        builder, lanes, channels, v = self.builder, self.schedule.lanes, self.schedule.channels, self.schedule.vectors
        if channels < lanes:
            body(0, 1, builder.constant(BOOLEAN.of(lanes), [l < channels for l in range(lanes)]))
            return
        wide = lanes * v
        whole = channels // wide * wide
        if whole:
            builder.loop(0, whole, wide, lambda c: body(c, v, None))
        if whole < channels:
            builder.loop(whole, channels, lanes, lambda c: body(builder.minimum(c, channels - lanes), 1, None))

    def row(self, n, row, R, c, v, mask):
        builder, s = self.builder, self.schedule
        plane, line = row // self.height, row % self.height
        a, b, d = self.x_strides
        x = builder.offset(self.x, n * a + plane * b * s.stride[0] + line * d * s.stride[1], KIND_OF[s.dtype])
        views = []
        for pointer, (a, b, d), _, type_ in self.views:
            views.append(builder.offset(pointer, n * a + plane * b + line * d, type_.kind))
        B = s.columns

        def block(w):
            w = builder.minimum(w, self.width - B)
            if c is None:
                self.each_vector(lambda c, v, mask: self.block(x, views, R, w, c, v, mask))
            else:
                self.block(x, views, R, w, c, v, mask)

        builder.loop(0, self.width, B, block)

    def block(self, x, views, R, w, c, V, mask):
        builder, s = self.builder, self.schedule
        kd, kh, kw = s.taps
        B, lanes = s.columns, s.lanes
        xk = KIND_OF[s.dtype]
        x = builder.offset(x, w * (s.stride[2] * s.column) + c, xk)
        weights = builder.offset(self.packed, c, self.kind)
        zero = builder.constant(self.vector, 0.0)
        acc = {(r, b, v): zero for r in range(R) for b in range(B) for v in range(V)}
        for k in range(kd):
            for i in range((R - 1) * s.stride[1] + (kh - 1) * s.dilation[1] + 1):
                pairs = [(r, t) for r in range(R) for t in range(kh) if r * s.stride[1] + t * s.dilation[1] == i]
                if not pairs:
                    continue
                start = builder.offset(x, k * self.x_strides[1] * s.dilation[0] + i * self.x_strides[2], xk)
                for v in range(V):
                    builder.fence()
                    w_ = {(t, u): builder.load(weights, (((k * kh + t) * kw) + u) * s.channels + v * lanes, self.vector, mask)
                          for _, t in pairs for u in range(kw)}
                    for j in range((B - 1) * s.stride[2] + (kw - 1) * s.dilation[2] + 1):
                        hits = [(b, u) for b in range(B) for u in range(kw) if b * s.stride[2] + u * s.dilation[2] == j]
                        if not hits:
                            continue
                        if FORCE.get("fence"): builder.fence()
                        value = builder.convert(builder.load(start, j * s.column + v * lanes, Type(xk, lanes), mask), self.kind)
                        for r, t in pairs:
                            for b, u in hits:
                                acc[r, b, v] = builder.fma(value, w_[t, u], acc[r, b, v])
        R_ = len(s.results)
        for r in range(R):
            for b in range(B):
                for v in range(V):
                    def place(view, steps, strides):
                        return (w + b) * steps[0] + (c + v * lanes) * steps[1] + r * strides[2]
                    values = [acc[r, b, v]]
                    for pointer, (_, strides, steps, type_) in list(zip(views, self.views))[R_:]:
                        values.append(builder.load(pointer, place(pointer, steps, strides), type_.of(lanes) if steps[1] else type_, mask if steps[1] else None))
                    out = s.chain.emit(builder, self.target, values)
                    for value, (pointer, (_, strides, steps, type_)) in zip(out, list(zip(views, self.views))[:R_]):
                        builder.store(builder.broadcast(value, lanes), pointer, place(pointer, steps, strides), mask)
