"""How a module looks in a notebook: its layers as a table that opens and closes."""

from __future__ import annotations

import html

from wimmel.nn.module import Module


def module_page(module: Module) -> str:
    """The module as HTML: one row per layer, with the shapes of its parameters; containers fold.

    Examples
    --------
    >>> from wimmel.nn import Linear
    >>> "10 x 3" in module_page(Linear(3, 10))
    True
    """
    title = f"<b>{type(module).__name__}</b> &middot; {module.parameter_count():,} parameters"
    rows = "".join(
        f"<tr><td style='text-align:left'><code>{html.escape(path)}</code></td>"
        f"<td style='text-align:left'>{html.escape(_one_line(layer))}</td>"
        f"<td style='text-align:left'>{html.escape(_shapes(layer))}</td></tr>"
        for path, layer in module.named_modules().items()
        if layer.own_variables() or not layer.children()
    )
    head = "<tr><th>path</th><th style='text-align:left'>layer</th><th style='text-align:left'>parameters</th></tr>"
    return f"<details open><summary>{title}</summary><table>{head}{rows}</table></details>"


def _one_line(layer: Module) -> str:
    return f"{type(layer).__name__}({layer.extra_repr()})"


def _shapes(layer: Module) -> str:
    parts = []
    for name, variable in layer.own_variables().items():
        sizes = " x ".join(map(str, variable.shape)) or "1"
        frozen = "" if variable.trainable or name in layer.buffer_names() else ", frozen"
        parts.append(f"{name} {sizes}{frozen}")
    return "; ".join(parts)
