"""exp, and what is made of it: tanh and erf."""

from __future__ import annotations

import math

from wimmel.compiler.language import Builder, Value
from wimmel.compiler.mathematics.arithmetic import clipped, ordered_sum, polynomial, shifted_left, with_sign_of
from wimmel.compiler.mathematics.formats import FORMATS, TANH_NEAR, Format
from wimmel.compiler.targets import Target


def exp(builder: Builder, x: Value, target: Target) -> Value:
    """e to the power x. A result too small for a normal number is rounded to a subnormal one, or to zero."""
    format = FORMATS[x.type.kind]
    return scaled(builder, *reduced_exponential(builder, clipped(builder, x, *format.exp_ends), format), format)


def tanh(builder: Builder, x: Value, target: Target) -> Value:
    """The hyperbolic tangent: an odd polynomial for small x, else 1 - 2 / (exp(2 |x|) + 1)."""
    format = FORMATS[x.type.kind]
    size = builder.unary("absolute", x)
    square = size * size
    near = builder.fma(size * square, polynomial(builder, square, format.tanh), size)
    grown = moderate_exponential(builder, clipped(builder, size + size, most=2 * format.tanh_is_one), format)
    value = builder.select(builder.compare("lt", size, TANH_NEAR), near, 1.0 - 2.0 / (grown + 1.0))
    return with_sign_of(builder, value, x, format)


def erf(builder: Builder, x: Value, target: Target) -> Value:
    """The error function: an odd polynomial up to 1, then 1 - exp(log erfc |x|) with a polynomial for log erfc."""
    format = FORMATS[x.type.kind]
    size = builder.unary("absolute", x)
    near = builder.fma(size, polynomial(builder, size * size, format.erf), size)
    log_erfc = polynomial(builder, clipped(builder, size, most=format.erf_is_one), format.log_erfc)
    far = 1.0 - moderate_exponential(builder, log_erfc, format)
    return with_sign_of(builder, builder.select(builder.compare("lt", size, 1.0), near, far), x, format)


def reduced_exponential(builder: Builder, x: Value, format: Format, rest: Value | None = None) -> tuple[Value, Value]:
    """e^(x + rest) = m * 2^n.

    Parameters
    ----------
    builder : Builder
    x : Value
        Between the format's `exp_ends`, or NaN.
    format : Format
        Which polynomial to take.
    rest : Value, optional
        Small beside x. With it, m is within about an eighth of a unit of the exact one before its last rounding.

    Returns
    -------
    m : Value
        In about [0.7, 1.42], or NaN.
    n : Value
        A whole number that ends with the bits of n + 2 * bias.
    """
    # to add 1.5 * 2^fraction is to round to a whole number, which then stands in the low bits
    magic = 1.5 * 2.0**format.fraction + 2 * format.bias
    shifted = builder.fma(x, builder.constant(x.type, 1 / math.log(2)), builder.constant(x.type, magic))
    n = shifted - magic
    # n * ln2_high is exact (Cody and Waite, Software Manual for the Elementary Functions, 1980)
    r = builder.fma(n, builder.constant(x.type, -format.ln2_high), x)
    if rest is None:
        r = builder.fma(n, builder.constant(x.type, -format.ln2_low), r)
        m = builder.fma(r * r, polynomial(builder, r, format.exp), r) + 1.0
    else:
        r, r_low = ordered_sum(r, builder.fma(n, builder.constant(x.type, -format.ln2_low), rest))
        m, m_low = ordered_sum(builder.constant(x.type, 1.0), r)
        m = m + (m_low + builder.fma(r * r, polynomial(builder, r, format.exp), r_low))
    return m, builder.bitcast(shifted, format.whole)


def scaled(builder: Builder, m: Value, n: Value, format: Format) -> Value:
    """m * 2^n of `reduced_exponential`, rounded once. 2^n itself may be no number of the format: it is multiplied in
    by halves, and half of n + 2 * bias is an exponent with its bias."""
    half = shifted_left(builder, n, format.fraction - 1) & format.exponent_mask
    other = shifted_left(builder, n, format.fraction) - half
    value: Value = m * builder.bitcast(half, format.kind) * builder.bitcast(other, format.kind)
    return value


def moderate_exponential(builder: Builder, x: Value, format: Format) -> Value:
    """e^x where that is surely a normal number."""
    m, n = reduced_exponential(builder, x, format)
    value: Value = m * builder.bitcast(shifted_left(builder, n - format.bias, format.fraction), format.kind)
    return value
