"""What is asked and answered: the field of a tensor on an earlier one, for all its elements or for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import overload

from wimmel.geometry import AxisField, ReceptiveField
from wimmel.geometry.whole_numbers import as_integer
from wimmel.graph.receptive.places import Box, box_of
from wimmel.graph.receptive.views import views_of
from wimmel.graph.tensor import Shape, Tensor
from wimmel.graph.tracing import reachable


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

    >>> import numpy as np
    >>> from wimmel.graph.primitives import convolution
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
        return box_of(path, of, wrt, _checked(index, of.shape))
    found = views_of(path, of, wrt)
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
