"""Pictures as arrays: an image file goes in, uint8 (channels, rows, columns) comes out, and back.

Whatever the file holds (palette, 16 bits, CMYK, transparency, a camera's rotation) becomes plain gray or RGB.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from wimmel.files.atomic import sentence_error, write_bytes
from wimmel.files.pixels import (
    RangeError,
    check_channels,
    cover,
    is_gray,
    opacity,
    orientation,
    plain_image,
    rows_columns,
)

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageSource = str | os.PathLike[str] | IO[bytes]

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""The file names, in lower case, that folders of pictures are searched for."""

PIXEL_LIMIT = 178_956_970
"""Pictures with more pixels are refused before decoding: a small file may claim to hold a huge picture."""

# Pillow reads more formats than these, but some of them start other programs (EPS runs Ghostscript).
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
_JPEG_QUALITY = 95


class ImageError(ValueError):
    """A picture that cannot be read: the message names it and says why, `reason` says only why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The picture {name} could not be read: {reason}.")
        self.reason = reason


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

    Returns
    -------
    uint8 array (channels, rows, columns)

    Raises
    ------
    OSError
        If there is no such file, it is a folder, or it cannot be opened.
    ImageError
        A ValueError: if it is no picture, is truncated or damaged, is larger than 178,956,970 pixels, or
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
    with _opened(source, name) as image:
        if wanted is not None:
            # JPEG decodes at a half, quarter or eighth too; twice the wanted size is left to antialiasing.
            image.draft(None, (2 * max(wanted), 2 * max(wanted)))
        plain = plain_image(image, channels)
    return _as_array(plain if wanted is None else cover(plain, wanted))


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
    with _opened(source, name) as image:
        if image.format == "TIFF":
            image.load()  # Pillow turns these upright itself, and corrects its notes when it decodes
        height, width = image.height, image.width
        if orientation(image) in (5, 6, 7, 8):
            height, width = width, height
        return ImageHeader(height, width, 1 if is_gray(image) else 3)


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
    with _opened(source, name) as image:
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
    return _as_array(plain if wanted is None else cover(plain, wanted))


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
    _formats()
    kind = Image.registered_extensions().get(f".{suffix.lower()}")
    if kind not in _formats() or kind not in Image.SAVE:
        raise ValueError(f"Pictures cannot be written as {suffix!r}; try png or jpg.")
    written = io.BytesIO()
    try:
        image.save(written, kind, **({"quality": _JPEG_QUALITY} if kind == "JPEG" else {}))
    except (OSError, ValueError, KeyError) as error:
        sentence = f"A picture of shape {picture.shape} cannot be written as {suffix}: {error}."
        raise ValueError(sentence) from error
    return written.getvalue()


@cache
def _formats() -> tuple[str, ...]:
    """The formats to try, of those that this build of Pillow knows."""
    from PIL import Image

    Image.init()
    return tuple(kind for kind in _FORMATS if kind in Image.OPEN)


@contextmanager
def _opened(source: ImageSource, name: str | None) -> Iterator[Image]:
    """The picture opened, not yet decoded; a failure inside the block becomes an ImageError with its name."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(source, str | os.PathLike):
        with _open_path(Path(source)) as file, _opened(file, name or str(source)) as image:
            yield image
        return
    name = name or str(getattr(source, "name", "given"))
    try:
        with Image.open(source, formats=_formats()) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise Image.DecompressionBombError
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = f"it has more than {PIXEL_LIMIT:,} pixels, too many to decode safely; make it smaller first"
        raise ImageError(name, reason) from error
    except UnidentifiedImageError as error:
        reason = "it is not a picture of any kind known here, or its beginning is damaged"
        raise ImageError(name, reason) from error
    except ImageError:
        raise
    except RangeError as error:
        raise ImageError(name, str(error)) from error
    except Exception as error:  # damaged files make Pillow's decoders raise almost anything
        raise ImageError(name, f"it is truncated or damaged ({_one_line(error)})") from error


def _open_path(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        sentence = f"There is no picture {path}; check the name and the folder."
        raise sentence_error(FileNotFoundError, errno.ENOENT, sentence) from error
    except OSError as error:
        is_folder = path.is_dir()
        kind, code = (IsADirectoryError, errno.EISDIR) if is_folder else (type(error), error.errno)
        reason = "it is a folder; give an image file" if is_folder else error.strerror or str(error)
        raise sentence_error(kind, code, f"The picture {path} could not be opened: {reason}.") from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__


def _as_array(image: Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels[np.newaxis].copy() if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


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
