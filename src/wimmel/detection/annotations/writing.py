"""Boxes out: as JSON, CSV or COCO's JSON, written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wimmel.detection.annotations.ours import EDGES
from wimmel.detection.boxes import areas, to_left_top_size
from wimmel.detection.finds import Finds, Scene
from wimmel.files import write_text

Sizes = Mapping[str, tuple[int, int]]


def write_boxes(
    path: str | os.PathLike[str],
    pictures: Mapping[str, Finds | Scene],
    format: str | None = None,
    sizes: Sizes | None = None,
) -> None:
    """Nothing; the file at `path` then holds the boxes, or is what it was before. `read_annotations` reads it again.

    Parameters
    ----------
    path : path
        The file to write.
    pictures : mapping of str to Finds or Scene
        By the pictures' names, as they shall stand in the file; all with the same names of classes.
    format : {"json", "csv", "coco"}, optional
        By default CSV for a path that ends in .csv, else JSON. COCO's annotations carry the scores, so that they serve
        as results too.
    sizes : mapping of str to (rows, columns), optional
        Of pictures whose finds do not say; COCO's and our JSON have them where they are known.

    Raises
    ------
    ValueError
        If the format is another, or the pictures' classes differ.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_boxes(Path(folder, "found.csv"), {"a.png": Finds([[1, 2, 3.5, 4]], [0.75])})
    ...     print(Path(folder, "found.csv").read_text().strip())
    picture,class,left,top,right,bottom,score
    a.png,object,1,2,3.5,4,0.75
    """
    format = format or ("csv" if Path(path).suffix.lower() == ".csv" else "json")
    if format not in _WRITERS:
        raise ValueError(f"Boxes cannot be written as {format!r}; the formats are {', '.join(_WRITERS)}.")
    names = {each.class_names for each in pictures.values()}
    if len(names) > 1:
        raise ValueError("The pictures do not share their classes; give all of them the same names in the same order.")
    known = {name: each.size for name, each in pictures.items() if isinstance(each, Scene) and each.size is not None}
    write_text(path, _WRITERS[format](pictures, names.pop() if names else (), {**known, **(sizes or {})}))


def _as_json(pictures: Mapping[str, Finds | Scene], names: tuple[str, ...], sizes: Sizes) -> str:
    entries = []
    for name, found in pictures.items():
        size = {"height": sizes[name][0], "width": sizes[name][1]} if name in sizes else {}
        entries.append({"picture": name, **size, "boxes": [_record(found, place) for place in range(len(found))]})
    return json.dumps({"classes": names, "pictures": entries}, ensure_ascii=False, indent=1) + "\n"


def _record(found: Finds | Scene, place: int) -> dict[str, Any]:
    record: dict[str, Any] = {"class": found.class_names[found.classes[place]]}
    if isinstance(found, Finds):
        record["score"] = _number(found.scores[place])
    elif found.crowd[place]:
        record["crowd"] = True
    record |= {edge: _number(value) for edge, value in zip(EDGES, found.boxes[place], strict=True)}
    if isinstance(found, Finds) and found.poses is not None:
        record |= {name: _number(value) for name, value in zip(("scale", "angle"), found.poses[place], strict=True)}
    return record


def _as_csv(pictures: Mapping[str, Finds | Scene], names: tuple[str, ...], sizes: Sizes) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("picture", "class", *EDGES, "score"))
    for name, found in pictures.items():
        for place in range(len(found)):
            score = _number(found.scores[place]) if isinstance(found, Finds) else ""
            box = map(_number, found.boxes[place])
            table.writerow((name, found.class_names[found.classes[place]], *box, score))
        if not len(found):
            table.writerow((name, "", "", "", "", "", ""))
    return text.getvalue()


def _as_coco(pictures: Mapping[str, Finds | Scene], names: tuple[str, ...], sizes: Sizes) -> str:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image, (name, found) in enumerate(pictures.items(), start=1):
        size = {"height": sizes[name][0], "width": sizes[name][1]} if name in sizes else {}
        images.append({"id": image, "file_name": name, **size})
        for place, (box, area) in enumerate(zip(to_left_top_size(found.boxes), areas(found.boxes), strict=True)):
            crowd = isinstance(found, Scene) and bool(found.crowd[place])
            score = {"score": _number(found.scores[place])} if isinstance(found, Finds) else {}
            which = {"id": len(annotations) + 1, "image_id": image, "category_id": int(found.classes[place]) + 1}
            where = {"bbox": [_number(value) for value in box], "area": _number(area), "iscrowd": int(crowd)}
            annotations.append({**which, **where, **score})
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    whole = {"images": images, "categories": categories, "annotations": annotations}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _number(value: float | np.floating) -> float | int:
    """Without digits that mean nothing: whole numbers as such, others to a millionth."""
    rounded = round(float(value), 6)
    return int(rounded) if rounded.is_integer() else rounded


_WRITERS = {"json": _as_json, "csv": _as_csv, "coco": _as_coco}
