"""Receptive fields of a graph: which elements of an earlier value the elements of a later one look at."""

from wimmel.graph.receptive.field_of_view import FieldOfView, receptive_field

__all__ = ["FieldOfView", "receptive_field"]
