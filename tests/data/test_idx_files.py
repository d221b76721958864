"""IDX files, written byte by byte from their description, sound and damaged, and the data sets made of them."""

import gzip
import struct

import numpy as np
import pytest

from wimmel.data import read, read_idx

CODES = {0x08: "B", 0x09: "b", 0x0B: "h", 0x0C: "i", 0x0D: "f", 0x0E: "d"}
DTYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}


def idx(code, shape, values):
    header = struct.pack(">BBBB", 0, 0, code, len(shape)) + struct.pack(f">{len(shape)}I", *shape)
    return header + struct.pack(f">{len(values)}{CODES[code]}", *values)


def pictures(count, side=4, start=0):
    values = [(start + number) % 256 for number in range(count) for _ in range(side * side)]
    return idx(0x08, (count, side, side), values)


def labels(*values):
    return idx(0x08, (len(values),), values)


def write_mnist(folder, suffix="", pack=bytes):
    folder.mkdir(exist_ok=True)
    for name, data in {
        "train-images-idx3-ubyte": pictures(6),
        "train-labels-idx1-ubyte": labels(1, 0, 2, 1, 0, 2),
        "t10k-images-idx3-ubyte": pictures(2, start=100),
        "t10k-labels-idx1-ubyte": labels(2, 0),
    }.items():
        (folder / f"{name}{suffix}").write_bytes(pack(data))
    return folder


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 2, 3, 2), (0, 4)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_type_and_rank(tmp_path, code, shape, pack):
    count = int(np.prod(shape))
    values = [number - 3 if code != 0x08 else number + 250 for number in range(count)]
    values = [value % 256 for value in values] if code == 0x08 else values
    (tmp_path / "array").write_bytes(pack(idx(code, shape, values)))
    array = read_idx(tmp_path / "array")
    assert array.dtype == np.dtype(DTYPES[code])
    assert array.dtype.isnative
    assert array.shape == shape
    np.testing.assert_array_equal(array.ravel(), values)


def test_every_truncation_is_refused_by_name(tmp_path):
    whole = idx(0x0C, (2, 3), range(6))
    for length in range(len(whole)):
        (tmp_path / "cut-idx").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut-idx (is truncated|is not an IDX file)"):
            read_idx(tmp_path / "cut-idx")


def test_every_truncation_of_a_compressed_file_is_refused_by_name(tmp_path):
    whole = gzip.compress(idx(0x0C, (2, 30), range(60)))
    for length in range(len(whole)):
        (tmp_path / "cut-idx.gz").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut-idx\.gz (is truncated|is not an IDX file)"):
            read_idx(tmp_path / "cut-idx.gz")


def test_a_damaged_compressed_file_is_refused(tmp_path):
    data = bytearray(gzip.compress(idx(0x08, (200,), list(range(200)))))
    data[40] ^= 0xFF
    (tmp_path / "bad.gz").write_bytes(data)
    with pytest.raises(ValueError, match=r"bad\.gz"):
        read_idx(tmp_path / "bad.gz")


@pytest.mark.parametrize("start", [b"\x00\x01\x08\x01", b"\x00\x00\x0a\x01", b"PK\x03\x04", b"\x89PNG"])
def test_other_magic_numbers_are_refused(tmp_path, start):
    (tmp_path / "other").write_bytes(start + bytes(20))
    with pytest.raises(ValueError, match=r"other is not an IDX file: it begins with"):
        read_idx(tmp_path / "other")


def test_bytes_left_over_are_refused(tmp_path):
    (tmp_path / "long").write_bytes(labels(1, 2) + b"\0")
    with pytest.raises(ValueError, match="long has bytes left over"):
        read_idx(tmp_path / "long")


def test_a_header_that_announces_more_than_any_memory_is_just_truncated(tmp_path):
    (tmp_path / "huge").write_bytes(struct.pack(">BBBB3I", 0, 0, 0x0E, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1))
    with pytest.raises(ValueError, match="huge is truncated"):
        read_idx(tmp_path / "huge")


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "none")


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".gz", bytes)])
def test_mnists_own_files_make_two_parts(tmp_path, suffix, pack):
    train, test = read(write_mnist(tmp_path / "mnist", suffix, pack))
    assert (train.name, test.name) == ("mnist", "mnist test")
    assert train.shape == (1, 4, 4)
    assert train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert train.labels.tolist() == [1, 0, 2, 1, 0, 2]
    assert test.images[:, 0, 3, 3].tolist() == [100, 101]
    assert test.labels.tolist() == [2, 0]
    assert train.classes == test.classes == ("0", "1", "2")


def test_a_folder_around_the_files_does_not_matter(tmp_path):
    (tmp_path / "MNIST").mkdir()
    write_mnist(tmp_path / "MNIST" / "raw")
    assert len(read(tmp_path / "MNIST").train) == 6


def test_plain_files_beside_compressed_ones_are_one_pair(tmp_path):
    folder = write_mnist(tmp_path / "mnist", ".gz", lambda data: b"broken")
    write_mnist(folder)
    assert len(read(folder).train) == 6


def test_a_lone_pair_is_a_training_set(tmp_path):
    folder = write_mnist(tmp_path / "mnist")
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (folder / name).unlink()
    train, test = read(folder)
    assert (len(train), test) == (6, None)


@pytest.mark.parametrize("name", ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_one_file_of_a_pair_stands_for_both(tmp_path, name):
    train, test = read(write_mnist(tmp_path / "mnist") / name)
    assert (train.name, len(train), test) == ("t10k", 2, None)
    assert train.classes == ("0", "2")


def test_names_with_a_dot_are_understood(tmp_path):
    (tmp_path / "train-images.idx3-ubyte").write_bytes(pictures(2))
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(labels(0, 1))
    assert len(read(tmp_path).train) == 2


def test_sizes_and_channels_can_be_asked_for(tmp_path):
    train, test = read(write_mnist(tmp_path / "mnist"), size=(2, 8), channels=3)
    assert train.shape == test.shape == (3, 2, 8)
    assert train.images[5, 2, 1, 7] == 5


def test_different_counts_name_both_files(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(pictures(3))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels(0, 1))
    with pytest.raises(ValueError, match=r"train-images.*train-labels.* do not belong together: .*3 pictures"):
        read(tmp_path)


def test_a_missing_partner_is_named(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(pictures(3))
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte .* not beside it"):
        read(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").rename(tmp_path / "data")
    with pytest.raises(ValueError, match="data is an IDX file, but its name does not tell"):
        read(tmp_path / "data")


def test_a_truncated_part_is_refused_when_the_folder_is_read(tmp_path):
    folder = write_mnist(tmp_path / "mnist")
    (folder / "train-images-idx3-ubyte").write_bytes(pictures(6)[:-5])
    with pytest.raises(ValueError, match="train-images-idx3-ubyte is truncated"):
        read(folder)


def test_unknown_labels_in_the_test_part_are_refused(tmp_path):
    folder = write_mnist(tmp_path / "mnist")
    (folder / "t10k-labels-idx1-ubyte").write_bytes(labels(7, 0))
    with pytest.raises(ValueError, match="no class of the training part: 7"):
        read(folder)


def test_pairs_that_are_neither_training_nor_test_are_refused(tmp_path):
    for part in ("left", "right"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(pictures(2))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(labels(0, 1))
    with pytest.raises(ValueError, match="unclear which of these pictures are for training"):
        read(tmp_path)
