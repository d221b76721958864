"""The IDX format, in which MNIST and its relatives are distributed: a file goes in, an array comes out.

A file is two zero bytes, a type code, the number of axes, the axes' sizes (32 bits each), then the numbers
row by row; everything big-endian, the whole often compressed with gzip.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 24
_NAME = re.compile(r"(?P<part>.*?)[-_.]?(?P<role>images|labels)[-_.]idx\d[-_.]ubyte(?:\.gz)?", re.IGNORECASE)


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file, in native byte order.

    Parameters
    ----------
    path : str or path
        The file, compressed with gzip or not, whatever its name.

    Returns
    -------
    ndarray
        Of the shape in the file; dtype uint8, int8, int16, int32, float32 or float64.

    Raises
    ------
    OSError
        If there is no such file or it cannot be read.
    ValueError
        If it is not an IDX file, is truncated or damaged, or has bytes left over at its end.

    References
    ----------
    Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", section on file formats.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "three").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 6, 7]))
    ...     read_idx(Path(folder, "three"))
    array([5, 6, 7], dtype=uint8)
    """
    with _opened(Path(path)) as file:
        start = file.read(4)
        if not _is_start(start):
            raise ValueError(
                f"{path} is not an IDX file: it begins with {start.hex(' ') or 'nothing'}, where two zero bytes, "
                "a type code (08, 09, 0b, 0c, 0d or 0e) and the number of axes were expected."
            )
        dtype, axes = np.dtype(_DTYPES[start[2]]), start[3]
        sizes = file.read(4 * axes)
        if len(sizes) < 4 * axes:
            raise ValueError(f"{path} is truncated: it ends within the sizes of its {axes} axes.")
        shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
        expected = math.prod(shape) * dtype.itemsize
        numbers = _read_at_most(file, expected + 1)
    if len(numbers) < expected:
        raise ValueError(
            f"{path} is truncated: its header announces an array of shape {shape}, {expected:,} bytes, "
            f"but only {len(numbers):,} follow. Download or copy it again."
        )
    if len(numbers) > expected:
        raise ValueError(
            f"{path} has bytes left over behind its array of shape {shape}; it is damaged or another kind."
        )
    return np.frombuffer(numbers, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def looks_like_idx(path: Path) -> bool:
    """Whether a file begins as an IDX file does, compressed or not."""
    try:
        with _opened(path) as file:
            return _is_start(file.read(4))
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class IdxPair:
    """The files of one part of a data set, and its name: "train" and "t10k" for MNIST's own."""

    part: str
    images: Path
    labels: Path


def idx_pairs(folder: Path) -> list[IdxPair]:
    """The pairs of image and label files in a folder, told by names such as train-images-idx3-ubyte(.gz).

    Raises
    ------
    FileNotFoundError
        If one file of a pair is missing.
    """
    found: dict[tuple[str, str], Path] = {}
    # Of a compressed and a plain file the plain one is taken: it sorts first.
    for file in sorted(folder.iterdir(), reverse=True):
        name = _NAME.fullmatch(file.name)
        if name and file.is_file() and not file.name.startswith("."):
            found[name["part"].lower(), name["role"].lower()] = file
    pairs = []
    for part in sorted({part for part, _ in found}):
        images, labels = found.get((part, "images")), found.get((part, "labels"))
        if images is None or labels is None:
            raise FileNotFoundError(
                f"{images or labels} is an IDX file of {'pictures' if images else 'labels'}; the file of "
                f"{'labels' if images else 'pictures'} that belongs to it is not beside it."
            )
        pairs.append(IdxPair(part, images, labels))
    return pairs


def _is_start(start: bytes) -> bool:
    return len(start) == 4 and start[:2] == b"\0\0" and start[2] in _DTYPES


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed if need be; damage found on the way becomes a sentence."""
    import gzip

    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        if not compressed:
            yield file
            return
        try:
            with gzip.open(file) as contents:
                yield contents  # type: ignore[misc]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path} is truncated or damaged: its gzip compression breaks off ({error}).") from error


def _read_at_most(file: BinaryIO, count: int) -> bytearray:
    """Up to `count` bytes, piece by piece: a damaged header may announce more than any memory holds."""
    contents = bytearray()
    while len(contents) < count and (piece := file.read(min(_CHUNK, count - len(contents)))):
        contents += piece
    return contents
