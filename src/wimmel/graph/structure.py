"""Nested lists, tuples and dicts of arrays, taken apart into leaves and put together again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from wimmel.graph.tensor import Tensor


@dataclass(frozen=True)
class Structure:
    """How a nested value is built, with its leaves taken out; equal for values that differ only in their leaves.

    `kind` is "leaf", "static" (`value` is the value itself, `detail` what it is compared by), "list", "tuple", "named
    tuple" (its class in `detail`) or "dict" (its keys in `detail`).
    """

    kind: str
    detail: Hashable = None
    children: tuple[Structure, ...] = ()
    value: Any = field(default=None, compare=False)


LEAF = Structure("leaf")


def flatten(value: Any) -> tuple[list[Any], Structure]:
    """The arrays and tensors of a nested value in order, and its structure. All else is static: part of the structure.

    Any kind of dict counts as one, an OrderedDict or a defaultdict too; `unflatten` makes a plain dict of it.

    Raises
    ------
    TypeError
        For something static that is not hashable, such as a set: what a recorded function depends on is compared.

    Examples
    --------
    >>> leaves, structure = flatten({"a": np.zeros(2), "b": [3, np.ones(1)]})
    >>> [leaf.shape for leaf in leaves]
    [(2,), (1,)]
    >>> unflatten(structure, [10, 20])
    {'a': 10, 'b': [3, 20]}
    """
    leaves: list[Any] = []
    return leaves, _flatten(value, leaves)


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Any:
    """The nested value of that structure with these leaves."""
    return _unflatten(structure, iter(leaves))


def map_items(function: Callable[[Any], Any], value: Any) -> Any:
    """The nested value with the function applied to everything in it that is not itself a list, tuple or dict."""
    if isinstance(value, dict):
        return {key: map_items(function, item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map_items(function, item) for item in value)
    if _is_named_tuple(value):
        return type(value)(*(map_items(function, item) for item in value))
    return function(value)


def _is_named_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _flatten(value: Any, leaves: list[Any]) -> Structure:
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        leaves.append(value)
        return LEAF
    if type(value) in (list, tuple):
        return Structure(type(value).__name__, None, tuple(_flatten(item, leaves) for item in value))
    if _is_named_tuple(value):
        return Structure("named tuple", cast(Hashable, type(value)), tuple(_flatten(item, leaves) for item in value))
    if isinstance(value, dict):
        return Structure("dict", tuple(value), tuple(_flatten(item, leaves) for item in value.values()))
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"a recorded function was given {value!r}, a {type(value).__name__}, which cannot be compared from call to "
            "call; pass arrays, numbers, strings, modules, or lists, tuples and dicts of them"
        ) from None
    # 0.0 equals -0.0 and NaN does not equal itself, so these are told apart by how they are written
    same = repr(value) if isinstance(value, (float, complex)) else value
    return Structure("static", (type(value), same), value=value)


def _unflatten(structure: Structure, leaves: Any) -> Any:
    if structure.kind == "leaf":
        return next(leaves)
    if structure.kind == "static":
        return structure.value
    children = [_unflatten(child, leaves) for child in structure.children]
    if structure.kind == "dict":
        return dict(zip(structure.detail, children, strict=True))  # type: ignore[call-overload]
    if structure.kind == "named tuple":
        return structure.detail(*children)  # type: ignore[operator]
    return tuple(children) if structure.kind == "tuple" else children
