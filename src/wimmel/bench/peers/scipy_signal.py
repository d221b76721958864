"""SciPy, which convolves single channels: the better of fftconvolve and oaconvolve, for large filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wimmel.bench.child import repeated
from wimmel.bench.convolutions import Layer
from wimmel.bench.section import Ready

MOST_PAIRS = 64
"""Of input and output channels, above which going through them one by one is nobody's way."""


def layer(case: Layer, threads: int) -> Ready | None:
    import scipy.signal

    def by(way: Callable[..., Any]) -> Ready | None:
        return by_channel(case, lambda x, w: way(x, w[::-1, ::-1], mode="same"))

    candidates = [by(way) for way in (scipy.signal.fftconvolve, scipy.signal.oaconvolve)]
    there = [each for each in candidates if each is not None]
    return min(there, key=lambda each: min(repeated(each, 0.1))) if there else None


def by_channel(case: Layer, filtered: Callable[[np.ndarray, np.ndarray], Any]) -> Ready | None:
    """The sum over channels of ``filtered(picture, filter)``, with bias and ReLU; None for what is not done so."""
    arrays = case.arrays()
    x, weight, bias = arrays["x"], arrays["weight"], arrays["bias"]
    pairs = case.outputs * weight.shape[1]
    same = case.stride == case.dilation == 1 and case.x[2:] == case.y[2:] and case.axes == 2
    if case.face != "forward" or not same or pairs > MOST_PAIRS:
        return None
    each = case.outputs // case.groups

    def run() -> np.ndarray:
        y = np.empty(case.y, np.float32)
        for picture in range(case.pictures):
            for output in range(case.outputs):
                first = output // each * weight.shape[1]
                total = y[picture, output]
                total[...] = bias[output]
                for number, w in enumerate(weight[output]):
                    total += filtered(x[picture, first + number], w)
        return np.maximum(y, 0, out=y)

    return Ready(run, run)
