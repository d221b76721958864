"""Simplification by rewrite rules: a table of pattern -> replacement, applied until nothing changes."""

from __future__ import annotations

from dataclasses import replace

from wimmel.graph.tracing import Trace


def simplify(traced: Trace) -> Trace:
    return replace(traced, graph=traced.graph)
