"""The directory of a TIFF: which tags say what, as they stand in a file, and a small TIFF written from some of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

Read = Callable[[int, int], bytes]
"""From a place in a file and a number of bytes to these bytes, or to fewer where the file ends."""

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR = 273, 274, 277, 278, 279, 284
PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS = 317, 320, 322, 323, 324, 325
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES = 332, 338, 339, 347
LUMA, SUBSAMPLING, POSITIONING, REFERENCE = 529, 530, 531, 532

SHORT, LONG = 3, 4

_PLACES = frozenset({STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS})
_KNOWN = _PLACES | {
    WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, ORIENTATION, SAMPLES, ROWS_PER_STRIP, PLANAR, PREDICTOR,
    COLOUR_MAP, TILE_WIDTH, TILE_LENGTH, INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES, LUMA, SUBSAMPLING,
    POSITIONING, REFERENCE,
}  # fmt: skip
_MOST_TAGS = 4096
_LONGEST, _LONGEST_OF_PLACES = 2**20, 2**25
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE = {1: "B", SHORT: "H", LONG: "I", 13: "I", 16: "Q", 18: "Q"}


class Value(NamedTuple):
    """A tag's value as it stands in the file: the number of its kind, how many of these there are, and their bytes."""

    kind: int
    many: int
    raw: bytes


@dataclass(frozen=True)
class Directory:
    """Tags, whose numbers are in the byte order "<" or ">"."""

    order: str
    tags: Mapping[int, Value]

    def numbers(self, tag: int, otherwise: Sequence[int] = ()) -> tuple[int, ...]:
        """The whole numbers of a tag; raises ValueError where it holds something else."""
        value = self.tags.get(tag)
        if value is None:
            return tuple(otherwise)
        if value.kind not in _WHOLE or not value.many:
            raise ValueError(f"tag {tag} is no whole number")
        return struct.unpack(f"{self.order}{value.many}{_WHOLE[value.kind]}", value.raw)

    def number(self, tag: int, otherwise: int = 0) -> int:
        """The first whole number of a tag."""
        return self.numbers(tag, (otherwise,))[0]

    def of(self, tags: Sequence[int]) -> Directory:
        """Those of the tags that there are."""
        return Directory(self.order, {tag: self.tags[tag] for tag in tags if tag in self.tags})

    def having(self, numbers: Mapping[int, Sequence[int]], kind: int = SHORT) -> Directory:
        """The same with other numbers for some tags, or more of them."""
        changed = {
            tag: Value(kind, len(several), struct.pack(f"{self.order}{len(several)}{_WHOLE[kind]}", *several))
            for tag, several in numbers.items()
        }
        return Directory(self.order, {**self.tags, **changed})


def read_directory(read: Read) -> Directory:
    """The first directory of a TIFF, classic or big: of the tags named here those that the file holds.

    Left out are values too long to be true, above 32 MiB for where tiles or strips are and above 1 MiB for all else.

    Raises
    ------
    ValueError
        If the directory itself is not complete.
    """
    header = read(0, 16)
    order = "<" if header[:2] == b"II" else ">"
    is_big = header[:4] in SIGNATURES[2:]
    count_format, entry_format, place_format = ("Q", "HHQ8s", "Q") if is_big else ("H", "HHI4s", "I")
    try:
        (begin,) = struct.unpack_from(order + place_format, header, 8 if is_big else 4)
        head, width = struct.calcsize(order + count_format), struct.calcsize(order + entry_format)
        (count,) = struct.unpack(order + count_format, read(begin, head))
    except struct.error:
        raise ValueError("its directory is beyond the end of the file") from None
    entries = read(begin + head, count * width) if count <= _MOST_TAGS else b""
    if not count or len(entries) < count * width:
        raise ValueError("its directory is not complete")
    tags = {}
    for tag, kind, many, inline in struct.iter_unpack(order + entry_format, entries):
        length = _BYTES.get(kind, 1) * many
        if tag not in _KNOWN or length > (_LONGEST_OF_PLACES if tag in _PLACES else _LONGEST):
            continue
        raw = inline if length <= len(inline) else read(struct.unpack(order + place_format, inline)[0], length)
        if len(raw) >= length:
            tags[tag] = Value(kind, many, raw[:length])
    return Directory(order, tags)


def written(directory: Directory, rows: int, columns: int, rows_per_strip: int, strips: Sequence[bytes]) -> bytes:
    """A classic TIFF of the given strips, whose pixels are stored as the directory's tags say."""
    counts = [len(strip) for strip in strips]
    sizes = {WIDTH: [columns], LENGTH: [rows], ROWS_PER_STRIP: [rows_per_strip], STRIP_COUNTS: counts}
    tags = directory.having(sizes | {STRIP_OFFSETS: counts}, LONG).tags
    end = 8 + 2 + 12 * len(tags) + 4
    begin = end + sum(len(value.raw) + len(value.raw) % 2 for value in tags.values() if len(value.raw) > 4)
    places = [begin + before for before in accumulate(counts[:-1], initial=0)]
    tags = dict(sorted(directory.having(sizes | {STRIP_OFFSETS: places}, LONG).tags.items()))
    entries, outside = b"", b""
    for tag, (kind, count, raw) in tags.items():
        where = raw.ljust(4, b"\0")
        if len(raw) > 4:
            where = struct.pack(f"{directory.order}I", end + len(outside))
            outside += raw + bytes(len(raw) % 2)
        entries += struct.pack(f"{directory.order}HHI", tag, kind, count) + where
    head = (b"II" if directory.order == "<" else b"MM") + struct.pack(f"{directory.order}HIH", 42, 8, len(tags))
    return b"".join((head, entries, bytes(4), outside, *strips))
