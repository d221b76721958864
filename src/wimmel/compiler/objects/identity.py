"""What an object depends on, as a key: the schedule, the target, and everything that makes code of them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from wimmel.compiler.targets import Target

COMPILER = Path(__file__).parent.parent


def of_schedule(schedule: Any, target: Target) -> bytes:
    """The key of a schedule's kernel. Equal schedules of different spelling (0.0 and -0.0) have different keys."""
    return _digest("schedule", type(schedule).__module__, repr(schedule), repr(target))


def of_text(text: str, target: Target) -> bytes:
    """The key of code that no schedule describes."""
    return _digest("text", text, repr(target))


def unchanged() -> bool:
    """Whether the compiler's files are still what this process runs. If somebody edits them or installs another version
    in the meantime, keys may be those of the new code: nothing is to be read or kept under them."""
    return bool(_AT_START) and _stamps() == _AT_START


def _digest(*parts: str) -> bytes:
    digest = hashlib.sha256(_makers())
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.digest()


@cache
def _makers() -> bytes:
    """A digest of the compiler and of llvmlite, with the LLVM inside."""
    from wimmel import __version__

    digest = hashlib.sha256(__version__.encode())
    for path in _sources():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(COMPILER).as_posix()} {len(content)}\n".encode() + content)
    for path in _llvmlite_files():
        version = path.read_bytes() if path.suffix == ".py" else b""
        digest.update(f"{path.name} {path.stat().st_size}\n".encode() + version)
    return digest.digest()


def _sources() -> list[Path]:
    """The compiler's files; none where it was imported from something other than a folder."""
    try:
        return sorted(path for path in _within(COMPILER) if path.suffix == ".py")
    except OSError:
        return []


def _within(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if not entry.is_dir():
            yield Path(entry.path)
        elif entry.name != "__pycache__":
            yield from _within(Path(entry.path))


def _stamps() -> list[tuple[str, int, int]]:
    statuses = ((str(path), path.stat()) for path in _sources())
    return [(name, status.st_size, status.st_mtime_ns) for name, status in statuses]


def _llvmlite_files() -> list[Path]:
    """The file that says llvmlite's version, and its library: looked at, for importing them takes 30 to 150 ms."""
    try:
        spec = importlib.util.find_spec("llvmlite")
    except ValueError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return []
    home = Path(next(iter(spec.submodule_search_locations)))
    libraries = [path for path in _within(home / "binding") if "llvmlite" in path.name]
    return [home / "_version.py", *sorted(libraries)]


_AT_START = _stamps()
