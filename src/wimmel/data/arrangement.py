"""Which picture belongs to which class and part, told from the folders it lies in; on disk and in archives alike.

Given pictures with the folders on their way; hands on, for training and testing, the classes with their
pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

SPLIT_ROLES = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "t10k": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
"""Names of folders and files that stand for a part of a data set, in lower case, and the part."""

EXPECTED = (
    "Expected is a folder with one folder per class, such as photos/cat/1.jpg and photos/dog/2.jpg, perhaps within "
    "train/ and test/; a zip or tar of that; MNIST's own files; or an .npz of images and labels"
)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Picture:
    """A picture not yet decoded.

    name: what messages call it. folders: the folders it lies in, from the top. file: its own name.
    place: where it stands in its source, for sources that are best read from front to back.
    read: gives the file's bytes.
    """

    name: str
    folders: tuple[str, ...]
    file: str
    place: int
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Arrangement:
    """Pictures sorted into classes; `stray` are those that lie in no class's folder, by name."""

    train: dict[str, list[Picture]]
    test: dict[str, list[Picture]]
    stray: tuple[str, ...]


def arrange(pictures: Iterable[Picture], where: str, fewest_classes: int = 2) -> Arrangement:
    """The pictures of each class, for training and for testing.

    A folder that merely wraps all others is passed through. Folders that are all named train, test or val are
    parts of a data set; if there is no test, val (also valid, validation) serves as it, and otherwise it
    joins train, because wimmel draws its own validation part from that. Within a part, the topmost folder is
    the class; the pictures of a class may lie in folders below. Classes are sorted by name, or by number if
    all their names are numbers.

    Parameters
    ----------
    pictures : iterable of Picture
    where : str
        What to call the source in messages.
    fewest_classes : int, default 2

    Returns
    -------
    Arrangement
        The training part has at least the fewest classes; the test part has no others.

    Raises
    ------
    ValueError
        If there are no pictures, no classes, too few, or other classes in the test part than in the training
        part.

    Examples
    --------
    >>> found = [Picture(f"{name}/1.png", (name,), "1.png", 0, bytes) for name in ("10", "9")]
    >>> list(arrange(found, "numbers").train)
    ['9', '10']
    """
    found = _unwrapped(list(pictures))
    if not found:
        raise ValueError(f"No pictures were found in {where}. {EXPECTED}.")
    tops = {picture.folders[0].lower() for picture in found if picture.folders}
    parts = {"train": found}
    if len(tops) > 1 and tops <= SPLIT_ROLES.keys():
        parts = {}
        for picture in found:
            role = SPLIT_ROLES[picture.folders[0].lower()] if picture.folders else "train"
            parts.setdefault(role, []).append(replace(picture, folders=picture.folders[1:]))
        if "train" not in parts:
            raise ValueError(f"{where} has folders {' and '.join(sorted(tops))}, but no train/ to learn from.")
    parts = join_validation(
        {role: _unwrapped(part) for role, part in parts.items()}, lambda first, second: first + second
    )
    train, test = (_by_class(parts.get(role, ())) for role in ("train", "test"))
    _check_classes(train, test, where, fewest_classes)
    stray = tuple(picture.name for part in parts.values() for picture in part if not picture.folders)
    return Arrangement(train, test, stray)


def join_validation(parts: Mapping[str, Value], join: Callable[[Value, Value], Value]) -> dict[str, Value]:
    """The parts as "train" and "test" alone: a validation part serves as test, or joins train if there is a test.

    Examples
    --------
    >>> join_validation({"train": "a", "validation": "b", "test": "c"}, lambda first, second: first + second)
    {'train': 'ab', 'test': 'c'}
    """
    train, test, validation = (parts.get(role) for role in ("train", "test", "validation"))
    if validation is not None and test is not None and train is not None:
        train = join(train, validation)
    elif validation is not None:
        test = validation
    return {role: part for role, part in (("train", train), ("test", test)) if part is not None}


def _unwrapped(pictures: list[Picture]) -> list[Picture]:
    """The pictures without the outer folders that all of them share, as long as there are folders within."""
    while pictures:
        tops = {picture.folders[:1] for picture in pictures}
        if len(tops) > 1 or tops == {()} or all(len(picture.folders) == 1 for picture in pictures):
            break
        pictures = [replace(picture, folders=picture.folders[1:]) for picture in pictures]
    return pictures


def _by_class(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    classes: dict[str, list[Picture]] = {}
    for picture in pictures:
        if picture.folders:
            classes.setdefault(picture.folders[0], []).append(picture)
    numbered = all(name.isdecimal() for name in classes)
    names = sorted(classes, key=lambda name: (int(name), name) if numbered else (0, name))
    return {name: sorted(classes[name], key=lambda picture: (picture.folders, picture.file)) for name in names}


def _check_classes(train: Mapping[str, Sequence[Picture]], test: Mapping[str, object], where: str, fewest: int) -> None:
    if not train:
        raise ValueError(f"The pictures in {where} lie in no folder that would tell their class. {EXPECTED}.")
    if len(train) == 1 < fewest:
        [(name, pictures)] = train.items()
        raise ValueError(
            f"The {len(pictures):,} pictures in {where} are all in one class, {name}; at least two are needed to tell "
            f"apart. {EXPECTED}."
        )
    strangers = sorted(test.keys() - train.keys())
    if strangers:
        raise ValueError(f"The test part of {where} has classes that the training part lacks: {', '.join(strangers)}.")
