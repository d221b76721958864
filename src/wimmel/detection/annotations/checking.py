"""Listings become scenes: every picture is looked up and measured, every box is checked against it.

Given a listing of any format; hands on scenes and all problems, not just the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from wimmel.detection.annotations.listing import Listed, Listing, Mark, Numbers, Problem
from wimmel.detection.annotations.lookup import Pictures
from wimmel.detection.finds import ONE_CLASS, Scene
from wimmel.files import ImageError, read_image, read_image_header

TOLERANCE = 1.0
"""Pixels that a box may reach beyond its picture, from rounding or counting from 1; it is clipped."""


def scenes_of(
    listing: Listing, pictures: Pictures, class_names: Sequence[str] | None, decoded: bool
) -> tuple[list[Scene], tuple[str, ...], list[Problem]]:
    """Scenes, the names of classes, and problems; scenes leave out the boxes and pictures that have any.

    Parameters
    ----------
    listing : Listing
    pictures : Pictures
    class_names : sequence of str, optional
        The classes there may be; by default those the listing declares, or those of its boxes.
    decoded : bool
        Whether pictures are read to their end, so that damage there is a problem too.
    """
    problems = list(listing.problems)
    marked = {mark.class_name for picture in listing.pictures.values() for mark in picture.marks}
    names = tuple(class_names or listing.class_names or _sorted(marked) or ONE_CLASS)
    scenes: list[Scene] = []
    for path, size, listed in _placed(listing, pictures, problems, decoded):
        marks = [mark for picture in listed for mark in picture.marks]
        kept = _kept(marks, size, names, problems)
        boxes = [box for _, box in kept]
        classes = [names.index(mark.class_name) for mark, _ in kept]
        scenes.append(Scene(path, boxes, classes, names, [mark.crowd for mark, _ in kept], size))  # type: ignore[arg-type]
    return scenes, names, problems


def _placed(
    listing: Listing, pictures: Pictures, problems: list[Problem], decoded: bool
) -> list[tuple[Path, tuple[int, int], list[Listed]]]:
    """Pictures that are there, with their sizes and all that is listed of each, in the order of the listing."""
    found: dict[Path, tuple[Path, tuple[int, int], list[Listed]]] = {}
    for listed in listing.pictures.values():
        try:
            path = pictures.find(listed.name, listed.file.parent)
            key = path.resolve()
            if key not in found:
                header = read_image_header(path)
                if decoded:
                    read_image(path)
                found[key] = (path, (header.height, header.width), [])
        except (LookupError, OSError, ImageError) as error:
            problems.append(Problem(str(listed.file), listed.place, _clause(error)))
            continue
        size = found[key][1]
        if listed.size not in (None, size):
            problems.append(Problem(str(listed.file), listed.place, _other_size(listed, size)))
        else:
            found[key][2].append(listed)
    return list(found.values())


def _kept(
    marks: Sequence[Mark], size: tuple[int, int], names: tuple[str, ...], problems: list[Problem]
) -> list[tuple[Mark, Numbers]]:
    """The marks without fault and their boxes in pixels, clipped to the picture."""
    kept: list[tuple[Mark, Numbers]] = []
    first: dict[tuple[str, Numbers], Mark] = {}
    for mark in marks:
        left, top, right, bottom = box = _in_pixels(mark, size)
        height, width = size
        reason = ""
        if mark.class_name not in names:
            reason = f"its class is unknown: {mark.class_name}"
        elif right <= left or bottom <= top:
            reason = f"the box is empty: {_said(box)}"
        elif min(left, top) < -TOLERANCE or right > width + TOLERANCE or bottom > height + TOLERANCE:
            reason = f"the box reaches outside the picture, which has {width}x{height} pixels: {_said(box)}"
        elif (mark.class_name, box) in first:
            reason = f"the box repeats that of {_place(first[mark.class_name, box], mark)}"
        if reason:
            problems.append(Problem(str(mark.file), mark.place, reason))
            continue
        first[mark.class_name, box] = mark
        kept.append((mark, (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))))
    return kept


def _in_pixels(mark: Mark, size: tuple[int, int]) -> Numbers:
    if not mark.is_relative:
        return mark.box
    height, width = size
    left, top, right, bottom = mark.box
    return left * width, top * height, right * width, bottom * height


def _place(earlier: Mark, mark: Mark) -> str:
    return earlier.place if earlier.file == mark.file else f"{earlier.file}, {earlier.place}"


def _said(box: Numbers) -> str:
    return "left {:g}, top {:g}, right {:g}, bottom {:g}".format(*box)


def _other_size(listed: Listed, size: tuple[int, int]) -> str:
    height, width = listed.size or size
    turned = " once it is turned upright as its camera's note says" if (width, height) == size else ""
    return f"it says that {listed.name} has {width}x{height} pixels, but it has {size[1]}x{size[0]}{turned}"


def _clause(error: Exception) -> str:
    """The error's sentence as a clause of another."""
    text = str(error).rstrip(".")
    return text[0].lower() + text[1:] if text.startswith(("The ", "There ")) else text


def _sorted(names: set[str]) -> list[str]:
    """By name, runs of digits by their number: class 9 before class 10."""

    def key(name: str) -> list[tuple[bool, int, str]]:
        runs = ("".join(run) for _, run in groupby(name, str.isdecimal))
        return [(not run.isdecimal(), int(run) if run.isdecimal() else 0, run) for run in runs]

    return sorted(names, key=key)
