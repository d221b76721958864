"""Pooling over sliding windows: the largest element or the mean of each, over one, two and three spatial axes.

Arguments are PyTorch's; arrays give arrays, tensors record. Windows are fixed here, at entry: kernel, stride, padding
and number of outputs for each axis. Pooling to a given output size stands in adaptive_pooling.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wimmel.functional.arguments import batched, floating, numbers, speaking_of, unbatched
from wimmel.geometry import Padding, padding_pairs, per_axis, pooled_sizes
from wimmel.graph import array, primitives
from wimmel.graph.tensor import Value
from wimmel.runtime.application import applied

Sizes = int | Sequence[int]


def max_pool1d(
    x: Value,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Value:
    """The largest element of each window of a sequence, channel by channel.

    Parameters
    ----------
    x : array or tensor (n, channels, length) or (channels, length)
    kernel_size, stride, padding, dilation, ceil_mode
        As for `max_pool2d`, with one axis.

    Returns
    -------
    array or tensor (n, channels, outputs), or (channels, outputs) for one sequence; dtype as x

    Raises
    ------
    ValueError, TypeError
        As `max_pool2d`.

    References
    ----------
    Lecture row L31.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool1d(np.array([[1.0, 3.0, 2.0, 0.0]]), 2)
    array([[3., 2.]])
    """
    return _max_pool("max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    x: Value,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Value:
    """The largest element of each window of a picture, channel by channel.

    A NaN counts as larger than any number. Where several elements are largest, the first in row-major order is the one
    that moves the result: it alone receives the gradient.

    Parameters
    ----------
    x : array or tensor (n, channels, height, width) or (channels, height, width); whole numbers too
    kernel_size : int or (int, int)
        Rows and columns of the window.
    stride : int or (int, int), default kernel_size
        Rows and columns between neighbouring windows.
    padding : int, (int, int), ((top, bottom), (left, right)) or word, default 0
        Added per side, at most half the kernel; what is added is smaller than everything.
    dilation : int or (int, int), default 1
        Rows and columns between neighbouring elements of a window.
    ceil_mode : bool, default False
        Let the last window stick out behind, as long as it starts inside the picture or the padding in front of it.

    Returns
    -------
    array or tensor (n, channels, rows, columns), or (channels, rows, columns) for one picture; dtype as x
        rows = floor((height + top + bottom - dilation * (kernel - 1) - 1) / stride) + 1, with ceil_mode rounded up.

    Raises
    ------
    ValueError
        If no window fits, the padding is more than half the kernel, or a number is out of range.
    TypeError
        If x is boolean.

    References
    ----------
    Lecture row L31.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 4, 4), 2)
    array([[[ 5.,  7.],
            [13., 15.]]])
    >>> max_pool2d(np.arange(9.0).reshape(1, 3, 3), 2, ceil_mode=True)
    array([[[4., 5.],
            [7., 8.]]])
    """
    return _max_pool("max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d(
    x: Value,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Value:
    """The largest element of each window of a volume, channel by channel.

    Parameters
    ----------
    x : array or tensor (n, channels, depth, height, width) or (channels, depth, height, width)
    kernel_size, stride, padding, dilation, ceil_mode
        As for `max_pool2d`, with three axes.

    Returns
    -------
    array or tensor (n, channels, *outputs), or (channels, *outputs) for one volume; dtype as x

    Raises
    ------
    ValueError, TypeError
        As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[7.]]]])
    """
    return _max_pool("max_pool3d", 3, x, kernel_size, stride, padding, dilation, ceil_mode)


def avg_pool1d(
    x: Value,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
) -> Value:
    """The mean of each window of a sequence, channel by channel.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, channels, length) or (channels, length)
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As for `avg_pool2d`, with one axis.

    Returns
    -------
    array or tensor (n, channels, outputs), or (channels, outputs) for one sequence; dtype as x

    Raises
    ------
    ValueError, TypeError
        As `avg_pool2d`.

    References
    ----------
    Lecture row L31.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool1d(np.array([[1.0, 3.0, 2.0, 0.0]]), 2)
    array([[2., 1.]])
    """
    return _avg_pool("avg_pool1d", 1, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool2d(
    x: Value,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
) -> Value:
    """The mean of each window of a picture, channel by channel.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, channels, height, width) or (channels, height, width)
    kernel_size : int or (int, int)
        Rows and columns of the window.
    stride : int or (int, int), default kernel_size
        Rows and columns between neighbouring windows.
    padding : int, (int, int), ((top, bottom), (left, right)) or word, default 0
        Zeros added per side, at most half the kernel.
    ceil_mode : bool, default False
        Let the last window stick out behind, as long as it starts inside the picture or the padding in front of it.
        What sticks out never counts.
    count_include_pad : bool, default True
        Whether the zeros of the padding count in the mean, or only elements of the picture.
    divisor_override : float, optional
        Divide every sum by this number instead.

    Returns
    -------
    array or tensor (n, channels, rows, columns), or (channels, rows, columns) for one picture; dtype as x

    Raises
    ------
    ValueError
        If no window fits, the padding is more than half the kernel, a number is out of range or the divisor is 0.
    TypeError
        If x is not floating point.

    References
    ----------
    Lecture row L31.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d(np.arange(16.0).reshape(1, 4, 4), 2)
    array([[[ 2.5,  4.5],
            [10.5, 12.5]]])
    >>> avg_pool2d(np.ones((1, 2, 2)), 2, padding=1, count_include_pad=True)
    array([[[0.25, 0.25],
            [0.25, 0.25]]])
    """
    return _avg_pool("avg_pool2d", 2, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    x: Value,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
) -> Value:
    """The mean of each window of a volume, channel by channel.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, channels, depth, height, width) or (channels, depth, height, width)
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As for `avg_pool2d`, with three axes.

    Returns
    -------
    array or tensor (n, channels, *outputs), or (channels, *outputs) for one volume; dtype as x

    Raises
    ------
    ValueError, TypeError
        As `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[3.5]]]])
    """
    return _avg_pool("avg_pool3d", 3, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _max_pool(
    name: str,
    axes: int,
    x: Value,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
    ceil_mode: bool,
) -> Value:
    x, single = batched(numbers(x, name), axes, name)
    windows = _windows(name, x.shape[single:], axes, kernel_size, stride, padding, dilation, ceil_mode)
    return unbatched(applied(primitives.max_pool, x, **windows), single)


def _avg_pool(
    name: str,
    axes: int,
    x: Value,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: float | None,
) -> Value:
    x, single = batched(floating(x, name), axes, name)
    windows = _windows(name, x.shape[single:], axes, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is None:
        divisor = _counts(x.shape[2:], windows, count_include_pad, x.dtype)
    elif divisor_override == 0:
        raise ValueError(f"{name} was given divisor_override=0, and nothing can be divided by 0")
    else:
        divisor = divisor_override
    return unbatched(array.divide(applied(primitives.sum_pool, x, **windows), divisor), single)


def _windows(
    name: str,
    shape: tuple[int, ...],
    axes: int,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
    ceil_mode: bool,
) -> dict[str, Any]:
    """The attributes of the pooling primitives, for an input of that shape, whose last axes are the spatial ones."""
    sizes = shape[-axes:]
    with speaking_of(f"{name} was given an input of shape {shape} and a window of size {kernel_size}"):
        kernel = per_axis(kernel_size, axes, "kernel_size")
        strides = kernel if stride is None else per_axis(stride, axes, "stride")
        dilations = per_axis(dilation, axes, "dilation")
        pairs = padding_pairs(padding, sizes, kernel, strides, dilations)
        outputs = pooled_sizes(sizes, kernel, pairs, strides, dilations, ceil_mode)
    return {"kernel": kernel, "stride": strides, "padding": pairs, "dilation": dilations, "outputs": outputs}


def _counts(sizes: tuple[int, ...], windows: dict[str, Any], include_padding: bool, dtype: np.dtype) -> Any:
    """How many elements each window averages over: one number if all agree, else an array of the outputs' shape."""
    counts = np.ones((), np.int64)
    keys = ("kernel", "stride", "padding", "outputs")
    for size, kernel, stride, (front, behind), outputs in zip(sizes, *(windows[key] for key in keys), strict=True):
        start = np.arange(outputs) * stride - front
        stop = start + kernel
        if include_padding:
            along = np.minimum(stop, size + behind) - start
        else:
            along = np.minimum(stop, size) - np.maximum(start, 0)
        counts = np.multiply.outer(counts, along)
    full = math.prod(windows["kernel"])
    return full if (counts == full).all() else counts.astype(dtype)
