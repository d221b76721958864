"""Halos: the border of zeros around pictures that lie channels last, so that a convolution may look beyond their edges.
Only the border is written; the end of one row and the beginning of the next are one run of elements."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wimmel.compiler.kernels.loops import digits_of, offset_of
from wimmel.compiler.language import Builder, Function, Value
from wimmel.compiler.steps import Buffer, Place, Step
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape

ROW = 16
"""What it takes to go on to the next row, in vector instructions."""

TASK_ELEMENTS = 1 << 14
"""What one task writes, about."""


@dataclass(frozen=True)
class BorderSchedule:
    """A bit pattern written before, between and behind the rows of pictures.

    Attributes
    ----------
    axes : int
        Over which a picture's rows are counted: its spatial axes but the last.
    kind : str
        i8, i16, i32 or i64, by the size of an element.
    """

    axes: int
    kind: str

    def kernel(self, target: Target, name: str) -> Function:
        return _Border(self, target, name).write()


def with_halo(dtype: str, shape: Shape, halo: Pairs) -> Place:
    """A new buffer for pictures channels last with room for a halo, as the place of the pictures in it.

    Parameters
    ----------
    dtype : str
    shape : shape
        (n, c, *spatial).
    halo : pairs of int
        Elements before and after, for each spatial axis.

    Examples
    --------
    >>> place = with_halo("float32", (2, 3, 4, 5), ((1, 1), (0, 2)))
    >>> place.buffer.elements, place.offset, place.strides
    (252, 21, (126, 1, 21, 3))
    """
    pictures, channels, *spatial = shape
    strides = [channels]
    for size, (before, after) in zip(reversed(spatial), reversed(halo), strict=True):
        strides.insert(0, strides[0] * (before + size + after))
    picture, *along = strides
    if pictures * picture * np.dtype(dtype).itemsize >= 2**63:
        raise ValueError(f"a value of shape {tuple(shape)} with its padding is larger than any memory")
    offset = sum(before * stride for (before, _), stride in zip(halo, along, strict=True))
    return Place(Buffer(dtype, pictures * picture), offset, tuple(shape), (picture, 1, *along))


def plan_border(place: Place, halo: Pairs, target: Target, value: float = 0, label: str = "border") -> list[Step]:
    """The step that fills the halo around every picture.

    Parameters
    ----------
    place : Place
        The pictures (n, c, *spatial), as `with_halo` lays them out.
    halo : pairs of int
        Elements before and after, for each spatial axis.
    target : Target
    value : float
        What the halo is filled with.
    label : str
        For people.

    Returns
    -------
    list of Step, empty where there is no halo, or nothing in it
    """
    pictures, channels, *spatial = place.shape
    picture, _, *strides = with_halo(place.dtype, place.shape, halo).strides
    assert tuple(strides) == place.strides[2:] and (pictures <= 1 or picture == place.strides[0]), (place, halo)
    head = sum(before * stride for (before, _), stride in zip(halo, strides, strict=True))
    rows, row = math.prod(spatial[:-1]), spatial[-1] * channels
    border = picture - rows * row
    if border * pictures == 0:
        return []

    parts = max(1, min(rows, border // TASK_ELEMENTS))
    rows_of_part = max(1, -(-rows // parts))
    parts = max(1, -(-rows // rows_of_part))
    pieces = pictures * parts
    pieces_of_task = max(1, TASK_ELEMENTS * parts // border)
    item = np.dtype(place.dtype).itemsize
    bits = int.from_bytes(np.asarray(value, place.dtype).tobytes(), "little", signed=True)
    schedule = BorderSchedule(len(spatial) - 1, f"i{8 * item}")
    begin = Place(place.buffer, place.offset - head, (pictures * border,), (1,))
    sizes = (max(1, size) for size in spatial[:-1])
    numbers = (bits, head, rows, row, picture, rows_of_part, parts, pieces, pieces_of_task, *sizes, *strides[:-1])
    operations = pictures * border * item / target.vector_bytes + ROW * pieces * rows_of_part
    return [Step(schedule, (begin, *numbers), (place.buffer,), -(-pieces // pieces_of_task), label, operations)]


class _Border:
    def __init__(self, schedule: BorderSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.builder = Builder(name)
        self.lanes = target.lanes(schedule.kind)
        self.masked = target.masks(schedule.kind)

    def write(self) -> Function:
        """A piece is some rows of a picture: the runs before each, and with the last row also that behind it."""
        builder, axes, kind = self.builder, self.schedule.axes, self.schedule.kind
        block, begin, end, _ = builder.kernel()
        words = builder.arguments(block, "p" + "i" * (9 + 2 * axes))
        pointer, bits, head, rows, row, picture, rows_of_part, parts, pieces, pieces_of_task, *words = words
        sizes, strides = words[:axes], words[axes:]
        self.value = builder.convert(bits, kind)
        self.vector = builder.broadcast(self.value, self.lanes)

        def piece(number: Value) -> None:
            self.picture = builder.offset(pointer, (number // parts) * picture, kind)
            first = (number % parts) * rows_of_part
            last = builder.minimum(first + rows_of_part, rows)

            def start(index: Value) -> Value:
                return builder.index(head + offset_of(digits_of(builder, index, sizes), strides))

            def before(index: Value, written: Value) -> Value:
                beginning = start(index)
                self.fill(written, beginning)
                return beginning + row

            is_first = builder.compare("le", first, 0)
            written = builder.select(is_first, 0, start(builder.maximum(first - 1, 0)) + row)
            written = builder.loop(first, last, 1, before, [written])[0]
            behind = builder.select(builder.compare("ge", last, rows), picture, written)
            self.fill(written, behind)

        first, last = begin * pieces_of_task, builder.minimum(end * pieces_of_task, pieces)
        builder.loop(first, last, 1, piece)
        return builder.function()

    def fill(self, begin: Value, end: Value) -> None:
        """From begin to end, in vectors of which the last ends there; less is masked, or done one by one."""
        builder, lanes = self.builder, self.lanes

        def vectors() -> None:
            last = end - lanes
            builder.loop(begin, end, lanes, lambda at: self.store(builder.minimum(at, last)))

        def less() -> None:
            if self.masked:
                builder.store(self.vector, self.picture, begin, builder.mask(end - begin, lanes))
                return
            builder.loop(begin, end, 1, lambda at: builder.store(self.value, self.picture, at))

        builder.when(builder.compare("ge", end - begin, lanes), vectors, less)

    def store(self, at: Value) -> None:
        self.builder.store(self.vector, self.picture, at)
