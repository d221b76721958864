"""Objects kept on disk. Only what this user wrote is ever loaded, and an entry is there whole or not at all.

The folder is the system's for caches: ``$XDG_CACHE_HOME/wimmel`` or ``~/.cache/wimmel``, on macOS
``~/Library/Caches/wimmel``, on Windows ``%LOCALAPPDATA%\\wimmel``. The environment variable ``WIMMEL_CACHE_DIR`` names
another one, or is ``off``: then nothing is kept. Without a folder that can be written to, everything works, and is
compiled anew in each process.

    entry = magic, key: 32 bytes, length: u64, SHA-256 of the object: 32 bytes, object

Small texts that belong to a version of the compiler lie beside them, as they are.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import sys
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

SETTING = "WIMMEL_CACHE_DIR"
LIMIT_BYTES = 256 * 2**20
DAY = 86400.0

_MAGIC = b"wimmel object 1\n"
_HEAD = struct.Struct(f"<{len(_MAGIC)}s32sQ32s")
TEXT = ".json"
_SUFFIX, _UNFINISHED, _PRUNED = ".object", ".unfinished", "pruned"
_OURS = re.compile(r"[0-9a-f]{64}(\.object|\.json|\.[0-9a-f]{16}\.unfinished)")
_PRUNE_AFTER_BYTES = LIMIT_BYTES // 8
_written = 0
"""Bytes this process has written since it last looked whether the folder is too large."""

_warned: set[str] = set()


def folder() -> Path | None:
    """Where entries are kept; None where nothing is to be kept, or no place is known."""
    setting = os.environ.get(SETTING, "")
    if setting.strip().lower() == "off":
        return None
    try:
        if setting:
            return Path(setting).expanduser().absolute()
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA", "")
            return Path(local) / "wimmel" if local else None
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "wimmel"
        given = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return (given if given.is_absolute() else Path.home() / ".cache") / "wimmel"
    except (RuntimeError, OSError):  # no home, or no working directory
        return None


def read(keys: Iterable[bytes]) -> dict[bytes, bytes]:
    """The objects that are there and sound, by key. Their entries count as just used."""
    place = folder()
    opened = _Folder.open(place) if place is not None else None
    if opened is None:
        return {}
    with opened:
        found = {key: opened.entry(key) for key in keys}
    return {key: content for key, content in found.items() if content is not None}


def write(objects: Mapping[bytes, bytes]) -> None:
    """Keeps objects under their keys, if that can be done."""
    global _written
    place = folder()
    if place is None or not objects:
        return
    opened = _created(place)
    if opened is None:
        return
    with opened:
        try:
            for key, content in objects.items():
                head = _HEAD.pack(_MAGIC, key, len(content), hashlib.sha256(content).digest())
                opened.put(key.hex() + _SUFFIX, head + content)
                _written += _HEAD.size + len(content)
            if _written > _PRUNE_AFTER_BYTES or opened.age(_PRUNED) > DAY:
                opened.prune(LIMIT_BYTES)
                _written = 0
        except OSError:
            return  # read-only, full, or gone by now


def read_text(name: str) -> str | None:
    """The text of that name, if there is one; what is no UTF-8 in it is replaced."""
    place = folder()
    opened = _Folder.open(place) if place is not None else None
    if opened is None:
        return None
    with opened:
        content = opened.content(name)
    return None if content is None else content.decode(errors="replace")


def write_text(name: str, text: str) -> None:
    """Keeps a text, if that can be done. Its name is 64 hexadecimal digits, then `TEXT`."""
    assert _OURS.fullmatch(name), name
    place = folder()
    opened = _created(place) if place is not None else None
    if opened is None:
        return
    with opened:
        try:
            opened.put(name, text.encode())
        except OSError:
            return


def _created(place: Path) -> _Folder | None:
    """The folder, made if it is missing and can be made."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return _Folder.open(place)


class _Folder:
    """An open folder. Where the system allows, names are looked up in the folder that was checked, whatever its path
    may mean by then."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self.descriptor = descriptor

    @staticmethod
    def open(path: Path) -> _Folder | None:
        """None where there is no such folder, or it is not safe."""
        if sys.platform == "win32":
            return _Folder(path, None) if path.is_dir() else None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        reason = _distrust(os.fstat(descriptor))
        if reason is None:
            return _Folder(path, descriptor)
        os.close(descriptor)
        if str(path) not in _warned:
            _warned.add(str(path))
            warnings.warn(
                f"compiled code is not kept in {path}, because {reason}; set {SETTING} to a folder that only you can "
                "write to, or to 'off'",
                RuntimeWarning,
                stacklevel=2,
            )
        return None

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)

    def entry(self, key: bytes) -> bytes | None:
        """The object of a key, or None where there is no sound entry."""
        content = self.content(key.hex() + _SUFFIX)
        return None if content is None else _checked(key, content)

    def content(self, name: str) -> bytes | None:
        """What a file of this user's holds, which counts as just used; None where there is none."""
        try:
            file = self._open(name, os.O_RDONLY)
        except OSError:
            return None
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) or _distrust(status) is not None:
                return None
            with os.fdopen(file, "rb", closefd=False) as stream:
                content = stream.read()
        except OSError:
            return None
        finally:
            os.close(file)
        if time.time() - status.st_mtime > DAY:
            self._touch(name)
        return content

    def put(self, name: str, content: bytes) -> None:
        """Writes a file under a name of its own, which it then exchanges for the right one."""
        unfinished = f"{name[:64]}.{os.urandom(8).hex()}{_UNFINISHED}"
        file = self._open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            with os.fdopen(file, "wb") as stream:
                stream.write(content)
            self._rename(unfinished, name)
        except BaseException:
            self._remove(unfinished)
            raise

    def age(self, name: str) -> float:
        """Seconds since the file was touched; infinite if there is none."""
        try:
            return abs(time.time() - self._status(name).st_mtime)
        except OSError:
            return float("inf")

    def prune(self, limit: int) -> None:
        """Removes what was never finished and, above the limit, the entries not used for longest until a quarter of it
        is free."""
        os.close(self._open(_PRUNED, os.O_WRONLY | os.O_CREAT))
        self._touch(_PRUNED)
        entries = []
        for name in self._names():
            if not _OURS.fullmatch(name):
                continue
            try:
                status = self._status(name)
            except OSError:
                continue  # another process was faster
            if not name.endswith(_UNFINISHED):
                entries.append((status.st_mtime, status.st_size, name))
            elif time.time() - status.st_mtime > DAY / 24:
                self._remove(name)
        total = sum(size for _, size, _ in entries)
        if total <= limit:
            return
        for _, size, name in sorted(entries):
            self._remove(name)
            total -= size
            if total <= limit - limit // 4:
                return

    # names in the folder

    def _open(self, name: str, flags: int) -> int:
        if self.descriptor is None:
            return os.open(self.path / name, flags | getattr(os, "O_BINARY", 0), 0o600)
        safe = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(name, flags | safe, 0o600, dir_fd=self.descriptor)

    def _names(self) -> list[str]:
        with os.scandir(self.path if self.descriptor is None else self.descriptor) as entries:
            return [entry.name for entry in entries]

    def _status(self, name: str) -> os.stat_result:
        if self.descriptor is None:
            return (self.path / name).lstat()
        return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)

    def _rename(self, old: str, new: str) -> None:
        if self.descriptor is None:
            (self.path / old).replace(self.path / new)
        else:
            os.replace(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def _touch(self, name: str) -> None:
        try:
            if self.descriptor is None:
                os.utime(self.path / name)
            else:
                os.utime(name, dir_fd=self.descriptor, follow_symlinks=False)
        except (OSError, NotImplementedError):
            pass  # a cache that may only be read

    def _remove(self, name: str) -> None:
        try:
            if self.descriptor is None:
                (self.path / name).unlink()
            else:
                os.unlink(name, dir_fd=self.descriptor)
        except OSError:
            pass  # another process was faster, or has it open


def _distrust(status: os.stat_result) -> str | None:
    """Why code must not be taken from a file or folder, if so. What is asked about was opened before, so that nobody
    can exchange it in between; a parent folder that others can write to does not matter then."""
    if sys.platform == "win32":
        return None  # folders of a user's profile are the user's alone
    if status.st_uid != os.geteuid():
        return "it belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "other users may write to it"
    return None


def _checked(key: bytes, content: bytes) -> bytes | None:
    if len(content) < _HEAD.size:
        return None
    magic, named, length, digest = _HEAD.unpack_from(content)
    found = content[_HEAD.size :]
    sound = (magic, named, length) == (_MAGIC, key, len(found)) and digest == hashlib.sha256(found).digest()
    return found if sound else None
