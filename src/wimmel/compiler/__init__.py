"""From a graph to machine code. See docs/architecture.md for the road."""
