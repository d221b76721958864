"""What training has shown so far: one frozen record per epoch, and the history they make up.

Given the numbers of each epoch; hands on a table, a page with curves, JSON, and the answer which epoch was best.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    loss : float
        Mean over the training examples, each taken when its batch was trained on.
    accuracy : float or None
        Share of right answers, taken likewise; None where labels are not classes.
    validation_loss, validation_accuracy : float or None
        After the epoch, on the validation data, if there are any.
    learning_rate : float
        Of the epoch's last step.
    seconds, images_per_second : float
        Of training alone. They do not count when records are compared.
    """

    epoch: int
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float = field(default=0.0, compare=False)
    images_per_second: float = field(default=0.0, compare=False)


@dataclass(frozen=True, repr=False)
class History:
    """The epochs of a training.

    Parameters
    ----------
    epochs : tuple of Epoch
    interrupted : bool, default False
        Whether Ctrl-C ended it.
    stopped_early : bool, default False
        Whether early stopping ended it.

    Examples
    --------
    >>> history = History((Epoch(1, 0.9, 0.6, 0.8, 0.7, 0.01), Epoch(2, 0.5, 0.8, 0.9, 0.6, 0.01)))
    >>> history
     epoch      loss  accuracy  val. loss  val. accuracy       rate
         1    0.9000    60.00%     0.8000         70.00%       0.01  best
         2    0.5000    80.00%     0.9000         60.00%       0.01
    >>> history.best.epoch
    1
    >>> History.from_json(history.to_json()) == history
    True
    """

    epochs: tuple[Epoch, ...] = ()
    interrupted: bool = False
    stopped_early: bool = False

    @property
    def best(self) -> Epoch | None:
        """The epoch with the highest validation accuracy (at a tie, the lowest validation loss; then the first).

        Without accuracies it is the one with the lowest validation loss, and without validation the latest.
        """
        return max(self.epochs, key=_merit, default=None)

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self) -> Iterator[Epoch]:
        return iter(self.epochs)

    def __getitem__(self, place: int) -> Epoch:
        return self.epochs[place]

    def to_json(self) -> dict[str, Any]:
        """The history in what JSON can hold; numbers that are not finite become text."""
        epochs = [{name: json_number(value) for name, value in asdict(epoch).items()} for epoch in self.epochs]
        return {"epochs": epochs, "interrupted": self.interrupted, "stopped_early": self.stopped_early}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> History:
        """The history that `to_json` described.

        Raises
        ------
        ValueError
            If an entry is missing or unknown.
        """
        names = {field.name for field in fields(Epoch)}
        entries: Any = document.get("epochs") if isinstance(document, Mapping) else None
        if not isinstance(entries, list) or any(
            not isinstance(entry, dict) or entry.keys() != names for entry in entries
        ):
            raise ValueError(f"a history is described by a list of epochs, each with {', '.join(sorted(names))}")
        return cls(
            tuple(Epoch(**{name: _from_json(value) for name, value in entry.items()}) for entry in entries),
            bool(document.get("interrupted")),
            bool(document.get("stopped_early")),
        )

    def __repr__(self) -> str:
        columns = [column for column in COLUMNS if any(column.value(epoch) is not None for epoch in self.epochs)]
        if not columns:
            return "History of no epochs"
        lines = [" ".join(f"{column.title:>{column.width}}" for column in columns)]
        best = self.best if self._validated else None
        for epoch in self.epochs:
            mark = "  best" if epoch is best else ""
            lines.append(" ".join(f"{column.text(epoch):>{column.width}}" for column in columns) + mark)
        ending = "stopped by Ctrl-C" if self.interrupted else "stopped early" if self.stopped_early else None
        return "\n".join([*lines, ending] if ending else lines)

    def _repr_html_(self) -> str:
        from wimmel.train.pages import history_page

        return history_page(self)

    @property
    def _validated(self) -> bool:
        return any(epoch.validation_loss is not None for epoch in self.epochs)


@dataclass(frozen=True)
class Column:
    """A column of the history's table."""

    title: str
    width: int
    value: Callable[[Epoch], float | None]
    style: str

    def text(self, epoch: Epoch) -> str:
        value = self.value(epoch)
        return "-" if value is None else format(value, self.style)


COLUMNS: Sequence[Column] = (
    Column("epoch", 6, lambda epoch: epoch.epoch, "d"),
    Column("loss", 9, lambda epoch: epoch.loss, ".4f"),
    Column("accuracy", 9, lambda epoch: epoch.accuracy, ".2%"),
    Column("val. loss", 10, lambda epoch: epoch.validation_loss, ".4f"),
    Column("val. accuracy", 14, lambda epoch: epoch.validation_accuracy, ".2%"),
    Column("rate", 10, lambda epoch: epoch.learning_rate, ".3g"),
)


def _merit(epoch: Epoch) -> tuple[float, ...]:
    """What the best epoch has the most of."""
    if epoch.validation_loss is None:
        return (epoch.epoch,)
    loss = math.inf if math.isnan(epoch.validation_loss) else epoch.validation_loss
    return (-loss,) if epoch.validation_accuracy is None else (epoch.validation_accuracy, -loss)


def json_number(value: Any) -> Any:
    """A number as JSON can hold it: infinities and NaN, for which JSON has no words, as text."""
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def _from_json(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value
