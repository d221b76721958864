"""Precision: where it is said, and what it may and may not change."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import wimmel as wm


def test_a_block_goes_before_the_process() -> None:
    start = wm.get_precision()
    wm.set_precision("exact")
    try:
        assert wm.get_precision() == "exact"
        with wm.precision("fast"):
            assert wm.get_precision() == "fast"
            with wm.precision("exact"):
                assert wm.get_precision() == "exact"
            assert wm.get_precision() == "fast"
        assert wm.get_precision() == "exact"
    finally:
        wm.set_precision(None)
    assert wm.get_precision() == start


def test_a_block_counts_for_its_own_thread() -> None:
    found: list[str] = []
    with wm.precision("exact"):
        thread = threading.Thread(target=lambda: found.append(wm.get_precision()))
        thread.start()
        thread.join()
    assert found == [wm.get_precision()]


def test_what_is_no_precision_is_refused() -> None:
    for wrong in ("Fast", "", None, 16):
        with pytest.raises(ValueError, match="it is 'fast' or 'exact'"), wm.precision(wrong):
            pass
    with pytest.raises(ValueError, match="it is 'fast' or 'exact'"):
        wm.set_precision("high")
    with pytest.raises(ValueError, match="it is 'fast' or 'exact'"):
        wm.compile(lambda x: x, precision="high")


def test_the_environment_says_what_holds_from_the_start() -> None:
    program = "import wimmel as wm; print(wm.get_precision())"
    for given, answer in (("exact", "exact"), ("", "fast")):
        result = subprocess.run(
            [sys.executable, "-c", program], env=environment(WIMMEL_PRECISION=given), capture_output=True, text=True
        )
        assert result.stdout.strip() == answer
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment(WIMMEL_PRECISION="low"), capture_output=True, text=True
    )
    assert "WIMMEL_PRECISION is 'low'; it is 'fast' or 'exact'" in result.stderr


def test_a_change_of_precision_counts_at_the_next_call() -> None:
    """Exact means direct; whichever way fast takes, it stays within its bound."""
    random = np.random.default_rng(0)
    net = wm.nn.Conv2d(32, 32, 3, padding=1).initialize(0)
    x = random.standard_normal((1, 32, 24, 24)).astype(np.float32)
    with wm.precision("exact"):
        exact = [net(x) for _ in range(3)]
    fast = [net(x) for _ in range(3)]
    with wm.precision("exact"):
        again = net(x)
    for other in (*exact, again):
        np.testing.assert_array_equal(other, exact[0])
    bound = 2e-5 * float(wm.conv2d(np.abs(x), np.abs(net.weight), padding=1).max())
    for other in fast:
        np.testing.assert_array_equal(other, fast[0])
        assert np.abs(other - exact[0]).max() <= bound


def test_a_compiled_function_may_have_a_precision_of_its_own() -> None:
    x, w = np.ones((1, 2, 5, 5), np.float32), np.ones((2, 2, 3, 3), np.float32)
    compiled = wm.compile(lambda x: wm.conv2d(x, w), precision="exact")
    np.testing.assert_array_equal(compiled(x), np.full((1, 2, 3, 3), 18))
    assert compiled.precision == "exact"


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, **changes}
