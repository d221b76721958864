"""MNIST and CIFAR-10 themselves, from the folder that WIMMEL_DATA names (with mnist/ and cifar10/ in it)."""

import gzip
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wimmel.data import Preprocessing, read


def collection(name):
    given = os.environ.get("WIMMEL_DATA")
    if not given:
        pytest.skip("set WIMMEL_DATA to a folder that holds mnist/ and cifar10/ to run this test")
    path = Path(given) / name
    if not path.exists():
        pytest.skip(f"WIMMEL_DATA names a folder without {name}/")
    return path


@pytest.fixture(scope="module")
def mnist():
    return read(collection("mnist"))


def test_mnist_has_its_published_counts(mnist):
    assert mnist.train.images.shape == (60_000, 1, 28, 28)
    assert mnist.test.images.shape == (10_000, 1, 28, 28)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert mnist.train.class_counts.tolist() == counts
    assert mnist.test.class_counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnists_pictures_and_labels_stand_in_the_order_of_the_files(mnist):
    """The last numbers of a decompressed file are those of its last picture: 784 pixels, one label."""
    for part, file in ((mnist.train, "train"), (mnist.test, "t10k")):
        for kind, last, size in (
            ("images-idx3", part.images[-1], 784),
            ("labels-idx1", part.labels[-1:].astype(np.uint8), 1),
        ):
            path = sorted(collection("mnist").glob(f"{file}-{kind}-ubyte*"))[0]
            stored = path.read_bytes()
            contents = gzip.decompress(stored) if path.suffix == ".gz" else stored
            assert contents[-size:] == last.tobytes()


def test_mnist_has_its_well_known_mean_and_deviation(mnist):
    fitted = Preprocessing.fit(mnist.train)
    assert (round(fitted.mean[0], 4), round(fitted.std[0], 4)) == (0.1307, 0.3081)


def test_a_sample_of_mnist_has_every_digit_in_proportion(mnist):
    sample = mnist.train.take(1000, seed=0)
    assert np.abs(sample.class_counts - mnist.train.class_counts / 60).max() < 1


def test_a_part_of_cifar10_is_what_pillow_reads(tmp_path):
    """A few pictures of every class, copied out of both archives into two of the same kind."""
    folder = collection("cifar10")
    expected = []
    for part, count in (("train", 12), ("test", 3)):
        with zipfile.ZipFile(folder / f"{part}.zip") as whole, zipfile.ZipFile(tmp_path / f"{part}.zip", "w") as some:
            names = [name for name in sorted(whole.namelist()) if int(Path(name).stem) < count]
            for name in names:
                some.writestr(name, whole.read(name))
                expected.append(np.asarray(Image.open(io.BytesIO(whole.read(name)))).transpose(2, 0, 1))
    train, test = read(tmp_path)
    assert train.classes == (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    assert train.images.shape == (120, 3, 32, 32)
    assert test.images.shape == (30, 3, 32, 32)
    assert train.class_counts.tolist() == [12] * 10
    np.testing.assert_array_equal(np.concatenate([train.images, test.images]), np.stack(expected))


@pytest.mark.slow
def test_cifar10_has_its_published_counts():
    train, test = read(collection("cifar10"), progress=False)
    assert train.class_counts.tolist() == [5000] * 10
    assert test.class_counts.tolist() == [1000] * 10
    assert train.skipped == test.skipped == ()
