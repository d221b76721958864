"""Networks as files: parameters in safetensors, and beside them, as JSON, how to build the network they belong to.

A file never holds code. It can be rebuilt if every module in it is a built-in layer or a block of `wimmel.models`,
whose constructor arguments are stored under the names by which the layer keeps them.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from wimmel.files import load_tensors, save_tensors
from wimmel.nn.module import Module
from wimmel.nn.parameters import own_copy

BUILT_IN: dict[str, type[Module]] = {}
"""Classes that a file may name, by name."""


def built_in(*classes: type[Module]) -> None:
    """Lets model files name these classes. Their constructor arguments must be attributes of the same names."""
    BUILT_IN.update({cls.__name__: cls for cls in classes})


def save(net: Module, path: Any, classes: Sequence[str] | None = None, preprocessing: Any = None, **extra: Any) -> None:
    """Writes a network to a safetensors file, whole or not at all.

    Parameters
    ----------
    net : Module
        Of built-in layers only; for classes of your own write ``net.state_dict()`` with any safetensors library.
    path : path-like
    classes : sequence of str, optional
        Names of the outputs; default the network's own ``classes``, if it has any.
    preprocessing : Preprocessing, optional
        How pictures become the network's input; default the network's own ``preprocessing``.
    **extra
        Further metadata that JSON can hold.

    Raises
    ------
    ValueError
        If the network contains a class that a file cannot rebuild.
    OSError
        If the file cannot be written; what stood there before stays.
    """
    taken = {"architecture"} & set(extra)
    if taken:
        raise ValueError(f"save was given {', '.join(taken)} as further metadata; that name is the file's own")
    classes = classes if classes is not None else net.__dict__.get("classes")
    preprocessing = preprocessing if preprocessing is not None else net.__dict__.get("preprocessing")
    document = {
        "architecture": description(net),
        "classes": None if classes is None else [str(name) for name in classes],
        "preprocessing": None if preprocessing is None else preprocessing.to_json(),
        **extra,
    }
    save_tensors(path, net.state_dict(), document)


def load(path: Any) -> Module:
    """The network that a file holds, as `Module.save` wrote it.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Module
        With attributes ``classes`` (tuple of str or None), ``preprocessing`` (or None) and ``metadata`` (dict).

    Raises
    ------
    ValueError
        If the file is truncated, of another kind, or describes a network that cannot be built.
    OSError
        If the file is missing or cannot be read.
    """
    tensors, document = load_tensors(path)
    if not isinstance(document, dict) or not isinstance(document.get("architecture"), dict):
        raise ValueError(
            f"{path} holds tensors but not how to build their network, so it was not written by a wimmel network's "
            "save; build the network and give it what wimmel.files.load_plain_tensors reads: net.load_state_dict(...)"
        )
    try:
        # a forged size could ask for more memory than there is before any parameter is compared
        _check_sizes(document["architecture"], largest=max(2**20, *(tensor.size for tensor in tensors.values()), 0))
        net = _built(document["architecture"])
        net.load_state_dict(tensors)
        for name, variable in net.named_variables().items():
            if tensors[name].dtype == np.float64 != variable.dtype:
                variable.write(own_copy(tensors[name], np.float64))
        classes, preprocessing = document.get("classes"), document.get("preprocessing")
        net.__dict__["classes"] = None if classes is None else tuple(str(name) for name in classes)
        net.__dict__["preprocessing"] = None if preprocessing is None else _preprocessing(preprocessing)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError) as error:
        raise ValueError(f"{path} does not describe a network that can be built: {error}") from error
    net.__dict__["metadata"] = document
    return net


def description(value: Any) -> Any:
    """How to build a module, in what JSON can hold: its class and its constructor's arguments, modules likewise."""
    if isinstance(value, Module):
        name = type(value).__name__
        if BUILT_IN.get(name) is not type(value):
            raise ValueError(
                f"{name} is not a layer that a file can rebuild; build the network from wimmel's layers, or save only "
                "its parameters: wimmel.files.save_tensors(path, net.state_dict())"
            )
        arguments = {}
        for parameter in inspect.signature(type(value)).parameters.values():
            attribute = getattr(value, ATTRIBUTES.get(parameter.name, parameter.name))
            arguments[parameter.name] = description(attribute)
        return {"type": name, "arguments": arguments}
    if isinstance(value, (list, tuple)):
        return [description(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"{value!r}, an argument of a layer, cannot be written to a file")


ATTRIBUTES = {"bias": "bias_used", "layers": "layers"}
"""Constructor arguments that a layer keeps under another name, since an array already has theirs."""


def _built(document: Any) -> Any:
    if isinstance(document, dict):
        name = document["type"]
        if name not in BUILT_IN:
            raise ValueError(f"it names the layer {name!r}, which this version of wimmel does not have")
        cls = BUILT_IN[name]
        arguments = {key: _built(value) for key, value in document["arguments"].items()}
        parameters = inspect.signature(cls).parameters.values()
        spread = [p.name for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL]
        positional = [item for key in spread for item in arguments.pop(key, [])]
        return cls(*positional, **arguments)
    if isinstance(document, list):
        return tuple(_built(item) for item in document)
    return document


def _check_sizes(document: Any, largest: int) -> None:
    if isinstance(document, (dict, list)):
        for item in document.values() if isinstance(document, dict) else document:
            _check_sizes(item, largest)
    elif isinstance(document, int) and document > largest:
        raise ValueError(f"it speaks of a size of {document}, more than the file's tensors have elements")


def _preprocessing(document: dict[str, Any]) -> Any:
    from wimmel.data import Preprocessing

    return Preprocessing.from_json(document)
