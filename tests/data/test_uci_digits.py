"""The digits in the package are the collection's own, with its licence beside them."""

from importlib.resources import files

import numpy as np
from sklearn.datasets import load_digits

from wimmel.data import digits


def test_they_are_the_digits_that_scikit_learn_has():
    dataset, theirs = digits(), load_digits()
    assert dataset.images.shape == (1797, 1, 8, 8)
    assert dataset.classes == tuple("0123456789")
    np.testing.assert_array_equal(dataset.labels, theirs.target)
    np.testing.assert_array_equal(np.rint(dataset.images[:, 0] / 255 * 16), theirs.images)


def test_they_use_the_whole_range_of_brightness():
    images = digits().images
    assert len(np.unique(images)) == 17
    assert (images.min(), images.max()) == (0, 255)


def test_authors_source_and_licence_are_named():
    text = files("wimmel.data").joinpath("DIGITS_LICENCE.md").read_text(encoding="utf-8")
    for needed in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", "changed"):
        assert needed in text
