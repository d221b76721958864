"""Code written while a thread rounds otherwise than to the nearest is the same, and so is what the cache keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, sys
import numpy as np, wimmel as wm
libm = ctypes.CDLL("libm.so.6")
x = np.linspace(-9, 9, 301)
def answers():
    values = [x, x.astype(np.float32)]
    functions = [wm.exp, wm.tanh, wm.gelu, lambda x: wm.log1p(wm.exp(x)), lambda x: wm.abs(x) ** 2.5]
    return [wm.compile(function)(value) for function in functions for value in values]
libm.fesetround(int(sys.argv[1], 16))
answers()
assert libm.fegetround() == int(sys.argv[1], 16)
libm.fesetround(0)
print([array.tobytes().hex() for array in answers()])
"""


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="modes of x86-64 under Linux")
def test_a_callers_rounding_stays_out_of_the_code(tmp_path: Path) -> None:
    def run(mode: str, folder: str) -> str:
        environment = {**os.environ, "WIMMEL_CACHE_DIR": str(tmp_path / folder)}
        command = [sys.executable, "-c", PROGRAM, mode]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    right = run("0", "nearest")
    for mode in ("0xc00", "0x400", "0x800"):  # towards zero, down, up
        assert run(mode, mode) == right
        assert run("0", mode) == right
