"""`wimmel inspect`: what a model file holds, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wimmel.cli.arguments import MODEL_HELP

if TYPE_CHECKING:
    from wimmel.nn import Inspection


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


def _show_layers(screen: Any, report: Inspection) -> None:
    rows = [
        (
            layer.path,
            layer.layer,
            "x".join(map(str, layer.output_shape)),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
            layer.receptive_field or "",
        )
        for layer in report.layers
    ]
    screen.table(("path", "layer", "output", "parameters", "multiply-adds", "sees of the input"), rows, right=(3, 4))
    screen.say(f"{report.summary()}.")
    screen.say()


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
