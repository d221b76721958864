"""log and log1p, and the logarithm in two parts that power needs."""

from __future__ import annotations

import math

from wimmel.compiler.language import Builder, Value
from wimmel.compiler.mathematics.arithmetic import ordered_sum, polynomial, shifted_left, two_product, two_sum
from wimmel.compiler.mathematics.formats import DOUBLE, FORMATS, LONG_ARTANH, SINGLE, THIRD, THIRD_LOW, Format
from wimmel.compiler.targets import Target


def log(builder: Builder, x: Value, target: Target) -> Value:
    """The natural logarithm: -inf of zeros, NaN of negative numbers."""
    format = FORMATS[x.type.kind]
    e, m = _split(builder, x, format)
    return log_with_ends(builder, x, _logarithm(builder, e, m - 1.0, format))


def log1p(builder: Builder, x: Value, target: Target) -> Value:
    """The natural logarithm of 1 + x, good also where x is small."""
    format = FORMATS[x.type.kind]
    total, rest = two_sum(builder.constant(x.type, 1.0), x)
    exponent, m = _split_normal(builder, total, format)
    # (total + rest) / 2^e - 1; the rest matters only where 2^-e is an ordinary number
    inverse = builder.maximum(2 * format.bias - exponent, builder.constant(exponent.type, 0))
    scale = builder.bitcast(shifted_left(builder, inverse, format.fraction), format.kind)
    f = builder.fma(rest, scale, m - 1.0)
    value = _logarithm(builder, _as_float(builder, exponent, format) - format.bias, f, format)
    return builder.select(builder.compare("eq", x, 0.0), x, log_with_ends(builder, total, value))


def normal_logarithm(builder: Builder, x: Value, format: Format) -> Value:
    """The logarithm, as good as the format's polynomial is, of positive normal numbers."""
    exponent, m = _split_normal(builder, x, format)
    return _logarithm(builder, _as_float(builder, exponent, format) - format.bias, m - 1.0, format)


def long_logarithm(builder: Builder, x: Value, target: Target) -> tuple[Value, Value]:
    """The logarithm of positive doubles as a sum of two, good to about 62 bits: 2 (s + s^3/3 + s^5 W(s^2)) + e log 2,
    with s = (m - 1) / (m + 1). All but W is kept in two parts, as in Dekker, A floating-point technique for extending
    the available precision, Numerische Mathematik 18, 1971."""
    e, m = _split(builder, x, DOUBLE)
    above, below = m + 1.0, m - 1.0
    above_low = m - (above - 1.0)
    inverse = 1.0 / above
    s = below * inverse
    product, error = two_product(builder, s, above, target)
    s_low = (below - product - error - s * above_low) * inverse

    square, square_low = two_product(builder, s, s, target)
    square_low = builder.fma(s + s, s_low, square_low)
    third = builder.constant(x.type, THIRD)
    third, third_low = ordered_sum(third, square * polynomial(builder, square, LONG_ARTANH))
    third_low = third_low + THIRD_LOW
    cube, cube_low = two_product(builder, square, third, target)
    cube_low = cube_low + (square * third_low + square_low * third)
    tail, tail_low = two_product(builder, s, cube, target)
    tail_low = tail_low + (s * cube_low + s_low * cube)

    high, low = ordered_sum(s, tail)
    low = low + (tail_low + s_low)
    high, rest = ordered_sum(e * DOUBLE.ln2_high, high + high)
    return ordered_sum(high, rest + (low + low + e * DOUBLE.ln2_low))


def log_with_ends(builder: Builder, x: Value, logarithm: Value) -> Value:
    """The logarithm of x, put right where x is infinite, NaN, zero or negative."""
    finite = builder.select(builder.compare("lt", x, math.inf), logarithm, x)
    nan = builder.constant(x.type, math.nan)
    end = builder.select(builder.compare("eq", x, 0.0), builder.constant(x.type, -math.inf), nan)
    return builder.select(builder.compare("gt", x, 0.0), finite, end)


def _logarithm(builder: Builder, e: Value, f: Value, format: Format) -> Value:
    """log(2^e * (1 + f)) for 1 + f in [sqrt(1/2), sqrt(2)], summed from the smallest part to the largest."""
    half_square = f * f * 0.5
    if format is SINGLE:
        tail = f * f * f * polynomial(builder, f, format.log)
    else:
        # with s = f / (2 + f): log(1 + f) = 2 artanh(s) = 2 s + s R(s^2) = f - f^2/2 + s (f^2/2 + R(s^2))
        s = f / (f + 2.0)
        square = s * s
        tail = s * builder.fma(square, polynomial(builder, square, format.log), half_square)
    low = builder.fma(e, builder.constant(e.type, format.ln2_low), tail)
    return builder.fma(e, builder.constant(e.type, format.ln2_high), f - (half_square - low))


def _split(builder: Builder, x: Value, format: Format) -> tuple[Value, Value]:
    """e, as a float, and m in [sqrt(1/2), sqrt(2)) for which x = m * 2^e, for positive x; some numbers for others."""
    scale = format.fraction + 1
    small = builder.compare("lt", x, 2.0 ** (1 - format.bias))
    exponent, m = _split_normal(builder, builder.select(small, x * 2.0**scale, x), format)
    lifted = builder.constant(x.type, format.bias + scale)
    bias = builder.select(small, lifted, builder.constant(x.type, format.bias))
    return _as_float(builder, exponent, format) - bias, m


def _split_normal(builder: Builder, x: Value, format: Format) -> tuple[Value, Value]:
    """The whole number e + bias, and m, as `_split` has them, for normal x."""
    moved = builder.bitcast(x, format.whole) + (format.one - format.sqrt_half)
    exponent = builder.binary("shift_right", moved, builder.constant(moved.type, format.fraction))
    return exponent, builder.bitcast((moved & (2**format.fraction - 1)) + format.sqrt_half, format.kind)


def _as_float(builder: Builder, number: Value, format: Format) -> Value:
    """A small whole number as a float, by its bits: not every target has an instruction that converts i64."""
    power_of_two = builder.bitcast(number | ((format.bias + format.fraction) << format.fraction), format.kind)
    value: Value = power_of_two - 2.0**format.fraction
    return value
