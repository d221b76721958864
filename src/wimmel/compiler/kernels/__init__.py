"""The families of kernels. A family has a schedule (a record of what its code depends on) that can write its kernel,
and functions that plan the steps of one piece of a graph. As attributes of this package files are loaded when first
used, since most graphs need few of them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wimmel.compiler.kernels import (
        argmax,
        border,
        convolution,
        depthwise,
        depthwise_gradient,
        depthwise_weights,
        elements,
        fft,
        fft_costs,
        gathering,
        input_gradient,
        matmul,
        overlap_add,
        pooling,
        random,
        reduction,
        weight_gradient,
        winograd,
        winograd_costs,
        winograd_gradient,
        winograd_rows,
    )

__all__ = [
    "argmax",
    "border",
    "convolution",
    "depthwise",
    "depthwise_gradient",
    "depthwise_weights",
    "elements",
    "fft",
    "fft_costs",
    "gathering",
    "input_gradient",
    "matmul",
    "overlap_add",
    "pooling",
    "random",
    "reduction",
    "weight_gradient",
    "winograd",
    "winograd_costs",
    "winograd_gradient",
    "winograd_rows",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"{__name__} has no {name!r}")
