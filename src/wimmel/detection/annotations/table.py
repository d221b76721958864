"""CSV of boxes: a line for each, with the picture's file name, four edges and a class.

Columns go by their names, of which several are understood; without a line of names they are picture, left, top, right,
bottom and, perhaps, class. A line whose edges are empty names a picture without objects.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from wimmel.detection.annotations.listing import Listed, Listing, Mark, Numbers, number, numbers, shortened
from wimmel.detection.annotations.text import read_text
from wimmel.detection.finds import ONE_CLASS

_NAMES = {
    "picture": ("picture", "filename", "file_name", "file", "image", "image_name", "image_path", "path", "img"),
    "class": ("class", "label", "name", "class_name", "category", "label_name"),
    "left": ("left", "xmin", "x_min", "x1", "bbox_x", "x"),
    "top": ("top", "ymin", "y_min", "y1", "bbox_y", "y"),
    "right": ("right", "xmax", "x_max", "x2"),
    "bottom": ("bottom", "ymax", "y_max", "y2"),
    "width": ("bbox_width", "box_width", "width", "w"),
    "height": ("bbox_height", "box_height", "height", "h"),
}
_ORDER = {name: place for place, name in enumerate(("picture", "left", "top", "right", "bottom", "class"))}
_CORNERS, _SIZES = ("left", "top", "right", "bottom"), ("left", "top", "width", "height")


def read_table(path: Path) -> Listing:
    """The listing of a file of boxes.

    Raises
    ------
    ValueError
        If its columns cannot be told.
    """
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    first = text.split("\n", 1)[0]
    rows = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count))
    listing = Listing()
    columns: dict[str, int] | None = None
    for row in _rows(path, rows):
        if not any(cell.strip() for cell in row):
            continue
        if columns is None:
            columns = _columns(path, row)
            if columns is not _ORDER:
                continue
        _add(path, f"line {rows.line_num}", [cell.strip() for cell in row], columns, listing)
    return listing


def _rows(path: Path, rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows; what the csv module cannot read is refused in a sentence."""
    try:
        yield from rows
    except csv.Error as error:
        raise ValueError(f"{path}: it is not CSV ({error}).") from error


def _columns(path: Path, row: list[str]) -> dict[str, int]:
    """Where each column stands."""
    titles = [cell.strip().lower().replace(" ", "_") for cell in row]
    found = {
        meaning: next(titles.index(name) for name in names if name in titles)
        for meaning, names in _NAMES.items()
        if any(name in titles for name in names)
    }
    if "picture" in found and (set(_CORNERS) <= found.keys() or set(_SIZES) <= found.keys()):
        return found
    if len(row) >= 5 and (numbers(row[1:5]) or not any(cell.strip() for cell in row[1:5])):
        return _ORDER
    raise ValueError(
        f"{path}, line 1: the columns must be picture, class, and left, top, right, bottom, or left, top, width, "
        f"height; got {shortened(', '.join(row))}."
    )


def _add(path: Path, place: str, row: list[str], columns: dict[str, int], listing: Listing) -> None:
    def cell(name: str) -> str:
        return row[columns[name]] if name in columns and columns[name] < len(row) else ""

    name = cell("picture")
    if not name:
        listing.complain(path, place, "it names no picture")
        return
    picture = listing.pictures.setdefault(name, Listed(name, path, place))
    by_corners = set(_CORNERS) <= columns.keys()
    cells = [cell(edge) for edge in (_CORNERS if by_corners else _SIZES)]
    if not any(cells):
        return
    box = _box([number(each) for each in cells], by_corners)
    label = cell("class") or ("" if "class" in columns and columns is not _ORDER else ONE_CLASS[0])
    if box is None:
        listing.complain(path, place, f"its edges are not four numbers: {shortened(', '.join(cells))}")
    elif not label:
        listing.complain(path, place, "it has no class")
    else:
        picture.marks.append(Mark(path, place, label, box))


def _box(values: list[float | None], by_corners: bool) -> Numbers | None:
    left, top, third, fourth = values
    if left is None or top is None or third is None or fourth is None:
        return None
    return (left, top, third, fourth) if by_corners else (left, top, left + third, top + fourth)
