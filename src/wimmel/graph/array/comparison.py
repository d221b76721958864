"""Comparison, element by element, and choice by what it found."""

from __future__ import annotations

import numpy as np

from wimmel.graph import primitives
from wimmel.graph.tensor import Value, as_operands


def less(x: Value, y: Value) -> Value:
    """Whether x < y, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> less(np.array([1, 2]), 2)
    array([ True, False])
    """
    return primitives.less(*_comparable(x, y))


def equal(x: Value, y: Value) -> Value:
    """Whether x == y, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> equal(np.array([1, 2]), 2)
    array([False,  True])
    """
    return primitives.equal(*_comparable(x, y))


def less_equal(x: Value, y: Value) -> Value:
    """Whether x <= y, element by element; False where one is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> less_equal(np.array([1, 2, 3]), 2)
    array([ True,  True, False])
    """
    x, y = _comparable(x, y)
    return primitives.maximum(primitives.less(x, y), primitives.equal(x, y))


def not_equal(x: Value, y: Value) -> Value:
    """Whether x != y, element by element; True where one is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> not_equal(np.array([1, 2]), 2)
    array([ True, False])
    """
    return primitives.equal(equal(x, y), False)


def isfinite(x: Value) -> Value:
    """Whether x is neither infinite nor NaN, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> isfinite(np.array([1.0, np.inf, np.nan]))
    array([ True, False, False])
    """
    return primitives.equal(primitives.multiply(x, 0), 0)


def where(condition: Value, x: Value, y: Value) -> Value:
    """x where the condition holds and y elsewhere, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> where(np.array([True, False]), np.array([1.0, 2.0]), 0)
    array([1., 0.])
    """
    condition, x, y = _condition(condition), *as_operands([x, y], "where")
    return primitives.where(condition, x, y)


def _comparable(x: Value, y: Value) -> list[Value]:
    """Operands of a comparison; a Python integer that the other's integer dtype cannot hold has a dtype of its own."""
    values = [x, y]
    for place, other in ((0, y), (1, x)):
        dtype = getattr(other, "dtype", None)
        if type(values[place]) is int and dtype is not None and dtype.kind in "iu":
            bounds = np.iinfo(dtype)
            if not bounds.min <= values[place] <= bounds.max:
                values[place] = np.asarray(values[place])
    return values


def _condition(condition: Value) -> Value:
    (condition,) = as_operands([condition], "where")
    return condition if condition.dtype == np.bool_ else not_equal(condition, 0)
