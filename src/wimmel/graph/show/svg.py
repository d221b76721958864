"""A graph as a drawing: boxes for what is computed, from top to bottom, in frames for the layers, as one SVG text.

It needs no other program. Text takes the colour of what surrounds the drawing and fills are translucent, so that it
looks right on light and on dark pages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

from wimmel.graph.show.captions import caption, common_dtype, is_number, kind, names_in, parts, sizes
from wimmel.graph.show.layout import Extent, Layout, Spacing, arrange, rows_of
from wimmel.graph.tensor import Tensor
from wimmel.graph.tracing import Graph

LONGEST_LINE = 10
"""A line that would pass more rows than this becomes a tag at its end that names where it comes from."""

WIDEST_FITTED = 1800
"""A drawing no wider than this is shrunk to the page that shows it; of a wider one nothing could be read then."""

FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
LINE = 15.0
PAD = 9.0
TAG_HEIGHT = 19.0
TAG_GAP = 12.0
FRAME = 8.0
LABEL = 12.0

COLOURS = {
    "product": "#4c7fd0",
    "window": "#2f9e8f",
    "elementwise": "#7d8aa0",
    "moving": "#a0a7b4",
    "input": "#d99a2b",
    "parameter": "#9270c9",
    "constant": "#8d8d8d",
    "reference": "#8a94a6",
    "output": "#3d9a50",
}
"""One muted colour for each kind of thing: strong for outlines, faint for fills."""

FAMILIES = {
    "product": "convolution convolution_input_gradient convolution_weight_gradient matmul",
    "window": "sum_pool sum_unpool max_pool max_unpool max_pool_take sum max argmax",
    "moving": "reshape transpose broadcast slice pad flip concatenate take scatter_add cast identity",
}


REARRANGING = frozenset(["reshape", "transpose", "broadcast", "cast", "identity"])
"""What may be done to a parameter without making it a box of its own."""


@dataclass(frozen=True)
class Tag:
    """A small label beside a box: a parameter, a constant, a value from far above, or the output that it is."""

    text: str
    colour: str
    tip: str

    @property
    def width(self) -> float:
        return _width(self.text, 10.5) + 2 * 7


@dataclass(frozen=True)
class Box:
    """A value that is drawn: its lines of text, what hangs on its left, and on its right."""

    tensor: Tensor
    lines: tuple[str, ...]
    colour: str
    tip: str
    left: tuple[Tag, ...]
    right: tuple[Tag, ...]

    @property
    def width(self) -> float:
        title, *others = self.lines
        return max(_width(title, 12, bold=True), *(_width(line, 10.5) for line in others), 44) + 2 * PAD

    @property
    def height(self) -> float:
        text = len(self.lines) * LINE + 2 * PAD - 4
        return max(text, *(len(tags) * (TAG_HEIGHT + 3) - 3 for tags in (self.left, self.right)))

    @property
    def extent(self) -> Extent:
        sides = (max((tag.width + TAG_GAP for tag in tags), default=0) for tags in (self.left, self.right))
        left, right = sides
        return Extent(self.width / 2 + left, self.width / 2 + right, self.height)


def to_svg(graph: Graph) -> str:
    """The graph drawn from top to bottom, as an SVG text that a notebook shows and a browser opens.

    A box is a value that is computed, with its operation, settings and shape; pointing at it tells the rest. Parameters
    and constants hang beside the boxes they enter, numbers stand in them, and outputs are marked. A value that comes
    from far above is named instead of drawn as a long line. A frame is a layer.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> from wimmel.graph.tracing import trace
    >>> to_svg(trace(lambda x: x * 2, np.zeros(3)).graph)[:35]
    '<svg xmlns="http://www.w3.org/2000/'
    """
    boxes, connections, rows = _boxes(graph)
    layout = arrange([box.extent for box in boxes], connections, rows, Spacing())
    frames = _frames(boxes, connections, rows, layout)
    drawn = [
        *(_frame(frame) for frame in frames),
        *_lines(boxes, connections, layout),
        *(_box(box, *place) for box, place in zip(boxes, layout.places, strict=True)),
    ]
    left, top, right, bottom = _bounds(boxes, layout, frames)
    width, height = f"{right - left:.0f}", f"{bottom - top:.0f}"
    fitting = ' style="max-width:100%;height:auto"' if right - left < WIDEST_FITTED else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="{left:.1f} {top:.1f} {width} {height}"{fitting} '
        f'font-family="{FONT}" fill="currentColor" role="img">'
        f"<title>{escape(_title(graph))}</title>{''.join(drawn)}</svg>"
    )


def _title(graph: Graph) -> str:
    steps = sum(bool(node.inputs) for node in graph.nodes())
    return f"A graph of {steps} steps from {len(graph.inputs)} inputs to {len(graph.outputs)} outputs"


# What is drawn


def _boxes(graph: Graph) -> tuple[list[Box], list[tuple[int, int]], list[int]]:
    """The boxes, the lines between them, and the row of each box."""
    names = names_in(graph)
    tags = _tags_of(graph, names)
    drawn = [node for node in parts(graph) if node not in tags]
    number = {node: place for place, node in enumerate(drawn)}
    entering = [(source, node) for node in drawn for source in dict.fromkeys(node.inputs)]
    lines = [(number[source], number[node]) for source, node in entering if source in number]
    rows = rows_of(len(drawn), lines)
    far = {(source, target) for source, target in lines if rows[target] - rows[source] > LONGEST_LINE}
    tags |= {node: Tag(f"↑ {names[node]}", COLOURS["reference"], _tip(node, names)) for node in number if node in names}
    marks: dict[Tensor, list[Tag]] = defaultdict(list)
    for place in dict.fromkeys(source for source, _ in far):
        marks[drawn[place]].append(Tag(names[drawn[place]], COLOURS["reference"], "used further down"))
    for place, output in enumerate(graph.outputs):
        marks[output].append(Tag(f"output {place}", COLOURS["output"], "what the graph gives back"))
    usual, boxes = common_dtype(graph), []
    for place, node in enumerate(drawn):
        shape = sizes(node) if node.dtype == usual else f"{sizes(node)} {node.dtype}"
        left = [
            tags[source]
            for source in dict.fromkeys(node.inputs)
            if not is_number(source) and (source not in number or (number[source], place) in far)
        ]
        text = (*caption(node, names), shape)
        boxes.append(Box(node, text, _colour(node), _tip(node, names), tuple(left), tuple(marks[node])))
    return boxes, [line for line in lines if line not in far], rows


def _tags_of(graph: Graph, names: dict[Tensor, str]) -> dict[Tensor, Tag]:
    """What hangs beside the boxes that it enters: numbers excepted, all that is no data, if it is computed with.

    That is parameters, constants, and what only rearranges one of them; not what is itself an output.
    """
    used, outputs = {source for node in graph.nodes() for source in node.inputs}, set(graph.outputs)
    said: dict[Tensor, str] = {}
    tags: dict[Tensor, Tag] = {}
    for node in parts(graph):
        if node not in used or node in outputs:
            continue
        if kind(node) in ("parameter", "constant"):
            said[node] = caption(node, names)[0]
        elif node.primitive.name in REARRANGING and node.inputs[0] in said:
            said[node] = f"{node.primitive.name}({said[node.inputs[0]]})"
        else:
            continue
        origin = node
        while origin.inputs:
            (origin,) = origin.inputs
        tags[node] = Tag(f"{said[node]}  {sizes(node)}", COLOURS[kind(origin)], _tip(node, names))
    return tags


def _colour(node: Tensor) -> str:
    if kind(node) != "operation":
        return COLOURS[kind(node)]
    family = next((family for family, names in FAMILIES.items() if node.primitive.name in names.split()), "elementwise")
    return COLOURS[family]


def _tip(node: Tensor, names: dict[Tensor, str]) -> str:
    made = ", ".join([*(names.get(source, "a number") for source in node.inputs)])
    told = [names.get(node, "a number"), f"{node.dtype} {node.shape}"]
    if node.inputs:
        told.insert(1, f"{node.primitive.name} of {made}")
    return "\n".join([*told, *([f"layer {node.scope}"] if node.scope else [])])


# Frames: a layer's boxes that hang together, where nothing else lies among them


Rectangle: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Frame:
    """The rectangle around some boxes of one layer."""

    label: str
    left: float
    top: float
    right: float
    bottom: float


def _frames(
    boxes: Sequence[Box], connections: Sequence[tuple[int, int]], rows: Sequence[int], layout: Layout
) -> list[Frame]:
    together = list(range(len(boxes)))

    def leader(box: int) -> int:
        while together[box] != box:
            together[box] = together[together[box]]
            box = together[box]
        return box

    for source, target in connections:
        scope = boxes[source].tensor.scope
        if scope and scope == boxes[target].tensor.scope:
            together[leader(source)] = leader(target)
    groups: dict[int, list[int]] = defaultdict(list)
    taken: dict[int, list[tuple[int | None, Rectangle]]] = defaultdict(list)
    rectangles = [_rectangle(box, place) for box, place in zip(boxes, layout.places, strict=True)]
    for box, rectangle in enumerate(rectangles):
        taken[rows[box]].append((box, rectangle))
        if boxes[box].tensor.scope:
            groups[leader(box)].append(box)
    frames: list[Frame] = []
    for members in groups.values():
        # all of them together if nothing else lies among them, else each alone
        for some in (set(members), *({box} for box in members)):
            frame = _around(boxes[members[0]].tensor.scope, [rectangles[box] for box in some])
            beside = range(min(rows[box] for box in some), max(rows[box] for box in some) + 1)
            if not any(_overlap(frame, other) for row in beside for box, other in taken[row] if box not in some):
                frames.append(frame)
                for row in beside:
                    taken[row].append((None, _corners(frame)))
                if len(some) == len(members):
                    break
    return frames


def _corners(frame: Frame) -> Rectangle:
    return frame.left, frame.top, frame.right, frame.bottom


def _rectangle(box: Box, place: tuple[float, float]) -> Rectangle:
    (x, y), extent = place, box.extent
    return x - extent.left, y - extent.height / 2, x + extent.right, y + extent.height / 2


def _around(label: str, rectangles: Sequence[Rectangle]) -> Frame:
    lefts, tops, rights, bottoms = zip(*rectangles, strict=True)
    return Frame(label, min(lefts) - FRAME, min(tops) - FRAME - LABEL, max(rights) + FRAME, max(bottoms) + FRAME)


def _overlap(frame: Frame, other: Rectangle) -> bool:
    left, top, right, bottom = other
    return frame.left < right and left < frame.right and frame.top < bottom and top < frame.bottom


def _bounds(boxes: Sequence[Box], layout: Layout, frames: Sequence[Frame]) -> Rectangle:
    rectangles = [_rectangle(box, place) for box, place in zip(boxes, layout.places, strict=True)]
    rectangles += map(_corners, frames)
    rectangles += [(x, top, x, bottom) for bends in layout.bends for x, top, bottom in bends]
    lefts, tops, rights, bottoms = zip(*rectangles, strict=True) if rectangles else ((0,), (0,), (0,), (0,))
    return min(lefts) - 8, min(tops) - 8, max(rights) + 8, max(bottoms) + 8


# Pieces of the drawing


def _frame(frame: Frame) -> str:
    width, height = frame.right - frame.left, frame.bottom - frame.top
    return (
        f'<rect x="{frame.left:.1f}" y="{frame.top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="10" '
        f'fill="#8a94a6" fill-opacity="0.09"/>'
        f'<text x="{frame.left + 8:.1f}" y="{frame.top + LABEL:.1f}" font-size="10" fill-opacity="0.6">'
        f"{escape(frame.label)}</text>"
    )


def _box(box: Box, x: float, y: float) -> str:
    left, top = x - box.width / 2, y - box.height / 2
    pieces = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="7" '
        f'fill="{box.colour}" fill-opacity="0.17" stroke="{box.colour}" stroke-width="1.1"/>'
    ]
    first = y - len(box.lines) * LINE / 2 + LINE * 0.74
    for number, line in enumerate(box.lines):
        style = 'font-size="12" font-weight="600"' if number == 0 else 'font-size="10.5" fill-opacity="0.72"'
        place = f'x="{x:.1f}" y="{first + number * LINE:.1f}" text-anchor="middle"'
        pieces.append(f"<text {place} {style}>{escape(line)}</text>")
    pieces.extend(_tags(box.left, left, y, -1))
    pieces.extend(_tags(box.right, left + box.width, y, 1))
    return f"<g><title>{escape(box.tip)}</title>{''.join(pieces)}</g>"


def _tags(tags: Sequence[Tag], edge: float, y: float, side: int) -> Iterator[str]:
    """Tags one below the other, beside the edge of a box, on its left (side -1) or right (1)."""
    top = y - (len(tags) * (TAG_HEIGHT + 3) - 3) / 2
    for number, tag in enumerate(tags):
        row = top + number * (TAG_HEIGHT + 3)
        near = edge + side * TAG_GAP
        left = near if side > 0 else near - tag.width
        yield (
            f"<g><title>{escape(tag.tip)}</title>"
            f'<path d="M{edge:.1f} {row + TAG_HEIGHT / 2:.1f}H{near:.1f}" stroke="{tag.colour}" stroke-width="1.1"/>'
            f'<rect x="{left:.1f}" y="{row:.1f}" width="{tag.width:.1f}" height="{TAG_HEIGHT:.1f}" '
            f'rx="{TAG_HEIGHT / 2:.1f}" fill="{tag.colour}" fill-opacity="0.17"/>'
            f'<text x="{left + tag.width / 2:.1f}" y="{row + 13:.1f}" text-anchor="middle" font-size="10.5">'
            f"{escape(tag.text)}</text></g>"
        )


def _lines(boxes: Sequence[Box], connections: Sequence[tuple[int, int]], layout: Layout) -> Iterator[str]:
    leaving, entering = defaultdict(list), defaultdict(list)
    for line, (source, target) in enumerate(connections):
        bends = layout.bends[line]
        leaving[source].append((bends[0][0] if bends else layout.places[target][0], line))
        entering[target].append((bends[-1][0] if bends else layout.places[source][0], line))
    starts = {line: x for box, ends in leaving.items() for line, x in _ports(boxes[box], layout.places[box][0], ends)}
    stops = {line: x for box, ends in entering.items() for line, x in _ports(boxes[box], layout.places[box][0], ends)}
    for line, (source, target) in enumerate(connections):
        from_y = layout.places[source][1] + boxes[source].height / 2
        to_y = layout.places[target][1] - boxes[target].height / 2
        yield _line(starts[line], from_y, layout.bends[line], stops[line], to_y)


def _ports(box: Box, middle: float, ends: Sequence[tuple[float, int]]) -> Iterator[tuple[int, float]]:
    """Where along a box's edge its lines begin or end: side by side, in the order of where they go.

    One that goes straight up or down stays in the middle.
    """
    order = sorted(ends)
    centre = next((place for place, (x, _) in enumerate(order) if abs(x - middle) < 1), (len(ends) - 1) / 2)
    reach = max(centre, len(ends) - 1 - centre)
    apart = min(16.0, (box.width / 2 - 8) / max(reach, 1))
    for place, (_, line) in enumerate(order):
        yield line, middle + (place - centre) * apart


def _line(x: float, y: float, bends: Sequence[tuple[float, float, float]], to_x: float, to_y: float) -> str:
    path = [f"M{x:.1f} {y:.1f}"]
    for next_x, top, bottom in (*bends, (to_x, to_y - 5, to_y - 5)):
        middle = (y + top) / 2
        path.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {top:.1f}V{bottom:.1f}")
        x, y = next_x, bottom
    head = f"M{to_x - 3.5:.1f} {to_y - 6.5:.1f}L{to_x:.1f} {to_y:.1f}L{to_x + 3.5:.1f} {to_y - 6.5:.1f}Z"
    return (
        f'<path d="{"".join(path)}" fill="none" stroke="#8a94a6" stroke-width="1.3"/><path d="{head}" fill="#8a94a6"/>'
    )


def _width(text: str, size: float, bold: bool = False) -> float:
    """About how wide a text is in a wide sans-serif face; no font is at hand to measure it."""
    narrow, wide = set("iIjlft.,:;'|()[] 1"), set("mwMW@%×")
    units = sum(0.4 if letter in narrow else 0.9 if letter in wide else 0.62 for letter in text)
    return units * size * (1.08 if bold else 1)
