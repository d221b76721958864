"""The memory of calls is kept for the next ones, and bounded in all."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import wimmel as wm
from wimmel.runtime.native import instances
from wimmel.runtime.native.instances import Instance


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that may be kept: some pictures' worth."""
    wm.release_memory()
    monkeypatch.setattr(instances, "KEPT_BYTES", 2**23)
    return 2**23


def idle() -> list[Instance]:
    return [instance for owner in list(instances._all) for instance in owner.idle]


def network() -> wm.nn.Module:
    return wm.nn.Sequential(wm.nn.Conv2d(1, 16, 3), wm.nn.ReLU(), wm.nn.Conv2d(16, 1, 3)).initialize(0)


def picture(rows: int) -> np.ndarray:
    return np.ones((1, 1, rows, 64), np.float32)


def test_pictures_of_many_sizes_leave_no_more_than_is_allowed(little: int) -> None:
    net = network()
    for rows in range(30, 800, 20):
        net(picture(rows))
    kept = sum(instance.size for instance in idle())
    assert little // 2 < kept <= little


def test_what_was_used_lately_is_kept(little: int) -> None:
    often, seldom = network(), network()
    often(picture(40))
    (first,) = idle()
    for rows in range(30, 800, 20):
        seldom(picture(rows))
        often(picture(40))
    assert first in idle()


def test_one_that_is_larger_than_allowed_is_kept_alone(little: int) -> None:
    net = network()
    net(picture(40))
    net(picture(4000))
    (alone,) = idle()
    assert alone.size > little
    net(picture(4000))
    assert idle() == [alone]


def test_calls_at_once_leave_no_more_than_is_allowed(little: int) -> None:
    net, barrier = network(), threading.Barrier(8)
    net(picture(700))

    def calls() -> None:
        barrier.wait()
        for _ in range(20):
            net(picture(700))

    threads = [threading.Thread(target=calls) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(instance.size for instance in idle()) <= little
