"""Convolution for NumPy and convolutional networks for ordinary CPUs.

``import wimmel as wm`` gives the functions of `wimmel.functional` (``wm.conv2d``, ``wm.relu``, ``wm.correlate``, ...), running
and differentiating (``wm.compile``, ``wm.grad``), and the parts ``wm.nn``, ``wm.models``, ``wm.data``, ``wm.optim``,
``wm.losses``, ``wm.schedules``, ``wm.geometry``, ``wm.derivation``, with ``wm.Trainer`` and ``wm.load``.
"""

from wimmel import data, derivation, functional, geometry, models, nn
from wimmel.functional import *  # noqa: F403  (its static __all__ is the list)
from wimmel.graph import Tensor
from wimmel.nn import inspect, load, receptive_field
from wimmel.runtime import Compiled, compile, grad, value_and_grad
from wimmel.train import Evaluation, History, Trainer, evaluate, losses, optim, predict, schedules

__version__ = "0.1.0"

__all__ = [
    "Compiled",
    "Evaluation",
    "History",
    "Tensor",
    "Trainer",
    "__version__",
    "compile",
    "data",
    "derivation",
    "evaluate",
    "functional",
    "geometry",
    "grad",
    "inspect",
    "load",
    "losses",
    "models",
    "nn",
    "optim",
    "predict",
    "receptive_field",
    "schedules",
    "value_and_grad",
]
__all__ += functional.__all__
