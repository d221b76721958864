"""Windows that slide over pictures, for the kernels that do: where they begin and which of their taps are inside, in
numbers and in code; rows of pictures as tasks, and channels, or columns, in vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from wimmel.compiler.language import BOOLEAN, Builder, Number, Type, Value
from wimmel.compiler.steps import KIND_OF, Buffer, Place, Schedule, Step
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

INSTRUCTIONS = 3
"""For each vector that a window meets, about."""

TASK_ELEMENTS = 1 << 14
"""How many elements one task meets: some microseconds of work."""

UNROLLED = 32
"""Windows of at most so many taps are written out tap by tap."""

LINE_BYTES = 64
"""Of a cache line: what one fetch brings."""

Range: TypeAlias = tuple[Number, Number, int]
"""Taps along one axis: first, end, step."""

Tap: TypeAlias = tuple[Number, ...]
Pointers: TypeAlias = dict[int, Value]
Visit: TypeAlias = Callable[..., Sequence[Value]]
Body: TypeAlias = Callable[[Number, int, Value | None], None]


@dataclass(frozen=True)
class Sliding:
    """What code for windows depends on, besides what it does with them; there are always three spatial axes.

    Attributes
    ----------
    dtypes : tuple of str
        Of the places it is given.
    window, stride, dilation : (int, int, int)
    lanes : int
    channels : int
        How many lanes are filled, where a vector has room for all channels; else 0.
    along : str
        ``channels`` or ``columns``: what fills the lanes.
    """

    dtypes: tuple[str, ...]
    window: Shape
    stride: Shape
    dilation: Shape
    lanes: int
    channels: int
    along: str

    @property
    def in_blocks(self) -> bool:
        """Whether elements and the windows they are in can be met in blocks of one stride along the columns."""
        return self.dilation[2] == 1 and self.stride[2] <= 8 and self.window[2] <= UNROLLED


@dataclass(frozen=True)
class Windows:
    """Windows over a picture: its sizes, how many windows there are along each axis, and their measures."""

    sizes: Shape
    outputs: Shape
    window: Shape
    stride: Shape
    front: Shape
    dilation: Shape

    @staticmethod
    def of(x: Place, y: Place, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape) -> Windows:
        """Those of a primitive, from pictures x (n, c, *sizes) to y (n, c, *outputs); leading axes of size 1 make up
        for those that are missing."""
        sizes, outputs = on_three_axes(x.shape[2:], 1), on_three_axes(y.shape[2:], 1)
        window, stride, dilation = (on_three_axes(row, 1) for row in (kernel, stride, dilation))
        front = on_three_axes([pair[0] for pair in padding], 0)
        return Windows(sizes, outputs, window, stride, front, dilation)

    @property
    def overlap(self) -> bool:
        rows = zip(self.window, self.stride, self.dilation, strict=True)
        return any(s <= d * (k - 1) for k, s, d in rows)

    def whole_columns(self, lanes: int = 0) -> tuple[int, int]:
        """From where to where windows are inside the picture along the columns; where each vector of `lanes` windows is
        cut out of a longer one, so that this one is inside too. An empty range is (0, 0)."""
        size, count, k, s, p, d = (
            row[2] for row in (self.sizes, self.outputs, self.window, self.stride, self.front, self.dilation)
        )
        left, right = -(-p // s), (size + p - (k - 1) * d + (0 if lanes else s - 1)) // s
        right = min(right, count)
        return (left, right) if left + max(lanes, 1) <= right else (0, 0)

    def whole_blocks(self) -> tuple[int, int]:
        """From where to where blocks of elements, from where one window begins to where the next does, are inside the
        picture, and all windows exist that they may be in."""
        size, count, k, s, p = (row[2] for row in (self.sizes, self.outputs, self.window, self.stride, self.front))
        left, right = max(-(-p // s), (k - 1) // s), min(count, (size + p) // s)
        return (left, right) if left < right else (0, 0)

    def step(
        self,
        schedule: Schedule,
        sliding: Sliding,
        places: Sequence[Place],
        over: Shape,
        inner: tuple[int, int],
        border: tuple[int, int],
        label: str,
    ) -> Step:
        """The step that writes the last place, with one row of the sizes `over` after the other: `inner` are the
        columns that need no care, and `border` where these begin and end in a row."""
        n, c = places[-1].shape[:2]
        rows = n * math.prod(over[:2])
        met = max(min(math.prod(self.window), 64) * math.prod(self.outputs), math.prod(self.sizes)) * n * c // rows
        rows_of_task = max(1, TASK_ELEMENTS // max(1, met))
        numbers = [stride for place in places for stride in picture(place).strides]
        numbers += [*self.sizes, *self.outputs, *self.front, c, rows, rows_of_task, *inner, *border]
        filled = sliding.channels or sliding.lanes
        operations = math.prod((*self.window, *self.outputs)) * n * c / filled * INSTRUCTIONS
        written = (places[-1].buffer,)
        return Step(schedule, (*places, *numbers), written, -(-rows // rows_of_task), label, operations)


def beyond_caches(places: Sequence[Place], target: Target, part: float = 3 / 8) -> bool:
    """Whether to fetch ahead what lies there, since it is more than such a part of the third-level cache, which others
    use too: from memory that gains up to a half, and in caches it may cost up to a quarter."""
    return sum(buffer.bytes for buffer in {place.buffer for place in places}) > target.l3_bytes * part


def on_three_axes(numbers: Sequence[int], missing: int) -> Shape:
    """One number for each spatial axis, leading ones made up.

    Examples
    --------
    >>> on_three_axes((5, 7), 1)
    (1, 5, 7)
    """
    assert len(numbers) <= 3, f"kernels run over one to three spatial axes, not {len(numbers)}"
    return (*(missing,) * (3 - len(numbers)), *numbers)


def picture(place: Place) -> Place:
    """A place (n, c, *sizes) with three spatial axes."""
    sizes, strides = on_three_axes(place.shape[2:], 1), on_three_axes(place.strides[2:], 0)
    return Place(place.buffer, place.offset, (*place.shape[:2], *sizes), (*place.strides[:2], *strides))


def filled_lanes(places: Sequence[Place], full: int, columns: bool, target: Target) -> tuple[int, int, str]:
    """What `Sliding` says of lanes, channels and along. A last vector of channels overlaps the one before it; where one
    has room for all channels, the others of its lanes are masked.

    Parameters
    ----------
    places : sequence of Place
    full : int
        Lanes of a vector register.
    columns : bool
        Whether the code can run along columns.
    target : Target
    """
    channels = places[-1].shape[1]
    if channels > 1 and all(place.strides[1] == 1 for place in places):
        if channels >= full:
            return full, 0, "channels"
        below = 1 << (channels.bit_length() - 1)
        if below == channels or not all(target.masks(place.kind) for place in places):
            return below, 0, "channels"
        return 2 * below, channels, "channels"
    if columns and all(place.strides[-1] == 1 for place in places) and places[-1].shape[-1] >= full:
        return full, 0, "columns"
    return 1, 0, "channels"


def channels_last(buffer: Buffer, shape: Shape) -> Place:
    """All of the buffer as pictures (n, c, *sizes)."""
    _, c, *sizes = shape
    strides, step = [], c
    for size in reversed(sizes):
        strides.append(step)
        step *= size
    return Place(buffer, 0, shape, (step, 1, *reversed(strides)))


class Loops:
    """What kernels over windows share: their arguments, rows as tasks, and channels in vectors."""

    def __init__(self, sliding: Sliding, builder: Builder) -> None:
        self.sliding = sliding
        self.builder = builder
        self.types = [Type(KIND_OF[dtype]) for dtype in sliding.dtypes]
        places = len(sliding.dtypes)
        block, self.begin, self.end, _ = builder.kernel()
        words = builder.arguments(block, "p" * places + "i" * (5 * places + 16))
        self.pointers, words = words[:places], words[places:]
        self.strides: list[list[Number]] = [[*words[5 * place : 5 * place + 5]] for place in range(places)]
        words = words[5 * places :]
        self.sizes, self.outputs, self.front = words[:3], words[3:6], words[6:9]
        self.channels, self.rows, self.rows_of_task = words[9:12]
        self.left, self.right, self.first, self.last = words[12:]
        if sliding.lanes > 1:
            for strides in self.strides:
                strides[1 if sliding.along == "channels" else 4] = 1
        self.tap_steps = [
            [distance * stride for distance, stride in zip(sliding.dilation, strides[2:], strict=True)]
            for strides in self.strides
        ]

    def each_row(self, counts: Sequence[Value], body: Callable[[Value, Value, Value], None]) -> None:
        """``body(picture, depth, height)`` for the rows of the tasks at hand."""
        builder = self.builder

        def row(number: Value) -> None:
            plane = number // counts[1]
            body(plane // counts[0], plane % counts[0], number % counts[1])

        def task(number: Value) -> None:
            first = number * self.rows_of_task
            builder.loop(first, builder.minimum(first + self.rows_of_task, self.rows), 1, row)

        builder.loop(self.begin, self.end, 1, task)

    def each_border(self, count: Value, body: Callable[[Value], None]) -> None:
        """``body`` for each column outside of ``first`` to ``last``."""
        builder = self.builder

        def column(number: Value) -> None:
            behind = builder.compare("ge", number, self.first)
            body(builder.select(behind, number - self.first + self.last, number))

        builder.loop(0, count - (self.last - self.first), 1, column)

    def each_vector(self, body: Body) -> None:
        """``body(channel, lanes, mask)`` for all channels."""
        builder, lanes, filled = self.builder, self.sliding.lanes, self.sliding.channels
        if lanes == 1 or self.sliding.along == "columns":
            self.each_channel(body, 1)
        elif filled:
            body(0, lanes, builder.constant(BOOLEAN.of(lanes), [lane < filled for lane in range(lanes)]))
        else:
            last = self.channels - lanes
            builder.loop(0, self.channels, lanes, lambda c: body(builder.minimum(c, last), lanes, None))

    def each_channel(self, body: Body, lanes: int) -> None:
        self.builder.loop(0, self.channels, 1, lambda c: body(c, lanes, None))

    def at(self, place: int, n: Number, d: Number, h: Number, w: Number) -> Value:
        """The pointer to the first channel there."""
        picture, _, depth, height, width = self.strides[place]
        index = n * picture + d * depth + h * height + w * width
        return self.builder.offset(self.pointers[place], index, self.types[place].kind)

    def load(self, place: int, pointer: Value, channel: Number, lanes: int, mask: Value | None) -> Value:
        """A vector of channels, or of columns that windows begin at."""
        builder, type_ = self.builder, self.types[place]
        index = channel * self.strides[place][1]
        step = self.sliding.stride[2] if self.sliding.along == "columns" and lanes > 1 else 1
        wide = builder.load(pointer, index, type_.of(lanes * step), mask)
        return wide if step == 1 else builder.shuffle(wide, wide, range(0, lanes * step, step))

    def store(self, value: Value, place: int, pointer: Value, channel: Number, mask: Value | None) -> None:
        self.builder.store(value, pointer, channel * self.strides[place][1], mask)

    def start(self, axis: int, output: Number) -> Number:
        """Where a window begins, which may be in the padding."""
        return output * self.sliding.stride[axis] - self.front[axis]

    def reach(self, axis: int, output: Number) -> Range:
        """The taps of a window that are inside the picture."""
        builder, distance = self.builder, self.sliding.dilation[axis]
        start = self.start(axis, output)
        first = (builder.maximum(0 - start, 0) + (distance - 1)) // distance
        end = (self.sizes[axis] - start + (distance - 1)) // distance
        return first, builder.minimum(end, self.sliding.window[axis]), 1

    def whole(self, axis: int) -> Range:
        return 0, self.sliding.window[axis], 1

    def is_whole(self, ranges: Sequence[Range]) -> Value:
        """Whether nothing of the first axes is clipped."""
        builder = self.builder
        whole = builder.constant(BOOLEAN, 1)
        for (first, end, _), size in zip(ranges, self.sliding.window, strict=False):
            whole = whole & builder.compare("eq", first, 0) & builder.compare("eq", end, size)
        return whole

    def along_window(self, place: int, axis: int, tap: Number) -> Number:
        """How far a tap is from where the window begins."""
        return tap * self.tap_steps[place][axis]

    def tap_number(self, tap: Tap, lanes: int) -> Value:
        """Which tap it is, in row-major order, in every lane."""
        number: Number = 0
        for place, size in zip(tap, self.sliding.window, strict=True):
            number = number * size + place
        return self.builder.broadcast(self._short(number), lanes)

    def _short(self, number: Number) -> Value:
        if isinstance(number, int):
            return self.builder.constant(Type("i32"), number)
        return self.builder.convert(number, "i32")


class Taps:
    """The taps of a window and, for some places, pointers to what they meet: `corners`, moved along each axis by
    ``move(place, axis, tap)``. Where the taps are few, and known when the code is written, the pointers are computed
    at once, and serve all channels."""

    def __init__(
        self, loops: Loops, ranges: Sequence[Range], corners: Pointers, move: Callable[[int, int, Number], Number]
    ) -> None:
        self.loops = loops
        self.ranges = ranges
        self.corners = corners
        self.move = move
        self.known: list[tuple[Tap, Pointers]] = []
        if self._few(0):
            self._nest((), corners, self._keep, [])

    def fold(self, visit: Visit, carried: Sequence[Value], first: Visit | None = None) -> Sequence[Value]:
        """``visit(tap, pointers, *carried)`` for all taps in row-major order; it gives what is carried next. Where the
        taps are known, ``first(tap, pointers)`` may take the place of `carried` and the first visit."""
        if not self._few(0):
            return self._nest((), self.corners, visit, carried)
        rest = self.known
        if first is not None and rest:
            carried, rest = first(*rest[0]), rest[1:]
        for tap, pointers in rest:
            carried = visit(tap, pointers, *carried)
        return carried

    def at_first(self, read: Callable[[Pointers], Value], otherwise: Value) -> Value:
        """What is read at the first tap, if there is one."""
        builder = self.loops.builder
        inside = builder.constant(BOOLEAN, 1)
        for first, end, _ in self.ranges:
            inside = inside & builder.compare("lt", builder.index(first), builder.index(end))

        def there() -> Value:
            pointers = self.corners
            for axis, (first, _, _) in enumerate(self.ranges):
                pointers = self._moved(pointers, axis, first)
            return read(pointers)

        return builder.when(inside, there, lambda: otherwise)[0]

    def _keep(self, tap: Tap, pointers: Pointers) -> Sequence[Value]:
        self.known.append((tap, pointers))
        return []

    def _moved(self, pointers: Pointers, axis: int, tap: Number) -> Pointers:
        builder, types = self.loops.builder, self.loops.types
        return {
            place: builder.offset(pointer, self.move(place, axis, tap), types[place].kind)
            for place, pointer in pointers.items()
        }

    def _few(self, axis: int) -> bool:
        """Whether the taps along this axis and those after it are known, and few."""
        count = 1
        for first, end, step in self.ranges[axis:]:
            if not isinstance(first, int) or not isinstance(end, int):
                return False
            count *= len(range(first, end, step))
        return count <= UNROLLED

    def _nest(self, tap: Tap, pointers: Pointers, visit: Visit, carried: Sequence[Value]) -> Sequence[Value]:
        axis = len(tap)
        if axis == 3:
            return visit(tap, pointers, *carried)

        def turn(place: Number, *values: Value) -> Sequence[Value]:
            return self._nest((*tap, place), self._moved(pointers, axis, place), visit, values)

        first, end, step = self.ranges[axis]
        if not self._few(axis):
            return self.loops.builder.loop(first, end, step, turn, carried)
        assert isinstance(first, int) and isinstance(end, int)
        for place in range(first, end, step):
            carried = turn(place, *carried)
        return carried
