"""power: exp(y log x) with bits to spare, and the special cases around it."""

from __future__ import annotations

import math

from wimmel.compiler.language import Builder, Value
from wimmel.compiler.mathematics.arithmetic import clipped, two_product, with_sign_bit
from wimmel.compiler.mathematics.exponential import moderate_exponential, reduced_exponential, scaled
from wimmel.compiler.mathematics.formats import DOUBLE, FORMATS, ROUGH_DOUBLE, SINGLE, Format
from wimmel.compiler.mathematics.logarithm import log_with_ends, long_logarithm, normal_logarithm
from wimmel.compiler.targets import Target


def power(builder: Builder, x: Value, y: Value, target: Target) -> Value:
    """x to the power y, both of one type. Special cases are those of C (ISO/IEC 9899:2011, F.10.4.4): 1 wherever x is
    1 or y is 0, even beside NaN; NaN for a finite negative x and a y that is no whole number."""
    format = FORMATS[x.type.kind]
    # 2^80 is as good as more: whatever is not 1 becomes zero or infinite; and 2^80 times a logarithm is finite
    exponent = clipped(builder, y, -(2.0**80), 2.0**80)
    compute = _of_doubles if format is DOUBLE else _of_singles
    size = compute(builder, builder.unary("absolute", x), exponent, target)

    whole, odd = _parity(builder, y, format)
    bits = builder.bitcast(x, format.whole)
    signed = with_sign_bit(builder, size, builder.select(odd, bits, 0), format)
    negative = builder.compare("lt", x, 0.0) & builder.compare("gt", x, -math.inf)
    value = builder.select(negative & (whole ^ True), builder.constant(x.type, math.nan), signed)
    is_one = builder.compare("eq", x, 1.0) | builder.compare("eq", y, 0.0)
    return builder.select(is_one, builder.constant(x.type, 1.0), value)


def _of_singles(builder: Builder, x: Value, y: Value, target: Target) -> Value:
    """exp(y log x) for x not negative, in doubles, where plain arithmetic has bits to spare."""
    base = builder.convert(x, "f64")
    logarithm = log_with_ends(builder, base, normal_logarithm(builder, base, ROUGH_DOUBLE))
    product = clipped(builder, builder.convert(y, "f64") * logarithm, *SINGLE.exp_ends)
    return builder.convert(moderate_exponential(builder, product, ROUGH_DOUBLE), "f32")


def _of_doubles(builder: Builder, x: Value, y: Value, target: Target) -> Value:
    """exp(y log x) for x not negative. y log x may be 745, and its absolute error is the result's relative one, so it
    is kept in two parts."""
    high, low = long_logarithm(builder, x, target)
    product, rest = two_product(builder, y, log_with_ends(builder, x, high), target)
    # beyond 1000 the result is zero or infinite, and the rest may be NaN
    is_small = builder.compare("lt", builder.unary("absolute", product), 1000.0)
    rest = builder.select(is_small, builder.fma(y, low, rest), builder.constant(y.type, 0.0))
    product = clipped(builder, product, *DOUBLE.exp_ends)
    return scaled(builder, *reduced_exponential(builder, product, DOUBLE, rest), DOUBLE)


def _parity(builder: Builder, y: Value, format: Format) -> tuple[Value, Value]:
    """Whether y is a whole number, and whether it is an odd one. Numbers from 2^fraction on are whole, from
    2^(fraction + 1) on they are even."""
    limit = 2.0**format.fraction
    size = clipped(builder, builder.unary("absolute", y), most=2 * limit)

    def is_whole(number: Value) -> Value:
        return builder.compare("eq", (number + limit) - limit, number)

    whole = is_whole(size) | builder.compare("ge", size, limit)
    return whole, whole & (is_whole(size * 0.5) ^ True)
