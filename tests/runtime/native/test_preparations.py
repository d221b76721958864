"""Packed weights are kept once for all programs that prepare the same from the same arrays."""

from __future__ import annotations

import gc

import numpy as np

import wimmel as wm
from wimmel.runtime.native import preparations

PICTURES = np.random.default_rng(0).standard_normal((3, 4, 9, 9)).astype(np.float32)


def network() -> wm.nn.Module:
    return wm.nn.Sequential(wm.nn.Conv2d(4, 20, 3), wm.nn.ReLU()).initialize(0)


def count() -> int:
    gc.collect()
    return len(preparations._kept)


def test_batch_sizes_share_what_is_packed() -> None:
    before, net = count(), network()
    alone = np.concatenate([net(PICTURES[:1]), net(PICTURES[1:])])
    np.testing.assert_array_equal(alone, net(PICTURES))
    assert count() == before + 1


def test_networks_do_not() -> None:
    before, first, second = count(), network(), network()
    second[0].weight = -first[0].weight
    second[0].bias = -first[0].bias
    ours, theirs = first(PICTURES), second(PICTURES)
    assert count() == before + 2
    assert np.all((ours == 0) | (theirs == 0))


def test_a_replaced_parameter_is_packed_again_for_every_batch_size() -> None:
    net = network()
    old = [net(PICTURES), net(PICTURES[:1])]
    net[0].weight = net[0].weight * 2
    net[0].bias = net[0].bias * 2
    np.testing.assert_array_equal(net(PICTURES), 2 * old[0])
    np.testing.assert_array_equal(net(PICTURES[:1]), 2 * old[1])


def test_what_no_program_uses_any_more_is_given_back() -> None:
    before, net = count(), network()
    net(PICTURES)
    assert count() == before + 1
    wm.release_memory()
    assert count() <= before
    del net
    assert count() <= before
