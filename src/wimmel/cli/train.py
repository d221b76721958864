"""`wimmel train`: from labelled pictures to a model file."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from wimmel.cli.arguments import DATA_HELP
from wimmel.cli.failures import FAILED, INTERRUPTED, complain, sentence

if TYPE_CHECKING:
    from wimmel.cli.screen import Screen
    from wimmel.data import Dataset, Splits
    from wimmel.nn import Module
    from wimmel.train import Epoch, Evaluation, History
    from wimmel.train.checkpoint import Checkpoint
    from wimmel.train.recipes import Recipe

_SUFFIX = ".safetensors"
_VALIDATION = 0.1
_LARGEST_SIDE = 64


class ModelName(StrEnum):
    """The networks to choose from."""

    LENET = "lenet"
    LENET_CLASSIC = "lenet_classic"
    MLP = "mlp"


def train(
    data: Annotated[
        Path,
        typer.Argument(help=DATA_HELP, show_default=False),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file to write.")] = Path(
        "model.safetensors"
    ),
    model: Annotated[ModelName, typer.Option(help="The network.")] = ModelName.LENET,
    width: Annotated[
        str | None, typer.Option(help="Channels of lenet's two convolutions, or sizes of mlp's hidden layers: 16,32.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How often to go through the pictures.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Pictures per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    size: Annotated[
        str | None, typer.Option(help="Size to bring the pictures to: 32, or 24x32 for rows x columns.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    validation: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=0.9, help="Part of the pictures kept back to choose the best epoch by; 0.1 as a rule."
        ),
    ] = None,
    augment: Annotated[bool, typer.Option(help="Vary the pictures at random during training.")] = True,
    flip: Annotated[
        bool, typer.Option("--flip", help="Mirror pictures too: for animals and things, not for digits and signs.")
    ] = False,
    early_stopping: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many epochs without a better one.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was stopped.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write JSON to the standard output, and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but warnings and errors.")] = False,
) -> None:
    """Train a network on your pictures.

    Whatever is not given is chosen from the pictures, and shown. The best epoch is chosen by a part of the training
    pictures; a test part, where there is one, is looked at once, at the end. Ctrl-C leaves the best model so far.

    \b
    [bold]Examples[/bold]
      wimmel train photos/ -o pets.safetensors
      wimmel train photos.zip -o pets.safetensors --size 48 --flip --epochs 30
      wimmel train mnist/ -o digits.safetensors
      wimmel train photos/ -o pets.safetensors --resume
    """
    from wimmel.cli.outputs import checked_file, training_record
    from wimmel.cli.screen import Screen, show_skipped, write_json
    from wimmel.train import History, evaluate
    from wimmel.train.recipes import recipe_for

    checked_file(output, _SUFFIX)
    checkpoint = output.with_name(f"{output.stem}.checkpoint{_SUFFIX}")
    screen = Screen(quiet or json)

    unfinished = unfinished_training(checkpoint, resume)
    splits = _read(data, model, size, show_progress=screen.console.is_terminal and not quiet)
    show_skipped(splits.train.skipped)
    kept, held_out = _validation(splits.train, validation, seed)
    recipe = recipe_for(
        kept,
        model.value,
        width=None if width is None else _numbers(width, "--width", "16,32"),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        augment=augment,
        flip=flip,
        seed=seed,
    )
    if unfinished is not None and resume:
        check_epochs(checkpoint, unfinished, recipe)
    net = recipe.network(kept)
    _show_plan(screen, splits, held_out, recipe, net.parameter_count())
    if unfinished is not None and not resume:
        screen.say(f"An unfinished training lies in {checkpoint}: --resume would go on with it; this one replaces it.")

    begun = unfinished.history.epochs if unfinished is not None and resume else ()
    finished: list[Epoch] = []
    try:
        history = recipe.trainer(net).fit(
            kept,
            held_out,
            recipe.epochs,
            early_stopping=early_stopping,
            checkpoint=checkpoint,
            resume=checkpoint if resume else None,
            progress=not screen.quiet,
            on_epoch=finished.append,
        )
    except OSError as error:
        history = History((*begun, *finished), interrupted=True)
        if not len(history) and _stopped(error):
            raise
        record = training_record(splits.train.name, len(kept), held_out, recipe, history, None)
        if not _stopped(error):  # an epoch more was complete, and may be the best
            accuracy = None if held_out is None else evaluate(net, held_out).accuracy
            record |= {"epochs": len(history) + 1, "best_epoch": None, "validation_accuracy": accuracy}
        _save_after(error, net, output, record)
    if history.interrupted and not len(history):
        complain(f"Stopped by Ctrl-C before the first epoch was complete; {output} was not written.")
        complain("The same command with --resume goes on from here.")
        raise typer.Exit(INTERRUPTED)

    test = None
    training = training_record(splits.train.name, len(kept), held_out, recipe, history, test)
    net.save(output, training=training)  # before the test, which may take long and be stopped
    if splits.test is not None and not history.interrupted:
        try:
            test = evaluate(net, splits.test)
        except KeyboardInterrupt:
            checkpoint.unlink(missing_ok=True)
            complain(f"Stopped by Ctrl-C during the test; {output} holds the trained model.")
            complain("wimmel evaluate tests it.")
            raise typer.Exit(INTERRUPTED) from None
        training = training_record(splits.train.name, len(kept), held_out, recipe, history, test)
        net.save(output, training=training)
    if json:
        write_json(_document(output, training, history, splits, test))
    _show_end(screen, output, history, held_out, test)
    if history.interrupted:
        best = history.best.epoch if history.best is not None else 0
        complain(f"Stopped by Ctrl-C; {output} holds the best model so far, that of epoch {best}.")
        complain("The same command with --resume goes on from here.")
        raise typer.Exit(INTERRUPTED)
    checkpoint.unlink(missing_ok=True)


def unfinished_training(checkpoint: Path, resume: bool) -> Checkpoint | None:
    """The training that lies where this one will keep its own state, if there is one.

    Raises
    ------
    ValueError
        If there is nothing to resume, or something else lies there, which is nobody's to replace.
    """
    from wimmel.train.checkpoint import load_checkpoint

    if not checkpoint.exists():
        if resume:
            raise ValueError(f"there is nothing to resume: {checkpoint}, where a stopped training lies, does not exist")
        return None
    try:
        return load_checkpoint(checkpoint)
    except ValueError as error:
        if resume:
            raise
        raise ValueError(
            f"{checkpoint}, where this training would keep its unfinished state, is something else; "
            "move it away or give -o another name"
        ) from error


def check_epochs(path: Path, unfinished: Checkpoint, recipe: Recipe) -> None:
    """Refuses to go on with another number of epochs: the learning rate was planned for the first one.

    Raises
    ------
    ValueError
        Says what to give.
    """
    planned = re.search(r"\bsteps=(\d+)", str(unfinished.description.get("schedule")))
    if planned is None or not len(unfinished.history):
        return
    per_epoch = (unfinished.steps - unfinished.progress.batches) / len(unfinished.history)
    epochs = round(int(planned[1]) / per_epoch)
    if epochs != recipe.epochs:
        raise ValueError(
            f"the training in {path} was started with --epochs {epochs}; give the same to go on with it, "
            "or leave out --resume to begin anew"
        )


def _stopped(error: BaseException) -> bool:
    """Whether the error came while Ctrl-C was obeyed."""
    context = error.__context__
    return isinstance(error, KeyboardInterrupt) or (context is not None and _stopped(context))


def _save_after(error: OSError, net: Module, output: Path, record: dict[str, Any]) -> NoReturn:
    """Ends a training whose state could not be kept with the model itself, which is a third as large."""
    why = sentence(error).removeprefix("Error: ")
    try:
        net.save(output, training=record)
    except OSError as second:
        complain(f"Error: the training ended, since its state could not be kept: {why}")
        complain(f"The model could not be saved either: {sentence(second).removeprefix('Error: ')}")
    else:
        complain(f"Error: the training ended, since its state could not be kept: {why}")
        complain(f"{output} holds the best model so far; --resume cannot go on from it.")
    raise typer.Exit(FAILED) from None


def _read(data: Path, model: ModelName, size: str | None, show_progress: bool) -> Splits:
    from wimmel.data import read
    from wimmel.train.recipes import CLASSIC_SHAPE

    if model is ModelName.LENET_CLASSIC:
        channels, *sides = CLASSIC_SHAPE
        if size is not None and _numbers(size, "--size") != tuple(sides):
            raise ValueError("lenet_classic takes pictures of 28x28; leave out --size, or choose --model lenet")
        return read(data, (sides[0], sides[1]), channels, progress=show_progress)
    given = None if size is None else _numbers(size, "--size")
    return read(data, given, progress=show_progress, largest_side=_LARGEST_SIDE)


def _numbers(text: str, option: str, example: str = "32 or 24x32") -> tuple[int, int]:
    """One whole number, meant twice, or two, separated by a comma or an x."""
    parts = text.lower().replace("x", ",").split(",")
    if len(parts) not in (1, 2) or not all(part.strip().isdecimal() and int(part) for part in parts):
        raise typer.BadParameter(
            f"{text!r} is not one or two whole numbers of at least 1, such as {example}.", param_hint=option
        )
    return int(parts[0]), int(parts[-1])


def _validation(pictures: Dataset, fraction: float | None, seed: int) -> tuple[Dataset, Dataset | None]:
    """The pictures to train on, and those to choose the best epoch by; by default none where there are only a few."""
    if fraction == 0 or (fraction is None and round(_VALIDATION * len(pictures)) < 1):
        return pictures, None
    return pictures.split(_VALIDATION if fraction is None else fraction, seed)


def _show_plan(screen: Screen, splits: Splits, held_out: Dataset | None, recipe: Recipe, parameters: int) -> None:
    """What will be done with what, a line for each thing, and how to have it otherwise."""
    from wimmel.cli.screen import listed
    from wimmel.report.canvas import counted

    data = splits.train
    channels, rows, columns = data.shape
    kind = "gray" if channels == 1 else "colour"
    test = "" if splits.test is None else f"; {len(splits.test):,} more to test on"
    found = f"{counted(len(data), 'picture')} in {counted(len(data.classes), 'class', 'classes')}"
    screen.say(f"{data.name}: {found}{test}", "bold")
    screen.say(f"Classes: {listed(data.classes)}")
    screen.say()
    held = "none: the last epoch counts" if held_out is None else f"{len(held_out):,} of them choose the best epoch"
    first, second = recipe.width
    width = f"hidden layers of {first} and {second}" if recipe.model == "mlp" else f"{first} and {second} channels"
    network = f"{recipe.model}, {width}, {parameters:,} parameters"
    fixed = recipe.model == "lenet_classic"
    screen.pairs(
        [
            ("size", f"{rows}x{columns}, {kind}", "" if fixed else "--size"),
            ("network", network, "--model" if fixed else "--model, --width"),
            ("validation", held, "--validation"),
            ("variations", _variations(recipe), "--no-augment, --flip" if recipe.augmentation else "--augment"),
            ("epochs", str(recipe.epochs), "--epochs, --early-stopping"),
            ("batch size", str(recipe.batch_size), "--batch-size"),
            ("learning rate", f"up to {recipe.learning_rate:g}, rising and falling once", "--learning-rate"),
            ("seed", str(recipe.seed), "--seed"),
        ]
    )
    screen.say()


def _variations(recipe: Recipe) -> str:
    """The augmentation in words."""
    varied = recipe.augmentation
    if varied is None:
        return "none"
    parts = [
        f"shifts up to {100 * varied.shift:g}%" if varied.shift else "",
        f"turns up to {varied.rotate:g}°" if varied.rotate else "",
        f"crops down to {100 * varied.crop:g}%" if varied.crop < 1 else "",
        f"brightness up to {100 * varied.brightness:g}%" if varied.brightness else "",
        "mirrored" if varied.flip else "",
    ]
    return ", ".join(part for part in parts if part)


def _document(
    output: Path, training: dict[str, Any], history: History, splits: Splits, test: Evaluation | None
) -> dict[str, Any]:
    from wimmel.cli.outputs import evaluation_document

    return {
        "model": str(output),
        "classes": list(splits.train.classes),
        **training,
        "history": history.to_json()["epochs"],
        "test": None if test is None else evaluation_document(test),
        "skipped": [list(entry) for entry in splits.train.skipped],
    }


def _show_end(
    screen: Screen, output: Path, history: History, held_out: Dataset | None, test: Evaluation | None
) -> None:
    from wimmel.report.canvas import counted

    best = history.best
    screen.say()
    if best is not None and best.validation_accuracy is not None and held_out is not None:
        accuracy = f"{100 * best.validation_accuracy:.2f}% of {counted(len(held_out), 'validation picture')}"
        screen.say(f"Best after epoch {best.epoch}: {accuracy} recognised.")
    if test is not None:
        of, mistakes = counted(len(test.labels), "picture"), counted(len(test.mistakes), "mistake")
        screen.say(f"Test: {100 * test.accuracy:.2f}% of {of} recognised, {mistakes}.", "bold")
    if not history.interrupted:
        screen.say(f"Saved {output}. Now try: wimmel predict {_quoted(output)} PICTURES")


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
