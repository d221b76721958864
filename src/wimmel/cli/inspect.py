"""`wimmel inspect`: what a model file holds, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wimmel.cli.arguments import MODEL_HELP

if TYPE_CHECKING:
    from wimmel.cli.screen import Screen
    from wimmel.nn import Inspection

_ROOM_FOR_FIGURES = 90


def inspect(
    model: Annotated[Path, typer.Argument(help=MODEL_HELP, show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Write JSON to the standard output, and nothing else.")] = False,
) -> None:
    """Show what a model is made of.

    Layer by layer: shapes, parameters, multiply-adds, and how much of the picture each output sees. Then its classes,
    the pictures it takes, and how it was trained.

    \b
    [bold]Examples[/bold]
      wimmel inspect pets.safetensors
      wimmel inspect pets.safetensors --json
    """
    from wimmel.cli.models import load_classifier
    from wimmel.cli.screen import Screen, write_json
    from wimmel.nn import inspect as inspected

    classifier = load_classifier(model)
    report = inspected(classifier.net, classifier.preprocessing.shape)
    about = {name: value for name, value in classifier.metadata.items() if name != "architecture"}
    if json:
        write_json({"model": str(model), **report.to_json(), **about})
        return
    screen = Screen()
    _show_layers(screen, report)
    channels, rows, columns = classifier.preprocessing.shape
    figures = [f"{mean:.4g} and {std:.4g}" for mean, std in _figures(classifier.preprocessing)]
    screen.pairs(
        [
            ("classes", f"{len(classifier.classes)}: {', '.join(classifier.classes)}"),
            (
                "pictures",
                f"{'gray' if channels == 1 else 'colour'}, {rows}x{columns}; others are scaled and cut to that",
            ),
            ("normalised", f"by mean and standard deviation {', '.join(figures)} (of 1 for white)"),
            *(_training(classifier.metadata.get("training"))),
        ]
    )


def _show_layers(screen: Screen, report: Inspection) -> None:
    """The table of layers; in a narrow terminal with rounded numbers and without strides and offsets."""
    narrow = screen.width < _ROOM_FOR_FIGURES
    number = _rounded if narrow else "{:,}".format
    rows = [
        (
            layer.path,
            layer.layer,
            "x".join(map(str, layer.output_shape)),
            number(layer.parameters) if layer.parameters else "",
            number(layer.multiply_adds) if layer.multiply_adds else "",
            (layer.receptive_field or "").partition(",")[0] if narrow else layer.receptive_field or "",
        )
        for layer in report.layers
    ]
    full = ("path", "layer", "output", "parameters", "multiply-adds", "sees of the input")
    short = ("path", "layer", "output", "params", "products", "sees")
    screen.table(short if narrow else full, rows, right=(3, 4))
    screen.say(f"{report.summary()}.")
    screen.say()


def _rounded(number: int) -> str:
    """A large number in three digits or so.

    Examples
    --------
    >>> _rounded(850), _rounded(10164), _rounded(7884800)
    ('850', '10.2k', '7.9M')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def _figures(preprocessing: Any) -> list[tuple[float, float]]:
    return list(zip(preprocessing.mean, preprocessing.std, strict=True))


def _training(training: Any) -> list[tuple[str, str]]:
    """What the model file tells about its training, where wimmel train wrote it."""
    if not isinstance(training, dict):
        return []
    recipe, data = training.get("recipe") or {}, training.get("data") or {}
    rows = [("trained on", f"{data.get('name')}, {data.get('trained_on'):,} pictures")] if data else []
    if recipe:
        rate, seed = recipe.get("learning_rate"), recipe.get("seed")
        epochs = f"{training.get('epochs')} epochs, the best was number {training.get('best_epoch')}"
        rows.append(("training", f"{recipe.get('model')}, {epochs}; learning rate up to {rate}, seed {seed}"))
    for part in ("validation", "test"):
        accuracy = training.get(f"{part}_accuracy")
        if accuracy is not None:
            rows.append((part, f"{100 * accuracy:.2f}% of {data.get(f'{part}_pictures', 0):,} pictures recognised"))
    return rows
