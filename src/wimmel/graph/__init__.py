"""What to compute: tensors, primitives, tracing, reverse mode, rewriting, the reference evaluator, receptive fields."""

from wimmel.graph.gradient import gradients
from wimmel.graph.receptive import FieldOfView, receptive_field
from wimmel.graph.reference import evaluate, first_not_finite
from wimmel.graph.rewrite import simplified, simplify
from wimmel.graph.structure import flatten, unflatten
from wimmel.graph.tensor import Primitive, Tensor, Value, scope
from wimmel.graph.tracing import Graph, Recording, Trace, Variable, active_recording, trace

__all__ = [
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
