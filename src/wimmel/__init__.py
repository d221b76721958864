"""Convolution for NumPy and convolutional networks for ordinary CPUs.

``import wimmel as wm`` gives the functions of `wimmel.functional` (``wm.conv2d``, ``wm.relu``, ...), running
and differentiating (``wm.compile``, ``wm.grad``), and the parts ``wm.nn``, ``wm.models``, ``wm.data``, ``wm.optim``,
``wm.losses``, ``wm.schedules``, ``wm.detection``, ``wm.geometry``, ``wm.derivation``, with ``wm.Trainer`` and
``wm.load``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wimmel import functional, geometry
from wimmel.functional import *  # noqa: F403  (its static __all__ is the list)
from wimmel.graph import Tensor, trace
from wimmel.runtime import (
    Compiled,
    Profile,
    compile,
    explain,
    get_precision,
    grad,
    precision,
    profile,
    set_precision,
    value_and_grad,
)

if TYPE_CHECKING:
    from wimmel import data, derivation, detection, models, nn, report, train
    from wimmel.detection import Detector, find
    from wimmel.nn import inspect, load, receptive_field
    from wimmel.runtime.native import get_num_threads, num_threads, release_memory, set_num_threads
    from wimmel.runtime.tuning import Tuning, tune
    from wimmel.train import Evaluation, History, Trainer, evaluate, losses, optim, predict, schedules

__version__ = "0.1.0"

_LOADED_WHEN_USED = {
    "wimmel": ("data", "derivation", "detection", "models", "nn", "report", "train"),
    "wimmel.detection": ("Detector", "find"),
    "wimmel.nn": ("inspect", "load", "receptive_field"),
    "wimmel.runtime.tuning": ("Tuning", "tune"),
    "wimmel.runtime.native": ("get_num_threads", "num_threads", "release_memory", "set_num_threads"),
    "wimmel.train": (
        "Evaluation",
        "History",
        "Trainer",
        "evaluate",
        "losses",
        "optim",
        "predict",
        "schedules",
    ),
}
"""Names by the module they come from, which is imported at their first use: importing wimmel stays quick."""


def __getattr__(name: str) -> Any:
    for module, names in _LOADED_WHEN_USED.items():
        if name in names:
            found = import_module(f"wimmel.{name}") if module == "wimmel" else getattr(import_module(module), name)
            globals()[name] = found
            return found
    raise AttributeError(f"wimmel has no {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "Compiled",
    "Detector",
    "Evaluation",
    "History",
    "Profile",
    "Tensor",
    "Trainer",
    "Tuning",
    "__version__",
    "compile",
    "data",
    "derivation",
    "detection",
    "evaluate",
    "explain",
    "find",
    "functional",
    "geometry",
    "get_num_threads",
    "get_precision",
    "grad",
    "inspect",
    "load",
    "losses",
    "models",
    "nn",
    "num_threads",
    "optim",
    "precision",
    "predict",
    "profile",
    "receptive_field",
    "release_memory",
    "report",
    "schedules",
    "set_num_threads",
    "set_precision",
    "trace",
    "train",
    "tune",
    "value_and_grad",
]
__all__ += functional.__all__
