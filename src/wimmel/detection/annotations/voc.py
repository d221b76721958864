"""Pascal VOC's XML: a file per picture; corners count pixels from 1 and belong to the box.

A document type is refused, and with it every entity that would grow; nothing outside the file is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from wimmel.detection.annotations.listing import Listed, Listing, Mark, numbers, said_size, shortened


@dataclass
class Element:
    """An element of XML: its tag, the line it begins at, its text and the elements in it."""

    tag: str
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, tag: str) -> Iterator[Element]:
        return (child for child in self.children if child.tag == tag)

    def text_of(self, *tags: str) -> str:
        """The text of the first element at that path, "" if there is none."""
        if not tags:
            return self.text.strip()
        return next((child.text_of(*tags[1:]) for child in self.all(tags[0])), "")


def read_voc(files: Sequence[Path]) -> Listing:
    """The listing of such files; the pixels xmin to xmax, counted from 1, are those from xmin - 1 to xmax as edges.

    Objects marked as difficult are objects like others.
    """
    listing = Listing()
    for file in files:
        try:
            root = parsed(file.read_bytes())
        except ValueError as error:
            listing.complain(file, *_place_and_reason(error))
            continue
        if root.tag != "annotation":
            listing.complain(file, f"line {root.line}", f"it begins with <{root.tag}> instead of <annotation>")
            continue
        size = said_size(root.text_of("size", "height"), root.text_of("size", "width"))
        picture = Listed(root.text_of("filename") or file.stem, file, f"line {root.line}", size)
        listing.pictures[file] = picture
        for thing in root.all("object"):
            _add(picture, thing, listing)
    return listing


def parsed(data: bytes) -> Element:
    """The root element of XML.

    Raises
    ------
    ValueError
        If it is not well-formed, or has a document type; the second argument of the error is the line.
    """
    parser = expat.ParserCreate()
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    open_elements = [Element("", 0)]

    def start(tag: str, _: dict[str, str]) -> None:
        element = Element(tag, parser.CurrentLineNumber)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_: str) -> None:
        open_elements.pop()

    def text(more: str) -> None:
        open_elements[-1].text += more

    def document_type(*_: object) -> None:
        raise ValueError("it has a document type (DOCTYPE), which is refused; remove it", parser.CurrentLineNumber)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, document_type
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"it is not XML ({expat.ErrorString(error.code)})", error.lineno) from error
    return open_elements[0].children[0]


def _place_and_reason(error: ValueError) -> tuple[str, str]:
    reason, line = error.args
    return f"line {line}", reason


def _add(picture: Listed, thing: Element, listing: Listing) -> None:
    place, name = f"line {thing.line}", thing.text_of("name")
    corners = [thing.text_of("bndbox", edge) for edge in ("xmin", "ymin", "xmax", "ymax")]
    box = numbers(corners)
    if not name:
        listing.complain(picture.file, place, "the object has no name")
    elif box is None:
        listing.complain(picture.file, place, f"its bndbox is not four numbers: {shortened(', '.join(corners))}")
    else:
        edges = (box[0] - 1, box[1] - 1, box[2], box[3])
        picture.marks.append(Mark(picture.file, place, name, edges))
