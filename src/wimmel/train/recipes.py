"""Sensible settings for training a classifier, chosen from the pictures alone: network, width, epochs, augmentation.

Given a data set, and whatever the person settled already; hands on a recipe, which builds the network and its trainer.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from wimmel.data import Augmentation, Dataset
from wimmel.models import lenet, lenet_classic, mlp
from wimmel.nn import Sequential
from wimmel.train.optim import AdamW
from wimmel.train.trainer import Trainer

MODELS = ("lenet", "lenet_classic", "mlp")
"""Networks that a recipe may name."""

CLASSIC_SHAPE = (1, 28, 28)
"""The only pictures that lenet_classic takes."""

_TINY_SIDE = 16
_LEARNING_RATES = {"lenet": 5e-3, "lenet_classic": 5e-3, "mlp": 2e-3}
_WEIGHT_DECAYS = {"lenet": 0.05, "lenet_classic": 0.0, "mlp": 0.05}
# From this many training pictures on, this many epochs: fewer where each shows more pictures.
_EPOCHS = ((30_000, 10), (10_000, 15), (3_000, 20), (1_000, 30), (0, 60))


@dataclass(frozen=True)
class Recipe:
    """How to train: everything that, with the data, decides the result.

    Attributes
    ----------
    model : {"lenet", "lenet_classic", "mlp"}
    width : (int, int)
        Channels of lenet's convolutions; sizes of mlp's hidden layers; (6, 16) for lenet_classic.
    epochs, batch_size : int
    learning_rate : float
        The highest of a one-cycle schedule.
    weight_decay : float
        AdamW's.
    augmentation : Augmentation or None
    seed : int
        Of the first parameters, the order of the pictures and their variations.
    """

    model: str
    width: tuple[int, int]
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    augmentation: Augmentation | None
    seed: int

    def network(self, dataset: Dataset) -> Sequential:
        """The untrained network for pictures and classes like the data set's.

        Raises
        ------
        ValueError
            If the network does not take such pictures.
        """
        channels, rows, columns = dataset.shape
        classes = len(dataset.classes)
        if self.model == "lenet":
            return lenet(classes, channels, (rows, columns), self.width, seed=self.seed)
        if self.model == "mlp":
            return mlp(dataset.shape, classes, self.width, seed=self.seed)
        if dataset.shape != CLASSIC_SHAPE:
            raise ValueError(
                f"lenet_classic takes gray pictures of 28x28, and these are {channels}x{rows}x{columns}; "
                "read them with size=28 and channels=1, or choose lenet."
            )
        return lenet_classic(classes, seed=self.seed)

    def trainer(self, net: Sequential) -> Trainer:
        """What trains the network as the recipe says; give its `fit` the epochs."""
        return Trainer(
            net,
            AdamW(self.learning_rate, weight_decay=self.weight_decay),
            augmentation=self.augmentation,
            batch_size=self.batch_size,
            schedule="one-cycle",
            seed=self.seed,
        )

    def to_json(self) -> dict[str, Any]:
        """The recipe in what JSON can hold."""
        return {**asdict(self), "width": list(self.width)}


def recipe_for(
    dataset: Dataset,
    model: str = "lenet",
    *,
    width: tuple[int, int] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    augment: bool = True,
    flip: bool = False,
    seed: int = 0,
) -> Recipe:
    """A recipe for a data set: what is not given is chosen from its size, its shape and whether it has colour.

    Parameters
    ----------
    dataset : Dataset
        The pictures to train on.
    model : {"lenet", "lenet_classic", "mlp"}, default "lenet"
    width : (int, int), optional
    epochs, batch_size : int, optional
    learning_rate : float, optional
    augment : bool, default True
        Whether to vary the pictures, in a way chosen from them.
    flip : bool, default False
        Whether the classes look alike in a mirror, as animals do and digits do not.
    seed : int, default 0

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        For a model that does not exist, or a setting out of its range.

    Examples
    --------
    >>> from wimmel.data import digits
    >>> recipe = recipe_for(digits())
    >>> recipe.model, recipe.width, recipe.epochs
    ('lenet', (32, 64), 30)
    """
    if model not in MODELS:
        raise ValueError(f"There is no model {model!r}; there are: {', '.join(MODELS)}.")
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise ValueError(f"{name} was {value}; it is a whole number of at least 1.")
    if learning_rate is not None and not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate was {learning_rate}; it is a number above 0.")
    if width is not None and model == "lenet_classic":
        raise ValueError("lenet_classic has 6 and 16 channels and no other width; choose lenet to change it.")
    if width is not None and (len(width) != 2 or min(width) < 1):
        raise ValueError(f"width was {width}; it is two whole numbers of at least 1.")
    count = len(dataset)
    return Recipe(
        model=model,
        width=width or _width(dataset, model),
        epochs=epochs or next(number for least, number in _EPOCHS if count >= least),
        batch_size=batch_size or (64 if count >= 1_000 else 16 if count < 200 else 32),
        learning_rate=learning_rate or _LEARNING_RATES[model],
        weight_decay=_WEIGHT_DECAYS[model],
        augmentation=_augmentation(dataset, flip) if augment else None,
        seed=seed,
    )


def _width(dataset: Dataset, model: str) -> tuple[int, int]:
    """LeNet's own width for gray pictures of its kind; more for tiny ones, where it costs little, and for colour."""
    if model == "mlp":
        return 256, 128
    if model == "lenet_classic":
        return 6, 16
    channels, rows, columns = dataset.shape
    if min(rows, columns) < _TINY_SIDE:
        return 32, 64
    return (16, 32) if channels == 3 else (6, 16)


def _augmentation(dataset: Dataset, flip: bool) -> Augmentation:
    """What suits the pictures in general; tiny gray ones gain more by turning and zooming than by shifts of a pixel."""
    channels, rows, columns = dataset.shape
    if channels == 1 and min(rows, columns) < _TINY_SIDE:
        return Augmentation(rotate=10.0, crop=0.8, flip=flip)
    return Augmentation.for_dataset(dataset, flip)
