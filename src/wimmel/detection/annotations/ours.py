"""Our own JSON: pictures with their boxes, as `write_boxes` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wimmel.detection.annotations.listing import Listed, Listing, Mark, numbers, said_size, shortened

EDGES = ("left", "top", "right", "bottom")


def is_ours(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("pictures"), list)


def read_ours(path: Path, content: Any) -> Listing:
    """The listing of a file's content; scores are passed over."""
    names = content.get("classes")
    listing = Listing(class_names=[str(name) for name in names] if isinstance(names, list) and names else None)
    for number, entry in enumerate(content["pictures"]):
        place = f"picture {number}"
        name = entry.get("picture") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            listing.complain(path, place, "it names no picture")
            continue
        picture = Listed(name, path, place, said_size(entry.get("height"), entry.get("width")))
        listing.pictures[number] = picture
        boxes = entry.get("boxes", [])
        for order, box in enumerate(boxes if isinstance(boxes, list) else [boxes]):
            _add(picture, f"{place} ({shortened(name)}), box {order}", box, listing)
    return listing


def _add(picture: Listed, place: str, entry: Any, listing: Listing) -> None:
    box = numbers([entry.get(edge) for edge in EDGES]) if isinstance(entry, dict) else None
    label = entry.get("class", "object") if isinstance(entry, dict) else None
    if box is None:
        listing.complain(picture.file, place, f"its left, top, right, bottom are not numbers: {shortened(entry)}")
    elif not isinstance(label, str) or not label:
        listing.complain(picture.file, place, "it has no class")
    else:
        crowd = bool(entry.get("crowd", False))
        picture.marks.append(Mark(picture.file, place, label, (box[0], box[1], box[2], box[3]), crowd))
