"""Normalisation over the batch, over each example's last axes and over groups of channels; arguments are PyTorch's.

Nothing is kept and nothing is changed in place: `batch_norm` in training returns the running statistics it would leave.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wimmel.functional.arguments import floating, per_channel
from wimmel.geometry import per_axis
from wimmel.graph import array
from wimmel.graph.tensor import Value


def batch_norm(
    x: Value,
    running_mean: Value | None,
    running_var: Value | None,
    weight: Value | None = None,
    bias: Value | None = None,
    training: bool = False,
    momentum: Value = 0.1,
    eps: float = 1e-5,
) -> Value:
    """Each channel less its mean, divided by its standard deviation, then scaled and shifted.

        y = (x - mean) / sqrt(var + eps) * weight + bias

    In inference mean and variance are the running ones. In training they are those of this batch, taken over all axes
    but the channels', the variance being the sum of squares over the count; and the running ones move towards them by

        new_mean = (1 - momentum) * running_mean + momentum * mean
        new_var  = (1 - momentum) * running_var  + momentum * var * count / (count - 1)

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, channels, ...)
    running_mean, running_var : array or tensor (channels,), or None
        None, for both, is for training only: what is returned is then the statistics of the batch.
    weight, bias : array or tensor (channels,), optional
    training : bool, default False
    momentum : float, or array or tensor of shape (), default 0.1
        How far the running statistics move; used in training only. 1 / (number of batches so far) makes them the mean
        over all batches.
    eps : float, default 1e-5
        Added to the variance.

    Returns
    -------
    y : array or tensor, shape as x
        In inference, only this.
    mean, variance : array or tensor (channels,)
        In training: the running statistics after this batch, in the dtypes of those given; the arguments are left as
        they were. Like every result they can be differentiated.

    Raises
    ------
    ValueError
        If shapes do not match, there are no running statistics in inference, only one of the two is given, or a batch
        in training has only one element for each channel.
    TypeError
        If x is not floating point.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
    ICML 2015, algorithms 1 and 2.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> batch_norm(x, np.zeros(2), np.ones(2), eps=0.0)
    array([[ 1., 10.],
           [ 3., 30.]])
    >>> y, mean, variance = batch_norm(x, np.zeros(2), np.ones(2), training=True, eps=0.0)
    >>> y
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> mean, variance
    (array([0.2, 2. ]), array([ 1.1, 20.9]))
    """
    name = "batch_norm"
    x = floating(x, name)
    if len(x.shape) < 2:
        raise ValueError(f"{name} was given an input of shape {x.shape}; it takes (n, channels, ...)")
    channels, axes = x.shape[1], len(x.shape) - 2
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"{name} was given only one of running_mean and running_var; give both or neither")
    scale = None if weight is None else per_channel(weight, name, "a weight", channels, axes)
    shift = None if bias is None else per_channel(bias, name, "a bias", channels, axes)
    if running_mean is not None:
        old_mean = per_channel(running_mean, name, "a running_mean", channels, axes)
        old_var = per_channel(running_var, name, "a running_var", channels, axes)

    if not training:
        if running_mean is None:
            raise ValueError(f"{name} has no running statistics; give them, or use the batch's with training=True")
        distance = array.subtract(x, old_mean)
        return _scaled(array.divide(distance, array.sqrt(array.add(old_var, eps))), scale, shift)

    count = x.shape[0]
    for size in x.shape[2:]:
        count *= size
    if count < 2:
        raise ValueError(
            f"{name} was given an input of shape {x.shape}: in training it needs more than one element per channel"
        )
    over = (0, *range(2, len(x.shape)))
    mean = array.mean(x, over, keepdims=True)
    distance = array.subtract(x, mean)
    var = array.mean(array.square(distance), over, keepdims=True)
    # one number for each channel: all that each element meets, and all that their gradients sum up for
    factor = array.divide(1 if scale is None else scale, array.sqrt(array.add(var, eps)))
    y = _scaled(distance, factor, shift)
    mean = array.reshape(mean, (channels,))
    var = array.reshape(array.multiply(var, count / (count - 1)), (channels,))
    if running_mean is None:
        return y, mean, var
    return y, _moved(running_mean, mean, momentum), _moved(running_var, var, momentum)


def layer_norm(
    x: Value,
    normalized_shape: int | Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
) -> Value:
    """Each example less its mean over the last axes, divided by its standard deviation there, then scaled and shifted.

    Parameters
    ----------
    x : float32 or float64 array or tensor (..., *normalized_shape)
    normalized_shape : int or sequence of int
        The sizes of the last axes, over which the mean and variance are taken.
    weight, bias : array or tensor of shape normalized_shape, optional
    eps : float, default 1e-5
        Added to the variance.

    Returns
    -------
    array or tensor, shape as x

    Raises
    ------
    ValueError
        If x, weight or bias does not have that shape.
    TypeError
        If x is not floating point.

    References
    ----------
    Ba, Kiros and Hinton, "Layer normalization" (2016), equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), 2, eps=0.0)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    name = "layer_norm"
    x = floating(x, name)
    shape = (normalized_shape,) if isinstance(normalized_shape, (int, np.integer)) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(
            f"{name} was given an input of shape {x.shape} and normalized_shape {shape}, which must be the sizes of "
            "the input's last axes"
        )
    y = _standardised(x, tuple(range(len(x.shape) - len(shape), len(x.shape))), eps)
    scale, shift = (_of_shape(value, shape, role) for value, role in ((weight, "a weight"), (bias, "a bias")))
    return _scaled(y, scale, shift)


def group_norm(
    x: Value, num_groups: int, weight: Value | None = None, bias: Value | None = None, eps: float = 1e-5
) -> Value:
    """Each group of channels of each example less its mean, divided by its standard deviation, then scaled and shifted.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, channels, ...)
    num_groups : int
        Groups of neighbouring channels; 1 takes all channels together, as many as channels is instance normalisation.
    weight, bias : array or tensor (channels,), optional
    eps : float, default 1e-5
        Added to the variance.

    Returns
    -------
    array or tensor, shape as x

    Raises
    ------
    ValueError
        If the channels cannot be shared among the groups, or shapes do not match.
    TypeError
        If x is not floating point.

    References
    ----------
    Wu and He, "Group normalization", ECCV 2018, equations 1, 2 and 7.

    Examples
    --------
    >>> import numpy as np
    >>> group_norm(np.array([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    name = "group_norm"
    x = floating(x, name)
    (groups,) = per_axis(num_groups, 1, "num_groups")
    if len(x.shape) < 2 or x.shape[1] % groups:
        raise ValueError(
            f"{name} was given an input of shape {x.shape} and {groups} groups; it takes (n, channels, ...), the "
            "channels a multiple of the groups"
        )
    channels, axes = x.shape[1], len(x.shape) - 2
    scale, shift = (
        None if value is None else per_channel(value, name, role, channels, axes)
        for value, role in ((weight, "a weight"), (bias, "a bias"))
    )
    rows = array.reshape(x, (x.shape[0], groups, channels // groups, *x.shape[2:]))
    y = _standardised(rows, tuple(range(2, len(rows.shape))), eps)
    return _scaled(array.reshape(y, x.shape), scale, shift)


def _standardised(x: Value, axes: tuple[int, ...], eps: float) -> Value:
    distance = array.subtract(x, array.mean(x, axes, keepdims=True))
    var = array.mean(array.square(distance), axes, keepdims=True)
    return array.multiply(distance, array.divide(1, array.sqrt(array.add(var, eps))))


def _scaled(y: Value, scale: Value | None, shift: Value | None) -> Value:
    y = y if scale is None else array.multiply(y, scale)
    return y if shift is None else array.add(y, shift)


def _moved(running: Value, now: Value, momentum: Value) -> Value:
    """The running statistic, moved towards the batch's; in its own dtype, so that it can take its place."""
    running = floating(running, "batch_norm")
    moved = array.add(array.multiply(running, array.subtract(1, momentum)), array.multiply(now, momentum))
    return array.cast(moved, running.dtype)


def _of_shape(value: Value | None, shape: tuple[int, ...], role: str) -> Value | None:
    if value is None:
        return None
    value = floating(value, "layer_norm", role)
    if value.shape != shape:
        raise ValueError(f"layer_norm was given {role} of shape {value.shape}; it must have normalized_shape, {shape}")
    return value
