"""Finds as pictures: boxes and labels on the picture itself, scores as heat over it, the best finds side by side.

Given pictures, finds and maps of scores; hands on pictures as arrays, which `files.write_image` writes, or a page.
Large pictures are read in pieces and drawn smaller.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wimmel.detection.boxes import clip
from wimmel.detection.finds import Finds, Scene
from wimmel.detection.learned.pyramid import as_piecewise, shrunken
from wimmel.files import MAX_PIXELS, Piecewise, fit_image, open_image
from wimmel.report.canvas import INK, PALE, counted, shortened
from wimmel.report.tiles import Line, Tile, tiles_page

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

    Colour = tuple[int, int, int]
    Picture = np.ndarray | str | os.PathLike[str] | Piecewise

LARGEST_DRAWN = 25_000_000
"""Pictures of more pixels are drawn smaller, with about so many."""

# The palette of Okabe and Ito, "Color universal design" (2008), but for its black: told apart with any colour vision.
COLOURS = (
    (213, 94, 0), (0, 114, 178), (0, 158, 115), (230, 159, 0), (204, 121, 167), (86, 180, 233), (240, 228, 66),
)  # fmt: skip

# Some colours of matplotlib's "inferno", evenly spaced, from nothing to much.
_HEAT = np.array((
    (0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99),
    (212, 72, 66), (245, 125, 21), (250, 193, 39), (252, 255, 164),
))  # fmt: skip
_GLOW = 100
"""Into the smaller side of a picture, the radius to which a peak is widened so that it is seen."""

_SEAM = (255, 255, 255)
"""Around a frame, so that it is seen on whatever colour."""

_LONGEST_NAME = 24
_MARGIN = 0.3
_BAND = 256


def annotated(picture: Picture, found: Finds | Scene, labels: bool = True) -> np.ndarray:
    """The picture with a frame around each box, in a colour for each class; over it the class and, of finds, the score.

    Parameters
    ----------
    picture : uint8 array (rows, columns) or (1 or 3, rows, columns), path, or Piecewise
    found : Finds or Scene
        Those with the best scores are drawn last, on top of the others.
    labels : bool, default True
        Whether to write classes and scores; the class only if there are several.

    Returns
    -------
    uint8 array (3, rows, columns)
        Smaller than a picture of more than 25 million pixels.

    Raises
    ------
    TypeError, ValueError
        If the array is no such picture.
    OSError, ImageError
        If the file cannot be read.

    Examples
    --------
    >>> framed = annotated(np.full((40, 60), 255, np.uint8), Finds([[5, 10, 30, 35]], [0.9]), labels=False)
    >>> framed.shape, framed[:, 10, 15].tolist()
    ((3, 40, 60), [213, 94, 0])
    """
    from PIL import Image, ImageDraw

    pixels, span = _drawable(picture)
    height, width = pixels.shape[1:]
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    draw = ImageDraw.Draw(image)
    thick = max(2, round(min(height, width) / 350))
    order = np.argsort(found.scores, kind="stable") if isinstance(found, Finds) else np.arange(len(found))
    boxes = clip(found.boxes / span, height, width)
    for place in order:
        left, top, right, bottom = boxes[place]
        colour = COLOURS[found.classes[place] % len(COLOURS)]
        corners = (round(left), round(top), max(round(right) - 1, round(left)), max(round(bottom) - 1, round(top)))
        draw.rectangle([edge + out for edge, out in zip(corners, (-1, -1, 1, 1), strict=True)], outline=_SEAM)
        draw.rectangle(corners, outline=colour, width=thick)
        if labels and (text := _label(found, int(place))):
            _write(draw, text, corners, colour, (height, width))
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def heat_map(
    picture: Picture,
    scores: np.ndarray,
    covers: tuple[float, float, float, float] | None = None,
    low: float = 0.0,
    high: float | None = None,
) -> np.ndarray:
    """The picture in dim gray, glowing where scores are high; peaks are widened a little, so that they are seen.

    Parameters
    ----------
    picture : uint8 array (rows, columns) or (1 or 3, rows, columns), path, or Piecewise
    scores : float array (map rows, map columns)
    covers : (left, top, right, bottom), optional
        The part of the picture in pixels that the map's elements cover evenly; by default all of it. The map of
        `match_template` covers (w / 2, h / 2, columns - w / 2, rows - h / 2) for a template of h rows and w columns.
    low, high : float
        The scores that glow not at all and most; by default 0, and the map's highest.

    Returns
    -------
    uint8 array (3, rows, columns)
        Smaller than a picture of more than 25 million pixels.

    Raises
    ------
    TypeError, ValueError
        If an array is not as described.
    OSError, ImageError
        If the file cannot be read.

    Examples
    --------
    >>> scores = np.zeros((4, 6))
    >>> scores[1, 2] = 1
    >>> glowing = heat_map(np.zeros((40, 60), np.uint8), scores)
    >>> glowing[:, 15, 25].sum() > 4 * glowing[:, 35, 50].sum()
    np.True_
    """
    scores = np.asarray(scores, np.float32)
    if scores.ndim != 2 or scores.size == 0 or not np.isfinite(scores).all():
        raise ValueError(f"A map of scores has rows and columns of finite numbers; got the shape {scores.shape}.")
    pixels, span = _drawable(picture)
    gray = fit_image(pixels, None, 1)[0]
    left, top, right, bottom = (
        edge / span for edge in covers or (0.0, 0.0, gray.shape[1] * span, gray.shape[0] * span)
    )
    highest = float(scores.max()) if high is None else high
    heat = np.zeros_like(gray)
    room = heat[round(top) : max(round(bottom), round(top) + 1), round(left) : max(round(right), round(left) + 1)]
    share = np.clip((scores - low) / max(highest - low, 1e-12), 0, 1)
    room[...] = _glowing(share, (room.shape[0], room.shape[1]), min(gray.shape) // _GLOW)
    shown = np.empty((3, *gray.shape), np.uint8)
    for first in range(0, len(gray), _BAND):  # a mixture takes a hundred bytes for each pixel
        band = slice(first, first + _BAND)
        shown[:, band] = _mixed(gray[band], heat[band]).transpose(2, 0, 1)
    return shown


def _mixed(gray: np.ndarray, glow: np.ndarray) -> np.ndarray:
    """Dim gray and heat, both uint8 (rows, columns), as colours (rows, columns, 3)."""
    heat = glow / np.float32(255)
    steps = heat * (len(_HEAT) - 1)
    below = np.minimum(steps.astype(np.int64), len(_HEAT) - 2)
    colours = _HEAT[below] + (steps - below)[..., np.newaxis] * (_HEAT[below + 1] - _HEAT[below])
    dim = 18 + 0.32 * gray.astype(np.float32)[..., np.newaxis]
    return np.rint(dim + (heat**1.5)[..., np.newaxis] * (colours - dim)).astype(np.uint8)


def _glowing(heat: np.ndarray, size: tuple[int, int], radius: int) -> np.ndarray:
    """The map at another size (rows, columns) as uint8, its peaks widened to a radius in pixels."""
    from PIL import Image, ImageFilter

    step = round(radius * heat.shape[0] / size[0])  # in elements of the map, which may be larger than pixels
    widened = Image.fromarray(np.rint(255 * heat).astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * step + 1))
    reach = (step + 0.5) * size[0] / heat.shape[0]  # of a widened peak, in pixels
    smooth = widened.resize((size[1], size[0]), Image.Resampling.BILINEAR).filter(ImageFilter.GaussianBlur(reach / 2.4))
    return np.asarray(smooth)


def finds_picture(
    pictures: Mapping[str, Picture],
    found: Mapping[str, Finds],
    path: str | os.PathLike[str],
    limit: int = 40,
    max_pixels: int = MAX_PIXELS,
) -> None:
    """Nothing; the file at `path` then shows the best finds of all pictures, best first, with a little around each.

    Parameters
    ----------
    pictures : mapping of str to uint8 array (rows, columns) or (1 or 3, rows, columns), path, or Piecewise
        By name. Files are read one after another.
    found : mapping of str to Finds
        By the names of the pictures.
    path : str or path
        Ends in .png, .svg, .pdf or .jpg.
    limit : int, default 40
        How many to show at most.
    max_pixels : int, default 500 million
        Of files, as in `files.open_image`.

    Raises
    ------
    ValueError
        If there are finds without a picture, or the path's suffix is none of these.
    OSError
        If a picture cannot be read or the file cannot be written; what stood there before stays.

    Examples
    --------
    >>> import tempfile
    >>> from wimmel.files import read_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = Path(folder, "finds.png")
    ...     finds_picture({"scene": np.zeros((20, 30), np.uint8)}, {"scene": Finds([[3, 4, 13, 14]], [0.9])}, page)
    ...     read_image(page).shape[0]
    3
    """
    if missing := found.keys() - pictures.keys():
        raise ValueError(f"There are finds in {sorted(missing)[0]}, but no picture of that name was given.")
    ranked = sorted(
        ((-finds.scores[place], number, place, name) for number, (name, finds) in enumerate(found.items())
         for place in range(len(finds)))
    )[:limit]  # fmt: skip
    names, tiles = _told_apart(list(pictures)), {}
    for name in {name for *_, name in ranked}:
        pieces = in_pieces(pictures[name], max_pixels)
        for rank, (_, _, place, of) in enumerate(ranked):
            if of == name:
                tiles[rank] = _tile(pieces, found[name], int(place), names[name])
    total = sum(len(finds) for finds in found.values())
    some = f"The {len(tiles)} best of {counted(total, 'find')}" if len(tiles) < total else counted(total, "find")
    subtitle = "Best first: class and score, and where" if tiles else ""
    title = f"{some} in {counted(len(found), 'picture')}"
    tiles_page(path, title, subtitle, [tiles[rank] for rank in range(len(tiles))])


def _told_apart(names: Sequence[str]) -> dict[str, str]:
    """What to call each: nothing if there is but one, else the last part of its path, if that tells them apart."""
    if len(names) == 1:
        return {names[0]: ""}
    last = {name: Path(name).name for name in names}
    return last if len(set(last.values())) == len(names) else {name: name for name in names}


def _tile(picture: Piecewise, found: Finds, place: int, name: str) -> Tile:
    left, top, right, bottom = found.boxes[place]
    across, down = _MARGIN * (right - left), _MARGIN * (bottom - top)
    rows, columns = picture.shape[1:]
    around = clip([[left - across, top - down, right + across, bottom + down]], rows, columns)[0]
    begin = np.minimum(np.floor(around[:2]), (columns - 1, rows - 1)).astype(int)
    end = np.maximum(np.ceil(around[2:]).astype(int), begin + 1)
    label = shortened(found.class_names[found.classes[place]], _LONGEST_NAME)
    lines = [Line(label, f"{found.scores[place]:.2f}", INK, strong=True)]
    where = f"{shortened(name, _LONGEST_NAME)} " if name else ""
    lines.append(Line(f"{where}{round((left + right) / 2)}, {round((top + bottom) / 2)}", "", PALE))
    return Tile(_coloured(picture.piece(begin[1], begin[0], end[1], end[0])), lines)


def _label(found: Finds | Scene, place: int) -> str:
    name = shortened(found.class_names[found.classes[place]], _LONGEST_NAME) if len(found.class_names) > 1 else ""
    score = f"{found.scores[place]:.2f}" if isinstance(found, Finds) else ""
    return " ".join(part for part in (name, score) if part)


def _write(draw: ImageDraw, text: str, corners: tuple[int, ...], colour: Colour, size: tuple[int, int]) -> None:
    """Writes on a strip above the box, or, where there is no room, at its upper edge inside."""
    height, width = size
    font = _font(max(11, min(28, round(min(height, width) / 60))))
    begin, above, end, below = (round(edge) for edge in draw.textbbox((0, 0), text, font=font))
    wide, tall = end - begin + 6, below - above + 5
    left = max(0, min(corners[0], width - wide))
    top = corners[1] - tall if corners[1] >= tall else corners[1]
    draw.rectangle((left, top, left + wide - 1, top + tall - 1), fill=colour)
    red, green, blue = colour
    ink = (255, 255, 255) if 0.299 * red + 0.587 * green + 0.114 * blue < 140 else (0, 0, 0)
    draw.text((left + 3 - begin, top + 2 - above), text, fill=ink, font=font)


@cache
def _font(size: int) -> Any:
    """The font of all our pictures, which matplotlib brings along; it has the letters of most scripts."""
    import matplotlib
    from PIL import ImageFont

    try:
        return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
    except (OSError, ImportError):  # a system's package may keep it elsewhere, and Pillow may be without FreeType
        return ImageFont.load_default()


def in_pieces(picture: Picture, max_pixels: int = MAX_PIXELS) -> Piecewise:
    """The picture as one that is read in pieces."""
    if isinstance(picture, str | os.PathLike):
        return open_image(picture, 3, max_pixels)
    return picture if isinstance(picture, Piecewise) else as_piecewise(picture, 3)


def _drawable(picture: Picture) -> tuple[np.ndarray, float]:
    """uint8 (3, rows, columns), not too large to be drawn on; and how many of the picture's pixels a pixel spans."""
    pixels, span = shrunken(in_pieces(picture), LARGEST_DRAWN)
    return _coloured(pixels), span


def _coloured(pixels: np.ndarray) -> np.ndarray:
    return fit_image(pixels, None, 3)
