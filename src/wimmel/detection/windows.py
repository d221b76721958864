"""How much a picture varies within every window: what normalises a correlation.

Sums over windows are running sums in float64: down the columns, then along the rows. Values and squares travel
together, as the two parts of complex numbers, since a running sum of those takes no longer than one of real numbers.
All goes by blocks of rows that stay in a core's cache, and by bands of such blocks, which threads share.
"""

from __future__ import annotations

import numpy as np

from wimmel.runtime.native import get_num_threads

_ROWS = 16
"""To a block."""

_BAND, _WINDOWS = 512, 4
"""Rows to a band at least, and heights of a window: each begins with sums over a window's rows."""


def divide_by_deviations(products: np.ndarray, pixels: np.ndarray, window: tuple[int, int], least: float) -> np.ndarray:
    """The products, each divided by its window's sqrt(sum of squared differences from the mean).

    Parameters
    ----------
    products : float32 array (rows - window rows + 1, columns - window columns + 1)
        Overwritten.
    pixels : float32 array (channels, rows, columns)
        The mean is each channel's own.
    window : (rows, columns)
        At most the picture's size.
    least : float
        Where the mean of the squared differences, summed over channels, is below this, the result is 0.

    Returns
    -------
    float32 array, the same

    Examples
    --------
    >>> pixels = np.array([[[0, 0, 3, 5]]], np.float32)
    >>> divide_by_deviations(np.ones((1, 3), np.float32), pixels, (1, 2), least=1e-6).round(3)
    array([[0.   , 0.471, 0.707]], dtype=float32)
    """
    from concurrent.futures import ThreadPoolExecutor

    band = max(_BAND, _WINDOWS * window[0])  # whatever the number of threads, so that the bits are the same

    def divide(first: int) -> None:
        _divide(products[first : first + band], pixels[:, first : first + band + window[0] - 1], window, least)

    begins = range(0, len(products), band)
    threads = min(get_num_threads(), len(begins))
    if threads == 1:
        for first in begins:
            divide(first)
    else:
        with ThreadPoolExecutor(threads, thread_name_prefix="wimmel-windows") as pool:
            for _ in pool.map(divide, begins):
                pass
    return products


def _divide(products: np.ndarray, pixels: np.ndarray, window: tuple[int, int], least: float) -> None:
    """The same for a band of the windows, within the pixels that they cover."""
    height, width = window
    rows, columns = products.shape
    moments = [_Moments(channel, window) for channel in pixels]
    squares, deviations = (np.empty((_ROWS, columns)) for _ in range(2))
    norms = np.empty((_ROWS, columns), np.float32)
    for first in range(0, rows, _ROWS):
        count = min(_ROWS, rows - first)
        square, deviation, norm = (room[:count] for room in (squares, deviations, norms))
        for number, moment in enumerate(moments):
            sums = moment.sums(first, count)
            np.multiply(sums.real, sums.real, out=square)
            square *= 1 / (height * width)
            np.subtract(sums.imag, square, out=square if number else deviation)
            if number:
                deviation += square
        flat = deviation < least * height * width
        if flat.any():
            deviation[flat] = np.inf
        norm[...] = deviation
        found = products[first : first + count]
        found /= np.sqrt(norm, out=norm)


class _Moments:
    """Sums of a channel's values (real) and squares (imaginary) over all windows, block by block of rows."""

    def __init__(self, channel: np.ndarray, window: tuple[int, int]) -> None:
        self.channel, self.window = channel, window
        columns = channel.shape[1]
        self.down, self.steps = (np.empty((_ROWS, columns), np.complex128) for _ in range(2))
        self.entering, self.leaving = (np.empty((_ROWS, columns)) for _ in range(2))
        self.running = np.zeros((_ROWS, columns + 1), np.complex128)
        self.next = np.zeros(columns, np.complex128)
        for first in range(0, window[0], _ROWS):
            rows = channel[first : min(first + _ROWS, window[0])].astype(np.float64)
            self.next.real += rows.sum(axis=0)
            self.next.imag += (rows * rows).sum(axis=0)

    def sums(self, first: int, count: int) -> np.ndarray:
        """Over the windows that begin in rows first to first + count - 1, which follow those asked for before."""
        (height, width), down, running = self.window, self.down[:count], self.running[:count]
        moves = min(count, len(self.channel) - height - first)  # in the last block one less
        steps, entering, leaving = (room[:moves] for room in (self.steps, self.entering, self.leaving))
        entering[...] = self.channel[first + height : first + height + moves]
        leaving[...] = self.channel[first : first + moves]
        np.subtract(entering, leaving, out=steps.real)
        entering += leaving
        np.multiply(steps.real, entering, out=steps.imag)  # the difference of their squares
        down[0] = self.next
        for row in range(1, count):
            np.add(down[row - 1], steps[row - 1], out=down[row])
        if moves == count:
            np.add(down[-1], steps[-1], out=self.next)
        np.add.accumulate(down, axis=1, out=running[:, 1:])
        return np.subtract(running[:, width:], running[:, :-width], out=down[:, : 1 - width or None])
