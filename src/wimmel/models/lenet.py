"""LeNet, the first convolutional network put to work: as one would build it today, and in its classic form."""

from __future__ import annotations

from wimmel import nn
from wimmel.geometry import output_size, pooled_size


def lenet(
    classes: int = 10,
    channels: int = 1,
    size: tuple[int, int] = (28, 28),
    width: tuple[int, int] = (6, 16),
    seed: int | None = None,
) -> nn.Sequential:
    """LeNet with today's parts: ReLU and max pooling where the classic form has sigmoids and averages.

    Two convolutions, each followed by ReLU and pooling, then three dense layers. The convolutions are 5x5, the first
    keeping the picture's size and the second not, as in the classic form; pictures under 16 pixels, where that would
    leave nothing, get 3x3 kernels that keep the size.

    Parameters
    ----------
    classes : int, default 10
        Outputs: one score per class, before softmax.
    channels : int, default 1
        Of the pictures.
    size : (int, int), default (28, 28)
        Height and width of the pictures, at least 4 each.
    width : (int, int), default (6, 16)
        Output channels of the two convolutions.
    seed : int, optional
        Draws the first parameters reproducibly.

    Returns
    -------
    Sequential, from (n, channels, *size) to (n, classes)

    Raises
    ------
    ValueError
        For pictures smaller than 4 x 4.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition" (1998). Lecture rows
    L30 and L33.

    Examples
    --------
    >>> lenet().parameter_count()
    61706
    >>> import numpy as np
    >>> lenet(classes=3, channels=3, size=(8, 12))(np.zeros((2, 3, 8, 12), np.float32)).shape
    (2, 3)
    """
    if min(size) < 4:
        raise ValueError(f"lenet was given pictures of {size[0]} x {size[1]}; it needs at least 4 x 4")
    small = min(size) < 16
    kernel, padding = (3, 1) if small else (5, 0)
    area = 1
    for n in size:
        halved = pooled_size(n, 2, (0, 0), 2)
        area *= pooled_size(output_size(halved, kernel, (padding, padding)), 2, (0, 0), 2)
    net = nn.Sequential(
        nn.Conv2d(channels, width[0], kernel, padding=kernel // 2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width[0], width[1], kernel, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(width[1] * area, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, classes),
    )
    return net if seed is None else net.initialize(seed)


def lenet_classic(classes: int = 10, seed: int | None = None) -> nn.Sequential:
    """LeNet-5 in the form that textbooks give: sigmoids, average pooling, 61,706 parameters for ten classes.

    The network of 1998 differed in four ways: its pooling multiplied each mean by a trained coefficient and added a
    trained bias; each channel of the second convolution saw only a chosen set of the first's six; the squashing
    function was a scaled tanh; and its outputs were distances to drawn figures (radial basis functions).

    Parameters
    ----------
    classes : int, default 10
    seed : int, optional
        Draws the first parameters reproducibly. They are Glorot's, without which sigmoids this deep hardly learn.

    Returns
    -------
    Sequential, from (n, 1, 28, 28) to (n, classes)

    References
    ----------
    LeCun et al. (1998), section II.B. Lecture rows L30 and L33.

    Examples
    --------
    >>> lenet_classic().parameter_count()
    61706
    """
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, classes),
    )
    for layer in net:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            shape = layer.weight.shape
            layer.weight = nn.Parameter.drawn(shape, nn.initializers.glorot_uniform())
            layer.bias = nn.Parameter.drawn(shape[:1], nn.initializers.zeros)
    return net if seed is None else net.initialize(seed)
