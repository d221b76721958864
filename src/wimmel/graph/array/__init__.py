"""NumPy's functions for arrays and tensors alike, as compositions of primitives; tensors' operators call them.

Names, arguments and results are NumPy's. Shapes broadcast and dtypes promote as NumPy's do. Each function gives an
array for arrays, and a tensor, recording, as soon as one argument is a tensor.

`__all__` is what users find as wimmel.add and so on: wimmel.functional takes it over. Imported here but not in it
is what only tensors' own methods and operators need.
"""

from wimmel.graph.array.arithmetic import (
    abs,
    add,
    cast,
    clip,
    divide,
    erf,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    sqrt,
    square,
    stop_gradient,
    subtract,
    tanh,
)
from wimmel.graph.array.comparison import equal, isfinite, less, less_equal, not_equal, where
from wimmel.graph.array.indexing import getitem as getitem
from wimmel.graph.array.indexing import one_hot, take
from wimmel.graph.array.operators import NUMPY_OPERATORS as NUMPY_OPERATORS
from wimmel.graph.array.padding import pad
from wimmel.graph.array.products import dot as dot
from wimmel.graph.array.products import matmul
from wimmel.graph.array.reductions import argmax, max, mean, min, std, sum, var
from wimmel.graph.array.shaping import (
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    moveaxis,
    reshape,
    squeeze,
    stack,
    swapaxes,
    transpose,
)

__all__ = [
    "abs",
    "add",
    "argmax",
    "broadcast_to",
    "cast",
    "clip",
    "concatenate",
    "divide",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "flip",
    "isfinite",
    "less",
    "less_equal",
    "log",
    "log1p",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "negative",
    "not_equal",
    "one_hot",
    "pad",
    "power",
    "reshape",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "tanh",
    "transpose",
    "var",
    "where",
]
