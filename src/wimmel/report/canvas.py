"""What all pictures here share: figures that leave the caller's matplotlib as it was, colours, text that fits, saving.

Given a path and inches; hands on a figure to draw on, which at the end becomes a file, whole or not at all.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wimmel.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf", "jpg", "jpeg")
DOTS_PER_INCH = 150

# From the palette of Okabe and Ito, "Color universal design" (2008): told apart with any colour vision.
RIGHT = "#0072b2"
WRONG = "#d55e00"
INK = "#1f2933"
PALE = "#6b7785"
LINE = "#d5dae0"
PAPER = "#ffffff"

_STYLE: dict[str, Any] = {
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$5 and $10"
    "axes.edgecolor": LINE,
    "axes.labelcolor": PALE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "svg.hashsalt": "wimmel",
}
_FURTHER_FONTS = (
    "Noto Sans", "Arial Unicode MS", "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "Yu Gothic",
    "Microsoft YaHei", "Malgun Gothic", "Segoe UI", "Segoe UI Symbol", "Noto Sans Arabic", "Noto Sans Devanagari",
)  # fmt: skip


@contextmanager
def page(path: str | os.PathLike[str], width: float, height: float) -> Iterator[Figure]:
    """A figure to draw on; when the block ends without an error it is saved at the path.

    Neither the caller's matplotlib settings nor its choice of backend play a part or are changed.

    Parameters
    ----------
    path : str or path
        Ends in .png, .svg, .pdf or .jpg.
    width, height : float
        In inches; a heading that is wider than that widens the figure.

    Yields
    ------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the path's suffix is none of these.
    OSError
        If the file cannot be written; what stood there before stays.
    """
    suffix = Path(path).suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        raise ValueError(f"{path} does not say which kind of picture to write; end its name in .png, .svg or .pdf.")
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box is drawn instead
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)  # type: ignore[arg-type]
        matplotlib.rcParams["font.family"] = ["DejaVu Sans", *_installed_fonts()]
        figure = Figure(figsize=(width, height), facecolor=PAPER)
        yield figure
        date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
        with write_whole(path) as temporary:
            figure.savefig(temporary, format=suffix, dpi=DOTS_PER_INCH, metadata=date)


def heading(figure: Figure, title: str, subtitle: str = "", left: float = 0.25) -> None:
    """Writes a title and a line below it at the upper left corner, 0.75 inches in all; widens the figure if need be.

    It comes before everything else on the figure, which would be stretched.
    """
    width, height = figure.get_size_inches()
    width = max(width, 2 * left + 0.118 * len(title), 2 * left + 0.076 * len(subtitle))
    figure.set_size_inches(width, height)
    figure.text(left / width, 1 - 0.22 / height, title, fontsize=13, fontweight="bold", va="top")
    if subtitle:
        figure.text(left / width, 1 - 0.5 / height, subtitle, fontsize=9, color=PALE, va="top")


def axes_at(figure: Figure, left: float, top: float, width: float, height: float) -> Any:
    """Axes placed in inches from the figure's upper left corner."""
    whole_width, whole_height = figure.get_size_inches()
    bottom = whole_height - top - height
    return figure.add_axes((left / whole_width, bottom / whole_height, width / whole_width, height / whole_height))


def show_picture(axes: Any, picture: np.ndarray) -> None:
    """Draws a uint8 picture (channels, rows, columns), in gray or colour, framed and without ticks."""
    image = picture[0] if picture.shape[0] < 3 else picture[:3].transpose(1, 2, 0)
    # Few pixels are shown as the squares they are; many are averaged where the page has fewer dots than the picture.
    smooth = "nearest" if max(image.shape[:2]) <= 64 else "antialiased"
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation=smooth)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)


def shortened(text: str, limit: int) -> str:
    """The text on one line, cut to the limit with an ellipsis.

    Examples
    --------
    >>> shortened("golden retriever", 10)
    'golden re…'
    """
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def counted(number: int, one: str, many: str = "") -> str:
    """The number with its noun.

    Examples
    --------
    >>> counted(1, "picture"), counted(1200, "picture"), counted(0, "class", "classes")
    ('1 picture', '1,200 pictures', '0 classes')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float, places: int = 0) -> str:
    """A share of 1 as a percentage that says 100% or 0% only where it is so.

    Parameters
    ----------
    share : float
    places : 0 or 1, default 0
        How many decimals to write; near 0 and 1 there is always one.

    Examples
    --------
    >>> percent(1.0), percent(0.9996), percent(0.998), percent(0.5), percent(0.0)
    ('100%', '>99.9%', '99.8%', '50%', '0%')
    >>> percent(0.9, 1)
    '90.0%'
    """
    if not 0 < share < 1:
        return f"{100 * share:.0f}%"
    for decimals in (places, 1):
        text = f"{100 * share:.{decimals}f}"
        if 0 < float(text) < 100:
            return f"{text}%"
    return ">99.9%" if share > 0.5 else "<0.1%"


@cache
def _installed_fonts() -> tuple[str, ...]:
    """Further fonts to take characters from that matplotlib's own lacks; naming absent ones would log complaints."""
    from matplotlib.font_manager import fontManager

    present = {font.name for font in fontManager.ttflist}
    return tuple(name for name in _FURTHER_FONTS if name in present)
