"""Elementary functions of vectors in the loop-and-vector language: exp, log, log1p, tanh, erf and power. Each is given
values of kind f32 or f64 with any number of lanes and writes polynomials and selects: no branch, no table, no call.

Results are within 2 units in the last place (f32) and 4 (f64) of the exact ones, for every input: subnormal inputs and
results, infinities, NaN and the signs of zeros are those of C and NumPy. They depend on the target (does it fuse
multiply and add?) but not on the number of lanes.

The polynomials are minimax fits (Remez' exchange algorithm in 60 digits) in which each coefficient in turn, from the
lowest, was rounded to its format and the others fitted anew; the errors noted beside them are of that rounded
polynomial, relative to the whole function. How functions are reduced to short intervals, and what that costs in
accuracy: Muller, *Elementary Functions: Algorithms and Implementation*, 3rd edition, chapters 3, 4 and 11.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from wimmel.compiler.language import Builder, Value
from wimmel.compiler.targets import Target


def exp(builder: Builder, x: Value, target: Target) -> Value:
    """e to the power x. Results too small for a normal number are rounded once, to a subnormal one or zero."""
    format = _FORMATS[x.type.kind]
    inside = _clipped(builder, x, format.exp_least, format.exp_most)
    mantissa, exponent = _exponential(builder, inside, format)
    # 2^n is beyond the format's numbers at both ends, so it is multiplied in by halves; the exponents' bits are
    # n + 2 * bias, and half of them is an exponent with its bias
    bits = _shifted(builder, exponent, format.fraction)
    half = _shifted(builder, exponent, format.fraction - 1) & format.exponent_mask
    scaled: Value = mantissa * builder.bitcast(half, format.kind) * builder.bitcast(bits - half, format.kind)
    return scaled


def log(builder: Builder, x: Value, target: Target) -> Value:
    """The natural logarithm: -inf of zeros, NaN of negative numbers."""
    format = _FORMATS[x.type.kind]
    normal, offset = _normal(builder, x, format)
    exponent, m = _split(builder, normal, format)
    e = _as_float(builder, exponent, format) - offset
    return _with_ends(builder, x, _logarithm(builder, e, m - 1.0, format))


def log1p(builder: Builder, x: Value, target: Target) -> Value:
    """The natural logarithm of 1 + x, good also where x is small."""
    format = _FORMATS[x.type.kind]
    one = builder.constant(x.type, 1.0)
    total, rest = _two_sum(one, x)
    exponent, m = _split(builder, total, format)
    e = _as_float(builder, exponent, format) - (2.0**format.fraction + format.bias)
    # (total + rest) / 2^e: the rest matters only where 2^-e is an ordinary number
    inverse = builder.maximum(2 * format.bias - exponent, builder.constant(exponent.type, 0))
    scale = builder.bitcast(_shifted(builder, inverse, format.fraction), format.kind)
    f = builder.fma(rest, scale, m - 1.0)
    value = _with_ends(builder, total, _logarithm(builder, e, f, format))
    return builder.select(builder.compare("eq", x, 0.0), x, value)


def tanh(builder: Builder, x: Value, target: Target) -> Value:
    """The hyperbolic tangent: an odd polynomial for small x, else 1 - 2 / (exp(2 |x|) + 1)."""
    format = _FORMATS[x.type.kind]
    size = builder.unary("absolute", x)
    square = size * size
    near = builder.fma(size * square, _polynomial(builder, square, format.tanh), size)
    grown = _moderate_exponential(builder, _clipped(builder, size + size, most=2 * _TANH_ONE), format)
    far = 1.0 - 2.0 / (grown + 1.0)
    return _signed_as(builder, builder.select(builder.compare("lt", size, _TANH_NEAR), near, far), x, format)


def erf(builder: Builder, x: Value, target: Target) -> Value:
    """The error function: an odd polynomial up to 1, beyond it 1 - exp(log erfc |x|) with a polynomial for log erfc."""
    format = _FORMATS[x.type.kind]
    size = builder.unary("absolute", x)
    near = builder.fma(size, _polynomial(builder, size * size, format.erf), size)
    logarithm = _polynomial(builder, _clipped(builder, size, most=format.erf_one), format.log_erfc)
    far = 1.0 - _moderate_exponential(builder, logarithm, format)
    return _signed_as(builder, builder.select(builder.compare("lt", size, 1.0), near, far), x, format)


def power(builder: Builder, x: Value, y: Value, target: Target) -> Value:
    """x to the power y, both of one type; the special cases are those of C (ISO/IEC 9899:2011, F.10.4.4): 1 wherever
    x is 1 or y is 0, even beside NaN, and NaN for a finite negative x and a y that is no whole number."""
    format = _FORMATS[x.type.kind]
    size = builder.unary("absolute", x)
    # any number but 1 to the power 2^80 is 0 or infinite, and so it stays finite times a logarithm
    exponent = _clipped(builder, y, -(2.0**80), 2.0**80)
    positive = (_power_of_doubles if format is _DOUBLE else _power_of_singles)(builder, size, exponent, target)

    whole, odd = _parity(builder, builder.unary("absolute", y), format)
    bits = builder.bitcast(positive, format.whole)
    flip = builder.bitcast(x, format.whole) & format.sign_mask
    signed = builder.bitcast(bits ^ builder.select(odd, flip, 0), format.kind)
    negative = builder.compare("lt", x, 0.0) & builder.compare("gt", x, -math.inf)
    value = builder.select(negative & (whole ^ True), math.nan, signed)
    return builder.select(builder.compare("eq", x, 1.0) | builder.compare("eq", y, 0.0), 1.0, value)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exp, "log": log, "log1p": log1p, "tanh": tanh, "erf": erf, "power": power,
}  # fmt: skip
"""By the names of the primitives: (builder, operand or operands, target)."""


# the exponential


def _exponential(builder: Builder, x: Value, format: _Format, low: Value | None = None) -> tuple[Value, Value]:
    """e^x, or e^(x + low), as mantissa * 2^n: the mantissa in about [0.7, 1.42], and a whole number whose low bits,
    all but its highest few, are those of n + 2 * bias. For x whose n is an exponent or not far beyond."""
    # adding 1.5 * 2^fraction rounds to a whole number, and leaves it in the low bits (Muller, section 11.1)
    magic = 1.5 * 2.0**format.fraction + 2 * format.bias
    shifted = builder.fma(x, builder.constant(x.type, 1 / math.log(2)), builder.constant(x.type, magic))
    n = shifted - magic
    # n * ln2_high is exact (Cody and Waite)
    r = builder.fma(n, builder.constant(x.type, -format.ln2_high), x)
    r = builder.fma(n, builder.constant(x.type, -format.ln2_low), r)
    if low is not None:
        r = r + low
    mantissa = builder.fma(r * r, _polynomial(builder, r, format.exp), r) + 1.0
    return mantissa, builder.bitcast(shifted, format.whole)


def _moderate_exponential(builder: Builder, x: Value, format: _Format, low: Value | None = None) -> Value:
    """e^x where that is a normal number."""
    mantissa, exponent = _exponential(builder, x, format, low)
    power_of_two = _shifted(builder, exponent - format.bias, format.fraction)
    scaled: Value = mantissa * builder.bitcast(power_of_two, format.kind)
    return scaled


# the logarithm


def _normal(builder: Builder, x: Value, format: _Format) -> tuple[Value, Value]:
    """Subnormal numbers made normal, and what to take from `_as_float` of the exponent then."""
    scale = format.fraction + 1
    offset = 2.0**format.fraction + format.bias
    small = builder.compare("lt", x, 2.0 ** (1 - format.bias))
    lifted = builder.select(small, x * 2.0**scale, x)
    return lifted, builder.select(small, builder.constant(x.type, offset + scale), builder.constant(x.type, offset))


def _split(builder: Builder, x: Value, format: _Format) -> tuple[Value, Value]:
    """The whole number e + bias and m in [sqrt(1/2), sqrt(2)) for which x = m * 2^e, for positive normal x."""
    moved = builder.bitcast(x, format.whole) + (format.one - format.sqrt_half)
    exponent = builder.binary("shift_right", moved, builder.constant(moved.type, format.fraction))
    m = (moved & (2**format.fraction - 1)) + format.sqrt_half
    return exponent, builder.bitcast(m, format.kind)


def _as_float(builder: Builder, exponent: Value, format: _Format) -> Value:
    """A small whole number + 2^fraction as a float: a matter of bits, where conversions may have no instruction."""
    return builder.bitcast(exponent | ((format.bias + format.fraction) << format.fraction), format.kind)


def _logarithm(builder: Builder, e: Value, f: Value, format: _Format) -> Value:
    """log(2^e * (1 + f)) for 1 + f in [sqrt(1/2), sqrt(2)], summed from the smallest part to the largest."""
    half_square = f * f * 0.5
    if format.log_of_quotient:
        # log(1 + f) = f - f^2/2 + s * (f^2/2 + R(s^2)) with s = f / (2 + f) and 2 artanh(s) = 2 s + s * R(s^2)
        s = f / (f + 2.0)
        square = s * s
        tail = s * builder.fma(square, _polynomial(builder, square, format.log), half_square)
    else:
        tail = f * f * f * _polynomial(builder, f, format.log)
    low = builder.fma(e, builder.constant(e.type, format.ln2_low), tail)
    value: Value = builder.fma(e, builder.constant(e.type, format.ln2_high), f - (half_square - low))
    return value


def _with_ends(builder: Builder, x: Value, value: Value) -> Value:
    """The logarithm `value` of x, put right where x is infinite, NaN, zero or negative."""
    value = builder.select(builder.compare("lt", x, math.inf), value, x)
    end = builder.select(
        builder.compare("eq", x, 0.0), builder.constant(x.type, -math.inf), builder.constant(x.type, math.nan)
    )
    return builder.select(builder.compare("gt", x, 0.0), value, end)


# the power


def _power_of_singles(builder: Builder, x: Value, y: Value, target: Target) -> Value:
    """exp(y log x) for x not negative and |y| at most 2^80, by way of doubles, where plain arithmetic is good enough."""
    format = _ROUGH_DOUBLE
    base = builder.convert(x, "f64")
    exponent, m = _split(builder, base, format)
    e = _as_float(builder, exponent, format) - (2.0**format.fraction + format.bias)
    logarithm = _logarithm_ends(builder, base, _logarithm(builder, e, m - 1.0, format))
    product = builder.convert(y, "f64") * logarithm
    # beyond these the result is zero or infinite when it is rounded to a single
    inside = _clipped(builder, product, _SINGLE.exp_least, _SINGLE.exp_most)
    return builder.convert(_moderate_exponential(builder, inside, format), "f32")


def _power_of_doubles(builder: Builder, x: Value, y: Value, target: Target) -> Value:
    """exp(y log x) for x not negative and |y| at most 2^80; the exponent is up to 745 and its absolute error becomes
    the result's relative one, so the logarithm is a sum of two doubles."""
    high, low = _long_logarithm(builder, x, target)
    high = _logarithm_ends(builder, x, high)
    product, rest = _two_product(builder, y, high, target)
    rest = builder.fma(y, low, rest)
    ordinary = builder.compare("lt", builder.unary("absolute", product), 1000.0)
    rest = builder.select(ordinary, rest, 0.0)
    format = _DOUBLE
    mantissa, exponent = _exponential(
        builder, _clipped(builder, product, format.exp_least, format.exp_most), format, rest
    )
    return _scaled(builder, mantissa, exponent, format)
