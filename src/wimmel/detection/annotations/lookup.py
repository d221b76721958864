"""Finding the picture that an annotation names: beside it, in its folder of pictures, or anywhere below."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence, Set
from functools import cached_property
from pathlib import Path

from wimmel.files import IMAGE_SUFFIXES


class Pictures:
    """The pictures in some folders, by name.

    Parameters
    ----------
    folders : sequence of Path
        Searched with all folders below, when a name is not found where it says.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """All pictures, sorted."""
        return tuple(sorted({path for folder in self.folders for path in pictures_below(folder)}))

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        """Under their file names, and under those without suffix, in lower case."""
        found: dict[str, list[Path]] = {}
        for path in self.paths:
            for name in {path.name.lower(), path.stem.lower()}:
                found.setdefault(name, []).append(path)
        return found

    @property
    def names(self) -> Set[str]:
        """File names, with and without suffix, in lower case."""
        return self._by_name.keys()

    def find(self, name: str, beside: Path) -> Path:
        """The picture of that name.

        Parameters
        ----------
        name : str
            A path, a file name, or one without suffix.
        beside : Path
            The folder that the path is relative to.

        Raises
        ------
        LookupError
            If there is none, or several that fit equally well; its message is a clause.
        """
        path = Path(name.replace("\\", "/"))
        for folder in (beside, *self.folders):
            if _is_file(folder / path):
                return folder / path
        candidates = self._by_name.get(path.name.lower(), [])
        fits = [_common_tail(_twin(beside) / path, candidate) for candidate in candidates]
        best = [candidate for candidate, fit in zip(candidates, fits, strict=True) if fit == max(fits)]
        if not best:
            raise LookupError(f"there is no picture {name}")
        if len(best) > 1:
            raise LookupError(f"{name} may be {best[0]} or {best[1]}")
        return best[0]


def pictures_below(folder: Path) -> Iterator[Path]:
    """All picture files in a folder and those below it, hidden ones left out."""
    return (file for file in files_below(folder) if file.suffix.lower() in IMAGE_SUFFIXES)


def files_below(folder: Path) -> Iterator[Path]:
    """All files in a folder and those below it, sorted, hidden ones left out."""
    for place, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith(".") and name != "__MACOSX")
        yield from (Path(place) / file for file in sorted(files) if not file.startswith("."))


def _twin(folder: Path) -> Path:
    """The folder of pictures that belongs to a folder of YOLO's labels: the same but for that word."""
    return Path(*("images" if part == "labels" else part for part in folder.resolve().parts))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for the system, or with a zero in it
        return False


def _common_tail(first: Path, second: Path) -> int:
    """How many folders, from the last, two paths share; file names apart."""
    shared = 0
    for one, other in zip(reversed(first.parts[:-1]), reversed(second.resolve().parts[:-1]), strict=False):
        if one != other:
            break
        shared += 1
    return shared
