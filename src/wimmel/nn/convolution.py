"""Convolutional layers, in one to three dimensions, and their transposes: one general form, thin named classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from wimmel import functional
from wimmel.geometry import padding_pairs, per_axis
from wimmel.geometry.whole_numbers import at_least
from wimmel.nn.arguments import checked_padding, short
from wimmel.nn.initializers import fan_in_uniform
from wimmel.nn.module import Module
from wimmel.nn.parameters import Parameter

PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}

Sizes = int | Sequence[int]


class _Convolution(Module):
    """A convolutional layer over any number of spatial axes; the named ones fix how many."""

    axes: ClassVar[int]
    function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Any = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        in_channels, out_channels, groups = _checked_channels(type(self).__name__, in_channels, out_channels, groups)
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"padding_mode was {padding_mode!r}; it is one of {', '.join(PADDING_MODES)}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis(kernel_size, self.axes, "kernel_size")
        self.stride = per_axis(stride, self.axes, "stride")
        self.dilation = per_axis(dilation, self.axes, "dilation")
        self.padding = checked_padding(padding, self.kernel_size, self.stride, self.dilation)
        self.groups = groups
        self.bias_used = bias
        self.padding_mode = padding_mode
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        fan_in = math.prod(shape[1:])
        self.weight = Parameter.drawn(shape, fan_in_uniform())
        self.bias = Parameter.drawn((out_channels,), fan_in_uniform(fan_in)) if bias else None

    def forward(self, x: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            sizes = x.shape[-self.axes :]
            pairs = padding_pairs(padding, sizes, self.kernel_size, self.stride, self.dilation)
            x = functional.pad(x, ((0, 0),) * (len(x.shape) - self.axes) + pairs, PADDING_MODES[self.padding_mode])
            padding = 0
        return type(self).function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={short(self.kernel_size)}"]
        for name, default in (("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1)):
            value = getattr(self, name)
            if short(value) != default:
                parts.append(f"{name}={short(value)!r}")
        if not self.bias_used:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode!r}")
        return ", ".join(parts)


class Conv1d(_Convolution):
    """A convolutional layer over sequences: (n, in_channels, length) to (n, out_channels, new length).

    Parameters and errors as for `Conv2d`, with one spatial axis; a padding pair is written ((front, behind),).

    References
    ----------
    Lecture row L11.

    Examples
    --------
    >>> import numpy as np
    >>> Conv1d(2, 4, 3, padding="same")(np.zeros((1, 2, 10), np.float32)).shape
    (1, 4, 10)
    """

    axes = 1
    function = staticmethod(functional.conv1d)


class Conv2d(_Convolution):
    """A convolutional layer: (n, in_channels, height, width) to (n, out_channels, new height, new width).

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or (int, int)
    stride : int or (int, int), default 1
    padding : default 0
        An int or (rows, columns) for each side, ((top, bottom), (left, right)), "valid", "same" or "same_lower".
    dilation : int or (int, int), default 1
    groups : int, default 1
        Input and output channels fall into this many groups that do not see each other.
    bias : bool, default True
    padding_mode : {"zeros", "reflect", "replicate", "circular"}, default "zeros"

    Attributes
    ----------
    weight : float32 (out_channels, in_channels / groups, kernel height, kernel width)
    bias : float32 (out_channels,) or None

    Raises
    ------
    ValueError
        For sizes that are not positive, groups that do not divide the channels, or at the call an input with another
        number of channels or smaller than the kernel.

    References
    ----------
    Lecture rows L14 and L28; equation (3).

    Examples
    --------
    >>> import numpy as np
    >>> layer = Conv2d(3, 8, 5, stride=2, padding=2)
    >>> layer
    Conv2d(3, 8, kernel_size=5, stride=2, padding=2)
    >>> layer(np.zeros((1, 3, 32, 32), np.float32)).shape
    (1, 8, 16, 16)
    """

    axes = 2
    function = staticmethod(functional.conv2d)


class Conv3d(_Convolution):
    """A convolutional layer over volumes: (n, in_channels, depth, height, width). As `Conv2d`, with three axes.

    Examples
    --------
    >>> import numpy as np
    >>> Conv3d(1, 2, 3)(np.zeros((1, 1, 5, 6, 7), np.float32)).shape
    (1, 2, 3, 4, 5)
    """

    axes = 3
    function = staticmethod(functional.conv3d)


class _ConvolutionTransposed(Module):
    """A transposed convolutional layer over any number of spatial axes; the named ones fix how many."""

    axes: ClassVar[int]
    function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Any = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
    ) -> None:
        in_channels, out_channels, groups = _checked_channels(type(self).__name__, in_channels, out_channels, groups)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis(kernel_size, self.axes, "kernel_size")
        self.stride = per_axis(stride, self.axes, "stride")
        self.dilation = per_axis(dilation, self.axes, "dilation")
        self.padding = checked_padding(padding, self.kernel_size, self.stride, self.dilation)
        self.output_padding = per_axis(output_padding, self.axes, "output_padding", minimum=0)
        self.groups = groups
        self.bias_used = bias
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        fan_in = math.prod(shape[1:])
        self.weight = Parameter.drawn(shape, fan_in_uniform())
        self.bias = Parameter.drawn((out_channels,), fan_in_uniform(fan_in)) if bias else None

    def forward(self, x: Any) -> Any:
        return type(self).function(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={short(self.kernel_size)}"]
        defaults = (("stride", 1), ("padding", 0), ("output_padding", 0), ("groups", 1), ("dilation", 1))
        for name, default in defaults:
            value = getattr(self, name)
            if short(value) != default:
                parts.append(f"{name}={short(value)!r}")
        return ", ".join(parts if self.bias_used else [*parts, "bias=False"])


class ConvTranspose1d(_ConvolutionTransposed):
    """The transpose of `Conv1d` as a layer: (n, in_channels, length) to (n, out_channels, new length).

    Examples
    --------
    >>> import numpy as np
    >>> ConvTranspose1d(2, 4, 2, stride=2)(np.zeros((1, 2, 5), np.float32)).shape
    (1, 4, 10)
    """

    axes = 1
    function = staticmethod(functional.conv_transpose1d)


class ConvTranspose2d(_ConvolutionTransposed):
    """The transpose of `Conv2d` as a layer: what a convolution's gradient does to its input, used to enlarge.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation, groups, bias
        Those of the convolution that this transposes.
    output_padding : int or (int, int), default 0
        Rows and columns added at the bottom and right, to choose among the sizes that the convolution maps to one.

    Attributes
    ----------
    weight : float32 (in_channels, out_channels / groups, kernel height, kernel width)
    bias : float32 (out_channels,) or None

    Examples
    --------
    >>> import numpy as np
    >>> ConvTranspose2d(8, 3, 4, stride=2, padding=1)(np.zeros((1, 8, 16, 16), np.float32)).shape
    (1, 3, 32, 32)
    """

    axes = 2
    function = staticmethod(functional.conv_transpose2d)


class ConvTranspose3d(_ConvolutionTransposed):
    """The transpose of `Conv3d` as a layer. As `ConvTranspose2d`, with three axes.

    Examples
    --------
    >>> import numpy as np
    >>> ConvTranspose3d(1, 1, 2, stride=2)(np.zeros((1, 1, 2, 3, 4), np.float32)).shape
    (1, 1, 4, 6, 8)
    """

    axes = 3
    function = staticmethod(functional.conv_transpose3d)


def _checked_channels(name: str, in_channels: int, out_channels: int, groups: int) -> tuple[int, int, int]:
    inputs = at_least(in_channels, 1, f"in_channels of {name}")
    outputs = at_least(out_channels, 1, f"out_channels of {name}")
    parts = at_least(groups, 1, f"groups of {name}")
    if inputs % parts or outputs % parts:
        raise ValueError(
            f"{name} was given groups={parts} for {inputs} input and {outputs} output channels; groups must divide both"
        )
    return inputs, outputs, parts
