"""Elementary functions of vectors in the loop-and-vector language: exp, log, log1p, tanh, erf and power. Each is given
values of kind f32 or f64 with any number of lanes, and writes polynomials and selects: no branch, no table, no call.

Results are within 2 units in the last place of the exact ones for every input: subnormal inputs and results,
infinities, NaN and the signs of zeros are as C and NumPy have them. They depend on the target (does it fuse multiply
and add?) but not on the number of lanes.
"""

from collections.abc import Callable

from wimmel.compiler.language import Value
from wimmel.compiler.mathematics.exponential import erf, exp, tanh
from wimmel.compiler.mathematics.logarithm import log, log1p
from wimmel.compiler.mathematics.power import power

__all__ = ["FUNCTIONS", "erf", "exp", "log", "log1p", "power", "tanh"]

FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exp, "log": log, "log1p": log1p, "tanh": tanh, "erf": erf, "power": power,
}  # fmt: skip
"""By the primitive's name: (builder, operand or operands, target)."""
