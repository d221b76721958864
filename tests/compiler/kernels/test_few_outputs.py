"""Convolutions and products with few outputs: whatever fills the lanes, they give what the definition gives."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.contractions import EPILOGUES, case, convolved, run
from compiler.machine import run_steps
from compiler.views import TARGETS
from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.border import with_halo
from wimmel.compiler.kernels.convolution import plan_convolution
from wimmel.compiler.kernels.few_outputs import few
from wimmel.compiler.kernels.matmul import plan_matmul
from wimmel.compiler.steps import Buffer, row_major
from wimmel.compiler.targets import KNOWN
from wimmel.graph import primitives

NAMED = {
    "LeNet's first": case((2, 1, 28, 28), 6, (5, 5), padding=2),
    "a filter": case((1, 1, 23, 150), 1, (3, 3), padding=1),
    "a filter as high as a block": case((2, 1, 13, 70), 1, (6, 4)),
    "a filter higher than a block": case((1, 1, 17, 40), 1, (9, 7), padding=4),
    "a filter with many taps": case((1, 1, 30, 35), 1, (21, 19), padding=9),
    "a low picture": case((1, 1, 4, 33), 1, (3, 3), padding=1),
    "a narrow picture": case((2, 1, 40, 5), 1, (3, 2)),
    "one column": case((1, 1, 11, 3), 1, (3, 3)),
    "apart": case((1, 1, 20, 45), 1, (3, 3), padding=2, dilation=2),
    "a volume": case((1, 1, 5, 9, 20), 1, (3, 3, 3), padding=1),
    "a volume to several": case((1, 1, 4, 6, 9), 5, (2, 3, 3), padding=1),
    "a signal": case((3, 1, 700), 2, (31,), padding=15),
    "one channel to as many as may be": case((1, 1, 9, 37), 12, (3, 3)),
    "every second column": case((1, 2, 17, 19), 1, (5, 5), stride=2, padding=2),
    "channels to one": case((1, 64, 9, 21), 1, (3, 3), padding=1),
    "channels to three, stride 2": case((2, 40, 9, 11), 3, (3, 3), stride=2, padding=1),
    "channels, apart": case((1, 37, 9, 21), 2, (3, 3), padding=2, dilation=2),
    "colours to one": case((1, 3, 12, 20), 1, (3, 3), padding=1),
    "channels of one pixel": case((5, 130, 1, 1), 2, (1, 1)),
    "many channels": case((1, 300, 3, 4), 4, (1, 1)),
    "channels of a volume": case((1, 24, 3, 4, 5), 1, (2, 2, 2)),
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", NAMED)
def test_convolutions_with_few_outputs(name, target):
    seed = list(NAMED).index(name)
    run(NAMED[name], "float32", EPILOGUES[seed % 5], target, seed)
    run(NAMED[name], "float64", EPILOGUES[(seed + 2) % 5], target, seed)


def test_the_sums_of_one_channel_are_those_of_any_number_of_outputs():
    """The lanes run over other axes, but every output adds its products in the same order."""
    random = np.random.default_rng(3)
    x, weight = random.standard_normal((2, 1, 19, 50)), random.standard_normal((32, 1, 5, 3))
    settings = case(x.shape, 32, (5, 3), padding=2).settings
    for target in TARGETS:
        every = convolved(x, weight, settings, target)
        for outputs in (1, 2, 6):
            assert np.array_equal(convolved(x, weight[:outputs], settings, target), every[:, :outputs])


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_sums_over_lanes_are_as_exact_as_float32_allows(target):
    random = np.random.default_rng(5)
    x, weight = random.standard_normal((2, 45, 11, 12)), random.standard_normal((2, 45, 3, 3))
    settings = case(x.shape, 2, (3, 3), padding=1).settings
    found = convolved(x, weight, settings, target)
    expected = primitives.convolution.definition(x, weight, **settings)
    assert abs(found - expected).max() < 3e-6 * abs(expected).max()


def test_infinities_and_nan_stay_where_they_are():
    """The last vector of channels begins within the one before; what that one had must not be counted again."""
    random = np.random.default_rng(1)
    x, weight = random.standard_normal((1, 45, 1, 9)), random.standard_normal((1, 45, 1, 1))
    x[0, 31, 0, 2], x[0, 40, 0, 3], x[0, 5, 0, 4] = np.inf, -np.inf, np.nan
    settings = case(x.shape, 1, (1, 1)).settings
    expected = primitives.convolution.definition(x, weight, **settings)
    for target in TARGETS:
        np.testing.assert_allclose(convolved(x, weight, settings, target), expected, rtol=1e-5)


def test_how_many_rows_there_are_changes_no_bits_and_needs_no_new_code():
    random = np.random.default_rng(6)
    target, chain = KNOWN["avx512"], Chain.identity("float32")
    a, b = random.standard_normal((37, 100)), random.standard_normal((3, 100))
    found, schedules = {}, set()
    for rows in (1, 2, 5, 8, 9, 37):
        x, y = (row_major(Buffer("float32", rows * n), (rows, n)) for n in (100, 3))
        weight = row_major(Buffer("float32", 300), (3, 100))
        (step,) = plan_matmul(x, weight.transposed((1, 0)), [y], chain, [], target)
        schedules.add(step.schedule)
        arrays = run_steps([step], {x.buffer: a[:rows], weight.buffer: b}, target)
        found[rows] = arrays[y.buffer].reshape(rows, 3)
    assert len(schedules) == 1
    np.testing.assert_allclose(found[37], a @ b.T, rtol=1e-4, atol=1e-5)
    for rows, part in found.items():
        assert np.array_equal(part, found[37][:rows])


def test_pictures_of_another_size_need_no_new_code():
    target, padding = KNOWN["avx512"], ((1, 1), (1, 1))
    for channels, outputs in ((1, 1), (1, 6), (64, 2)):
        weight = row_major(Buffer("float32", outputs * channels * 9), (outputs, channels, 3, 3))
        schedules = set()
        for n, height, width in ((1, 9, 9), (3, 5, 70), (2, 1, 1), (1, 224, 224), (2, 13, 3)):
            x = with_halo("float32", (n, channels, height, width), padding)
            y = with_halo("float32", (n, outputs, height, width), ((0, 0), (0, 0)))
            chain = Chain.identity("float32")
            steps = plan_convolution(x, weight, [y], chain, [], (1, 1), padding, (1, 1), 1, target)
            schedules.add(steps[-1].schedule)
        assert len(schedules) == 1


def test_the_lanes_run_over_outputs_where_there_are_enough():
    ones, square = (1, 1, 1), (1, 3, 3)
    assert not few(16, 1, 1, square, ones, ones, 16)
    assert not few(8, 8, 8, square, ones, ones, 16)
    assert not few(64, 64, 64, square, ones, ones, 16)
    assert not few(1, 1, 3, (1, 1, 1), ones, ones, 16)
