"""What the channels of layers answer to one picture, side by side: feature maps.

Given a network, a picture and paths of layers; hands on a picture file for each.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wimmel.graph import Graph, evaluate, trace
from wimmel.nn import Module, activation
from wimmel.report.canvas import PALE, axes_at, counted, heading, page, show_picture

_COLUMNS = 8
_MARGIN = 0.25
_SIDE = 1.1
_GAP = 0.1
_FEW = 0.01
"""The part of the answers that would make all others pale."""


def feature_maps_picture(
    net: Module, image: np.ndarray, layer: str, path: str | os.PathLike[str], limit: int = 64
) -> None:
    """Nothing; the file at `path` then shows the picture and, for each channel of a layer, what it answers where.

    All channels share one scale, at whose end is all that is stronger than 99 in 100 answers. Where answers have both
    signs, orange is negative and violet positive, white nothing; where they have one, dark is nothing and bright is
    much.

    Parameters
    ----------
    net : Module
    image : uint8 array (channels, rows, columns)
        As the network's preprocessing takes it; or floats, as the network itself does.
    layer : str
        The layer's path, as `wimmel.inspect` lists them, such as "0".
    path : str or path
        Ends in .png, .svg, .pdf or .jpg.
    limit : int, default 64
        How many channels to show at most, from the first.

    Raises
    ------
    ValueError
        If there is no such layer, it has no rows and columns, the picture does not fit the network, or the path's
        suffix is none of these.
    OSError
        If the file cannot be written; what stood there before stays.
    """
    image = np.asarray(image)
    _draw(net, image, layer, layer_answers(net, image, layer), path, limit)


def feature_maps_pictures(
    net: Module,
    image: np.ndarray,
    folder: str | os.PathLike[str],
    layers: Sequence[str] | None = None,
    limit: int = 64,
) -> list[Path]:
    """The paths of pictures drawn as by `feature_maps_picture`, one for each of several layers.

    Parameters
    ----------
    net : Module
    image : uint8 array (channels, rows, columns)
        As the network's preprocessing takes it; or floats, as the network itself does.
    folder : str or path
        One that is there; the files in it are called "layer-0.png" and so on, by the layers' paths.
    layers : sequence of str, optional
        Their paths; by default the activations and the last layer, as far as they have rows and columns.
    limit : int, default 64
        How many channels of each to show at most, from the first.

    Raises
    ------
    ValueError
        If there is no such layer, one asked for has no rows and columns, or the picture does not fit the network.
    OSError
        If a file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from wimmel.models import lenet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pages = feature_maps_pictures(lenet(), np.zeros((1, 28, 28), np.float32), folder)
    ...     print([page.name for page in pages])
    ['layer-1.png', 'layer-4.png']
    """
    image = np.asarray(image)
    answers = _answers(net, image, layers)
    if layers is None:
        modules = net.named_modules()
        last = list(answers)[-1]
        answers = {
            layer: maps
            for layer, maps in answers.items()
            if maps.ndim == 3 and (layer == last or type(modules[layer]).__module__ == activation.__name__)
        }
    paths = {layer: Path(folder, f"layer-{layer}.png") for layer in answers}
    for layer, maps in answers.items():
        _draw(net, image, layer, maps, paths[layer], limit)
    return list(paths.values())


def layer_answers(net: Module, image: np.ndarray, layer: str) -> np.ndarray:
    """What a layer gives for one picture, without the picture axis: (channels, rows, columns) after a convolution.

    Parameters
    ----------
    net : Module
    image : uint8 array (channels, rows, columns)
        As the network's preprocessing takes it; or floats, as the network itself does.
    layer : str
        The layer's path.

    Returns
    -------
    float array

    Raises
    ------
    ValueError
        If there is no such layer, or the picture does not fit the network.

    Examples
    --------
    >>> from wimmel.models import lenet
    >>> layer_answers(lenet(), np.zeros((1, 28, 28), np.float32), "3").shape
    (16, 10, 10)
    """
    return _answers(net, np.asarray(image), (layer,))[layer]


def _answers(net: Module, image: np.ndarray, layers: Sequence[str] | None) -> dict[str, np.ndarray]:
    """What layers, by default all, give for one picture."""
    entering = image[np.newaxis]
    if entering.dtype == np.uint8:
        preprocessing = net.__dict__.get("preprocessing")
        if preprocessing is None:
            raise ValueError(
                "This network has no preprocessing for pictures of 0 to 255; give floats as the network takes them."
            )
        entering = preprocessing(entering)
    traced = trace(net, entering)
    labels = {layer: tensor for layer, tensor in traced.graph.labels.items() if layer}
    chosen = list(labels) if layers is None else list(layers)
    if unknown := [layer for layer in chosen if layer not in labels]:
        raise ValueError(f"There is no layer {unknown[0]!r}; there are: {', '.join(labels)}.")
    graph = Graph(traced.graph.inputs, tuple(labels[layer] for layer in chosen))
    answers = evaluate(graph, [entering, *(variable.value for variable in traced.variables)])
    return {layer: maps[0] for layer, maps in zip(chosen, answers, strict=True)}


def _draw(
    net: Module, image: np.ndarray, layer: str, maps: np.ndarray, path: str | os.PathLike[str], limit: int
) -> None:
    if maps.ndim != 3:
        raise ValueError(
            f"Layer {layer} gives {maps.shape} for a picture, without rows and columns; choose a layer before the "
            "pictures are flattened, wimmel.inspect lists them."
        )
    shown = maps[:limit]
    signed = bool(shown.min() < 0 < shown.max())
    largest = _strong(shown)
    scale = {"cmap": "PuOr", "vmin": -largest, "vmax": largest} if signed else _one_signed(shown)
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    picture_height, picture_width = _fitted(image.shape[-2:], 1.6)
    height, width = _fitted(maps.shape[1:], _SIDE)
    left = _MARGIN + picture_width + 0.35
    tall = max(picture_height, rows * (height + _GAP + 0.14))

    with page(path, left + columns * (width + _GAP) + _MARGIN - _GAP, 0.9 + tall + 0.2) as figure:
        heading(figure, *_headings(net, layer, maps, len(shown), signed))
        show_picture(axes_at(figure, _MARGIN, 0.9, picture_width, picture_height), _as_picture(image))
        for number, answers in enumerate(shown):
            row, column = divmod(number, columns)
            axes = axes_at(figure, left + column * (width + _GAP), 0.9 + row * (height + _GAP + 0.14), width, height)
            axes.imshow(answers, interpolation="nearest", aspect="auto", **scale)
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_visible(True)
            axes.set_xlabel(str(number), fontsize=7, color=PALE, labelpad=1.5)


def _headings(net: Module, layer: str, maps: np.ndarray, shown: int, signed: bool) -> tuple[str, str]:
    channels, rows, columns = maps.shape
    kind = type(net.named_modules()[layer]).__name__
    first = f"the first {shown} of " if shown < channels else ""
    meaning = "orange is negative, violet positive" if signed else "brighter is more"
    subtitle = f"{first}{counted(channels, 'channel')} of {rows}x{columns}; {meaning}"
    return f"Layer {layer}, {kind}", subtitle.capitalize()


def _one_signed(maps: np.ndarray) -> dict[str, Any]:
    largest = _strong(maps)
    if maps.min() < 0:
        return {"cmap": "cividis_r", "vmin": -largest, "vmax": 0.0}
    return {"cmap": "cividis", "vmin": 0.0, "vmax": largest}


def _strong(maps: np.ndarray) -> float:
    """The answer that is drawn as strongly as can be: of those that are not nothing the strongest but for a few."""
    answers = np.abs(maps[maps != 0])
    return float(np.quantile(answers, 1 - _FEW)) if answers.size else 1.0


def _fitted(sizes: tuple[int, ...], side: float) -> tuple[float, float]:
    """Height and width in inches of something of these sizes whose longer side is given."""
    scale = side / max(sizes)
    return max(sizes[0] * scale, 0.05), max(sizes[1] * scale, 0.05)


def _as_picture(image: np.ndarray) -> np.ndarray:
    """Floats of any range as pixels: the lowest black, the highest white."""
    if image.dtype == np.uint8:
        return image
    low, high = float(image.min()), float(image.max())
    pixels: np.ndarray = np.rint((image - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)
    return pixels
