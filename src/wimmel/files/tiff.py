"""TIFFs read in pieces: a file goes in, whatever its size, and the pixels of any part of it come out.

A TIFF holds tiles, or strips of rows. Each is decoded alone, by handing it to Pillow as a small TIFF of its own, and
those decoded last are kept.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from wimmel.files import tiff_directory as tags
from wimmel.files.opening import ImageError, name_of, open_path, opened
from wimmel.files.pixels import as_array, is_gray, plain_image
from wimmel.files.tiff_directory import Directory, Read, read_directory, written

if TYPE_CHECKING:
    from PIL.Image import Image

    from wimmel.files.opening import ImageSource

KEPT_BYTES = 192 * 2**20
"""Of decoded tiles of a file so many bytes are kept at most."""

_LARGEST_SEGMENT = 2**26
"""Pixels, and bytes."""

_BLOCK, _MOST_STRIPS = 2**20, 256
"""Strips are decoded together up to so many bytes, and so many of them."""

_OVERHEAD = 2**16
"""Of a tile or strip so many bytes are read at most, and twice those of its pixels, whatever the file says."""

_OF_PIXELS = (
    tags.BITS, tags.COMPRESSION, tags.PHOTOMETRIC, tags.FILL_ORDER, tags.SAMPLES, tags.PREDICTOR, tags.COLOUR_MAP,
    tags.INK_SET, tags.EXTRA_SAMPLES, tags.SAMPLE_FORMAT, tags.JPEG_TABLES, tags.LUMA, tags.SUBSAMPLING,
    tags.POSITIONING, tags.REFERENCE,
)  # fmt: skip
_OF_PLANES = (tags.COMPRESSION, tags.FILL_ORDER, tags.PREDICTOR, tags.JPEG_TABLES)

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR = 0, 1, 2, 6
_OPACITY = 2
_STORED, _LZW, _JPEG, _DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZMA, _ZSTD = 1, 5, 7, 8, 32946, 32773, 34925, 50000
_PIECEWISE = frozenset({_STORED, _LZW, _JPEG, _DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZMA, _ZSTD})
_UNREAD = {33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG of DNG",
           22610: "JPEG XR", 34934: "JPEG XR", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL"}  # fmt: skip


@dataclass(frozen=True)
class _Layout:
    """Where a TIFF's pixels lie: segments in rows, of planes one after another.

    Attributes
    ----------
    name : str
        What to call the picture.
    read : callable
        Gives the file's bytes.
    directory : Directory
    size : (int, int)
        Rows and columns of the picture.
    segment : (int, int)
        Rows and columns of a segment, which is a tile or some strips; the last strips may have fewer rows.
    grid : (int, int)
        Segments downwards and across.
    planes : int
        1 if a pixel's samples lie side by side.
    strip_rows : int
        Of the strips that make up a segment, or of the tile.
    each : int
        How many strips or tiles a plane has.
    offsets, counts : tuple of int
        Of each tile or strip in the file, in bytes; 0 for what is not stored, and stands for zeros.
    """

    name: str
    read: Read
    directory: Directory
    size: tuple[int, int]
    segment: tuple[int, int]
    grid: tuple[int, int]
    planes: int
    strip_rows: int
    each: int
    offsets: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def is_tiled(self) -> bool:
        return tags.TILE_OFFSETS in self.directory.tags

    @property
    def is_deep_negative(self) -> bool:
        """Whether 0 is white in 16 bits, which Pillow does not know."""
        return self.directory.number(tags.PHOTOMETRIC) == _WHITE_IS_ZERO and self.directory.number(tags.BITS, 1) == 16


class TiffPieces:
    """A TIFF as `Piecewise`, which `open_tiff` gives.

    Attributes
    ----------
    shape : (int, int, int)
        Channels, rows and columns.
    """

    def __init__(self, layout: _Layout, channels: int) -> None:
        self.shape = (channels, *layout.size)
        self._layout = layout
        kept = KEPT_BYTES // (channels * math.prod(layout.segment))
        self._segment = lru_cache(max(kept, 1))(partial(_pixels, layout, channels))

    def __repr__(self) -> str:
        channels, rows, columns = self.shape
        return f"TiffPieces({self._layout.name!r}, {channels}x{rows}x{columns})"

    def piece(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """The rows from top to before bottom and columns from left to before right: uint8 (channels, rows, columns)."""
        height, width = self._layout.segment
        piece = np.empty((self.shape[0], bottom - top, right - left), np.uint8)
        for down in range(top // height, math.ceil(bottom / height)):
            first, last = max(top, down * height), min(bottom, (down + 1) * height)
            for across in range(left // width, math.ceil(right / width)):
                begin, end = max(left, across * width), min(right, (across + 1) * width)
                inside = (
                    slice(first - down * height, last - down * height),
                    slice(begin - across * width, end - across * width),
                )
                piece[:, first - top : last - top, begin - left : end - left] = self._segment(down, across)[:, *inside]
        return piece


def open_tiff(source: ImageSource, channels: int | None = None, name: str | None = None) -> TiffPieces | None:
    """The TIFF, to be read in pieces; None if the file is no TIFF, or one that can only be read as a whole.

    As a whole are read those that come through a pipe, that are to be turned, whose pixels are one large compressed
    strip, or that are compressed or coloured in rare ways. In pieces are read those of 8 or 16 bits (and what else
    Pillow knows): gray, palettes, RGB, CMYK and YCbCr, with transparency; samples side by side or plane by plane;
    classic and big; of several pages the first.

    Parameters
    ----------
    source : path or binary file
    channels : 1 or 3, optional
        By default as the file stores colours.
    name : str, optional
        What to call the picture in messages.

    Raises
    ------
    OSError
        If there is no such file or it cannot be opened.
    ImageError
        If it is damaged, or compressed by what cannot be decoded here.
    """
    if isinstance(source, str | os.PathLike):
        is_seekable, read = Path(source).is_file(), partial[bytes](_read_path, Path(source))
    else:
        is_seekable, read = _is_seekable(source), partial[bytes](_read_file, source)
    if not is_seekable or read(0, 4) not in tags.SIGNATURES:
        return None
    called = name_of(source, name)
    try:
        layout = _layout(called, read, read_directory(read))
    except ImageError:
        raise
    except ValueError as error:
        raise ImageError(called, f"it is truncated or damaged ({error})") from error
    if layout is None:
        return None
    if channels is None:
        with _opened_plane(layout, 0, 0, 0) as image:
            channels = 1 if is_gray(image) and layout.planes < 3 else 3
    return TiffPieces(layout, channels)


def _is_seekable(file: IO[bytes]) -> bool:
    return hasattr(file, "seek") and (not hasattr(file, "seekable") or file.seekable())


def _read_path(path: Path, offset: int, count: int) -> bytes:
    with open_path(path) as file:
        return _read_file(file, offset, count)


def _read_file(file: IO[bytes], offset: int, count: int) -> bytes:
    there = file.seek(0, os.SEEK_END) - offset
    if there <= 0:
        return b""
    file.seek(offset)
    return file.read(min(count, there))


def _layout(name: str, read: Read, directory: Directory) -> _Layout | None:
    """Where the pixels lie, or None if they cannot be read in pieces; raises ValueError where that is not said."""
    number, numbers = directory.number, directory.numbers
    compression = number(tags.COMPRESSION, _STORED)
    if compression in _UNREAD:
        raise ImageError(
            name,
            f"it is compressed by {_UNREAD[compression]}, which cannot be decoded here in TIFFs; save it with another "
            "compression, such as LZW, deflate or JPEG",
        )
    rows, columns = number(tags.LENGTH), number(tags.WIDTH)
    if rows < 1 or columns < 1:
        raise ValueError("it does not say how large it is")
    samples, bits, photometric = number(tags.SAMPLES, 1), number(tags.BITS, 1), number(tags.PHOTOMETRIC)
    if samples < 1 or bits < 1:
        raise ValueError("it does not say what a pixel is")
    planes = samples if number(tags.PLANAR, 1) == 2 else 1
    if compression not in _PIECEWISE or number(tags.ORIENTATION, 1) != 1:
        return None
    if planes > 1 and not _is_separable(directory):
        return None
    is_tiled = tags.TILE_OFFSETS in directory.tags
    if is_tiled:
        height, width = number(tags.TILE_LENGTH), number(tags.TILE_WIDTH)
        offsets, counts = numbers(tags.TILE_OFFSETS), numbers(tags.TILE_COUNTS)
    else:
        height, width = min(number(tags.ROWS_PER_STRIP) or rows, rows), columns
        offsets, counts = numbers(tags.STRIP_OFFSETS), numbers(tags.STRIP_COUNTS)
    if height < 1 or width < 1:
        raise ValueError("its tiles have no pixels")
    row_bytes = math.ceil(width * bits * (samples if planes == 1 else 1) / 8)
    if len(offsets) < planes:
        raise ValueError("it does not say where its pixels are")
    strip_rows = height
    if not is_tiled and compression == _STORED and height == rows and photometric != _YCBCR:
        # rows of equal length: the one strip of a plane is as good as many
        if not all(read(offset + rows * row_bytes - 1, 1) for offset in offsets[:planes]):
            raise ValueError("it ends before its pixels do")
        height = strip_rows = max(min(_BLOCK // row_bytes, rows), 1)
        starts = range(0, rows, strip_rows)
        offsets = tuple(offset + start * row_bytes for offset in offsets[:planes] for start in starts)
        counts = tuple(min(strip_rows, rows - start) * row_bytes for start in starts) * planes
    elif not is_tiled and all(counts):
        height *= max(min(_BLOCK // (row_bytes * height), _MOST_STRIPS, math.ceil(rows / height)), 1)
    if height * max(row_bytes, width) > _LARGEST_SEGMENT or not counts:
        return None
    grid = math.ceil(rows / height), math.ceil(columns / width)
    each = math.prod(grid) if is_tiled else math.ceil(rows / strip_rows)
    if min(len(offsets), len(counts)) < planes * each:
        raise ValueError("it does not say where all of its pixels are")
    longest = 2 * strip_rows * row_bytes + _OVERHEAD
    counts = tuple(min(count, longest) for count in counts)
    return _Layout(
        name, read, directory, (rows, columns), (height, width), grid, planes, strip_rows, each, offsets, counts
    )


def _is_separable(directory: Directory) -> bool:
    """Whether planes can be decoded one by one and be put together: 8 or 16 bits, gray or RGB, perhaps with opacity."""
    colours = {_BLACK_IS_ZERO: 1, _RGB: 3}.get(directory.number(tags.PHOTOMETRIC, -1), 0)
    extra = directory.numbers(tags.EXTRA_SAMPLES)
    bits, formats = set(directory.numbers(tags.BITS, (1,))), set(directory.numbers(tags.SAMPLE_FORMAT, (1,)))
    samples = directory.number(tags.SAMPLES, 1)
    return bits in ({8}, {16}) and formats == {1} and colours > 0 and (samples, extra) in (
        (colours, ()), (colours + 1, (_OPACITY,))
    )  # fmt: skip


def _pixels(layout: _Layout, channels: int, down: int, across: int) -> np.ndarray:
    """A segment as uint8 (channels, rows, columns)."""
    from PIL import Image

    if layout.planes == 1:
        with _opened_plane(layout, 0, down, across) as image:
            pixels = as_array(plain_image(image, channels))
        return 255 - pixels if layout.is_deep_negative else pixels
    planes = []
    for plane in range(layout.planes):
        with _opened_plane(layout, plane, down, across) as image:
            values = np.asarray(image)
        # as of colours of 16 bits that lie side by side, the upper byte is taken
        planes.append(values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8))
    mode = {2: "LA", 3: "RGB", 4: "RGBA"}[layout.planes]
    return as_array(plain_image(Image.merge(mode, [Image.fromarray(plane) for plane in planes]), channels))


@contextmanager
def _opened_plane(layout: _Layout, plane: int, down: int, across: int) -> Iterator[Image]:
    """A plane of a segment, or all of it if there is but one plane, opened with Pillow."""
    several = layout.segment[0] // layout.strip_rows
    begin = plane * layout.each + (down * layout.grid[1] + across) * several
    places = range(begin, min(begin + several, (plane + 1) * layout.each))
    rows, columns = layout.segment
    if not layout.is_tiled:
        rows = min(rows, layout.size[0] - down * rows)
    if layout.planes > 1:
        bits = layout.directory.number(tags.BITS)
        directory = layout.directory.of(_OF_PLANES).having(
            {tags.BITS: [bits], tags.SAMPLES: [1], tags.PHOTOMETRIC: [_BLACK_IS_ZERO]}
        )
    else:
        directory = layout.directory.of(_OF_PIXELS)
        if layout.is_deep_negative:
            directory = directory.having({tags.PHOTOMETRIC: [_BLACK_IS_ZERO]})
    if all(layout.offsets[place] and layout.counts[place] for place in places):
        strips = [layout.read(layout.offsets[place], layout.counts[place]) for place in places]
    else:
        samples = directory.number(tags.SAMPLES, 1)
        strips = [bytes(rows * math.ceil(columns * directory.number(tags.BITS, 1) * samples / 8))]
        directory = directory.having({tags.COMPRESSION: [_STORED], tags.PREDICTOR: [1]})
    file = written(directory, rows, columns, layout.strip_rows, strips)
    with opened(io.BytesIO(file), layout.name) as image:
        yield image
