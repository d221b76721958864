"""Batches of a data set, epoch by epoch, prepared on a background thread while the last one is in use.

Given a data set; hands on uint8 pictures with labels and places. Order and augmentation follow from (seed,
epoch) alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wimmel.data.augment import Augmentation
from wimmel.data.datasets import Dataset
from wimmel.data.draws import Purpose, random_order
from wimmel.geometry.whole_numbers import LARGEST_KEY, at_least

if TYPE_CHECKING:
    from concurrent.futures import Future

_AHEAD = 3


class Batch(NamedTuple):
    """Some pictures of a data set: images uint8 (n, c, h, w), labels int64 (n,), indices int64 (n,), their places."""

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray


class Batches:
    """A data set cut into batches, in an order and with variations that are new in every epoch and always the same.

    Parameters
    ----------
    dataset : Dataset
        At least one picture.
    batch_size : int
        Pictures per batch, at least 1. The last batch of an epoch may be smaller.
    seed : int, default 0
        Decides order and augmentation, together with the epoch.
    shuffle : bool, default True
        Whether each epoch has an order of its own; otherwise all have the data set's.
    augmentation : Augmentation, default None
        How to vary the pictures; None leaves them as they are.
    drop_last : bool, default False
        Whether to leave out a last batch that would be smaller than the others.

    Raises
    ------
    TypeError, ValueError
        If the data set is empty, the batch size is below 1 or, with `drop_last`, above the number of
        pictures.

    Examples
    --------
    >>> from wimmel.data import digits
    >>> batches = Batches(digits(), batch_size=500, seed=1)
    >>> len(batches), [len(batch.labels) for batch in batches.epoch(0)]
    (4, [500, 500, 500, 297])
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        augmentation: Augmentation | None = None,
        drop_last: bool = False,
    ) -> None:
        self.dataset = dataset
        self.batch_size = at_least(batch_size, 1, "batch_size")
        self.seed = at_least(seed, 0, "seed", LARGEST_KEY)
        self.shuffle = shuffle
        self.augmentation = augmentation
        self.drop_last = drop_last
        if not len(dataset):
            raise ValueError("This data set has no pictures to make batches of.")
        if not len(self):
            raise ValueError(
                f"{len(dataset)} pictures fill no batch of {batch_size}, and drop_last leaves out smaller ones; "
                "choose a smaller batch_size."
            )

    def __len__(self) -> int:
        """How many batches an epoch has."""
        whole, left = divmod(len(self.dataset), self.batch_size)
        return whole + (1 if left and not self.drop_last else 0)

    def epoch(self, k: int, start: int = 0) -> Generator[Batch, None, None]:
        """The batches of one epoch, one after the other.

        A thread prepares the next ones while the caller works on the last; it ends with the epoch, with an
        error, or when the generator is closed (as leaving a `for` loop early does). An error in it is raised
        here.

        Parameters
        ----------
        k : int
            Which epoch, from 0.
        start : int, default 0
            How many of its batches to leave out at the front, to go on in the middle of an epoch.

        Yields
        ------
        Batch

        Raises
        ------
        TypeError, ValueError
            If k or start is not a whole number from 0.

        Examples
        --------
        >>> from wimmel.data import digits
        >>> batches = Batches(digits(), batch_size=500)
        >>> last = list(batches.epoch(7))[-1]
        >>> [resumed] = batches.epoch(7, start=3)
        >>> bool((last.images == resumed.images).all())
        True
        """
        return self._prepared_ahead(at_least(k, 0, "epoch", LARGEST_KEY), at_least(start, 0, "start", LARGEST_KEY))

    def _prepared_ahead(self, k: int, start: int) -> Generator[Batch, None, None]:
        from concurrent.futures import ThreadPoolExecutor

        order = random_order(len(self.dataset), self.seed, Purpose.ORDER, k) if self.shuffle else None
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="wimmel-batches") as background:
            try:
                for number in range(start, len(self)):
                    waiting.append(background.submit(self._batch, k, order, number))
                    if len(waiting) == _AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for unused in waiting:
                    unused.cancel()

    def _batch(self, k: int, order: np.ndarray | None, number: int) -> Batch:
        first = number * self.batch_size
        last = min(first + self.batch_size, len(self.dataset))
        indices = np.arange(first, last) if order is None else order[first:last]
        images = self.dataset.images[indices]
        if self.augmentation is not None:
            images = self.augmentation.apply(images, indices, self.seed, k)
        return Batch(images, self.dataset.labels[indices], indices)
