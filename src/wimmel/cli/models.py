"""Model files as the commands need them: with classes, and knowing which pictures they take.

Given a path; hands on a network, its classes and its preprocessing, or an error that says what kind of file it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wimmel.data import Preprocessing
from wimmel.nn import Module, load


@dataclass(frozen=True)
class Classifier:
    """A network that gives pictures classes, as a model file holds it."""

    net: Module
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    metadata: dict[str, Any]


def load_classifier(path: Path) -> Classifier:
    """The classifier in a model file.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is truncated, of another kind, or holds a network that does not classify pictures.
    """
    net = load(path)
    classes, preprocessing = net.__dict__.get("classes"), net.__dict__.get("preprocessing")
    if not classes or preprocessing is None:
        lacking = "the names of its classes" if not classes else "how pictures become its input"
        raise ValueError(
            f"{path} holds a network, but not {lacking}, so it cannot recognise pictures; "
            "wimmel train writes both, and net.save takes them as classes=... and preprocessing=..."
        )
    return Classifier(net, classes, preprocessing, dict(net.__dict__.get("metadata") or {}))
