"""LabelMe's JSON: a file per picture, of shapes given by their points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wimmel.detection.annotations.listing import Listed, Listing, Mark, Numbers, around, said_size, shortened

_WITH_AREA = ("rectangle", "polygon", "mask", "circle")


def is_labelme(content: Any) -> bool:
    return isinstance(content, dict) and "shapes" in content


def read_labelme(documents: Mapping[Path, Any]) -> Listing:
    """The listing of files' contents: rectangles as they are, polygons and circles as the boxes around them."""
    listing = Listing()
    for path, content in documents.items():
        _add(path, content, listing)
    return listing


def _add(path: Path, content: Any, listing: Listing) -> None:
    name = content.get("imagePath")
    size = said_size(content.get("imageHeight"), content.get("imageWidth"))
    picture = Listed(name if isinstance(name, str) and name else path.stem, path, "", size)
    listing.pictures[path] = picture
    shapes = content["shapes"] if isinstance(content["shapes"], list) else []
    for number, shape in enumerate(shapes):
        place = f"shape {number}"
        kind = shape.get("shape_type", "polygon") if isinstance(shape, dict) else None
        label = shape.get("label") if isinstance(shape, dict) else None
        if not isinstance(label, str) or not label:
            listing.complain(path, place, "it has no label")
        elif kind not in _WITH_AREA:
            listing.complain(path, place, f"a {shortened(kind)} has no box; rectangles, polygons and circles do")
        elif (box := _box(kind, shape.get("points"))) is None:
            listing.complain(path, place, f"its points are not pairs of numbers: {shortened(shape.get('points'))}")
        else:
            picture.marks.append(Mark(path, place, label, box))


def _box(kind: str, points: Any) -> Numbers | None:
    corners = around(points)
    if kind != "circle" or corners is None:
        return corners
    (across, down), edge = points[:2]
    radius = math.dist((across, down), edge)
    return across - radius, down - radius, across + radius, down + radius
