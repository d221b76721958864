"""`wimmel inspect`: what a model file holds, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wimmel.cli.arguments import MODEL_HELP

if TYPE_CHECKING:
    import numpy as np

    from wimmel.cli.screen import Screen
    from wimmel.nn import Inspection, Module

_ROOM_FOR_FIGURES = 90


def inspect(
    model: Annotated[Path, typer.Argument(help=MODEL_HELP, show_default=False)],
    size: Annotated[
        str | None,
        typer.Option("--input", help="The shape of one input, such as 1x28x28; the model's own, where it tells it."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="A picture, to draw what every channel answers to it.", show_default=False)
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            help="The path of a layer whose channels to draw; may be given several times.",
            show_default="the activations and the last",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for what is drawn.")] = Path("channels"),
    json: Annotated[bool, typer.Option("--json", help="Write JSON to the standard output, and nothing else.")] = False,
) -> None:
    """Show what a model is made of, and what goes on in it.

    Layer by layer: shapes, parameters, multiply-adds, and how much of the picture each output sees. Then its classes,
    the pictures it takes, and how it was trained. Given a picture, it draws a page for each layer with what every
    channel answers to it; a detector is shown what is around its best find.

    \b
    [bold]Examples[/bold]
      wimmel inspect pets.safetensors
      wimmel inspect pets.safetensors --json
      wimmel inspect bare.safetensors --input 3x32x32
      wimmel inspect waldo.safetensors --picture scene.png -o channels
    """
    from wimmel.cli.outputs import made_folder
    from wimmel.cli.screen import Screen, listed, write_json
    from wimmel.nn import load
    from wimmel.report import feature_maps_pictures

    if layer and picture is None:
        raise typer.BadParameter("needs a --picture, to which the layer answers.", param_hint="--layer")
    net = load(model)
    entering = None if picture is None else _entering(model, net, picture)
    classes, preprocessing = net.__dict__["classes"], net.__dict__["preprocessing"]
    metadata = net.__dict__["metadata"]
    given = _shape(size) if size is not None else None if entering is None else entering.shape
    report = _report(net, given, preprocessing)
    pages = [] if entering is None else feature_maps_pictures(net, entering, made_folder(output), layer)
    if json:
        about = {name: value for name, value in metadata.items() if name != "architecture"}
        drawn = {} if entering is None else {"channels": [str(page) for page in pages]}
        write_json({"model": str(model), **(_outline(net) if report is None else report.to_json()), **about, **drawn})
        return
    screen = Screen()
    if report is None:
        _show_outline(screen, net)
    else:
        _show_layers(screen, report)
    screen.pairs([*_classes(classes), *_pictures(preprocessing), *_training(metadata.get("training"))])
    if pages:
        screen.say()
        screen.say(f"Saved {listed([str(page) for page in pages])}")


def _entering(model: Path, net: Module, picture: Path) -> np.ndarray:
    """The picture as the network takes it, or its preprocessing."""
    from wimmel.detection import Detector
    from wimmel.files import read_image

    if "detector" in net.__dict__["metadata"]:
        return Detector.load(model).view(picture)
    preprocessing = net.__dict__["preprocessing"]
    if preprocessing is None:
        raise ValueError(f"{model} does not tell which pictures it takes, so there is no showing it {picture}")
    channels, *size = preprocessing.shape
    return read_image(picture, tuple(size), channels)


def _shape(text: str) -> tuple[int, ...]:
    parts = text.lower().split("x")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise typer.BadParameter(f"{text!r} is not a shape, such as 1x28x28.", param_hint="--input")
    return tuple(map(int, parts))


def _report(net: Module, given: tuple[int, ...] | None, preprocessing: Any) -> Inspection | None:
    """The report for inputs of the given shape, or of the model's own; None where it tells none that fits."""
    from wimmel.nn import inspect as inspected

    if given is not None:
        return inspected(net, given)
    if preprocessing is None:
        return None
    try:
        return inspected(net, preprocessing.shape)
    except (ValueError, TypeError):
        return None  # saved with preprocessing for another network; its layers can be told all the same


def _outline(net: Module) -> dict[str, Any]:
    """The layers without what only an input decides, under the same names as in a report."""
    unknown = {"output_shape": None, "multiply_adds": None, "receptive_field": None}
    layers = [
        {"path": path, "layer": type(module).__name__, "parameters": _own_parameters(module), **unknown}
        for path, module in net.named_modules().items()
        if module.own_variables() or not module.children()
    ]
    totals = {"parameters": net.parameter_count(), "multiply_adds": None}
    return {"name": type(net).__name__, "input_shape": None, "layers": layers, **totals}


def _own_parameters(module: Module) -> int:
    own = [variable for name, variable in module.own_variables().items() if name not in module.buffer_names()]
    return sum(math.prod(variable.shape) for variable in own)


def _show_outline(screen: Screen, net: Module) -> None:
    outline = _outline(net)
    rows = [
        (layer["path"], layer["layer"], f"{layer['parameters']:,}" if layer["parameters"] else "")
        for layer in outline["layers"]
    ]
    screen.table(("path", "layer", "parameters"), rows, right=(2,))
    screen.say(f"{outline['name']}: {outline['parameters']:,} parameters.")
    screen.say(
        "The file does not tell which inputs fit; with --input 1x28x28, say, the shapes of all outputs are shown."
    )
    screen.say()


def _classes(classes: Sequence[str] | None) -> list[tuple[str, str]]:
    return [("classes", f"{len(classes)}: {', '.join(classes)}")] if classes else []


def _pictures(preprocessing: Any) -> list[tuple[str, str]]:
    """What pictures the model takes, where it tells."""
    if preprocessing is None:
        return []
    channels, rows, columns = preprocessing.shape
    kind = "gray" if channels == 1 else "colour"
    figures = [f"{mean:.4g} and {std:.4g}" for mean, std in _figures(preprocessing)]
    return [
        ("pictures", f"{kind}, {rows}x{columns}; others are scaled and cut to that"),
        ("normalised", f"by mean and standard deviation {', '.join(figures)} (of 1 for white)"),
    ]


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
    from wimmel.report.canvas import counted

    rows = [("trained on", f"{data.get('name')}, {counted(data.get('trained_on') or 0, 'picture')}")] if data else []
    if recipe:
        rate, seed = recipe.get("learning_rate"), recipe.get("seed")
        epochs, best = counted(training.get("epochs") or 0, "epoch"), training.get("best_epoch")
        epochs += "" if best is None else f", the best was number {best}"
        rows.append(("training", f"{recipe.get('model')}, {epochs}; learning rate up to {rate}, seed {seed}"))
    for part in ("validation", "test"):
        accuracy = training.get(f"{part}_accuracy")
        if accuracy is not None:
            rows.append(
                (part, f"{100 * accuracy:.2f}% of {counted(data.get(f'{part}_pictures', 0), 'picture')} recognised")
            )
    return rows
