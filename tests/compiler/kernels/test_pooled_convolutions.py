"""Convolutions that store the largest of each window of their outputs: what convolution and pooling after each other
give, bit for bit, whatever kernel computes it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import wimmel as wm
from compiler.contractions import EPILOGUES, case, run
from compiler.views import TARGETS
from wimmel.compiler.chain import Chain
from wimmel.compiler.choice import pools
from wimmel.compiler.kernels.border import with_halo
from wimmel.compiler.kernels.convolution import plan_convolution
from wimmel.compiler.kernels.winograd import plan_winograd
from wimmel.compiler.steps import Buffer, row_major
from wimmel.compiler.targets import KNOWN
from wimmel.graph import trace

NAMED = {
    "LeNet's first": (case((2, 1, 28, 28), 6, (5, 5), padding=2), (2, 2)),
    "LeNet's second": (case((2, 6, 14, 14), 16, (5, 5)), (2, 2)),
    "many outputs": (case((1, 8, 13, 30), 70, (3, 3), padding=1), (2, 2)),
    "outputs that fill no vector": (case((1, 5, 9, 12), 21, (3, 3), padding=1), (2, 2)),
    "rows and columns left over": (case((1, 4, 9, 15), 33, (2, 2)), (2, 2)),
    "three by three": (case((2, 7, 13, 19), 24, (3, 3), padding=1), (3, 3)),
    "four by four": (case((1, 3, 17, 16), 40, (3, 3), padding=1), (4, 4)),
    "columns only": (case((1, 6, 5, 16), 17, (3, 3), padding=1), (1, 2)),
    "rows only": (case((1, 6, 8, 11), 17, (3, 3), padding=1), (3, 1)),
    "one window in a row": (case((2, 6, 7, 3), 130, (3, 3), padding=1), (2, 2)),
    "one wide window in a row": (case((2, 6, 7, 3), 130, (3, 3), padding=1), (1, 3)),
    "one pixel": (case((3, 6, 2, 2), 50, (3, 3), padding=1), (2, 2)),
    "stride": (case((1, 6, 17, 18), 20, (3, 3), stride=2, padding=1), (2, 2)),
    "dilation": (case((1, 6, 12, 13), 20, (3, 3), dilation=2, padding=2), (2, 2)),
    "one tap": (case((2, 6, 8, 8), 33, (1, 1)), (2, 2)),
    "a signal": (case((2, 3, 50), 33, (5,), padding=2), (2,)),
    "a volume": (case((1, 3, 3, 6, 8), 18, (3, 3, 3), padding=1), (1, 2, 2)),
    "tall rows, several tasks": (case((1, 16, 40, 80), 64, (3, 3), padding=1), (2, 2)),
    "few outputs, wide": (case((1, 1, 9, 75), 3, (3, 3), padding=1), (2, 2)),
    "few outputs, narrow": (case((2, 1, 9, 6), 5, (3, 3), padding=1), (2, 2)),
    "few outputs, three columns": (case((1, 1, 12, 160), 4, (3, 3)), (3, 3)),
    "few outputs, four columns": (case((1, 1, 9, 140), 12, (3, 3), padding=1), (2, 4)),
    "few outputs of a signal": (case((2, 1, 300), 4, (9,), padding=4), (4,)),
    "few outputs, stride": (case((1, 2, 21, 40), 2, (5, 5), stride=2, padding=2), (2, 2)),
    "few outputs of a volume": (case((1, 1, 3, 8, 20), 5, (2, 3, 3), padding=1), (1, 2, 2)),
    "a filter": (case((1, 1, 23, 150), 1, (3, 3), padding=1), (2, 2)),
    "a filter, four rows": (case((1, 1, 27, 40), 1, (3, 3), padding=1), (4, 1)),
    "a filter, few rows": (case((1, 1, 5, 20), 1, (3, 3), padding=1), (2, 2)),
    "channels to one": (case((1, 64, 9, 21), 1, (3, 3), padding=1), (2, 2)),
    "channels to three": (case((2, 40, 9, 40), 3, (3, 3), padding=1), (2, 2)),
    "channels to two, three columns": (case((1, 37, 7, 30), 2, (3, 3), padding=1), (3, 3)),
}
ONE_RESULT = [name for name in EPILOGUES if name not in ("scale and keep", "compared")]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", NAMED)
def test_the_largest_of_every_window_is_stored(name, target):
    seed = list(NAMED).index(name)
    convolution, window = NAMED[name]
    run(convolution, "float32", ONE_RESULT[seed % 3], target, seed, window=window)
    run(convolution, "float64", ONE_RESULT[(seed + 1) % 3], target, seed, window=window)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("tile", [2, 4])
def test_winograd_tiles_hold_windows(tile, target):
    plan = partial(plan_winograd, tile=tile)
    cases = [
        (case((1, 8, 16, 16), 32, (3, 3), padding=1), (2, 2), "bias relu"),
        (case((2, 17, 13, 11), 21, (3, 3), padding=1), (2, 2), "residual"),
        (case((1, 3, 9, 14), 70, (3, 3)), (1, 2), "identity"),
        (case((1, 3, 10, 7), 16, (3, 3)), (2, 1), "bias relu"),
    ]
    cases += [(case((1, 5, 19, 18), 20, (3, 3), padding=1), (4, 4), "residual")] * (tile == 4)
    for seed, (convolution, window, epilogue) in enumerate(cases):
        run(convolution, "float32", epilogue, target, seed, plan, tile, 1e-6, window)


ACTIVATIONS = {
    "identity": lambda y: y,
    "relu": wm.relu,
    "zeros of both signs": lambda y: wm.where(wm.less(y, 0), 0, y * -1),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize(("channels", "outputs"), [(1, 1), (1, 6), (3, 20), (40, 2), (16, 64)])
def test_bits_are_those_of_pooling_afterwards(channels, outputs, precision, activation):
    """NaN, infinity and the sign of zero among them."""
    random = np.random.default_rng(channels)
    x = random.standard_normal((2, channels, 14, 39)).astype(np.float32)
    x[random.random(x.shape) < 0.02 / channels] = np.nan
    x[random.random(x.shape) < 0.02 / channels] = -np.inf
    x[:, :, :8, 20:] = 0
    w = random.standard_normal((outputs, channels, 3, 3)).astype(np.float32)
    w[:, :, 2, 2] = 0
    x[:, :, 3, 3::4] = 1

    def convolve(x, w):
        return ACTIVATIONS[activation](wm.conv2d(x, w, padding=1))

    apart = wm.compile(convolve, precision=precision)(x, w)
    fused = 0
    for window in ((2, 2), (3, 3), (1, 2), (4, 2)):
        at_once = wm.compile(lambda x, w, window=window: wm.max_pool2d(convolve(x, w), window), precision=precision)
        expected, found = np.asarray(wm.max_pool2d(apart, window)), np.asarray(at_once(x, w))
        same = found.view(np.int32) == expected.view(np.int32)
        assert (same | (np.isnan(found) & np.isnan(expected))).all()
        fused += "max_pool" in wm.explain(at_once, x, w).regions.split("\n")[0]
    assert fused >= 3


def test_pictures_of_another_size_need_no_new_code():
    target, padding, chain = KNOWN["avx512"], ((1, 1), (1, 1)), Chain.identity("float32")
    for channels, outputs in ((1, 6), (16, 40), (64, 2)):
        weight = row_major(Buffer("float32", outputs * channels * 9), (outputs, channels, 3, 3))
        schedules = set()
        for n, height, width in ((1, 9, 9), (3, 5, 70), (1, 224, 224), (2, 13, 3), (1, 2, 2)):
            x = with_halo("float32", (n, channels, height, width), padding)
            y = with_halo("float32", (n, outputs, height // 2, width // 2), ((0, 0), (0, 0)))
            steps = plan_convolution(x, weight, [y], chain, [], (1, 1), padding, (1, 1), 1, target, window=(2, 2))
            schedules.add(steps[-1].schedule)
        assert len(schedules) == 1


def test_which_windows_are_pooled():
    def asked(x, w, window, precision="exact", **settings):
        graph = trace(lambda x, w: wm.conv2d(x, w, **settings), np.zeros(x, np.float32), np.zeros(w, np.float32)).graph
        return pools(graph.outputs[0], window, KNOWN["avx512"], precision)

    direct, winograd = ((1, 3, 32, 32), (8, 3, 5, 5)), ((1, 64, 56, 56), (64, 64, 3, 3))
    assert asked(*direct, (2, 2)) and asked(*direct, (3, 4)) and not asked(*direct, (5, 2))
    assert (
        asked(*winograd, (2, 2), "fast") and asked(*winograd, (4, 1), "fast") and not asked(*winograd, (3, 3), "fast")
    )
    assert asked(*winograd, (3, 3), "exact")
    assert not asked((1, 8, 9, 9), (8, 1, 3, 3), (2, 2), groups=8)
