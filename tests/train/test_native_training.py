"""Training as machine code: the same bits for any number of threads and from run to run, also across a fork."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TRAINING = """
import hashlib, os, sys, threading
import numpy as np
import wimmel as wm
from wimmel.train.step import TrainingStep

def trained(steps):
    random = np.random.default_rng(3)
    x, y = random.standard_normal((64, 1, 28, 28)).astype(np.float32), random.integers(0, 10, 64)
    net = wm.nn.Sequential(
        wm.nn.Conv2d(1, 6, 5, padding=2), wm.nn.BatchNorm2d(6), wm.nn.ReLU(), wm.nn.MaxPool2d(2), wm.nn.Dropout(0.3),
        wm.nn.Conv2d(6, 16, 5, stride=2), wm.nn.ReLU(), wm.nn.AvgPool2d(2), wm.nn.Flatten(), wm.nn.Linear(64, 10),
    ).initialize(1)
    step = TrainingStep(net, wm.optim.Adam(1e-3), wm.losses.cross_entropy)
    for number in range(steps):
        assert step(x, y, 1e-3, wm.random_key(5, number)).finite
    return hashlib.sha256(b"".join(value.tobytes() for value in net.state_dict().values())).hexdigest()
"""


def run(program: str, threads: int = 2) -> str:
    result = subprocess.run(
        [sys.executable, "-c", TRAINING + program],
        env={**os.environ, "WIMMEL_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()


@pytest.fixture(scope="module")
def bits() -> str:
    return run("print(trained(6))")


def test_one_run_is_like_another(bits: str) -> None:
    assert run("print(trained(6))") == bits


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_no_bit(bits: str, threads: int) -> None:
    assert run("print(trained(6))", threads) == bits


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_in_the_middle_of_training_harms_neither(bits: str) -> None:
    program = """
started = threading.Event()
found = []

def train():
    started.set()
    found.append(trained(6))

trained(1)
thread = threading.Thread(target=train)
thread.start()
started.wait()
child = os.fork()
if child == 0:
    print("child", trained(6), flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
thread.join()
print("parent", found[0], os.waitstatus_to_exitcode(status))
"""
    lines = run(program).splitlines()
    assert sorted(lines) == [f"child {bits}", f"parent {bits} 0"]
