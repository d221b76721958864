"""`wimmel find`: where something is in pictures, given one picture of it or a detector that was taught."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from wimmel.cli.failures import FAILED, complain, if_stopped

if TYPE_CHECKING:
    import numpy as np

    from wimmel.detection import Finder, Finds, Presence
    from wimmel.files import Piecewise

_DETECTOR = ".safetensors"
_FORMATS = {"json": "found.json", "csv": "found.csv", "coco": "found.json"}


class Searched(NamedTuple):
    """What a search gave, by picture.

    Attributes
    ----------
    found : dict of str to Finds
    heats : dict of str to float32 array (rows, columns)
        A detector's probabilities for every place; empty for a template, and where none are to be drawn.
    presences : dict of str to Presence
        Whether a detector says that there is one anywhere; empty for a template.
    sizes : dict of str to (rows, columns)
    failed : list of (str, str)
        Pictures that could not be searched, with the reason.
    """

    found: dict[str, Finds]
    heats: dict[str, np.ndarray]
    presences: dict[str, Presence]
    sizes: dict[str, tuple[int, int]]
    failed: list[tuple[str, str]]


def find(
    what: Annotated[
        Path,
        typer.Argument(
            help="A picture of what is looked for, cut out tightly, of which what is transparent does not count; "
            "or a detector of wimmel teach (.safetensors).",
            show_default=False,
        ),
    ],
    pictures: Annotated[
        list[str], typer.Argument(help="Pictures, folders, or patterns such as 'scenes/*.jpg'.", show_default=False)
    ],
    scale: Annotated[
        list[float] | None,
        typer.Option(
            min=0.01,
            help="How large, in parts of the picture's size; may be given several times.",
            show_default="1",
        ),
    ] = None,
    angle: Annotated[
        list[float] | None,
        typer.Option(help="How far turned, in degrees anticlockwise; may be given several times.", show_default="0"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1,
            help="The score to reach: a picture's correlation, a detector's probability.",
            show_default="0.7 for a picture, 0.5 for a detector",
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Of boxes whose IoU is larger, the best is kept.",
            show_default="0.3",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to find in each picture at most.")] = 100,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder for boxes, annotated pictures and a page of all finds."),
    ] = None,
    format: Annotated[str, typer.Option(help="Of the boxes in that folder: json, csv or coco.")] = "json",
    max_pixels: Annotated[
        int,
        typer.Option(
            min=1,
            help="Larger pictures are refused, but for tiled TIFFs, which a detector searches whatever their size.",
        ),
    ] = 500_000_000,
    json: Annotated[bool, typer.Option("--json", help="Write JSON to the standard output, and nothing else.")] = False,
) -> None:
    """Find something in pictures, given one picture of it, or a detector that learned from many.

    By one picture it is found where it looks the same, up to brightness and contrast, at the scales and angles asked
    for; a detector of wimmel teach knows the sizes it has seen. Pictures that cannot be read are listed; the others are
    searched all the same, and the exit code is 1.

    Boxes are where things are in a picture as it is seen, turned upright as its camera says. A detector reads TIFFs
    tile by tile, or strip by strip, so that they may be larger than the memory. Pictures of more than 25 million pixels
    are drawn smaller.

    \b
    [bold]Examples[/bold]
      wimmel find waldo.png scene.jpg
      wimmel find waldo.safetensors scenes/ -o found
      wimmel find logo.png photos/ --scale 0.5 --scale 1 --scale 2 -o found
      wimmel find part.png 'boards/*.tif' --angle 0 --angle 90 --threshold 0.8 -o found --format csv
    """
    from wimmel.cli.outputs import made_folder
    from wimmel.cli.predict import found_pictures
    from wimmel.cli.screen import write_json
    from wimmel.report.canvas import counted

    if format not in _FORMATS:
        raise ValueError(f"there is no format {format!r} for boxes; the formats are {', '.join(_FORMATS)}")
    finder = _finder(what, scale, angle, threshold)
    paths, missing = found_pictures(pictures)
    if output is not None:
        paths = _apart(output, pictures, paths)
    folder = None if output is None else made_folder(output)
    settings = {"threshold": threshold, "overlap": overlap, "limit": limit}
    with if_stopped("nothing was written" if folder is None else f"nothing was written to {folder}"):
        searched = _search(finder, paths, missing, settings, max_pixels, folder is not None, json)
    drawn_smaller = []
    if folder is not None and searched.found:
        with if_stopped(f"{folder} holds a part of what there was to write"):
            drawn_smaller = _save(searched, folder, format, max_pixels)
    if json:
        write_json(_document(what, searched))
    else:
        _write_table(searched)
        if folder is not None and searched.found:
            for name, share in drawn_smaller:
                typer.echo(f"{name} is drawn at {share:.0%} of its size.")
            typer.echo(f"Saved {folder}")
    for name, reason in searched.failed:
        complain(f"{name}: {reason}")
    if searched.failed:
        total = len(searched.failed) + len(searched.found)
        complain(f"{len(searched.failed):,} of {counted(total, 'picture')} could not be searched.")
        raise typer.Exit(FAILED)


def _apart(folder: Path, named: list[str], paths: list[Path]) -> list[Path]:
    """The pictures, but for those of an earlier search that the folder below a searched one holds.

    Raises
    ------
    ValueError
        If the folder itself is to be searched, so that what is read would be written over.
    """
    home = folder.resolve()
    is_in = {path: home in (path.resolve(), path.resolve().parent) for path in (*paths, *map(Path, named))}
    apart = [path for path in paths if not is_in[path]]
    if len(apart) < len(paths) and (not apart or any(is_in[Path(name)] for name in named)):
        raise ValueError(f"{folder} is searched here, and -o would write into it; give -o another folder")
    return apart


def _finder(what: Path, scale: list[float] | None, angle: list[float] | None, threshold: float | None) -> Finder:
    from wimmel.detection import Detector, Template

    if what.suffix.lower() != _DETECTOR:
        return Template(what, tuple(scale or (1.0,)), tuple(angle or (0.0,)), name=what.stem)  # type: ignore[arg-type]
    if scale or angle:
        raise ValueError("--scale and --angle belong to a picture; a detector knows the sizes it was taught")
    if threshold is not None and threshold >= 1:
        raise ValueError(f"a detector's --threshold is a probability below 1; got {threshold:g}")
    return Detector.load(what)


def _search(
    finder: Finder,
    paths: list[Path],
    missing: list[tuple[str, str]],
    settings: dict[str, float | int | None],
    max_pixels: int,
    draws: bool,
    quiet: bool,
) -> Searched:
    from wimmel.cli.screen import Screen
    from wimmel.detection import Detector
    from wimmel.files import ImageError

    searched = Searched({}, {}, {}, {}, list(missing))
    with Screen(quiet).bar("Searching", len(paths)) as bar:
        for number, path in enumerate(paths):
            bar.move(number, path.name)
            try:
                picture = _opened(finder, path, max_pixels)
                if isinstance(finder, Detector):
                    swept = finder.look(picture, **settings)  # type: ignore[arg-type]
                    found, searched.presences[str(path)] = swept.finds, swept.presence
                    if draws:
                        searched.heats[str(path)] = swept.heat
                else:
                    found = finder.find(picture, **settings)  # type: ignore[arg-type]
                searched.found[str(path)] = found
                searched.sizes[str(path)] = (picture.shape[1], picture.shape[2])
            except ImageError as error:
                searched.failed.append((str(path), error.reason))
            except MemoryError:
                searched.failed.append((str(path), "the memory does not suffice for a picture of this size"))
            except (OSError, ValueError) as error:
                searched.failed.append((str(path), str(error)))
    return searched


def _opened(finder: Finder, path: Path, max_pixels: int) -> np.ndarray | Piecewise:
    """The picture with the channels that the finder wants; for a detector, to be read in pieces."""
    from wimmel.detection import Detector, Template
    from wimmel.files import open_image, read_image

    if isinstance(finder, Detector) and finder.settings is not None:
        return open_image(path, finder.settings.channels, max_pixels)
    return read_image(
        path, channels=len(finder.picture) if isinstance(finder, Template) else None, max_pixels=max_pixels
    )


def _save(searched: Searched, folder: Path, format: str, max_pixels: int) -> list[tuple[str, float]]:
    """Writes everything; gives the names of pictures that are drawn smaller, with the share of their sides."""
    from wimmel.detection import annotated, finds_picture, heat_map, write_boxes
    from wimmel.files import open_image, write_image

    write_boxes(folder / _FORMATS[format], searched.found, format, searched.sizes)
    taken: set[tuple[str, str]] = set()
    smaller = []
    for name, finds in searched.found.items():
        stem, number = Path(name).stem, 1
        while (ending := ".png" if number == 1 else f"-{number}.png", stem) in taken:
            number += 1
        taken.add((ending, stem))
        picture = open_image(name, 3, max_pixels)
        framed = annotated(picture, finds)
        write_image(folder / f"{stem}-found{ending}", framed)
        if framed.shape != picture.shape:
            smaller.append((name, framed.shape[2] / picture.shape[2]))
        if name in searched.heats:
            write_image(folder / f"{stem}-heat{ending}", heat_map(picture, searched.heats[name], high=1.0))
    finds_picture({name: name for name in searched.found}, searched.found, folder / "finds.png", max_pixels=max_pixels)
    return smaller


def _document(what: Path, searched: Searched) -> dict[str, object]:
    pictures = []
    for name, finds in searched.found.items():
        height, width = searched.sizes[name]
        boxes = [
            {"class": finds.class_names[label], "score": round(float(score), 6),
             "box": [round(float(edge), 3) for edge in box],
             **({} if pose is None else {"scale": float(pose[0]), "angle": float(pose[1])})}
            for label, score, box, pose in zip(finds.classes, finds.scores, finds.boxes, _poses(finds), strict=True)
        ]  # fmt: skip
        told = {"presence": searched.presences[name].to_json()} if name in searched.presences else {}
        pictures.append({"picture": name, "width": width, "height": height, **told, "boxes": boxes})
    failed = [{"picture": name, "reason": reason} for name, reason in searched.failed]
    return {"what": str(what), "pictures": pictures, "failed": failed}


def _write_table(searched: Searched) -> None:
    from wimmel.cli.screen import Screen
    from wimmel.detection.learned.calibration import in_a_word

    if not searched.found:
        return
    several = any(len(finds.class_names) > 1 for finds in searched.found.values())
    rows = []
    for name, finds in searched.found.items():
        shows = searched.presences[name].probabilities if name in searched.presences else None
        for label, score, box in zip(finds.classes, finds.scores, finds.boxes, strict=True):
            rows.append((name, *_kind(finds, label, several, shows), f"{score:.3f}", *(f"{edge:.1f}" for edge in box)))
        if not len(finds):
            likeliest = None if shows is None else int(shows.argmax())
            rows.append((name, *_kind(finds, likeliest, several, shows), "nothing", "", "", "", ""))
    headings = ("picture", *("class",) * several, *("shows one",) * bool(searched.presences))
    headings += ("score", "left", "top", "right", "bottom")
    screen = Screen()
    screen.table(headings, rows, right=range(1 + several, len(headings)))
    if searched.presences:
        calibrated = next(iter(searched.presences.values())).calibrated
        part = f" for {sum(calibrated)} of {len(calibrated)} classes" if 0 < sum(calibrated) < len(calibrated) else ""
        screen.say(f"How probable it is that a picture shows one is {in_a_word(any(calibrated))}{part}.")


def _kind(finds: Finds, label: int | None, several: bool, shows: np.ndarray | None) -> tuple[str, ...]:
    """A find's class, if there are several, and how probable it is that the picture shows one, if that is known."""
    from wimmel.report.canvas import percent

    named = ("" if label is None else finds.class_names[label],) * several
    return named if shows is None else (*named, percent(float(shows[label]), 1))


def _poses(finds: Finds) -> list:
    return [None] * len(finds) if finds.poses is None else list(finds.poses)
