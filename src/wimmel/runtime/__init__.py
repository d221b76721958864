"""Running graphs: compiling functions, differentiating them, the backends they run on, and looking into all that."""

from wimmel.runtime.compiled import Compiled, compile
from wimmel.runtime.differentiate import grad, value_and_grad
from wimmel.runtime.inspection import Profile, explain, profile
from wimmel.runtime.precision import get_precision, precision, set_precision

__all__ = [
    "Compiled",
    "Profile",
    "compile",
    "explain",
    "get_precision",
    "grad",
    "precision",
    "profile",
    "set_precision",
    "value_and_grad",
]
