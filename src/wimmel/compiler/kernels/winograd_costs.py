"""What convolutions cost and lose by Winograd's algorithm, and which tiles are best: in multiply-adds of vectors, as
measured on one core. Neither the number of pictures nor, but for the smallest, their size has a say, so that other
pictures find their kernel compiled."""

from __future__ import annotations

import math

import numpy as np

from wimmel.compiler.kernels.convolution import three
from wimmel.compiler.kernels.few_outputs import direct_cost
from wimmel.compiler.kernels.microkernel import FEWEST
from wimmel.compiler.targets import Target
from wimmel.geometry import Pairs
from wimmel.graph.tensor import Shape, Tensor

TILES = {"winograd 2x2": 2, "winograd 4x4": 4}
"""The names of these algorithms, and the outputs along a side of their tiles."""

IN_ROWS, IN_COLUMNS = "winograd 1x4", "winograd 4x1"
"""Those whose tiles are pieces of a row, or of a column, for convolutions over one or two axes."""

ALONG = {IN_ROWS: -1, IN_COLUMNS: -2}
"""Their axis."""

PIECE = 4
"""The outputs of such a tile."""

ERRORS = {
    2: {1: 3.9e-7, 16: 3.2e-7, 64: 5.2e-7, 256: 8.7e-7, 1024: 1.6e-6, 2048: 2.8e-6},
    4: {1: 2.1e-6, 4: 1.0e-6, 16: 5.5e-7, 64: 5.6e-7, 256: 7.8e-7, 1024: 1.6e-6, 2048: 2.2e-6},
}
"""By tile and channels, the largest error that was measured against float64, of the largest sum of |x| * |w| within a
tile: the worse of normal and of positive numbers, whose sums grow with the channels."""

ROW_ERRORS = {
    3: {1: 1.2e-6, 16: 8.2e-7, 64: 6.2e-7, 256: 1.0e-6, 1024: 1.9e-6, 4096: 3.5e-6},
    5: {1: 2.4e-6, 16: 1.7e-6, 64: 8.7e-7, 256: 1.5e-6, 1024: 2.2e-6, 4096: 4.2e-6},
    7: {1: 9.6e-6, 16: 6.6e-6, 64: 2.4e-6, 256: 3.0e-6, 1024: 4.8e-6, 4096: 7.6e-6},
    9: {3: 3.2e-5, 16: 9.5e-6, 64: 5.2e-6, 256: 4.4e-6, 1024: 7.6e-6, 4096: 1.6e-5},
}
"""The same of convolutions along rows, by taps in a row, and channels times rows of taps. With a tap less it is as
large, and the sums are smaller."""

GRADIENT_ERRORS = {2: 2.9e-6, 4: 1.9e-6}
"""The same of weight gradients, of the largest sum of |x| * |g| within 3x3 weights: no sum has more products than were
measured."""

PROMISED = 2e-5
"""No algorithm with a larger error is chosen."""

DATA = {2: 65, 4: 220}
"""To transform one vector of channels of a tile."""

BACK = {2: 60, 4: 165}
"""To transform one vector of outputs back, with an epilogue."""

COTANGENTS = {2: 65, 4: 250}
"""To transform one vector of cotangents of a tile."""

WEIGHTS = {2: 60, 4: 150}
"""To transform one vector of weights."""

GRADIENT = {2: 130, 4: 300}
"""To transform one vector of sums back to weights, and to add up those of several parts."""

ROW_DATA = {3: 18, 5: 24, 7: 34, 9: 46}
"""To transform one vector of channels of a piece of a row, by taps in a row."""

ROW_BACK = {3: 15, 5: 20, 7: 26, 9: 32}
"""To transform one vector of outputs of it back, with an epilogue."""

SUMS = 1.1
"""How much longer products take that are added to sums in memory."""

PART = 64
"""Channels and outputs of a task of a weight gradient: the sums of their products stay in the second-level cache."""

BESIDE = 4
"""To begin and end the sum of one vector of products."""

ROW_BESIDE = 2
"""The same of pieces of rows."""

COMMON = 56
"""What costs are reckoned for: one picture of so many rows and columns, or of fewer where these are no more than
`SMALL`, of which a tile has too few."""

SMALL = 2

ENOUGH_PIECES = 5
"""Pieces of rows in a picture, of which fewer fill no block."""

SHORT = 8
"""The longest rows that are reckoned for themselves where tiles are pieces of rows. Where taps lie apart, rows so short
are left to the direct way, which is not held up by many steps, nor by taps in the padding."""

WORTH = 0.85
"""Of what the direct way costs, this one must stay below so much to be chosen."""


def tile_for(anchor: Tensor, target: Target) -> int | None:
    """The side of the tile by which a convolution, or one of its gradients, is best computed; None where that is not
    the best way, or not possible."""
    attributes, (source, other) = anchor.attributes, anchor.inputs
    of_weights = anchor.primitive.name == "convolution_weight_gradient"
    weight, result = (anchor, other) if of_weights else (other, anchor)
    planes, taps, dilation = math.prod(weight.shape[2:-2]), weight.shape[2:][-2:], attributes["dilation"]
    if anchor.dtype != np.float32 or taps != (3, 3) or 0 in weight.shape + result.shape + source.shape:
        return None
    if {*attributes["stride"], attributes["groups"]} != {1} or (of_weights and {planes, *dilation} != {1}):
        return None
    channels, outputs = source.shape[1], result.shape[1]
    sizes = [-(-size // apart) for size, apart in zip(result.shape[-2:], dilation[-2:], strict=True)]
    sizes = [size if size <= SMALL else COMMON for size in sizes]
    products = math.prod(sizes) * 9 * planes * channels * outputs / target.lanes("f32")
    if of_weights:
        possible = [tile for tile in GRADIENT_ERRORS if GRADIENT_ERRORS[tile] <= PROMISED]
        costs = {tile: _gradient_cost(tile, sizes, channels, outputs, target) for tile in possible}
    else:
        possible = [tile for tile in ERRORS if error(tile, planes * channels) <= PROMISED]
        costs = {tile: _cost(tile, sizes, planes, channels, outputs, target) for tile in possible}
    best = min(possible, key=lambda tile: costs[tile], default=None)
    return best if best is not None and costs[best] < WORTH * products else None


def best_in_pieces(anchor: Tensor, target: Target) -> str | None:
    """`IN_ROWS` or `IN_COLUMNS`, if a convolution over one or two axes, or its gradient by the input, is best computed
    so."""
    attributes, (source, weight) = anchor.attributes, anchor.inputs
    taps, axes, dilation = weight.shape[2:], len(anchor.shape) - 2, attributes["dilation"]
    if anchor.dtype != np.float32 or axes > 2 or 0 in weight.shape + anchor.shape + source.shape:
        return None
    if {*attributes["stride"], attributes["groups"]} != {1}:
        return None
    direct = direct_cost(anchor.shape[1], source.shape[1], three(taps, 1), three(dilation, 1), target.lanes("f32"))
    costs = {name: _cost_in_pieces(anchor, axis, target) for name, axis in ALONG.items() if -axis <= axes}
    best = min(costs, key=lambda name: costs[name])
    return best if costs[best] < WORTH * direct else None


def _cost_in_pieces(anchor: Tensor, axis: int, target: Target) -> float:
    """What an output costs by pieces along an axis; infinity where that is not possible."""
    source, weight = anchor.inputs
    taps, size, dilation = weight.shape[2:][axis], anchor.shape[axis], anchor.attributes["dilation"][axis]
    rows, channels, outputs = math.prod(weight.shape[2:]) // taps, source.shape[1], anchor.shape[1]
    columns = -(-size // dilation)
    if dilation > 1 and columns <= SHORT:
        return math.inf
    if -(-columns // PIECE) * math.prod(anchor.shape[2:]) // size < ENOUGH_PIECES:
        return math.inf
    if odd(taps) not in ROW_ERRORS or row_error(taps, rows * channels) > PROMISED:
        return math.inf
    columns = columns if columns <= SHORT else COMMON
    return -(-columns // PIECE) * row_operations(rows, taps, channels, outputs, target.lanes("f32")) / columns


def odd(taps: int) -> int:
    """Of the transforms that serve so many taps: an even number is followed by a zero."""
    return taps | 1


def tiles_along(size: int, tile: int, dilation: int) -> int:
    """How many tiles there are along an axis of so many outputs. Those of a tile lie a dilation apart, so that there
    are as many tiles side by side, each beginning one further than the one before, until the next begin behind them.

    Examples
    --------
    >>> tiles_along(14, 4, 1), tiles_along(14, 4, 2), tiles_along(14, 4, 4)
    (4, 4, 4)
    """
    whole, rest = divmod(size, tile * dilation)
    return whole * dilation + min(rest, dilation)


def widened(padding: Pairs, outputs: Shape, tile: int, dilation: Shape = ()) -> Pairs:
    """The halo of zeros that whole tiles read: as wide as the padding, and behind it what the last tiles along rows and
    columns read more."""
    wider = []
    for axis, (size, (before, behind)) in enumerate(zip(outputs, padding, strict=True), 2 - len(outputs)):
        if axis >= 0:
            apart = dilation[axis - 2] if dilation else 1
            down, beside = divmod(tiles_along(size, tile, apart) - 1, apart)
            behind += down * tile * apart + beside + (tile - 1) * apart + 1 - size
        wider.append((before, behind))
    return tuple(wider)


def error(tile: int, channels: int) -> float:
    """What is to be expected with so many channels."""
    return _expected(ERRORS[tile], channels)


def row_error(taps: int, channels: int) -> float:
    """What is to be expected with so many taps in a row, and channels of all rows of taps."""
    return _expected(ROW_ERRORS[odd(taps)], channels) * odd(taps) / taps


def _expected(errors: dict[int, float], channels: int) -> float:
    for most, found in errors.items():
        if channels <= most:
            return found
    return found * channels / most


def _cost(tile: int, sizes: list[int], planes: int, channels: int, outputs: int, target: Target) -> float:
    tiles = max(FEWEST, math.prod(-(-size // tile) for size in sizes))
    return operations(tile, tiles, planes, channels, outputs, target)


def operations(
    tile: int, tiles: int, planes: int, channels: int, outputs: int, target: Target, parts: int = 1
) -> float:
    """What so many tiles cost, where the data are transformed for each of some parts of the outputs."""
    lanes, taps = target.lanes("f32"), (tile + 2) ** 2
    of_data = min(lanes, 1 << (channels.bit_length() - 1))
    vectors = -(-outputs // lanes)
    products = tiles * taps * (planes * channels + BESIDE) * vectors
    around = tiles * (parts * planes * -(-channels // of_data) * DATA[tile] + vectors * BACK[tile])
    return products + around


def row_operations(rows: int, taps: int, channels: int, outputs: int, lanes: int) -> float:
    """What a piece of a row costs, of many below each other, by so many rows of taps."""
    vectors = -(-outputs // lanes)
    products = (PIECE + odd(taps) - 1) * (rows * channels + ROW_BESIDE) * vectors
    return products + -(-channels // lanes) * ROW_DATA[odd(taps)] + vectors * ROW_BACK[odd(taps)]


def _gradient_cost(tile: int, sizes: list[int], channels: int, outputs: int, target: Target) -> float:
    return gradient_operations(tile, math.prod(-(-size // tile) for size in sizes), channels, outputs, target)


def gradient_operations(tile: int, tiles: int, channels: int, outputs: int, target: Target, parts: int = 1) -> float:
    """What so many tiles of a weight gradient cost, in some parts that each have sums of their own."""
    lanes, taps = target.lanes("f32"), (tile + 2) ** 2
    vectors = -(-outputs // lanes)
    products = tiles * taps * max(channels, FEWEST) * vectors * SUMS
    data = -(-channels // lanes) * -(-outputs // PART) * DATA[tile]
    cotangents = vectors * -(-channels // PART) * COTANGENTS[tile]
    return products + tiles * (data + cotangents) + parts * channels * vectors * GRADIENT[tile]
