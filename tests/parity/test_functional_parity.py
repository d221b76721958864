"""Every function that PyTorch has too, against it: the same values and the same gradients, in both precisions."""

import numpy as np
import pytest

from wimmel import functional
from wimmel.runtime import grad

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])
REDUCTIONS = ["mean", "sum", "none"]


def assert_close(ours, theirs, dtype, tolerance=None):
    """The largest difference over the largest value is within the tolerance, by default the precision's."""
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    if theirs.size:
        largest = max(abs(theirs).max(), np.finfo(dtype).tiny)
        assert abs(ours - theirs).max() <= (tolerance or TOLERANCE[dtype]) * largest


def assert_parity(ours, theirs, *arrays, dtype, tolerance=None):
    """Values, and gradients by every floating-point argument under a random cotangent, agree."""
    arrays = [np.asarray(a, dtype) if np.asarray(a).dtype.kind == "f" else np.asarray(a) for a in arrays]
    by = tuple(place for place, a in enumerate(arrays) if a.dtype.kind == "f")
    tensors = [torch.from_numpy(np.array(a)).requires_grad_(place in by) for place, a in enumerate(arrays)]
    expected = theirs(*tensors)
    found = np.asarray(ours(*arrays))
    assert_close(found, expected, dtype, tolerance)
    cotangent = np.asarray(np.random.default_rng(99).normal(size=found.shape), dtype)
    expected.backward(torch.from_numpy(cotangent))
    slopes = grad(lambda *t: functional.sum(functional.multiply(ours(*t), cotangent)), by)(*arrays)
    for place, slope in zip(by, slopes, strict=True):
        assert_close(slope, tensors[place].grad, dtype, tolerance)


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def both_of(name):
    return getattr(functional, name), getattr(torch.nn.functional, name)


@BOTH
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": 2, "padding": 1},
        {"dilation": 2, "groups": 2},
        {"padding": "same", "dilation": 2},
        {"padding": "valid"},
    ],
)
def test_convolution(axes, settings, dtype):
    ours, theirs = both_of(f"conv{axes}d")
    c = 4 // settings.get("groups", 1)
    arrays = normal(2, 4, *(9, 8, 7)[:axes]), normal(6, c, *(4, 3, 2)[:axes]), normal(6)
    assert_parity(lambda *t: ours(*t, **settings), lambda *t: theirs(*t, **settings), *arrays, dtype=dtype)


@BOTH
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"dilation": 2, "groups": 2},
        {"stride": 1, "dilation": 2, "output_padding": 1, "padding": 1},
    ],
)
def test_transposed_convolution(axes, settings, dtype):
    ours, theirs = both_of(f"conv_transpose{axes}d")
    groups = settings.get("groups", 1)
    arrays = normal(2, 4, *(5, 4, 3)[:axes]), normal(4, 6 // groups, *(3, 2, 3)[:axes]), normal(6)
    assert_parity(lambda *t: ours(*t, **settings), lambda *t: theirs(*t, **settings), *arrays, dtype=dtype)


@BOTH
def test_positional_arguments_stand_in_the_same_order(dtype):
    x, w, b = normal(1, 4, 9, 9), normal(4, 2, 3, 3), normal(4)
    ours, theirs = both_of("conv2d")
    assert_parity(lambda *t: ours(*t, 2, 1, 2, 2), lambda *t: theirs(*t, 2, 1, 2, 2), x, w, b, dtype=dtype)
    ours, theirs = both_of("conv_transpose2d")
    b = normal(4, seed=1)
    assert_parity(lambda *t: ours(*t, 3, 1, 2, 2, 2), lambda *t: theirs(*t, 3, 1, 2, 2, 2), x, w, b, dtype=dtype)
    ours, theirs = both_of("max_pool2d")
    assert_parity(lambda t: ours(t, 3, 2, 1, 2, True), lambda t: theirs(t, 3, 2, 1, 2, True), x, dtype=dtype)
    ours, theirs = both_of("avg_pool2d")
    settings = (3, 2, 1, True, False, 5)
    assert_parity(lambda t: ours(t, *settings), lambda t: theirs(t, *settings), x, dtype=dtype)


@BOTH
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_one_example_without_a_batch_axis(axes, dtype):
    x, w = normal(2, *(6,) * axes), normal(3, 2, *(2,) * axes)
    assert_parity(*both_of(f"conv{axes}d"), x, w, dtype=dtype)
    assert_parity(*both_of(f"conv_transpose{axes}d"), x, w[:2], dtype=dtype)
    for pool in (f"max_pool{axes}d", f"avg_pool{axes}d"):
        ours, theirs = both_of(pool)
        assert_parity(lambda t, ours=ours: ours(t, 2), lambda t, theirs=theirs: theirs(t, 2), x, dtype=dtype)


@BOTH
def test_linear(dtype):
    assert_parity(*both_of("linear"), normal(3, 5, 4), normal(2, 4), normal(2), dtype=dtype)


@BOTH
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("settings", [{}, {"stride": 1}, {"stride": 2, "padding": 1}, {"stride": 3}])
def test_pooling(axes, ceil_mode, settings, dtype):
    x = normal(2, 3, *(8, 7, 6)[:axes])
    settings = {"kernel_size": 3, "ceil_mode": ceil_mode, **settings}
    calls = [(f"max_pool{axes}d", settings), (f"avg_pool{axes}d", settings)]
    calls.append((f"avg_pool{axes}d", {**settings, "count_include_pad": False}))
    if not ceil_mode:
        calls.append((f"max_pool{axes}d", {**settings, "dilation": 2}))
    for name, given in calls:
        ours, theirs = both_of(name)
        assert_parity(lambda t, f=ours, s=given: f(t, **s), lambda t, f=theirs, s=given: f(t, **s), x, dtype=dtype)


@BOTH
@pytest.mark.parametrize("output_size", [1, 3, (4, 2), (7, 9), (None, 5)])
def test_adaptive_pooling(output_size, dtype):
    x = normal(2, 3, 8, 6)
    for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        ours, theirs = both_of(name)
        assert_parity(lambda t, f=ours: f(t, output_size), lambda t, f=theirs: f(t, output_size), x, dtype=dtype)
    if isinstance(output_size, int):
        for name in ("adaptive_avg_pool1d", "adaptive_max_pool1d"):
            ours, theirs = both_of(name)
            assert_parity(lambda t, f=ours: f(t, output_size), lambda t, f=theirs: f(t, output_size), x[0], dtype=dtype)


def test_ties_and_nan_in_maximum_pooling():
    tied = np.random.default_rng(0).integers(0, 2, (2, 2, 7, 7)).astype(np.float64)
    tied[0, 0, 3, 3] = np.nan
    cotangent = normal(2, 2, 7, 7)
    slope = grad(lambda t: functional.sum(functional.max_pool2d(t, 3, 1, 1) * cotangent))(tied)
    x = torch.from_numpy(tied).requires_grad_()
    expected = torch.nn.functional.max_pool2d(x, 3, 1, 1)
    np.testing.assert_array_equal(functional.max_pool2d(tied, 3, 1, 1), expected.detach().numpy())
    expected.backward(torch.from_numpy(cotangent))
    np.testing.assert_allclose(slope, x.grad.numpy(), rtol=1e-12, atol=1e-14)


@BOTH
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("relu", {}),
        ("leaky_relu", {"negative_slope": 0.2}),
        ("elu", {"alpha": 0.7}),
        ("selu", {}),
        ("gelu", {}),
        ("gelu", {"approximate": "tanh"}),
        ("silu", {}),
        ("mish", {}),
        ("sigmoid", {}),
        ("tanh", {}),
        ("hardswish", {}),
        ("hardsigmoid", {}),
        ("softplus", {}),
        ("softplus", {"beta": 2.0, "threshold": 5.0}),
    ],
)
def test_activations(name, settings, dtype):
    theirs = getattr(torch, name) if name in ("sigmoid", "tanh") else getattr(torch.nn.functional, name)
    ours = getattr(functional, name)
    x = np.concatenate([4 * normal(200), [0.0, -30.0, 30.0]])
    # PyTorch's hardsigmoid multiplies gradients by a sixth rounded to single precision, also in double
    loose = 1e-7 if name == "hardsigmoid" and dtype == np.float64 else None
    assert_parity(lambda t: ours(t, **settings), lambda t: theirs(t, **settings), x, dtype=dtype, tolerance=loose)


@BOTH
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(axis, dtype):
    for name in ("softmax", "log_softmax"):
        ours, theirs = both_of(name)
        assert_parity(lambda t, f=ours: f(t, axis), lambda t, f=theirs: f(t, axis), 5 * normal(3, 4, 5), dtype=dtype)


@BOTH
@pytest.mark.parametrize("sizes", [(), (5,), (4, 3)])
@pytest.mark.parametrize("training", [False, True])
def test_batch_norm(sizes, training, dtype):
    x, weight, bias, mean = normal(6, 3, *sizes), normal(3), normal(3, seed=1), normal(3, seed=2).astype(dtype)
    variance = np.random.default_rng(3).uniform(0.5, 2, 3).astype(dtype)
    statistics = torch.from_numpy(mean.copy()), torch.from_numpy(variance.copy())

    def ours(x, weight, bias):
        result = functional.batch_norm(x, mean, variance, weight, bias, training, 0.3, 1e-3)
        return result[0] if training else result

    def theirs(x, weight, bias):
        return torch.nn.functional.batch_norm(x, *statistics, weight, bias, training, 0.3, 1e-3)

    assert_parity(ours, theirs, x, weight, bias, dtype=dtype)
    if training:
        found = functional.batch_norm(x.astype(dtype), mean, variance, None, None, True, 0.3)
        for moved, expected in zip(found[1:], statistics, strict=True):
            assert_close(moved, expected, dtype)


@BOTH
def test_layer_and_group_norm(dtype):
    x, pair = normal(3, 4, 5), (normal(4, 5), normal(4, 5, seed=1))
    ours, theirs = both_of("layer_norm")
    assert_parity(
        lambda x, *s: ours(x, (4, 5), *s, 1e-3), lambda x, *s: theirs(x, (4, 5), *s, 1e-3), x, *pair, dtype=dtype
    )
    ours, theirs = both_of("group_norm")
    pair = normal(4), normal(4, seed=1)
    assert_parity(lambda x, *s: ours(x, 2, *s, 1e-3), lambda x, *s: theirs(x, 2, *s, 1e-3), x, *pair, dtype=dtype)


@BOTH
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("sizes", [(), (2, 3)])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_classes(reduction, sizes, smoothing, dtype):
    x, weight = normal(5, 4, *sizes), np.random.default_rng(0).uniform(0.5, 2, 4).astype(dtype)
    target = np.random.default_rng(1).integers(0, 4, (5, *sizes))
    target.flat[::4] = 1
    settings = {"ignore_index": 1, "reduction": reduction, "label_smoothing": smoothing}
    ours, theirs = both_of("cross_entropy")
    for weights in ((), (weight,)):
        assert_parity(
            lambda x, t, weights=weights: ours(x, t, *weights, **settings),
            lambda x, t, weights=weights: theirs(x, t, *map(torch.from_numpy, weights), **settings),
            x,
            target,
            dtype=dtype,
        )
    del settings["label_smoothing"]
    ours, theirs = both_of("nll_loss")
    assert_parity(
        lambda x, t: ours(x, t, weight, **settings),
        lambda x, t: theirs(x, t, torch.from_numpy(weight), **settings),
        x,
        target,
        dtype=dtype,
    )


@BOTH
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_probabilities(reduction, smoothing, dtype):
    target = np.random.default_rng(1).dirichlet(np.ones(4), (5, 3)).transpose(0, 2, 1)
    weight = np.random.default_rng(0).uniform(0.5, 2, 4).astype(dtype)
    settings = {"reduction": reduction, "label_smoothing": smoothing}
    ours, theirs = both_of("cross_entropy")
    assert_parity(
        lambda x, t: ours(x, t, weight, **settings),
        lambda x, t: theirs(x, t, torch.from_numpy(weight), **settings),
        normal(5, 4, 3),
        target,
        dtype=dtype,
    )


@BOTH
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mse_loss", {}),
        ("l1_loss", {}),
        ("smooth_l1_loss", {"beta": 0.7}),
        ("huber_loss", {"delta": 0.7}),
        ("binary_cross_entropy_with_logits", {}),
    ],
)
def test_losses(name, settings, reduction, dtype):
    ours, theirs = both_of(name)
    settings = {**settings, "reduction": reduction}
    x, target = 2 * normal(6, 5), np.random.default_rng(1).uniform(size=(6, 5))
    assert_parity(lambda *t: ours(*t, **settings), lambda *t: theirs(*t, **settings), x, target, dtype=dtype)


@BOTH
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weighted_binary_cross_entropy(reduction, dtype):
    weight, positive = (np.random.default_rng(i).uniform(0.5, 3, 5).astype(dtype) for i in range(2))
    x, target = 20 * normal(6, 5), np.random.default_rng(1).uniform(size=(6, 5))
    ours, theirs = both_of("binary_cross_entropy_with_logits")
    assert_parity(
        lambda x, t: ours(x, t, weight, reduction=reduction, pos_weight=positive),
        lambda x, t: theirs(x, t, torch.from_numpy(weight), reduction=reduction, pos_weight=torch.from_numpy(positive)),
        x,
        target,
        dtype=dtype,
    )


@BOTH
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_padding(mode, dtype):
    assert_parity(
        lambda t: functional.pad(t, ((0, 0), (0, 0), (2, 1), (1, 3)), mode),
        lambda t: torch.nn.functional.pad(t, (1, 3, 2, 1), mode),
        normal(1, 2, 4, 5),
        dtype=dtype,
    )
