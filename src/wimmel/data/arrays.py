"""Data sets out of plain arrays, as .npz and IDX files hold them: any usual layout, dtype and labelling goes in.

Hands on a training set and, where there is one, a test set with the same classes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from wimmel.data.arrangement import SPLIT_ROLES, join_validation
from wimmel.data.datasets import Dataset, Splits
from wimmel.data.idx import IdxPair, read_idx
from wimmel.files import fit_image

_IMAGE_NAMES = frozenset({"x", "image", "images", "data", "picture", "pictures", "features"})
_LABEL_NAMES = frozenset({"y", "label", "labels", "target", "targets"})
_CLASS_NAME_NAMES = frozenset({"classes", "class_names", "label_names", "target_names", "names"})
_CHANNEL_COUNTS = (1, 3, 4)
_EXPECTED = (
    "An .npz file should hold images and labels under names such as x and y, images and labels, data and targets; "
    "or, with a test part, x_train, y_train, x_test and y_test"
)

Part = tuple[np.ndarray, np.ndarray]
"""Pictures uint8 (n, channels, rows, columns) and labels of any kind (n,)."""


def read_npz(
    paths: Mapping[str, Path],
    name: str,
    size: tuple[int, int] | None,
    channels: int | None,
    fewest_classes: int = 2,
) -> Splits:
    """The data sets in one .npz file, or in two that are the parts of one.

    Parameters
    ----------
    paths : dict of str to Path
        The files by the part they hold: {"train": ..., "test": ...}; a lone file under "".
    name : str
        What to call the data set.
    size : (rows, columns), or None to keep it
    channels : 1 or 3, or None to keep them

    Returns
    -------
    Splits

    Raises
    ------
    OSError, ValueError
        If a file is damaged, or what it holds cannot be understood as labelled pictures.
    """
    parts: dict[str, Part] = {}
    class_names: Sequence[str] | None = None
    for role, path in paths.items():
        with _opened(path) as arrays:
            pairs = _pairs(arrays, path)
            if role and len(pairs) > 1:
                raise ValueError(f"{path} should hold the {role} part alone, but it holds {', '.join(pairs)}.")
            for found, (images, labels) in pairs.items():
                parts[role or found] = (
                    pictures_from_array(_array(arrays, images, path), f"{images} in {path}"),
                    _labels_from_array(_array(arrays, labels, path), f"{labels} in {path}"),
                )
            class_names = class_names or _class_names(arrays, path)
    if "train" not in parts:
        raise ValueError(f"{name} has a {' and a '.join(parts)} part, but nothing to train on. {_EXPECTED}.")
    return _splits(join_validation(parts, _joined), name, class_names, size, channels, fewest_classes)


def read_idx_pairs(
    pairs: Sequence[IdxPair],
    name: str,
    size: tuple[int, int] | None,
    channels: int | None,
    fewest_classes: int = 2,
) -> Splits:
    """The data sets in one or two pairs of IDX files.

    Parameters
    ----------
    pairs : sequence of IdxPair
        A lone pair is the training set. Of two, one is named as a test part ("t10k", "test").
    name, size, channels
        As in `read_npz`.

    Returns
    -------
    Splits

    Raises
    ------
    OSError, ValueError
        If a file is damaged, the files do not belong together, or it is unclear which pair is which.
    """
    parts: dict[str, Part] = {}
    for pair in pairs:
        images, labels = read_idx(pair.images), read_idx(pair.labels)
        if labels.ndim != 1 or len(labels) != len(images):
            raise ValueError(
                f"{pair.images} and {pair.labels} do not belong together: the first holds {len(images):,} pictures, "
                f"the second {'labels' if labels.ndim == 1 else 'an array'} of shape {labels.shape}."
            )
        role = "train" if len(pairs) == 1 else SPLIT_ROLES.get(pair.part.replace("_", "-").split("-")[-1], "")
        if not role or role in parts:
            names = ", ".join(str(other.images) for other in pairs)
            raise ValueError(f"It is unclear which of these pictures are for training and which for testing: {names}.")
        parts[role] = (
            pictures_from_array(images, str(pair.images)),
            _labels_from_array(labels, str(pair.labels)),
        )
    if "train" not in parts:
        raise ValueError(f"{name} has nothing to train on: {', '.join(str(pair.images) for pair in pairs)}.")
    return _splits(join_validation(parts, _joined), name, None, size, channels, fewest_classes)


def pictures_from_array(array: np.ndarray, what: str) -> np.ndarray:
    """The pictures as uint8 (n, channels, rows, columns).

    (n, rows, columns) is gray. Of four axes the channels are the last one if its size is 1, 3 or 4, except
    where only the second one can be: size 1 or 3 there, and not at the end. Booleans become 0 and 255, floats
    from 0 to 1 are scaled to 0 to 255, larger floats are rounded; 16-bit integers that exceed 255 are scaled
    from 0 to 65,535.

    Parameters
    ----------
    array : ndarray (n, rows, columns), (n, channels, rows, columns) or (n, rows, columns, channels)
    what : str
        What to call the array in messages.

    Returns
    -------
    uint8 array (n, channels, rows, columns)

    Raises
    ------
    TypeError, ValueError
        If the shape or the numbers are not as described.

    Examples
    --------
    >>> pictures_from_array(np.ones((5, 4, 6)), "x").shape, pictures_from_array(np.ones((5, 4, 6)), "x").max()
    ((5, 1, 4, 6), np.uint8(255))
    """
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise ValueError(
            f"{what} has the shape {array.shape}; pictures come as (n, rows, columns), "
            "(n, rows, columns, channels) or (n, channels, rows, columns)."
        )
    if array.ndim == 3:
        array = array[:, np.newaxis]
    elif array.shape[3] in _CHANNEL_COUNTS:
        array = array.transpose(0, 3, 1, 2)
    elif array.shape[1] not in _CHANNEL_COUNTS:
        raise ValueError(f"{what} has the shape {array.shape}; no axis of it is one of 1, 3 or 4 channels.")
    return np.ascontiguousarray(_eight_bits(array, what))


def _eight_bits(array: np.ndarray, what: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise TypeError(f"{what} has dtype {array.dtype}; pictures are made of integers, floats or booleans.")
    lowest, highest = array.min(), array.max()
    if not lowest >= 0:  # also where there is a NaN
        raise ValueError(f"{what} holds numbers from {lowest} to {highest}; pictures start at 0 (black).")
    if np.issubdtype(array.dtype, np.floating) and highest <= 1:
        return np.rint(array * array.dtype.type(255)).astype(np.uint8)
    if highest <= 255:
        return np.rint(array).astype(np.uint8)
    if array.dtype.itemsize == 2 and np.issubdtype(array.dtype, np.integer):
        return np.rint(array * np.float32(255 / 65535)).astype(np.uint8)
    raise ValueError(f"{what} holds numbers up to {highest}; pictures end at 255 (or 1, or 65,535 in 16 bits).")


def _labels_from_array(array: np.ndarray, what: str) -> np.ndarray:
    """Labels (n,) of integers or text; a second axis of size 1 is dropped."""
    labels = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if labels.ndim != 1:
        raise ValueError(f"{what} has the shape {array.shape}; labels come as (n,), one class per picture.")
    if np.issubdtype(labels.dtype, np.floating) and (labels == np.rint(labels)).all():
        labels = labels.astype(np.int64)
    if not (np.issubdtype(labels.dtype, np.integer) or labels.dtype.kind in "US"):
        raise TypeError(f"{what} has dtype {labels.dtype}; labels are whole numbers or names.")
    return labels.astype(np.str_) if labels.dtype.kind == "S" else labels


def _splits(
    parts: Mapping[str, Part],
    name: str,
    class_names: Sequence[str] | None,
    size: tuple[int, int] | None,
    channels: int | None,
    fewest_classes: int,
) -> Splits:
    train_images, train_labels = parts["train"]
    if class_names is not None and train_labels.dtype.kind in "iu":
        values, names = np.arange(len(class_names)), tuple(class_names)
    else:
        values = np.unique(train_labels)
        names = tuple(str(value) for value in values)
    if len(np.unique(train_labels)) < fewest_classes:
        raise ValueError(f"All pictures to train on in {name} are of one class, {names[0]}; at least two are needed.")
    height, width = train_images.shape[2:]
    wanted = (size or (height, width), channels or train_images.shape[1])
    datasets = []
    for part in ("train", "test"):
        if part not in parts:
            continue
        images, labels = parts[part]
        if (labels.dtype.kind == "U") != (values.dtype.kind == "U"):
            raise ValueError(f"The labels of {name} are names in one part and numbers in the other.")
        if len(images) != len(labels):
            raise ValueError(f"{name} has {len(images):,} pictures but {len(labels):,} labels ({part} part).")
        places = np.searchsorted(values, labels).clip(0, len(values) - 1)
        strangers = np.unique(labels[values[places] != labels])
        if len(strangers):
            shown = ", ".join(str(stranger) for stranger in strangers[:5])
            raise ValueError(f"Labels in the {part} part of {name} that are no class of the training part: {shown}.")
        title = name if part == "train" else f"{name} test"
        datasets.append(Dataset(_fitted(images, *wanted), places, names, (), title))
    return Splits(datasets[0], datasets[1] if len(datasets) > 1 else None)


def _fitted(images: np.ndarray, size: tuple[int, int], channels: int) -> np.ndarray:
    if images.shape[1:] == (channels, *size):
        return images
    if images.shape[1] not in (1, 3):
        raise ValueError(
            f"Pictures of {images.shape[1]} channels cannot be brought to {channels} channels of {size}; "
            "read them as they are."
        )
    return np.stack([fit_image(image, size, channels) for image in images])


def _joined(first: Part, second: Part) -> Part:
    if first[0].shape[1:] != second[0].shape[1:]:
        raise ValueError(
            f"The pictures of the train and validation parts differ in shape: {first[0].shape[1:]} and "
            f"{second[0].shape[1:]}."
        )
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


@contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    import zipfile

    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
        file.seek(0)
        try:
            arrays = np.load(file, allow_pickle=False) if is_zip else None
        except (ValueError, zipfile.BadZipFile, EOFError) as error:
            raise ValueError(f"{path} is truncated or damaged ({error}).") from error
        if arrays is None:
            raise ValueError(f"{path} is not an .npz file, or its beginning is damaged. {_EXPECTED}.")
        with arrays:
            yield arrays


def _array(arrays: np.lib.npyio.NpzFile, key: str, path: Path) -> np.ndarray:
    import zipfile

    try:
        return arrays[key]
    except (ValueError, zipfile.BadZipFile, EOFError, OSError, MemoryError) as error:
        if "allow_pickle" in str(error):
            reason = "it holds Python objects, which are not read since that could run code"
        else:
            reason = f"it is truncated or damaged ({error})"
        raise ValueError(f"The array {key} in {path} cannot be read: {reason}.") from error


def _pairs(arrays: np.lib.npyio.NpzFile, path: Path) -> dict[str, tuple[str, str]]:
    """For each part ("train", "test", ...) the keys of its pictures and its labels."""
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    for key in arrays.files:
        words = key.lower().replace("-", "_").split("_")
        roles = [SPLIT_ROLES[word] for word in words if word in SPLIT_ROLES]
        rest = [word for word in words if word not in SPLIT_ROLES]
        role = roles[0] if roles else "train"
        if len(rest) == 1 and rest[0] in _IMAGE_NAMES:
            images[role] = _only(images.get(role), key, path)
        elif len(rest) == 1 and rest[0] in _LABEL_NAMES:
            labels[role] = _only(labels.get(role), key, path)
    held = ", ".join(arrays.files) or "nothing"
    if not images or images.keys() != labels.keys():
        raise ValueError(f"{_EXPECTED}. {path} holds: {held}.")
    return {role: (images[role], labels[role]) for role in images}


def _only(earlier: str | None, key: str, path: str | os.PathLike[str]) -> str:
    if earlier is not None:
        raise ValueError(f"It is unclear whether {earlier} or {key} in {path} is meant. {_EXPECTED}.")
    return key


def _class_names(arrays: np.lib.npyio.NpzFile, path: Path) -> Sequence[str] | None:
    for key in arrays.files:
        if key.lower() in _CLASS_NAME_NAMES:
            names = _array(arrays, key, path)
            if names.ndim == 1 and names.dtype.kind == "U":
                return [str(name) for name in names]
    return None
