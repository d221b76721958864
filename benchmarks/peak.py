"""What share of this processor's multiply-add peak the steps of convolutional layers reach, on one thread, and in turns
with the peak itself, since both change from moment to moment.

    python benchmarks/peak.py [TEXT]        only layers whose name contains the text
"""

from __future__ import annotations

import sys
import time

import wimmel as wm
from wimmel.bench.child import repeated
from wimmel.bench.peers.ours import layer_inside
from wimmel.bench.sections.layers import KNOWN
from wimmel.compiler.targets import host
from wimmel.runtime.machine import rates


def peak() -> float:
    """Operations a second of one core, right now."""
    return 2 * host().lanes("f32") / rates().operation


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
