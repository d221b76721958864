"""Pictures as arrays: an image file goes in, uint8 (channels, rows, columns) comes out, and back.

Whatever the file holds (palette, 16 bits, CMYK, transparency, a camera's rotation) becomes plain gray or RGB.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wimmel.files.atomic import write_bytes
from wimmel.files.opening import PIXEL_LIMIT, check_pixels, formats, name_of, opened
from wimmel.files.pieces import InMemory, Piecewise
from wimmel.files.pixels import (
    as_array,
    check_channels,
    cover,
    is_gray,
    opacity,
    orientation,
    plain_image,
    rows_columns,
)
from wimmel.files.tiff import open_tiff

if TYPE_CHECKING:
    from PIL.Image import Image

    from wimmel.files.opening import ImageSource

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""The file names, in lower case, that folders of pictures are searched for."""

_JPEG_QUALITY = 95


@dataclass(frozen=True)
class ImageHeader:
    """What a picture's first bytes say: rows, columns (rotation applied), channels (1 gray, 3 colour)."""

    height: int
    width: int
    channels: int


def read_image(
    source: ImageSource,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    name: str | None = None,
    max_pixels: int = PIXEL_LIMIT,
) -> np.ndarray:
    """The picture as uint8 of shape (channels, rows, columns).

    The camera's rotation (EXIF) is applied. Transparent parts show white. 16-bit gray is scaled to 8 bits, v
    * 255 / 65535 rounded; of 16-bit colour the upper byte is taken. Floats are taken as 0 to 1. Of an
    animation the first frame is read. Colour profiles are ignored.

    Parameters
    ----------
    source : path or binary file
        The picture: JPEG, PNG, GIF, BMP, TIFF, WebP, PPM/PGM/PBM, JPEG 2000 or AVIF, told apart by content.
    size : int or (rows, columns), default None
        The size to give back. The picture is scaled, antialiased, until it just covers the size, and what
        sticks out is cut off evenly on both sides: its aspect is kept, nothing is padded. None keeps the
        size.
    channels : 1 or 3, default None
        1 for gray (ITU-R 601 luma), 3 for RGB; None gives 1 if the file stores gray, else 3.
    name : str, default None
        What to call the picture in messages, when the source is a file without a name.
    max_pixels : int, default 178,956,970
        Pictures of more pixels are refused before they are decoded.

    Returns
    -------
    uint8 array (channels, rows, columns)

    Raises
    ------
    OSError
        If there is no such file, it is a folder, or it cannot be opened.
    ImageError
        A ValueError: if it is no picture, is truncated or damaged, has more than `max_pixels`, or
        holds numbers whose range is not defined.
    ValueError
        If `size` or `channels` is not as described.

    Examples
    --------
    >>> import io
    >>> picture = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    >>> stored = io.BytesIO(encode_image(picture, "png"))
    >>> (read_image(stored) == picture).all()
    np.True_
    >>> read_image(stored, size=2, channels=3).shape
    (3, 2, 2)
    """
    wanted = rows_columns(size)
    check_channels(channels)
    if (tiff := open_tiff(source, channels, name)) is not None:
        _, rows, columns = tiff.shape
        check_pixels(name_of(source, name), rows * columns, max_pixels)
        pixels = tiff.piece(0, 0, rows, columns)
        return pixels if wanted is None else fit_image(pixels, wanted, channels)
    with opened(source, name, max_pixels) as image:
        if wanted is not None:
            # JPEG decodes at a half, quarter or eighth too; twice the wanted size is left to antialiasing.
            image.draft(None, (2 * max(wanted), 2 * max(wanted)))
        plain = plain_image(image, channels)
    return as_array(plain if wanted is None else cover(plain, wanted))


def read_image_header(source: ImageSource, name: str | None = None) -> ImageHeader:
    """Rows, columns and channels that `read_image` would give, mostly without decoding the picture.

    Parameters
    ----------
    source, name
        As in `read_image`.

    Returns
    -------
    ImageHeader

    Raises
    ------
    OSError, ImageError
        As in `read_image`, except that damage further on in the file goes unseen.

    Examples
    --------
    >>> import io
    >>> read_image_header(io.BytesIO(encode_image(np.zeros((3, 20, 10), np.uint8), "jpeg")))
    ImageHeader(height=20, width=10, channels=3)
    """
    if (tiff := open_tiff(source, None, name)) is not None:
        check_pixels(name_of(source, name), tiff.shape[1] * tiff.shape[2], PIXEL_LIMIT)
        return ImageHeader(tiff.shape[1], tiff.shape[2], tiff.shape[0])
    with opened(source, name) as image:
        if image.format == "TIFF":
            image.load()  # Pillow turns these upright itself, and corrects its notes when it decodes
        height, width = image.height, image.width
        if orientation(image) in (5, 6, 7, 8):
            height, width = width, height
        return ImageHeader(height, width, 1 if is_gray(image) else 3)


MAX_PIXELS = 500_000_000
"""Pictures to search that have more pixels are refused, unless they are read in pieces or another limit is given."""


def open_image(path: str | os.PathLike[str], channels: int | None = None, max_pixels: int = MAX_PIXELS) -> Piecewise:
    """A picture of any size, to be read in pieces: the same pixels as those that `read_image` gives.

    TIFFs are decoded tile by tile, or strip by strip, as they are asked for; of those decoded last 192 MiB are kept.
    Other pictures are decoded here and kept in memory, and so are TIFFs that can only be read as a whole: those that
    are to be turned, or whose pixels are one large compressed strip, or compressed or coloured in rare ways.

    Parameters
    ----------
    path : path
    channels : 1 or 3, default None
        As in `read_image`.
    max_pixels : int, default 500 million
        Pictures of more pixels are refused before they are decoded, unless they are read in pieces.

    Returns
    -------
    Piecewise
        With ``shape`` (channels, rows, columns) and ``piece(top, left, bottom, right)``.

    Raises
    ------
    OSError
        If there is no such file, it is a folder, or it cannot be opened.
    ImageError
        As in `read_image`; where damage is further on in a file, `piece` raises it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(Path(folder, "scene.tif"), np.arange(12, dtype=np.uint8).reshape(3, 4))
    ...     open_image(Path(folder, "scene.tif")).piece(1, 1, 3, 4)
    array([[[ 5,  6,  7],
            [ 9, 10, 11]]], dtype=uint8)
    """
    check_channels(channels)
    if (tiff := open_tiff(path, channels)) is not None:
        return tiff
    with opened(path, None, max_pixels) as image:
        return InMemory(plain_image(image, channels))


def read_opacity(source: ImageSource, name: str | None = None) -> np.ndarray | None:
    """How opaque each pixel of the picture is, uint8 (rows, columns): 0 for transparent, 255 for opaque.

    Parameters
    ----------
    source, name
        As in `read_image`.

    Returns
    -------
    uint8 array (rows, columns), or None
        Upright as `read_image` gives the picture; None if the file has no transparency.

    Raises
    ------
    OSError, ImageError
        As in `read_image`.

    Examples
    --------
    >>> import io
    >>> read_opacity(io.BytesIO(encode_image(np.zeros((1, 3, 4), np.uint8)))) is None
    True
    """
    with opened(source, name) as image:
        found = opacity(image)
    return None if found is None else np.asarray(found).copy()


def fit_image(picture: np.ndarray, size: int | tuple[int, int] | None, channels: int | None) -> np.ndarray:
    """A picture that is in memory already, brought to a size and channel count as `read_image` does.

    Parameters
    ----------
    picture : uint8 array (1 or 3, rows, columns)
    size : int or (rows, columns), or None to keep it
    channels : 1 or 3, or None to keep them

    Returns
    -------
    uint8 array (channels, rows, columns)

    Raises
    ------
    TypeError, ValueError
        If the picture, the size or the channels are not as described.

    Examples
    --------
    >>> fit_image(np.full((3, 8, 8), 7, np.uint8), (2, 4), 1)
    array([[[7, 7, 7, 7],
            [7, 7, 7, 7]]], dtype=uint8)
    """
    wanted = rows_columns(size)
    check_channels(channels)
    plain = plain_image(_as_pillow(picture), channels)
    return as_array(plain if wanted is None else cover(plain, wanted))


def write_image(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Nothing; the file at `path` then holds the picture, or is what it was before.

    Parameters
    ----------
    path : str or path
        The file to write; its suffix chooses the format. ".png", ".bmp", ".tif" and ".ppm"/".pgm" lose
        nothing, ".jpg" is written at quality 95.
    picture : uint8 array (rows, columns), (1, rows, columns) or (3, rows, columns)

    Raises
    ------
    TypeError, ValueError
        If the picture is not as described, or the suffix belongs to no format that can be written.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(Path(folder, "black.png"), np.zeros((1, 5, 6), np.uint8))
    ...     read_image(Path(folder, "black.png")).shape
    (1, 5, 6)
    """
    suffix = Path(path).suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise ValueError(f"{path} does not say which kind of picture to write; end its name in .png or .jpg.")
    write_bytes(path, encode_image(picture, suffix.lstrip(".")))


def encode_image(picture: np.ndarray, suffix: str = "png") -> bytes:
    """The bytes of an image file that holds the picture.

    Parameters
    ----------
    picture : uint8 array (rows, columns), (1, rows, columns) or (3, rows, columns)
    suffix : str, default "png"
        The format, by the suffix its files have.

    Returns
    -------
    bytes

    Raises
    ------
    TypeError, ValueError
        If the picture is not as described, or the format cannot be written.

    Examples
    --------
    >>> encode_image(np.zeros((2, 2), np.uint8))[1:4]
    b'PNG'
    """
    from PIL import Image

    image = _as_pillow(picture)
    formats()
    kind = Image.registered_extensions().get(f".{suffix.lower()}")
    if kind not in formats() or kind not in Image.SAVE:
        raise ValueError(f"Pictures cannot be written as {suffix!r}; try png or jpg.")
    written = io.BytesIO()
    try:
        image.save(written, kind, **({"quality": _JPEG_QUALITY} if kind == "JPEG" else {}))
    except (OSError, ValueError, KeyError) as error:
        sentence = f"A picture of shape {picture.shape} cannot be written as {suffix}: {error}."
        raise ValueError(sentence) from error
    return written.getvalue()


def _as_pillow(picture: np.ndarray) -> Image:
    from PIL import Image

    picture = np.asarray(picture)
    if picture.dtype != np.uint8:
        raise TypeError(f"A picture must be uint8, with values from 0 to 255; got {picture.dtype}.")
    planes = picture[np.newaxis] if picture.ndim == 2 else picture
    if planes.ndim != 3 or planes.shape[0] not in (1, 3) or 0 in planes.shape:
        raise ValueError(
            "A picture must have the shape (rows, columns), (1, rows, columns) or (3, rows, columns); "
            f"got {picture.shape}."
        )
    pixels = planes[0] if planes.shape[0] == 1 else planes.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels))
