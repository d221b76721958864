"""Why a training step was not finite: the batch replayed on the reference, and the first operation to blame, in words.

Given a step that refused to move and the batch it refused; hands on a sentence for the person who trains.
"""

from __future__ import annotations

import numpy as np

from wimmel.graph import Tensor, Trace, first_not_finite
from wimmel.graph.tracing import reachable
from wimmel.train.step import TrainingStep


class NotFiniteError(ValueError):
    """Training met a number that is infinite or not a number, and stopped before anything took it up.

    Attributes
    ----------
    epoch, batch : int
        Where, counted from 1.
    layer : str or None
        Path of the layer in whose operation it arose; None if that was not in a layer.
    operation : str or None
        Name of the primitive; None if it came in from outside, or could not be found.
    """

    def __init__(
        self, message: str, epoch: int, batch: int, layer: str | None = None, operation: str | None = None
    ) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.batch = batch
        self.layer = layer
        self.operation = operation


def explained(
    step: TrainingStep,
    images: np.ndarray,
    labels: np.ndarray,
    indices: np.ndarray,
    learning_rate: float,
    key: np.ndarray,
    epoch: int,
    batch: int,
) -> NotFiniteError:
    """The error for a batch whose step was not finite, with what happened first and what may help.

    Parameters
    ----------
    step : TrainingStep
        As it was before the batch, which is how it is after a step that was not finite.
    images, labels, learning_rate, key
        What the step was given.
    indices : int array (n,)
        The examples' places in the training data.
    epoch, batch : int
        Counted from 1.
    """
    place = f"epoch {epoch}, batch {batch}: "
    for what, array in (("images", images), ("labels", labels)):
        spoilt = _not_finite_rows(array)
        if spoilt.size:
            return NotFiniteError(
                f"{place}the training data holds values that are not finite: {spoilt.size} of the batch's "
                f"{len(array)} examples have such {what}, the first is number {indices[spoilt[0]]}, counted from 0; "
                "remove or repair them",
                epoch,
                batch,
            )
    for name, variable in step.net.named_variables().items():
        if not np.isfinite(variable.value).all():
            return NotFiniteError(
                f"{place}{name} held values that are not finite before the step; load or initialise the network anew",
                epoch,
                batch,
                layer=name.rpartition(".")[0],
            )
    traced = step.examine(images, labels, learning_rate, key)
    values = [images, labels, np.asarray(learning_rate, np.float64), key]
    culprit = first_not_finite(traced.graph, [*values, *(variable.value for variable in traced.variables)])
    if culprit is None:
        return NotFiniteError(
            f"{place}the loss or a gradient was not finite, but on the reference backend all numbers are; "
            "the numbers may be near the largest of their dtype, so lower the learning rate",
            epoch,
            batch,
        )
    layer, where = _place(culprit, traced, step)
    return NotFiniteError(
        f"{place}the first operation whose result is not finite is {culprit.primitive.name} {where}. "
        f"The batch has changed nothing. A learning rate below {learning_rate:g}, clip_norm=1.0 or "
        "input values nearer to 0 usually help",
        epoch,
        batch,
        layer,
        culprit.primitive.name,
    )


def _place(culprit: Tensor, traced: Trace, step: TrainingStep) -> tuple[str | None, str]:
    """The path of the culprit's layer, if it is in one, and where it stands, in words."""
    forward = culprit in set(reachable(traced.graph.outputs[:1]))
    direction = "in the forward pass" if forward else "in the backward pass"
    modules = step.net.named_modules()
    if culprit.scope == "update":
        return None, "in the optimiser's update"
    if culprit.scope == "preprocessing" and culprit.scope not in modules:
        return None, "in the preprocessing"
    if culprit.scope == "loss" and culprit.scope not in modules:
        return None, f"of the loss, {direction}"
    layer = modules.get(culprit.scope)
    shown = "" if layer is None or layer.children() else f", {layer!r}"
    return culprit.scope, f"of layer {culprit.scope or 'at the top'}{shown}, {direction}"


def _not_finite_rows(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f":
        return np.empty(0, np.int64)
    return np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
