"""Normalisation against NumPy in float64, on arrays and on whatever has an array's operators."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wimmel.data import Dataset, Preprocessing

RANDOM = np.random.default_rng(3)
IMAGES = RANDOM.integers(0, 200, (5, 3, 4, 6), np.uint8)


def dataset(images):
    return Dataset(images, np.arange(len(images)) % 2, ("a", "b"))


def test_the_figures_are_those_of_all_pixels_of_a_channel():
    fitted = Preprocessing.fit(dataset(IMAGES))
    assert fitted.shape == (3, 4, 6)
    np.testing.assert_allclose(fitted.mean, (IMAGES / 255).mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(fitted.std, (IMAGES / 255).std(axis=(0, 2, 3)), rtol=1e-12)


def test_what_was_fitted_has_mean_0_and_deviation_1():
    normalised = Preprocessing.fit(dataset(IMAGES))(IMAGES)
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(normalised.std(axis=(0, 2, 3)), 1, atol=1e-6)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 3), st.just(2), st.integers(1, 4), st.integers(1, 4))))
def test_the_formula_holds_for_any_pixels(images):
    mean, std = np.array([0.3, 0.9]), np.array([0.01, 2.0])
    expected = (images / 255 - mean[:, None, None]) / std[:, None, None]
    normalised = Preprocessing((2, 4, 4), mean, std)(images)
    np.testing.assert_allclose(normalised, expected, rtol=1e-5, atol=1e-5)
    assert normalised.dtype == np.float32


def test_the_figures_do_not_depend_on_the_order_of_the_pictures():
    assert Preprocessing.fit(dataset(IMAGES)) == Preprocessing.fit(dataset(IMAGES[::-1]))


def test_many_pictures_are_counted_in_pieces():
    many = RANDOM.integers(0, 256, (9000, 1, 2, 2), np.uint8)
    np.testing.assert_allclose(Preprocessing.fit(dataset(many)).std, (many / 255).std(), rtol=1e-12)


def test_a_constant_channel_is_only_centred():
    fitted = Preprocessing.fit(dataset(np.full((2, 1, 3, 3), 51, np.uint8)))
    assert (fitted.mean, fitted.std) == ((0.2,), (1.0,))
    np.testing.assert_allclose(fitted(np.array([[[51, 255]]], np.uint8)), [[[0, 0.8]]], atol=1e-6)


def test_pictures_of_another_size_and_single_ones_are_taken():
    preprocessing = Preprocessing((1, 4, 4), (0.5,), (0.5,))
    assert preprocessing(np.zeros((2, 1, 9, 7), np.uint8)).shape == (2, 1, 9, 7)
    assert preprocessing(np.zeros((1, 9, 7), np.uint8)).shape == (1, 9, 7)


class Symbol:
    """Something that is no array, but records an array's operators, as a tensor does while a graph is traced."""

    def __init__(self, value, steps=()):
        self.value, self.steps, self.shape, self.dtype = value, steps, value.shape, value.dtype

    def __array__(self, *_):
        raise AssertionError("a symbol must not be turned into numbers")

    def step(self, name, other, result):
        assert type(other) is np.ndarray
        assert other.dtype == np.float32
        return Symbol(result, (*self.steps, name))

    def __sub__(self, other):
        return self.step("-", other, self.value - other)

    def __add__(self, other):
        return self.step("+", other, self.value + other)

    def __mul__(self, other):
        return self.step("*", other, self.value * other)

    def __truediv__(self, other):
        return self.step("/", other, self.value / other)

    def astype(self, dtype):
        return Symbol(self.value.astype(dtype), (*self.steps, "astype"))


def test_only_operators_and_astype_touch_the_pictures():
    preprocessing = Preprocessing.fit(dataset(IMAGES))
    symbol = preprocessing(Symbol(IMAGES))
    assert isinstance(symbol, Symbol)
    assert symbol.steps == ("astype", "-", "*")
    np.testing.assert_array_equal(symbol.value, preprocessing(IMAGES))


def test_it_goes_through_json_without_loss():
    fitted = Preprocessing.fit(dataset(IMAGES))
    assert Preprocessing.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted


@pytest.mark.parametrize(
    ("shape", "mean", "std", "error", "expected"),
    [
        ((1, 4), (0.0,), (1.0,), ValueError, "shape must be"),
        ((0, 4, 4), (), (), ValueError, "shape must be"),
        ("144", (0.0,), (1.0,), ValueError, "shape must be"),
        ((1, 4, 4.0), (0.0,), (1.0,), ValueError, "shape must be"),
        ((1, 4, 4), (0.0, 1.0), (1.0,), ValueError, "mean must hold 1 finite numbers"),
        ((1, 4, 4), (0.0,), (float("nan"),), ValueError, "std must hold 1 finite"),
        ((1, 4, 4), (0.0,), (0.0,), ValueError, "std must be above 0"),
        ((1, 4, 4), 0.5, (1.0,), TypeError, "one number per channel"),
        ((1, 4, 4), (None,), (1.0,), TypeError, "one number per channel"),
    ],
)
def test_figures_that_make_no_sense_are_refused(shape, mean, std, error, expected):
    with pytest.raises(error, match=expected):
        Preprocessing(shape, mean, std)
    with pytest.raises(error, match=expected):
        Preprocessing.from_json({"shape": shape, "mean": mean, "std": std})


@pytest.mark.parametrize("document", [{}, {"shape": [1, 2, 2], "mean": [0]}, [1], None])
def test_documents_that_lack_something_are_refused(document):
    with pytest.raises(ValueError, match='described by "shape", "mean" and "std"'):
        Preprocessing.from_json(document)


def test_pictures_that_do_not_fit_are_refused():
    preprocessing = Preprocessing((3, 4, 4), (0, 0, 0), (1, 1, 1))
    with pytest.raises(TypeError, match="uint8 pictures, 0 to 255; got float64"):
        preprocessing(IMAGES / 255)
    with pytest.raises(ValueError, match=r"3 channels .* got the shape \(5, 1, 4, 6\)"):
        preprocessing(IMAGES[:, :1])
    with pytest.raises(ValueError, match="without pictures"):
        Preprocessing.fit(dataset(IMAGES).subset([]))
