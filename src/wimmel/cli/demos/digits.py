"""`wimmel demo digits`: everything once, on the hand-written digits that come with the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from wimmel.cli.screen import Screen
    from wimmel.data import Dataset
    from wimmel.nn import Sequential
    from wimmel.train import Epoch, History
    from wimmel.train.checkpoint import Progress
    from wimmel.train.recipes import Recipe

_HELD_OUT = 0.25
_VALIDATION = 0.1
_SHOWN = 10


class TrainedDigits(NamedTuple):
    """A network trained on digits, how it was trained, and the parts: to train on, to choose the epoch by, not seen."""

    net: Sequential
    recipe: Recipe
    history: History
    train: Dataset
    validation: Dataset
    held_out: Dataset


def show_digits(folder: Path, seed: int) -> None:
    """Trains on the digits, tests and uses the network, and leaves model and pictures in the folder."""
    import time

    from wimmel.cli.outputs import made_folder, training_record
    from wimmel.cli.screen import Screen
    from wimmel.data import digits
    from wimmel.report import confusion_matrix_picture, history_picture, mistakes_picture, predictions_picture
    from wimmel.report.canvas import counted
    from wimmel.train import evaluate

    screen = Screen()
    pictures = digits()
    screen.say(f"{len(pictures):,} hand-written digits (UCI, CC BY 4.0), a quarter of them held out.")
    _show_examples(screen, pictures)

    begun = time.perf_counter()
    with screen.bar("Training", 1) as bar:
        trained = trained_digits(seed, bar.move)
    seconds = time.perf_counter() - begun
    net, history, held_out = trained.net, trained.history, trained.held_out
    evaluation = evaluate(net, held_out)
    made = counted(len(evaluation.mistakes), "mistake")
    screen.say(f"Trained in {seconds:.0f} s: {counted(len(history), 'epoch')}, {net.parameter_count():,} parameters.")
    screen.say(
        f"{100 * evaluation.accuracy:.2f}% of {len(held_out)} digits that it had never seen recognised, {made}.", "bold"
    )
    screen.say()

    model = folder / "digits.safetensors"
    record = training_record("digits", len(trained.train), trained.validation, trained.recipe, history, evaluation)
    net.save(model, training=record)
    confusion_matrix_picture(evaluation, folder / "confusion-matrix.png")
    mistakes_picture(held_out, evaluation, folder / "mistakes.png")
    history_picture(history, folder / "training.png")
    places = _one_of_each_class(held_out)
    samples = held_out.subset(places)
    drawn = folder / "predictions.png"
    predictions_picture(samples.images, evaluation.probabilities[places], samples.classes, drawn, labels=samples.labels)
    _save_pictures(samples, made_folder(folder / "pictures"))
    _save_held_out(held_out, folder / "held-out.npz")

    screen.say("Ten of them, as the network sees them:")
    _show_predictions(screen, samples, evaluation.probabilities[places])
    _show_files(screen, folder, len(places))


def trained_digits(seed: int, follow: Callable[[float, str], None] | None = None) -> TrainedDigits:
    """A network trained on three quarters of the embedded digits, as `wimmel train` would train it.

    A tenth of the three quarters is kept back to choose the best epoch by; the rest moves the parameters.

    Parameters
    ----------
    seed : int
        Decides which quarter is held out, stratified by class, and everything drawn in training.
    follow : callable, optional
        Called after every batch with the part of the training that is done, from 0 to 1, and a few words about it.
    """
    from wimmel.data import digits
    from wimmel.train.recipes import recipe_for

    rest, held_out = digits().split(_HELD_OUT, seed)
    train, validation = rest.split(_VALIDATION, seed)
    recipe = recipe_for(train, seed=seed)
    net = recipe.network(train)
    batches = -(-len(train) // recipe.batch_size)
    finished: list[Epoch] = []

    def batch_done(progress: Progress) -> None:
        if follow is not None:
            latest = finished[-1].validation_accuracy if finished else None
            accuracy = "" if latest is None else f"{latest:.1%} right"
            done = (len(finished) + progress.batches / batches) / recipe.epochs
            follow(done, f"epoch {len(finished) + 1}/{recipe.epochs}  {accuracy}")

    history = recipe.trainer(net).fit(
        train, validation, recipe.epochs, progress=False, on_batch=batch_done, on_epoch=finished.append
    )
    if history.interrupted:
        raise KeyboardInterrupt
    return TrainedDigits(net, recipe, history, train, validation, held_out)


def _one_of_each_class(dataset: Dataset) -> list[int]:
    """Places of the first picture of each class."""
    import numpy as np

    return [int(np.flatnonzero(dataset.labels == label)[0]) for label in range(len(dataset.classes))]


def _show_examples(screen: Screen, pictures: Dataset) -> None:
    from rich.text import Text

    from wimmel.cli.screen import half_blocks

    if screen.shows_pictures:
        shown = [half_blocks(picture) for picture in pictures.images[:_SHOWN]]
        screen.say()
        screen.tiles(shown, [Text(pictures.classes[label]) for label in pictures.labels[:_SHOWN]])


def _show_predictions(screen: Screen, samples: Dataset, probabilities: np.ndarray) -> None:
    """Tiny pictures with what they were taken for; where pictures cannot be shown, a table."""
    from rich.text import Text

    from wimmel.cli.screen import RIGHT, WRONG, half_blocks
    from wimmel.report.canvas import percent

    taken = probabilities.argmax(axis=1)
    shares = [percent(float(row.max())) for row in probabilities]
    if not screen.shows_pictures:
        answers = zip(samples.labels, taken, shares, strict=True)
        rows = [(_file_name(samples, n), samples.classes[t], share, samples.classes[true])
                for n, (true, t, share) in enumerate(answers)]  # fmt: skip
        screen.table(("picture", "recognised as", "confidence", "truly"), rows, right=(2,))
        return
    captions = []
    for label, answer, share in zip(samples.labels, taken, shares, strict=True):
        right = label == answer
        truth = "" if right else f" not {samples.classes[label]}"
        captions.append(Text(f"{samples.classes[answer]} {share}{truth}", RIGHT if right else WRONG))
    screen.say()
    screen.tiles([half_blocks(picture) for picture in samples.images], captions)


def _file_name(samples: Dataset, number: int) -> str:
    return f"digit-{samples.classes[samples.labels[number]]}.png"


def _save_pictures(samples: Dataset, folder: Path) -> None:
    from wimmel.files import write_image

    for number, picture in enumerate(samples.images):
        write_image(folder / _file_name(samples, number), picture)


def _save_held_out(held_out: Dataset, path: Path) -> None:
    import numpy as np

    from wimmel.files import write_whole

    arrays = {"images": held_out.images, "labels": held_out.labels, "classes": np.array(held_out.classes)}
    with write_whole(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def _show_files(screen: Screen, folder: Path, pictures: int) -> None:
    import shlex

    def named(name: str) -> str:
        return shlex.quote(str(folder / name))

    screen.pairs(
        [
            (str(folder / "digits.safetensors"), "the model"),
            (str(folder / "confusion-matrix.png"), "what was taken for what"),
            (str(folder / "mistakes.png"), "the mistakes, the surest first"),
            (str(folder / "training.png"), "the course of the training"),
            (str(folder / "predictions.png"), "the digits above with what they were taken for"),
            (str(folder / "pictures"), f"{pictures} of the digits held out, as pictures"),
            (str(folder / "held-out.npz"), "all digits held out, as arrays"),
        ]
    )
    model = named("digits.safetensors")
    screen.say()
    screen.say("Try next:", "bold")
    screen.say(f"  wimmel predict {model} {named('pictures')} --top 3")
    screen.say(f"  wimmel evaluate {model} {named('held-out.npz')}")
    screen.say(f"  wimmel inspect {model}")
    screen.say("and with pictures of your own, sorted into one folder per class:")
    screen.say("  wimmel train YOUR-PICTURES -o mine.safetensors")
