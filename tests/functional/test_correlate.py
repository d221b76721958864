"""correlate and convolve: any number of axes, exact whole numbers, every boundary, against SciPy and plain sums."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from oracles import assert_gradients_match, recorded
from wimmel import functional
from wimmel.functional import convolve, correlate

SCIPY_MODES = {"zero": "constant", "reflect": "mirror", "replicate": "nearest", "circular": "wrap"}
"""scipy.ndimage calls by "mirror" what NumPy and PyTorch call reflection."""


@st.composite
def arrays_to_correlate(draw):
    rank = draw(st.integers(1, 4))
    batch = draw(st.integers(0, 4 - rank))
    kernel = draw(st.tuples(*[st.integers(1, 3)] * rank))
    sizes = tuple(k + draw(st.integers(0, 2)) for k in kernel)
    shape = (*draw(st.tuples(*[st.integers(1, 2)] * batch)), *sizes)
    seed = draw(st.integers(0, 2**32 - 1))
    return shape, kernel, np.random.default_rng(seed)


@given(arrays_to_correlate(), st.sampled_from(["valid", "full"]), st.booleans())
def test_it_is_scipys_correlation_of_every_slice(case, padding, whole):
    shape, kernel, rng = case
    x, k = (rng.integers(-9, 10, s) if whole else rng.normal(size=s) for s in (shape, kernel))
    y = correlate(x, k, padding=padding)
    batch = shape[: len(shape) - len(kernel)]
    for index in np.ndindex(*batch):
        expected = scipy.signal.correlate(x[index], k, padding, method="direct")
        np.testing.assert_allclose(y[index], expected, rtol=1e-12, atol=1e-12)
    if whole:
        assert y.dtype == np.int64
    np.testing.assert_allclose(recorded(lambda *t: correlate(*t, padding=padding), x, k), y, rtol=1e-12, atol=1e-12)


@given(arrays_to_correlate())
def test_L07_convolution_is_correlation_with_the_flipped_kernel(case):
    shape, kernel, rng = case
    x, k = rng.normal(size=shape), rng.normal(size=kernel)
    for padding in ("valid", "same", "same_lower", "full", 1):
        np.testing.assert_array_equal(convolve(x, k, padding=padding), correlate(x, np.flip(k), padding=padding))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_L06_one_dimensional_convolution_over_all_of_Z(n, k, seed):
    """(f * g)(i) = sum over a of f(a) g(i - a), f and g being 0 outside what is given."""
    rng = np.random.default_rng(seed)
    f, g = rng.integers(-99, 100, n), rng.integers(-99, 100, k)
    expected = [sum(int(f[a]) * int(g[i - a]) for a in range(n) if 0 <= i - a < k) for i in range(n + k - 1)]
    np.testing.assert_array_equal(convolve(f, g, padding="full"), expected)
    np.testing.assert_array_equal(np.convolve(f, g), expected)


@given(st.tuples(*[st.integers(1, 4)] * 4), st.integers(0, 2**32 - 1))
def test_L06_two_dimensional_convolution_equation_2(sizes, seed):
    rng = np.random.default_rng(seed)
    f, g = rng.normal(size=sizes[:2]), rng.normal(size=sizes[2:])
    y = convolve(f, g, padding="full")
    np.testing.assert_allclose(y, scipy.signal.convolve2d(f, g), rtol=1e-12, atol=1e-12)
    for i, j in np.ndindex(*y.shape):
        pairs = product(range(f.shape[0]), range(f.shape[1]))
        inside = [(a, b) for a, b in pairs if 0 <= i - a < g.shape[0] and 0 <= j - b < g.shape[1]]
        assert y[i, j] == pytest.approx(sum(f[a, b] * g[i - a, j - b] for a, b in inside), abs=1e-12)


@pytest.mark.parametrize("size", [3, 4])
def test_same_lower_is_the_same_of_numpy_and_scipy(size):
    rng = np.random.default_rng(size)
    x, k = rng.normal(size=9), rng.normal(size=size)
    np.testing.assert_allclose(convolve(x, k, padding="same_lower"), np.convolve(x, k, "same"), rtol=1e-12, atol=1e-12)
    x, k = rng.normal(size=(6, 7)), rng.normal(size=(size, size))
    expected = scipy.signal.convolve(x, k, "same", method="direct")
    np.testing.assert_allclose(convolve(x, k, padding="same_lower"), expected, rtol=1e-12, atol=1e-12)


def test_of_even_kernels_same_differs_from_same_lower_by_one_place():
    x = np.array([0, 0, 1, 0, 0])
    np.testing.assert_array_equal(correlate(x, [1, 2], padding="same"), [0, 2, 1, 0, 0])
    np.testing.assert_array_equal(correlate(x, [1, 2], padding="same_lower"), [0, 0, 2, 1, 0])


@pytest.mark.parametrize("boundary", ["zero", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("shape", [(7,), (5, 6), (4, 3, 5)])
def test_boundaries_are_those_of_scipy(boundary, shape):
    rng = np.random.default_rng(0)
    x, k = rng.normal(size=shape), rng.normal(size=(3,) * len(shape))
    expected = scipy.ndimage.correlate(x, k, mode=SCIPY_MODES[boundary])
    np.testing.assert_allclose(correlate(x, k, padding="same", boundary=boundary), expected, rtol=1e-12, atol=1e-12)


def test_a_circular_boundary_makes_it_the_product_of_spectra():
    rng = np.random.default_rng(1)
    x, k = rng.normal(size=8), rng.normal(size=5)
    spectrum = np.fft.fft(x) * np.fft.fft(k, 8)
    y = convolve(x, k, padding=((4, 0),), boundary="circular")
    np.testing.assert_allclose(y, np.fft.ifft(spectrum).real, rtol=1e-12, atol=1e-12)


@given(arrays_to_correlate(), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2))
def test_strides_and_dilations_pick_from_the_dense_result(case, stride, dilation, padding):
    shape, kernel, rng = case
    x = rng.integers(-9, 10, [*shape[: len(shape) - len(kernel)], *(n * dilation + 1 for n in shape[-len(kernel) :])])
    k = rng.integers(-9, 10, kernel)
    wide = np.zeros([dilation * (n - 1) + 1 for n in kernel], k.dtype)
    wide[(slice(None, None, dilation),) * len(kernel)] = k
    dense = correlate(x, wide, padding=padding)
    y = correlate(x, k, stride=stride, padding=padding, dilation=dilation)
    np.testing.assert_array_equal(y, dense[(..., *(slice(None, None, stride),) * len(kernel))])


@given(arrays_to_correlate(), st.data())
def test_the_kernel_may_lie_along_any_axes(case, data):
    shape, kernel, rng = case
    x, k = rng.integers(-9, 10, shape), rng.integers(-9, 10, kernel)
    expected = correlate(x, k, padding=1)
    order = data.draw(st.permutations(range(len(shape))))
    along = [order.index(axis) for axis in range(len(shape) - len(kernel), len(shape))]
    y = correlate(np.transpose(x, order), k, padding=1, axes=along)
    np.testing.assert_array_equal(y, np.transpose(expected, order))
    signs = [axis - len(shape) if data.draw(st.booleans()) else axis for axis in along]
    np.testing.assert_array_equal(correlate(np.transpose(x, order), k, padding=1, axes=signs), y)


@pytest.mark.parametrize(
    ("of_x", "of_kernel", "result"),
    [
        ("bool", "bool", "int64"),
        ("uint8", "uint8", "int64"),
        ("int8", "uint32", "int64"),
        ("uint64", "uint8", "uint64"),
        ("uint64", "bool", "uint64"),
        ("uint8", "float32", "float32"),
        ("int64", "float32", "float64"),
        ("uint64", "float64", "float64"),
        ("float32", "float32", "float32"),
        ("float32", "float64", "float64"),
    ],
)
def test_dtypes(of_x, of_kernel, result):
    x, k = np.ones(4, of_x), np.ones(2, of_kernel)
    for y in (correlate(x, k), recorded(correlate, x, k)):
        assert y.dtype == result
        np.testing.assert_array_equal(y, [2, 2, 2])


def test_whole_numbers_stay_exact_where_floats_would_round():
    x, k = np.array([2**53 + 1, 3, -(2**40)]), np.array([1, 2**20])
    np.testing.assert_array_equal(correlate(x, k), [2**53 + 1 + 3 * 2**20, 3 - 2**60])
    np.testing.assert_array_equal(
        correlate(np.array([2**64 - 1, 0], np.uint64), np.array([1, 1], np.uint64)), [2**64 - 1]
    )
    np.testing.assert_array_equal(correlate(np.full(300, 255, np.uint8), np.full(300, 255, np.uint8)), [300 * 255**2])


def test_uint64_and_signed_numbers_are_refused_with_advice():
    with pytest.raises(TypeError, match=r"correlate was given uint64 and int64.*astype\(np\.int64\)"):
        correlate(np.ones(4, np.uint64), np.ones(2, np.int64))


def test_gradients():
    rng = np.random.default_rng(2)
    settings = {"stride": 2, "padding": 2, "dilation": 2, "axes": (2, 0), "boundary": "reflect"}
    assert_gradients_match(lambda *t: correlate(*t, **settings), rng.normal(size=(4, 2, 3)), rng.normal(size=(2, 3)))
    assert_gradients_match(lambda *t: convolve(*t, padding="full"), rng.normal(size=(3, 4)), rng.normal(size=(2, 2)))


def test_lists_and_views_are_taken_as_arrays():
    np.testing.assert_array_equal(correlate([1, 2, 3], [1, 1]), [3, 5])
    x = np.arange(24).reshape(4, 6)
    expected = correlate(np.ascontiguousarray(x[::-1, ::2]), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(correlate(x[::-1, ::2], [[1, 2], [3, 4]]), expected)
    np.testing.assert_array_equal(correlate(np.asfortranarray(x)[::-1, ::2].astype(">i8"), [[1, 2], [3, 4]]), expected)


@pytest.mark.parametrize(
    ("x", "kernel", "settings", "words"),
    [
        ((3, 3), (4, 4), {}, r"\(3, 3\).*\(4, 4\).*larger"),
        ((3,), (2, 2), {}, r"\(3,\).*\(2, 2\).*no more axes than x"),
        ((3, 3), (), {}, "needs an axis"),
        ((3, 3), (2, 0), {}, "no axis empty"),
        ((3, 3), (2, 2), {"stride": 0}, "stride must be at least 1"),
        ((3, 3), (2, 2), {"axes": 0}, "2 different axes"),
        ((3, 3), (2, 2), {"axes": (0, 0)}, "2 different axes"),
        ((3, 3), (2, 2), {"axes": (0, 5)}, "between -2 and 1"),
        ((3, 3), (2, 2), {"boundary": "mirror"}, "'mirror'.*zero, reflect, replicate, circular"),
        ((3, 3), (2, 2), {"padding": (1, 2, 3)}, "3 entries for 2 axes"),
    ],
)
def test_what_does_not_fit_is_refused(x, kernel, settings, words):
    with pytest.raises(ValueError, match="(?s)" + words):
        correlate(np.zeros(x), np.zeros(kernel), **settings)


def test_a_batch_of_nothing_gives_nothing():
    assert correlate(np.zeros((0, 5)), np.zeros(2)).shape == (0, 4)
    assert correlate(np.zeros((0, 5)), np.zeros(2), padding=1, boundary="circular").shape == (0, 6)


def test_five_axes_are_as_good_as_two():
    rng = np.random.default_rng(3)
    x, k = rng.integers(-5, 6, (3, 2, 3, 2, 3)), rng.integers(-5, 6, (2, 1, 2, 2, 2))
    np.testing.assert_array_equal(correlate(x, k), scipy.signal.correlate(x, k, "valid", method="direct"))


def test_the_lectures_example_in_fractions():
    """Whole-number results agree with exact rational arithmetic for any scale."""
    x, k = np.arange(9).reshape(3, 3) * 10**6, np.arange(4).reshape(2, 2) * 10**6
    exact = [
        [sum(Fraction(int(x[i + a, j + b])) * int(k[a, b]) for a in (0, 1) for b in (0, 1)) for j in (0, 1)]
        for i in (0, 1)
    ]
    np.testing.assert_array_equal(functional.correlate(x, k), exact)
