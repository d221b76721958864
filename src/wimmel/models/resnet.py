"""Residual networks, whose blocks add to what passes by them: three for ImageNet's pictures and one for CIFAR's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wimmel import functional, nn
from wimmel.models.units import normalized


def resnet18(classes: int = 1000, channels: int = 3, seed: int | None = None) -> nn.Sequential:
    """ResNet-18: a 7x7 convolution, pooling, four stages of two blocks of two convolutions, means, a dense layer.

    The picture's sides are halved five times; any size is taken. The stages are ``net[1]`` to ``net[4]``.

    Parameters
    ----------
    classes : int, default 1000
        Outputs: one score per class, before softmax.
    channels : int, default 3
        Of the pictures.
    seed : int, optional
        Draws the first parameters reproducibly.

    Returns
    -------
    Sequential, from (n, channels, height, width) to (n, classes)

    References
    ----------
    He, Zhang, Ren and Sun, "Deep residual learning for image recognition" (2016), table 1, which counts 1.8e9
    multiply-adds for 224 x 224 pixels; shortcuts that change their shape are option B of its section 3.3. Lecture rows
    L30 and L34.

    Examples
    --------
    >>> resnet18().parameter_count()
    11689512
    """
    return _for_imagenet(BasicBlock, (2, 2, 2, 2), (64, 128, 256, 512), classes, channels, seed)


def resnet34(classes: int = 1000, channels: int = 3, seed: int | None = None) -> nn.Sequential:
    """ResNet-34: `resnet18` with stages of 3, 4, 6 and 3 blocks.

    Parameters
    ----------
    classes, channels, seed
        As for `resnet18`.

    Returns
    -------
    Sequential, from (n, channels, height, width) to (n, classes)

    References
    ----------
    He et al. (2016), table 1, which counts 3.6e9 multiply-adds for 224 x 224 pixels. Lecture row L34.

    Examples
    --------
    >>> resnet34().parameter_count()
    21797672
    """
    return _for_imagenet(BasicBlock, (3, 4, 6, 3), (64, 128, 256, 512), classes, channels, seed)


def resnet50(classes: int = 1000, channels: int = 3, seed: int | None = None) -> nn.Sequential:
    """ResNet-50: `resnet34` with blocks of three convolutions, the middle one on a quarter of the channels.

    A block that halves the picture does so in its 3x3 convolution, as most libraries have it, and not, as in the
    paper, in the 1x1 before: the same parameters, and 4.1e9 multiply-adds for 224 x 224 pixels instead of 3.8e9.

    Parameters
    ----------
    classes, channels, seed
        As for `resnet18`.

    Returns
    -------
    Sequential, from (n, channels, height, width) to (n, classes)

    References
    ----------
    He et al. (2016), table 1 and figure 5. Lecture rows L30 and L34.

    Examples
    --------
    >>> resnet50().parameter_count()
    25557032
    """
    return _for_imagenet(Bottleneck, (3, 4, 6, 3), (256, 512, 1024, 2048), classes, channels, seed)


def resnet20(classes: int = 10, channels: int = 3, seed: int | None = None) -> nn.Sequential:
    """ResNet-20 for small pictures such as CIFAR's: a 3x3 convolution, three stages of three blocks, a dense layer.

    Shortcuts have no parameters: where a stage begins, they take every other pixel, and the new channels are zeros.

    Parameters
    ----------
    classes : int, default 10
        Outputs: one score per class, before softmax.
    channels : int, default 3
        Of the pictures.
    seed : int, optional
        Draws the first parameters reproducibly.

    Returns
    -------
    Sequential, from (n, channels, height, width) to (n, classes)

    References
    ----------
    He et al. (2016), section 4.2, with n = 3 and option A; table 6 gives 0.27 million parameters and an error of 8.75%
    on CIFAR-10. Lecture row L34.

    Examples
    --------
    >>> resnet20().parameter_count()
    269722
    """
    stem = nn.Sequential(*normalized(channels, 16, 3, activation=nn.ReLU()))
    return _network(stem, 16, _parameter_free, (3, 3, 3), (16, 32, 64), classes, seed)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, added to what passes by them, then ReLU.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    stride : int, default 1
        Of the first convolution.
    projected : bool, default True
        Whether a shortcut that changes its shape is a 1x1 convolution with batch norm, or a `PaddedShortcut`.

    References
    ----------
    He et al. (2016), figure 5 (left); options B and A of section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> BasicBlock(4, 8, stride=2)(np.zeros((1, 4, 6, 6), np.float32)).shape
    (1, 8, 3, 3)
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, projected: bool = True) -> None:
        self.inputs, self.outputs, self.stride, self.projected = inputs, outputs, stride, projected
        self.main = nn.Sequential(
            *normalized(inputs, outputs, 3, stride, activation=nn.ReLU()),
            *normalized(outputs, outputs, 3),
        )
        self.shortcut = _shortcut(inputs, outputs, stride, projected)

    def forward(self, x: Any) -> Any:
        return functional.relu(self.main(x) + (x if self.shortcut is None else self.shortcut(x)))


class Bottleneck(nn.Module):
    """A 1x1 convolution to a quarter of the channels, a 3x3 and a 1x1 back, added to what passes by; then ReLU.

    Parameters
    ----------
    inputs, outputs : int
        Channels; the outputs a multiple of 4.
    stride : int, default 1
        Of the 3x3 convolution.

    Raises
    ------
    ValueError
        If the outputs are no multiple of 4.

    References
    ----------
    He et al. (2016), figure 5 (right).

    Examples
    --------
    >>> import numpy as np
    >>> Bottleneck(4, 8, stride=2)(np.zeros((1, 4, 6, 6), np.float32)).shape
    (1, 8, 3, 3)
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        if outputs % 4:
            raise ValueError(f"Bottleneck was given {outputs} outputs; it needs a multiple of 4")
        self.inputs, self.outputs, self.stride = inputs, outputs, stride
        inner = outputs // 4
        self.main = nn.Sequential(
            *normalized(inputs, inner, 1, activation=nn.ReLU()),
            *normalized(inner, inner, 3, stride, activation=nn.ReLU()),
            *normalized(inner, outputs, 1),
        )
        self.shortcut = _shortcut(inputs, outputs, stride, projected=True)

    def forward(self, x: Any) -> Any:
        return functional.relu(self.main(x) + (x if self.shortcut is None else self.shortcut(x)))


class PaddedShortcut(nn.Module):
    """Every stride-th row and column, and as many channels of zeros behind the given ones as are missing.

    Parameters
    ----------
    outputs : int
        Channels of the result, at least those of the input.
    stride : int, default 1

    References
    ----------
    He et al. (2016), option A of section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> PaddedShortcut(2, stride=2)(np.arange(1.0, 5.0).reshape(1, 1, 2, 2))
    array([[[[1.]],
    <BLANKLINE>
            [[0.]]]])
    """

    def __init__(self, outputs: int, stride: int = 1) -> None:
        self.outputs, self.stride = outputs, stride

    def forward(self, x: Any) -> Any:
        missing = self.outputs - x.shape[1]
        if missing < 0:
            raise ValueError(f"PaddedShortcut was given {x.shape[1]} channels for {self.outputs}; it removes none")
        thinned = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(thinned, ((0, 0), (0, missing), (0, 0), (0, 0)))

    def extra_repr(self) -> str:
        return f"{self.outputs}" + ("" if self.stride == 1 else f", stride={self.stride}")


nn.built_in(BasicBlock, Bottleneck, PaddedShortcut)


Block = Callable[[int, int, int], nn.Module]
"""From channels of the input, channels of the output and a stride to a block."""


def _parameter_free(inputs: int, outputs: int, stride: int) -> BasicBlock:
    return BasicBlock(inputs, outputs, stride, projected=False)


def _shortcut(inputs: int, outputs: int, stride: int, projected: bool) -> nn.Module | None:
    """What the input passes through beside a block; None where it is added as it is."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(*normalized(inputs, outputs, 1, stride)) if projected else PaddedShortcut(outputs, stride)


def _for_imagenet(
    block: Block, depths: Sequence[int], widths: Sequence[int], classes: int, channels: int, seed: int | None
) -> nn.Sequential:
    stem = nn.Sequential(*normalized(channels, 64, 7, stride=2, activation=nn.ReLU()), nn.MaxPool2d(3, 2, 1))
    return _network(stem, 64, block, depths, widths, classes, seed)


def _network(
    stem: nn.Sequential,
    width: int,
    block: Block,
    depths: Sequence[int],
    widths: Sequence[int],
    classes: int,
    seed: int | None,
) -> nn.Sequential:
    """The stem, which gives so many channels; stages of blocks, each but the first halving the sides; the scores."""
    stages = []
    for place, (depth, outputs) in enumerate(zip(depths, widths, strict=True)):
        stride = 2 if place else 1
        following = [block(outputs, outputs, 1) for _ in range(depth - 1)]
        stages.append(nn.Sequential(block(width, outputs, stride), *following))
        width = outputs
    net = nn.Sequential(stem, *stages, nn.GlobalAvgPool(), nn.Linear(width, classes))
    return net if seed is None else net.initialize(seed)
