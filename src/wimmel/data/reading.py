"""Reading a labelled set of pictures from wherever it is: what is found decides how.

Given the path of a folder, an archive or a file of arrays; hands on data sets for training and testing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wimmel.data.arrangement import EXPECTED, SPLIT_ROLES, Picture, arrange
from wimmel.data.arrays import read_idx_pairs, read_npz
from wimmel.data.datasets import Dataset, Splits
from wimmel.data.decoding import common_channels, common_size, decode, measure, within
from wimmel.data.idx import idx_pairs, looks_like_idx
from wimmel.data.progress import Progress, reporting
from wimmel.data.sources import opened_source
from wimmel.files import ImageError, ImageHeader, fit_image
from wimmel.files.atomic import sentence_error
from wimmel.files.pixels import check_channels, rows_columns

_ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
_ARRAY_SUFFIX = ".npz"
_SHOWN_REASONS = 3


def read(
    path: str | os.PathLike[str],
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    progress: bool | Progress = True,
    *,
    largest_side: int | None = None,
    fewest_classes: int = 2,
) -> Splits:
    """The data sets at a path: pictures to train on and, where they come apart, pictures to test on.

    What may be there:

    - a folder with one folder of pictures per class; with train/ and test/ (or val/) folders around them,
      these are the parts. Pictures in folders below a class count, hidden files and other files do not.
      Classes are sorted by name, or by number if all their names are numbers. Where there are both val/ and
      test/, val joins train;
    - a zip or tar (also gzip, bzip2 or xz) of such folders; or a folder that holds train.zip and test.zip;
    - MNIST's own files, and others of its kind: a folder that holds train-images-idx3-ubyte,
      train-labels-idx1-ubyte and the t10k pair, compressed with gzip or not; or a lone pair, by its folder
      or one of its files;
    - an .npz of images and labels (x and y, data and targets, ...), or of x_train, y_train, x_test and
      y_test; images as (n, rows, columns), (n, rows, columns, channels) or (n, channels, rows, columns).

    Pictures of a folder or archive that cannot be read are passed over and listed in `skipped`. Archives are
    read in memory and never unpacked. Above 2 GiB the decoded pictures lie in a temporary file.

    Parameters
    ----------
    path : str or path
    size : int or (rows, columns), default None
        The size of all pictures: they are scaled to cover it and cut to it around the middle. None takes the
        size that all training pictures share; if they differ, the medians of their heights and widths, scaled
        down so that the larger is at most 64.
    channels : 1 or 3, default None
        Gray or RGB. None takes gray if all training pictures are gray, else RGB.
    progress : bool or callable, default True
        Whether to show a bar on the standard error output when it takes longer than two seconds; or a
        function that is called with (task, done, total).
    largest_side : int, default None
        Where no size is given and the pictures share a larger one, they are scaled down so that their larger side
        is this; None keeps it.
    fewest_classes : int, default 2
        How many classes must have pictures to train on: two to tell apart, but 1 is enough to evaluate on.

    Returns
    -------
    Splits
        The named tuple (train, test); test is None where there is no such part.

    Raises
    ------
    OSError
        If there is nothing at the path, or it cannot be read.
    ValueError
        If nothing there can be understood as labelled pictures, a file is damaged, or too few classes have a
        picture that can be read. The message says what was found and what is expected.

    Examples
    --------
    >>> import tempfile
    >>> from wimmel.files import write_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, gray in (("dark", 30), ("light", 220)):
    ...         Path(folder, name).mkdir()
    ...         write_image(Path(folder, name, "1.png"), np.full((1, 8, 8), gray, np.uint8))
    ...     train, test = read(folder)
    >>> train.shape, train.classes, train.images.mean(axis=(1, 2, 3)).tolist(), test
    ((1, 8, 8), ('dark', 'light'), [30.0, 220.0], None)
    """
    path = Path(path)
    pair = rows_columns(size)
    check_channels(channels)
    if largest_side is not None and largest_side < 1:
        raise ValueError(f"largest_side must be a whole number of at least 1, or None; got {largest_side}.")
    if fewest_classes not in (1, 2):
        raise ValueError(f"fewest_classes must be 1 or 2; got {fewest_classes}.")
    if not path.exists():
        raise sentence_error(
            FileNotFoundError, errno.ENOENT, f"There is nothing at {path}; check the name. {EXPECTED}."
        )
    name = _stem(path.resolve().name)
    if path.is_dir():
        return _read_folder(path, name, pair, channels, progress, largest_side, fewest_classes)
    if looks_like_idx(path):
        return _limited(_read_idx_file(path, name, pair, channels, fewest_classes), pair, largest_side)
    if _is_npz(path):
        return _limited(read_npz({"": path}, name, pair, channels, fewest_classes), pair, largest_side)
    if _is_archive(path):
        return _read_pictures([("", path)], str(path), name, pair, channels, progress, largest_side, fewest_classes)
    raise ValueError(f"{path} is of no kind that pictures are read from. {EXPECTED}.")


def _read_folder(
    path: Path,
    name: str,
    size: tuple[int, int] | None,
    channels: int | None,
    progress: bool | Progress,
    largest_side: int | None,
    fewest_classes: int,
) -> Splits:
    children = sorted(child for child in path.iterdir() if not child.name.startswith("."))
    if pairs := idx_pairs(path) or (idx_pairs(children[0]) if len(children) == 1 and children[0].is_dir() else []):
        return _limited(read_idx_pairs(pairs, name, size, channels, fewest_classes), size, largest_side)
    for suffixes in (_ARCHIVE_SUFFIXES, (_ARRAY_SUFFIX,)):
        files = [child for child in children if child.is_file() and child.name.lower().endswith(suffixes)]
        stems = {file: _stem(file.name).lower() for file in files}
        parts = {SPLIT_ROLES[stem]: file for file, stem in stems.items() if stem in SPLIT_ROLES}
        if "train" in parts and suffixes == _ARCHIVE_SUFFIXES:
            return _read_pictures(
                list(parts.items()), str(path), name, size, channels, progress, largest_side, fewest_classes
            )
        if "train" in parts:
            return _limited(read_npz(parts, name, size, channels, fewest_classes), size, largest_side)
        if len(files) == 1 and not any(child.is_dir() for child in children):
            return read(files[0], size, channels, progress, largest_side=largest_side, fewest_classes=fewest_classes)
    return _read_pictures([("", path)], str(path), name, size, channels, progress, largest_side, fewest_classes)


def _read_idx_file(
    path: Path, name: str, size: tuple[int, int] | None, channels: int | None, fewest_classes: int
) -> Splits:
    for pair in idx_pairs(path.parent):
        if path.name in (pair.images.name, pair.labels.name):
            return read_idx_pairs([pair], pair.part or name, size, channels, fewest_classes)
    raise ValueError(
        f"{path} is an IDX file, but its name does not tell which labels belong to it; pairs are named such as "
        "train-images-idx3-ubyte and train-labels-idx1-ubyte. wimmel.data.read_idx reads any single file."
    )


def _read_pictures(
    paths: Sequence[tuple[str, Path]],
    where: str,
    name: str,
    size: tuple[int, int] | None,
    channels: int | None,
    progress: bool | Progress,
    largest_side: int | None,
    fewest_classes: int,
) -> Splits:
    with opened_source(paths) as source, reporting(progress) as report:
        found = arrange(source.pictures, where, fewest_classes)
        classes = tuple(found.train)
        train, train_labels = _labelled(found.train, classes)
        skipped = [*source.skipped, *((stray, "it lies in no class's folder") for stray in found.stray)]
        if size is None or channels is None:
            headers = measure(train, report, source.front_to_back)
            sound = [header for header in headers if isinstance(header, ImageHeader)]
            size = size or common_size(sound or [ImageHeader(1, 1, 1)], largest_side)
            channels = channels or common_channels(sound)
            skipped += [
                (picture.name, header.reason)
                for picture, header in zip(train, headers, strict=True)
                if isinstance(header, ImageError)
            ]
            readable = np.array([isinstance(header, ImageHeader) for header in headers])
            train, train_labels = [train[place] for place in np.flatnonzero(readable)], train_labels[readable]
        decoded = decode(train, size, channels, report, source.front_to_back)
        skipped += decoded.skipped
        labels = train_labels[decoded.places]
        _check_readable(labels, skipped, where, fewest_classes)
        training = Dataset(decoded.images, labels, classes, tuple(skipped), name)
        if not found.test:
            return Splits(training, None)
        test, test_labels = _labelled(found.test, classes)
        decoded = decode(test, size, channels, report, source.front_to_back, task="decoding the test part")
        testing = Dataset(decoded.images, test_labels[decoded.places], classes, decoded.skipped, f"{name} test")
        return Splits(training, testing if len(testing) else None)


def _limited(splits: Splits, size: tuple[int, int] | None, largest_side: int | None) -> Splits:
    """Pictures that came as arrays, scaled down where no size was given and theirs exceeds the limit."""
    wanted = within(splits.train.images.shape[2:], largest_side)
    if size is not None or wanted == splits.train.images.shape[2:]:
        return splits
    return Splits(_scaled(splits.train, wanted), None if splits.test is None else _scaled(splits.test, wanted))


def _scaled(part: Dataset, size: tuple[int, int]) -> Dataset:
    images = np.stack([fit_image(image, size, None) for image in part.images])
    return Dataset(images, part.labels, part.classes, part.skipped, part.name)


def _labelled(pictures: dict[str, list[Picture]], classes: Sequence[str]) -> tuple[list[Picture], np.ndarray]:
    flat = [picture for members in pictures.values() for picture in members]
    labels = [classes.index(name) for name, members in pictures.items() for _ in members]
    return flat, np.array(labels, np.int64)


def _check_readable(labels: np.ndarray, skipped: Sequence[tuple[str, str]], where: str, fewest: int) -> None:
    if len(np.unique(labels)) >= min(fewest, 2):
        return
    shown = "; ".join(f"{name}: {reason}" for name, reason in skipped[:_SHOWN_REASONS])
    more = f"; and {len(skipped) - _SHOWN_REASONS:,} more" if len(skipped) > _SHOWN_REASONS else ""
    lacking = ", and not from two classes" if fewest > 1 else ""
    raise ValueError(
        f"Of the pictures in {where}, {len(labels):,} could be read{lacking}; "
        f"{len(skipped):,} were passed over. {shown}{more}."
    )


def _stem(name: str) -> str:
    """A file's name without the suffixes that data sets come in."""
    lower = name.lower()
    suffixes = sorted((*_ARCHIVE_SUFFIXES, _ARRAY_SUFFIX), key=len, reverse=True)
    return next((name[: -len(suffix)] for suffix in suffixes if lower.endswith(suffix)), name)


def _is_npz(path: Path) -> bool:
    import zipfile

    if path.suffix.lower() == _ARRAY_SUFFIX:
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def _is_archive(path: Path) -> bool:
    import tarfile

    if path.name.lower().endswith(_ARCHIVE_SUFFIXES):
        return True
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            return True
    return tarfile.is_tarfile(path)
