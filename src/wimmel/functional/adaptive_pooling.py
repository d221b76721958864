"""Pooling to a size given in advance, whatever the size of the picture: adaptive means and maxima, and global ones.

Output i of an axis of n elements pooled to m looks at the elements from floor(i n / m) up to ceil((i + 1) n / m).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from wimmel.functional.arguments import batched, floating, numbers, speaking_of, unbatched
from wimmel.geometry import per_axis
from wimmel.graph import array, primitives
from wimmel.graph.tensor import Primitive, Value

OutputSizes = int | None | Sequence[int | None]


def adaptive_avg_pool1d(x: Value, output_size: OutputSizes) -> Value:
    """The means of as many windows of a sequence as are asked for, channel by channel.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, channels, length) or (channels, length)
    output_size : int or None
        How many; None means as many as there are elements.

    Returns
    -------
    array or tensor (n, channels, output_size), or (channels, output_size) for one sequence; dtype as x

    Raises
    ------
    ValueError, TypeError
        As `adaptive_avg_pool2d`.

    References
    ----------
    Lecture row L31.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_avg_pool1d(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), 2)
    array([[2., 4.]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, x, output_size)


def adaptive_avg_pool2d(x: Value, output_size: OutputSizes) -> Value:
    """The means of as many windows of a picture as are asked for, channel by channel: any picture fits.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, channels, height, width) or (channels, height, width)
    output_size : int, or pair of int or None
        Rows and columns; None keeps an axis as it is. More outputs than elements are allowed: windows then overlap.

    Returns
    -------
    array or tensor (n, channels, rows, columns), or (channels, rows, columns) for one picture; dtype as x

    Raises
    ------
    ValueError
        If x has the wrong number of axes, or a size is below 1.
    TypeError
        If x is not floating point.

    References
    ----------
    Lecture row L31.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_avg_pool2d(np.arange(9.0).reshape(1, 3, 3), 2)
    array([[[2., 3.],
            [5., 6.]]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, x, output_size)


def adaptive_max_pool1d(x: Value, output_size: OutputSizes) -> Value:
    """The largest elements of as many windows of a sequence as are asked for, channel by channel.

    Parameters
    ----------
    x : array or tensor (n, channels, length) or (channels, length)
    output_size : int or None
        How many; None means as many as there are elements.

    Returns
    -------
    array or tensor (n, channels, output_size), or (channels, output_size) for one sequence; dtype as x

    Raises
    ------
    ValueError, TypeError
        As `adaptive_max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_max_pool1d(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), 2)
    array([[3., 5.]])
    """
    return _adaptive_max_pool("adaptive_max_pool1d", 1, x, output_size)


def adaptive_max_pool2d(x: Value, output_size: OutputSizes) -> Value:
    """The largest elements of as many windows of a picture as are asked for, channel by channel.

    NaNs and ties are as in `max_pool2d`.

    Parameters
    ----------
    x : array or tensor (n, channels, height, width) or (channels, height, width); whole numbers too
    output_size : int, or pair of int or None
        Rows and columns; None keeps an axis as it is.

    Returns
    -------
    array or tensor (n, channels, rows, columns), or (channels, rows, columns) for one picture; dtype as x

    Raises
    ------
    ValueError
        If x has the wrong number of axes, or a size is below 1.
    TypeError
        If x is boolean.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_max_pool2d(np.arange(9.0).reshape(1, 3, 3), 2)
    array([[[4., 5.],
            [7., 8.]]])
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, x, output_size)


def global_avg_pool(x: Value, keepdims: bool = False) -> Value:
    """The mean of each channel over all its places.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, channels, *sizes)
        Any number of spatial axes; the batch axis is always there.
    keepdims : bool, default False
        Keep the spatial axes, with size 1.

    Returns
    -------
    array or tensor (n, channels), or (n, channels, 1, ...) with keepdims; dtype as x

    Raises
    ------
    ValueError
        If there is no spatial axis, or one is empty.
    TypeError
        If x is not floating point.

    References
    ----------
    Lin, Chen and Yan, "Network in network", ICLR 2014, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> global_avg_pool(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[1.5, 5.5]])
    """
    x = floating(x, "global_avg_pool")
    return array.mean(x, _spatial(x, "global_avg_pool"), keepdims)


def global_max_pool(x: Value, keepdims: bool = False) -> Value:
    """The largest element of each channel over all its places; NaNs and ties are as in `max_pool2d`.

    Parameters
    ----------
    x : array or tensor (n, channels, *sizes)
        Any number of spatial axes; the batch axis is always there.
    keepdims : bool, default False
        Keep the spatial axes, with size 1.

    Returns
    -------
    array or tensor (n, channels), or (n, channels, 1, ...) with keepdims; dtype as x

    Raises
    ------
    ValueError
        If there is no spatial axis, or one is empty.
    TypeError
        If x is boolean.

    Examples
    --------
    >>> import numpy as np
    >>> global_max_pool(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[3., 7.]])
    """
    x = numbers(x, "global_max_pool")
    axes = _spatial(x, "global_max_pool")
    places = math.prod(x.shape[2:])
    flat = array.reshape(x, (*x.shape[:2], places))
    # chosen by its place, so that of equal elements only the first gets the gradient
    chosen = array.equal(array.argmax(flat, -1, keepdims=True), np.arange(places))
    largest = array.cast(array.sum(array.where(chosen, flat, 0), -1), x.dtype)
    return array.reshape(largest, (*x.shape[:2], *(1 for _ in axes))) if keepdims else largest


def _adaptive_avg_pool(name: str, axes: int, x: Value, output_size: OutputSizes) -> Value:
    x, single = batched(floating(x, name), axes, name)
    outputs = _outputs(name, x.shape[single:], axes, output_size)
    counts = np.ones((), np.int64)
    for n, m in zip(x.shape[2:], outputs, strict=True):
        counts = np.multiply.outer(counts, [stop - start for start, stop in _bounds(n, m)])
    same = (counts == counts.flat[0]).all()
    divisor = int(counts.flat[0]) if same else counts.astype(x.dtype)
    return unbatched(array.divide(_pooled(primitives.sum_pool, x, outputs), divisor), single)


def _adaptive_max_pool(name: str, axes: int, x: Value, output_size: OutputSizes) -> Value:
    x, single = batched(numbers(x, name), axes, name)
    outputs = _outputs(name, x.shape[single:], axes, output_size)
    return unbatched(_pooled(primitives.max_pool, x, outputs), single)


def _pooled(pool: Primitive, x: Value, outputs: tuple[int, ...]) -> Value:
    """x pooled to these sizes: one axis after the other, or all at once if on every axis the windows are evenly spaced.

    Of equal maxima it stays the first in row-major order that is chosen if the last axis goes first.
    """
    even = [_even(n, m) for n, m in zip(x.shape[2:], outputs, strict=True)]
    if all(even):
        kernel, stride = zip(*(spacing for spacing in even if spacing), strict=True)
        return _windows(pool, x, kernel, stride, outputs)
    for axis in reversed(range(len(outputs))):
        x = _pooled_along(pool, x, axis, outputs[axis])
    return x


def _pooled_along(pool: Primitive, x: Value, axis: int, outputs: int) -> Value:
    sizes = x.shape[2:]

    def window(piece: Value, kernel: int, stride: int, count: int) -> Value:
        def along(here: int, elsewhere: Sequence[int]) -> tuple[int, ...]:
            return (*elsewhere[:axis], here, *elsewhere[axis + 1 :])

        ones = (1,) * len(sizes)
        return _windows(pool, piece, along(kernel, ones), along(stride, ones), along(count, sizes))

    spacing = _even(sizes[axis], outputs)
    if spacing:
        return window(x, *spacing, outputs)
    pieces = []
    for start, stop in _bounds(sizes[axis], outputs):
        piece = array.getitem(x, (..., slice(start, stop), *(slice(None),) * (len(sizes) - axis - 1)))
        pieces.append(window(piece, stop - start, 1, 1))
    return array.concatenate(pieces, axis + 2)


def _windows(pool: Primitive, x: Value, kernel: Any, stride: Any, outputs: tuple[int, ...]) -> Value:
    ones = (1,) * len(outputs)
    return pool(x, kernel=kernel, stride=stride, padding=((0, 0),) * len(outputs), dilation=ones, outputs=outputs)


def _bounds(n: int, m: int) -> list[tuple[int, int]]:
    """Start and stop of each of m windows over n elements."""
    return [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


def _even(n: int, m: int) -> tuple[int, int] | None:
    """Length and stride of the windows, if they are all as long and as far from each other."""
    bounds = _bounds(n, m)
    lengths = {stop - start for start, stop in bounds}
    strides = {after[0] - before[0] for before, after in pairwise(bounds)} or {1}
    return (lengths.pop(), strides.pop()) if len(lengths) == len(strides) == 1 and 0 not in strides else None


def _outputs(name: str, shape: tuple[int, ...], axes: int, output_size: OutputSizes) -> tuple[int, ...]:
    """The sizes to pool to, for an input of that shape, whose last axes are the spatial ones."""
    sizes = shape[-axes:]
    with speaking_of(f"{name} was given an input of shape {shape} and output_size {output_size}"):
        if 0 in sizes:
            raise ValueError("a spatial axis is empty, and there is nothing to pool")
        wanted: Any = sizes if output_size is None else output_size
        if isinstance(wanted, Sequence) and len(wanted) == axes:
            wanted = [n if m is None else m for n, m in zip(sizes, wanted, strict=True)]
        return per_axis(wanted, axes, "output_size")


def _spatial(x: Value, name: str) -> tuple[int, ...]:
    if len(x.shape) < 3 or 0 in x.shape[2:]:
        raise ValueError(f"{name} was given an input of shape {x.shape}; it takes (n, channels, *sizes), no size 0")
    return tuple(range(2, len(x.shape)))
