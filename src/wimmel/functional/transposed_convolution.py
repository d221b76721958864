"""Transposed convolution over one, two and three spatial axes: the layer that spreads a filter for every element.

Arguments, their order and the layout of weights are PyTorch's; arrays give arrays, tensors record.
"""

from __future__ import annotations

from collections.abc import Sequence

from wimmel.functional.arguments import batched, channels, check_weight, floating, plus_bias, speaking_of, unbatched
from wimmel.geometry import padding_pairs, per_axis, transposed_sizes
from wimmel.graph import primitives
from wimmel.graph.tensor import Value
from wimmel.runtime.application import applied

Sizes = int | Sequence[int]
SidePadding = int | Sequence[int] | Sequence[Sequence[int]]
"""Padding in numbers; the words that a convolution takes have no one meaning here."""


def conv_transpose1d(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: SidePadding = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Value:
    """The transpose of `conv1d`, plus a bias: every element of x adds a scaled filter to the output.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, c_in, length) or (c_in, length)
    weight : float32 or float64 array or tensor (c_in, c_out / groups, kernel)
    bias : array or tensor (c_out,), optional
    stride, padding, output_padding, groups, dilation
        As for `conv_transpose2d`, with one axis.

    Returns
    -------
    array or tensor (n, c_out, outputs), or (c_out, outputs) for one sequence

    Raises
    ------
    ValueError, TypeError
        As `conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np
    >>> conv_transpose1d(np.array([[1.0, 10.0]]), np.array([[[1.0, 2.0, 3.0]]]), stride=2)
    array([[ 1.,  2., 13., 20., 30.]])
    """
    return _transposed("conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: SidePadding = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Value:
    """The transpose of `conv2d`, plus a bias: every pixel of x adds a scaled filter to the output.

    As a linear map of pictures it is the transpose of the convolution with the same weight, stride, padding, dilation
    and groups, and so that convolution's gradient by its input.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, c_in, height, width) or (c_in, height, width)
    weight : float32 or float64 array or tensor (c_in, c_out / groups, kernel_height, kernel_width)
        The channels of x come first: the layout that the transposed convolution has.
    bias : array or tensor (c_out,), optional
    stride : int or (int, int), default 1
        Output rows and columns between the filters of neighbouring pixels.
    padding : int, (int, int) or ((top, bottom), (left, right)), default 0
        Of the convolution that is transposed: so much is taken away at each side of the output.
    output_padding : int or (int, int), default 0
        Rows and columns added at the bottom and right, less than the stride or the dilation: with a stride several
        sizes are convolved to one, and this chooses among them.
    groups : int, default 1
    dilation : int or (int, int), default 1

    Returns
    -------
    array or tensor (n, c_out, rows, columns), or (c_out, rows, columns) for one picture
        rows = (height - 1) * stride - top - bottom + dilation * (kernel_height - 1) + output_padding + 1

    Raises
    ------
    ValueError
        If channels do not match, nothing is left of the output, or a number is out of range.
    TypeError
        If x or weight is not floating point.

    Notes
    -----
    Compiled code multiplies zeros around x, too, so that a weight that is infinite or NaN gives NaN near the border
    also where the definition, which the reference backend computes, gives a number. Finite weights give the same.

    References
    ----------
    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), chapter 4.

    Examples
    --------
    >>> import numpy as np
    >>> conv_transpose2d(np.array([[[1.0, 2.0]]]), np.ones((1, 1, 2, 2)), stride=2)
    array([[[1., 1., 2., 2.],
            [1., 1., 2., 2.]]])
    """
    return _transposed("conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: SidePadding = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Value:
    """The transpose of `conv3d`, plus a bias: every voxel of x adds a scaled filter to the output.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, c_in, depth, height, width) or (c_in, depth, height, width)
    weight : float32 or float64 array or tensor (c_in, c_out / groups, kernel_depth, kernel_height, kernel_width)
    bias : array or tensor (c_out,), optional
    stride, padding, output_padding, groups, dilation
        As for `conv_transpose2d`, with three axes.

    Returns
    -------
    array or tensor (n, c_out, *outputs), or (c_out, *outputs) for one volume

    Raises
    ------
    ValueError, TypeError
        As `conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np
    >>> x, weight = np.ones((1, 1, 2, 2, 2)), np.ones((1, 4, 3, 3, 3))
    >>> conv_transpose3d(x, weight, stride=2, padding=1, output_padding=1).shape
    (1, 4, 4, 4, 4)
    """
    return _transposed("conv_transpose3d", 3, x, weight, bias, stride, padding, output_padding, groups, dilation)


def _transposed(
    name: str,
    axes: int,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sizes,
    padding: SidePadding,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
) -> Value:
    x, weight = floating(x, name), floating(weight, name, "a weight")
    x, single = batched(x, axes, name)
    check_weight(name, weight, axes, "(c_in, c_out / groups, *kernel)")
    given = x.shape[1:] if single else x.shape
    with speaking_of(f"{name} was given an input of shape {given} and a weight of shape {weight.shape}"):
        (groups,) = per_axis(groups, 1, "groups")
        if x.shape[1] != weight.shape[0]:
            raise ValueError(f"the input has {channels(x.shape[1])}, the weight takes {channels(weight.shape[0])}")
        if x.shape[1] % groups:
            raise ValueError(f"the input's {channels(x.shape[1])} cannot be shared among {groups} groups")
        if isinstance(padding, str):
            raise ValueError(f"padding {padding!r} is a word, and here it must be numbers: how much to take away")
        sizes, kernel = x.shape[2:], weight.shape[2:]
        strides, dilations = per_axis(stride, axes, "stride"), per_axis(dilation, axes, "dilation")
        pairs = padding_pairs(padding, sizes, kernel, strides, dilations)
        added = per_axis(output_padding, axes, "output_padding", minimum=0)
        size = transposed_sizes(sizes, kernel, pairs, strides, dilations, added)
    y = applied(
        primitives.convolution_input_gradient,
        x,
        weight,
        size=size,
        stride=strides,
        padding=pairs,
        dilation=dilations,
        groups=groups,
    )
    return unbatched(plus_bias(y, bias, name, y.shape[1], axes), single)
