"""Which columns of windows need no clipping, against a search through all of them."""

from __future__ import annotations

import numpy as np
import pytest

from wimmel.compiler.kernels.windows import Windows, filled_lanes, picture
from wimmel.compiler.steps import Buffer, row_major
from wimmel.compiler.targets import KNOWN


def drawn(random: np.random.Generator) -> Windows:
    size, count, kernel, stride, dilation = (int(n) for n in random.integers(1, [30, 20, 6, 5, 4]))
    front = int(random.integers(0, 5))
    return Windows((1, 1, size), (1, 1, count), (1, 1, kernel), (1, 1, stride), (0, 0, front), (1, 1, dilation))


@pytest.mark.parametrize("lanes", [0, 4])
def test_whole_columns_are_those_whose_taps_are_inside(lanes):
    random = np.random.default_rng(lanes)
    for _ in range(300):
        windows = drawn(random)
        size, k, s, p, d = (
            row[2] for row in (windows.sizes, windows.window, windows.stride, windows.front, windows.dilation)
        )
        # vectors of windows are cut out of loads that end `stride` elements after the last one's tap
        reach = (k - 1) * d + (s if lanes else 1)
        whole = [w for w in range(windows.outputs[2]) if w * s - p >= 0 and w * s - p + reach <= size]
        expected = (whole[0], whole[-1] + 1) if len(whole) >= max(lanes, 1) else (0, 0)
        assert windows.whole_columns(lanes) == expected


def test_whole_blocks_are_inside_and_miss_no_window():
    random = np.random.default_rng(3)
    for _ in range(300):
        windows = drawn(random)
        size, count, k, s, p = (
            row[2] for row in (windows.sizes, windows.outputs, windows.window, windows.stride, windows.front)
        )
        whole = [
            w
            for w in range(count)
            if w * s - p >= 0 and (w + 1) * s - p <= size and all(w - tap // s >= 0 for tap in range(k))
        ]
        assert windows.whole_blocks() == ((whole[0], whole[-1] + 1) if whole else (0, 0))


def test_lanes_run_over_channels_where_these_are_neighbours():
    def lanes(channels: int, name: str, order: tuple[int, ...] = (0, 3, 1, 2), columns: bool = False) -> tuple:
        place = row_major(Buffer("float32", 2 * 20 * 20 * channels), (2, 20, 20, channels)).transposed(order)
        return filled_lanes([place], KNOWN[name].lanes("f32"), columns, KNOWN[name])

    assert lanes(40, "avx512") == (16, 0, "channels")
    assert lanes(6, "avx512") == (8, 6, "channels")
    assert lanes(6, "sse4.2") == (4, 0, "channels")
    assert lanes(1, "avx512", columns=True) == (16, 0, "columns")
    assert lanes(1, "avx512") == (1, 0, "channels")
    assert lanes(20, "avx512", order=(0, 2, 3, 1)) == (1, 0, "channels")


def test_pictures_have_three_spatial_axes():
    place = row_major(Buffer("float32", 24), (2, 3, 4))
    found = picture(place)
    assert (found.shape, found.strides) == ((2, 3, 1, 1, 4), (12, 4, 0, 0, 1))
