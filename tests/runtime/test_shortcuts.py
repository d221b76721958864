"""Calls with one array take a short way from the second one on; it is left as soon as anything has changed."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import pytest

import wimmel as wm
from wimmel.nn import Module

X = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)


class Scaled(Module):
    """Reads a number, a list and a parameter."""

    def __init__(self) -> None:
        self.factor = 2.0
        self.added = [1.0]
        self.weight = wm.nn.Parameter(np.ones(3, np.float32))

    def forward(self, x: Any) -> Any:
        return x * self.weight * self.factor + self.added[0]


class Fixed(Module):
    """Reads nothing that could change without being set."""

    def __init__(self) -> None:
        self.factor = 2.0
        self.weight = wm.nn.Parameter(np.ones(3, np.float32))

    def forward(self, x: Any) -> Any:
        return x * self.weight * self.factor


def called_often(net: Module) -> np.ndarray:
    for _ in range(3):
        result = net(X)
    return result


def test_a_replaced_parameter_counts_at_once() -> None:
    net = Fixed()
    np.testing.assert_allclose(called_often(net), 2 * X)
    net.weight = np.full(3, 5.0)
    np.testing.assert_allclose(called_often(net), 10 * X)


def test_a_setting_counts_at_once() -> None:
    net = wm.nn.Sequential(Fixed(), Fixed())
    np.testing.assert_allclose(called_often(net), 4 * X)
    net[1].factor = 3.0
    np.testing.assert_allclose(called_often(net), 6 * X)


def test_a_list_that_changes_counts_at_once() -> None:
    net = Scaled()
    np.testing.assert_allclose(called_often(net), 2 * X + 1)
    net.added[0] = 7.0
    np.testing.assert_allclose(called_often(net), 2 * X + 7)
    net.added = (4.0,)
    np.testing.assert_allclose(called_often(net), 2 * X + 4)
    net.added = [5.0]
    np.testing.assert_allclose(called_often(net), 2 * X + 5)
    net.added[0] = 6.0
    np.testing.assert_allclose(called_often(net), 2 * X + 6)


def test_released_memory_is_given_back_and_taken_again() -> None:
    net = Fixed()
    before = called_often(net)
    wm.release_memory()
    np.testing.assert_array_equal(called_often(net), before)


def test_views_and_other_orders_of_memory_are_read_rightly() -> None:
    net = Fixed()
    called_often(net)
    for view in (X[::-1], np.asfortranarray(X), X.T.copy().T, X.astype(">f4")):
        np.testing.assert_allclose(net(view), 2 * view)
    unaligned = np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(X.shape)
    np.testing.assert_allclose(net(unaligned), 2 * X)


def test_results_are_new_arrays() -> None:
    net = Fixed()
    first, second = called_often(net), net(X)
    assert not np.may_share_memory(first, second)


def test_other_shapes_and_dtypes_have_short_ways_of_their_own() -> None:
    net = Fixed()
    for _ in range(3):
        for x in (X, X[:1], X.astype(np.float64), np.zeros((0, 3), np.float32)):
            result = net(x)
            assert result.dtype == x.dtype
            np.testing.assert_allclose(result, 2 * x)


def test_what_is_refused_is_refused_at_every_call() -> None:
    table = np.arange(5.0)
    look_up = wm.compile(lambda places: wm.take(table, places, axis=0))
    np.testing.assert_array_equal(look_up(np.array([1, 4])), [1, 4])
    for _ in range(3):
        with pytest.raises(IndexError):
            look_up(np.array([1, 5]))
    np.testing.assert_array_equal(look_up(np.array([0, 2])), [0, 2])


def test_while_another_function_is_recorded_it_records() -> None:
    net = Fixed()
    called_often(net)
    twice = wm.compile(lambda x: net(net(x)))
    np.testing.assert_allclose(twice(X), 4 * X)
    np.testing.assert_allclose(wm.grad(lambda x: net(x).sum())(X), np.full_like(X, 2))


def test_parameters_replaced_by_one_thread_are_seen_by_all() -> None:
    net, wrong = Fixed(), []
    called_often(net)
    done = threading.Event()

    def calls() -> None:
        while not done.is_set():
            result = net(np.ones((1, 3), np.float32))
            if len(np.unique(result)) != 1:  # some of the old weights and some of the new
                wrong.append(result)

    threads = [threading.Thread(target=calls) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for number in range(300):
            net.weight = np.full(3, number)
            assert net(np.ones((1, 3), np.float32))[0, 0] == 2 * number
    finally:
        sys.setswitchinterval(interval)
        done.set()
        for thread in threads:
            thread.join()
    assert not wrong
