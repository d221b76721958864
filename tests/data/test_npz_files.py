"""Data sets in .npz files, under the names and in the layouts that are in use."""

import io
import zipfile

import numpy as np
import pytest

from wimmel.data import read

GRAY = np.arange(6 * 4 * 5, dtype=np.uint8).reshape(6, 4, 5)
COLOUR = np.arange(6 * 4 * 5 * 3, dtype=np.uint64).reshape(6, 4, 5, 3).astype(np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize(
    ("images", "labels"),
    [("x", "y"), ("X", "y"), ("images", "labels"), ("data", "target"), ("image", "label"), ("data", "targets")],
)
def test_the_usual_names(tmp_path, images, labels):
    np.savez(tmp_path / "shapes.npz", **{images: GRAY, labels: LABELS, "remark": np.array(3)})
    train, test = read(tmp_path / "shapes.npz")
    assert test is None
    assert train.name == "shapes"
    np.testing.assert_array_equal(train.images[:, 0], GRAY)
    np.testing.assert_array_equal(train.labels, LABELS)
    assert train.classes == ("0", "1", "2")


@pytest.mark.parametrize("pattern", ["{0}_{1}", "{1}_{0}"])
def test_parts_as_keras_and_others_name_them(tmp_path, pattern):
    arrays = {
        pattern.format("x", "train"): GRAY[:4],
        pattern.format("y", "train"): LABELS[:4],
        pattern.format("x", "test"): GRAY[4:],
        pattern.format("y", "test"): LABELS[4:],
    }
    np.savez_compressed(tmp_path / "mnist.npz", **arrays)
    train, test = read(tmp_path / "mnist.npz")
    np.testing.assert_array_equal(train.images[:, 0], GRAY[:4])
    np.testing.assert_array_equal(test.images[:, 0], GRAY[4:])
    assert test.labels.tolist() == [1, 2]
    assert train.classes == test.classes == ("0", "1", "2")


def test_validation_joins_training_where_there_is_a_test_and_stands_for_it_otherwise(tmp_path):
    parts = {"train_images": GRAY[:3], "train_labels": LABELS[:3], "val_images": GRAY[3:5], "val_labels": LABELS[3:5]}
    np.savez(tmp_path / "two.npz", **parts)
    np.savez(tmp_path / "three.npz", **parts, test_images=GRAY[5:], test_labels=LABELS[5:, None])
    train, test = read(tmp_path / "two.npz")
    assert (len(train), len(test)) == (3, 2)
    train, test = read(tmp_path / "three.npz")
    assert (len(train), len(test)) == (5, 1)
    assert test.labels.tolist() == [2]


def test_two_files_are_two_parts(tmp_path):
    np.savez(tmp_path / "train.npz", x=GRAY, y=LABELS)
    np.savez(tmp_path / "test.npz", x_test=GRAY[:2], y_test=LABELS[:2])
    train, test = read(tmp_path)
    assert (len(train), len(test)) == (6, 2)


def test_a_folder_around_a_single_file_stands_for_it(tmp_path):
    np.savez(tmp_path / "all.npz", x=GRAY, y=LABELS)
    assert len(read(tmp_path).train) == 6


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR.transpose(0, 3, 1, 2)),
        (GRAY[..., None], GRAY[:, None]),
        (GRAY[:, None], GRAY[:, None]),
        (np.asfortranarray(GRAY), GRAY[:, None]),
    ],
)
def test_layouts(tmp_path, images, expected):
    np.savez(tmp_path / "a.npz", x=images, y=LABELS)
    np.testing.assert_array_equal(read(tmp_path / "a.npz").train.images, expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 0.5, 1.0]), [0, 128, 255]),
        (np.array([0, 0.25, 1], np.float16), [0, 64, 255]),
        (np.array([0, 99.6, 255], np.float32), [0, 100, 255]),
        (np.array([0, 7, 255], ">i8"), [0, 7, 255]),
        (np.array([False, True, True]), [0, 255, 255]),
        (np.array([0, 257, 65535], np.uint16), [0, 1, 255]),
        (np.array([0, 1, 1], np.int32), [0, 1, 1]),
    ],
)
def test_numbers_of_any_kind_become_bytes(tmp_path, values, expected):
    np.savez(tmp_path / "a.npz", x=values.reshape(3, 1, 1), y=[0, 1, 0])
    assert read(tmp_path / "a.npz").train.images.ravel().tolist() == expected


@pytest.mark.parametrize(
    ("labels", "classes", "places"),
    [
        (np.array([3, 7, 3]), ("3", "7"), [0, 1, 0]),
        (np.array([-1, 1, 1], np.int8), ("-1", "1"), [0, 1, 1]),
        (np.array(["dog", "cat", "cat"]), ("cat", "dog"), [1, 0, 0]),
        (np.array([b"dog", b"cat", b"cat"]), ("cat", "dog"), [1, 0, 0]),
        (np.array([[1.0], [0.0], [1.0]]), ("0", "1"), [1, 0, 1]),
    ],
)
def test_labels_of_any_kind_become_places(tmp_path, labels, classes, places):
    np.savez(tmp_path / "a.npz", x=GRAY[:3], y=labels)
    train = read(tmp_path / "a.npz").train
    assert train.classes == classes
    assert train.labels.tolist() == places


def test_names_of_classes_in_the_file_are_used(tmp_path):
    np.savez(tmp_path / "a.npz", x=GRAY, y=LABELS, class_names=np.array(["ant", "bee", "cat", "dog"]))
    train = read(tmp_path / "a.npz").train
    assert train.classes == ("ant", "bee", "cat", "dog")
    np.testing.assert_array_equal(train.labels, LABELS)


def test_a_size_can_be_asked_for(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.full((2, 6, 8), 9, np.uint8), y=[0, 1])
    train = read(tmp_path / "a.npz", size=3, channels=3).train
    assert train.shape == (3, 3, 3)
    assert (train.images == 9).all()


class Trap:
    """Unpickling it would raise the alarm."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code was run')",)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"a": GRAY, "b": LABELS}, r"x and y, .*holds: a, b"),
        ({"x": GRAY}, "holds: x"),
        ({"x_test": GRAY, "y_test": LABELS}, "nothing to train on"),
        ({"x": GRAY, "images": GRAY, "y": LABELS}, "unclear whether x or images"),
        ({"x": GRAY[0], "y": LABELS}, r"x in .* has the shape \(4, 5\)"),
        ({"x": np.zeros((2, 5, 6, 7)), "y": [0, 1]}, "no axis of it"),
        ({"x": GRAY, "y": LABELS[:5]}, "6 pictures but 5 labels"),
        ({"x": GRAY, "y": np.eye(6)}, r"y in .* has the shape \(6, 6\)"),
        ({"x": GRAY, "y": LABELS + 0.5}, "labels are whole numbers or names"),
        ({"x": GRAY, "y": LABELS * 0}, "of one class, 0"),
        ({"x": GRAY * -1.0, "y": LABELS}, "pictures start at 0"),
        ({"x": GRAY * np.nan, "y": LABELS}, "pictures start at 0"),
        ({"x": GRAY * 3.0, "y": LABELS}, "pictures end at 255"),
        ({"x": GRAY + 1j, "y": LABELS}, "integers, floats or booleans"),
        ({"x": GRAY, "y": np.array([Trap()] * 6)}, "holds Python objects, which are not read"),
        ({"x_train": GRAY, "y_train": LABELS, "x_test": GRAY, "y_test": LABELS + 1}, "no class of .*: 3"),
        ({"x_train": GRAY, "y_train": LABELS, "x_test": GRAY, "y_test": LABELS.astype(str)}, "names in one part"),
    ],
)
def test_what_cannot_be_understood_gets_a_sentence(tmp_path, arrays, expected):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises((ValueError, TypeError), match=expected):
        read(tmp_path / "a.npz")


def test_a_truncated_file_is_refused_by_name(tmp_path):
    whole = io.BytesIO()
    np.savez(whole, x=GRAY, y=LABELS)
    for length in range(0, len(whole.getvalue()), 17):
        (tmp_path / "cut.npz").write_bytes(whole.getvalue()[:length])
        with pytest.raises(ValueError, match=r"cut\.npz"):
            read(tmp_path / "cut.npz")


def test_a_damaged_array_is_refused_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", x=GRAY, y=LABELS)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[data.index(GRAY.tobytes()[:50]) + 5] ^= 1  # the archive's checksum no longer fits
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ValueError, match=r"The array x in .*a\.npz cannot be read"):
        read(tmp_path / "a.npz")


def test_an_array_that_announces_more_than_any_memory_is_refused(tmp_path):
    start = io.BytesIO()
    np.lib.format.write_array_header_1_0(start, {"descr": "|u1", "fortran_order": False, "shape": (2**50, 28, 28)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("x.npy", start.getvalue())
        archive.writestr("y.npy", start.getvalue())
    with pytest.raises(ValueError, match=r"array x in .* cannot be read"):
        read(tmp_path / "bomb.npz")
