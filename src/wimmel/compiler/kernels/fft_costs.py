"""What convolutions cost, by Fourier transforms and directly, and which tiles are best: in multiply-adds of vectors, as
measured on one core, from the shape alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from wimmel.compiler.kernels.fft_tiles import Tile
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape, Tensor

SIZES = (16, 32, 48, 64, 80, 96, 128)
"""Of tiles. Rounding errors are relative to what is largest within a tile, so that they are no larger than needed."""

LARGEST = 256
"""The size of tiles for filters of more than half of the largest of those."""

STAGES = 3.6
"""Of one vector of a tile, there and back, for each time that the tile's size can be halved."""

ONCE = 18
"""Of one vector besides: cutting out, turning round, the epilogue."""

PARTS = {"filter": 1.0, "forward": 0.65, "inverse": 0.65, "weights": 1 / 3}
"""What each kind of transform takes of that: more where spectra are in memory than where the tile stays in a cache."""

PRODUCT = 2.5
"""Of one vector of a spectrum with one of another."""

FETCHING = 13
"""Of one vector of the weights' spectra, for each chunk of tiles."""

MOST_WEIGHTS = 1 << 24
"""Elements of the weights' spectra, which are kept: 64 MiB."""

WORTH = 0.85
"""Of what the direct way costs, transforms must stay below so much to be chosen."""


def tile_for(anchor: Tensor, target: Target) -> Tile | None:
    """The tile by which a convolution, or its gradient by the input, is best computed; None where that is not the best
    way, or not possible."""
    attributes, (source, weight) = anchor.attributes, anchor.inputs
    groups, outputs, channels = attributes["groups"], *weight.shape[:2]
    depthwise = 1 < groups == outputs and channels == 1
    ones = {*attributes["stride"], *attributes["dilation"]} == {1}
    if anchor.dtype != np.float32 or len(weight.shape) != 4 or not ones or not (depthwise or groups == 1):
        return None
    pictures = min(source.shape[0], 1)  # for any number of them the same, so that others find their kernels compiled
    counts = (pictures, source.shape[1], anchor.shape[1])
    padding = attributes["padding"]
    if anchor.primitive.name == "convolution_input_gradient":
        padding = padding_of_gradient(padding, weight.shape[2:])
    zeros = zeros_of(padding)
    return best_tile(Problem(*counts, depthwise, weight.shape[2:], anchor.shape[2:], zeros), target)


@dataclass(frozen=True)
class Problem:
    """A convolution with stride and dilation 1.

    Attributes
    ----------
    pictures, channels, outputs : int
    depthwise : bool
        Whether each channel has a filter of its own; then there are as many outputs.
    taps, sizes : (int, int)
        Of the filters, and of a picture of outputs.
    zeros : (int, int)
        Around the picture, at both of its ends at least.
    """

    pictures: int
    channels: int
    outputs: int
    depthwise: bool
    taps: Shape
    sizes: Shape
    zeros: Shape = (0, 0)


@lru_cache(1024)
def best_tile(problem: Problem, target: Target) -> Tile | None:
    """The tile that costs least, where that is less than the direct way; else None.

    Pictures that need more than two of the tiles which suit the largest have those: so they share their code.
    """
    if min(problem.taps) < 3 or math.prod((*problem.sizes, problem.channels, problem.outputs)) == 0:
        return None
    lanes = target.lanes("f32")
    tall = [size for size in _sizes(problem.taps[0]) if size % (2 * lanes) == 0]
    wide = [size for size in _sizes(problem.taps[1]) if size % lanes == 0]
    if not tall or not wide:
        return None
    sizes = [
        min(size, 2 * _step(_of_large(choices, taps), taps) + 1)
        for size, taps, choices in zip(problem.sizes, problem.taps, (tall, wide), strict=True)
    ]
    if problem.sizes[0] > sizes[0] or problem.sizes[1] > sizes[1]:
        tall = [_of_large(tall, problem.taps[0])] if problem.sizes[0] >= sizes[0] else tall
        wide = [_of_large(wide, problem.taps[1])] if problem.sizes[1] >= sizes[1] else wide
    filters = problem.outputs * (1 if problem.depthwise else problem.channels)
    tiles = [Tile(height, width) for height, width in product(tall, wide)]
    tiles = [tile for tile in tiles if tile.elements * filters <= MOST_WEIGHTS]
    if not tiles:
        return None
    best = min(tiles, key=lambda tile: _cost(problem, tile, lanes))
    return best if _cost(problem, best, lanes) < WORTH * _direct(problem, lanes) else None


def of_tile(tile: Tile, part: str, lanes: int) -> float:
    """What one transform costs, or a pair of them with the product in between: parts of `fft.FourierSchedule`."""
    there_and_back = tile.elements / lanes * (ONCE + STAGES * math.log2(tile.elements) / 2)
    return there_and_back * PARTS[part]


def _sizes(taps: int) -> list[int]:
    return [size for size in (*SIZES, *([LARGEST] if taps > SIZES[-1] // 2 else [])) if size >= taps]


def steps_of(tile: Tile, taps: Sequence[int], zeros: Sequence[int], sizes: Sequence[int]) -> tuple[int, int]:
    """How many rows and columns of outputs a tile gives: those whose taps do not wrap around. Where that makes one tile
    of a whole picture, taps may wrap around as well, as far as both ends are zero."""
    down, across = (
        size if size - taps + 1 < outputs <= min(size - taps + 1 + zeros, size) else size - taps + 1
        for size, taps, zeros, outputs in zip((tile.height, tile.width), taps, zeros, sizes, strict=True)
    )
    return down, across


def zeros_of(padding: Pairs) -> Shape:
    """How many there are at both ends at least, of each axis."""
    return tuple(max(0, min(pair)) for pair in padding)


def padding_of_gradient(padding: Pairs, taps: Sequence[int]) -> Pairs:
    """That of the convolution, with the filters turned round, which a gradient by the input is."""
    return tuple((tap - 1 - front, tap - 1 - behind) for tap, (front, behind) in zip(taps, padding, strict=True))


def _step(size: int, taps: int) -> int:
    return size - taps + 1


def _of_large(choices: list[int], taps: int) -> int:
    """The size of tiles that costs least for each output where there are many."""
    return min(choices, key=lambda size: size * (ONCE / STAGES + math.log2(size)) / _step(size, taps))


def _cost(problem: Problem, tile: Tile, lanes: int) -> float:
    steps = steps_of(tile, problem.taps, problem.zeros, problem.sizes)
    tiles = problem.pictures * math.prod(-(-size // step) for size, step in zip(problem.sizes, steps, strict=True))
    weights = problem.outputs * (1 if problem.depthwise else problem.channels)
    cost = weights * of_tile(tile, "weights", lanes)
    if problem.depthwise or problem.channels == problem.outputs == 1:
        return cost + tiles * problem.outputs * of_tile(tile, "filter", lanes)
    cost += tiles * problem.channels * of_tile(tile, "forward", lanes)
    cost += tiles * problem.outputs * of_tile(tile, "inverse", lanes)
    chunks = max(1, tiles * (problem.channels + problem.outputs) * tile.elements // 2**19)
    return cost + tile.elements / lanes * weights * (tiles * PRODUCT + chunks * FETCHING)


def _direct(problem: Problem, lanes: int) -> float:
    products = problem.pictures * problem.outputs * math.prod((*problem.sizes, *problem.taps))
    return products * (1 if problem.depthwise else problem.channels) / lanes
