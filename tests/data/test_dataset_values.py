"""A data set checks itself, cannot be written through, and is cut into parts by class."""

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wimmel.data import Dataset
from wimmel.data.contact_sheet import contact_sheet


def numbered(labels, classes=("a", "b", "c"), **options):
    """A data set whose picture number i is filled with i."""
    images = np.arange(len(labels), dtype=np.uint8).repeat(4).reshape(-1, 1, 2, 2)
    return Dataset(images, labels, classes, **options)


def numbers(dataset):
    return dataset.images[:, 0, 0, 0].tolist()


def test_what_it_is_made_of():
    dataset = numbered([0, 2, 2], name="three", skipped=[("bad.png", "it is truncated")])
    assert len(dataset) == 3
    assert dataset.shape == (1, 2, 2)
    assert dataset.labels.dtype == np.int64
    assert dataset.class_counts.tolist() == [1, 0, 2]
    assert repr(dataset) == "Dataset('three', 3 images of 1x2x2, 3 classes: a, b, c, 1 skipped)"


def test_many_classes_are_shortened_in_its_repr():
    dataset = numbered([0], classes=[f"k{number}" for number in range(12)])
    assert repr(dataset).endswith("12 classes: k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, ...)")


def test_it_is_frozen_but_the_callers_array_is_not():
    images, labels = np.zeros((2, 1, 2, 2), np.uint8), np.array([0, 1])
    dataset = Dataset(images, labels, ("a", "b"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "other"
    with pytest.raises(ValueError, match="read-only"):
        dataset.images[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        dataset.labels[0] = 1
    images[0] = 1
    labels[0] = 1


@pytest.mark.parametrize(
    ("images", "labels", "classes", "error", "expected"),
    [
        (np.zeros((2, 1, 2, 2)), [0, 1], ("a", "b"), TypeError, "uint8, 0 to 255; got float64"),
        (np.zeros((2, 2, 2), np.uint8), [0, 1], ("a", "b"), ValueError, r"got \(2, 2, 2\)"),
        (np.zeros((2, 0, 2, 2), np.uint8), [0, 1], ("a", "b"), ValueError, r"got \(2, 0, 2, 2\)"),
        (np.zeros((2, 1, 2, 2), np.uint8), [0.0, 1.0], ("a", "b"), TypeError, "labels must be whole numbers"),
        (np.zeros((2, 1, 2, 2), np.uint8), [0], ("a", "b"), ValueError, r"shape \(2,\); got \(1,\)"),
        (np.zeros((2, 1, 2, 2), np.uint8), [0, 2], ("a", "b"), ValueError, "go from 0 to 1; got 0 to 2"),
        (np.zeros((2, 1, 2, 2), np.uint8), [-1, 0], ("a", "b"), ValueError, "got -1 to 0"),
        (np.zeros((2, 1, 2, 2), np.uint8), [0, 1], ("a", "a"), ValueError, "different names"),
        (np.zeros((2, 1, 2, 2), np.uint8), [0, 1], "ab", TypeError, "not the single text 'ab'"),
        (np.zeros((2, 1, 2, 2), np.uint8), [0, 1], (0, 1), TypeError, "must be text"),
        (np.zeros((2, 1, 2, 2), np.uint8), [0, 1], (), ValueError, "at least one class"),
    ],
)
def test_parts_that_do_not_fit_are_refused(images, labels, classes, error, expected):
    with pytest.raises(error, match=expected):
        Dataset(images, labels, classes)


@pytest.mark.parametrize("labels", [np.array([1, 0], np.uint8), np.array([1, 0], ">i2"), [1, 0]])
def test_labels_of_any_integer_type_become_int64(labels):
    dataset = numbered(labels)
    assert dataset.labels.dtype == np.int64
    assert dataset.labels.tolist() == [1, 0]


def test_a_subset_keeps_the_order_asked_for():
    dataset = numbered([0, 1, 2, 1])
    assert numbers(dataset.subset([3, 0, 0])) == [3, 0, 0]
    assert dataset.subset([3, 0, 0]).labels.tolist() == [1, 0, 0]
    assert numbers(dataset.subset(dataset.labels == 1)) == [1, 3]
    assert len(dataset.subset([])) == 0


@pytest.mark.parametrize(
    ("indices", "error"),
    [([4], IndexError), ([-1], IndexError), ([0.5], TypeError), ([[0]], ValueError), ([True], ValueError)],
)
def test_wrong_places_are_refused(indices, error):
    with pytest.raises(error):
        numbered([0, 1, 2, 1]).subset(indices)


def test_a_split_has_every_picture_once_in_the_old_order():
    dataset = numbered([0, 1, 2] * 10)
    rest, part = dataset.split(0.3, seed=4)
    assert (len(rest), len(part)) == (21, 9)
    assert sorted(numbers(rest) + numbers(part)) == list(range(30))
    assert numbers(rest) == sorted(numbers(rest))
    assert part.class_counts.tolist() == [3, 3, 3]


def test_the_same_seed_splits_the_same_way_and_another_does_not():
    dataset = numbered([0, 1] * 30)
    assert numbers(dataset.split(0.5, 1)[1]) == numbers(dataset.split(0.5, 1)[1])
    assert numbers(dataset.split(0.5, 1)[1]) != numbers(dataset.split(0.5, 2)[1])


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    fraction=st.floats(0.02, 0.98),
    seed=st.integers(0, 2**64 - 1),
)
def test_every_split_is_stratified(labels, fraction, seed):
    dataset = numbered(labels, classes=tuple("abcde"))
    counts = dataset.class_counts
    room = np.maximum(counts - 1, 0).sum()
    wanted = min(round(fraction * len(labels)), room)
    if not wanted:
        with pytest.raises(ValueError, match="leaves nothing to split off"):
            dataset.split(fraction, seed)
        return
    rest, part = dataset.split(fraction, seed)
    assert len(part) == wanted
    assert sorted(numbers(rest) + numbers(part)) == list(range(len(labels)))
    assert (rest.class_counts[counts > 0] >= 1).all()
    if (np.floor(counts * fraction) < counts - 1)[counts > 0].all():  # no class kept its last picture
        assert (np.abs(part.class_counts - counts * wanted / len(labels)) < 1).all()


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60), data=st.data())
def test_every_sample_is_stratified(labels, data):
    dataset = numbered(labels, classes=tuple("abcde"))
    n = data.draw(st.integers(1, len(labels)))
    sample = dataset.take(n, seed=data.draw(st.integers(0, 100)))
    assert len(sample) == n
    assert len(set(numbers(sample))) == n
    assert (np.abs(sample.class_counts - dataset.class_counts * n / len(labels)) < 1).all()
    np.testing.assert_array_equal(sample.labels, np.array(labels)[numbers(sample)])


def test_every_picture_has_the_same_chance():
    dataset = numbered([0] * 10 + [1] * 10)
    chosen = np.concatenate([numbers(dataset.take(4, seed)) for seed in range(1000)])
    counts = np.bincount(chosen, minlength=20)
    assert counts.sum() == 4000
    assert np.abs(counts - 200).max() < 5 * np.sqrt(200 * 0.8)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan")])
def test_fractions_outside_are_refused(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        numbered([0, 1, 0, 1]).split(fraction)


@pytest.mark.parametrize("n", [0, 5, -1])
def test_samples_larger_than_the_whole_are_refused(n):
    with pytest.raises(ValueError, match="number of pictures to take must be at"):
        numbered([0, 1, 0, 1]).take(n)


def test_the_contact_sheet_shows_every_picture_in_its_place():
    images = np.arange(5, dtype=np.uint8).repeat(12).reshape(5, 1, 3, 4)
    sheet = contact_sheet(images, columns=2)[0]
    assert sheet.shape == (2 + 3 * (3 + 2), 2 + 2 * (4 + 2))
    for number in range(5):
        top, left = 2 + (number // 2) * 5, 2 + (number % 2) * 6
        assert (sheet[top : top + 3, left : left + 4] == number).all()
    assert sheet[0, 0] == sheet[-1, -1] == 255


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("side", [1, 28, 300])
def test_the_notebook_shows_real_pictures_and_escapes_names(channels, side):
    images = np.full((3, channels, side, side), 90, np.uint8)
    html = Dataset(images, [0, 0, 1], ("<b>", "dog", "none"), name="a&b")._repr_html_()
    assert "&lt;b&gt;" in html
    assert "a&amp;b" in html
    assert "<b>" not in html
    assert "(none)" in html
    for encoded in re.findall(r"base64,([^\"]+)", html):
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
            assert picture.format == "PNG"
            assert max(picture.size) <= 12 * 100
