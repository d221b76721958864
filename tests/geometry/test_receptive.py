"""Receptive fields against sets of indices, carried back through the layers one output at a time."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimmel.geometry import AxisField, ReceptiveField

OUTPUTS = range(-12, 30)
"""Indices at which a field is compared with its index sets: before 0 and far behind too."""


# A map is a function from an output's index to the set of input indices that it looks at, written from the
# operation's definition, beside the field that should say the same.


def window(kernel, stride, front, dilation):
    def looks_at(output):
        return {output * stride - front + dilation * tap for tap in range(kernel)}

    return looks_at, AxisField.window(kernel, stride, front, dilation)


def transposed(kernel, stride, front, dilation):
    def looks_at(output):
        return {
            source
            for source in range(-120, 200)
            for tap in range(kernel)
            if source * stride + dilation * tap - front == output
        }

    return looks_at, AxisField.transposed(kernel, stride, front, dilation)


def sliced(start, step):
    return (lambda output: {start + step * output}), AxisField.sliced(start, step)


def padded(front):
    return (lambda output: {output - front}), AxisField.shifted(-front)


def placed(start, step):
    def looks_at(output):
        return {(output - start) // step} if (output - start) % step == 0 else set()

    return looks_at, AxisField.placed(start, step)


def mirrored(size):
    return (lambda output: {size - 1 - output}), AxisField.mirrored(size)


def fixed(index):
    return (lambda output: {index}), AxisField.fixed(index)


KERNELS = st.integers(1, 4)
STRIDES = st.integers(1, 3)
SIDES = st.integers(-2, 3)
WHOLE_STRIDE_MAPS = st.one_of(
    st.builds(window, KERNELS, STRIDES, SIDES, STRIDES),
    st.builds(sliced, SIDES, st.sampled_from([-2, -1, 1, 2, 3])),
    st.builds(padded, SIDES),
    st.builds(mirrored, st.integers(1, 9)),
    st.builds(fixed, st.integers(0, 5)),
)
FRACTIONAL_MAPS = st.one_of(
    st.builds(transposed, KERNELS, STRIDES, SIDES, STRIDES),
    st.builds(placed, SIDES, STRIDES),
)
ANY_MAPS = st.one_of(WHOLE_STRIDE_MAPS, FRACTIONAL_MAPS)


def propagate(maps, output):
    """Indices of the first map's input that `output` of the last map looks at."""
    indices = {output}
    for looks_at, _ in reversed(maps):
        indices = set().union(*(looks_at(index) for index in indices))
    return indices


def composed(maps):
    field = AxisField.pointwise()
    for _, inner in reversed(maps):
        field = field.compose(inner)
    return field


def ends(indices):
    return min(indices), max(indices)


def leaves_no_gaps(looks_at):
    """Whether an output, and two neighbouring ones together, look at inputs without leaving any out."""
    return all(max(seen) - min(seen) + 1 == len(seen) for seen in (looks_at(0), looks_at(0) | looks_at(1)))


def holds(interval, indices):
    first, last = interval
    return all(first <= index <= last for index in indices)


@given(WHOLE_STRIDE_MAPS)
def test_one_map_with_a_whole_stride_is_exact(a_map):
    looks_at, field = a_map
    for output in OUTPUTS:
        assert field.interval(output) == ends(looks_at(output))


@given(KERNELS, STRIDES, SIDES)
def test_an_undilated_transposed_convolution_is_exact_and_says_where_it_looks_at_nothing(kernel, stride, front):
    looks_at, field = transposed(kernel, stride, front, 1)
    for output in OUTPUTS:
        first, last = field.interval(output)
        assert set(range(first, last + 1)) == looks_at(output)


@given(SIDES, STRIDES)
def test_placing_is_exact(start, step):
    looks_at, field = placed(start, step)
    for output in OUTPUTS:
        first, last = field.interval(output)
        assert set(range(first, last + 1)) == looks_at(output)


@given(KERNELS, STRIDES, SIDES, STRIDES)
def test_a_dilated_transposed_convolution_is_bounded(kernel, stride, front, dilation):
    looks_at, field = transposed(kernel, stride, front, dilation)
    for output in OUTPUTS:
        assert holds(field.interval(output), looks_at(output))


@given(st.lists(WHOLE_STRIDE_MAPS, min_size=1, max_size=4))
def test_composing_whole_strides_is_exact(maps):
    field = composed(maps)
    for output in OUTPUTS:
        assert field.interval(output) == ends(propagate(maps, output))
    first, last = ends(propagate(maps, 0))
    assert (field.start, field.size) == (first, last - first + 1)


@given(st.lists(ANY_MAPS, min_size=1, max_size=3))
def test_composing_any_strides_is_a_bound(maps):
    field = composed(maps)
    for output in range(8):
        assert holds(field.interval(output), propagate(maps, output))


@given(st.lists(WHOLE_STRIDE_MAPS, max_size=2), st.integers(0, 3), STRIDES, SIDES)
def test_composing_whole_strides_on_a_transposed_convolution_without_gaps_is_exact(later, more, stride, front):
    maps = [transposed(stride + more, stride, front, 1), *later]
    field = composed(maps)
    for output in range(8):
        assert field.interval(output) == ends(propagate(maps, output))


@given(
    st.builds(window, KERNELS, STRIDES, SIDES, STRIDES),
    st.builds(transposed, KERNELS, STRIDES, SIDES, st.just(1)),
)
def test_composing_a_fractional_stride_on_a_whole_one_adds_less_than_that_stride_at_each_end(inner, outer):
    field = composed([inner, outer])
    for output in range(8):
        found = propagate([inner, outer], output)
        if found:
            first, last = field.interval(output)
            assert min(found) - first < inner[1].stride
            assert last - max(found) < inner[1].stride


def test_a_slice_of_nothing_but_gaps_looks_at_nothing():
    field = AxisField.sliced(0, 3).compose(AxisField.placed(1, 3))
    assert field == AxisField.nothing()
    assert (field.size, field.start, str(field)) == (0, None, "nothing")
    assert len(field.clip(4, 10)) == len(field.clip_all(range(9), 10)) == 0


def test_nothing_stays_nothing_and_adds_nothing():
    nothing, layer = AxisField.nothing(), AxisField.window(3, 2, 1)
    for other in (layer, AxisField.whole(), AxisField.fixed(3), nothing):
        assert nothing.compose(other) == other.compose(nothing) == nothing
        assert nothing.unite(other) == other.unite(nothing) == other


@given(ANY_MAPS, ANY_MAPS, ANY_MAPS)
def test_composing_does_not_depend_on_brackets_where_strides_are_whole(one, two, three):
    fields = [field for _, field in (one, two, three)]
    if all(field.stride.denominator == 1 for field in fields):
        a, b, c = fields
        assert a.compose(b).compose(c) == a.compose(b.compose(c))


@given(ANY_MAPS)
def test_pointwise_changes_nothing(a_map):
    _, field = a_map
    assert field.compose(AxisField.pointwise()) == field == AxisField.pointwise().compose(field)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(-9, 9), st.integers(0, 30))
def test_size_is_the_largest_number_of_inputs_of_any_output(numerator, denominator, low, width):
    grain = 12
    field = AxisField(Fraction(numerator, denominator), Fraction(low, grain), Fraction(low + width, grain))
    counts = [
        sum(
            grain * numerator * output + low * denominator
            <= grain * denominator * index
            <= grain * numerator * output + (low + width) * denominator
            for index in range(-20, 60)
        )
        for output in range(denominator)
    ]
    assert field.size == max(counts)


@given(st.lists(ANY_MAPS, min_size=1, max_size=2), st.integers(1, 20), st.integers(0, 6), st.integers(1, 6))
def test_clipping_all_of_a_run_of_outputs_spans_what_they_look_at(maps, size, first, count):
    field = composed(maps)
    outputs = range(first, first + count)
    clipped = [set(field.clip(output, size)) for output in outputs]
    for output, part in zip(outputs, clipped, strict=True):
        low, high = field.interval(output)
        assert part == set(range(low, high + 1)) & set(range(size))
    everything = set().union(*clipped)
    found = field.clip_all(outputs, size)
    assert (found.start, found.stop - 1) == ends(everything) if everything else len(found) == 0


@given(
    st.lists(st.builds(window, KERNELS, STRIDES, st.integers(0, 3), STRIDES), min_size=1, max_size=4),
    st.integers(5, 30),
    st.data(),
)
def test_going_back_layer_by_layer_never_counts_outputs_that_do_not_exist(maps, size, data):
    sizes = [size]
    for _, field in maps:
        # Not by the kernel: some windows reach beyond the end, some inputs at the end stay unseen.
        sizes.append(max(1, (sizes[-1] - 1) // int(field.stride)))
    output = data.draw(st.integers(0, sizes[-1] - 1), label="output")
    indices, part = {output}, range(output, output + 1)
    for (looks_at, field), inputs in zip(reversed(maps), reversed(sizes[:-1]), strict=True):
        indices = set().union(*(looks_at(index) for index in indices)) & set(range(inputs))
        part = field.clip_all(part, inputs)
        assert indices <= set(part)
    if all(leaves_no_gaps(looks_at) for looks_at, _ in maps) and indices:
        assert (part.start, part.stop - 1) == ends(indices)


def test_clipping_counts_padding_out():
    field = AxisField.window(5, 2, 2)
    assert list(field.clip(0, 6)) == [0, 1, 2]
    assert list(field.clip(2, 6)) == [2, 3, 4, 5]
    assert len(field.clip(40, 6)) == 0
    assert list(AxisField.whole().clip(3, 4)) == [0, 1, 2, 3]
    assert list(AxisField(1, None, 0).clip(1, 4)) == [0, 1]


def test_an_unbounded_end_stays_unbounded():
    whole, layer = AxisField.whole(), AxisField.window(3, 2)
    assert whole.compose(layer) == layer.compose(whole) == whole
    assert (whole.size, whole.start, whole.interval(7)) == (None, None, (None, None))
    causal = AxisField(1, None, 0)
    assert causal.compose(AxisField.mirrored(10)).interval(2) == (7, None)
    assert whole.compose(AxisField.fixed(0)) == AxisField.fixed(0)


@given(st.lists(ANY_MAPS, min_size=2, max_size=2), st.integers(1, 9))
def test_uniting_holds_both_branches(branches, outputs):
    (one_looks_at, one), (other_looks_at, other) = branches
    united = one.unite(other, outputs)
    assert united == other.unite(one, outputs)
    for output in range(outputs):
        assert holds(united.interval(output), one_looks_at(output) | other_looks_at(output))


@given(KERNELS, KERNELS, STRIDES, SIDES, SIDES)
def test_uniting_equal_strides_is_exact(kernel, other_kernel, stride, front, other_front):
    one_looks_at, one = window(kernel, stride, front, 1)
    other_looks_at, other = window(other_kernel, stride, other_front, 1)
    for output in OUTPUTS:
        assert one.unite(other).interval(output) == ends(one_looks_at(output) | other_looks_at(output))


def test_uniting_different_strides_needs_to_know_how_far_they_drift():
    one, other = AxisField.window(3, 1, 1), AxisField.window(3, 2, 1)
    with pytest.raises(ValueError, match="strides 1 and 2, so their fields drift apart"):
        one.unite(other)
    assert one.unite(other, outputs=1) == AxisField.window(3, 2, 1)
    assert one.unite(other, outputs=4) == AxisField(2, -4, 1)
    assert one.unite(AxisField.whole()) == AxisField.whole()


def test_equal_fields_are_equal_values():
    assert AxisField(1, Fraction(1, 2), Fraction(5, 2)) == AxisField(1, 1, 2)
    assert AxisField(3, None, None) == AxisField.whole()
    assert AxisField(1, 3, 2) == AxisField(Fraction(1, 2), Fraction(1, 8), Fraction(3, 8)) == AxisField.nothing()
    assert hash(AxisField.transposed(2, 2)) == hash(AxisField(Fraction(1, 2), Fraction(-1, 2), 0))


def test_a_window_of_no_size_or_stride_is_refused():
    with pytest.raises(ValueError, match="kernel must be at least 1"):
        AxisField.window(0)
    with pytest.raises(ValueError, match="stride must be at least 1"):
        AxisField.transposed(3, stride=0)


def test_repeating_elements_is_a_transposed_convolution_of_kernel_and_stride_alike():
    field = AxisField.transposed(3, 3)
    assert [field.interval(output) for output in range(6)] == [(0, 0)] * 3 + [(1, 1)] * 3


def test_several_axes_are_the_axes_one_by_one():
    field = ReceptiveField.window((3, 5), (2, 1), ((1, 0), (2, 2)), (1, 2))
    assert field.axes == (AxisField.window(3, 2, 1), AxisField.window(5, 1, 2, 2))
    assert (field.size, field.stride, field.start, field.area) == ((3, 9), (2, 1), (-1, -2), 27)
    assert field.at((2, 0)) == ((3, 5), (-2, 6))
    assert field.clipped((2, 0), (5, 4)) == (slice(3, 5), slice(0, 4))
    assert field.compose(ReceptiveField.pointwise(2)) == field
    assert field.unite(ReceptiveField.whole(2)) == ReceptiveField.whole(2)
    up = ReceptiveField.transposed((2, 2), 2, ((1, 1), (0, 0)))
    assert up.axes == (AxisField.transposed(2, 2, 1), AxisField.transposed(2, 2))
    assert up.stride == (Fraction(1, 2), Fraction(1, 2))
    assert field.unite(up, outputs=(1, 1)).area == 3 * 9


def test_a_clipped_field_indexes_an_array():
    picture = np.arange(20).reshape(4, 5)
    field = ReceptiveField.window((3, 3), padding=((1, 1), (1, 1)))
    assert picture[field.clipped((0, 4), picture.shape)].tolist() == [[3, 4], [8, 9]]


def test_an_unbounded_axis_has_no_area():
    field = ReceptiveField((AxisField.window(3), AxisField.whole()))
    assert field.area is None
    assert field.size == (3, None)
    assert field.at((1, 1)) == ((1, 3), (None, None))
    assert field.clipped((1, 1), (9, 4)) == (slice(1, 4), slice(0, 4))


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (ReceptiveField.window((32, 32), 4, ((14, 14), (14, 14))), "32x32, stride 4, from (-14, -14)"),
        (ReceptiveField.window((3, 5), (1, 2)), "3x5, stride 1x2, from (0, 0)"),
        (ReceptiveField.transposed((4, 4), 2), "2x2, stride 1/2, from (-1, -1)"),
        (ReceptiveField.window((5,), 2, ((3, 0),)), "5, stride 2, from -3"),
        (ReceptiveField((AxisField.window(3), AxisField.whole())), "3xall, stride 1x0, from (0, -inf)"),
        (ReceptiveField.whole(2), "everything"),
        (ReceptiveField.whole(1), "everything"),
        (ReceptiveField((AxisField.pointwise(), AxisField.nothing())), "nothing"),
        (ReceptiveField(()), "one element"),
    ],
)
def test_a_field_reads_as_words(field, text):
    assert str(field) == text


def test_a_field_shows_as_a_table():
    html = ReceptiveField((AxisField.window(5, 2, 3), AxisField.whole()))._repr_html_()
    assert html.count("<tr>") == 3
    assert "<td>0</td><td>5</td><td>2</td><td>-3</td>" in html
    assert "<td>1</td><td>all</td><td>0</td><td></td>" in html


def test_numbers_of_axes_must_agree():
    two, one = ReceptiveField.pointwise(2), ReceptiveField.pointwise(1)
    for combine in (two.compose, two.unite):
        with pytest.raises(ValueError, match="as many axes; got 2 and 1"):
            combine(one)
    with pytest.raises(ValueError, match="index must have one whole number for each of the 2 axes"):
        two.at((1,))
    with pytest.raises(ValueError, match="shape must have one whole number for each of the 2 axes"):
        two.clipped((1, 1), (4.0, 4))
