"""Data: labelled pictures read from where they are, varied, normalised and handed out in batches."""

from wimmel.data.augment import Augmentation
from wimmel.data.batches import Batch, Batches
from wimmel.data.datasets import Dataset, Splits
from wimmel.data.idx import read_idx
from wimmel.data.preprocessing import Preprocessing
from wimmel.data.progress import Progress
from wimmel.data.reading import read
from wimmel.data.uci_digits import digits

__all__ = [
    "Augmentation",
    "Batch",
    "Batches",
    "Dataset",
    "Preprocessing",
    "Progress",
    "Splits",
    "digits",
    "read",
    "read_idx",
]
