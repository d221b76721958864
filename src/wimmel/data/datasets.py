"""A labelled set of pictures as one frozen value, and ways to take parts of it.

Given uint8 pictures, their labels and the classes' names; hands on data sets for training, validation and
testing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wimmel.data.contact_sheet import contact_sheet_html
from wimmel.data.draws import Purpose, words
from wimmel.geometry.whole_numbers import LARGEST_KEY, at_least

_SHOWN_CLASSES = 10


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled pictures of one size.

    Checked when it is made; the arrays are then views that cannot be written through. Parts keep the order of
    the whole.

    Parameters
    ----------
    images : uint8 array (n, channels, rows, columns)
        The pictures, 0 to 255. It may be a memory-mapped file.
    labels : integer array (n,)
        For each picture the position of its class in `classes`; kept as int64.
    classes : sequence of str
        The classes' names, all different.
    skipped : sequence of (str, str), default ()
        What a reader could not use, as (name, reason). Parts of a data set do not repeat the list.
    name : str, default ""
        What to call the data set.

    Raises
    ------
    TypeError, ValueError
        If the arrays do not fit together, or have other types.

    Examples
    --------
    >>> pictures = Dataset(np.zeros((6, 1, 4, 4), np.uint8), [0, 0, 0, 1, 1, 1], ("cat", "dog"), name="pets")
    >>> pictures
    Dataset('pets', 6 images of 1x4x4, 2 classes: cat, dog)
    >>> rest, part = pictures.split(1 / 3, seed=0)
    >>> len(rest), len(part), part.class_counts
    (4, 2, array([1, 1]))
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        classes = _checked_classes(self.classes)
        images = _checked_images(self.images)
        labels = _checked_labels(self.labels, len(images), len(classes))
        for field, value in (
            ("images", _read_only(images)),
            ("labels", _read_only(labels)),
            ("classes", classes),
            ("skipped", tuple((str(path), str(reason)) for path, reason in self.skipped)),
        ):
            object.__setattr__(self, field, value)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """One picture's (channels, rows, columns)."""
        channels, rows, columns = self.images.shape[1:]
        return channels, rows, columns

    @property
    def class_counts(self) -> np.ndarray:
        """How many pictures each class has, int64 (classes,)."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64, copy=False)

    def subset(self, indices: Sequence[int] | np.ndarray) -> Dataset:
        """The pictures at the given places, in the given order.

        Parameters
        ----------
        indices : integer array (m,) or bool array (n,)
            Places from 0 to n - 1, repeats allowed; or for every picture whether to keep it.

        Returns
        -------
        Dataset
            The same classes and name, copies of the pictures.

        Raises
        ------
        TypeError, ValueError, IndexError
            If the places are not whole numbers, not one-dimensional, or outside the data set.

        Examples
        --------
        >>> pictures = Dataset(np.zeros((3, 1, 2, 2), np.uint8), [0, 1, 1], ("a", "b"))
        >>> pictures.subset([2, 0]).labels
        array([1, 0])
        """
        places = self._places(indices)
        return Dataset(self.images[places], self.labels[places], self.classes, (), self.name)

    def split(self, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """The data set in two, the second part with the given fraction of every class.

        The part has round(fraction * n) pictures, shared among the classes in proportion to their sizes;
        every class keeps at least one picture in the rest.

        Parameters
        ----------
        fraction : float
            Between 0 and 1, both excluded.
        seed : int, default 0
            Which pictures: the same seed always chooses the same ones.

        Returns
        -------
        rest, part : Dataset
            Every picture is in exactly one of them.

        Raises
        ------
        ValueError
            If the fraction is out of range, or so small that the part would be empty.

        Examples
        --------
        >>> pictures = Dataset(np.zeros((10, 1, 2, 2), np.uint8), [0] * 8 + [1] * 2, ("a", "b"))
        >>> [len(half) for half in pictures.split(0.5)]
        [5, 5]
        """
        if not 0 < fraction < 1:
            raise ValueError(f"The fraction to split off must lie between 0 and 1; got {fraction!r}.")
        counts = self.class_counts
        most = np.maximum(counts - 1, 0)
        wanted = min(round(fraction * len(self)), int(most.sum()))
        if wanted == 0:
            raise ValueError(
                f"A fraction of {fraction} of {len(self)} pictures leaves nothing to split off; "
                "use a larger fraction or more pictures (every class keeps one)."
            )
        inside = self._stratified(wanted, most, Purpose.SPLIT, seed)
        return self.subset(~inside), self.subset(inside)

    def take(self, n: int, seed: int = 0) -> Dataset:
        """A sample of n pictures in which every class has its share.

        Parameters
        ----------
        n : int
            How many, from 1 to all.
        seed : int, default 0
            Which: the same seed always chooses the same ones.

        Returns
        -------
        Dataset

        Raises
        ------
        TypeError, ValueError
            If n is not a whole number from 1 to the number of pictures.

        Examples
        --------
        >>> pictures = Dataset(np.zeros((10, 1, 2, 2), np.uint8), [0] * 8 + [1] * 2, ("a", "b"))
        >>> pictures.take(5).labels
        array([0, 0, 0, 0, 1])
        """
        wanted = at_least(n, 1, "The number of pictures to take", len(self))
        return self.subset(self._stratified(wanted, self.class_counts, Purpose.TAKE, seed))

    def __repr__(self) -> str:
        channels, rows, columns = self.shape
        shown = ", ".join(self.classes[:_SHOWN_CLASSES]) + (", ..." if len(self.classes) > _SHOWN_CLASSES else "")
        named = f"{self.name!r}, " if self.name else ""
        skipped = f", {len(self.skipped):,} skipped" if self.skipped else ""
        size = f"{len(self):,} images of {channels}x{rows}x{columns}"
        return f"Dataset({named}{size}, {len(self.classes)} classes: {shown}{skipped})"

    def _repr_html_(self) -> str:
        return contact_sheet_html(self.images, self.labels, self.classes, repr(self))

    def _places(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        places = np.asarray(indices)
        if places.size == 0 and places.ndim == 1:
            places = places.astype(np.int64)
        if places.ndim != 1:
            raise ValueError(f"Places in a data set come in one row; got an array of shape {places.shape}.")
        if places.dtype == np.bool_:
            if len(places) != len(self):
                raise ValueError(f"{len(places)} yes-or-no values do not fit {len(self)} pictures.")
            return np.flatnonzero(places)
        if not np.issubdtype(places.dtype, np.integer):
            raise TypeError(f"Places in a data set are whole numbers; got {places.dtype}.")
        if places.size and not (places.min() >= 0 and places.max() < len(self)):
            raise IndexError(f"Places go from 0 to {len(self) - 1} here; got {places.min()} to {places.max()}.")
        return places.astype(np.int64, copy=False)

    def _stratified(self, wanted: int, most: np.ndarray, purpose: Purpose, seed: int) -> np.ndarray:
        """For every picture whether it is chosen: `wanted` in all, from each class its share and at most `most`."""
        seed = at_least(seed, 0, "seed", LARGEST_KEY)
        shares = _shares(self.class_counts, wanted, most, words(seed, purpose, 0, np.arange(len(self.classes))))
        rank = words(seed, purpose, 1, np.arange(len(self)))
        chosen = np.zeros(len(self), bool)
        for label, share in enumerate(shares):
            members = np.flatnonzero(self.labels == label)
            chosen[members[np.argsort(rank[members], kind="stable")[:share]]] = True
        return chosen


class Splits(NamedTuple):
    """What a reader found: pictures to train on, and pictures to test on where they came apart from those."""

    train: Dataset
    test: Dataset | None


def _shares(counts: np.ndarray, wanted: int, most: np.ndarray, tie_breakers: np.ndarray) -> np.ndarray:
    """`wanted` shared out in proportion to `counts`, by largest remainder, never above `most`."""
    exact = counts * (wanted / counts.sum())
    shares = np.minimum(np.floor(exact).astype(np.int64), most)
    by_remainder = np.lexsort((tie_breakers, -(exact - np.floor(exact))))
    while (left := wanted - shares.sum()) > 0:
        with_room = by_remainder[shares[by_remainder] < most[by_remainder]]
        shares[with_room[:left]] += 1
    return shares


def _checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    if isinstance(classes, str):
        raise TypeError(f"The classes must be a sequence of names, not the single text {classes!r}.")
    names = tuple(classes)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"The names of the classes must be text; got {names!r}.")
    if not names:
        raise ValueError("A data set needs at least one class; got none.")
    if len(set(names)) < len(names):
        raise ValueError(f"The classes must have different names; got {names!r}.")
    return names


def _checked_images(images: np.ndarray) -> np.ndarray:
    images = np.asanyarray(images)
    if images.dtype != np.uint8:
        raise TypeError(
            f"The pictures of a data set are uint8, 0 to 255; got {images.dtype}. "
            "Floats from 0 to 1 become so by (255 * x).round().astype('uint8')."
        )
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(f"The pictures must have the shape (n, channels, rows, columns); got {images.shape}.")
    return images


def _checked_labels(labels: np.ndarray, count: int, classes: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.size == 0:
        labels = labels.astype(np.int64)
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"The labels must be whole numbers, the places of the classes; got {labels.dtype}.")
    if labels.shape != (count,):
        raise ValueError(f"{count} pictures need labels of the shape ({count},); got {labels.shape}.")
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"The labels of {classes} classes go from 0 to {classes - 1}; got {labels.min()} to {labels.max()}."
        )
    return labels.astype(np.int64, copy=False)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
