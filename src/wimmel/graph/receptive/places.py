"""One element: the places along each axis that it sees, carried back from each node to its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from wimmel.geometry import AxisField, axis_groups
from wimmel.graph.primitives import (
    convolution,
    convolution_input_gradient,
    max_pool,
    max_pool_take,
    max_unpool,
    reshape,
    sum_pool,
    sum_unpool,
    take,
)
from wimmel.graph.receptive.views import fields_of
from wimmel.graph.tensor import Primitive, Shape, Tensor, constant

Box: TypeAlias = tuple[slice, ...]
Places: TypeAlias = list[np.ndarray]
"""Along each axis, the places that are seen, rising."""


def box_of(path: Sequence[Tensor], of: Tensor, wrt: Tensor, index: tuple[int, ...]) -> Box | None:
    """The hull of the elements of `wrt` that one element of `of` depends on, along a path from `of` back to `wrt`."""
    seen: dict[Tensor, Places] = {of: [np.array([place]) for place in index]}
    between = set(path)
    for node in path:
        if node is wrt or node not in seen:
            continue
        for number, source in enumerate(node.inputs):
            if source not in between:
                continue
            found = _seen_in(node, number, seen[node])
            if any(len(places) == 0 for places in found):
                continue
            if source in seen:
                found = [np.union1d(one, other) for one, other in zip(seen[source], found, strict=True)]
            seen[source] = found
    if wrt not in seen:
        return None
    return tuple(slice(int(places[0]), int(places[-1]) + 1) for places in seen[wrt])


def _seen_in(node: Tensor, number: int, places: Places) -> Places:
    """Places of one of the node's inputs that these places of the node look at."""
    exact = EXACT.get(node.primitive)
    if exact is not None:
        found = exact(node, number, places)
        if found is not None:
            return found
    source, rows = node.inputs[number], fields_of(node)[number]
    return [
        _through(view, None if axis is None else places[axis], size)
        for (axis, view), size in zip(rows, source.shape, strict=True)
    ]


def _through(view: AxisField, outputs: np.ndarray | None, size: int) -> np.ndarray:
    """Places in the fields of these outputs, among the `size` there are; with no outputs, of a field at rest."""
    if outputs is None:
        rest = view.clip(0, size)
        return np.arange(rest.start, rest.stop)
    grain = view.stride.denominator
    step = int(view.stride * grain)
    low = np.zeros_like(outputs) if view.low is None else -((-step * outputs - int(view.low * grain)) // grain)
    high = np.full_like(outputs, size - 1) if view.high is None else (step * outputs + int(view.high * grain)) // grain
    low, high = np.maximum(low, 0), np.minimum(high, size - 1)
    inside = low <= high
    edges = np.bincount(low[inside], minlength=size + 1) - np.bincount(high[inside] + 1, minlength=size + 1)
    return np.flatnonzero(np.cumsum(edges)[:size])


def _taps(places: np.ndarray, kernel: int, stride: int, front: int, dilation: int, size: int) -> np.ndarray:
    """Inputs under a window's elements, without those in a dilated window's gaps."""
    inputs = np.unique(places[:, None] * stride - front + dilation * np.arange(kernel))
    return inputs[(inputs >= 0) & (inputs < size)]


def _reaching(places: np.ndarray, kernel: int, stride: int, front: int, dilation: int, size: int) -> np.ndarray:
    """Windows that have an element at these places."""
    starts = np.unique(places[:, None] + front - dilation * np.arange(kernel))
    windows = starts[starts % stride == 0] // stride
    return windows[(windows >= 0) & (windows < size)]


def _spatial_places(
    node: Tensor, places: Places, sizes: Shape, kernel: Shape, follow: Callable[..., np.ndarray]
) -> Iterator[np.ndarray]:
    settings = node.attributes
    fronts = [front for front, _ in settings["padding"]]
    rows = zip(places[2:], kernel, settings["stride"], fronts, settings["dilation"], sizes[2:], strict=True)
    return (follow(*row) for row in rows)


def _channels(places: np.ndarray, per_group_from: int, per_group_to: int) -> np.ndarray:
    """All channels of the groups that these channels belong to."""
    groups = np.unique(places // per_group_from)
    return (groups[:, None] * per_group_to + np.arange(per_group_to)).reshape(-1)


def _convolved(node: Tensor, number: int, places: Places) -> Places | None:
    x, w = node.inputs
    if number:
        return None
    channels = _channels(places[1], w.shape[0] // node.attributes["groups"], w.shape[1])
    return [places[0], channels, *_spatial_places(node, places, x.shape, w.shape[2:], _taps)]


def _transposed(node: Tensor, number: int, places: Places) -> Places | None:
    g, w = node.inputs
    if number:
        return None
    channels = _channels(places[1], w.shape[1], w.shape[0] // node.attributes["groups"])
    return [places[0], channels, *_spatial_places(node, places, g.shape, w.shape[2:], _reaching)]


def _pooled(node: Tensor, number: int, places: Places) -> Places:
    sizes, kernel = node.inputs[number].shape, node.attributes["kernel"]
    return [*places[:2], *_spatial_places(node, places, sizes, kernel, _taps)]


def _unpooled(node: Tensor, number: int, places: Places) -> Places:
    sizes, kernel = node.inputs[number].shape, node.attributes["kernel"]
    return [*places[:2], *_spatial_places(node, places, sizes, kernel, _reaching)]


def _max_unpooled(node: Tensor, number: int, places: Places) -> Places:
    """A cotangent counts where a window reaches the place, and whether it does depends on all that the window sees."""
    x, g = node.inputs
    kernel = node.attributes["kernel"]
    windows = [*places[:2], *_spatial_places(node, places, g.shape, kernel, _reaching)]
    return windows if number else [*places[:2], *_spatial_places(node, windows, x.shape, kernel, _taps)]


def _reshaped(node: Tensor, _: int, places: Places) -> Places:
    (x,) = node.inputs
    found = [np.arange(size) for size in x.shape]
    for before, after in axis_groups(x.shape, node.shape):
        if len(before) == 0 or all(len(places[axis]) == node.shape[axis] for axis in after):
            continue
        grid = np.ix_(*(places[axis] for axis in after))
        numbers = np.ravel_multi_index(grid, [node.shape[axis] for axis in after]).reshape(-1)
        for axis, rows in zip(before, np.unravel_index(numbers, [x.shape[axis] for axis in before]), strict=True):
            found[axis] = np.unique(rows)
    return found


def _taken(node: Tensor, number: int, places: Places) -> Places | None:
    x, indices = node.inputs
    axis = node.attributes["axis"]
    if number or indices.primitive is not constant:
        return None
    behind = axis + indices.ndim
    table = indices.attributes["value"]
    chosen = table[np.ix_(*places[axis:behind])] if table.ndim else table
    return [*places[:axis], np.unique(chosen % x.shape[axis]), *places[behind:]]


EXACT: dict[Primitive, Callable[[Tensor, int, Places], Places | None]] = {
    convolution: _convolved,
    convolution_input_gradient: _transposed,
    sum_pool: _pooled,
    max_pool: _pooled,
    max_pool_take: _pooled,
    sum_unpool: _unpooled,
    max_unpool: _max_unpooled,
    reshape: _reshaped,
    take: _taken,
}
"""Where more can be said about places than an AxisField can hold: gaps, groups of channels, regrouped axes. None where
nothing more can."""
