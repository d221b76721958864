"""YOLO's text: a file per picture, with a line for each box: class, centre, width and height, in parts of the picture.

The classes' names stand in classes.txt, obj.names or data.yaml; pictures without a text file have no objects.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from wimmel.detection.annotations.listing import Listed, Listing, Mark, Numbers, around, number, shortened
from wimmel.detection.annotations.text import read_text

NAME_FILES = ("classes.txt", "obj.names", "data.yaml", "dataset.yaml", "data.yml")
"""Files that hold the names of the classes, in this order of preference."""

_OTHER_TEXTS = ("train.txt", "val.txt", "valid.txt", "test.txt", "notes.txt", "requirements.txt")


def label_files(files: Sequence[Path]) -> list[Path]:
    """Of some files those that may hold YOLO's boxes: texts, but for the known others."""
    known = (*NAME_FILES, *_OTHER_TEXTS)
    texts = [file for file in files if file.suffix.lower() == ".txt" and file.name.lower() not in known]
    return [file for file in texts if not file.stem.lower().startswith("readme")]


def read_yolo(folder: Path, files: Sequence[Path], pictures: Sequence[Path]) -> Listing:
    """The listing of text files.

    Parameters
    ----------
    folder : Path
        The names of the classes are looked for here and above, up to three folders.
    files : sequence of Path
        Those with boxes.
    pictures : sequence of Path
        Those without a text file become scenes without objects.

    Raises
    ------
    ValueError
        If there are no names of classes.
    """
    listing = Listing(class_names=_class_names(folder))
    for file in files:
        picture = listing.pictures[file] = Listed(file.stem, file, "")
        for line, text in enumerate(read_text(file).splitlines(), start=1):
            if text.strip():
                _add(picture, f"line {line}", text.split(), listing)
    labelled = {file.stem for file in files}
    for path in pictures:
        if path.stem not in labelled:
            listing.pictures[path] = Listed(str(path.resolve()), path, "")
    return listing


def names_in(file: Path) -> list[str]:
    """The classes' names in one of `NAME_FILES`: a name to a line, or what YAML has under ``names:``."""
    text = read_text(file)
    if file.suffix not in (".yaml", ".yml"):
        return [line.strip() for line in text.splitlines() if line.strip()]
    found = re.search(r"^names\s*:[ \t]*(?P<here>[^\n]*)\n?(?P<below>(?:^[ \t-][^\n]*\n?|^\s*\n)*)", text, re.MULTILINE)
    if found is None:
        return []
    here = re.sub(r"\s#.*", "", found["here"]).strip()
    if here[:1] in ("[", "{"):
        inside = (here + " " + " ".join(found["below"].splitlines())).strip().lstrip("[{").split("]")[0].split("}")[0]
        entries = inside.split(",")
    else:
        entries = [re.sub(r"\s#.*", "", line).strip().removeprefix("-") for line in found["below"].splitlines()]
    named = [re.sub(r"^\d+\s*:\s*", "", entry.strip()) for entry in entries if entry.strip()]
    return [name.strip().strip("'\"") for name in named]


def _class_names(folder: Path) -> list[str]:
    tried = [folder, *folder.resolve().parents[:3]]
    for place in tried:
        for name in NAME_FILES:
            if (place / name).is_file() and (names := names_in(place / name)):
                return names
    raise ValueError(
        f"YOLO's classes are numbers, and no file with their names was found in {folder} or above; "
        "write them into classes.txt there, one to a line."
    )


def _add(picture: Listed, place: str, cells: list[str], listing: Listing) -> None:
    names = listing.class_names or []
    values = [number(cell) for cell in cells[1:]]
    box = _box([value for value in values if value is not None]) if None not in values else None
    if box is None:
        listing.complain(
            picture.file, place, f"it is not class, centre, width and height: {shortened(' '.join(cells))}"
        )
    elif not cells[0].isdecimal() or int(cells[0]) >= len(names):
        listing.complain(
            picture.file, place, f"its class is unknown: {shortened(cells[0])}; there are 0 to {len(names) - 1}"
        )
    else:
        picture.marks.append(Mark(picture.file, place, names[int(cells[0])], box, is_relative=True))


def _box(values: list[float]) -> Numbers | None:
    """From centre and size, or, of a polygon's points, the box around it."""
    if len(values) == 4:
        across, down, width, height = values
        return across - width / 2, down - height / 2, across + width / 2, down + height / 2
    if len(values) < 6 or len(values) % 2:
        return None
    return around(list(zip(values[::2], values[1::2], strict=True)))
