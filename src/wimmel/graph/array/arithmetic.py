"""Arithmetic, functions of one number, and conversion, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from wimmel.graph import primitives
from wimmel.graph.tensor import Value, as_operands


def add(x: Value, y: Value) -> Value:
    """x + y, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> add(np.array([1.0, 2.0]), 1)
    array([2., 3.])
    """
    return primitives.add(x, y)


def subtract(x: Value, y: Value) -> Value:
    """x - y, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> subtract(np.array([1.0, 2.0]), 1)
    array([0., 1.])
    """
    return primitives.subtract(x, y)


def multiply(x: Value, y: Value) -> Value:
    """x * y, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> multiply(np.array([1.0, 2.0]), 3)
    array([3., 6.])
    """
    return primitives.multiply(x, y)


def divide(x: Value, y: Value) -> Value:
    """x / y, element by element, in floating point.

    Examples
    --------
    >>> import numpy as np
    >>> divide(np.array([1.0, 2.0]), 4)
    array([0.25, 0.5 ])
    """
    return primitives.divide(x, y)


def power(x: Value, y: Value) -> Value:
    """x to the power y, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> power(np.array([2.0, 3.0]), 2)
    array([4., 9.])
    """
    return primitives.power(x, y)


def negative(x: Value) -> Value:
    """-x, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> negative(np.array([1.0, -2.0]))
    array([-1.,  2.])
    """
    (x,) = as_operands([x], "negative")
    return primitives.multiply(x, -1) if x.dtype.kind == "f" else primitives.subtract(0, x)


def square(x: Value) -> Value:
    """x * x, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> square(np.array([2.0, 3.0]))
    array([4., 9.])
    """
    return primitives.multiply(x, x)


def maximum(x: Value, y: Value) -> Value:
    """The larger of x and y, element by element; NaN where one is NaN.

    At a tie the gradient goes to y.

    Examples
    --------
    >>> import numpy as np
    >>> maximum(np.array([1.0, -2.0]), 0)
    array([1., 0.])
    """
    return primitives.maximum(x, y)


def minimum(x: Value, y: Value) -> Value:
    """The smaller of x and y, element by element; NaN where one is NaN.

    At a tie the gradient goes to y.

    Examples
    --------
    >>> import numpy as np
    >>> minimum(np.array([1.0, -2.0]), 0)
    array([ 0., -2.])
    """
    return primitives.minimum(x, y)


def clip(x: Value, minimum: Value = None, maximum: Value = None) -> Value:
    """x limited to the range from minimum to maximum; either may be None. NaN passes through.

    The gradient is 1 from minimum to maximum, both included, and 0 outside.

    Examples
    --------
    >>> import numpy as np
    >>> clip(np.array([-1.0, 0.5, 7.0]), 0, 1)
    array([0. , 0.5, 1. ])
    """
    (x,) = as_operands([x], "clip")
    if minimum is not None:
        x = primitives.maximum(minimum, x)
    if maximum is not None:
        x = primitives.minimum(maximum, x)
    return x


# functions of one number


def exp(x: Value) -> Value:
    """e to the power x, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> exp(np.array([0.0, 1.0]))
    array([1.        , 2.71828183])
    """
    return primitives.exp(x)


def log(x: Value) -> Value:
    """The natural logarithm of x, element by element; -inf at 0, NaN below.

    Examples
    --------
    >>> import numpy as np
    >>> log(np.array([1.0, np.e]))
    array([0., 1.])
    """
    return primitives.log(x)


def log1p(x: Value) -> Value:
    """log(1 + x), exact for small x too.

    Examples
    --------
    >>> import numpy as np
    >>> log1p(np.array([0.0, 1e-20]))
    array([0.e+00, 1.e-20])
    """
    return primitives.log1p(x)


def expm1(x: Value) -> Value:
    """exp(x) - 1, exact for small x too: tanh(x / 2) (exp(x) + 1).

    Examples
    --------
    >>> import numpy as np
    >>> expm1(np.array([0.0, 1e-20]))
    array([0.e+00, 1.e-20])
    """
    return primitives.multiply(primitives.tanh(primitives.multiply(x, 0.5)), primitives.add(primitives.exp(x), 1))


def sqrt(x: Value) -> Value:
    """The square root of x, element by element; NaN below 0.

    Examples
    --------
    >>> import numpy as np
    >>> sqrt(np.array([4.0, 9.0]))
    array([2., 3.])
    """
    return primitives.sqrt(x)


def tanh(x: Value) -> Value:
    """The hyperbolic tangent of x, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> tanh(np.array([0.0, 100.0]))
    array([0., 1.])
    """
    return primitives.tanh(x)


def erf(x: Value) -> Value:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> erf(np.array([0.0, 1.0]))
    array([0.        , 0.84270079])
    """
    return primitives.erf(x)


def abs(x: Value) -> Value:
    """The absolute value of x, element by element; its gradient at 0 is 0.

    Examples
    --------
    >>> import numpy as np
    >>> abs(np.array([1.0, -2.0]))
    array([1., 2.])
    """
    return primitives.absolute(x)


# conversion


def cast(x: Value, dtype: Any) -> Value:
    """x converted to another dtype; floats become integers by truncation.

    Examples
    --------
    >>> import numpy as np
    >>> cast(np.array([1.7, -1.7]), np.int64)
    array([ 1, -1])
    """
    (x,), wanted = as_operands([x], "cast"), np.dtype(dtype)
    return x if x.dtype == wanted else primitives.cast(x, dtype=wanted.name)


def stop_gradient(x: Value) -> Value:
    """x itself, but a constant to differentiation.

    Examples
    --------
    >>> import numpy as np
    >>> stop_gradient(np.array([1.0, 2.0]))
    array([1., 2.])
    """
    return primitives.identity(x, stop_gradient=True)
