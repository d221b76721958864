"""The public functions, offered as wimmel.conv2d and so on. Each takes arrays or tensors: on arrays it runs, and as
soon as one argument is a tensor it records."""

from wimmel.functional.activation import (
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    leaky_relu,
    log_softmax,
    mish,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
)
from wimmel.functional.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    global_avg_pool,
    global_max_pool,
)
from wimmel.functional.convolution import (
    conv1d,
    conv2d,
    conv3d,
    linear,
)
from wimmel.functional.correlation import (
    convolve,
    correlate,
)
from wimmel.functional.loss import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from wimmel.functional.normalization import (
    batch_norm,
    group_norm,
    layer_norm,
)
from wimmel.functional.pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from wimmel.functional.random import (
    dropout,
    random_key,
    random_uniform,
)
from wimmel.functional.transposed_convolution import (
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from wimmel.graph.array import *  # noqa: F403  (its static __all__ is the list)
from wimmel.graph.array import __all__ as __all__

__all__ = [
    *__all__,
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolve",
    "correlate",
    "cross_entropy",
    "dropout",
    "elu",
    "gelu",
    "global_avg_pool",
    "global_max_pool",
    "group_norm",
    "hardsigmoid",
    "hardswish",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mish",
    "mse_loss",
    "nll_loss",
    "random_key",
    "random_uniform",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
]
