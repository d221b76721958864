"""Decoding many pictures at once, on all cores, into one array; and the choice of a size that suits them all.

Given pictures not yet decoded; hands on uint8 (n, channels, rows, columns) and a list of those that could not
be read.
"""

from __future__ import annotations

import io
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from wimmel.data.arrangement import Picture
from wimmel.data.progress import Progress
from wimmel.files import ImageError, ImageHeader, read_image, read_image_header

if TYPE_CHECKING:
    from concurrent.futures import Future

MEMORY_BUDGET = 2 << 30
"""Data sets of more bytes than this (2 GiB) are decoded into a temporary file that is mapped into memory."""

LARGEST_COMMON_SIDE = 64

_MOST_THREADS = 16
_PICTURES_PER_TASK = 16
_ZEROS = 1 << 24

Result = TypeVar("Result")


class Decoded(NamedTuple):
    """Decoded pictures (n, channels, rows, columns), their places in the given sequence (n,), and the others.

    skipped: (name, reason) of those that could not be read, in the given order.
    """

    images: np.ndarray
    places: np.ndarray
    skipped: tuple[tuple[str, str], ...]


def decode(
    pictures: Sequence[Picture],
    size: tuple[int, int],
    channels: int,
    report: Progress,
    front_to_back: bool = False,
    task: str = "decoding",
) -> Decoded:
    """The pictures, decoded to one size by a pool of threads.

    Parameters
    ----------
    pictures : sequence of Picture
    size : (rows, columns)
    channels : 1 or 3
    report : Progress
        Is told how many are done.
    front_to_back : bool, default False
        Whether the bytes must be read by one thread in the order of `Picture.place`; decoding still uses all.
    task : str, default "decoding"
        What to call this in reports.

    Returns
    -------
    Decoded
        In the order of `pictures`, without those that could not be read.
    """
    images = _room_for((len(pictures), channels, *size))
    readable = np.zeros(len(pictures), bool)
    reasons: dict[int, str] = {}
    decoder = partial(_decoded, size=size, channels=channels)
    for number, found in _each(decoder, pictures, report, front_to_back, task):
        if isinstance(found, ImageError):
            reasons[number] = found.reason
        else:
            images[number] = found
            readable[number] = True
    places = np.flatnonzero(readable)
    for row, place in enumerate(places):  # closes the gaps in place: there may be no room for a second array
        if row != place:
            images[row] = images[place]
    skipped = tuple((pictures[number].name, reasons[number]) for number in sorted(reasons))
    return Decoded(images[: len(places)], places, skipped)


def measure(
    pictures: Sequence[Picture], report: Progress, front_to_back: bool = False, task: str = "measuring"
) -> list[ImageHeader | ImageError]:
    """For every picture its size and channels, or why it cannot be read. The parameters are those of `decode`."""
    headers: list[ImageHeader | ImageError] = [ImageHeader(0, 0, 0)] * len(pictures)
    for number, found in _each(_measured, pictures, report, front_to_back, task):
        headers[number] = found
    return headers


def common_size(headers: Sequence[ImageHeader], largest_side: int | None = None) -> tuple[int, int]:
    """The size (rows, columns) to bring pictures to: the one they share; else their medians, at most 64 pixels.

    Where sizes differ, the medians of the heights and of the widths are taken; if the larger exceeds 64, both
    are scaled down so that it is 64. A size they share is scaled down only where it exceeds `largest_side`.

    Examples
    --------
    >>> common_size([ImageHeader(300, 400, 3)] * 3)
    (300, 400)
    >>> common_size([ImageHeader(300, 400, 3)] * 3, largest_side=100)
    (75, 100)
    >>> common_size([ImageHeader(300, 400, 3), ImageHeader(330, 400, 3), ImageHeader(270, 420, 3)])
    (48, 64)
    """
    sizes = {(header.height, header.width) for header in headers}
    if len(sizes) == 1:
        return within(sizes.pop(), largest_side)
    height, width = np.median([(header.height, header.width) for header in headers], axis=0)
    return within((float(height), float(width)), min(LARGEST_COMMON_SIDE, largest_side or LARGEST_COMMON_SIDE))


def within(size: tuple[float, float], largest_side: int | None) -> tuple[int, int]:
    """The size in whole pixels, scaled down where its larger side exceeds a limit."""
    height, width = size
    scale = 1.0 if largest_side is None else min(1.0, largest_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def common_channels(headers: Sequence[ImageHeader]) -> int:
    """1 if every picture is gray, else 3."""
    return 1 if all(header.channels == 1 for header in headers) else 3


def _decoded(data: bytes, name: str, size: tuple[int, int], channels: int) -> np.ndarray:
    return read_image(io.BytesIO(data), size, channels, name)


def _measured(data: bytes, name: str) -> ImageHeader:
    return read_image_header(io.BytesIO(data), name)


def _each(
    function: Callable[[bytes, str], Result],
    pictures: Sequence[Picture],
    report: Progress,
    front_to_back: bool,
    task: str,
) -> Iterator[tuple[int, Result | ImageError]]:
    """(number, what the function makes of the picture), computed by a pool of threads a little ahead of the caller."""
    from concurrent.futures import ThreadPoolExecutor

    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    by_place = iter(sorted(range(len(pictures)), key=lambda number: pictures[number].place))
    running: deque[Future[list[tuple[int, Result | ImageError]]]] = deque()
    done = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="wimmel-decoding") as pool:
        try:
            while True:
                while len(running) < 2 * threads and (numbers := list(islice(by_place, _PICTURES_PER_TASK))):
                    # A compressed archive is read here, in order; from anything else the pool's threads read.
                    work = [(n, pictures[n].name, _contents(pictures[n]) if front_to_back else None) for n in numbers]
                    running.append(pool.submit(_run, function, work, pictures))
                if not running:
                    break
                results = running.popleft().result()
                yield from results
                done += len(results)
                report(task, done, len(pictures))
        finally:
            for unused in running:
                unused.cancel()


def _run(
    function: Callable[[bytes, str], Result],
    work: Sequence[tuple[int, str, bytes | ImageError | None]],
    pictures: Sequence[Picture],
) -> list[tuple[int, Result | ImageError]]:
    results: list[tuple[int, Result | ImageError]] = []
    for number, name, read_already in work:
        contents = _contents(pictures[number]) if read_already is None else read_already
        if isinstance(contents, ImageError):
            results.append((number, contents))
            continue
        try:
            results.append((number, function(contents, name)))
        except ImageError as error:
            results.append((number, error))
    return results


def _contents(picture: Picture) -> bytes | ImageError:
    try:
        return picture.read()
    except Exception as error:  # a damaged archive raises errors of many libraries; one picture must not end all
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return ImageError(picture.name, f"its file could not be read ({reason})")


def _room_for(shape: tuple[int, ...]) -> np.ndarray:
    """An array to decode into: in memory, or above the budget in a temporary file that vanishes with the array."""
    size = math.prod(shape)
    if size <= MEMORY_BUDGET:
        return np.empty(shape, np.uint8)
    import tempfile

    with tempfile.TemporaryFile(prefix="wimmel-") as file:
        try:
            _reserve(file.fileno(), size)
        except OSError as error:
            raise OSError(
                f"{size:,} bytes are needed for the decoded pictures, and {tempfile.gettempdir()} has no room for them "
                f"({error.strerror}). Choose a smaller size, or set TMPDIR to a folder on a larger disk."
            ) from error
        return np.memmap(file, np.uint8, "r+", shape=shape)


def _reserve(descriptor: int, size: int) -> None:
    """Makes the file that long with room on the disk: a mapped file that meets a full disk would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    zeros = bytes(_ZEROS)
    for first in range(0, size, _ZEROS):
        os.write(descriptor, zeros[: min(_ZEROS, size - first)])
