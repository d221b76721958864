"""Batches: every picture once an epoch, the same bits each time, and no thread left behind."""

import threading

import numpy as np
import pytest

from wimmel.data import Augmentation, Batches, Dataset

COUNT = 23


@pytest.fixture
def dataset():
    images = np.arange(COUNT, dtype=np.uint8).repeat(16).reshape(COUNT, 1, 4, 4)
    return Dataset(images, np.arange(COUNT) % 3, ("a", "b", "c"))


def places(batches):
    return [batch.indices.tolist() for batch in batches]


def in_a_row(batches):
    return np.concatenate([batch.indices for batch in batches]).tolist()


def background_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("wimmel-batches")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert background_threads() == []


@pytest.mark.parametrize("size", [1, 5, 23, 40])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_picture_comes_once(dataset, size, shuffle):
    batches = Batches(dataset, size, seed=2, shuffle=shuffle)
    found = list(batches.epoch(0))
    assert len(found) == len(batches) == -(-COUNT // size)
    assert all(len(batch.labels) == size for batch in found[:-1])
    indices = np.concatenate([batch.indices for batch in found])
    assert sorted(indices) == list(range(COUNT))
    for batch in found:
        assert (batch.images.dtype, batch.labels.dtype, batch.indices.dtype) == (np.uint8, np.int64, np.int64)
        np.testing.assert_array_equal(batch.images, dataset.images[batch.indices])
        np.testing.assert_array_equal(batch.labels, dataset.labels[batch.indices])


def test_without_shuffling_the_order_is_the_data_sets(dataset):
    assert in_a_row(Batches(dataset, 5, shuffle=False).epoch(9)) == list(range(COUNT))


def test_the_order_follows_from_seed_and_epoch(dataset):
    first = places(Batches(dataset, 5, seed=1).epoch(3))
    assert first == places(Batches(dataset, 5, seed=1).epoch(3))
    assert in_a_row(Batches(dataset, 5, seed=1).epoch(3)) == in_a_row(Batches(dataset, 7, seed=1).epoch(3))
    assert first != places(Batches(dataset, 5, seed=1).epoch(4))
    assert first != places(Batches(dataset, 5, seed=2).epoch(3))


def test_a_small_last_batch_can_be_left_out(dataset):
    batches = Batches(dataset, 5, drop_last=True)
    assert [len(batch.labels) for batch in batches.epoch(0)] == [5, 5, 5, 5]
    assert len(batches) == 4


def test_an_epoch_can_be_entered_in_the_middle(dataset):
    batches = Batches(dataset, 5, augmentation=Augmentation(shift=0.3))
    whole, rest = list(batches.epoch(1)), list(batches.epoch(1, start=3))
    assert len(rest) == 2
    for one, other in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.indices, other.indices)


def test_pictures_are_varied_by_place_and_epoch(dataset):
    augmentation = Augmentation(brightness=0.9)
    by_five = Batches(dataset, 5, seed=4, augmentation=augmentation)
    in_order = Batches(dataset, 8, seed=4, shuffle=False, augmentation=augmentation)
    expected = augmentation.apply(dataset.images, np.arange(COUNT), 4, 2)
    for batch in [*by_five.epoch(2), *in_order.epoch(2)]:
        np.testing.assert_array_equal(batch.images, expected[batch.indices])
    assert not np.array_equal(next(in_order.epoch(3)).images, expected[:8])


def test_batches_may_be_written_to(dataset):
    for batch in Batches(dataset, 5).epoch(0):
        batch.images[:] = 0
    assert dataset.images.max() == COUNT - 1


def test_batches_are_prepared_ahead_on_another_thread(dataset):
    class Watched(Augmentation):
        def apply(self, images, indices, seed, epoch):
            threads.append(threading.current_thread())
            return images

    threads = []
    epoch = Batches(dataset, 1, augmentation=Watched()).epoch(0)
    next(epoch)
    while len(threads) < 3:  # without asking for a second batch
        pass
    epoch.close()
    assert threading.current_thread() not in threads
    assert len(threads) == 3


def test_closing_early_stops_the_thread(dataset):
    epoch = Batches(dataset, 1).epoch(0)
    next(epoch)
    assert background_threads()
    epoch.close()
    assert not background_threads()


def test_leaving_a_loop_early_stops_the_thread(dataset):
    for _batch in Batches(dataset, 1).epoch(0):
        break
    assert not background_threads()


def test_an_epoch_that_was_never_begun_has_no_thread(dataset):
    Batches(dataset, 1).epoch(0)
    assert not background_threads()


def test_an_error_in_the_background_reaches_the_caller_in_its_place(dataset):
    class Failing(Augmentation):
        def apply(self, images, indices, seed, epoch):
            if 4 in indices:
                raise RuntimeError("this picture is cursed")
            return images

    epoch = Batches(dataset, 2, shuffle=False, augmentation=Failing()).epoch(0)
    assert [next(epoch).indices.tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(RuntimeError, match="cursed"):
        next(epoch)
    assert not background_threads()
    assert list(epoch) == []


def test_two_epochs_can_run_at_once(dataset):
    batches = Batches(dataset, 5, seed=8)
    together = [
        (one.indices.tolist(), two.indices.tolist())
        for one, two in zip(batches.epoch(0), batches.epoch(1), strict=True)
    ]
    assert [one for one, _ in together] == places(batches.epoch(0))
    assert [two for _, two in together] == places(batches.epoch(1))


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be a whole number"),
        ({"batch_size": 24, "drop_last": True}, ValueError, "23 pictures fill no batch of 24"),
        ({"batch_size": 4, "seed": -1}, ValueError, "seed must be"),
    ],
)
def test_what_makes_no_batches_is_refused(dataset, options, error, expected):
    with pytest.raises(error, match=expected):
        Batches(dataset, **options)


def test_an_empty_data_set_and_a_negative_epoch_are_refused(dataset):
    with pytest.raises(ValueError, match="has no pictures"):
        Batches(dataset.subset([]), 4)
    with pytest.raises(ValueError, match="epoch must be"):
        Batches(dataset, 4).epoch(-1)
