"""`wimmel find`: where something is in pictures, given one picture of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from wimmel.cli.failures import FAILED, complain

if TYPE_CHECKING:
    from wimmel.detection import Finder, Finds

_FORMATS = {"json": "found.json", "csv": "found.csv", "coco": "found.json"}


class Searched(NamedTuple):
    """Finds by picture, sizes (rows, columns) of the pictures, and those that could not be searched with the reason."""

    found: dict[str, Finds]
    sizes: dict[str, tuple[int, int]]
    failed: list[tuple[str, str]]


def find(
    what: Annotated[
        Path,
        typer.Argument(
            help="A picture of what is looked for, cut out tightly; what is transparent does not count.",
            show_default=False,
        ),
    ],
    pictures: Annotated[
        list[str], typer.Argument(help="Pictures, folders, or patterns such as 'scenes/*.jpg'.", show_default=False)
    ],
    scale: Annotated[
        list[float] | None,
        typer.Option(min=0.01, help="How large, in parts of its size; may be given several times.", show_default="1"),
    ] = None,
    angle: Annotated[
        list[float] | None,
        typer.Option(help="How far turned, in degrees anticlockwise; may be given several times.", show_default="0"),
    ] = None,
    threshold: Annotated[float, typer.Option(min=0.01, max=1, help="The correlation to reach, up to 1.")] = 0.7,
    overlap: Annotated[float, typer.Option(min=0, max=1, help="Of boxes whose IoU is larger, the best is kept.")] = 0.3,
    limit: Annotated[int, typer.Option(min=1, help="How many to find in each picture at most.")] = 100,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder for boxes, annotated pictures and a page of all finds."),
    ] = None,
    format: Annotated[str, typer.Option(help="Of the boxes in that folder: json, csv or coco.")] = "json",
    json: Annotated[bool, typer.Option("--json", help="Write JSON to the standard output, and nothing else.")] = False,
) -> None:
    """Find something in pictures, given one picture of it.

    It is found where it looks the same, up to brightness and contrast, at the scales and angles asked for. Pictures
    that cannot be read are listed; the others are searched all the same, and the exit code is 1.

    \b
    [bold]Examples[/bold]
      wimmel find waldo.png scene.jpg
      wimmel find logo.png photos/ --scale 0.5 --scale 1 --scale 2 -o found
      wimmel find part.png 'boards/*.tif' --angle 0 --angle 90 --threshold 0.8 -o found --format csv
    """
    from wimmel.cli.outputs import made_folder
    from wimmel.cli.predict import found_pictures
    from wimmel.cli.screen import write_json
    from wimmel.detection import Template
    from wimmel.report.canvas import counted

    if format not in _FORMATS:
        raise ValueError(f"there is no format {format!r} for boxes; the formats are {', '.join(_FORMATS)}")
    template = Template(what, tuple(scale or (1.0,)), tuple(angle or (0.0,)), name=what.stem)  # type: ignore[arg-type]
    paths, missing = found_pictures(pictures)
    folder = None if output is None else made_folder(output)
    searched = _search(template, paths, missing, {"threshold": threshold, "overlap": overlap, "limit": limit}, json)
    if folder is not None and searched.found:
        _save(searched, folder, format)
    if json:
        write_json(_document(what, searched))
    else:
        _write_table(searched)
    for name, reason in searched.failed:
        complain(f"{name}: {reason}")
    if searched.failed:
        total = len(searched.failed) + len(searched.found)
        complain(f"{len(searched.failed):,} of {counted(total, 'picture')} could not be searched.")
        raise typer.Exit(FAILED)
    if folder is not None and not json:
        typer.echo(f"Saved {folder}")


def _search(
    finder: Finder, paths: list[Path], missing: list[tuple[str, str]], settings: dict[str, float | int], quiet: bool
) -> Searched:
    from wimmel.cli.screen import Screen
    from wimmel.files import ImageError, read_image_header

    searched = Searched({}, {}, list(missing))
    with Screen(quiet).bar("Searching", len(paths)) as bar:
        for number, path in enumerate(paths):
            bar.move(number, path.name)
            try:
                header = read_image_header(path)
                searched.found[str(path)] = finder.find(path, **settings)  # type: ignore[arg-type]
                searched.sizes[str(path)] = (header.height, header.width)
            except ImageError as error:
                searched.failed.append((str(path), error.reason))
            except (OSError, ValueError) as error:
                searched.failed.append((str(path), str(error)))
    return searched


def _save(searched: Searched, folder: Path, format: str) -> None:
    from wimmel.detection import annotated, finds_picture, write_boxes
    from wimmel.files import write_image

    write_boxes(folder / _FORMATS[format], searched.found, format, searched.sizes)
    taken: set[str] = set()
    for name, finds in searched.found.items():
        stem, number = Path(name).stem, 1
        while (file := f"{stem}-found.png" if number == 1 else f"{stem}-found-{number}.png") in taken:
            number += 1
        taken.add(file)
        write_image(folder / file, annotated(name, finds))
    finds_picture({name: name for name in searched.found}, searched.found, folder / "finds.png")


def _document(what: Path, searched: Searched) -> dict[str, object]:
    pictures = []
    for name, finds in searched.found.items():
        height, width = searched.sizes[name]
        boxes = [
            {"score": round(float(score), 6), "box": [round(float(edge), 3) for edge in box],
             **({} if pose is None else {"scale": float(pose[0]), "angle": float(pose[1])})}
            for score, box, pose in zip(finds.scores, finds.boxes, _poses(finds), strict=True)
        ]  # fmt: skip
        pictures.append({"picture": name, "width": width, "height": height, "boxes": boxes})
    failed = [{"picture": name, "reason": reason} for name, reason in searched.failed]
    return {"what": str(what), "pictures": pictures, "failed": failed}


def _write_table(searched: Searched) -> None:
    from wimmel.cli.screen import Screen

    if not searched.found:
        return
    rows = []
    for name, finds in searched.found.items():
        for score, box in zip(finds.scores, finds.boxes, strict=True):
            rows.append((name, f"{score:.3f}", *(f"{edge:.1f}" for edge in box)))
        if not len(finds):
            rows.append((name, "nothing", "", "", "", ""))
    Screen().table(("picture", "score", "left", "top", "right", "bottom"), rows, right=(1, 2, 3, 4, 5))


def _poses(finds: Finds) -> list:
    return [None] * len(finds) if finds.poses is None else list(finds.poses)
