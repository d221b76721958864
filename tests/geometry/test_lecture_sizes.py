"""The lecture's rows on sizes, paddings and receptive fields, each with the numbers it gives."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from wimmel.geometry import (
    ReceptiveField,
    lecture_output_size,
    lecture_padding,
    output_size,
    output_sizes,
    padding_pairs,
)

SIZES = st.integers(1, 60)
KERNELS = st.integers(1, 9)
STRIDES = st.integers(1, 6)


def stacked(*layers):
    """The field of the last layer's outputs on the first layer's input."""
    return reduce(lambda field, inner: field.compose(inner), reversed(layers))


def same(kernel):
    return ReceptiveField.window((kernel, kernel), padding=lecture_padding(kernel))


def halving_pool():
    return ReceptiveField.window((2, 2), stride=2)


def test_L13_an_unpadded_output_has_n_minus_k_plus_one_rows_and_columns():
    assert output_sizes((3, 3), (2, 2), ((0, 0), (0, 0))) == (2, 2)
    assert output_sizes((28, 32), (5, 3), ((0, 0), (0, 0))) == (28 - 5 + 1, 32 - 3 + 1)


def test_L18_two_stacked_2x2_kernels_see_4_elements_of_the_map_between_and_9_of_the_input():
    z_on_y = y_on_x = ReceptiveField.window((2, 2))
    z_on_x = z_on_y.compose(y_on_x)
    assert z_on_y.area == 4
    assert z_on_x.area == 9
    assert z_on_x.at((0, 0)) == ((0, 2), (0, 2))


def test_L18_lenet_s_field_with_respect_to_every_earlier_layer():
    convolution_1, pool_1 = same(5), halving_pool()
    convolution_2, pool_2 = ReceptiveField.window((5, 5)), halving_pool()
    layers = [convolution_1, pool_1, convolution_2, pool_2]
    on = [stacked(*layers[first:]) for first in range(4)]
    assert [str(field) for field in on] == [
        "16x16, stride 4, from (-2, -2)",
        "12x12, stride 4, from (0, 0)",
        "6x6, stride 2, from (0, 0)",
        "2x2, stride 2, from (0, 0)",
    ]
    assert on[0].clipped((0, 4), (28, 28)) == (slice(0, 14), slice(14, 28))


def test_L18_a_field_may_be_larger_than_its_input():
    field = stacked(*[same(5)] * 10)
    assert field.size == (41, 41)
    assert field.at((0, 14)) == ((-20, 20), (-6, 34))
    assert field.clipped((0, 14), (28, 28)) == (slice(0, 21), slice(0, 28))


def test_L19_the_field_widens_with_depth():
    plain = {depth: stacked(*[same(3)] * depth).size[0] for depth in range(1, 7)}
    assert plain == {1: 3, 2: 5, 3: 7, 4: 9, 5: 11, 6: 13}
    blocks = {depth: stacked(*[same(3), halving_pool()] * depth).size[0] for depth in range(1, 5)}
    assert blocks == {1: 4, 2: 10, 3: 22, 4: 46}


def test_L20_ten_5x5_layers_leave_200x200_of_240x240():
    sizes = (240, 240)
    for _ in range(10):
        sizes = output_sizes(sizes, 5, ((0, 0), (0, 0)))
    assert sizes == (200, 200)
    assert f"{1 - 200 * 200 / 240**2:.1%}" == "30.6%"


@given(SIZES, KERNELS, st.integers(0, 8))
def test_L22_padding_counts_in_total(size, kernel, total):
    if kernel <= size + total:
        assert lecture_output_size(size, kernel, total) == size - kernel + total + 1


def test_L22_figure_4_grows_to_4x4():
    assert lecture_output_size(3, 2, total_padding=2) == 4
    assert output_sizes((3, 3), 2, ((1, 1), (1, 1))) == (4, 4)


@given(SIZES, KERNELS)
def test_L23_padding_of_k_minus_one_keeps_the_size(size, kernel):
    (top_bottom, left_right) = lecture_padding(kernel)
    assert top_bottom == left_right
    assert output_size(size, kernel, top_bottom) == size == lecture_output_size(size, kernel, kernel - 1)


def test_L23_an_odd_kernel_is_centred_and_an_even_one_has_its_extra_row_on_top_and_left():
    assert lecture_padding((5, 3)) == ((2, 2), (1, 1))
    assert lecture_padding((4, 2)) == ((2, 1), (1, 0))
    ((first, last), _) = same(5).at((7, 7))
    assert 7 - first == last - 7


def test_L24_figure_5_strides_of_3_and_2():
    assert output_sizes((3, 3), (2, 2), ((1, 1), (1, 1)), stride=(3, 2)) == (2, 2)
    assert output_sizes((3, 3), (2, 2), ((1, 1), (1, 2)), stride=(3, 2)) == (2, 3)


@given(SIZES, KERNELS, st.integers(0, 8), STRIDES)
def test_L25_the_size_with_stride(size, kernel, total, stride):
    if kernel <= size + total:
        places = [place for place in range(size + total - kernel + 1) if place % stride == 0]
        assert lecture_output_size(size, kernel, total, stride) == len(places)


@given(SIZES, KERNELS, STRIDES)
def test_L25_padding_of_k_minus_one_leaves_n_plus_s_minus_one_over_s(size, kernel, stride):
    assert lecture_output_size(size, kernel, kernel - 1, stride) == (size + stride - 1) // stride


@given(st.integers(1, 12), KERNELS, STRIDES)
def test_L25_padding_of_k_minus_one_leaves_n_over_s_where_s_divides_n(quotient, kernel, stride):
    assert lecture_output_size(quotient * stride, kernel, kernel - 1, stride) == quotient
    pairs = lecture_padding(kernel, axes=1)
    assert output_sizes((quotient * stride,), kernel, pairs, stride) == (quotient,)


def test_L26_short_and_long_forms_are_equal():
    short = padding_pairs(1, (8, 8), 3, 2)
    long = padding_pairs((1, 1), (8, 8), (3, 3), (2, 2))
    assert short == long == padding_pairs(((1, 1), (1, 1)), (8, 8), 3, 2)
    assert output_sizes((8, 8), 3, short, 2) == output_sizes((8, 8), (3, 3), long, (2, 2))


def test_L26_padding_is_0_and_stride_1_unless_said():
    assert output_size(8, 3) == output_size(8, 3, padding=(0, 0), stride=1)
    assert lecture_output_size(8, 3) == lecture_output_size(8, 3, total_padding=0, stride=1)


def test_L26_padding_1_on_each_side_is_the_lecture_s_total_of_2():
    ((front, behind), _) = padding_pairs(1, (3, 3), 2)
    assert front + behind == 2
    assert output_size(3, 2, (front, behind)) == lecture_output_size(3, 2, total_padding=2) == 4
