"""Layers that normalise: by the batch, by the example, by groups of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from wimmel import functional
from wimmel.geometry.whole_numbers import at_least
from wimmel.nn.initializers import ones, zeros
from wimmel.nn.module import Module, current_call
from wimmel.nn.parameters import Buffer, Parameter


class _BatchNorm(Module):
    """Batch normalisation over any number of spatial axes; the named ones say which inputs they take."""

    ranks: ClassVar[tuple[int, ...]]
    weight: Any
    bias: Any
    running_mean: Any
    running_var: Any
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        self.num_features = num_features = at_least(num_features, 1, f"num_features of {type(self).__name__}")
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = Parameter.drawn((num_features,), ones)
            self.bias = Parameter.drawn((num_features,), zeros)
        else:
            self.weight = self.bias = None
        if track_running_stats:
            self.running_mean = Buffer(np.zeros(num_features, np.float32))
            self.running_var = Buffer(np.ones(num_features, np.float32))
            self.num_batches_tracked = Buffer(np.zeros((), np.int64))

    def forward(self, x: Any) -> Any:
        if len(x.shape) not in self.ranks or x.shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__} was given shape {x.shape}; it takes {' or '.join(map(str, self.ranks))} axes "
                f"with {self.num_features} channels on the second"
            )
        settings = (self.weight, self.bias)
        if not self.track_running_stats:
            return functional.batch_norm(x, None, None, *settings, True, 0.1, self.eps)[0]
        if not current_call().training:
            return functional.batch_norm(x, self.running_mean, self.running_var, *settings, False, 0.1, self.eps)
        seen = self.num_batches_tracked + 1
        share = 1 / functional.cast(seen, np.float32) if self.momentum is None else self.momentum
        y, mean, variance = functional.batch_norm(
            x, self.running_mean, self.running_var, *settings, True, share, self.eps
        )
        self.running_mean, self.running_var, self.num_batches_tracked = mean, variance, seen
        return y

    def extra_repr(self) -> str:
        parts = [str(self.num_features)]
        defaults = (("eps", 1e-5), ("momentum", 0.1), ("affine", True), ("track_running_stats", True))
        parts += [f"{name}={getattr(self, name)}" for name, default in defaults if getattr(self, name) != default]
        return ", ".join(parts)


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (n, c) or (n, c, length). As `BatchNorm2d`.

    Examples
    --------
    >>> import numpy as np
    >>> BatchNorm1d(3)(np.zeros((2, 3, 10), np.float32)).shape
    (2, 3, 10)
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (n, c, height, width): each channel to mean 0 and variance 1, then scaled and shifted.

    In training the batch's own mean and variance normalise, and the running ones move towards them; in inference the
    running ones normalise.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float, default 1e-5
        Added to the variance.
    momentum : float or None, default 0.1
        How far the running statistics move at each step; None makes them the plain average of all steps.
    affine : bool, default True
        Whether there are a trained weight and bias.
    track_running_stats : bool, default True
        Without them the batch's statistics normalise in inference too.

    Attributes
    ----------
    weight, bias : float32 (num_features,) or None
    running_mean, running_var : float32 (num_features,)
    num_batches_tracked : int64 ()

    References
    ----------
    Ioffe and Szegedy, "Batch normalization" (2015), algorithm 1. Lecture row L34.

    Examples
    --------
    >>> import numpy as np
    >>> layer = BatchNorm2d(1)
    >>> x = np.array([1.0, 3.0], np.float32).reshape(2, 1, 1, 1)
    >>> layer(x, training=True).ravel().round(3)
    array([-1.,  1.], dtype=float32)
    >>> layer.running_mean
    array([0.2], dtype=float32)
    """

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (n, c, depth, height, width). As `BatchNorm2d`.

    Examples
    --------
    >>> import numpy as np
    >>> BatchNorm3d(3)(np.zeros((2, 3, 4, 4, 4), np.float32)).shape
    (2, 3, 4, 4, 4)
    """

    ranks = (5,)


class LayerNorm(Module):
    """Each example to mean 0 and variance 1 over its last axes, then scaled and shifted.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The last axes.
    eps : float, default 1e-5
    elementwise_affine : bool, default True
    bias : bool, default True

    References
    ----------
    Ba, Kiros and Hinton, "Layer normalization" (2016), equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> LayerNorm(2)(np.array([[1.0, 3.0]], np.float32)).round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        sizes = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        self.normalized_shape = tuple(at_least(size, 1, "normalized_shape of LayerNorm") for size in sizes)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.bias_used = bias
        self.weight = Parameter.drawn(self.normalized_shape, ones) if elementwise_affine else None
        self.bias = Parameter.drawn(self.normalized_shape, zeros) if elementwise_affine and bias else None

    def forward(self, x: Any) -> Any:
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}" + ("" if self.eps == 1e-5 else f", eps={self.eps}")


class GroupNorm(Module):
    """Each example to mean 0 and variance 1 within groups of channels, then scaled and shifted by channel.

    Parameters
    ----------
    num_groups : int
        Divides the channels.
    num_channels : int
    eps : float, default 1e-5
    affine : bool, default True

    References
    ----------
    Wu and He, "Group normalization" (2018), section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> GroupNorm(2, 4)(np.zeros((1, 4, 5, 5), np.float32)).shape
    (1, 4, 5, 5)
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        num_groups = at_least(num_groups, 1, "num_groups of GroupNorm")
        num_channels = at_least(num_channels, 1, "num_channels of GroupNorm")
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm was given {num_groups} groups for {num_channels} channels; they must divide them"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.weight = Parameter.drawn((num_channels,), ones) if affine else None
        self.bias = Parameter.drawn((num_channels,), zeros) if affine else None

    def forward(self, x: Any) -> Any:
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}" + ("" if self.eps == 1e-5 else f", eps={self.eps}")
