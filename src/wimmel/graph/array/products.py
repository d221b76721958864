"""Products that sum: vectors and matrices."""

from __future__ import annotations

from wimmel.graph import primitives
from wimmel.graph.array.shaping import reshape
from wimmel.graph.tensor import Value, as_operands


def dot(x: Value, y: Value) -> Value:
    """The product of two numbers, vectors or matrices, or of an array with a vector or a matrix.

    Raises
    ------
    ValueError
        If y has three axes or more and x two or more: there NumPy's dot differs from `matmul`, which is what is wanted
        as a rule.

    Examples
    --------
    >>> import numpy as np
    >>> float(dot(np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    11.0
    """
    x, y = as_operands([x, y], "dot")
    if not x.shape or not y.shape:
        return primitives.multiply(x, y)
    if len(x.shape) > 1 and len(y.shape) > 2:
        raise ValueError(f"dot was given shapes {x.shape} and {y.shape}; for products of many matrices use matmul")
    return matmul(x, y)


def matmul(x: Value, y: Value) -> Value:
    """The matrix product over the last two axes, the leading ones broadcasting; vectors as in NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> matmul(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 1.0]))
    array([3., 7.])
    """
    x, y = as_operands([x, y], "matmul")
    if not x.shape or not y.shape:
        raise ValueError(
            f"matmul was given shapes {x.shape} and {y.shape}; a number has no axes to multiply over, use *"
        )
    row, column = len(x.shape) == 1, len(y.shape) == 1
    x = reshape(x, (1, -1)) if row else x
    y = reshape(y, (-1, 1)) if column else y
    z = primitives.matmul(x, y)
    if row:
        z = reshape(z, (*z.shape[:-2], z.shape[-1]))
    return reshape(z, z.shape[:-1]) if column else z
