"""Arrays in safetensors files: every view comes back, other libraries agree, and bad files get a sentence."""

import json
import struct

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wimmel.files import load_plain_tensors, load_tensors, save_tensors


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def handmade(header, data=b""):
    """A safetensors file written from its specification: length, JSON, numbers."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_arrays_and_metadata_come_back(path):
    tensors = {"b.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.count": np.array(7)}
    metadata = {"classes": ["Katze", "犬"], "deep": {"numbers": [1, 2.5, None, True]}}
    save_tensors(path, tensors, metadata)
    loaded, read = load_tensors(path)
    assert list(loaded) == ["a.count", "b.weight"]
    assert read == metadata
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(loaded[name], tensor)
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].shape == tensor.shape


def test_the_library_itself_reads_what_was_saved(path):
    weight = np.random.default_rng(0).normal(size=(3, 4))
    save_tensors(path, {"w": weight.T}, {})
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)["w"], weight.T)


def test_the_file_has_the_bytes_of_the_specification(path):
    save_tensors(path, {"x": np.array([1, 2], ">i2")}, {"k": 1})
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    assert header["x"] == {"dtype": "I16", "shape": [2], "data_offsets": [0, 4]}
    assert json.loads(header["__metadata__"]["wimmel"]) == {"format_version": 1, "metadata": {"k": 1}}
    assert data[8 + length :] == struct.pack("<hh", 1, 2)


BASE = np.arange(24).reshape(2, 3, 4)
VIEWS = {
    "strided": BASE[:, ::2],
    "negative": BASE[::-1, :, ::-1],
    "fortran": np.asfortranarray(BASE),
    "transposed": BASE.transpose(2, 0, 1),
    "byte-swapped": BASE.astype(">i8"),
    "byte-swapped transposed": BASE.astype(">f4").T,
    "broadcast": np.broadcast_to(np.float32(3), (2, 2)),
    "empty": BASE[:0],
    "no axes": np.array(5.0),
    "boolean": BASE > 5,
}


@pytest.mark.parametrize("kind", VIEWS)
def test_any_view_is_saved_right(path, kind):
    view = VIEWS[kind]
    save_tensors(path, {"view": view}, {})
    loaded = load_tensors(path)[0]["view"]
    np.testing.assert_array_equal(loaded, view)
    assert loaded.shape == view.shape
    assert loaded.dtype == view.dtype.newbyteorder("=")
    assert loaded.flags.writeable


@given(
    hnp.arrays(
        st.sampled_from([np.dtype(code) for code in ("<f8", ">f4", "<f2", ">i8", "<u4", ">u2", "i1", "?")]),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
    )
)
def test_any_array_comes_back_bit_for_bit(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("tensors") / "any.safetensors"
    save_tensors(path, {"array": array}, {})
    loaded = load_tensors(path)[0]["array"]
    assert loaded.shape == array.shape
    assert loaded.tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()


def test_files_of_other_programs_load_as_plain_tensors(path):
    path.write_bytes(handmade(
        {"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
        struct.pack("<ff", 0.5, -2),
    ))  # fmt: skip
    tensors, texts = load_plain_tensors(path)
    np.testing.assert_array_equal(tensors["w"], np.array([0.5, -2], np.float32))
    assert texts == {"format": "pt"}
    with pytest.raises(ValueError, match="safetensors file, but not one that wimmel saved"):
        load_tensors(path)


def test_bfloat16_comes_as_float32_of_the_same_value(path):
    values = np.array([1.0, -0.15625, 3.0e38, np.inf], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2")
    path.write_bytes(handmade({"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}, upper.tobytes()))
    loaded = load_plain_tensors(path)[0]["w"]
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, (upper.astype(np.uint32) << 16).view(np.float32).reshape(2, 2))
    assert loaded[0, 0] == 1.0


def test_every_truncation_is_refused_with_the_path(path):
    save_tensors(path, {"w": np.ones((3, 3), np.float32), "b": np.ones(3)}, {"classes": ["a", "b"]})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"model\.safetensors .*(truncated|empty|damaged|not a safetensors)"):
            load_tensors(path)


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(100), "a zip archive, perhaps a PyTorch checkpoint"),
        (b"\x80\x02}q\x00.", "a Python pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a PNG picture"),
        (b"# A read-me\n\nof some lines.\n", "not a safetensors file"),
        (struct.pack("<Q", 1 << 60) + b"{", "truncated"),
        (handmade({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)), "damaged"),
        (handmade({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(9)), "damaged"),
    ],
)
def test_files_of_other_kinds_are_named(path, contents, expected):
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=expected) as caught:
        load_tensors(path)
    assert str(path) in str(caught.value)


TOO_DEEP = '{"format_version": 1, "metadata": ' + '{"a": ' * 100_000 + "1" + "}" * 100_001


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format_version": 1}', '{"format_version": "1", "metadata": {}}', TOO_DEEP], ids=range(5)
)
def test_damaged_metadata_is_refused(path, text):
    path.write_bytes(handmade({"__metadata__": {"wimmel": text}}))
    with pytest.raises(ValueError, match="wimmel metadata is not the JSON document expected"):
        load_tensors(path)


def test_a_newer_format_asks_for_an_upgrade(path):
    path.write_bytes(handmade({"__metadata__": {"wimmel": '{"format_version": 99, "metadata": {}}'}}))
    with pytest.raises(ValueError, match=r"newer wimmel .format 99.*pip install --upgrade wimmel"):
        load_tensors(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*none\.safetensors"):
        load_tensors(tmp_path / "none.safetensors")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        load_tensors(tmp_path)


@pytest.mark.parametrize(
    ("tensors", "metadata", "error", "expected"),
    [
        ({"w": np.array([object()])}, {}, TypeError, "'w' has dtype object"),
        ({"w": np.array(["text"])}, {}, TypeError, "'w' has dtype <U4"),
        ({"w": np.ones(2, complex)}, {}, TypeError, "'w' has dtype complex128"),
        ({3: np.ones(2)}, {}, TypeError, "name must be text; got 3"),
        ({"__metadata__": np.ones(2)}, {}, ValueError, "uses that name itself"),
        ({}, {"when": object()}, TypeError, "as JSON has them"),
        ({}, {"loss": float("nan")}, ValueError, "cannot be written as JSON"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_anything_is_written(path, tensors, metadata, error, expected):
    with pytest.raises(error, match=expected):
        save_tensors(path, tensors, metadata)
    assert not path.exists()
