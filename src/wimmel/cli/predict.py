"""`wimmel predict`: the classes of new pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from wimmel.cli.arguments import MODEL_HELP
from wimmel.cli.failures import FAILED, complain

if TYPE_CHECKING:
    import numpy as np

    from wimmel.cli.models import Classifier

_AT_ONCE = 256
_MOST_DRAWN = 64


class Answers(NamedTuple):
    """Pictures that could be read, the probabilities of their classes (n, classes); the others, as (name, reason)."""

    paths: list[Path]
    probabilities: np.ndarray
    unreadable: list[tuple[str, str]]


def predict(
    model: Annotated[Path, typer.Argument(help=MODEL_HELP, show_default=False)],
    pictures: Annotated[
        list[str], typer.Argument(help="Pictures, folders, or patterns such as 'new/*.jpg'.", show_default=False)
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each picture.")] = 1,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Draw the first 64 pictures and their classes here (.png, .pdf, .svg)."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write JSON to the standard output, and nothing else.")] = False,
) -> None:
    """Recognise new pictures.

    Pictures of any size are scaled and cut to what the model takes. Those that cannot be read are listed; the others
    are recognised all the same, and the exit code is 1.

    \b
    [bold]Examples[/bold]
      wimmel predict pets.safetensors new/cat.jpg
      wimmel predict pets.safetensors new/ --top 3
      wimmel predict pets.safetensors 'new/*.jpg' --json
      wimmel predict pets.safetensors new/ -o recognised.png
    """
    from wimmel.cli.models import load_classifier
    from wimmel.report.canvas import counted

    classifier = load_classifier(model)
    paths, missing = found_pictures(pictures)
    if output is not None:
        check_apart(output, [model, *paths])
    answers = recognised(classifier, paths, missing)
    if output is not None and answers.paths:
        _draw(classifier, answers, output)
    _write_json(classifier, model, answers, top) if json else _write_table(classifier, answers, top)
    for name, reason in answers.unreadable:
        complain(f"{name}: {reason}")
    if answers.unreadable:
        total = len(answers.unreadable) + len(answers.paths)
        complain(f"{len(answers.unreadable):,} of {counted(total, 'picture')} could not be read.")
        raise typer.Exit(FAILED)
    if output is not None and not json:
        typer.echo(f"Saved {output}")


def found_pictures(names: list[str]) -> tuple[list[Path], list[tuple[str, str]]]:
    """The picture files that the names mean, each once, and the names that mean none, with the reason."""
    import glob

    from wimmel.files import IMAGE_SUFFIXES

    found: dict[Path, None] = {}
    missing = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
            shown = [file for file in inside if file.is_file() and not _hidden(file.relative_to(path))]
            found.update(dict.fromkeys(shown))
            if not shown:
                missing.append((_as_text(name), "there are no pictures in this folder"))
        elif path.exists():
            found[path] = None
        else:
            # Shells expand patterns, but not all of them do, and none does within quotes.
            matching = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - patterns may be absolute
            found.update(dict.fromkeys(Path(match) for match in matching))
            if not matching:
                missing.append((_as_text(name), "there is no such file, and no file matches this as a pattern"))
    nameless = [path for path in found if not _is_text(str(path))]
    for path in nameless:
        del found[path]
        missing.append((_as_text(str(path)), "its name is no text in UTF-8; give the file another one"))
    return list(found), missing


def check_apart(output: Path, inputs: list[Path]) -> None:
    """Refuses to write over what is read.

    Raises
    ------
    ValueError
        If the output is one of the inputs, by whatever name.
    """
    if output.exists() and any(path.exists() and path.samefile(output) for path in inputs):
        raise ValueError(f"{output} is read here, and -o would write over it; give -o another name")


def _is_text(name: str) -> bool:
    """Whether the name can be written down, as not every name of a file can."""
    return _as_text(name) == name


def _as_text(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def _hidden(path: Path) -> bool:
    return any(step.startswith(".") for step in path.parts)


def recognised(classifier: Classifier, paths: list[Path], missing: list[tuple[str, str]]) -> Answers:
    """The pictures' probabilities; a picture that cannot be read joins the missing ones."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from wimmel.files import ImageError, read_image
    from wimmel.functional import softmax
    from wimmel.train import scorer

    channels, rows, columns = classifier.preprocessing.shape
    scores = scorer(classifier.net)

    def opened(path: Path) -> np.ndarray | str:
        try:
            return read_image(path, (rows, columns), channels)
        except ImageError as error:
            return error.reason
        except OSError as error:
            return str(error)

    readable: list[Path] = []
    unreadable = list(missing)
    parts = [np.zeros((0, len(classifier.classes)), np.float32)]
    with ThreadPoolExecutor() as pool:
        for first in range(0, len(paths), _AT_ONCE):
            some = paths[first : first + _AT_ONCE]
            images = []
            for path, image in zip(some, pool.map(opened, some), strict=True):
                if isinstance(image, str):
                    unreadable.append((str(path), image))
                else:
                    images.append(image)
                    readable.append(path)
            if images:
                parts.append(softmax(scores(np.stack(images)), dim=1))
    return Answers(readable, np.concatenate(parts), unreadable)


def likeliest(row: np.ndarray, classes: tuple[str, ...], top: int) -> list[tuple[str, float]]:
    """The likeliest classes with their probabilities, the first one first."""
    return [(classes[place], float(row[place])) for place in (-row).argsort(kind="stable")[:top]]


def _write_table(classifier: Classifier, answers: Answers, top: int) -> None:
    from wimmel.cli.screen import Screen
    from wimmel.report.canvas import percent

    if not answers.paths:
        return
    rows = []
    for path, row in zip(answers.paths, answers.probabilities, strict=True):
        (name, share), *others = likeliest(row, classifier.classes, top)
        further = [", ".join(f"{other} {percent(part)}" for other, part in others)] if top > 1 else []
        rows.append((str(path), name, percent(share), *further))
    headings = ("picture", "class", "confidence", *(("next",) if top > 1 else ()))
    Screen().table(headings, rows, right=(2,))


def _write_json(classifier: Classifier, model: Path, answers: Answers, top: int) -> None:
    from wimmel.cli.screen import write_json

    pictures = []
    for path, row in zip(answers.paths, answers.probabilities, strict=True):
        ranked = [{"class": name, "confidence": share} for name, share in likeliest(row, classifier.classes, top)]
        pictures.append({"picture": str(path), **ranked[0], **({"top": ranked} if top > 1 else {})})
    unreadable = [{"picture": name, "reason": reason} for name, reason in answers.unreadable]
    write_json({"model": str(model), "pictures": pictures, "unreadable": unreadable})


def _draw(classifier: Classifier, answers: Answers, output: Path) -> None:
    from wimmel.files import read_image
    from wimmel.report import predictions_picture

    channels, rows, columns = classifier.preprocessing.shape
    paths = answers.paths[:_MOST_DRAWN]
    predictions_picture(
        [read_image(path, (rows, columns), channels) for path in paths],
        answers.probabilities[: len(paths)],
        classifier.classes,
        output,
        [path.name for path in paths],
        total=len(answers.paths),
    )
