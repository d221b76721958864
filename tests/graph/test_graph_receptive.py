"""Receptive fields of graphs against what really changes: every input element is raised, and the outputs compared."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wimmel.geometry import AxisField
from wimmel.graph import array, evaluate, gradients, primitives, receptive_field, trace
from wimmel.graph.tensor import as_tensor, input_tensor

RANDOM = np.random.default_rng(18)


def positive(*shape):
    return as_tensor(RANDOM.uniform(0.5, 1.5, shape))


def pairs(padding):
    return ((padding, padding),) * 2 if isinstance(padding, int) else padding


def convolved(x, kernel, stride=1, padding=0, dilation=1, groups=1, channels=None):
    """A 2-D convolution with positive weights; as many channels as came in, if not told."""
    weight = positive(channels or x.shape[1], x.shape[1] // groups, kernel, kernel)
    return primitives.convolution(
        x, weight, stride=(stride,) * 2, padding=pairs(padding), dilation=(dilation,) * 2, groups=groups
    )


def transposed(x, kernel, stride=1, padding=0, dilation=1, groups=1, extra=0):
    front, behind = zip(*pairs(padding), strict=True)
    reach = dilation * (kernel - 1) + 1
    size = tuple((n - 1) * stride + reach - f - b + extra for n, f, b in zip(x.shape[2:], front, behind, strict=True))
    return primitives.convolution_input_gradient(
        x,
        positive(x.shape[1], x.shape[1] // groups, kernel, kernel),
        size=size,
        stride=(stride,) * 2,
        padding=pairs(padding),
        dilation=(dilation,) * 2,
        groups=groups,
    )


def pooled(x, kernel, stride, padding=0, dilation=1, primitive=primitives.max_pool, more=0):
    outputs = tuple(
        (n + f + b - dilation * (kernel - 1) - 1) // stride + 1 + more
        for n, (f, b) in zip(x.shape[2:], pairs(padding), strict=True)
    )
    return primitive(
        x,
        kernel=(kernel,) * 2,
        stride=(stride,) * 2,
        padding=pairs(padding),
        dilation=(dilation,) * 2,
        outputs=outputs,
    )


def dense(x, features):
    return array.matmul(array.reshape(x, (x.shape[0], -1)), positive(x.size // x.shape[0], features))


def influences(network, shape):
    """For every output element of one picture, and every input element: whether raising the one changes the other.

    Each picture of the batch is one with another element raised, beyond everything that a maximum could prefer.
    """
    count = int(np.prod(shape))
    pictures = np.repeat(RANDOM.uniform(1, 2, (1, *shape)), count + 1, axis=0)
    pictures.reshape(count + 1, -1)[np.arange(1, count + 1), np.arange(count)] += 1e5
    graph = trace(network, pictures).graph
    (out,) = evaluate(graph, [pictures])
    # what a matrix product rounds depends on where in the batch a picture stands; what matters changes by far more
    with np.errstate(invalid="ignore"):
        same = (out[1:] == out[0]) | (abs(out[1:] - out[0]) <= 1e-6)
    changed = np.moveaxis(~same, 0, -1).reshape(*out.shape[1:], *shape)
    return graph.outputs[0], graph.inputs[0], changed


def hull(mask):
    if not mask.any():
        return None
    return tuple(slice(int(places.min()), int(places.max()) + 1) for places in np.nonzero(mask))


def boxes(network, shape):
    """For some output elements of the first picture, corners among them: the box claimed, without its picture axis, and
    the true hull."""
    of, wrt, changed = influences(network, shape)
    indices = list(np.ndindex(of.shape[1:]))
    chosen = {0, len(indices) - 1, *RANDOM.integers(0, len(indices), 25).tolist()}
    for index in (indices[place] for place in chosen):
        box = receptive_field(of, wrt, (0, *index))
        if box is not None:
            assert box[0] == slice(0, 1)
        yield box and box[1:], hull(changed[index])


def contains(box, other):
    return other is None or all(a.start <= b.start and b.stop <= a.stop for a, b in zip(box, other, strict=True))


CHAINS = {
    "two 2x2": lambda x: convolved(convolved(x, 2), 2),
    "padded twice": lambda x: convolved(convolved(x, 3, padding=1), 3, padding=1),
    "padded wider than the kernel": lambda x: convolved(convolved(x, 2, padding=3), 3, 2, padding=2),
    "strided": lambda x: convolved(convolved(x, 3, 2, ((1, 0), (0, 2))), 2, 2, 1),
    "dilated": lambda x: convolved(convolved(x, 2, 1, 3, dilation=3), 3, 2, 2, dilation=2),
    "dilated beyond the picture": lambda x: convolved(convolved(x, 3, 1, 6, dilation=6), 3, 1, 1),
    "grouped": lambda x: convolved(convolved(x, 3, groups=4), 2, groups=2, channels=6),
    "depthwise, more channels": lambda x: convolved(x, 3, padding=1, groups=4, channels=8),
    "pooled": lambda x: pooled(convolved(x, 3, padding=1), 2, 2),
    "pooled beyond the picture": lambda x: pooled(convolved(pooled(x, 4, 3, more=1), 2, padding=1), 2, 2, 1),
    "sums": lambda x: pooled(pooled(x, 2, 1, 1, 2, primitives.sum_pool), 3, 2, 1, primitive=primitives.sum_pool),
    "transposed": lambda x: transposed(convolved(x, 3), 3, 2, 1, extra=1),
    "transposed, gaps": lambda x: convolved(transposed(x, 1, 3, extra=2), 2, 1),
    "transposed, dilated, grouped": lambda x: transposed(transposed(x, 2, 2, 0, 3, groups=2), 2, 1, 2, groups=4),
    "sliced": lambda x: convolved(x, 3, padding=1)[:, 1:3, 1:, 1::2],
    "flipped": lambda x: convolved(array.flip(convolved(x, 2, padding=1), (2, 3)), 2, 2),
    "padded apart": lambda x: convolved(
        primitives.pad(x, low=(0, 1, 2, 0), high=(0, 0, 0, 1), interior=(0, 0, 1, 2), value=1), 2, channels=4
    ),
    "reflected": lambda x: convolved(array.pad(x, ((0, 0), (0, 0), (2, 1), (1, 2)), mode="reflect")[:, :, :1], 1),
    "axes exchanged": lambda x: convolved(array.swapaxes(convolved(x, 3, 1, ((0, 1), (2, 0))), 2, 3), 2, 2),
    "reduced": lambda x: array.mean(convolved(x, 3, padding=1), (1, 2), keepdims=True),
    "largest": lambda x: array.max(convolved(x, 2)[:, 1:], 3),
    "a sequence of one row": lambda x: convolved(array.reshape(x[:, :, 2], (x.shape[0], 4, 1, 6)), 2, padding=1),
    "flattened": lambda x: array.reshape(convolved(x, 3, padding=1), (x.shape[0], -1)),
    "classified": lambda x: dense(array.maximum(convolved(x[:, :, :3], 2), 0), 2),
    "each pixel classified": lambda x: array.matmul(array.moveaxis(convolved(x, 2), 1, -1), positive(4, 3)),
    "taken": lambda x: array.take(convolved(x, 2), np.array([[2, 0], [1, -1]]), 3),
    "softmax": lambda x: array.exp(x) / array.sum(array.exp(x), 1, keepdims=True),
    "pixels shuffled": lambda x: array.reshape(
        array.transpose(array.reshape(x, (x.shape[0], 1, 2, 2, 5, 6)), (0, 1, 4, 2, 5, 3)), (x.shape[0], 1, 10, 12)
    ),
    "draws and lookups see nothing more": lambda x: x * array.take(positive(6), np.array([1, 2, 3, 4, 5, 0])),
}


@pytest.mark.parametrize("network", CHAINS.values(), ids=CHAINS.keys())
def test_the_box_is_what_really_matters(network):
    for box, truth in boxes(network, (4, 5, 6)):
        assert box == truth


BRANCHES = {
    "residual": lambda x: convolved(convolved(x, 3, padding=1), 3, padding=1) + x,
    "residual, strided": lambda x: convolved(x, 3, 2, 1) + convolved(x, 1, 2),
    "inception": lambda x: convolved(
        array.concatenate([convolved(x, 1), convolved(x, 5, padding=2), pooled(x, 3, 1, 1), x], 1), 1, channels=2
    ),
    "parts apart": lambda x: array.concatenate([x[:, :, :2], x[:, :, -1:]], 2),
    "squeezed": lambda x: x * array.mean(x, (2, 3), keepdims=True),
    "two ways of scaling": lambda x: array.sum(x, 2, keepdims=True) * convolved(x, 2, padding=((1, 0), (0, 1))),
}


@pytest.mark.parametrize("network", BRANCHES.values(), ids=BRANCHES.keys())
def test_branches_of_ordinary_networks_are_exact_too(network):
    for box, truth in boxes(network, (4, 5, 6)):
        assert box == truth


LOOSE = {
    "gradient of a maximum": lambda x: gradients(array.sum(pooled(convolved(x, 2), 2, 1) ** 2), [x])[0],
    "with its transpose": lambda x: convolved(x + array.swapaxes(x, 2, 3), 2, padding=1),
    "part of a merged axis": lambda x: array.reshape(x, (x.shape[0], 4, 25))[:, :, 3:9],
    "cut anew": lambda x: array.reshape(array.reshape(x, (x.shape[0], 10, 10))[:, 2:5], (x.shape[0], 5, 6)),
}


@pytest.mark.parametrize("network", LOOSE.values(), ids=LOOSE.keys())
def test_elsewhere_the_box_holds_what_matters(network):
    for box, truth in boxes(network, (4, 5, 5)):
        assert box is not None
        assert contains(box, truth)


@st.composite
def layers(draw, x):
    kind = draw(st.sampled_from(["convolution", "transposed", "max", "sum", "slice", "flip", "pad", "exchange"]))
    smallest = min(x.shape[2:])
    kernel, stride, padding = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(0, 3))
    dilation = draw(st.integers(1, 2))
    reach = dilation * (kernel - 1) + 1
    reaches = reach <= smallest + 2 * padding
    if kind == "convolution" and reaches:
        return convolved(x, kernel, stride, padding, dilation, draw(st.sampled_from([1, 2])))
    if kind in ("max", "sum") and reaches and padding <= kernel // 2:
        primitive = primitives.max_pool if kind == "max" else primitives.sum_pool
        return pooled(x, kernel, stride, padding, dilation, primitive)
    if kind == "transposed" and max(x.shape[2:]) < 9 and (smallest - 1) * stride + reach > 2 * padding:
        return transposed(x, kernel, stride, padding, dilation, draw(st.sampled_from([1, 2])))
    if kind == "slice":
        start, step = draw(st.integers(0, smallest - 1)), draw(st.integers(1, 2))
        return x[:, :, start::step]
    if kind == "flip":
        return array.flip(x, draw(st.sampled_from([1, 2, 3])))
    if kind == "pad" and max(x.shape[2:]) < 9:
        low, high, interior = (draw(st.integers(0, 2)) for _ in range(3))
        return primitives.pad(x, low=(0, 0, low, 0), high=(0, 0, 0, high), interior=(0, 0, 0, interior), value=0)
    return array.swapaxes(x, 2, 3)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_chains_are_exact(data):
    depth = data.draw(st.integers(1, 4))

    def network(x):
        for _ in range(depth):
            x = data.draw(layers(x))
        return x

    for box, truth in boxes(network, (2, 4, 5)):
        assert box == truth


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_rule_for_all_elements_holds_the_box_of_each(data):
    x = input_tensor("x", (1, 2, 7, 6), np.float64)
    z = data.draw(layers(x))
    for _ in range(data.draw(st.integers(0, 3))):
        z = data.draw(layers(z))
    if data.draw(st.booleans()):
        z = array.concatenate([z, z * 2], 1)
    field = receptive_field(z, x)
    for index in RANDOM.integers(0, z.shape, (20, 4)):
        box = receptive_field(z, x, index)
        assert box == field.clipped(index)
        if box is not None:
            assert all(
                (low is None or low <= part.start) and (high is None or part.stop <= high + 1)
                for part, (low, high) in zip(box, field.whole(index), strict=True)
            )


def test_without_padding_the_rule_is_the_box():
    x = input_tensor("x", (1, 2, 20, 17), np.float64)
    z = convolved(pooled(convolved(x, 3, 2), 2, 2), 2)
    field = receptive_field(z, x)
    for index in np.ndindex(z.shape):
        assert receptive_field(z, x, index)[2:] == tuple(slice(a, b + 1) for a, b in field.whole(index)[2:])


# What the lecture says


def test_l18_two_stacked_2x2_kernels_see_four_and_nine_elements():
    x = input_tensor("x", (1, 1, 3, 3), np.float64)
    y = convolved(x, 2)
    z = convolved(y, 2)
    assert receptive_field(z, y).spatial.area == 4
    assert receptive_field(z, x).spatial.area == 9
    assert x.shape[2:] == tuple(part.stop - part.start for part in receptive_field(z, x, (0, 0, 0, 0))[2:])


def lenet(x):
    x = array.maximum(convolved(x, 5, padding=2, channels=6), 0)
    first = pooled(x, 2, 2)
    second = pooled(array.maximum(convolved(first, 5, channels=16), 0), 2, 2)
    return first, second, dense(array.maximum(dense(second, 120), 0), 10)


def test_l18_lenet_with_respect_to_any_layer():
    x = input_tensor("x", (1, 1, 28, 28), np.float32)
    first, second, scores = lenet(x)
    assert str(receptive_field(first, x)) == "6x6, stride 2, from (-2, -2)"
    assert str(receptive_field(second, x)) == "16x16, stride 4, from (-2, -2)"
    assert str(receptive_field(second, first)) == "6x6, stride 2, from (0, 0)"
    assert str(receptive_field(scores, first)) == str(receptive_field(scores, x)) == "everything"
    assert receptive_field(second, x, (0, 3, 0, 4)) == (slice(0, 1), slice(0, 1), slice(0, 14), slice(14, 28))
    assert receptive_field(scores, x, (0, 7)) == (slice(0, 1), slice(0, 1), slice(0, 28), slice(0, 28))


def test_l18_a_field_may_be_larger_than_its_input():
    x = input_tensor("x", (1, 1, 4, 4), np.float32)
    z = x
    for _ in range(4):
        z = convolved(z, 3, padding=1)
    assert receptive_field(z, x).size == (9, 9)
    assert receptive_field(z, x, (0, 0, 1, 1))[2:] == (slice(0, 4), slice(0, 4))
    _, _, scores = lenet(input_tensor("x", (1, 1, 28, 28), np.float32))
    assert receptive_field(scores, trace_input(scores)).size == (32, 32)


def trace_input(tensor):
    while tensor.inputs:
        tensor = tensor.inputs[0]
    return tensor


def test_l19_every_3x3_layer_widens_the_field_by_two():
    z = x = input_tensor("x", (1, 1, 32, 32), np.float32)
    sizes = []
    for _ in range(6):
        z = convolved(z, 3, padding=1)
        sizes.append(receptive_field(z, x).size)
    assert sizes == [(n, n) for n in (3, 5, 7, 9, 11, 13)]


# What is told besides


def test_all_axes_are_there_and_spatial_ones_are_printed():
    x = input_tensor("x", (8, 3, 16, 16), np.float32)
    field = receptive_field(convolved(x, 5, 2, 2, channels=6), x)
    assert str(field) == "5x5, stride 2, from (-2, -2)"
    assert (field.size, field.stride, field.start) == ((5, 5), (2, 2), (-2, -2))
    assert field.spatial_axes == (2, 3)
    assert field.moved_by == (0, None, 2, 3)
    assert field.axes[0] == AxisField.pointwise()
    assert field.axes[1].interval(5) == (0, 2)
    assert field.whole((7, 0, 1, -1)) == ((7, 7), (0, 2), (0, 4), (12, 16))
    assert field.clipped((7, 0, 1, -1)) == (slice(7, 8), slice(0, 3), slice(0, 5), slice(12, 16))
    assert "5x5, stride 2" in field._repr_html_()


def test_spatial_axes_are_those_that_windows_slide_along():
    picture = input_tensor("x", (6, 7), np.float64)
    seen = receptive_field(convolved(array.reshape(picture, (1, 1, 6, 7)), 3), picture)
    assert str(seen) == "3x3, stride 1, from (0, 0)"
    channels_last = input_tensor("x", (1, 6, 7, 3), np.float64)
    seen = receptive_field(convolved(array.moveaxis(channels_last, 3, 1), 3), channels_last)
    assert (seen.spatial_axes, seen.moved_by) == ((1, 2), (0, 2, 3, None))
    sequence = input_tensor("x", (2, 9), np.float64)
    weight = positive(4, 2, 3)
    settings = {"stride": (1,), "padding": ((1, 1),), "dilation": (2,), "groups": 1}
    seen = receptive_field(primitives.convolution(array.reshape(sequence, (1, 2, 9)), weight, **settings), sequence)
    assert str(seen) == "5, stride 1, from -1"
    assert seen.spatial_axes == (1,)


def test_elementwise_networks_see_one_element():
    x = input_tensor("x", (2, 3, 4, 4), np.float64)
    assert str(receptive_field(array.exp(x) * 2, x)) == "1x1, stride 1, from (0, 0)"
    assert str(receptive_field(x, x)) == "1x1, stride 1, from (0, 0)"
    assert receptive_field(x, x, (1, 0, -1, 2)) == (slice(1, 2), slice(0, 1), slice(3, 4), slice(2, 3))


def test_a_weight_is_seen_filter_by_filter():
    x, weight = input_tensor("x", (1, 2, 6, 6), np.float64), input_tensor("w", (4, 2, 3, 3), np.float64)
    y = primitives.convolution(x, weight, stride=(1, 1), padding=pairs(0), dilation=(1, 1), groups=1)
    assert receptive_field(y, weight, (0, 3, 1, 1)) == (slice(3, 4), slice(0, 2), slice(0, 3), slice(0, 3))


def test_axes_that_move_together_are_bounded_over_all_outputs():
    x = input_tensor("x", (5, 5), np.float64)
    field = receptive_field(x + array.transpose(x), x)
    assert field.moved_by == (None, None)
    assert field.whole((1, 3)) == ((0, 4), (0, 4))
    assert field.clipped((1, 3)) == (slice(1, 4), slice(1, 4))


def test_a_window_over_padding_alone_sees_nothing():
    x = input_tensor("x", (1, 1, 4, 4), np.float64)
    z = convolved(x, 2, padding=2)
    assert receptive_field(z, x, (0, 0, 0, 3)) is None
    assert receptive_field(z, x, (0, 0, 1, 3)) is not None


def test_what_is_not_made_from_it_sees_nothing():
    x, y = input_tensor("x", (4,), np.float64), input_tensor("y", (4,), np.float64)
    assert receptive_field(x * 2, y) is None
    assert receptive_field(x * 2, y, (1,)) is None
    assert receptive_field(x, x * 2) is None


@pytest.mark.parametrize("index", [(0,), (0, 4), (0, -5), (0, 1.5), (0, True), ()])
def test_an_index_must_be_one_of_an_element(index):
    x = input_tensor("x", (2, 4), np.float64)
    with pytest.raises(ValueError, match=r"no element of shape \(2, 4\)"):
        receptive_field(x * 2, x, index)
    with pytest.raises(ValueError, match=r"no element of shape \(2, 4\)"):
        receptive_field(x * 2, x).whole(index)


def test_numpy_whole_numbers_are_indices():
    x = input_tensor("x", (2, 4), np.float64)
    assert receptive_field(x * 2, x, np.array([1, 2])) == (slice(1, 2), slice(2, 3))
