"""Paddings in every form they may be written, against what each is meant to achieve."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimmel.geometry import lecture_padding, output_size, padding_pairs

SIZES = st.integers(1, 30)
KERNELS = st.integers(1, 7)
STRIDES = st.integers(1, 5)
DILATIONS = st.integers(1, 4)


@pytest.mark.parametrize(
    ("padding", "pairs"),
    [
        (2, ((2, 2), (2, 2))),
        (np.int64(2), ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (np.array([1, 2]), ((1, 1), (2, 2))),
        (((1, 2), (0, 3)), ((1, 2), (0, 3))),
        ([[1, 2], [0, 3]], ((1, 2), (0, 3))),
        (np.array([[1, 2], [0, 3]]), ((1, 2), (0, 3))),
        ("valid", ((0, 0), (0, 0))),
    ],
)
def test_every_form_becomes_pairs_of_plain_int(padding, pairs):
    found = padding_pairs(padding, (9, 9), 3, 1, 1)
    assert found == pairs
    assert all(type(side) is int for pair in found for side in pair)


def test_one_axis_takes_an_int_a_flat_tuple_of_one_or_a_nested_pair():
    assert padding_pairs(1, (9,), 3) == ((1, 1),)
    assert padding_pairs((1,), (9,), 3) == ((1, 1),)
    assert padding_pairs(((1, 2),), (9,), 3) == ((1, 2),)


@given(SIZES, KERNELS, STRIDES, DILATIONS, st.sampled_from(["same", "same_lower"]))
def test_same_is_the_least_padding_that_gives_a_window_for_every_stride(size, kernel, stride, dilation, word):
    ((front, behind),) = padding_pairs(word, (size,), kernel, stride, dilation)
    outputs = len(range(0, size, stride))
    windows_end = (outputs - 1) * stride + dilation * (kernel - 1) + 1
    total = next(total for total in range(windows_end + 1) if size + total >= windows_end)
    assert front + behind == total
    assert (behind - front if word == "same" else front - behind) == total % 2
    assert output_size(size, kernel, (front, behind), stride, dilation) == outputs


@given(SIZES, KERNELS)
def test_same_lower_at_stride_one_is_the_lecture_s_split(size, kernel):
    assert padding_pairs("same_lower", (size,), kernel, 1, 1) == lecture_padding(kernel, axes=1)


@given(SIZES, KERNELS, DILATIONS)
def test_full_holds_every_overlap_of_kernel_and_input(size, kernel, dilation):
    ((front, behind),) = padding_pairs("full", (size,), kernel, 1, dilation)
    starts = range(-5 * 8, size + 5 * 8)
    overlapping = [start for start in starts if start < size and start + dilation * (kernel - 1) >= 0]
    assert -front == min(overlapping)
    assert output_size(size, kernel, (front, behind), 1, dilation) == len(overlapping)


def test_words_use_each_axis_s_own_numbers():
    assert padding_pairs("same", (7, 8), (3, 4), (2, 1), (1, 2)) == ((1, 1), (3, 3))
    assert padding_pairs("full", (7, 8), (3, 4), (2, 1), (1, 2)) == ((2, 2), (6, 6))


@pytest.mark.parametrize(
    ("padding", "sizes", "sentence"),
    [
        ("Same", (9, 9), "the words are 'valid', 'same', 'same_lower', 'full'"),
        (-1, (9, 9), "every entry of padding must be at least 0; got -1"),
        (((0, -2), (0, 0)), (9, 9), "every entry of padding must be at least 0; got -2"),
        ((1, 2), (9,), r"2 entries for one axis.*nest the pair: \(\(1, 2\),\)"),
        ((1, 2, 3, 4), (9, 9), r"nest the pairs, in axis order: \(\(1, 2\), \(3, 4\)\)"),
        ((1, 2, 3), (9, 9), r"3 entries for 2 axes.*as in \(\(1, 2\), \(1, 2\)\)"),
        ((1,), (9, 9), "1 entry for 2 axes"),
        ((), (9, 9), "0 entries for 2 axes"),
        (((1, 2),), (9, 9), "1 entry for 2 axes"),
        ((1, (1, 2)), (9, 9), "mixes numbers and pairs"),
        (((1, 2), (1, 2, 3)), (9, 9), r"a \(front, behind\) pair for each axis; got \(1, 2, 3\)"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_advice(padding, sizes, sentence):
    with pytest.raises(ValueError, match=sentence):
        padding_pairs(padding, sizes, 3, 1, 1)


@pytest.mark.parametrize("padding", [1.0, None, True, (1.0, 1), ((True, 0), (0, 0)), ((1, 2), ("a", "b")), {1, 2}])
def test_what_is_no_whole_number_is_no_padding(padding):
    with pytest.raises(TypeError, match="padding must be a whole number"):
        padding_pairs(padding, (9, 9), 3, 1, 1)


@given(KERNELS)
def test_the_lecture_s_padding_keeps_the_size(kernel):
    ((front, behind),) = lecture_padding(kernel, axes=1)
    assert front + behind == kernel - 1
    assert front - behind in (0, 1)
    assert output_size(10, kernel, (front, behind)) == 10


def test_the_lecture_s_padding_is_for_pictures_unless_told_otherwise():
    assert lecture_padding(4) == ((2, 1), (2, 1))
    assert lecture_padding((3, 4, 5)) == ((1, 1), (2, 1), (2, 2))
    assert lecture_padding(4, axes=1) == ((2, 1),)
    with pytest.raises(ValueError, match="kernel"):
        lecture_padding((3, 4), axes=3)


@pytest.mark.parity
def test_same_is_torch_s():
    torch = pytest.importorskip("torch")
    signal = torch.arange(1.0, 10.0).reshape(1, 1, 9)
    for kernel, dilation in [(2, 1), (3, 1), (4, 1), (4, 3), (2, 3)]:
        weight = torch.arange(1.0, kernel + 1).reshape(1, 1, kernel)
        (pair,) = padding_pairs("same", (9,), kernel, 1, dilation)
        padded = torch.nn.functional.pad(signal, pair)
        ours = torch.nn.functional.conv1d(padded, weight, dilation=dilation)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch mentions once that an odd total makes it copy the input
            theirs = torch.nn.functional.conv1d(signal, weight, padding="same", dilation=dilation)
        assert torch.equal(ours, theirs)
