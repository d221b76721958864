"""Heavy primitives on plain arrays: compiled like any function, and kept for each of their settings."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from wimmel.graph import Tensor, Value
from wimmel.graph.tensor import Primitive
from wimmel.runtime.compiled import Compiled


def applied(primitive: Primitive, *inputs: Value, **attributes: Any) -> Value:
    """The primitive recorded if an input is a tensor; on arrays, run as a graph of its own by the default backend.

    Parameters
    ----------
    primitive : Primitive
    *inputs : float32 or float64 array or tensor
    **attributes
        Its settings: numbers, strings and tuples of such.
    """
    if any(isinstance(value, Tensor) for value in inputs) or any(np.asarray(x).dtype.kind != "f" for x in inputs):
        return primitive(*inputs, **attributes)
    return _compiled(primitive, tuple(attributes.items()))(*inputs)


@lru_cache(maxsize=256)
def _compiled(primitive: Primitive, attributes: tuple[tuple[str, Any], ...]) -> Compiled:
    settings = dict(attributes)
    return Compiled(lambda *inputs: primitive(*inputs, **settings))
