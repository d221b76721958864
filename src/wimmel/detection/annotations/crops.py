"""A folder of crops: pictures of the thing itself, a folder for each class, and perhaps pictures without it.

Each crop is a scene whose one box is the whole picture; each picture from a folder of negatives is a scene without.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wimmel.detection.annotations.listing import Listed, Listing, Mark
from wimmel.detection.finds import ONE_CLASS

NEGATIVES = frozenset({"negatives", "negative", "neg", "background", "backgrounds", "without", "none"})
"""Names of folders whose pictures hold no object, in lower case."""

_POSITIVES = frozenset({"positives", "positive", "pos", "with"})


def read_crops(folder: Path, pictures: Sequence[Path]) -> Listing:
    """The listing of a folder's pictures.

    The topmost folder is the class; pictures that lie in none, or in ``positives``, are of the class "object".
    """
    listing = Listing()
    for path in pictures:
        folders = path.relative_to(folder).parts[:-1]
        top = folders[0] if folders else ""
        listed = listing.pictures[path] = Listed(str(path.resolve()), path, "")
        if top.lower() not in NEGATIVES:
            name = ONE_CLASS[0] if not top or top.lower() in _POSITIVES else top
            listed.marks.append(Mark(path, "", name, (0.0, 0.0, 1.0, 1.0), is_relative=True))
    return listing
