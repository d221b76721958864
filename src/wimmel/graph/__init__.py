"""What to compute: tensors, primitives, tracing, reverse mode, rewriting, the reference evaluator, receptive fields."""

from typing import TYPE_CHECKING, Any

from wimmel.graph.gradient import gradients
from wimmel.graph.reference import evaluate, first_not_finite
from wimmel.graph.structure import flatten, unflatten
from wimmel.graph.tensor import Primitive, Tensor, Value, scope
from wimmel.graph.tracing import CHANGES, Graph, Recording, Trace, Variable, active_recording, trace

if TYPE_CHECKING:
    from wimmel.graph.receptive import FieldOfView, receptive_field
    from wimmel.graph.rewrite import simplified, simplify


def __getattr__(name: str) -> Any:
    """What only some programs use is loaded when they do: importing wimmel stays quick."""
    if name in ("FieldOfView", "receptive_field"):
        from wimmel.graph import receptive

        return getattr(receptive, name)
    if name in ("simplified", "simplify"):
        from wimmel.graph import rewrite

        return getattr(rewrite, name)
    raise AttributeError(f"wimmel.graph has no {name!r}")


__all__ = [
    "CHANGES",
    "FieldOfView",
    "Graph",
    "Primitive",
    "Recording",
    "Tensor",
    "Trace",
    "Value",
    "Variable",
    "active_recording",
    "evaluate",
    "first_not_finite",
    "flatten",
    "gradients",
    "receptive_field",
    "scope",
    "simplified",
    "simplify",
    "trace",
    "unflatten",
]
