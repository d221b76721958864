"""What happens to pixels before a network sees them: 0 to 255 becomes numbers around zero, channel by channel.

Given uint8 pictures, as arrays or as tensors while a graph is traced; hands on float32 of the same shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from wimmel.data.datasets import Dataset

Images = TypeVar("Images")
"""A NumPy array, or a value with NumPy's operators and methods."""

_CHUNK = 4096


@dataclass(frozen=True)
class Preprocessing:
    """Normalisation of pictures: (pixel / 255 - mean) / std for each channel.

    Parameters
    ----------
    shape : (channels, rows, columns)
        The pictures that the figures were taken from, and that a network expects.
    mean : sequence of float, one per channel
        In units where 255 is 1.
    std : sequence of float, one per channel
        In the same units, above 0.

    Raises
    ------
    TypeError, ValueError
        If the shape is not three sizes, or the figures are not finite numbers, one per channel.

    Examples
    --------
    >>> preprocessing = Preprocessing(shape=(1, 2, 2), mean=(0.5,), std=(0.25,))
    >>> preprocessing(np.array([[[[0, 255], [51, 204]]]], np.uint8))
    array([[[[-2. ,  2. ],
             [-1.2,  1.2]]]], dtype=float32)
    """

    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        shape = _checked_shape(self.shape)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "mean", _checked_figures("mean", self.mean, shape[0]))
        object.__setattr__(self, "std", _checked_figures("std", self.std, shape[0]))
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0 in every channel; got {self.std}.")

    @classmethod
    def fit(cls, dataset: Dataset) -> Preprocessing:
        """The preprocessing that gives a data set mean 0 and standard deviation 1 in every channel.

        The figures are taken over all pixels of all pictures, from exact counts, so they depend on neither
        order nor machine. A channel that is the same everywhere keeps the standard deviation 1.

        Parameters
        ----------
        dataset : Dataset
            The pictures to train on, at least one.

        Returns
        -------
        Preprocessing

        Raises
        ------
        ValueError
            If there are no pictures.

        Examples
        --------
        >>> black_and_white = np.repeat(np.array([0, 255], np.uint8), 4).reshape(2, 1, 2, 2)
        >>> Preprocessing.fit(Dataset(black_and_white, [0, 1], ("black", "white")))
        Preprocessing(shape=(1, 2, 2), mean=(0.5,), std=(0.5,))
        """
        if not len(dataset):
            raise ValueError("Preprocessing cannot be fitted to a data set without pictures.")
        counts = _histograms(dataset.images)
        mean, std = [], []
        for channel in counts:
            # Python's whole numbers have no limit, so that these sums are exact.
            number = sum(channel)
            total = sum(value * times for value, times in enumerate(channel))
            squares = sum(value * value * times for value, times in enumerate(channel))
            mean.append(total / (255 * number))
            std.append(math.sqrt(number * squares - total * total) / (255 * number) or 1.0)
        return cls(dataset.shape, tuple(mean), tuple(std))

    def __call__(self, images: Images) -> Images:
        """The pictures as float32, normalised.

        Parameters
        ----------
        images : uint8 array or tensor (..., channels, rows, columns)
            As many channels as `shape` has; rows and columns may differ from it.

        Returns
        -------
        float32 array or tensor, of the same shape

        Raises
        ------
        TypeError, ValueError
            If the pictures are not uint8, or have another number of channels.
        """
        pictures: Any = images
        if np.dtype(pictures.dtype) != np.uint8:
            raise TypeError(f"Preprocessing takes uint8 pictures, 0 to 255; got {pictures.dtype}.")
        if len(pictures.shape) < 3 or pictures.shape[-3] != self.shape[0]:
            raise ValueError(
                f"Preprocessing was fitted to pictures of {self.shape[0]} channels (..., channels, rows, columns); "
                f"got the shape {tuple(pictures.shape)}."
            )
        # (x / 255 - mean) / std with the division by 255 moved into the figures: one subtraction, one product.
        centre = np.array([255 * mean for mean in self.mean], np.float32).reshape(-1, 1, 1)
        scale = np.array([1 / (255 * std) for std in self.std], np.float32).reshape(-1, 1, 1)
        normalised: Images = (pictures.astype(np.float32) - centre) * scale
        return normalised

    def to_json(self) -> dict[str, list[int] | list[float]]:
        """The figures as a dict that JSON can hold; `from_json` turns it back without loss.

        Examples
        --------
        >>> Preprocessing((1, 8, 8), (0.3,), (0.4,)).to_json()
        {'shape': [1, 8, 8], 'mean': [0.3], 'std': [0.4]}
        """
        return {"shape": list(self.shape), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Preprocessing:
        """The preprocessing that `to_json` described.

        Raises
        ------
        TypeError, ValueError
            If an entry is missing or not as `Preprocessing` needs it.

        Examples
        --------
        >>> Preprocessing.from_json({"shape": [1, 8, 8], "mean": [0.3], "std": [0.4]})
        Preprocessing(shape=(1, 8, 8), mean=(0.3,), std=(0.4,))
        """
        if not isinstance(document, Mapping) or not {"shape", "mean", "std"} <= document.keys():
            raise ValueError(f'A preprocessing is described by "shape", "mean" and "std"; got {document!r}.')
        return cls(document["shape"], document["mean"], document["std"])


def _histograms(images: np.ndarray) -> list[list[int]]:
    """For every channel how often each value from 0 to 255 occurs."""
    counts = np.zeros((images.shape[1], 256), np.int64)
    for first in range(0, len(images), _CHUNK):
        for channel in range(images.shape[1]):
            counts[channel] += np.bincount(images[first : first + _CHUNK, channel].ravel(), minlength=256)
    return [[int(count) for count in channel] for channel in counts]


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    sizes = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else ()
    if len(sizes) != 3 or not all(
        isinstance(size, int | np.integer) and not isinstance(size, bool) and size >= 1 for size in sizes
    ):
        raise ValueError(f"shape must be (channels, rows, columns), whole numbers from 1; got {shape!r}.")
    channels, rows, columns = (int(size) for size in sizes)
    return channels, rows, columns


def _checked_figures(name: str, figures: Sequence[float], channels: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(figure) for figure in figures)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must hold one number per channel; got {figures!r}.") from error
    if len(numbers) != channels or not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{name} must hold {channels} finite numbers, one per channel; got {figures!r}.")
    return numbers
