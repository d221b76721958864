"""A training as it stands between two steps, whole in a safetensors file, so that another process goes on bit for bit.

Given parameters, buffers, the optimiser's state, counters, the history and the best parameters so far, with a
description of what is being trained on what; hands them back, or says in what the file's training differs.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wimmel.files import load_tensors, save_tensors
from wimmel.train.history import History

KIND = "wimmel training checkpoint"


@dataclass(frozen=True)
class Progress:
    """How far the epoch under way has come, and the sums that its record will need.

    Attributes
    ----------
    batches, examples, places : int
        Done so far. An example has one place for a label, or more where it has a label for every pixel.
    loss_sum : float
        Over the examples.
    right : int or None
        Places answered rightly; None where labels are not classes.
    seconds : float
    """

    batches: int = 0
    examples: int = 0
    places: int = 0
    loss_sum: float = 0.0
    right: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training between two steps.

    Attributes
    ----------
    description : dict
        What is trained, on what and how: what must be the same for going on.
    network : dict of str to array
        Parameters and buffers.
    optimizer : dict of str to array
    steps : int
        Updates made.
    history : History
        The epochs completed.
    progress : Progress
        In the epoch after those.
    best : dict of str to array, or None
        Parameters and buffers after the best epoch; None without validation.
    """

    description: dict[str, Any]
    network: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    steps: int
    history: History
    progress: Progress = field(default_factory=Progress)
    best: dict[str, np.ndarray] | None = None


def save_checkpoint(path: Any, checkpoint: Checkpoint) -> None:
    """Writes a training to a file, whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written; what stood there before stays.
    """
    parts = {"network": checkpoint.network, "optimizer": checkpoint.optimizer, "best": checkpoint.best or {}}
    tensors = {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
    document = {
        "kind": KIND,
        "description": checkpoint.description,
        "steps": checkpoint.steps,
        "history": checkpoint.history.to_json(),
        "progress": dataclasses.asdict(checkpoint.progress),
        "has_best": checkpoint.best is not None,
    }
    save_tensors(path, tensors, document)


def load_checkpoint(path: Any) -> Checkpoint:
    """The training that a file holds.

    Raises
    ------
    ValueError
        If the file is damaged or of another kind.
    OSError
        If it is missing or cannot be read.
    """
    tensors, document = load_tensors(path)
    if document.get("kind") != KIND:
        raise ValueError(
            f"{path} is not a training's checkpoint, such as Trainer.fit(..., checkpoint=path) writes; "
            "if it is a model file, load it with wimmel.load and train on from there"
        )
    parts: dict[str, dict[str, np.ndarray]] = {"network": {}, "optimizer": {}, "best": {}}
    try:
        for name, array in tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = array
        return Checkpoint(
            document["description"],
            parts["network"],
            parts["optimizer"],
            document["steps"],
            History.from_json(document["history"]),
            Progress(**document["progress"]),
            parts["best"] if document["has_best"] else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is a damaged checkpoint: {error}") from error


def check_same(path: Any, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuses to go on with anything but what the checkpoint was made with.

    Raises
    ------
    ValueError
        Names everything that differs, with its value then and now.
    """
    differing = [name for name in now if then.get(name) != now[name]]
    if differing:
        differences = "; and ".join(_difference(name, then.get(name), now[name]) for name in differing)
        raise ValueError(f"{path} cannot be resumed: it was made with {differences}")


def described(value: Any) -> Any:
    """A setting in what JSON can hold, the same for equal settings in every process."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, functools.partial):
        keywords = "".join(f", {name}={described(kept)}" for name, kept in sorted(value.keywords.items()))
        arguments = "".join(f", {described(kept)}" for kept in value.args)
        return f"partial({described(value.func)}{arguments}{keywords})"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        settings = ((entry.name, getattr(value, entry.name)) for entry in dataclasses.fields(value))
        return f"{type(value).__name__}({', '.join(f'{name}={described(kept)}' for name, kept in settings)})"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(str(described(kept)) for kept in value)})"
    # a function, or an object of a class of one's own: nothing else is the same in every process
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def _difference(name: str, then: Any, now: Any) -> str:
    if name in ("train", "validation") and isinstance(then, dict) and isinstance(now, dict):
        words = "training" if name == "train" else "validation"
        return f"other {words} data ({_shown(then)} then, {_shown(now)} now)"
    if name == "network" and isinstance(then, dict) and isinstance(now, dict):
        odd = [key for key in {**then, **now} if then.get(key) != now.get(key)]
        return f"another network ({odd[0]} is {then.get(odd[0], 'missing')} then, {now.get(odd[0], 'missing')} now)"
    return f"{name.replace('_', ' ')} {then!s:.200}, not {now!s:.200}"


def _shown(examples: Mapping[str, Any]) -> str:
    dtype, count, *shape = examples["images"]
    return f"{count:,} images of {dtype} {tuple(shape)}"
