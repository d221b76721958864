"""How well a network does on examples, and what it says about pictures: evaluation and prediction, batch by batch.

Given a network and images; hands on probabilities, and with labels the figures: accuracy, loss, confusion matrix,
precision and recall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from wimmel import functional
from wimmel.data import Preprocessing
from wimmel.graph.tensor import as_operands
from wimmel.nn import Module
from wimmel.runtime import Compiled, compile
from wimmel.runtime.backends import DEFAULT
from wimmel.train.history import json_number
from wimmel.train.inputs import as_examples, check_labels, classifies, prepared

_SHOWN_CLASSES = 20


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What a network answered on labelled examples.

    Attributes
    ----------
    labels : int64 (n,)
        The right classes.
    probabilities : float32 or float64 (n, classes)
    loss : float
        Mean over the examples.
    classes : tuple of str
        The classes' names; their numbers where the data had no names.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    loss: float
    classes: tuple[str, ...]

    @property
    def predictions(self) -> np.ndarray:
        """The class with the largest probability of every example (the first, at a tie), int64 (n,)."""
        return np.argmax(self.probabilities, axis=1).astype(np.int64, copy=False)

    @property
    def accuracy(self) -> float:
        """The share of examples whose prediction is right."""
        return float(np.mean(self.predictions == self.labels))

    @property
    def confusion(self) -> np.ndarray:
        """How many examples of each true class (row) were taken for each class (column), int64 (classes, classes)."""
        count = len(self.classes)
        pairs = np.bincount(self.labels * count + self.predictions, minlength=count * count)
        return pairs.reshape(count, count).astype(np.int64, copy=False)

    @property
    def precision(self) -> np.ndarray:
        """Of what was taken for each class the share that was, float64 (classes,); NaN where nothing was."""
        return _shares(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def recall(self) -> np.ndarray:
        """Of each true class the share that was found, float64 (classes,); NaN where there were no examples."""
        return _shares(np.diag(self.confusion), self.confusion.sum(axis=1))

    @property
    def mistakes(self) -> np.ndarray:
        """The places of the examples answered wrongly, those the network was surest of first, int64."""
        wrong = np.flatnonzero(self.predictions != self.labels)
        sureness = self.probabilities[wrong].max(axis=1, initial=0)
        return wrong[np.argsort(-sureness, kind="stable")]

    def to_json(self) -> dict[str, Any]:
        """The figures in what JSON can hold: all but the single examples; NaN and infinities as text."""
        return {
            "examples": len(self.labels),
            "accuracy": self.accuracy,
            "loss": json_number(self.loss),
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
            "precision": [json_number(float(share)) for share in self.precision],
            "recall": [json_number(float(share)) for share in self.recall],
        }

    def __repr__(self) -> str:
        wrong = len(self.mistakes)
        figures = f"accuracy {self.accuracy:.2%} ({wrong:,} wrong), loss {self.loss:.4f}"
        width = max(len("class"), *(len(name) for name in self.classes[:_SHOWN_CLASSES]))
        lines = [
            f"Evaluation on {len(self.labels):,} examples: {figures}",
            f"{'class':>{width}}  examples  precision   recall",
        ]
        rows = zip(self.classes, self.confusion.sum(axis=1), self.precision, self.recall, strict=True)
        for name, count, precision, recall in list(rows)[:_SHOWN_CLASSES]:
            lines.append(f"{name:>{width}}  {count:>8,}  {_percent(precision):>9}  {_percent(recall):>7}")
        if len(self.classes) > _SHOWN_CLASSES:
            lines.append(f"... and {len(self.classes) - _SHOWN_CLASSES} classes more")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from wimmel.train.pages import evaluation_page

        return evaluation_page(self)


def evaluate(
    net: Module,
    dataset: Any,
    preprocessing: Preprocessing | None = None,
    batch_size: int = 256,
    *,
    loss: Callable[[Any, Any], Any] = functional.cross_entropy,
    backend: str = DEFAULT,
) -> Evaluation:
    """How well a classifying network does on labelled examples.

    Parameters
    ----------
    net : Module
        From images to scores (n, classes).
    dataset : Dataset or (images, labels)
        Images uint8 (n, channels, rows, columns), or floats as the network takes them; labels integers (n,).
    preprocessing : Preprocessing, optional
        For uint8 images; default the network's own ``preprocessing``, if it has one.
    batch_size : int, default 256
    loss : callable, default cross_entropy
    backend : str, default "native"

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError, TypeError
        If the examples do not fit the network, or labels are not classes that it has scores for.

    Examples
    --------
    >>> from wimmel import nn
    >>> net = nn.Sequential(nn.Linear(2, 2))
    >>> net[0].weight, net[0].bias = np.eye(2), np.zeros(2)
    >>> points = np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]], np.float32)
    >>> evaluate(net, (points, [0, 1, 1]))
    Evaluation on 3 examples: accuracy 66.67% (1 wrong), loss 0.7936
    class  examples  precision   recall
        0         1     50.00%  100.00%
        1         2    100.00%   50.00%
    """
    examples = as_examples(dataset, "evaluate")
    scores = all_scores(scorer(net, preprocessing, backend), examples.images, batch_size)
    if scores.ndim != 2 or not classifies(scores.shape, examples.labels):
        raise ValueError(
            f"evaluate needs scores of shape (n, classes) and integer labels of shape (n,); the network gives shape "
            f"{scores.shape}, and the labels are {examples.labels.dtype} of shape {examples.labels.shape}"
        )
    _check_numbers(scores, net)
    check_labels(scores.shape, examples, "evaluate")
    names = getattr(examples, "classes", None) or net.__dict__.get("classes") or ()
    classes = tuple(names) if len(names) == scores.shape[1] else tuple(str(n) for n in range(scores.shape[1]))
    probabilities = functional.softmax(scores, dim=1)
    return Evaluation(examples.labels, probabilities, float(loss(scores, examples.labels)), classes)


def predict(
    net: Module,
    images: Any,
    preprocessing: Preprocessing | None = None,
    batch_size: int = 256,
    *,
    backend: str = DEFAULT,
) -> np.ndarray:
    """The probability of every class for every image: softmax of the network's scores.

    Parameters
    ----------
    net : Module
        From images to scores (n, classes).
    images : array (n, ...)
        uint8 pictures (n, channels, rows, columns), or floats as the network takes them.
    preprocessing : Preprocessing, optional
        For uint8 images; default the network's own ``preprocessing``, if it has one.
    batch_size : int, default 256
    backend : str, default "native"

    Returns
    -------
    float32 or float64 array (n, classes)

    Raises
    ------
    ValueError, TypeError
        If the images do not fit the network.

    Examples
    --------
    >>> from wimmel import nn
    >>> net = nn.Sequential(nn.Linear(2, 2))
    >>> net[0].weight, net[0].bias = np.eye(2), np.zeros(2)
    >>> predict(net, np.array([[2.0, 0.0], [1.0, 1.0]], np.float32)).round(3)
    array([[0.881, 0.119],
           [0.5  , 0.5  ]], dtype=float32)
    """
    images = as_operands([images], "predict")[0]
    if images.ndim < 2:
        raise ValueError(f"predict was given images of shape {images.shape}; it takes a batch of them, (n, ...)")
    scores = all_scores(scorer(net, preprocessing, backend), images, batch_size)
    if scores.ndim < 2:
        raise ValueError(f"predict needs a network that gives scores (n, classes); this one gives shape {scores.shape}")
    _check_numbers(scores, net)
    return functional.softmax(scores, dim=1)


def scorer(net: Module, preprocessing: Preprocessing | None = None, backend: str = DEFAULT) -> Compiled:
    """The network in inference, with what turns pictures into its inputs, as one graph; make it once for many calls.

    Parameters
    ----------
    net : Module
    preprocessing : Preprocessing, optional
        For uint8 images; default the network's own ``preprocessing``, if it has one.
    backend : str, default "native"

    Returns
    -------
    Compiled
        From images (n, ...) to scores. It reads the network's parameters at every call.
    """
    chosen = preprocessing if preprocessing is not None else net.__dict__.get("preprocessing")

    def scores(images: Any) -> Any:
        return net(prepared(images, net, chosen))

    return compile(scores, backend=backend)


def _check_numbers(scores: np.ndarray, net: Module) -> None:
    """Refuses to read an answer out of NaNs; says whether the network or the images brought them."""
    spoilt = int(np.isnan(scores).any(axis=tuple(range(1, scores.ndim))).sum())
    if not spoilt:
        return
    names = [name for name, variable in net.named_variables().items() if not np.isfinite(variable.value).all()]
    cause = (
        f"its {', '.join(names)} hold values that are not finite, so the model is damaged: load or train another"
        if names
        else "its parameters are sound, so look for NaN or huge values in the images"
    )
    raise ValueError(f"the network's scores are not numbers (NaN) for {spoilt} of {len(scores)} examples; {cause}")


def all_scores(
    run: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    batch_size: int,
    between: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """The scores of all images: whole batches, and one smaller at the end, so that two shapes are recorded at most.

    `between` is called after every batch.
    """
    parts = []
    for batch in _batches(images, batch_size):
        parts.append(run(batch))
        between()
    return np.concatenate(parts)


def _batches(images: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size was {batch_size!r}; it is a whole number of at least 1")
    # an empty array is a batch too: its scores have the right shape
    for first in range(0, max(len(images), 1), batch_size):
        yield images[first : first + batch_size]


def _shares(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    return np.divide(parts, wholes, out=np.full(len(parts), np.nan), where=wholes > 0)


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{share:.2%}"
