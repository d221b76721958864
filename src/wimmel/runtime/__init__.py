"""Running graphs: compiling functions, differentiating them, and the backends they run on."""

from wimmel.runtime.compiled import Compiled, compile
from wimmel.runtime.differentiate import grad, value_and_grad

__all__ = ["Compiled", "compile", "grad", "value_and_grad"]
