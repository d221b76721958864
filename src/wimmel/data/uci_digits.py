"""The hand-written digits that come with the package: real pictures to train on, without a download."""

from __future__ import annotations

import numpy as np

from wimmel.data.datasets import Dataset

_SIDE = 8
_DARKEST = 16


def digits() -> Dataset:
    """1,797 hand-written digits of 8 x 8 pixels, as a data set of 10 classes.

    White on black: the file's 0 (paper) to 16 (ink) become 0 to 255. No split is prescribed; `Dataset.split`
    makes one.

    Returns
    -------
    Dataset
        images uint8 (1797, 1, 8, 8), labels int64 (1797,), classes "0" to "9".

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
    1998, https://doi.org/10.24432/C50P49, CC BY 4.0. The file DIGITS_LICENCE.md beside the data says more.

    Examples
    --------
    >>> digits()
    Dataset('digits', 1,797 images of 1x8x8, 10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    """
    import gzip
    from importlib.resources import files

    text = gzip.decompress(files("wimmel.data").joinpath("digits.csv.gz").read_bytes()).decode("ascii")
    table = np.array([line.split(",") for line in text.splitlines()], dtype=np.int64)
    ink, labels = table[:, :-1], table[:, -1]
    images = np.rint(ink * (255 / _DARKEST)).astype(np.uint8).reshape(-1, 1, _SIDE, _SIDE)
    return Dataset(images, labels, tuple("0123456789"), name="digits")
