"""What NumPy's operators call when one side is an array and the other a tensor."""

from __future__ import annotations

import numpy as np

from wimmel.graph.array.arithmetic import add, divide, multiply, power, subtract
from wimmel.graph.array.comparison import equal, less, less_equal, not_equal
from wimmel.graph.array.products import matmul

NUMPY_OPERATORS = {
    np.add: add,
    np.subtract: subtract,
    np.multiply: multiply,
    np.divide: divide,
    np.power: power,
    np.matmul: matmul,
    np.less: less,
    np.greater: lambda x, y: less(y, x),
    np.less_equal: less_equal,
    np.greater_equal: lambda x, y: less_equal(y, x),
    np.equal: equal,
    np.not_equal: not_equal,
}
