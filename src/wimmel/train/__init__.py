"""Training: losses, optimisers, schedules, the loop with its checkpoints, recipes, and evaluation."""

from wimmel.train import losses, optim, schedules
from wimmel.train.diagnosis import NotFiniteError
from wimmel.train.evaluation import Evaluation, evaluate, predict, scorer
from wimmel.train.history import Epoch, History
from wimmel.train.recipes import Recipe, recipe_for
from wimmel.train.trainer import Trainer

__all__ = [
    "Epoch",
    "Evaluation",
    "History",
    "NotFiniteError",
    "Recipe",
    "Trainer",
    "evaluate",
    "losses",
    "optim",
    "predict",
    "recipe_for",
    "schedules",
    "scorer",
]
