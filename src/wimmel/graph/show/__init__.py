"""Showing a graph: as text, in Graphviz's language, and as a drawing of our own."""

from wimmel.graph.show.dot import to_dot
from wimmel.graph.show.svg import to_svg
from wimmel.graph.show.text import to_text

__all__ = ["to_dot", "to_svg", "to_text"]
