"""`wimmel evaluate`: how well a model does on labelled pictures, and what it gets wrong."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wimmel.cli.arguments import DATA_HELP, MODEL_HELP

if TYPE_CHECKING:
    import numpy as np

    from wimmel.cli.screen import Screen
    from wimmel.data import Dataset, Splits
    from wimmel.train import Evaluation

_MOST_SQUARE = 20


class Part(StrEnum):
    """Which part of a data set to evaluate on."""

    TEST = "test"
    TRAIN = "train"


def evaluate(
    model: Annotated[Path, typer.Argument(help=MODEL_HELP, show_default=False)],
    data: Annotated[
        Path,
        typer.Argument(help=DATA_HELP, show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder for pictures of the confusion matrix and of the mistakes."),
    ] = None,
    part: Annotated[
        Part | None, typer.Option(help="The part of the data; the test part where there is one.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write JSON to the standard output, and nothing else.")] = False,
) -> None:
    """Measure how well a model recognises labelled pictures.

    Shows its accuracy, each class's precision (how much of what was taken for it is right) and recall (how much of it
    was recognised), and what was taken for what.

    \b
    [bold]Examples[/bold]
      wimmel evaluate pets.safetensors photos/
      wimmel evaluate pets.safetensors photos/ -o report
      wimmel evaluate pets.safetensors photos.zip --part train --json
    """
    from wimmel.cli.models import load_classifier
    from wimmel.cli.outputs import evaluation_document, made_folder
    from wimmel.cli.screen import Screen, show_skipped, write_json
    from wimmel.data import read
    from wimmel.train import evaluate as evaluated

    classifier = load_classifier(model)
    channels, rows, columns = classifier.preprocessing.shape
    chosen = _chosen(read(data, (rows, columns), channels, fewest_classes=1), part, data)
    dataset = with_classes(chosen, classifier.classes, str(model))
    evaluation = evaluated(classifier.net, dataset)
    pictures = _draw(dataset, evaluation, made_folder(output)) if output is not None else []
    show_skipped(chosen.skipped)
    if json:
        document = {"model": str(model), "data": str(data), "part": chosen.name, **evaluation_document(evaluation)}
        skipped = [list(entry) for entry in chosen.skipped]
        write_json({**document, "skipped": skipped, "pictures": list(map(str, pictures))})
        return
    screen = Screen()
    show_evaluation(screen, evaluation, chosen.name)
    for picture in pictures:
        screen.say(f"Saved {picture}")


def with_classes(dataset: Dataset, classes: tuple[str, ...], model: str) -> Dataset:
    """The data set with its labels counted as the model counts its classes; they are matched by name.

    Raises
    ------
    ValueError
        If the data set has pictures of a class that the model does not know.
    """
    import numpy as np

    from wimmel.cli.screen import listed
    from wimmel.data import Dataset

    if dataset.classes == classes:
        return dataset
    counts = zip(dataset.classes, dataset.class_counts, strict=True)
    strangers = [name for name, count in counts if count and name not in classes]
    if strangers:
        raise ValueError(
            f"{model} does not know {'the class' if len(strangers) == 1 else 'the classes'} {listed(strangers)} of "
            f"{dataset.name}; it knows {listed(classes)}"
        )
    places = np.array([classes.index(name) if name in classes else 0 for name in dataset.classes])
    return Dataset(dataset.images, places[dataset.labels], classes, dataset.skipped, dataset.name)


def show_evaluation(screen: Screen, evaluation: Evaluation, name: str) -> None:
    """Writes accuracy, the figures of each class, and the confusion matrix; where that is large, its worst cells."""
    from wimmel.report.canvas import counted

    total, wrong = len(evaluation.labels), len(evaluation.mistakes)
    screen.say(f"{100 * evaluation.accuracy:.2f}% of {counted(total, 'picture')} recognised ({name})", "bold")
    screen.say(f"{counted(wrong, 'mistake')}; loss {evaluation.loss:.4f}")
    confusion = evaluation.confusion
    figures = zip(evaluation.classes, confusion.sum(axis=1), evaluation.precision, evaluation.recall, strict=True)
    rows = [(name, f"{count:,}", _share(precision), _share(recall)) for name, count, precision, recall in figures]
    screen.table(("class", "pictures", "precision", "recall"), rows, right=(1, 2, 3))
    widest = max(max(len(name) for name in evaluation.classes), len(f"{confusion.max():,}")) + 2
    if len(evaluation.classes) <= _MOST_SQUARE and (len(evaluation.classes) + 1) * widest + 8 <= screen.width:
        _show_confusion(screen, confusion, evaluation.classes)
    elif wrong:
        _show_worst(screen, confusion, evaluation.classes)


def _show_confusion(screen: Screen, confusion: np.ndarray, classes: tuple[str, ...]) -> None:
    from rich.text import Text

    from wimmel.cli.screen import PALE, RIGHT, WRONG

    rows = []
    for true, name in enumerate(classes):
        cells: list[Text] = [Text(name)]
        for taken, number in enumerate(confusion[true]):
            style = PALE if not number else RIGHT if taken == true else WRONG
            cells.append(Text(f"{number:,}" if number else "·", style))
        rows.append(cells)
    screen.say("Rows: the true class. Columns: what it was taken for.")
    screen.table(("", *classes), rows, right=range(1, len(classes) + 1))


def _show_worst(screen: Screen, confusion: np.ndarray, classes: tuple[str, ...], most: int = 10) -> None:
    import numpy as np

    wrong = confusion - np.diag(np.diag(confusion))
    places = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(classes)) for place in places if wrong.flat[place]]
    rows = [(classes[true], classes[taken], f"{wrong[true, taken]:,}") for true, taken in pairs]
    screen.table(("most often, this", "was taken for this", "times"), rows, right=(2,))


def _share(share: float) -> str:
    return "–" if share != share else f"{100 * share:.1f}%"


def _chosen(splits: Splits, part: Part | None, data: Path) -> Dataset:
    if part is Part.TEST and splits.test is None:
        raise ValueError(f"{data} has no test part; leave out --part to evaluate on all of it")
    if part is Part.TRAIN or splits.test is None:
        return splits.train
    return splits.test


def _draw(dataset: Dataset, evaluation: Evaluation, folder: Path) -> list[Path]:
    from wimmel.report import confusion_matrix_picture, mistakes_picture

    matrix, mistakes = folder / "confusion-matrix.png", folder / "mistakes.png"
    confusion_matrix_picture(evaluation, matrix)
    mistakes_picture(dataset, evaluation, mistakes)
    return [matrix, mistakes]
