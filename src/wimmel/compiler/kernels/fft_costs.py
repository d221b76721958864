"""What convolutions cost, by Fourier transforms and directly, and which tiles are best: in multiply-adds of vectors, as
measured on one core, from the shape alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from wimmel.compiler.kernels.fft_tiles import Tile
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Shape

SIZES = (16, 32, 48, 64, 96, 128)
"""Of tiles. Larger ones are not used: rounding errors are relative to what is largest within a tile."""

TRANSFORM = 32
"""Of one vector of a tile, there or back, between pictures and spectra in memory."""

FILTERING = 42
"""Of one vector, there and back, while the tile stays in a cache."""

PRODUCT = 2.7
"""Of one vector of a spectrum with one of another."""

FETCHING = 13
"""Of one vector of the weights' spectra, for each chunk of tiles."""

WORTH = 0.8
"""Of what the direct way costs, transforms must stay below so much to be chosen."""


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
    """

    pictures: int
    channels: int
    outputs: int
    depthwise: bool
    taps: Shape
    sizes: Shape


def best_tile(problem: Problem, target: Target) -> Tile | None:
    """The tile that costs least, where that is less than the direct way; else None.

    Pictures that need more than two of the tiles which suit the largest have those: so they share their code.
    """
    if min(problem.taps) < 3 or math.prod((*problem.sizes, problem.channels, problem.outputs)) == 0:
        return None
    lanes = target.lanes("f32")
    tall = [size for size in SIZES if size >= problem.taps[0] and size % (2 * lanes) == 0]
    wide = [size for size in SIZES if size >= problem.taps[1] and size % lanes == 0]
    if not tall or not wide:
        return None
    sizes = [
        min(size, 2 * _step(_of_large(choices, taps), taps) + 1)
        for size, taps, choices in zip(problem.sizes, problem.taps, (tall, wide), strict=True)
    ]
    if problem.sizes[0] > sizes[0] or problem.sizes[1] > sizes[1]:
        tall = [_of_large(tall, problem.taps[0])] if problem.sizes[0] >= sizes[0] else tall
        wide = [_of_large(wide, problem.taps[1])] if problem.sizes[1] >= sizes[1] else wide
    tiles = [Tile(height, width) for height, width in product(tall, wide)]
    best = min(tiles, key=lambda tile: _cost(problem, tile, lanes))
    return best if _cost(problem, best, lanes) < WORTH * _direct(problem, lanes) else None


def _step(size: int, taps: int) -> int:
    return size - taps + 1


def _of_large(choices: list[int], taps: int) -> int:
    """The size of tiles that costs least for each output where there are many."""
    return min(choices, key=lambda size: size * (4 + math.log2(size)) / _step(size, taps))


def _cost(problem: Problem, tile: Tile, lanes: int) -> float:
    steps = (_step(tile.height, problem.taps[0]), _step(tile.width, problem.taps[1]))
    tiles = problem.pictures * math.prod(-(-size // step) for size, step in zip(problem.sizes, steps, strict=True))
    vectors = tile.elements / lanes
    weights = problem.outputs * (1 if problem.depthwise else problem.channels)
    cost = weights * TRANSFORM / 2
    if problem.depthwise or problem.channels == problem.outputs == 1:
        return vectors * (cost + tiles * problem.outputs * FILTERING)
    cost += tiles * (problem.channels + problem.outputs) * TRANSFORM
    chunks = max(1, tiles * (problem.channels + problem.outputs) * tile.elements // 2**19)
    return vectors * (cost + weights * (tiles * PRODUCT + chunks * FETCHING))


def _direct(problem: Problem, lanes: int) -> float:
    products = problem.pictures * problem.outputs * math.prod((*problem.sizes, *problem.taps))
    return products * (1 if problem.depthwise else problem.channels) / lanes
