"""Reverse mode: from a graph's scalar to its gradients, in the same primitives, so that gradients have gradients.

The rules themselves stand with the primitives; this is the walk.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wimmel.graph import primitives
from wimmel.graph.tensor import Tensor, as_tensor, scope
from wimmel.graph.tracing import reachable


def gradients(output: Tensor, sources: Sequence[Tensor], cotangent: Tensor | None = None) -> list[Tensor]:
    """The derivative of the output by each source, as tensors of the sources' shapes.

    Parameters
    ----------
    output : Tensor
        A scalar, unless a cotangent is given.
    sources : sequence of Tensor
        float32 or float64.
    cotangent : Tensor, default 1
        What the output's elements are weighted with before they are summed; of the output's shape.

    Returns
    -------
    list of Tensor
        Zeros for a source that the output does not depend on.

    Raises
    ------
    ValueError
        If the output is no scalar and there is no cotangent, or the cotangent has another shape than the output.
    TypeError
        If the output or a source is not of a floating-point dtype.

    References
    ----------
    Griewank and Walther, "Evaluating Derivatives", 2nd ed., section 3.2 (reverse mode).
    """
    _check(output, sources, cotangent)
    nodes = reachable([output])
    depends = set(sources)
    for node in nodes:
        if any(source in depends for source in node.inputs):
            depends.add(node)

    collected: dict[Tensor, Tensor] = {}
    if output in depends:
        one = as_tensor(np.ones(output.shape, output.dtype))
        collected[output] = one if cotangent is None else _in_the_form_of(output, cotangent)
    for node in reversed(nodes):
        if node not in collected or node.primitive.gradient is None or not node.inputs:
            continue
        with scope(node.scope):
            parts = node.primitive.gradient(collected[node], node, *node.inputs, **node.attributes)
            for source, part in zip(node.inputs, parts, strict=True):
                if part is None or source not in depends or source.dtype.kind != "f":
                    continue
                part = _in_the_form_of(source, part)
                collected[source] = primitives.add(collected[source], part) if source in collected else part
    return [collected[source] if source in collected else _zeros(source) for source in sources]


def _in_the_form_of(source: Tensor, cotangent: Tensor) -> Tensor:
    """The cotangent summed over the axes that broadcasting added to the source, in the source's dtype."""
    summed = primitives.sum_to(cotangent, source.shape)
    return summed if summed.dtype == source.dtype else primitives.cast(summed, dtype=source.dtype.name)


def _zeros(source: Tensor) -> Tensor:
    zero: Tensor = primitives.broadcast(as_tensor(np.zeros((), source.dtype)), shape=source.shape)
    return zero


def _check(output: Tensor, sources: Sequence[Tensor], cotangent: Tensor | None) -> None:
    for source in sources:
        if source.dtype.kind != "f":
            raise TypeError(
                f"a derivative was asked for by an argument of dtype {source.dtype}; it must be float32 or float64"
            )
    if output.dtype.kind != "f":
        raise TypeError(f"only a floating-point result can be differentiated, and this one is {output.dtype}")
    if cotangent is None and output.shape != ():
        raise ValueError(
            f"only a single number can be differentiated, and the function returned shape {output.shape}; "
            "sum it, or take its mean"
        )
    if cotangent is not None and cotangent.shape != output.shape:
        raise ValueError(
            f"a cotangent of shape {cotangent.shape} was given for a result of shape {output.shape}; they must agree"
        )
