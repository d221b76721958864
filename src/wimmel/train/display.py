"""What is seen of a training while it runs: a line for every finished epoch, and on a terminal a bar for the next.

Given the counts and records as they come; draws them, or nothing.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from wimmel.train.history import Epoch


class Display:
    """A context that shows progress with rich, or with `shown=False` nothing.

    Parameters
    ----------
    epochs : int
        How many there will be.
    shown : bool, default True
    """

    def __init__(self, epochs: int, shown: bool = True) -> None:
        self.epochs = epochs
        self.shown = shown
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Display:
        if self.shown:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            # transient: the bar goes when the training ends, and the epochs' lines stay
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[loss]}"), transient=True)
            self._bar.disable = not self._bar.console.is_interactive
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def epoch_begins(self, number: int, batches: int, done: int) -> None:
        """A new bar for an epoch counted from 1, of which some batches are done already."""
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            name = f"epoch {number}/{self.epochs}"
            self._task = self._bar.add_task(name, total=batches, completed=done, loss="")

    def batch_ends(self, done: int, loss: float) -> None:
        """Moves the bar; the loss is the epoch's mean so far."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, loss=f"loss {loss:.4f}")

    def epoch_ends(self, record: Epoch, best: bool) -> None:
        """Writes the epoch's line."""
        self.say(line(record, self.epochs) + ("  best so far" if best else ""))

    def say(self, text: str) -> None:
        """Writes a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)


def line(record: Epoch, epochs: int) -> str:
    """An epoch in one line.

    Examples
    --------
    >>> line(Epoch(3, 0.25, 0.9, 0.5, 0.8, 0.01, seconds=2.0, images_per_second=1500.0), 10)
    'epoch  3/10  loss 0.2500  accuracy 90.00%  validation 0.5000, 80.00%  rate 0.01  1,500 images/s'
    """
    parts = [f"epoch {record.epoch:>{len(str(epochs))}}/{epochs}", f"loss {record.loss:.4f}"]
    if record.accuracy is not None:
        parts.append(f"accuracy {record.accuracy:.2%}")
    if record.validation_loss is not None:
        accuracy = "" if record.validation_accuracy is None else f", {record.validation_accuracy:.2%}"
        parts.append(f"validation {record.validation_loss:.4f}{accuracy}")
    parts += [f"rate {record.learning_rate:.3g}", f"{record.images_per_second:,.0f} images/s"]
    return "  ".join(parts)
