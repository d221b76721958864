"""What people hand to training and evaluation, in one form: examples, and how pictures enter a network.

Given a Dataset or a pair of arrays; hands on images and labels of equal number, and the function from raw pictures to
what the network computes with.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from wimmel import functional
from wimmel.data import Dataset, Preprocessing
from wimmel.data.draws import Purpose, random_order
from wimmel.graph import Value, scope, trace
from wimmel.graph.tensor import as_operands
from wimmel.nn import Module

_FINGERPRINTED_IMAGES = 1024


@dataclass(frozen=True, eq=False)
class Arrays:
    """Examples that came as two arrays: images of any shape and floats or uint8, labels of classes or of numbers."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def split(self, fraction: float, seed: int) -> tuple[Arrays, Arrays]:
        """The rest and a drawn part; where labels are classes, each gives its share of the part, to within one."""
        wanted = round(fraction * len(self))
        if not 0 < wanted < len(self):
            raise ValueError(
                f"a fraction of {fraction} of {len(self)} examples leaves nothing for one of the two parts; "
                "it lies between 0 and 1"
            )
        order = random_order(len(self), seed, Purpose.SPLIT)
        if self.labels.dtype.kind == "i" and self.labels.ndim == 1:
            order = order[np.argsort(self.labels[order], kind="stable")]
        # every (n / wanted)th of them: sorted by class, that takes from each class in proportion
        chosen = np.zeros(len(self), bool)
        chosen[order[(2 * np.arange(wanted) + 1) * len(self) // (2 * wanted)]] = True
        return Arrays(self.images[~chosen], self.labels[~chosen]), Arrays(self.images[chosen], self.labels[chosen])


Examples: TypeAlias = Dataset | Arrays


def as_examples(data: Any, role: str) -> Examples:
    """A Dataset as it is, or a pair of arrays (images, labels) as examples.

    Raises
    ------
    TypeError
        For anything else, and for arrays that wimmel does not compute with.
    ValueError
        If there are no examples, or not as many labels as images.
    """
    if isinstance(data, Dataset):
        examples: Examples = data
    elif isinstance(data, (tuple, list)) and len(data) == 2:
        images, labels = (as_operands([part], role)[0] for part in data)
        if images.ndim < 1 or labels.ndim < 1 or len(images) != len(labels):
            raise ValueError(
                f"{role} was given images of shape {images.shape} and labels of shape {labels.shape}; "
                "they need the same number of examples along their first axis"
            )
        if images.dtype == np.uint8 and images.ndim == 3:
            raise ValueError(
                f"{role} was given uint8 pictures of shape {images.shape}; they are (n, channels, rows, columns), so "
                "give gray ones their channel axis: images[:, None]"
            )
        examples = Arrays(images, labels.astype(np.int64) if labels.dtype.kind in "biu" else labels)
    else:
        raise TypeError(
            f"{role} was given a {type(data).__name__}; it takes a wimmel.data.Dataset, "
            "or a pair of arrays, (images, labels)"
        )
    if not len(examples):
        raise ValueError(f"{role} was given no examples; it needs at least one")
    return examples


def fingerprint(examples: Examples | None) -> dict[str, Any] | None:
    """What tells one set of examples from another, in what JSON can hold: all labels, and up to 1,024 of the images."""
    if examples is None:
        return None
    places = np.linspace(0, len(examples) - 1, min(len(examples), _FINGERPRINTED_IMAGES)).astype(np.int64)
    return {
        "images": [examples.images.dtype.name, *examples.images.shape],
        "labels": [examples.labels.dtype.name, *examples.labels.shape],
        "checksums": [_checksum(examples.images[places]), _checksum(examples.labels)],
    }


def chosen_preprocessing(net: Module, given: Preprocessing | None, examples: Examples) -> Preprocessing | None:
    """The preprocessing given, else the network's own, else for pictures one fitted to the examples."""
    if given is not None:
        return given
    own: Preprocessing | None = net.__dict__.get("preprocessing")
    if own is not None or examples.images.dtype != np.uint8 or examples.images.ndim != 4:
        return own
    if isinstance(examples, Dataset):
        return Preprocessing.fit(examples)
    return Preprocessing.fit(Dataset(examples.images, np.zeros(len(examples), np.int64), ("any",)))


def prepared(images: Value, net: Module, preprocessing: Preprocessing | None) -> Value:
    """What the network is given: uint8 pictures preprocessed, floating-point values in the dtype of its parameters."""
    if preprocessing is not None and images.dtype == np.uint8:
        with scope("preprocessing"):
            images = preprocessing(images)
    return functional.cast(images, parameter_dtype(net)) if images.dtype.kind == "f" else images


def parameter_dtype(net: Module) -> np.dtype:
    """float64 if a parameter or buffer of the network is, else float32."""
    kinds = {variable.value.dtype for variable in net.named_variables().values()}
    return np.dtype(np.float64 if np.dtype(np.float64) in kinds else np.float32)


def scores_shape(net: Module, images: np.ndarray, preprocessing: Preprocessing | None) -> tuple[int, ...]:
    """The shape of the network's scores for one example; recorded, not computed.

    Raises
    ------
    ValueError, TypeError
        If the images do not fit the network: says which layer, what it was given and what it takes.
    """
    traced = trace(lambda x: net(prepared(x, net, preprocessing)), images[:1])
    return traced.graph.outputs[0].shape


def classifies(scores: tuple[int, ...], labels: Value) -> bool:
    """Whether labels are classes, one for every place that has a row of scores: (n, classes, ...) and (n, ...)."""
    return labels.dtype.kind in "iu" and len(scores) >= 2 and tuple(labels.shape[1:]) == tuple(scores[2:])


def check_labels(scores: tuple[int, ...], examples: Examples, role: str) -> None:
    """Refuses classes that the network has no score for.

    Raises
    ------
    ValueError
        If a label is below 0 or too large, or a Dataset has more classes than the network has scores.
    """
    if not classifies(scores, examples.labels):
        return
    outputs, labels = scores[1], examples.labels
    if labels.min() < 0:
        raise ValueError(
            f"{role} has labels from {labels.min()} to {labels.max()}; labels count from 0, so for the network's "
            f"{outputs} scores they are 0 to {outputs - 1}: correct the labels, for example with np.unique(labels, "
            "return_inverse=True)[1]"
        )
    if labels.max() >= outputs:
        raise ValueError(
            f"{role} has labels from {labels.min()} to {labels.max()}, and the network gives {outputs} scores, for the "
            f"classes 0 to {outputs - 1}; give its last layer {labels.max() + 1} outputs, or correct the labels"
        )
    if isinstance(examples, Dataset) and len(examples.classes) > outputs:
        raise ValueError(
            f"{role} has {len(examples.classes)} classes, and the network gives {outputs} scores; "
            f"give its last layer {len(examples.classes)} outputs"
        )


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array, array.dtype.newbyteorder("=")).data.cast("B") if array.size else b"")
