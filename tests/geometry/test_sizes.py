"""Output sizes against windows that are really laid out: lists of indices, one per place of the kernel."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wimmel.geometry import (
    lecture_output_size,
    output_size,
    output_sizes,
    per_axis,
    pooled_size,
    pooled_sizes,
    transposed_size,
    transposed_sizes,
    window_span,
)

SIZES = st.integers(1, 24)
KERNELS = st.integers(1, 6)
STRIDES = st.integers(1, 5)
DILATIONS = st.integers(1, 4)
SIDES = st.integers(0, 7)
PADDINGS = st.tuples(SIDES, SIDES)


def window_indices(start, kernel, dilation):
    return [start + dilation * tap for tap in range(kernel)]


def windows_inside(size, kernel, padding, stride, dilation):
    """Every window that starts a whole number of strides after the padding's edge and lies wholly inside."""
    front, behind = padding
    found = []
    for start in range(-front, size + behind, stride):
        window = window_indices(start, kernel, dilation)
        if max(window) < size + behind:
            found.append(window)
    return found


@given(SIZES, KERNELS, PADDINGS, STRIDES, DILATIONS)
def test_output_size_counts_the_windows_inside(size, kernel, padding, stride, dilation):
    windows = windows_inside(size, kernel, padding, stride, dilation)
    if windows:
        assert output_size(size, kernel, padding, stride, dilation) == len(windows)
    else:
        with pytest.raises(ValueError, match="The kernel is larger than the"):
            output_size(size, kernel, padding, stride, dilation)


@given(SIZES, KERNELS, STRIDES, DILATIONS, st.booleans(), st.data())
def test_pooled_size_counts_windows_that_start_before_the_padding_behind(
    size, kernel, stride, dilation, ceil_mode, data
):
    half = st.integers(0, kernel // 2)
    front, behind = padding = data.draw(st.tuples(half, half), label="padding")
    windows = windows_inside(size, kernel, padding, stride, dilation)
    if ceil_mode:
        # One more window, if the strides leave a rest of the padded input that no window has covered up to
        # its last element, and if it starts early enough.
        start = -front + len(windows) * stride
        rest_is_covered = windows and max(windows[-1]) == size + behind - 1
        sticks_out_by = start + window_span(kernel, dilation) - (size + behind)
        if not rest_is_covered and start < size and sticks_out_by < stride:
            windows.append(window_indices(start, kernel, dilation))
    if not windows:
        with pytest.raises(ValueError, match="The kernel is larger than the"):
            pooled_size(size, kernel, padding, stride, dilation, ceil_mode)
    elif all(any(0 <= index < size for index in window) for window in windows):
        assert pooled_size(size, kernel, padding, stride, dilation, ceil_mode) == len(windows)
    else:
        with pytest.raises(ValueError, match="steps over all"):
            pooled_size(size, kernel, padding, stride, dilation, ceil_mode)


@given(SIZES, KERNELS, STRIDES, st.booleans(), st.data())
def test_an_undilated_pooling_window_always_holds_an_input(size, kernel, stride, ceil_mode, data):
    half = st.integers(0, kernel // 2)
    front, behind = data.draw(st.tuples(half, half), label="padding")
    try:
        count = pooled_size(size, kernel, (front, behind), stride, 1, ceil_mode)
    except ValueError as error:
        assert "larger" in str(error)
        return
    for number in range(count):
        window = window_indices(number * stride - front, kernel, 1)
        assert any(0 <= index < size for index in window)


def test_a_dilated_window_that_steps_over_the_input_is_refused():
    with pytest.raises(ValueError, match="starts 1 in front of the input steps over all 1 of its elements"):
        pooled_size(1, 2, (1, 1), 1, dilation=2)


def test_pooling_refuses_padding_of_more_than_half_the_kernel():
    with pytest.raises(ValueError, match="at most half the kernel: 1 for a kernel of size 3; got 2 in front"):
        pooled_size(9, 3, (2, 0), 1)


def test_ceil_mode_lets_a_window_stick_out_even_if_it_is_the_only_one():
    assert pooled_size(1, 2, (0, 0), 2, ceil_mode=True) == 1
    with pytest.raises(ValueError, match="size 3 against 1"):
        pooled_size(1, 3, (0, 0), 2, ceil_mode=True)


@given(SIZES, KERNELS, PADDINGS, STRIDES, DILATIONS, st.integers(0, 4))
def test_transposed_size_is_where_the_scattered_inputs_end(size, kernel, padding, stride, dilation, output_padding):
    front, behind = padding
    reached = [stride * i + index for i in range(size) for index in window_indices(0, kernel, dilation)]
    kept = range(front, max(reached) + output_padding + 1 - behind)
    if output_padding >= max(stride, dilation):
        with pytest.raises(ValueError, match="output_padding must be smaller than the stride or the dilation"):
            transposed_size(size, kernel, padding, stride, dilation, output_padding)
    elif not kept:
        with pytest.raises(ValueError, match="leaves nothing of the transposed convolution's output"):
            transposed_size(size, kernel, padding, stride, dilation, output_padding)
    else:
        assert transposed_size(size, kernel, padding, stride, dilation, output_padding) == len(kept)


@given(SIZES, KERNELS, PADDINGS, STRIDES, DILATIONS)
def test_transposed_size_undoes_output_size_for_one_output_padding(size, kernel, padding, stride, dilation):
    assume(windows_inside(size, kernel, padding, stride, dilation))
    outputs = output_size(size, kernel, padding, stride, dilation)
    smallest = (outputs - 1) * stride + window_span(kernel, dilation) - sum(padding)
    assert 0 <= size - smallest < stride
    assert transposed_size(outputs, kernel, padding, stride, dilation, size - smallest) == size


def test_the_plural_functions_work_axis_by_axis():
    padding = ((1, 2), (0, 0), (1, 1))
    assert output_sizes((9, 5, 7), (3, 1, 3), padding, (2, 1, 3), (2, 1, 1)) == (
        output_size(9, 3, (1, 2), 2, 2),
        output_size(5, 1, (0, 0), 1, 1),
        output_size(7, 3, (1, 1), 3, 1),
    )
    assert pooled_sizes((9, 6), 3, ((1, 1), (0, 1)), (2, 4), 1, True) == (
        pooled_size(9, 3, (1, 1), 2, 1, True),
        pooled_size(6, 3, (0, 1), 4, 1, True),
    )
    assert transposed_sizes((4, 5), (3, 2), ((1, 0), (0, 0)), (2, 3), 1, (1, 2)) == (
        transposed_size(4, 3, (1, 0), 2, 1, 1),
        transposed_size(5, 2, (0, 0), 3, 1, 2),
    )


def test_a_refusal_names_the_axis():
    with pytest.raises(ValueError, match=r"On spatial axis 1 of 2: The kernel is larger than the input: size 5"):
        output_sizes((9, 4), 5, ((0, 0), (0, 0)), 1, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, 3), "size must be at least 1; got 0"),
        ((5, 0), "kernel must be at least 1; got 0"),
        ((5, 3, (0, 0), 0), "stride must be at least 1; got 0"),
        ((5, 3, (0, 0), 1, 0), "dilation must be at least 1; got 0"),
        ((5, 3, (-1, 0)), "padding must be at least 0; got -1"),
        ((5, 3, (1, 1, 1)), "must be a pair"),
        ((4, 3, (1, 1), 1, 4), r"size 3 with dilation 4, spanning 9, against 6 \(4 and 2 of padding\)"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        output_size(*arguments)


def test_padding_must_have_a_pair_for_each_axis():
    with pytest.raises(ValueError, match="padding must be 2"):
        output_sizes((4, 4), 3, ((1, 1),), 1, 1)


@pytest.mark.parametrize("value", [3, np.int64(3), np.array(3), np.uint8(3)])
def test_one_number_stands_for_every_axis(value):
    numbers = per_axis(value, 2, "stride")
    assert numbers == (3, 3)
    assert all(type(number) is int for number in numbers)


@pytest.mark.parametrize("value", [(3, 1), [3, 1], np.array([3, 1]), range(3, 0, -2)])
def test_a_sequence_gives_one_number_per_axis(value):
    numbers = per_axis(value, 2, "stride")
    assert numbers == (3, 1)
    assert all(type(number) is int for number in numbers)


@pytest.mark.parametrize(
    "value", [True, np.True_, 2.0, np.float32(2), np.array(2.0), "same", None, {2, 3}, {2: 3}, b"ab"]
)
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(TypeError, match="stride must be one whole number or 2 of them, one per axis; got"):
        per_axis(value, 2, "stride")


@pytest.mark.parametrize("value", [(1, 2.0), (True, 1), ((1, 1), (1, 1)), np.ones((2, 2), int), ("1", "2")])
def test_entries_that_are_no_whole_numbers_are_refused(value):
    with pytest.raises(TypeError, match="is not one"):
        per_axis(value, 2, "stride")


@pytest.mark.parametrize("value", [(), (1,), (1, 2, 3)])
def test_too_many_or_too_few_numbers_are_refused(value):
    with pytest.raises(ValueError, match=f"which has {len(value)}"):
        per_axis(value, 2, "stride")


@pytest.mark.parametrize(("value", "minimum"), [(0, 1), ((1, 0), 1), (-1, 0)])
def test_numbers_below_the_minimum_are_refused(value, minimum):
    with pytest.raises(ValueError, match=f"stride must be at least {minimum} on every axis"):
        per_axis(value, 2, "stride", minimum)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 12), st.integers(1, 6), st.data())
def test_the_lecture_s_size_does_not_care_how_the_total_is_split(size, kernel, total, stride, data):
    assume(kernel <= size + total)
    front = data.draw(st.integers(0, total), label="front")
    windows = windows_inside(size, kernel, (front, total - front), stride, 1)
    assert lecture_output_size(size, kernel, total, stride) == len(windows)


def test_the_lecture_s_size_refuses_a_kernel_that_does_not_fit():
    with pytest.raises(ValueError, match=r"size 6 against 5 \(3 and 2 of padding\)"):
        lecture_output_size(3, 6, 2)
    with pytest.raises(ValueError, match="total_padding must be at least 0"):
        lecture_output_size(3, 2, -1)


@pytest.mark.parity
def test_pooled_size_is_torch_s():
    torch = pytest.importorskip("torch")
    cases = [
        (size, kernel, padding, stride, dilation, ceil_mode)
        for size in (1, 2, 5, 8, 9)
        for kernel in (1, 2, 3, 4)
        for padding in (0, 1, 2)
        for stride in (1, 2, 3, 5)
        for dilation in (1, 2)
        for ceil_mode in (False, True)
    ]
    for size, kernel, padding, stride, dilation, ceil_mode in cases:
        try:
            pooled = torch.nn.functional.max_pool1d(
                torch.zeros(1, 1, size), kernel, stride, padding, dilation, ceil_mode
            )
        except RuntimeError:
            theirs = None
        else:
            theirs = None if pooled.isinf().any() else pooled.shape[-1]
        try:
            ours = pooled_size(size, kernel, (padding, padding), stride, dilation, ceil_mode)
        except ValueError:
            ours = None
        assert ours == theirs, (size, kernel, padding, stride, dilation, ceil_mode)


@pytest.mark.parity
def test_transposed_size_is_torch_s():
    torch = pytest.importorskip("torch")
    cases = [
        (size, kernel, padding, stride, dilation, extra)
        for size in (1, 4)
        for kernel in (1, 3)
        for padding in (0, 1, 3)
        for stride in (1, 2, 3)
        for dilation in (1, 2)
        for extra in (0, 1, 2)
    ]
    for size, kernel, padding, stride, dilation, extra in cases:
        try:
            result = torch.nn.functional.conv_transpose1d(
                torch.zeros(1, 1, size),
                torch.zeros(1, 1, kernel),
                stride=stride,
                padding=padding,
                output_padding=extra,
                dilation=dilation,
            )
        except RuntimeError:
            theirs = None
        else:
            theirs = result.shape[-1]
        try:
            ours = transposed_size(size, kernel, (padding, padding), stride, dilation, extra)
        except ValueError:
            ours = None
        assert ours == theirs, (size, kernel, padding, stride, dilation, extra)
