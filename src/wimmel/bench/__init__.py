"""Speed, size and memory beside other libraries, on this machine: what `wimmel bench` measures and how.

`sections` says what is compared, one file for each; `peers` how each library does it; `contest` lets them take turns,
each in a process of its own (`child`); `results` holds what came of it and computes the ratios.
"""

from __future__ import annotations

from importlib import import_module

from wimmel.bench.section import Section

__all__ = ["SECTIONS", "section"]

SECTIONS = {
    name: f"wimmel.bench.sections.{name}"
    for name in (
        "layers", "gradients", "latency", "training", "networks", "templates", "sweep", "start", "size", "memory"
    )
}  # fmt: skip
"""The modules of the sections by name, in the order in which they run; each has a ``SECTION``."""


def section(name: str) -> Section:
    """The section of that name.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> section("latency").unit
    'seconds'
    """
    if name not in SECTIONS:
        raise ValueError(f"there is no section {name!r} to measure; there are {', '.join(SECTIONS)}")
    found: Section = import_module(SECTIONS[name]).SECTION
    return found
