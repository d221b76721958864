"""Where boxes go and how lines run between them, in a drawing from top to bottom: sizes and connections in, places out.

The layered method of Sugiyama, Tagawa and Toda ("Methods for visual understanding of hierarchical system structures",
IEEE Transactions on Systems, Man, and Cybernetics 11, 1981): rows along the connections, an order within each row
that crosses few lines, then places that keep lines short and straight. A line that passes a row has a bend there.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

ORDERING_SWEEPS = 16
PLACING_SWEEPS = 25
STRAIGHTNESS = {0: 1.0, 1: 3.0, 2: 10.0}
"""How strongly a piece of a line pulls its ends together, by how many of them are bends."""
SPINE = 10.0
"""The same for a line that shall run straight down, if it were one piece; of several in a row, the longest must win."""


@dataclass(frozen=True)
class Extent:
    """How far a box reaches to the left and right of where lines meet it, and its height."""

    left: float
    right: float
    height: float


@dataclass(frozen=True)
class Spacing:
    """Free space between the boxes of a row, between a box and a passing line, and between rows.

    Rows stand further apart, up to twice as far, by a part `sweep` of how far sideways a line runs between them.
    """

    boxes: float = 26
    lines: float = 14
    rows: float = 34
    sweep: float = 0.06


@dataclass(frozen=True)
class Layout:
    """Places of boxes (where lines meet them, and the middle of their height), and the bends of each connection.

    A bend is (x, top, bottom): the line runs straight down through the row there.
    """

    places: tuple[tuple[float, float], ...]
    bends: tuple[tuple[tuple[float, float, float], ...], ...]


def rows_of(count: int, connections: Sequence[tuple[int, int]]) -> list[int]:
    """A row for each of `count` boxes, so that every connection leads downwards.

    Boxes are numbered so that connections lead from lower to higher numbers. Each is as high up as what it comes from
    allows, unless as many lines leave it as enter it: then it moves down to where they lead.
    """
    before: list[list[int]] = [[] for _ in range(count)]
    behind: list[list[int]] = [[] for _ in range(count)]
    for source, target in connections:
        before[target].append(source)
        behind[source].append(target)
    rows = [0] * count
    for box in range(count):
        rows[box] = max((rows[source] + 1 for source in before[box]), default=0)
    for box in reversed(range(count)):
        if behind[box] and len(behind[box]) >= len(before[box]):
            rows[box] = min(rows[target] for target in behind[box]) - 1
    return rows


def arrange(
    extents: Sequence[Extent],
    connections: Sequence[tuple[int, int]],
    rows: Sequence[int],
    spacing: Spacing = Spacing(),
) -> Layout:
    """Places for boxes and bends for lines.

    Parameters
    ----------
    extents : sequence of Extent
    connections : sequence of (int, int)
        From and to, numbers of boxes; downwards.
    rows : sequence of int
        Of each box; see `rows_of`.
    spacing : Spacing, optional

    Returns
    -------
    Layout
        Its left and top edges lie at 0.
    """
    chart = _Chart(list(extents), list(rows), [False] * len(extents), _spines(connections, rows))
    chains = [chart.connect(source, target) for source, target in connections]
    x = [0.0] * len(chart.extents)
    occupied: dict[int, float] = {}
    for part in _connected_parts(chart):
        order = _ordered(chart, part)
        _place(chart, order, x, spacing)
        _put_beside(chart, part, x, occupied, spacing)
    edge = min((place - extent.left for place, extent in zip(x, chart.extents, strict=True)), default=0)
    x = [place - edge for place in x]
    spans = _spans(chart, x, spacing)
    places = tuple((x[box], sum(spans[rows[box]]) / 2) for box in range(len(extents)))
    bends = tuple(tuple((x[bend], *spans[chart.rows[bend]]) for bend in chain) for chain in chains)
    return Layout(places, bends)


def _spans(chart: _Chart, x: Sequence[float], spacing: Spacing) -> list[tuple[float, float]]:
    """Top and bottom of each row: as high as its highest box, and further apart where lines sweep wide between two."""
    heights = [0.0] * (max(chart.rows, default=-1) + 1)
    sweeps = [0.0] * len(heights)
    for node, extent in enumerate(chart.extents):
        row = chart.rows[node]
        heights[row] = max(heights[row], extent.height)
        sweeps[row] = max([sweeps[row], *(abs(x[node] - x[lower]) for lower in chart.below[node])])
    spans, top = [], 0.0
    for height, sweep in zip(heights, sweeps, strict=True):
        spans.append((top, top + height))
        top += height + spacing.rows + min(sweep * spacing.sweep, spacing.rows)
    return spans


def _spines(connections: Sequence[tuple[int, int]], rows: Sequence[int]) -> dict[tuple[int, int], int]:
    """The connections that shall run straight down, and how many do so in a row with each.

    They are those on the longest way into one box and on the longest out of the other. No box has two of them above or
    two below it.
    """
    depth, rest = [0] * len(rows), [0] * len(rows)
    for source, target in sorted(connections, key=lambda line: rows[line[0]]):
        depth[target] = max(depth[target], depth[source] + 1)
    for source, target in sorted(connections, key=lambda line: -rows[line[1]]):
        rest[source] = max(rest[source], rest[target] + 1)
    into: dict[int, int] = {}
    out_of: dict[int, int] = {}
    for source, target in connections:
        if target not in into or depth[source] > depth[into[target]]:
            into[target] = source
        if source not in out_of or rest[target] > rest[out_of[source]]:
            out_of[source] = target
    below = {source: target for source, target in out_of.items() if into[target] == source}
    lengths: dict[tuple[int, int], int] = {}
    for start in below.keys() - set(below.values()):
        spine = [start]
        while spine[-1] in below:
            spine.append(below[spine[-1]])
        lengths.update((piece, len(spine) - 1) for piece in pairwise(spine))
    return lengths


@dataclass
class _Chart:
    """Boxes and, numbered behind them, bends; every piece of a line leads from one row to the next."""

    extents: list[Extent]
    rows: list[int]
    is_bend: list[bool]
    spines: dict[tuple[int, int], int]
    above: list[list[int]] = field(default_factory=list)
    below: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.above = [[] for _ in self.extents]
        self.below = [[] for _ in self.extents]

    def connect(self, source: int, target: int) -> list[int]:
        """Adds the pieces from one box to the other, and gives the bends between them."""
        bends = []
        for row in range(self.rows[source] + 1, self.rows[target]):
            bends.append(len(self.extents))
            self.extents.append(Extent(0, 0, 0))
            self.rows.append(row)
            self.is_bend.append(True)
            self.above.append([])
            self.below.append([])
        spine = self.spines.get((source, target))
        for upper, lower in pairwise([source, *bends, target]):
            self.below[upper].append(lower)
            self.above[lower].append(upper)
            if spine:
                self.spines[upper, lower] = spine
        return bends

    def pull(self, one: int, other: int) -> float:
        """How strongly the piece of a line between two pulls them together."""
        spine = self.spines.get((one, other)) or self.spines.get((other, one))
        if spine:
            return SPINE * float(spine) ** 6
        return STRAIGHTNESS[self.is_bend[one] + self.is_bend[other]]


# The order within rows


def _ordered(chart: _Chart, part: Sequence[int]) -> list[list[int]]:
    """The boxes and bends of each row from left to right: of some sweeps down and up, what crosses fewest lines."""
    first = min(chart.rows[node] for node in part)
    order: list[list[int]] = [[] for _ in range(max(chart.rows[node] for node in part) - first + 1)]
    for node in part:
        order[chart.rows[node] - first].append(node)
    best, fewest = [list(row) for row in order], _crossings(chart, order)
    for sweep in range(ORDERING_SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        neighbours = chart.above if down else chart.below
        for row in range(1, len(order)) if down else range(len(order) - 2, -1, -1):
            beside = order[row - 1] if down else order[row + 1]
            _sort_by_neighbours(order[row], beside, neighbours)
        crossings = _crossings(chart, order)
        if crossings < fewest:
            best, fewest = [list(row) for row in order], crossings
    return best


def _sort_by_neighbours(row: list[int], beside: Sequence[int], neighbours: Sequence[Sequence[int]]) -> None:
    """Sorts a row by the mean place of each one's neighbours in the row beside; who has none keeps its place."""
    place = {node: number for number, node in enumerate(beside)}
    linked = [node for node in row if neighbours[node]]
    wanted = {node: sum(place[other] for other in neighbours[node]) / len(neighbours[node]) for node in linked}
    moving = iter(sorted(wanted, key=lambda node: wanted[node]))
    row[:] = [next(moving) if node in wanted else node for node in row]


def _crossings(chart: _Chart, order: Sequence[Sequence[int]]) -> int:
    """How many pairs of lines cross, counted row by row as the inversions among where lines end."""
    total = 0
    for row, next_row in pairwise(order):
        place = {node: number for number, node in enumerate(next_row)}
        ends: list[int] = []
        for node in row:
            for end in sorted(place[lower] for lower in chart.below[node]):
                total += len(ends) - bisect_right(ends, end)
                insort(ends, end)
    return total


# Places


def _place(chart: _Chart, order: Sequence[Sequence[int]], x: list[float], spacing: Spacing) -> None:
    """Gives every box and bend a place: row by row, as near to its neighbours as those beside it in the row allow."""
    offsets = []
    for row in order:
        offset = [0.0]
        for one, other in pairwise(row):
            gap = spacing.lines if chart.is_bend[one] or chart.is_bend[other] else spacing.boxes
            offset.append(offset[-1] + chart.extents[one].right + gap + chart.extents[other].left)
        offsets.append(offset)
        middle = offset[-1] / 2
        for node, place in zip(row, offset, strict=True):
            x[node] = place - middle
    for sweep in range(PLACING_SWEEPS):
        down = sweep % 2 == 0
        for place in range(len(order)) if down else range(len(order) - 1, -1, -1):
            _settle(chart, x, order[place], offsets[place], chart.above if down else chart.below)


def _settle(
    chart: _Chart, x: list[float], row: Sequence[int], offset: Sequence[float], neighbours: Sequence[Sequence[int]]
) -> None:
    """Moves a row's members as near as may be to their neighbours' places, in their order and with their distances.

    With its offset taken from each, the places sought are the nondecreasing numbers nearest to the wanted ones: an
    isotonic regression, solved by pooling neighbours that are out of order.
    """
    pools: list[tuple[float, float, int]] = []
    for node, start in zip(row, offset, strict=True):
        pulls = [(chart.pull(node, other), x[other]) for other in neighbours[node]]
        weight = sum(pull for pull, _ in pulls)
        wanted = sum(pull * place for pull, place in pulls) / weight if weight else x[node]
        mean, weight, count = wanted - start, weight or 0.05, 1
        while pools and pools[-1][0] > mean:
            other, heavy, many = pools.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight, count = weight + heavy, count + many
        pools.append((mean, weight, count))
    settled = [mean for mean, _, count in pools for _ in range(count)]
    for node, start, place in zip(row, offset, settled, strict=True):
        x[node] = place + start


def _put_beside(
    chart: _Chart, part: Sequence[int], x: list[float], occupied: dict[int, float], spacing: Spacing
) -> None:
    """Moves a part to the right of those already there, as far as they reach in its rows; notes how far it reaches."""
    lefts: dict[int, float] = {}
    for node in part:
        row, left = chart.rows[node], x[node] - chart.extents[node].left
        lefts[row] = min(left, lefts.get(row, left))
    shift = max((occupied[row] - left + 2 * spacing.boxes for row, left in lefts.items() if row in occupied), default=0)
    for node in part:
        x[node] += shift
        right = x[node] + chart.extents[node].right
        occupied[chart.rows[node]] = max(right, occupied.get(chart.rows[node], right))


def _connected_parts(chart: _Chart) -> list[list[int]]:
    """The boxes and bends that lines connect, part by part; in each, one line followed to its end before the next."""
    parts: list[list[int]] = []
    found: set[int] = set()
    for start in range(len(chart.extents)):
        part, pending = [], [start]
        while pending:
            node = pending.pop()
            if node not in found:
                found.add(node)
                part.append(node)
                pending.extend([*reversed(chart.below[node]), *reversed(chart.above[node])])
        if part:
            parts.append(part)
    return parts
