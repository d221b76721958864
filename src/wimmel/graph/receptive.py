"""Receptive fields of a graph: which elements of an earlier value the elements of a later one look at.

As a rule, the primitives' own rules composed along every path and united where paths meet; for one element, the places
themselves, carried back step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias, overload

import numpy as np

from wimmel.geometry import AxisField, ReceptiveField, axis_groups
from wimmel.geometry.whole_numbers import as_integer
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
from wimmel.graph.primitives.elementwise import fields_of_broadcast
from wimmel.graph.tensor import Fields, Primitive, Shape, Tensor, constant
from wimmel.graph.tracing import reachable

Box: TypeAlias = tuple[slice, ...]

POINTWISE, WHOLE, NOTHING = AxisField.pointwise(), AxisField.whole(), AxisField.nothing()


@dataclass(frozen=True)
class FieldOfView:
    """What the elements of a tensor see of an earlier one, along each axis of the earlier one.

    It prints as the field along the spatial axes, which is what one wants to know of pictures and sequences.

    Attributes
    ----------
    axes : tuple of AxisField
        One for each axis of the earlier tensor.
    moved_by : tuple of (int or None)
        For each of them, the axis of the later tensor whose index moves the field; None where it rests.
    spatial_axes : tuple of int
        The axes that convolutions and pooling slide along; all behind the second where nothing slides.
    of, wrt : Tensor
        The later and the earlier tensor.

    References
    ----------
    Lecture rows L18 and L19.
    """

    axes: tuple[AxisField, ...]
    moved_by: tuple[int | None, ...]
    spatial_axes: tuple[int, ...]
    of: Tensor = field(repr=False, compare=False)
    wrt: Tensor = field(repr=False, compare=False)

    @property
    def spatial(self) -> ReceptiveField:
        """The field along the spatial axes."""
        return ReceptiveField(tuple(self.axes[axis] for axis in self.spatial_axes))

    @property
    def size(self) -> tuple[int | None, ...]:
        """Elements along each spatial axis, padding included: may be more than there are."""
        return self.spatial.size

    @property
    def stride(self) -> tuple[int | Fraction, ...]:
        """Elements by which the field moves from one output to the next, along each spatial axis."""
        return self.spatial.stride

    @property
    def start(self) -> tuple[int | None, ...]:
        """Where the field of the first output begins, along each spatial axis; negative in the padding."""
        return self.spatial.start

    def whole(self, index: Sequence[int]) -> tuple[tuple[int | None, int | None], ...]:
        """First and last place of one element's field along each axis of the earlier tensor, padding included.

        Parameters
        ----------
        index : sequence of int
            One for each axis of the later tensor; negative ones count from the end.
        """
        places = _checked(index, self.of.shape)
        return tuple(
            view.interval(0 if axis is None else places[axis])
            for view, axis in zip(self.axes, self.moved_by, strict=True)
        )

    def clipped(self, index: Sequence[int]) -> Box | None:
        """The part of one element's field that exists: `receptive_field` with that index."""
        return receptive_field(self.of, self.wrt, index)

    def __str__(self) -> str:
        sees_all = (
            self.axes[axis].stride == 0 and self.axes[axis].clip(0, self.wrt.shape[axis]) == range(self.wrt.shape[axis])
            for axis in self.spatial_axes
        )
        return "everything" if self.spatial_axes and all(sees_all) else str(self.spatial)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{axis}</td><td>{'' if mover is None else mover}</td><td>{view.size}</td><td>{view.stride}</td>"
            f"<td>{'' if view.start is None else view.start}</td></tr>"
            for axis, (view, mover) in enumerate(zip(self.axes, self.moved_by, strict=True))
        )
        return (
            f"<table><caption>Receptive field: {self}</caption><thead><tr><th>axis</th><th>moved by axis</th>"
            f"<th>size</th><th>stride</th><th>from</th></tr></thead><tbody>{rows}</tbody></table>"
        )


@overload
def receptive_field(of: Tensor, wrt: Tensor) -> FieldOfView | None: ...
@overload
def receptive_field(of: Tensor, wrt: Tensor, index: Sequence[int]) -> Box | None: ...


def receptive_field(of: Tensor, wrt: Tensor, index: Sequence[int] | None = None) -> FieldOfView | Box | None:
    """What a tensor sees of one that it was made from: any layer of any network, of any earlier one.

    Without an index, the rule for all elements at once, each layer taken as endless: a window's size, its stride, where
    it starts. With one, the box of elements that this element depends on, clipped at every layer on the way: padding of
    a layer in between sees nothing.

    Parameters
    ----------
    of : Tensor
        The later value.
    wrt : Tensor
        The earlier value: an input, a parameter, or anything computed in between.
    index : sequence of int, optional
        Place of an element of `of`, one number for each of its axes; negative ones count from the end.

    Returns
    -------
    FieldOfView, or for an index a tuple of slices to index `wrt` with; None if nothing is seen
        The box is the exact hull for chains of convolutions, pooling, their transposes, products, sums, and whatever
        moves elements. It may be larger where branches meet again of which each sees only some rows of some columns,
        where a reshape splits or merges axes of which only a part is seen, and where indices are computed. Without an
        index, a group of channels counts as all channels, and axes that a reshape splits or merges as seen whole.

    Raises
    ------
    ValueError
        If the index is not one of an element.

    References
    ----------
    Lecture row L18.

    Examples
    --------
    Two stacked 2x2 kernels see 3x3 of the input; at stride 2 and with padding, the corner sees less.

    >>> from wimmel.graph.tensor import input_tensor
    >>> x, w = input_tensor("x", (1, 1, 8, 8), np.float32), input_tensor("w", (1, 1, 2, 2), np.float32)
    >>> settings = {"padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    >>> y = convolution(x, w, stride=(1, 1), **settings)
    >>> z = convolution(y, w, stride=(2, 2), **settings)
    >>> print(receptive_field(z, y), "|", receptive_field(z, x))
    2x2, stride 2, from (-1, -1) | 3x3, stride 2, from (-2, -2)
    >>> receptive_field(z, x, (0, 0, 0, 1))
    (slice(0, 1, None), slice(0, 1, None), slice(0, 1, None), slice(0, 3, None))
    """
    path = _path(of, wrt)
    if index is not None:
        return _box(path, of, wrt, _checked(index, of.shape))
    found = _views(path, of, wrt)
    if found is None:
        return None
    views, slid = found
    spatial = tuple(sorted(slid)) or tuple(range(2 if wrt.ndim > 2 else 0, wrt.ndim))
    return FieldOfView(tuple(view for _, view in views), tuple(mover for mover, _ in views), spatial, of, wrt)


def _path(of: Tensor, wrt: Tensor) -> list[Tensor]:
    """What lies between: every tensor that is made from `wrt` and that `of` is made from, both included, `of` first."""
    nodes = reachable([of])
    depends = {wrt}
    for node in nodes:
        if any(source in depends for source in node.inputs):
            depends.add(node)
    return [node for node in reversed(nodes) if node in depends]


def _checked(index: Sequence[int], shape: Shape) -> tuple[int, ...]:
    places = [as_integer(place) for place in index]
    fits = len(places) == len(shape) and all(
        place is not None and -size <= place < size for place, size in zip(places, shape, strict=False)
    )
    if not fits:
        raise ValueError(
            f"receptive_field was given index {tuple(index)}, which is no element of shape {shape}; it takes one whole "
            "number for each axis, smaller than its size"
        )
    return tuple(int(place or 0) % size for place, size in zip(places, shape, strict=True))


# The rule for all elements

View: TypeAlias = tuple[int | None, AxisField]
"""The axis of `of` whose index moves the field, and the field."""


def _views(path: Sequence[Tensor], of: Tensor, wrt: Tensor) -> tuple[list[View], set[int]] | None:
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
    rows = list(zip(_fields(node)[number], source.shape, strict=True))
    spatial = {axis for axis, ((mover, _), _) in enumerate(rows) if mover in slid}
    if number < SLIDING.get(node.primitive, 0):
        spatial |= set(range(2, source.ndim))
    return [_composed(views, mover, field, size) for (mover, field), size in rows], spatial


def _fields(node: Tensor) -> Fields:
    if node.primitive is reshape:
        return [_reshape_rows(node)]
    if node.primitive.fields is None:
        return [[(None, WHOLE)] * source.ndim for source in node.inputs]
    return node.primitive.fields(node, *node.inputs, **node.attributes)


def _reshape_rows(node: Tensor) -> list[View]:
    (x,) = node.inputs
    rows: list[View] = [(None, WHOLE)] * x.ndim
    for before, after in axis_groups(x.shape, node.shape):
        if len(before) == len(after) == 1:
            rows[before[0]] = (after[0], POINTWISE)
    return rows


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


# One element: the places along each axis that are seen, as sorted lists, carried from each node to its inputs

Places: TypeAlias = list[np.ndarray]


def _box(path: Sequence[Tensor], of: Tensor, wrt: Tensor, index: tuple[int, ...]) -> Box | None:
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
    source, rows = node.inputs[number], _fields(node)[number]
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
