"""VGG-16, the deep network of nothing but 3x3 convolutions, pooling and dense layers."""

from __future__ import annotations

from wimmel import nn
from wimmel.models.units import convolution, dense

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Output channels and number of the convolutions before each pooling: column D of the paper's table 1."""


def vgg16(
    classes: int = 1000,
    channels: int = 3,
    size: tuple[int, int] = (224, 224),
    batch_norm: bool = False,
    seed: int | None = None,
) -> nn.Sequential:
    """VGG-16: thirteen 3x3 convolutions with ReLU, in five stages that pooling ends, then three dense layers.

    For pictures of 224 x 224 pixels nine parameters of ten are the dense layers'. The stages together are ``net[0]``;
    in training half of what the first two dense layers give is dropped.

    Parameters
    ----------
    classes : int, default 1000
        Outputs: one score per class, before softmax.
    channels : int, default 3
        Of the pictures.
    size : (int, int), default (224, 224)
        Height and width of the pictures, at least 32 each.
    batch_norm : bool, default False
        Whether batch norm follows each convolution, without which a network this deep is hard to train from scratch.
    seed : int, optional
        Draws the first parameters reproducibly.

    Returns
    -------
    Sequential, from (n, channels, *size) to (n, classes)

    Raises
    ------
    ValueError
        For pictures smaller than 32 x 32.

    References
    ----------
    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition" (2015), table 1 and
    section 3.1. 15.5e9 multiply-adds for 224 x 224 pixels. Lecture rows L30 and L34.

    Examples
    --------
    >>> vgg16().parameter_count()
    138357544
    >>> vgg16(classes=10, size=(32, 32), batch_norm=True).parameter_count()
    33646666
    """
    height, width = size
    if min(size) < 32:
        raise ValueError(f"vgg16 was given pictures of {height} x {width}; it needs at least 32 x 32")
    features: list[nn.Module] = []
    inputs = channels
    for outputs, count in STAGES:
        for _ in range(count):
            features.append(convolution(inputs, outputs, 3, bias=True))
            features += [nn.BatchNorm2d(outputs), nn.ReLU()] if batch_norm else [nn.ReLU()]
            inputs = outputs
        features.append(nn.MaxPool2d(2))
    classifier = nn.Sequential(
        dense(inputs * (height // 32) * (width // 32), 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        dense(4096, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        dense(4096, classes),
    )
    net = nn.Sequential(nn.Sequential(*features), nn.Flatten(), classifier)
    return net if seed is None else net.initialize(seed)
