"""COCO's JSON: one file of images, categories and annotations, whose boxes are left, top, width and height."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wimmel.detection.annotations.listing import Listed, Listing, Mark, Numbers, around, numbers, said_size, shortened


def is_coco(content: Any) -> bool:
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def read_coco(path: Path, content: Any) -> Listing:
    """The listing of a file's content. An annotation without a box has the box of its polygons."""
    listing = Listing()
    names = _categories(path, content, listing)
    listing.class_names = list(names.values())
    for place, image in _records(path, content, "images", "image", listing):
        key, file = image.get("id"), image.get("file_name")
        if not isinstance(file, str) or not isinstance(key, int | str):
            listing.complain(path, place, "it has no file_name, or no id")
        elif key in listing.pictures:
            listing.complain(path, place, f"its id {key} is that of another image too")
        else:
            listing.pictures[key] = Listed(file, path, place, said_size(image.get("height"), image.get("width")))
    for place, annotation in _records(path, content, "annotations", "annotation", listing):
        of, category, box = annotation.get("image_id"), annotation.get("category_id"), _box(annotation)
        if not isinstance(of, int | str) or of not in listing.pictures:
            listing.complain(path, place, f"its image_id {shortened(of)} is that of no image")
        elif not isinstance(category, int | str) or category not in names:
            listing.complain(path, place, f"its class is unknown: category_id {shortened(category)} is in no category")
        elif box is None:
            listing.complain(path, place, f"its bbox is not four numbers: {shortened(annotation.get('bbox'))}")
        else:
            crowd = bool(annotation.get("iscrowd", 0))
            listing.pictures[of].marks.append(Mark(path, place, names[category], box, crowd))
    return listing


def _categories(path: Path, content: Any, listing: Listing) -> dict[int | str, str]:
    names: dict[int | str, str] = {}
    for place, category in _records(path, content, "categories", "category", listing):
        key, name = category.get("id"), category.get("name")
        if not isinstance(key, int | str) or not isinstance(name, str):
            listing.complain(path, place, "it has no id, or no name")
        elif key in names or name in names.values():
            listing.complain(path, place, f"its id {key} or its name {name} is that of another category too")
        else:
            names[key] = name
    return names


def _records(path: Path, content: Any, plural: str, singular: str, listing: Listing) -> list[tuple[str, dict]]:
    """Where each record of a list stands, and the record; what is no record is a problem."""
    entries = content.get(plural, [])
    if not isinstance(entries, list):
        listing.complain(path, plural, "this is no list")
        return []
    found = []
    for number, entry in enumerate(entries):
        key = f" (id {shortened(entry['id'])})" if isinstance(entry, dict) and "id" in entry else ""
        place = f"{singular} {number}{key}"
        if isinstance(entry, dict):
            found.append((place, entry))
        else:
            listing.complain(path, place, f"this is no record: {shortened(entry)}")
    return found


def _box(annotation: dict) -> Numbers | None:
    if annotation.get("bbox") is not None:
        found = numbers(annotation["bbox"])
        return None if found is None else (found[0], found[1], found[0] + found[2], found[1] + found[3])
    polygons = annotation.get("segmentation")
    if not isinstance(polygons, list) or not all(isinstance(polygon, list) for polygon in polygons):
        return None
    corners = [pair for polygon in polygons for pair in zip(polygon[::2], polygon[1::2], strict=False)]
    return around(corners)
