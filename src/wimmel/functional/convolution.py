"""The convolutional layer over one, two and three spatial axes, and the linear map that stands behind them.

Arguments, their order and the layout of weights are PyTorch's; arrays give arrays, tensors record. Each named function
is its number of axes over one general form, where strides, paddings and dilations become one number or pair per axis.
"""

from __future__ import annotations

from collections.abc import Sequence

from wimmel.functional.arguments import batched, channels, check_weight, floating, plus_bias, speaking_of, unbatched
from wimmel.geometry import Padding, output_sizes, padding_pairs, per_axis
from wimmel.graph import array, primitives
from wimmel.graph.tensor import Value
from wimmel.runtime.application import applied

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
        Zeros added around each picture, counted per side: 1 is one row or column on all four sides, (1, 2) one row
        above and below and two columns left and right. "valid" is none; "same" gives ceil(size / stride) outputs with
        the least padding, an odd extra row or column at the bottom or right; "same_lower" has it at the top or left;
        "full" lets every overlap count.
    dilation : int or (int, int), default 1
        Rows and columns between neighbouring elements of the filter.
    groups : int, default 1
        The channels are cut into so many groups, each with filters of its own; with c_in groups it is a depthwise
        convolution.

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
    return plus_bias(array.matmul(x, array.transpose(weight)), bias, "linear", weight.shape[0], 0)


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
    check_weight(name, weight, axes, "(c_out, c_in / groups, *kernel)")
    given = x.shape[1:] if single else x.shape
    with speaking_of(f"{name} was given an input of shape {given} and a weight of shape {weight.shape}"):
        (groups,) = per_axis(groups, 1, "groups")
        if x.shape[1] != weight.shape[1] * groups:
            raise ValueError(
                f"the input has {channels(x.shape[1])}, and with groups={groups} the weight takes "
                f"{channels(weight.shape[1] * groups)}"
            )
        if weight.shape[0] % groups:
            raise ValueError(f"the {channels(weight.shape[0])} that come out cannot be shared among {groups} groups")
        sizes, kernel = x.shape[2:], weight.shape[2:]
        strides, dilations = per_axis(stride, axes, "stride"), per_axis(dilation, axes, "dilation")
        pairs = padding_pairs(padding, sizes, kernel, strides, dilations)
        output_sizes(sizes, kernel, pairs, strides, dilations)
    y = applied(primitives.convolution, x, weight, stride=strides, padding=pairs, dilation=dilations, groups=groups)
    return unbatched(plus_bias(y, bias, name, y.shape[1], axes), single)
