"""Gradients of Python functions: `grad` and `value_and_grad`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from wimmel.graph import Tensor, Variable, active_recording, flatten, gradients, primitives, unflatten
from wimmel.graph.structure import map_items
from wimmel.graph.tensor import as_operands, as_tensor
from wimmel.runtime.compiled import Compiled


def value_and_grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns both the function's value and its gradient.

    Each call records the function anew, so whatever it refers to may change between calls. In a loop, record it once:
    ``step = wm.compile(wm.value_and_grad(loss))``.

    Parameters
    ----------
    function : callable
        Returns one floating-point number, an array or tensor of shape ().
    argnums : int or tuple of ints, default 0
        The arguments to differentiate by. Each is an array, a number, a Module, or a list, tuple or dict of such.

    Returns
    -------
    callable
        Takes the function's arguments and returns ``(value, gradient)``. The gradient has the argument's structure; a
        Module's is a dict of its trainable parameters, with the names of its state_dict. With a tuple of argnums it is
        a tuple. Inside another recorded function it records, so that gradients of gradients work.

    Raises
    ------
    ValueError
        If the function's value is not a single number, or an argnum names no argument.
    TypeError
        If an argument to differentiate by is not floating point.

    Examples
    --------
    >>> value, gradient = value_and_grad(lambda x: (x * x).sum())(np.array([1.0, 3.0]))
    >>> float(value), gradient
    (10.0, array([2., 6.]))
    """
    several = isinstance(argnums, Sequence)
    numbers = tuple(map(operator.index, argnums if isinstance(argnums, Sequence) else (argnums,)))

    def recorded(*arguments: Any, **named: Any) -> Any:
        value, parts = _differentiated(function, numbers, arguments, named)
        return value, parts if several else parts[0]

    def differentiated(*arguments: Any, **named: Any) -> Any:
        for number in numbers:
            if not -len(arguments) <= number < len(arguments):
                raise ValueError(
                    f"argnums names argument {number}, but there are {len(arguments)} positional arguments"
                )
        places = [number % len(arguments) for number in numbers]
        given = [
            _with_arrays_for_numbers(argument) if place in places else argument
            for place, argument in enumerate(arguments)
        ]
        return Compiled(recorded)(*given, **named)

    differentiated.__name__ = f"value_and_grad({getattr(function, '__name__', 'function')})"
    return differentiated


def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the gradient of the function; arguments and errors as for `value_and_grad`.

    Examples
    --------
    >>> grad(lambda x: x**3)(2.0)
    array(12.)
    >>> grad(grad(lambda x: x**3))(2.0)
    array(12.)
    """
    both = value_and_grad(function, argnums)

    def gradient(*arguments: Any, **named: Any) -> Any:
        return both(*arguments, **named)[1]

    gradient.__name__ = f"grad({getattr(function, '__name__', 'function')})"
    return gradient


def _differentiated(function: Callable[..., Any], numbers: Sequence[int], arguments: Any, named: Any) -> Any:
    """The function's value and gradients, recorded; every argument to differentiate by enters under a name of its own.

    Without that, a value computed outside the function from the same tensor would count as depending on the argument.
    """
    arguments = list(arguments)
    sources: list[Tensor] = []
    structures = []
    with ExitStack() as stack:
        for number in numbers:
            entered = [_entered(item, stack) for item in _items(arguments[number])]
            leaves, structure = flatten(_with_items(arguments[number], entered))
            arguments[number] = _with_items(
                arguments[number],
                [
                    item if isinstance(new, dict) else new
                    for item, new in zip(_items(arguments[number]), entered, strict=True)
                ],
            )
            sources.extend(leaves)
            structures.append(structure)
        value = function(*arguments, **named)
    if not isinstance(value, (Tensor, np.ndarray, np.generic, int, float)):
        raise ValueError(
            f"only a single number can be differentiated, and the function returned a {type(value).__name__}; "
            "return the number alone"
        )
    if not isinstance(value, Tensor):
        value = as_tensor(as_operands([value], "grad")[0])
    found = iter(gradients(value, sources))
    parts = tuple(unflatten(structure, found) for structure in structures)
    return value, parts


def _entered(item: Any, stack: ExitStack) -> Any:
    """What stands for an array inside the function; for a module, its parameters by name, until the stack ends."""
    if item is None:
        return None
    variables = _trainable(item)
    if variables is not None:
        recording = active_recording()
        if recording is None:
            raise TypeError("a module's gradient inside value_and_grad needs a recorded function around it")
        fresh = {name: _named_anew(recording.read(variable, name)) for name, variable in variables.items()}
        stack.enter_context(recording.standing_in({variables[name]: tensor for name, tensor in fresh.items()}))
        return fresh
    if not isinstance(item, (Tensor, np.ndarray, np.generic)):
        raise TypeError(
            f"a derivative was asked for by {item!r}, a {type(item).__name__}; it can be taken by numbers, arrays of "
            "float32 or float64, modules, and lists, tuples and dicts of them"
        )
    return _named_anew(as_tensor(as_operands([item], "grad")[0]))


def _items(value: Any) -> list[Any]:
    items: list[Any] = []
    map_items(items.append, value)
    return items


def _with_items(value: Any, items: Sequence[Any]) -> Any:
    remaining = iter(items)
    return map_items(lambda _: next(remaining), value)


def _with_arrays_for_numbers(argument: Any) -> Any:
    """Python numbers are part of a recording elsewhere; the ones to differentiate by must be inputs of it."""
    return map_items(lambda item: np.asarray(item, np.float64) if type(item) in (int, float) else item, argument)


def _named_anew(tensor: Tensor) -> Tensor:
    renamed: Tensor = primitives.identity(tensor, stop_gradient=False)
    return renamed


def _trainable(argument: Any) -> dict[str, Variable] | None:
    """The trainable variables of a module by name; None for anything else."""
    named_variables = getattr(argument, "named_variables", None)
    if named_variables is None:
        return None
    return {name: variable for name, variable in named_variables().items() if variable.trainable}
