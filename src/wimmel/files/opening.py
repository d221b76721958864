"""Opening image files with Pillow: a path or a binary file goes in, an image that is not decoded yet comes out.

Only formats that decode by themselves are opened, only up to a number of pixels, and whatever Pillow raises becomes an
`ImageError` that names the picture.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from threading import RLock
from typing import IO, TYPE_CHECKING

from wimmel.files.atomic import sentence_error
from wimmel.files.pixels import RangeError

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageSource = str | os.PathLike[str] | IO[bytes]

PIXEL_LIMIT = 178_956_970
"""Pictures with more pixels are refused before decoding: a small file may claim to hold a huge picture."""

# Pillow reads more formats than these, but some of them start other programs (EPS runs Ghostscript).
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
_LARGE = 2**26  # under the limit that Pillow has by itself
_LIMIT_LOCK = RLock()


class ImageError(ValueError):
    """A picture that cannot be read: the message names it and says why, `reason` says only why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The picture {name} could not be read: {reason}.")
        self.reason = reason


@cache
def formats() -> tuple[str, ...]:
    """The formats to try, of those that this build of Pillow knows."""
    from PIL import Image

    Image.init()
    return tuple(kind for kind in _FORMATS if kind in Image.OPEN)


@contextmanager
def opened(source: ImageSource, name: str | None, most: int = PIXEL_LIMIT) -> Iterator[Image]:
    """The picture opened, not yet decoded; a failure inside the block becomes an ImageError with its name.

    Parameters
    ----------
    source : path or binary file
    name : str or None
        What to call the picture in messages; by default the source's own name.
    most : int
        Pictures of more pixels are refused.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(source, str | os.PathLike):
        with open_path(Path(source)) as file, opened(file, name or str(source), most) as image:
            yield image
        return
    name = name_of(source, name)
    try:
        with ExitStack() as stack:
            with _pillows_limit(None):  # it would warn of fewer pixels than it refuses
                image = stack.enter_context(Image.open(source, formats=formats()))
            check_pixels(name, image.width * image.height, most)
            if image.width * image.height > _LARGE:
                stack.enter_context(_pillows_limit(most))
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(name, _too_many(most)) from error
    except UnidentifiedImageError as error:
        reason = "it is not a picture of any kind known here, or its beginning is damaged"
        raise ImageError(name, reason) from error
    except ImageError:
        raise
    except RangeError as error:
        raise ImageError(name, str(error)) from error
    except Exception as error:  # damaged files make Pillow's decoders raise almost anything
        raise ImageError(name, f"it is truncated or damaged ({_one_line(error)})") from error


def open_path(path: Path) -> IO[bytes]:
    """The file opened for reading; where that fails, with a sentence that names it."""
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


def name_of(source: ImageSource, name: str | None) -> str:
    """What to call a picture in messages."""
    return name or str(source if isinstance(source, str | os.PathLike) else getattr(source, "name", "given"))


def check_pixels(name: str, count: int, most: int) -> None:
    """Refuses a picture of too many pixels."""
    if count > most:
        raise ImageError(name, _too_many(most))


def _too_many(most: int) -> str:
    remedy = "make it smaller first"
    if most != PIXEL_LIMIT:
        remedy = "make it smaller, save it as a tiled TIFF, or raise max_pixels (--max-pixels on the command line)"
    return f"it has more than {most:,} pixels, too many to decode safely; {remedy}"


@contextmanager
def _pillows_limit(most: int | None) -> Iterator[None]:
    """Pillow's own limit of pixels, one for the whole process, set to this one, or lifted, while the block runs."""
    from PIL import Image

    with _LIMIT_LOCK:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, most
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__
