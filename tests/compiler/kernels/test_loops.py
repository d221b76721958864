"""Axes merged, running numbers as places along axes, and how views are read and written along the lanes."""

from dataclasses import dataclass

import numpy as np
import pytest

from compiler.machine import at, run_steps
from compiler.views import TARGETS, drawn_place, filled
from wimmel.compiler.kernels.loops import (
    digits_of,
    lanes_of,
    merge_neighbours,
    move_along,
    next_digits,
    over_columns,
    within_reach,
)
from wimmel.compiler.language import Builder, Type
from wimmel.compiler.steps import Buffer, Step, row_major
from wimmel.compiler.targets import KNOWN

each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def test_neighbours_merge_where_every_view_steps_alike():
    sizes, strides = [4, 3, 5, 2], [[30, 10, 2, 1], [0, 0, 2, 1], [90, 30, 6, 3]]
    merge_neighbours(sizes, strides)
    assert (sizes, strides) == ([12, 10], [[10, 1], [0, 1], [30, 3]])


def test_merged_axes_show_the_same_elements():
    random = np.random.default_rng(1)
    for _ in range(50):
        shape = tuple(int(n) for n in random.integers(0, 4, 4))
        places = [drawn_place(random, "int32", shape, still=True) for _ in range(2)]
        sizes, strides = list(shape), [list(place.strides) for place in places]
        merge_neighbours(sizes, strides)
        for place, merged in zip(places, strides, strict=True):
            flat = {place.buffer: np.arange(place.buffer.elements)}
            other = type(place)(place.buffer, place.offset, tuple(sizes), tuple(merged))
            assert np.array_equal(at(place, flat).ravel(), at(other, flat).ravel())


def test_distances_between_lanes_fit_into_32_bits():
    assert within_reach(16, [0, -5, 2**27 - 1]) == 16
    assert within_reach(16, [1, -(2**27)]) == 1


@dataclass(frozen=True)
class Counting:
    """For the numbers from a first one on, places along axes: the first divided out, the others counted on."""

    axes: int

    def kernel(self, target, name):
        builder = Builder(name)
        block, *_ = builder.kernel()
        result, first, count, *sizes = builder.arguments(block, "pii" + "i" * self.axes)

        def line(row, *digits):
            for axis, digit in enumerate(digits):
                builder.store(digit, result, row * self.axes + axis)
            return next_digits(builder, digits, sizes)

        builder.loop(0, count, 1, line, digits_of(builder, first, sizes))
        return builder.function()


@pytest.mark.parametrize("sizes", [(7,), (2, 5), (3, 1, 4), (2, 3, 2, 3)])
def test_running_numbers_as_places(sizes):
    total = int(np.prod(sizes))
    for first in (0, 1, total // 2):
        result = row_major(Buffer("int64", (total - first) * len(sizes)), (total - first, len(sizes)))
        step = Step(Counting(len(sizes)), (result, first, total - first, *sizes), (result.buffer,), 1)
        arrays = run_steps([step], {}, KNOWN["plain"])
        expected = np.stack(np.unravel_index(np.arange(first, total), sizes), 1)
        assert np.array_equal(at(result, arrays), expected)


@dataclass(frozen=True)
class Copy:
    """One row from one view to another."""

    kind: str
    lanes: int
    moves: tuple[str, str]

    def kernel(self, target, name):
        builder = Builder(name)
        block, *_ = builder.kernel()
        x, y, count, *strides = builder.arguments(block, "ppiii")
        source, result = (
            lanes_of(builder, move, stride, self.lanes) for move, stride in zip(self.moves, strides, strict=True)
        )

        def copied(column, lanes, mask):
            result.store(source.load(x, column, Type(self.kind, lanes), mask), y, column, mask)

        over_columns(builder, builder.index(0), count, self.lanes, target.masks(self.kind), copied)
        return builder.function()


@each_target
def test_rows_are_read_and_written_however_they_lie(target):
    random = np.random.default_rng(2)
    for trial in range(30):
        shape = (int(random.integers(1, 70)),)
        x, y = drawn_place(random, "float32", shape, still=True), drawn_place(random, "float32", shape)
        moves = (move_along(x.strides[0]), move_along(y.strides[0]))
        schedule = Copy("f32", target.lanes("f32"), moves)
        step = Step(schedule, (x, y, shape[0], x.strides[0], y.strides[0]), (y.buffer,), 1)
        arrays = run_steps([step], {x.buffer: filled(random, x.buffer)}, target, trial)
        assert np.array_equal(at(x, arrays), at(y, arrays))
