"""What share of this processor's multiply-add peak the steps of convolutional layers reach, on one thread, and in turns
with the peak itself, since both change from moment to moment.

    python benchmarks/peak.py [TEXT]        only layers whose name contains the text
"""

from __future__ import annotations

import ctypes
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

import wimmel as wm
from wimmel.bench.child import repeated
from wimmel.bench.peers.ours import layer_inside
from wimmel.bench.section import Ready
from wimmel.bench.sections.layers import KNOWN
from wimmel.compiler.language import Builder, Type
from wimmel.compiler.objects import kernels
from wimmel.compiler.targets import host

SUMS, TURNS = 12, 100_000


@dataclass(frozen=True)
class PeakSchedule:
    """Independent multiply-adds on registers alone."""

    lanes: int

    def kernel(self, target: Any, name: str) -> Any:
        builder = Builder(name)
        block, begin, end, _ = builder.kernel()
        (pointer,) = builder.arguments(block, "p")
        vector = Type("f32", self.lanes)
        sums = [builder.load(pointer, number * self.lanes, vector) for number in range(SUMS)]
        factor = builder.load(pointer, 0, vector)
        results = builder.loop(
            begin, end, 1, lambda _, *values: [builder.fma(factor, value, value) for value in values], sums
        )
        for number, value in enumerate(results):
            builder.store(value, pointer, number * self.lanes)
        return builder.function()


def peak() -> float:
    """Operations a second of one core, right now."""
    schedule = PeakSchedule(host().lanes("f32"))
    address = kernels([schedule], host())[schedule]
    run = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address)
    numbers = np.zeros(SUMS * schedule.lanes, np.float32)
    block = np.array([numbers.ctypes.data])
    best = min(repeated(Ready(lambda: run(block.ctypes.data, 0, TURNS, 0)), 0.02))
    return TURNS * SUMS * schedule.lanes * 2 / best


def main() -> None:
    wm.set_num_threads(1)
    for layer in KNOWN:
        if not all(text in str(layer) for text in sys.argv[1:]):
            continue
        step, best, top = layer_inside(layer, 1, "exact"), float("inf"), 0.0
        start = time.perf_counter()
        while time.perf_counter() - start < 1.5:
            top = max(top, peak())
            best = min(best, *repeated(step, 0.05))
        rate = layer.operations / best
        print(f"{layer!s:<28}{rate / 1e9:>8.0f} GFLOP/s {rate / top:>7.1%} of {top / 1e9:.0f}", flush=True)


if __name__ == "__main__":
    main()
