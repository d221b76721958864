"""Pooling layers: maxima and averages over windows that slide along the spatial axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from wimmel import functional
from wimmel.geometry import per_axis
from wimmel.geometry.whole_numbers import at_least
from wimmel.nn.arguments import checked_padding, short
from wimmel.nn.module import Module

Sizes = int | Sequence[int]


class _MaxPool(Module):
    axes: ClassVar[int]
    function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Any = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = per_axis(kernel_size, self.axes, "kernel_size")
        self.stride = self.kernel_size if stride is None else per_axis(stride, self.axes, "stride")
        self.dilation = per_axis(dilation, self.axes, "dilation")
        self.padding = checked_padding(padding, self.kernel_size, self.stride, self.dilation)
        self.ceil_mode = ceil_mode

    def forward(self, x: Any) -> Any:
        return type(self).function(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        return _described(self, (("padding", 0), ("dilation", 1), ("ceil_mode", False)))


class MaxPool1d(_MaxPool):
    """The largest element of each window of a sequence: (n, c, length). As `MaxPool2d`, with one axis.

    Examples
    --------
    >>> import numpy as np
    >>> MaxPool1d(2)(np.zeros((1, 3, 9), np.float32)).shape
    (1, 3, 4)
    """

    axes = 1
    function = staticmethod(functional.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest element of each window: (n, c, height, width) to (n, c, new height, new width).

    Parameters
    ----------
    kernel_size : int or (int, int)
    stride : int or (int, int), default kernel_size
    padding : int or (int, int), default 0
        At most half the kernel; padding is never the largest.
    dilation : int or (int, int), default 1
    ceil_mode : bool, default False
        Let a last window stick out at the bottom and right rather than leave rows and columns over.

    References
    ----------
    Lecture row L31.

    Examples
    --------
    >>> import numpy as np
    >>> MaxPool2d(2)(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4))
    array([[[[ 5.,  7.],
             [13., 15.]]]], dtype=float32)
    """

    axes = 2
    function = staticmethod(functional.max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest element of each window of a volume: (n, c, depth, height, width). As `MaxPool2d`, with three axes.

    Examples
    --------
    >>> import numpy as np
    >>> MaxPool3d(2)(np.zeros((1, 1, 4, 4, 4), np.float32)).shape
    (1, 1, 2, 2, 2)
    """

    axes = 3
    function = staticmethod(functional.max_pool3d)


class _AvgPool(Module):
    axes: ClassVar[int]
    function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size = per_axis(kernel_size, self.axes, "kernel_size")
        self.stride = self.kernel_size if stride is None else per_axis(stride, self.axes, "stride")
        self.padding = checked_padding(padding, self.kernel_size, self.stride, (1,) * self.axes)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = None if divisor_override is None else at_least(divisor_override, 1, "divisor_override")

    def forward(self, x: Any) -> Any:
        return type(self).function(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return _described(
            self, (("padding", 0), ("ceil_mode", False), ("count_include_pad", True), ("divisor_override", None))
        )


class AvgPool1d(_AvgPool):
    """The mean of each window of a sequence: (n, c, length). As `AvgPool2d`, with one axis.

    Examples
    --------
    >>> import numpy as np
    >>> AvgPool1d(2)(np.array([[[1.0, 3.0, 5.0, 7.0]]]))
    array([[[2., 6.]]])
    """

    axes = 1
    function = staticmethod(functional.avg_pool1d)


class AvgPool2d(_AvgPool):
    """The mean of each window: (n, c, height, width) to (n, c, new height, new width).

    Parameters
    ----------
    kernel_size : int or (int, int)
    stride : int or (int, int), default kernel_size
    padding : int or (int, int), default 0
        At most half the kernel.
    ceil_mode : bool, default False
    count_include_pad : bool, default True
        Whether padding counts as zeros that were averaged, or not at all.
    divisor_override : int, optional
        What sums are divided by instead of the count.

    References
    ----------
    Lecture row L31.

    Examples
    --------
    >>> import numpy as np
    >>> AvgPool2d(2)(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4))
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]], dtype=float32)
    """

    axes = 2
    function = staticmethod(functional.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window of a volume: (n, c, depth, height, width). As `AvgPool2d`, with three axes.

    Examples
    --------
    >>> import numpy as np
    >>> AvgPool3d(2)(np.zeros((1, 1, 4, 4, 4), np.float32)).shape
    (1, 1, 2, 2, 2)
    """

    axes = 3
    function = staticmethod(functional.avg_pool3d)


class AdaptiveAvgPool2d(Module):
    """Means over as many windows as asked for, covering the picture: (n, c, height, width) to (n, c, *output_size).

    Parameters
    ----------
    output_size : int or (int, int)

    Examples
    --------
    >>> import numpy as np
    >>> AdaptiveAvgPool2d(1)(np.zeros((2, 8, 7, 5), np.float32)).shape
    (2, 8, 1, 1)
    """

    def __init__(self, output_size: Sizes) -> None:
        self.output_size = per_axis(output_size, 2, "output_size")

    def forward(self, x: Any) -> Any:
        return functional.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return repr(short(self.output_size))


class GlobalAvgPool(Module):
    """The mean of every channel over all spatial axes: (n, c, *sizes) to (n, c).

    Examples
    --------
    >>> import numpy as np
    >>> GlobalAvgPool()(np.zeros((2, 8, 7, 5), np.float32)).shape
    (2, 8)
    """

    def forward(self, x: Any) -> Any:
        return functional.global_avg_pool(x)


class GlobalMaxPool(Module):
    """The largest element of every channel over all spatial axes: (n, c, *sizes) to (n, c).

    Examples
    --------
    >>> import numpy as np
    >>> GlobalMaxPool()(np.zeros((2, 8, 7, 5), np.float32)).shape
    (2, 8)
    """

    def forward(self, x: Any) -> Any:
        return functional.global_max_pool(x)


def _described(layer: Any, rest: Sequence[tuple[str, Any]]) -> str:
    parts = [f"{short(layer.kernel_size)}"]
    if layer.stride != layer.kernel_size:
        parts.append(f"stride={short(layer.stride)}")
    for name, default in rest:
        value = short(getattr(layer, name))
        if value != default:
            parts.append(f"{name}={value}")
    return ", ".join(parts)
