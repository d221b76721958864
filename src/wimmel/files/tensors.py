"""Named arrays in a safetensors file: arrays and a JSON document go in, a file comes out, and back.

The format is a length, a JSON header and raw little-endian numbers; reading one never runs code.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wimmel.files.atomic import sentence_error, write_bytes

FORMAT_VERSION = 1
"""Raised when the meaning of the metadata changes; a file with a higher one is refused by this version."""

METADATA_KEY = "wimmel"

_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_BFLOAT16 = "BF16"

_OTHER_KINDS = (
    (b"PK\x03\x04", "a zip archive, perhaps a PyTorch checkpoint (.pt, .pth)"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"\x89HDF", "an HDF5 file, perhaps Keras weights"),
    (b"\x93NUMPY", "a NumPy array file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x1f\x8b", "a gzip-compressed file"),
    (b"%PDF", "a PDF document"),
)


def save_tensors(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Nothing; the file at `path` then holds the arrays and the metadata, or is what it was before.

    Parameters
    ----------
    path : str or path
        The file to write, usually ending in ".safetensors".
    tensors : dict of str to ndarray
        Any shape, strides and byte order; dtypes bool, integers and floats of 16 to 64 bits.
    metadata : dict
        Whatever JSON can say: text, finite numbers, booleans, None, lists, dicts with text as keys.

    Raises
    ------
    TypeError
        If an array has another dtype, or the metadata holds something that JSON cannot.
    ValueError
        If a name cannot be used, or a number in the metadata is not finite.
    OSError
        If the file cannot be written; whatever stood at `path` is then untouched.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = Path(folder, "model.safetensors")
    ...     save_tensors(model, {"0.weight": np.ones((2, 3), np.float32)}, {"classes": ["cat", "dog"]})
    ...     tensors, metadata = load_tensors(model)
    >>> tensors["0.weight"].shape, metadata
    ((2, 3), {'classes': ['cat', 'dog']})
    """
    from safetensors.numpy import save

    document = _to_json({"format_version": FORMAT_VERSION, "metadata": dict(metadata)})
    storable = {_checked_name(name): _storable(name, tensor) for name, tensor in tensors.items()}
    write_bytes(path, save(storable, {METADATA_KEY: document}))


def load_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the metadata of a file that `save_tensors` wrote.

    Parameters
    ----------
    path : str or path
        The file to read.

    Returns
    -------
    tensors : dict of str to ndarray
        The arrays by name, in alphabetical order; writable, contiguous, in native byte order.
    metadata : dict
        The metadata as JSON gives it back: tuples have become lists.

    Raises
    ------
    OSError
        If there is no such file, it is a folder, or it cannot be read.
    ValueError
        If it is truncated or damaged, of another kind, not written by wimmel (`load_plain_tensors` reads
        those), or written by a newer wimmel.

    Examples
    --------
    >>> load_tensors("nowhere.safetensors")
    Traceback (most recent call last):
        ...
    FileNotFoundError: There is no file nowhere.safetensors; check the name and the folder.
    """
    tensors, texts = load_plain_tensors(path)
    if METADATA_KEY not in texts:
        raise ValueError(
            f"{path} is a safetensors file, but not one that wimmel saved: its metadata has no entry "
            f'"{METADATA_KEY}", so the architecture is unknown. load_plain_tensors reads its arrays.'
        )
    return tensors, _metadata_of(texts[METADATA_KEY], path)


def load_plain_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the raw metadata of any safetensors file, such as PyTorch's ecosystem exchanges.

    Parameters
    ----------
    path : str or path
        The file to read.

    Returns
    -------
    tensors : dict of str to ndarray
        The arrays by name, in alphabetical order. NumPy has no bfloat16: such arrays come as float32, which
        holds each of their values exactly.
    texts : dict of str to str
        The header's metadata as it stands in the file; empty if there is none.

    Raises
    ------
    OSError
        If there is no such file, it is a folder, or it cannot be read.
    ValueError
        If it is truncated or damaged, of another kind, or holds numbers of a type NumPy lacks.

    Examples
    --------
    >>> import tempfile
    >>> from safetensors.numpy import save_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_file({"bias": np.zeros(3, np.float32)}, Path(folder, "other.safetensors"))
    ...     load_plain_tensors(Path(folder, "other.safetensors"))
    ({'bias': array([0., 0., 0.], dtype=float32)}, {})
    """
    import safetensors

    deserialize: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = safetensors.deserialize
    data = _read(Path(path))
    try:
        entries = deserialize(data)
    except safetensors.SafetensorError as error:
        raise ValueError(_what_is_wrong(path, data)) from error
    # deserialize has checked the header; it does not hand on the metadata in it.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors = {name: _array(name, entry, path) for name, entry in sorted(entries, key=lambda entry: entry[0])}
    return tensors, header.get("__metadata__") or {}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        sentence = f"There is no file {path}; check the name and the folder."
        raise sentence_error(FileNotFoundError, errno.ENOENT, sentence) from error
    except OSError as error:
        is_folder = path.is_dir()
        kind, code = (IsADirectoryError, errno.EISDIR) if is_folder else (type(error), error.errno)
        reason = "it is a folder; give a safetensors file" if is_folder else error.strerror or str(error)
        raise sentence_error(kind, code, f"{path} could not be read: {reason}.") from error


def _to_json(document: dict[str, Any]) -> str:
    try:
        return json.dumps(document, allow_nan=False, ensure_ascii=False)
    except TypeError as error:
        raise TypeError(
            f"The metadata must be text, numbers, booleans, None, lists and dicts, as JSON has them: {error}."
        ) from error
    except ValueError as error:
        raise ValueError(f"The metadata cannot be written as JSON: {error}.") from error


def _checked_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"A tensor's name must be text; got {name!r}.")
    if name == "__metadata__":
        raise ValueError('A tensor cannot be called "__metadata__": safetensors uses that name itself.')
    return name


def _storable(name: str, tensor: np.ndarray) -> np.ndarray:
    """The same numbers, contiguous and little-endian: the format knows no strides and no byte order."""
    tensor = np.asarray(tensor)
    if tensor.dtype.newbyteorder("=") not in [np.dtype(dtype) for dtype in _DTYPES.values()]:
        raise TypeError(
            f"The tensor {name!r} has dtype {tensor.dtype}, which a model file cannot hold; "
            "convert it to a float of at most 64 bits, an integer or bool."
        )
    return np.asarray(tensor, dtype=tensor.dtype.newbyteorder("<"), order="C")


def _array(name: str, entry: Mapping[str, Any], path: str | os.PathLike[str]) -> np.ndarray:
    kind, shape, raw = entry["dtype"], entry["shape"], entry["data"]
    if kind == _BFLOAT16:
        # A bfloat16 is the upper half of the float32 with the same value.
        halves = np.frombuffer(raw, dtype="<u2").astype(np.uint32)
        return (halves << np.uint32(16)).view(np.float32).reshape(shape)
    if kind not in _DTYPES:
        raise ValueError(f"The tensor {name!r} in {path} has the type {kind}, which NumPy cannot hold.")
    dtype = np.dtype(_DTYPES[kind])
    array = np.frombuffer(raw, dtype=dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)
    return array if array.flags.writeable else array.copy()


def _metadata_of(text: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    damaged = f"{path} is damaged: its wimmel metadata is not the JSON document expected."
    try:
        document = json.loads(text)
        version, metadata = document["format_version"], document["metadata"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(damaged) from error
    if not isinstance(version, int) or isinstance(version, bool) or not isinstance(metadata, dict):
        raise ValueError(damaged)
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path} was saved by a newer wimmel (format {version}; this one reads up to {FORMAT_VERSION}). "
            "Upgrade with: pip install --upgrade wimmel"
        )
    return metadata


def _what_is_wrong(path: str | os.PathLike[str], data: bytes) -> str:
    """The sentence for a file that is not a sound safetensors file, as precise as its first bytes allow."""
    if not data:
        return f"{path} is empty; a safetensors file was expected."
    for magic, kind in _OTHER_KINDS:
        if data.startswith(magic):
            return f"{path} is {kind}; only safetensors files are opened here, since they cannot run code."
    header_length = int.from_bytes(data[:8], "little")
    if len(data) >= 9 and data[8:9] != b"{":
        return f"{path} is not a safetensors file: no header was found at its start."
    if len(data) < 8 + header_length:
        return f"{path} is truncated: it ends after {len(data):,} bytes, within its header. Copy it again."
    return f"{path} is truncated or damaged: its header does not fit its {len(data):,} bytes. Copy it again."
