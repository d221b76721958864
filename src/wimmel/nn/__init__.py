"""Layers with PyTorch's names, arguments and parameter shapes, and what one builds networks and layers from."""

from wimmel.nn import initializers
from wimmel.nn.activation import (
    ELU,
    GELU,
    SELU,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    LogSoftmax,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from wimmel.nn.containers import Identity, Sequential
from wimmel.nn.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from wimmel.nn.dropout import Dropout
from wimmel.nn.inspection import Inspection, LayerReport, inspect, receptive_field
from wimmel.nn.linear import Flatten, Linear
from wimmel.nn.module import Call, Module, current_call
from wimmel.nn.normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, LayerNorm
from wimmel.nn.parameters import Buffer, Parameter
from wimmel.nn.pooling import (
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from wimmel.nn.saving import built_in, load, save

LAYERS: tuple[type[Module], ...] = (
    Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, Linear, Flatten,
    MaxPool1d, MaxPool2d, MaxPool3d, AvgPool1d, AvgPool2d, AvgPool3d, AdaptiveAvgPool2d, GlobalAvgPool, GlobalMaxPool,
    BatchNorm1d, BatchNorm2d, BatchNorm3d, LayerNorm, GroupNorm, Dropout,
    ReLU, LeakyReLU, ELU, SELU, GELU, SiLU, Mish, Sigmoid, Tanh, Hardswish, Hardsigmoid, Softplus, Softmax, LogSoftmax,
    Identity, Sequential,
)  # fmt: skip
"""The layers that a model file may name."""

built_in(*LAYERS)

__all__ = [
    "ELU",
    "GELU",
    "LAYERS",
    "SELU",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Buffer",
    "Call",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Identity",
    "Inspection",
    "LayerNorm",
    "LayerReport",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Mish",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "built_in",
    "current_call",
    "initializers",
    "inspect",
    "load",
    "receptive_field",
    "save",
]
