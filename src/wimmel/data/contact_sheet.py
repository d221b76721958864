"""Many small pictures side by side, one row per class, as one picture or as HTML for a notebook."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wimmel.files import encode_image

_ROWS, _COLUMNS = 10, 12
_SMALLEST_SIDE, _LARGEST_SIDE = 32, 96
_GAP = 2
_PAPER = 255


def contact_sheet(images: np.ndarray, columns: int) -> np.ndarray:
    """One picture of all the pictures, in rows of `columns`, with a white gap around each.

    Parameters
    ----------
    images : uint8 array (n, channels, rows, columns)
        With 1 or 3 channels as gray or RGB; of 2 the first is shown, of 4 and more the first three.
    columns : int
        How many pictures to a row, at least 1.

    Returns
    -------
    uint8 array (1 or 3, sheet rows, sheet columns)

    Examples
    --------
    >>> contact_sheet(np.zeros((5, 1, 8, 8), np.uint8), columns=3).shape
    (1, 22, 32)
    """
    count, channels, height, width = images.shape
    shown = 3 if channels >= 3 else 1
    lines = -(-count // columns)
    tiles = np.full((lines * columns, shown, height + _GAP, width + _GAP), _PAPER, np.uint8)
    tiles[:count, :, :height, :width] = images[:, :shown]
    rows = tiles.reshape(lines, columns, shown, height + _GAP, width + _GAP).transpose(2, 0, 3, 1, 4)
    sheet = rows.reshape(shown, lines * (height + _GAP), columns * (width + _GAP))
    return np.pad(sheet, ((0, 0), (_GAP, 0), (_GAP, 0)), constant_values=_PAPER)


def contact_sheet_html(images: np.ndarray, labels: np.ndarray, classes: Sequence[str], caption: str) -> str:
    """HTML that shows the first pictures of the first classes, each class a row behind its name.

    Parameters
    ----------
    images : uint8 array (n, channels, rows, columns)
    labels : int64 array (n,)
    classes : sequence of str
    caption : str
        The line above the pictures.

    Returns
    -------
    str
        It contains the pictures themselves (PNG in base64) and refers to nothing outside.

    Examples
    --------
    >>> html = contact_sheet_html(np.zeros((2, 1, 8, 8), np.uint8), np.array([0, 1]), ("<a>", "b"), "two")
    >>> html.count("<img"), "&lt;a&gt;" in html
    (2, True)
    """
    from html import escape

    lines = []
    for label, name in enumerate(classes[:_ROWS]):
        members = np.flatnonzero(labels == label)[:_COLUMNS]
        picture = _inline(_legible(images[members])) if len(members) else "(none)"
        lines.append(f'<tr><td style="text-align:left">{escape(name)}</td><td>{picture}</td></tr>')
    more = len(classes) - _ROWS
    if more > 0:
        lines.append(f"<tr><td></td><td>and {more} more {'class' if more == 1 else 'classes'}</td></tr>")
    return f"<div><p>{escape(caption)}</p><table>{''.join(lines)}</table></div>"


def _legible(images: np.ndarray) -> np.ndarray:
    """Tiny pictures magnified by a whole factor, large ones thinned out, so that a row fits a page."""
    longest = max(images.shape[2:])
    factor, step = max(1, _SMALLEST_SIDE // longest), -(-longest // _LARGEST_SIDE)
    return images[:, :, ::step, ::step].repeat(factor, axis=2).repeat(factor, axis=3)


def _inline(images: np.ndarray) -> str:
    import base64

    png = base64.b64encode(encode_image(contact_sheet(images, columns=_COLUMNS))).decode("ascii")
    return f'<img src="data:image/png;base64,{png}">'
