"""The operations that the compiler knows by name: result rule, NumPy definition, gradient, receptive field.

To add one: write it in the file of its family, list it here, and give it a line in tests/graph/test_primitives.py. It
must be impossible, or much slower, as a function over the others.
"""

from wimmel.graph.primitives.convolution import (
    convolution,
    convolution_input_gradient,
    convolution_weight_gradient,
)
from wimmel.graph.primitives.elementwise import (
    absolute,
    add,
    cast,
    divide,
    equal,
    erf,
    exp,
    identity,
    less,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    power,
    sqrt,
    subtract,
    tanh,
    where,
)
from wimmel.graph.primitives.pooling import max_pool, max_pool_take, max_unpool, sum_pool, sum_unpool
from wimmel.graph.primitives.random import random_uniform
from wimmel.graph.primitives.reduction import argmax, matmul, reduce_max, reduce_sum
from wimmel.graph.primitives.shaping import (
    broadcast,
    concatenate,
    flip,
    pad,
    reshape,
    scatter_add,
    sum_to,
    take,
    take_slice,
    transpose,
)

PRIMITIVES = (
    add, subtract, multiply, divide, power, maximum, minimum,
    exp, log, log1p, sqrt, tanh, erf, absolute,
    less, equal, where, cast, identity,
    reshape, transpose, broadcast, take_slice, pad, flip, concatenate, take, scatter_add,
    reduce_sum, reduce_max, argmax, matmul,
    convolution, convolution_input_gradient, convolution_weight_gradient,
    sum_pool, sum_unpool, max_pool, max_unpool, max_pool_take,
    random_uniform,
)  # fmt: skip

__all__ = [
    "PRIMITIVES",
    "absolute",
    "add",
    "argmax",
    "broadcast",
    "cast",
    "concatenate",
    "convolution",
    "convolution_input_gradient",
    "convolution_weight_gradient",
    "divide",
    "equal",
    "erf",
    "exp",
    "flip",
    "identity",
    "less",
    "log",
    "log1p",
    "matmul",
    "max_pool",
    "max_pool_take",
    "max_unpool",
    "maximum",
    "minimum",
    "multiply",
    "pad",
    "power",
    "random_uniform",
    "reduce_max",
    "reduce_sum",
    "reshape",
    "scatter_add",
    "sqrt",
    "subtract",
    "sum_pool",
    "sum_to",
    "sum_unpool",
    "take",
    "take_slice",
    "tanh",
    "transpose",
    "where",
]
