"""Reading boxes in whatever format they come, told by the files themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from wimmel.detection.annotations.checking import scenes_of
from wimmel.detection.annotations.coco import is_coco, read_coco
from wimmel.detection.annotations.crops import read_crops
from wimmel.detection.annotations.labelme import is_labelme, read_labelme
from wimmel.detection.annotations.listing import Listing, Problem
from wimmel.detection.annotations.lookup import Pictures, files_below, pictures_below
from wimmel.detection.annotations.ours import is_ours, read_ours
from wimmel.detection.annotations.scene_set import SceneSet
from wimmel.detection.annotations.table import read_table
from wimmel.detection.annotations.text import read_json
from wimmel.detection.annotations.voc import read_voc
from wimmel.detection.annotations.yolo import label_files, read_yolo

FORMATS = ("wimmel", "coco", "voc", "yolo", "labelme", "csv", "crops")

_SAID = 100
_KNOWN = (
    "Boxes are read from COCO JSON, Pascal VOC XML, YOLO text, LabelMe JSON, CSV and wimmel's own JSON; "
    "or a folder of crops, which are pictures of the thing itself"
)


class AnnotationError(ValueError):
    """Annotations that cannot be used as they are: the message lists every fault, `problems` holds them."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        more = [f"  and {count - _SAID:,} more"] if count > _SAID else []
        lines = [f"  {problem}" for problem in self.problems[:_SAID]] + more
        head = f"{path} has {count:,} {'fault' if count == 1 else 'faults'}:"
        super().__init__("\n".join((head, *lines)))


def read_annotations(
    path: str | os.PathLike[str],
    pictures: str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,
    class_names: Sequence[str] | None = None,
    skip_faults: bool = False,
) -> SceneSet:
    """Scenes with their boxes, from annotations in any of the usual formats.

    Every box and picture is checked: a box must lie within its picture (up to a pixel beyond is clipped), have an area
    and a known class, and not repeat another; the picture must be there, readable, and of the size that is said.

    Parameters
    ----------
    path : path
        COCO JSON; a Pascal VOC XML or a folder of them; a folder with YOLO's texts and the names of their classes
        (classes.txt, obj.names or data.yaml); a LabelMe JSON or a folder of them; CSV with the columns picture, class,
        left, top, right, bottom (or names that other tools give them, or width and height); JSON that `write_boxes`
        wrote; or a folder of crops, with a folder for each class if there are several, and pictures without any object
        in a folder ``negatives``.
    pictures : path, optional
        The folder of the pictures, or one above it; by default where the annotations are.
    format : {"coco", "voc", "yolo", "labelme", "csv", "wimmel", "crops"}, optional
        By default it is recognised.
    class_names : sequence of str, optional
        The classes there may be, in order; by default those that the format declares, or else those of the boxes.
    skip_faults : bool, default False
        Whether to leave out what is faulty, listed in the result's `problems`, instead of raising an error. Pictures
        are then decoded, so that those damaged further on are left out too.

    Returns
    -------
    SceneSet

    Raises
    ------
    AnnotationError
        A ValueError: it lists everything that is wrong, with file and line, or the record of a JSON.
    ValueError
        If the format cannot be told, or a file is no text, JSON or table at all.
    OSError
        If there is no such file.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from wimmel.files import write_image, write_text
    >>> folder = tempfile.TemporaryDirectory()
    >>> write_image(Path(folder.name, "scene.png"), np.zeros((20, 30), np.uint8))
    >>> table = Path(folder.name, "boxes.csv")
    >>> write_text(table, "picture,left,top,right,bottom,class\\nscene.png,1,2,11,12,waldo\\n")
    >>> read_annotations(table)
    SceneSet(1 scene, 1 object, 1 class: waldo)
    >>> folder.cleanup()
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There are no annotations {path}; check the name and the folder.")
    if pictures is not None and not Path(pictures).is_dir():
        raise FileNotFoundError(f"There is no folder of pictures {pictures}; check its name.")
    if format is not None and format not in FORMATS:
        raise ValueError(f"There is no format {format!r}; the formats are {', '.join(FORMATS)}.")
    here = path if path.is_dir() else path.parent
    found = Pictures((here,) if pictures is None else (Path(pictures), here))
    listing = _the_one(path, _candidates(path, here, found, format), format).read()
    scenes, names, problems = scenes_of(listing, found, class_names, decoded=skip_faults)
    if problems and not skip_faults:
        raise AnnotationError(path, problems)
    if not scenes:
        raise ValueError(f"{path} holds no scenes. {_KNOWN}.")
    return SceneSet(tuple(scenes), names, tuple(problems))


class _Candidate(NamedTuple):
    """A way to read what was given: the format, the file or folder, and a function that reads it."""

    format: str
    source: Path
    read: Callable[[], Listing]


def _candidates(path: Path, here: Path, pictures: Pictures, format: str | None) -> list[_Candidate]:
    """All ways, in any format; JSON is looked into only where the format may be one of JSON."""
    files = list(files_below(path)) if path.is_dir() else [path]
    of_json = format in (None, "coco", "labelme", "wimmel")
    documents = {file: read_json(file) for file in files if of_json and file.suffix.lower() == ".json"}
    xml = [file for file in files if file.suffix.lower() == ".xml"]
    labelme = {file: content for file, content in documents.items() if is_labelme(content)}
    texts = [file for file in label_files(files) if not path.is_dir() or _is_labelled(file, pictures)]
    crops = list(pictures_below(path)) if path.is_dir() else []
    found = [_Candidate("csv", file, partial(read_table, file)) for file in files if file.suffix.lower() == ".csv"]
    for file, content in documents.items():
        if is_coco(content):
            found.append(_Candidate("coco", file, partial(read_coco, file, content)))
        elif is_ours(content):
            found.append(_Candidate("wimmel", file, partial(read_ours, file, content)))
    if xml:
        found.append(_Candidate("voc", path, partial(read_voc, xml)))
    if labelme:
        found.append(_Candidate("labelme", path, partial(read_labelme, labelme)))
    if texts:
        without = pictures.paths if path.is_dir() else ()
        found.append(_Candidate("yolo", path, partial(read_yolo, here, texts, without)))
    if crops:
        found.append(_Candidate("crops", path, partial(read_crops, path, crops)))
    return found


def _the_one(path: Path, candidates: Sequence[_Candidate], format: str | None) -> _Candidate:
    """The way in the format asked for, or the only one; pictures beside annotations are no crops."""
    fits = [each for each in candidates if format in (None, each.format)]
    fits = [each for each in fits if each.format != "crops"] or fits
    if not fits:
        raise ValueError(f"{path} holds no annotations{f' in the format {format}' if format else ''}. {_KNOWN}.")
    if len(fits) > 1:
        several = ", ".join(f"{each.format} in {each.source}" for each in fits)
        raise ValueError(f"{path} holds several annotations ({several}); give the file, or say which format.")
    return fits[0]


def _is_labelled(file: Path, pictures: Pictures) -> bool:
    """Whether a text file lies among labels, or there is a picture of the same name."""
    return "labels" in file.parts or file.stem.lower() in pictures.names
