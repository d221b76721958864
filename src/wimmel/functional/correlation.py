"""The lecture's two operations in any number of dimensions: cross-correlation and convolution with a kernel.

Given plain arrays without channels, numbers of any kind; whole numbers stay exact. Layers use convolution.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wimmel.functional.arguments import operand, speaking_of
from wimmel.geometry import Padding, Pairs, output_sizes, padding_pairs, per_axis
from wimmel.graph import array, primitives
from wimmel.graph.tensor import Value
from wimmel.runtime.application import applied

Sizes = int | Sequence[int]

BOUNDARIES = ("zero", "reflect", "replicate", "circular")


def correlate(
    x: Value,
    kernel: Value,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    axes: int | Sequence[int] | None = None,
    boundary: str = "zero",
) -> Value:
    """The cross-correlation of x with a kernel: at every place, the sum of products of kernel and window.

    In two dimensions, without padding, Y[i, j] = sum over a, b of K[a, b] * X[i + a, j + b]; the kernel is not flipped.

    Parameters
    ----------
    x : array or tensor, any shape and dtype
    kernel : array or tensor, any dtype, at most as many axes as x
    stride, dilation : int or one for each kernel axis, default 1
        Elements between neighbouring windows, and between neighbouring elements of a window.
    padding : int, one for each kernel axis, one (front, behind) pair for each, or word, default 0
        Added per side. "valid" is none; "same" keeps the size at stride 1, an odd extra element behind; "same_lower"
        has it in front, as the lecture for even kernels; "full" is dilation * (size - 1) on each side, so that every
        overlap counts. `geometry.lecture_padding` gives the lecture's padding for larger strides too.
    axes : int or sequence of int, optional
        The axes of x along which the kernel's axes lie, in order; by default the last ones. Along all other axes x is a
        batch: every slice is correlated with the same kernel.
    boundary : {"zero", "reflect", "replicate", "circular"}, default "zero"
        What the padding holds: ``1234`` padded by two is ``00123400``, ``32123432``, ``11123444`` or ``34123412``.

    Returns
    -------
    array or tensor, as x but for the sizes of those axes, which become
        floor((size + front + behind - dilation * (kernel size - 1) - 1) / stride) + 1. Booleans (counted as 0 and 1)
        and whole numbers give int64, or uint64 if one of the two is uint64 and the other not signed; sums beyond its
        range wrap around. Floating point with anything gives what NumPy makes of the two dtypes.

    Raises
    ------
    ValueError
        If the kernel is larger than the padded x or has more axes, or an argument is out of range.
    TypeError
        If uint64 meets a signed dtype (no whole-number dtype holds both), or a dtype is complex or float16.

    References
    ----------
    Lecture rows L7, L12, L15, L21, L24 and L26, equation 1.

    Examples
    --------
    >>> correlate(np.arange(9).reshape(3, 3), np.arange(4).reshape(2, 2))
    array([[19, 25],
           [37, 43]])
    >>> correlate([1, 1, 0, 0, 1], [1, -1])
    array([ 0,  1,  0, -1])
    >>> correlate(np.eye(3), [1.0, 1.0], axes=0, padding=((0, 1),), boundary="circular")
    array([[1., 1., 0.],
           [0., 1., 1.],
           [1., 0., 1.]])
    """
    return _correlation("correlate", x, kernel, stride, padding, dilation, axes, boundary, flipped=False)


def convolve(
    x: Value,
    kernel: Value,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    axes: int | Sequence[int] | None = None,
    boundary: str = "zero",
) -> Value:
    """The convolution of x with a kernel: the cross-correlation with the kernel flipped along all its axes.

    In two dimensions, over all overlaps (padding="full"), (f * g)(i, j) = sum over a, b of f(a, b) g(i - a, j - b).

    ``np.convolve`` and ``scipy.signal.convolve`` give all overlaps unless told otherwise ("full"); here, as in a layer,
    the default is only those where the kernel lies wholly inside ("valid"), and padding="full" gives all. Their mode
    "same" is padding="same_lower", which differs from "same" for kernels of even size only.

    Parameters
    ----------
    x, kernel, stride, padding, dilation, axes, boundary
        As for `correlate`.

    Returns
    -------
    array or tensor, as `correlate`

    Raises
    ------
    ValueError, TypeError
        As `correlate`.

    References
    ----------
    Lecture rows L6, L7 and L17, equation 2.

    Examples
    --------
    >>> convolve([1, 2, 3], [0, 1, 10], padding="full")
    array([ 0,  1, 12, 23, 30])
    >>> np.convolve([1, 2, 3], [0, 1, 10])
    array([ 0,  1, 12, 23, 30])
    >>> convolve([1, 2, 3], [0, 1, 10])
    array([12])
    """
    return _correlation("convolve", x, kernel, stride, padding, dilation, axes, boundary, flipped=True)


def _correlation(
    name: str,
    x: Value,
    kernel: Value,
    stride: Sizes,
    padding: Padding,
    dilation: Sizes,
    axes: int | Sequence[int] | None,
    boundary: str,
    flipped: bool,
) -> Value:
    x, kernel = _exact(operand(x, name), operand(kernel, name), name)
    if boundary not in BOUNDARIES:
        raise ValueError(f"{name} was given boundary {boundary!r}; the boundaries are {', '.join(BOUNDARIES)}")
    rank = len(kernel.shape)
    with speaking_of(f"{name} was given x of shape {x.shape} and a kernel of shape {kernel.shape}"):
        if rank == 0 or rank > len(x.shape) or 0 in kernel.shape:
            raise ValueError("the kernel needs an axis, no more axes than x, and no axis empty")
        along = _axes(axes, rank, len(x.shape))
        sizes = tuple(x.shape[axis] for axis in along)
        strides, dilations = per_axis(stride, rank, "stride"), per_axis(dilation, rank, "dilation")
        pairs = padding_pairs(padding, sizes, kernel.shape, strides, dilations)
        outputs = output_sizes(sizes, kernel.shape, pairs, strides, dilations)
    if flipped:
        kernel = array.flip(kernel)
    batch = [axis for axis in range(len(x.shape)) if axis not in along]
    order = (*batch, *along)
    rows = array.transpose(x, order)
    if boundary != "zero":
        rows = array.pad(rows, ((0, 0),) * len(batch) + pairs, mode=boundary)
        pairs = ((0, 0),) * rank
    y = _single_channel(rows, kernel, strides, pairs, dilations)
    y = array.reshape(y, (*(x.shape[axis] for axis in batch), *outputs))
    return array.transpose(y, tuple(order.index(axis) for axis in range(len(order))))


def _single_channel(rows: Value, kernel: Value, stride: Sizes, padding: Pairs, dilation: Sizes) -> Value:
    """The general convolution with a batch of everything in front, and one channel."""
    rank = len(kernel.shape)
    pictures = math.prod(rows.shape[:-rank])
    return applied(
        primitives.convolution,
        array.reshape(rows, (pictures, 1, *rows.shape[-rank:])),
        array.reshape(kernel, (1, 1, *kernel.shape)),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=1,
    )


def _exact(x: Value, kernel: Value, name: str) -> tuple[Value, Value]:
    """Both in the dtype to add in."""
    kinds = {x.dtype.kind, kernel.dtype.kind}
    if "f" in kinds:
        dtype = np.result_type(x.dtype, kernel.dtype)
    elif np.dtype(np.uint64) not in (x.dtype, kernel.dtype):
        dtype = np.dtype(np.int64)
    elif "i" in kinds:
        raise TypeError(
            f"{name} was given {x.dtype} and {kernel.dtype}, and no whole-number dtype holds both; "
            "convert one: x.astype(np.int64), or np.float64 if rounding is acceptable"
        )
    else:
        dtype = np.dtype(np.uint64)
    return array.cast(x, dtype), array.cast(kernel, dtype)


def _axes(axes: int | Sequence[int] | None, kernel_rank: int, rank: int) -> tuple[int, ...]:
    if axes is None:
        return tuple(range(rank - kernel_rank, rank))
    given = (axes,) if isinstance(axes, (int, np.integer)) else tuple(axes)
    if any(not -rank <= axis < rank for axis in given):
        raise ValueError(f"axes {given} are not all between {-rank} and {rank - 1}, where x's axes are")
    named = tuple(axis % rank for axis in given)
    if len(named) != kernel_rank or len(set(named)) != kernel_rank:
        raise ValueError(f"axes {given} must name {kernel_rank} different axes of x, one for each axis of the kernel")
    return named
