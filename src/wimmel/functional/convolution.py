"""Convolution layers' arithmetic: convolution over one, two and three spatial axes, its transpose, and the linear map.

Arguments, their order and the layout of weights are PyTorch's; arrays give arrays, tensors record. Each named function
is its number of axes over one general form, where strides, paddings and dilations become one number or pair per axis.
"""

from __future__ import annotations

from collections.abc import Sequence

from wimmel.functional.arguments import batched, floating, per_channel, speaking_of, unbatched
from wimmel.geometry import Padding, output_sizes, padding_pairs, per_axis, transposed_sizes
from wimmel.graph import array, primitives
from wimmel.graph.tensor import Value

Sizes = int | Sequence[int]


def conv1d(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Value:
    """The cross-correlation of sequences with filters, plus a bias: what a 1-D convolutional layer computes.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, c_in, length) or (c_in, length)
    weight : float32 or float64 array or tensor (c_out, c_in / groups, kernel)
    bias : array or tensor (c_out,), optional
    stride : int, default 1
        Elements between neighbouring positions of the filter.
    padding : int, ((front, behind),) or word, default 0
        Zeros added in front and behind; the words are those of `conv2d`.
    dilation : int, default 1
        Elements between neighbouring elements of the filter.
    groups : int, default 1
        The channels are cut into so many groups, each with filters of its own.

    Returns
    -------
    array or tensor (n, c_out, outputs), or (c_out, outputs) for one sequence
        outputs = floor((length + front + behind - dilation * (kernel - 1) - 1) / stride) + 1; the dtype is what NumPy
        makes of the two dtypes.

    Raises
    ------
    ValueError
        If channels do not match, the kernel is larger than the padded input, or a number is out of range.
    TypeError
        If x or weight is not floating point.

    References
    ----------
    Lecture row L11.

    Examples
    --------
    >>> import numpy as np
    >>> signal = np.array([[0.0, 0.0, 1.0, 1.0, 0.0]])
    >>> conv1d(signal, np.array([[[1.0, -1.0]]]))
    array([[ 0., -1.,  0.,  1.]])
    >>> conv1d(signal, np.ones((1, 1, 2)), padding=((1, 0),))
    array([[0., 0., 1., 2., 1.]])
    """
    return _convolution("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Value:
    """The cross-correlation of pictures with filters, plus a bias: what a convolutional layer computes.

    With X a picture, K the weight and b the bias, output channel o at (i, j) is

        Y[o, i, j] = b[o] + sum over c, a, b of K[o, c, a, b] * X[c, s i + d a - p, s j + d b - q]

    for stride s, dilation d and padding p in front of the rows and q in front of the columns, X being zero outside.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, c_in, height, width) or (c_in, height, width)
    weight : float32 or float64 array or tensor (c_out, c_in / groups, kernel_height, kernel_width)
    bias : array or tensor (c_out,), optional
    stride : int or (int, int), default 1
        Rows and columns between neighbouring positions of the filter.
    padding : int, (int, int), ((top, bottom), (left, right)) or word, default 0
        Zeros added around each picture, counted per side: 1 is one row or column on all four sides, (1, 2) one row above
        and below and two columns left and right. "valid" is none; "same" gives ceil(size / stride) outputs with the least
        padding, an odd extra row or column at the bottom or right; "same_lower" has it at the top or left; "full" lets
        every overlap count.
    dilation : int or (int, int), default 1
        Rows and columns between neighbouring elements of the filter.
    groups : int, default 1
        The channels are cut into so many groups, each with filters of its own; c_in groups make a depthwise convolution.

    Returns
    -------
    array or tensor (n, c_out, rows, columns), or (c_out, rows, columns) for one picture
        rows = floor((height + top + bottom - dilation * (kernel_height - 1) - 1) / stride) + 1, columns likewise; the
        dtype is what NumPy makes of the two dtypes.

    Raises
    ------
    ValueError
        If channels do not match, the kernel is larger than the padded picture, or a number is out of range.
    TypeError
        If x or weight is not floating point; `correlate` takes whole numbers and keeps them exact.

    References
    ----------
    Lecture rows L12, L13, L21 to L28; LeCun et al., "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86 (1998).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(9.0).reshape(1, 3, 3)
    >>> kernel = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> conv2d(x, kernel)
    array([[[19., 25.],
            [37., 43.]]])
    >>> conv2d(x, kernel, padding=1, stride=(3, 2))
    array([[[0., 8.],
            [6., 8.]]])
    """
    return _convolution("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


def conv3d(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Value:
    """The cross-correlation of volumes with filters, plus a bias: what a 3-D convolutional layer computes.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, c_in, depth, height, width) or (c_in, depth, height, width)
    weight : float32 or float64 array or tensor (c_out, c_in / groups, kernel_depth, kernel_height, kernel_width)
    bias : array or tensor (c_out,), optional
    stride, padding, dilation, groups
        As for `conv2d`, with three axes.

    Returns
    -------
    array or tensor (n, c_out, *outputs), or (c_out, *outputs) for one volume

    Raises
    ------
    ValueError, TypeError
        As `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> conv3d(np.ones((1, 1, 4, 5, 6)), np.ones((2, 1, 2, 2, 2)), np.array([0.0, 0.5]))[0, :, 0, 0, 0]
    array([8. , 8.5])
    """
    return _convolution("conv3d", 3, x, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: int | Sequence[int] | Sequence[Sequence[int]] = 0,
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
    padding: int | Sequence[int] | Sequence[Sequence[int]] = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Value:
    """The transpose of `conv2d`, plus a bias: every pixel of x adds a scaled filter to the output.

    As a linear map of pictures it is the transpose of the convolution with the same weight, stride, padding, dilation and
    groups, and so that convolution's gradient by its input.

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
        Rows and columns added at the bottom and right, less than the stride or the dilation: with a stride several sizes
        are convolved to one, and this chooses among them.
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
    padding: int | Sequence[int] | Sequence[Sequence[int]] = 0,
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
    >>> conv_transpose3d(np.ones((1, 1, 2, 2, 2)), np.ones((1, 4, 3, 3, 3)), stride=2, padding=1, output_padding=1).shape
    (1, 4, 4, 4, 4)
    """
    return _transposed("conv_transpose3d", 3, x, weight, bias, stride, padding, output_padding, groups, dilation)


def linear(x: Value, weight: Value, bias: Value | None = None) -> Value:
    """Every vector along x's last axis times the weight's transpose, plus a bias: a fully connected layer.

    Parameters
    ----------
    x : float32 or float64 array or tensor (..., features_in)
    weight : float32 or float64 array or tensor (features_out, features_in)
    bias : array or tensor (features_out,), optional

    Returns
    -------
    array or tensor (..., features_out)

    Raises
    ------
    ValueError
        If the features do not match.
    TypeError
        If x or weight is not floating point.

    References
    ----------
    Lecture row L29: on channels, at every pixel alike, it is the 1x1 convolution.

    Examples
    --------
    >>> import numpy as np
    >>> linear(np.array([1.0, 2.0]), np.array([[1.0, 1.0], [1.0, -1.0]]), np.array([0.5, 0.0]))
    array([ 3.5, -1. ])
    """
    x, weight = floating(x, "linear"), floating(weight, "linear", "a weight")
    if len(weight.shape) != 2 or not x.shape or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear was given an input of shape {x.shape} and a weight of shape {weight.shape}; the weight is "
            "(features_out, features_in), and features_in is the size of the input's last axis"
        )
    y = array.matmul(x, array.transpose(weight))
    return y if bias is None else array.add(y, per_channel(bias, "linear", "a bias", weight.shape[0], 0))


def _convolution(
    name: str,
    axes: int,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sizes,
    padding: Padding,
    dilation: Sizes,
    groups: int,
) -> Value:
    x, weight = floating(x, name), floating(weight, name, "a weight")
    x, single = batched(x, axes, name)
    subject = f"{name} was given an input of shape {x.shape[1:] if single else x.shape} and a weight of shape {weight.shape}"
    _check_rank(subject, weight, axes, "(c_out, c_in / groups, *kernel)")
    with speaking_of(subject):
        (groups,) = per_axis(groups, 1, "groups")
        if x.shape[1] != weight.shape[1] * groups:
            raise ValueError(
                f"the input has {_channels(x.shape[1])}, and with groups={groups} the weight takes "
                f"{_channels(weight.shape[1] * groups)}"
            )
        if weight.shape[0] % groups:
            raise ValueError(f"the {_channels(weight.shape[0])} that come out cannot be shared among {groups} groups")
        sizes, kernel = x.shape[2:], weight.shape[2:]
        strides, dilations = per_axis(stride, axes, "stride"), per_axis(dilation, axes, "dilation")
        pairs = padding_pairs(padding, sizes, kernel, strides, dilations)
        output_sizes(sizes, kernel, pairs, strides, dilations)
    y = primitives.convolution(x, weight, stride=strides, padding=pairs, dilation=dilations, groups=groups)
    return unbatched(_plus_bias(y, bias, name, axes), single)


def _transposed(
    name: str,
    axes: int,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sizes,
    padding: int | Sequence[int] | Sequence[Sequence[int]],
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
) -> Value:
    x, weight = floating(x, name), floating(weight, name, "a weight")
    x, single = batched(x, axes, name)
    subject = f"{name} was given an input of shape {x.shape[1:] if single else x.shape} and a weight of shape {weight.shape}"
    _check_rank(subject, weight, axes, "(c_in, c_out / groups, *kernel)")
    with speaking_of(subject):
        (groups,) = per_axis(groups, 1, "groups")
        if x.shape[1] != weight.shape[0]:
            raise ValueError(f"the input has {_channels(x.shape[1])}, and the weight takes {_channels(weight.shape[0])}")
        if x.shape[1] % groups:
            raise ValueError(f"the input's {_channels(x.shape[1])} cannot be shared among {groups} groups")
        if isinstance(padding, str):
            raise ValueError(f"padding {padding!r} is a word, and here it must be numbers: how much to take away")
        sizes, kernel = x.shape[2:], weight.shape[2:]
        strides, dilations = per_axis(stride, axes, "stride"), per_axis(dilation, axes, "dilation")
        pairs = padding_pairs(padding, sizes, kernel, strides, dilations)
        added = per_axis(output_padding, axes, "output_padding", minimum=0)
        transposed_sizes(sizes, kernel, pairs, strides, dilations, added)
        # The primitive wants a size that the convolution it transposes maps onto x's, so less than a stride is added to
        # it directly. Further rows (there are some only where the dilation is larger than the stride) are, first, those
        # that the padding took away behind; what then is left to add is empty.
        direct = tuple(min(extra, s - 1) for extra, s in zip(added, strides, strict=True))
        rest = [extra - now for extra, now in zip(added, direct, strict=True)]
        kept = [min(more, behind) for more, (_, behind) in zip(rest, pairs, strict=True)]
        pairs = tuple((front, behind - more) for (front, behind), more in zip(pairs, kept, strict=True))
        size = transposed_sizes(sizes, kernel, pairs, strides, dilations, direct)
    y = primitives.convolution_input_gradient(
        x, weight, size=size, stride=strides, padding=pairs, dilation=dilations, groups=groups
    )
    if rest != kept:
        empty = [more - now for more, now in zip(rest, kept, strict=True)]
        y = array.pad(y, ((0, 0), (0, 0), *((0, behind) for behind in empty)))
    return unbatched(_plus_bias(y, bias, name, axes), single)


def _check_rank(subject: str, weight: Value, axes: int, layout: str) -> None:
    if len(weight.shape) != axes + 2 or 0 in weight.shape:
        raise ValueError(
            f"{subject}; the weight must be {layout} with {axes} kernel ax{'i' if axes == 1 else 'e'}s and no axis empty"
        )


def _plus_bias(y: Value, bias: Value | None, name: str, axes: int) -> Value:
    return y if bias is None else array.add(y, per_channel(bias, name, "a bias", y.shape[1], axes))


def _channels(count: int) -> str:
    return f"{count} channel{'' if count == 1 else 's'}"
