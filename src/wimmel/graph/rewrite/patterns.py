"""The language that rewrite rules are written in: patterns that a tensor fits or does not, and rules made of them.

Rule    = name, pattern: Made, replacement: Match -> Tensor | None, liberty
Pattern = Anything(name)                       any tensor; a name used twice means the same tensor twice
        | Constant(name, holds)                a constant, stretched or not, whose array fulfils `holds`
        | Made(by, of, name, when, swapped)    made by one of these primitives from tensors that fit `of`
Match   = the tensors by their names in the pattern, and `node`, the whole
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import TypeAlias

import numpy as np

from wimmel.graph import primitives
from wimmel.graph.tensor import Primitive, Tensor, constant

Match: TypeAlias = SimpleNamespace
Found: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True)
class Anything:
    """Any tensor. Where a name occurs twice in a pattern, it must be the same tensor."""

    name: str


@dataclass(frozen=True)
class Constant:
    """A constant whose array fulfils a predicate, also where it was stretched; the name means the unstretched one."""

    name: str
    holds: Callable[[np.ndarray], bool]


@dataclass(frozen=True)
class Made:
    """A tensor made by one of some primitives.

    Parameters
    ----------
    by : Primitive or tuple of Primitive
    of : tuple of Pattern, optional
        What its inputs must fit, one by one; left out, they may be anything.
    name : str, optional
    when : callable, optional
        ``when(tensor) -> bool``: a condition on attributes, shapes and dtypes.
    swapped : bool, default False
        Whether two inputs may also fit in the other order.
    """

    by: Primitive | tuple[Primitive, ...]
    of: tuple[Pattern, ...] | None = None
    name: str = ""
    when: Callable[[Tensor], bool] | None = None
    swapped: bool = False

    @cached_property
    def primitives(self) -> tuple[Primitive, ...]:
        return self.by if isinstance(self.by, tuple) else (self.by,)


Pattern: TypeAlias = Anything | Constant | Made


@dataclass(frozen=True)
class Rule:
    """What fits the pattern may be replaced.

    Parameters
    ----------
    name : str
        What it does, in a line.
    pattern : Made
    replacement : callable
        ``replacement(match)`` gives the tensor to take instead, or None where the rule does not hold after all. It may
        be of a shape or dtype that broadcasting or promotion makes that of the replaced one: `apply` adds these steps.
    liberty : str, default ""
        What may differ from the original; empty for the rule, which is that no bit does. (NaN is NaN.)
    """

    name: str
    pattern: Made
    replacement: Callable[[Match], Tensor | None]
    liberty: str = ""

    def apply(self, tensor: Tensor) -> Tensor | None:
        """The tensor to take instead, of the same shape and dtype; None where the rule does not apply."""
        for found in _ways(self.pattern, tensor, {}):
            replacement = self.replacement(SimpleNamespace(**found, node=tensor))
            fitted = None if replacement is None else _in_the_form_of(tensor, replacement)
            if fitted is not None:
                return fitted
        return None


def constant_value(tensor: Tensor) -> np.ndarray | None:
    """The array of a constant, or of a constant that is only stretched; None for anything else."""
    if tensor.primitive is primitives.broadcast:
        tensor = tensor.inputs[0]
    return tensor.attributes["value"] if tensor.primitive is constant else None


def _ways(pattern: Pattern, tensor: Tensor, found: Found) -> list[Found]:
    """Every way in which the tensor fits, as the names found; more than one only where inputs may be swapped."""
    if isinstance(pattern, Anything):
        return _named(pattern.name, tensor, found)
    if isinstance(pattern, Constant):
        value = constant_value(tensor)
        if value is None or not pattern.holds(value):
            return []
        return _named(pattern.name, tensor if tensor.primitive is constant else tensor.inputs[0], found)
    if tensor.primitive not in pattern.primitives or not (pattern.when is None or pattern.when(tensor)):
        return []
    ways = _named(pattern.name, tensor, found)
    if pattern.of is None:
        return ways
    orders = (tensor.inputs, tensor.inputs[::-1]) if pattern.swapped else (tensor.inputs,)
    return [way for named in ways for inputs in orders for way in _ways_of_all(pattern.of, inputs, named)]


def _ways_of_all(patterns: tuple[Pattern, ...], tensors: tuple[Tensor, ...], found: Found) -> list[Found]:
    if len(patterns) != len(tensors) or not all(map(_may_fit, patterns, tensors)):
        return []
    ways = [found]
    for pattern, tensor in zip(patterns, tensors, strict=False):
        ways = [way for each in ways for way in _ways(pattern, tensor, each)]
    return ways


def _may_fit(pattern: Pattern, tensor: Tensor) -> bool:
    """False for most of what does not fit, and soon told."""
    if isinstance(pattern, Made):
        return tensor.primitive in pattern.primitives
    return isinstance(pattern, Anything) or tensor.primitive in (constant, primitives.broadcast)


def _named(name: str, tensor: Tensor, found: Found) -> list[Found]:
    if not name:
        return [found]
    return [{**found, name: tensor}] if found.get(name, tensor) is tensor else []


def _in_the_form_of(original: Tensor, replacement: Tensor) -> Tensor | None:
    """The replacement promoted and stretched to the original's dtype and shape; None if that would not do."""
    if replacement.dtype != original.dtype:
        if np.result_type(replacement.dtype, original.dtype) != original.dtype:
            return None
        replacement = primitives.cast(replacement, dtype=original.dtype.name)
    if replacement.shape != original.shape:
        try:
            stretches = np.broadcast_shapes(replacement.shape, original.shape) == original.shape
        except ValueError:
            stretches = False
        if not stretches:
            return None
        replacement = primitives.broadcast(replacement, shape=original.shape)
    return replacement
