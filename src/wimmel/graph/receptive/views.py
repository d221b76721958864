"""The rule for all elements at once: primitives' fields composed along every path, and united where paths meet."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

from wimmel.geometry import AxisField
from wimmel.graph.primitives import (
    convolution,
    convolution_input_gradient,
    max_pool,
    max_pool_take,
    max_unpool,
    sum_pool,
    sum_unpool,
)
from wimmel.graph.primitives.elementwise import fields_of_broadcast
from wimmel.graph.tensor import Fields, Shape, Tensor

POINTWISE, WHOLE, NOTHING = AxisField.pointwise(), AxisField.whole(), AxisField.nothing()

View: TypeAlias = tuple[int | None, AxisField]
"""The axis of `of` whose index moves the field, and the field."""


def views_of(path: Sequence[Tensor], of: Tensor, wrt: Tensor) -> tuple[list[View], set[int]] | None:
    """What `of` sees of each axis of `wrt`, and the axes of `wrt` that windows slide along, at it or on the way."""
    itself: list[View] = [(axis, POINTWISE) for axis in range(of.ndim)]
    seen: dict[Tensor, tuple[list[View], set[int]]] = {of: (itself, set())}
    between = set(path)
    for node in path:
        if node is wrt or node not in seen:
            continue
        views, slid = seen[node]
        for number, source in enumerate(node.inputs):
            if source not in between:
                continue
            found, spatial = _before(node, number, views, slid)
            if any(view == NOTHING for _, view in found):
                continue
            if source in seen:
                others, also = seen[source]
                found = [_united(one, other, of.shape) for one, other in zip(others, found, strict=True)]
                spatial = spatial | also
            seen[source] = found, spatial
    return seen.get(wrt)


def _before(node: Tensor, number: int, views: list[View], slid: set[int]) -> tuple[list[View], set[int]]:
    """The same one step earlier: for one of the node's inputs, through this node."""
    source = node.inputs[number]
    if node.primitive.fields is fields_of_broadcast and source.shape == node.shape:
        return views, slid
    rows = list(zip(fields_of(node)[number], source.shape, strict=True))
    spatial = {axis for axis, ((mover, _), _) in enumerate(rows) if mover in slid}
    if number < SLIDING.get(node.primitive, 0):
        spatial |= set(range(2, source.ndim))
    return [_composed(views, mover, field, size) for (mover, field), size in rows], spatial


def fields_of(node: Tensor) -> Fields:
    """What the node sees of each axis of each input: the primitive's rule, or all where it has none."""
    if node.primitive.fields is None:
        return [[(None, WHOLE)] * source.ndim for source in node.inputs]
    return node.primitive.fields(node, *node.inputs, **node.attributes)


@lru_cache(maxsize=4096)
def _compose(outer: AxisField, inner: AxisField) -> AxisField:
    return outer.compose(inner)


def _composed(views: Sequence[View], axis: int | None, seen: AxisField, size: int) -> View:
    """What `of` sees of an axis that an axis of the node sees, or all of the node."""
    if seen.low is None and seen.high is None and size > 0:
        # bounded by the axis, so that what comes before counts as many elements as it is looked at by
        seen = AxisField(Fraction(0), Fraction(0), Fraction(size - 1))
    mover, outer = (None, WHOLE) if axis is None else views[axis]
    composed = _compose(outer, seen)
    return (mover if composed.stride else None, composed)


def _united(one: View, other: View, shape: Shape) -> View:
    if one == other:
        return one
    movers = {mover for mover, _ in (one, other) if mover is not None}
    if len(movers) > 1:
        one, other = (_at_rest(view, shape) for view in (one, other))
        movers = set()
    mover = movers.pop() if movers else None
    united = one[1].unite(other[1], None if mover is None else max(shape[mover], 1))
    return (mover if united.stride else None, united)


def _at_rest(view: View, shape: Shape) -> View:
    """The field that holds those of all outputs: what is left where two axes would move it at once."""
    mover, seen = view
    if mover is None:
        return view
    ends = (Fraction(0), seen.stride * max(shape[mover] - 1, 0))
    low = None if seen.low is None else seen.low + min(ends)
    return (None, AxisField(Fraction(0), low, None if seen.high is None else seen.high + max(ends)))


SLIDING = {
    convolution: 1,
    convolution_input_gradient: 1,
    sum_pool: 1,
    sum_unpool: 1,
    max_pool: 1,
    max_pool_take: 2,
    max_unpool: 2,
}
"""Primitives whose windows slide along the axes behind the second of so many of their inputs."""
