"""Where pictures come from: a folder, a zip or a tar, opened and listed; nothing is ever unpacked to disk.

Given a path; hands on the pictures in it, each with the folders on its way and a function that reads its
bytes.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wimmel.data.arrangement import Picture
from wimmel.files import IMAGE_SUFFIXES

if TYPE_CHECKING:
    import tarfile

SIZE_LIMIT = 1 << 28
"""Files of more bytes than this in an archive are skipped: no picture needs them, and they may be traps."""


@dataclass(frozen=True)
class Source:
    """Pictures to be read while the source is open, and what was passed over, as (name, reason).

    front_to_back: whether the pictures must be read in the order of their places, by one thread.
    """

    pictures: tuple[Picture, ...]
    skipped: tuple[tuple[str, str], ...]
    front_to_back: bool


@contextmanager
def opened_source(paths: Sequence[tuple[str, Path]]) -> Iterator[Source]:
    """All pictures in some folders and archives, as one source, open until the block ends.

    Files that have no picture's suffix, hidden files, and what macOS adds to archives are ignored. In
    archives, links and names that lead outside are skipped.

    Parameters
    ----------
    paths : sequence of (str, Path)
        Folders, zips and tars, each with the folder that its pictures shall appear to lie in ("" for none).

    Yields
    ------
    Source

    Raises
    ------
    OSError, ValueError
        If an archive cannot be opened, or is truncated or damaged.
    """
    with ExitStack() as open_files:
        sources: list[Source] = []
        for top, path in paths:
            if path.is_dir():
                source = _folder(path)
            elif _is_zip(path):
                source = open_files.enter_context(_zip(path))
            else:
                source = open_files.enter_context(_tar(path))
            inside = (top,) if top else ()
            first = sum(len(earlier.pictures) for earlier in sources)
            pictures = (
                replace(picture, folders=inside + picture.folders, place=place)
                for place, picture in enumerate(source.pictures, start=first)
            )
            sources.append(replace(source, pictures=tuple(pictures)))
        yield Source(
            tuple(picture for source in sources for picture in source.pictures),
            tuple(entry for source in sources for entry in source.skipped),
            any(source.front_to_back for source in sources),
        )


def _folder(path: Path) -> Source:
    pictures = []
    seen: set[str] = set()
    # Folders may be links, as shared collections often are; the set stops those that lead around in a circle.
    for folder, below, files in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not _is_hidden(name))
        here = Path(folder)
        for file in sorted(files):
            if _is_picture(file):
                read = (here / file).read_bytes
                pictures.append(Picture(str(here / file), here.relative_to(path).parts, file, 0, read))
    return Source(tuple(pictures), (), front_to_back=False)


@contextmanager
def _zip(path: Path) -> Iterator[Source]:
    import zipfile

    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(f"{path} is truncated or damaged, or not a zip archive ({error}).") from error
    with archive:
        pictures, skipped = [], []
        for entry in archive.infolist():
            is_link = (entry.external_attr >> 28) == 0xA  # the upper bits hold Unix's file type
            reason = "it is encrypted" if entry.flag_bits & 1 else "it is a link" if is_link else ""
            found = _archived(path, entry.filename, entry.file_size, reason, partial(archive.read, entry))
            if isinstance(found, Picture):
                pictures.append(found)
            elif found:
                skipped.append(found)
        yield Source(tuple(pictures), tuple(skipped), front_to_back=False)


@contextmanager
def _tar(path: Path) -> Iterator[Source]:
    import lzma
    import tarfile

    damage = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
    try:
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            _check_end(archive)
    except damage as error:
        raise ValueError(f"{path} is truncated or damaged, or not a tar archive ({error}).") from error
    # Opened afresh, so that a compressed archive is read forward from its start.
    with tarfile.open(path) as archive:
        pictures, skipped = [], []
        for member in members:
            if member.isdir():
                continue
            reason = "" if member.isreg() else "it is a link or a device"
            found = _archived(path, member.name, member.size, reason, partial(_tar_member, archive, member))
            if isinstance(found, Picture):
                pictures.append(found)
            elif found:
                skipped.append(found)
        yield Source(tuple(pictures), tuple(skipped), front_to_back=True)


def _check_end(archive: tarfile.TarFile) -> None:
    """Refuses an archive without its end mark: tarfile takes a header cut in two for the end, and says nothing."""
    import tarfile

    if archive.fileobj is not None:
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("its end is missing")


def _tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    contents = archive.extractfile(member)
    if contents is None:
        raise ValueError("it is not an ordinary file")
    return contents.read()


def _archived(
    archive: Path, stored_name: str, size: int, reason: str, read: partial[bytes]
) -> Picture | tuple[str, str] | None:
    """The picture, or (name, why it is passed over), or None for what is no picture at all."""
    steps = stored_name.replace("\\", "/").split("/")
    if not _is_picture(steps[-1]) or any(_is_hidden(step) and step not in (".", "..") for step in steps):
        return None
    name = f"{archive}: {stored_name}"
    if steps[0] == "" or ":" in steps[0] or ".." in steps:
        reason = "its name leads outside the archive"
    if size > SIZE_LIMIT:
        reason = f"it would unpack to {size:,} bytes"
    if reason:
        return name, reason
    folders = tuple(step for step in steps[:-1] if step not in ("", "."))
    return Picture(name, folders, steps[-1], 0, read)


def _is_picture(file: str) -> bool:
    return not _is_hidden(file) and Path(file).suffix.lower() in IMAGE_SUFFIXES


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"
