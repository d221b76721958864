"""Elementary functions of vectors in the loop-and-vector language: exp, log, log1p, tanh, erf and power. Each is given
values of kind f32 or f64 with any number of lanes, and writes polynomials and selects: no branch, no table, no call.

Results are within 2 units in the last place (f32) and 4 (f64) of the exact ones for every input: subnormal inputs and
results, infinities, NaN and the signs of zeros are as C and NumPy have them. They depend on the target (does it fuse
multiply and add?) but not on the number of lanes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.language import Builder, Value
from wimmel.compiler.targets import Target


def exp(builder: Builder, x: Value, target: Target) -> Value:
    """e to the power x. A result too small for a normal number is rounded to a subnormal one, or to zero."""
    format = _FORMATS[x.type.kind]
    return _scaled(builder, *_exponential(builder, _clipped(builder, x, *format.exp_ends), format), format)


def log(builder: Builder, x: Value, target: Target) -> Value:
    """The natural logarithm: -inf of zeros, NaN of negative numbers."""
    format = _FORMATS[x.type.kind]
    e, m = _split(builder, x, format)
    return _log_with_ends(builder, x, _logarithm(builder, e, m - 1.0, format))


def log1p(builder: Builder, x: Value, target: Target) -> Value:
    """The natural logarithm of 1 + x, good also where x is small."""
    format = _FORMATS[x.type.kind]
    total, rest = _two_sum(builder.constant(x.type, 1.0), x)
    exponent, m = _split_normal(builder, total, format)
    # 1 + x = (total + rest) / 2^e * 2^e; the rest matters only where 2^-e is an ordinary number
    inverse = builder.maximum(2 * format.bias - exponent, builder.constant(exponent.type, 0))
    scale = builder.bitcast(_shifted_left(builder, inverse, format.fraction), format.kind)
    f = builder.fma(rest, scale, m - 1.0)
    value = _logarithm(builder, _as_float(builder, exponent, format) - format.bias, f, format)
    return builder.select(builder.compare("eq", x, 0.0), x, _log_with_ends(builder, total, value))


def tanh(builder: Builder, x: Value, target: Target) -> Value:
    """The hyperbolic tangent: an odd polynomial for small x, else 1 - 2 / (exp(2 |x|) + 1)."""
    format = _FORMATS[x.type.kind]
    size = builder.unary("absolute", x)
    square = size * size
    near = builder.fma(size * square, _polynomial(builder, square, format.tanh), size)
    grown = _moderate_exponential(builder, _clipped(builder, size + size, most=2 * _TANH_IS_ONE), format)
    value = builder.select(builder.compare("lt", size, _TANH_NEAR), near, 1.0 - 2.0 / (grown + 1.0))
    return _signed_as(builder, value, x, format)


def erf(builder: Builder, x: Value, target: Target) -> Value:
    """The error function: an odd polynomial up to 1, then 1 - exp(log erfc |x|) with a polynomial for log erfc."""
    format = _FORMATS[x.type.kind]
    size = builder.unary("absolute", x)
    near = builder.fma(size, _polynomial(builder, size * size, format.erf), size)
    log_erfc = _polynomial(builder, _clipped(builder, size, most=format.erf_is_one), format.log_erfc)
    far = 1.0 - _moderate_exponential(builder, log_erfc, format)
    return _signed_as(builder, builder.select(builder.compare("lt", size, 1.0), near, far), x, format)


def power(builder: Builder, x: Value, y: Value, target: Target) -> Value:
    """x to the power y, both of one type. Special cases are those of C (ISO/IEC 9899:2011, F.10.4.4): 1 wherever x is
    1 or y is 0, even beside NaN; NaN for a finite negative x and a y that is no whole number."""
    format = _FORMATS[x.type.kind]
    # what is not 1 has no finite power 2^80 but zero, and 2^80 times a logarithm is finite
    exponent = _clipped(builder, y, -(2.0**80), 2.0**80)
    compute = _power_of_doubles if format is _DOUBLE else _power_of_singles
    size = compute(builder, builder.unary("absolute", x), exponent, target)

    whole, odd = _parity(builder, y, format)
    sign = builder.select(odd, builder.bitcast(x, format.whole) & format.sign_mask, 0)
    signed = builder.bitcast(builder.bitcast(size, format.whole) | sign, format.kind)
    negative = builder.compare("lt", x, 0.0) & builder.compare("gt", x, -math.inf)
    value = builder.select(negative & (whole ^ True), builder.constant(x.type, math.nan), signed)
    is_one = builder.compare("eq", x, 1.0) | builder.compare("eq", y, 0.0)
    return builder.select(is_one, builder.constant(x.type, 1.0), value)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exp, "log": log, "log1p": log1p, "tanh": tanh, "erf": erf, "power": power,
}  # fmt: skip
"""By the primitive's name: (builder, operand or operands, target)."""


# exponentials


def _exponential(builder: Builder, x: Value, format: _Format, rest: Value | None = None) -> tuple[Value, Value]:
    """e^(x + rest) as m * 2^n, for x between the ends: m is in about [0.7, 1.42], and n is given as a whole number
    that ends with the bits of n + 2 * bias."""
    # to add 1.5 * 2^fraction is to round to a whole number, which then stands in the low bits
    magic = 1.5 * 2.0**format.fraction + 2 * format.bias
    shifted = builder.fma(x, builder.constant(x.type, 1 / math.log(2)), builder.constant(x.type, magic))
    n = shifted - magic
    # n * ln2_high is exact, as in Cody and Waite, Software Manual for the Elementary Functions, 1980, chapter 6
    r = builder.fma(n, builder.constant(x.type, -format.ln2_high), x)
    r = builder.fma(n, builder.constant(x.type, -format.ln2_low), r)
    if rest is not None:
        r = r + rest
    m = builder.fma(r * r, _polynomial(builder, r, format.exp), r) + 1.0
    return m, builder.bitcast(shifted, format.whole)


def _scaled(builder: Builder, m: Value, n: Value, format: _Format) -> Value:
    """m * 2^n of `_exponential`, rounded once. 2^n itself may be no number of the format: it is multiplied in by
    halves, and half of n + 2 * bias is an exponent with its bias."""
    half = _shifted_left(builder, n, format.fraction - 1) & format.exponent_mask
    other = _shifted_left(builder, n, format.fraction) - half
    value: Value = m * builder.bitcast(half, format.kind) * builder.bitcast(other, format.kind)
    return value


def _moderate_exponential(builder: Builder, x: Value, format: _Format) -> Value:
    """e^x where that is surely a normal number."""
    m, n = _exponential(builder, x, format)
    value: Value = m * builder.bitcast(_shifted_left(builder, n - format.bias, format.fraction), format.kind)
    return value


# logarithms


def _split(builder: Builder, x: Value, format: _Format) -> tuple[Value, Value]:
    """e, as a float, and m in [sqrt(1/2), sqrt(2)) for which x = m * 2^e, for positive x; some numbers for others."""
    scale = format.fraction + 1
    small = builder.compare("lt", x, 2.0 ** (1 - format.bias))
    exponent, m = _split_normal(builder, builder.select(small, x * 2.0**scale, x), format)
    bias = builder.select(small, builder.constant(x.type, format.bias + scale), builder.constant(x.type, format.bias))
    return _as_float(builder, exponent, format) - bias, m


def _split_normal(builder: Builder, x: Value, format: _Format) -> tuple[Value, Value]:
    """The whole number e + bias, and m, as `_split` has them, for normal x."""
    moved = builder.bitcast(x, format.whole) + (format.one - format.sqrt_half)
    exponent = builder.binary("shift_right", moved, builder.constant(moved.type, format.fraction))
    return exponent, builder.bitcast((moved & (2**format.fraction - 1)) + format.sqrt_half, format.kind)


def _as_float(builder: Builder, number: Value, format: _Format) -> Value:
    """A small whole number as a float, by its bits: not every target has an instruction to convert i64."""
    power_of_two = 2.0**format.fraction
    value: Value = builder.bitcast(number | ((format.bias + format.fraction) << format.fraction), format.kind)
    value = value - power_of_two
    return value


def _logarithm(builder: Builder, e: Value, f: Value, format: _Format) -> Value:
    """log(2^e * (1 + f)) for 1 + f in [sqrt(1/2), sqrt(2)], summed from the smallest part to the largest."""
    half_square = f * f * 0.5
    if format is _SINGLE:
        tail = f * f * f * _polynomial(builder, f, format.log)
    else:
        # with s = f / (2 + f): log(1 + f) = 2 artanh(s) = 2 s + s R(s^2) = f - f^2/2 + s (f^2/2 + R(s^2))
        s = f / (f + 2.0)
        square = s * s
        tail = s * builder.fma(square, _polynomial(builder, square, format.log), half_square)
    low = builder.fma(e, builder.constant(e.type, format.ln2_low), tail)
    return builder.fma(e, builder.constant(e.type, format.ln2_high), f - (half_square - low))


def _log_with_ends(builder: Builder, x: Value, logarithm: Value) -> Value:
    """The logarithm of x, put right where x is infinite, NaN, zero or negative."""
    finite = builder.select(builder.compare("lt", x, math.inf), logarithm, x)
    nan = builder.constant(x.type, math.nan)
    end = builder.select(builder.compare("eq", x, 0.0), builder.constant(x.type, -math.inf), nan)
    return builder.select(builder.compare("gt", x, 0.0), finite, end)


def _long_logarithm(builder: Builder, x: Value, target: Target) -> tuple[Value, Value]:
    """The logarithm of positive doubles as a sum of two, good to about 62 bits: 2 (s + s^3/3 + s^5 W(s^2)) + e log 2,
    with s = (m - 1) / (m + 1). All but W is kept in two parts, as in Dekker, A floating-point technique for extending
    the available precision, Numerische Mathematik 18, 1971."""
    e, m = _split(builder, x, _DOUBLE)
    above, below = m + 1.0, m - 1.0
    above_low = m - (above - 1.0)
    inverse = 1.0 / above
    s = below * inverse
    product, error = _two_product(builder, s, above, target)
    s_low = (below - product - error - s * above_low) * inverse

    square, square_low = _two_product(builder, s, s, target)
    square_low = builder.fma(s + s, s_low, square_low)
    third, third_low = _ordered_sum(builder.constant(x.type, _THIRD), square * _polynomial(builder, square, _LONG_LOG))
    third_low = third_low + _THIRD_LOW
    cube, cube_low = _two_product(builder, square, third, target)
    cube_low = cube_low + (square * third_low + square_low * third)
    tail, tail_low = _two_product(builder, s, cube, target)
    tail_low = tail_low + (s * cube_low + s_low * cube)

    high, low = _ordered_sum(s, tail)
    low = low + (tail_low + s_low)
    high, rest = _ordered_sum(e * _DOUBLE.ln2_high, high + high)
    return _ordered_sum(high, rest + (low + low + e * _DOUBLE.ln2_low))


# powers of sizes: x is not negative, y at most 2^80 in size


def _power_of_singles(builder: Builder, x: Value, y: Value, target: Target) -> Value:
    """exp(y log x) in doubles, which leave enough bits to spare for plain arithmetic."""
    base = builder.convert(x, "f64")
    exponent, m = _split_normal(builder, base, _ROUGH_DOUBLE)
    e = _as_float(builder, exponent, _ROUGH_DOUBLE) - _ROUGH_DOUBLE.bias
    logarithm = _log_with_ends(builder, base, _logarithm(builder, e, m - 1.0, _ROUGH_DOUBLE))
    product = _clipped(builder, builder.convert(y, "f64") * logarithm, *_SINGLE.exp_ends)
    return builder.convert(_moderate_exponential(builder, product, _ROUGH_DOUBLE), "f32")


def _power_of_doubles(builder: Builder, x: Value, y: Value, target: Target) -> Value:
    """exp(y log x). y log x may be 745, and its absolute error is the relative one of the result: two parts."""
    high, low = _long_logarithm(builder, x, target)
    product, rest = _two_product(builder, y, _log_with_ends(builder, x, high), target)
    # beyond 1000 the result is zero or infinite, and the rest may be NaN
    is_small = builder.compare("lt", builder.unary("absolute", product), 1000.0)
    rest = builder.select(is_small, builder.fma(y, low, rest), builder.constant(y.type, 0.0))
    product = _clipped(builder, product, *_DOUBLE.exp_ends)
    return _scaled(builder, *_exponential(builder, product, _DOUBLE, rest), _DOUBLE)


def _parity(builder: Builder, y: Value, format: _Format) -> tuple[Value, Value]:
    """Whether y is a whole number, and whether it is an odd one. Numbers from 2^fraction on are whole, from
    2^(fraction + 1) on they are even."""
    limit = 2.0**format.fraction
    size = _clipped(builder, builder.unary("absolute", y), most=2 * limit)

    def is_whole(number: Value) -> Value:
        return builder.compare("eq", (number + limit) - limit, number)

    whole = is_whole(size) | builder.compare("ge", size, limit)
    return whole, whole & (is_whole(size * 0.5) ^ True)


# sums and products with their rounding errors


def _two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """a + b rounded, and what rounding left out (Knuth, The Art of Computer Programming 2, section 4.2.2)."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def _ordered_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """The same, where a is zero or not smaller than b (Dekker 1971)."""
    total = a + b
    return total, b - (total - a)


def _two_product(builder: Builder, a: Value, b: Value, target: Target) -> tuple[Value, Value]:
    """a * b of doubles rounded, and what rounding left out; without fma by way of halves (Dekker 1971)."""
    product = a * b
    if target.has_fma:
        return product, builder.fma(a, b, -product)
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(a: Value) -> tuple[Value, Value]:
    """A double as a sum of two of at most 26 bits."""
    scaled = a * (2.0**27 + 1)
    high = scaled - (scaled - a)
    return high, a - high


# pieces


def _polynomial(builder: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    """Horner's scheme; the lowest coefficient first."""
    value = builder.constant(x.type, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = builder.fma(value, x, builder.constant(x.type, coefficient))
    return value


def _clipped(builder: Builder, x: Value, least: float | None = None, most: float | None = None) -> Value:
    """x between the two; NaN stays NaN."""
    if least is not None:
        x = builder.select(builder.compare("lt", x, least), builder.constant(x.type, least), x)
    if most is not None:
        x = builder.select(builder.compare("gt", x, most), builder.constant(x.type, most), x)
    return x


def _signed_as(builder: Builder, size: Value, x: Value, format: _Format) -> Value:
    """A value that is not negative, with the sign of x."""
    sign = builder.bitcast(x, format.whole) & format.sign_mask
    return builder.bitcast(builder.bitcast(size, format.whole) | sign, format.kind)


def _shifted_left(builder: Builder, value: Value, bits: int) -> Value:
    shifted: Value = builder.binary("shift_left", value, builder.constant(value.type, bits))
    return shifted


# numbers


@dataclass(frozen=True)
class _Format:
    """A floating-point format, and polynomials good for it.

    Attributes
    ----------
    kind, whole : str
        The language's kinds: its own, and whole numbers of as many bits.
    fraction, bias : int
        Bits of the fraction, and what is added to the exponent.
    sqrt_half : int
        The bits of sqrt(1/2).
    ln2_high, ln2_low : float
        Their sum is log 2; the first times an exponent is exact.
    exp_ends : pair of float
        Where e^x has become zero and infinite.
    erf_is_one : float
    exp, log, tanh, erf, log_erfc : tuple of float
        e^r = 1 + r + r^2 P(r) for |r| up to log(2) / 2; log(1 + f) = f - f^2/2 + f^3 P(f) for 1 + f from sqrt(1/2) to
        sqrt(2) (f32) or 2 artanh(s) = 2 s + s^3 P(s^2) for s = f / (2 + f) (f64); tanh x = x + x^3 P(x^2) up to
        `_TANH_NEAR`; erf x = x + x P(x^2) up to 1; log erfc x = P(x) from 1 to `erf_is_one`, such that erf x is good.
        The lowest coefficient comes first. They are minimax fits of the relative error of the whole function (Remez'
        exchange, with 60 digits), where each coefficient in turn was rounded to the format, from the lowest on, and
        those above it fitted anew. The errors noted beside them are those of the rounded polynomials.
    """

    kind: str
    whole: str
    fraction: int
    bias: int
    sqrt_half: int
    ln2_high: float
    ln2_low: float
    exp_ends: tuple[float, float]
    erf_is_one: float
    exp: tuple[float, ...]
    log: tuple[float, ...]
    tanh: tuple[float, ...]
    erf: tuple[float, ...]
    log_erfc: tuple[float, ...]

    @property
    def one(self) -> int:
        """The bits of 1."""
        return self.bias << self.fraction

    @property
    def exponent_mask(self) -> int:
        return (2 * self.bias + 1) << self.fraction

    @property
    def sign_mask(self) -> int:
        return -(2 * self.bias + 2 << self.fraction)


_TANH_NEAR = 0.55
_TANH_IS_ONE = 22.0

_SINGLE = _Format(
    kind="f32",
    whole="i32",
    fraction=23,
    bias=127,
    sqrt_half=0x3F3504F3,
    ln2_high=0.693145751953125,
    ln2_low=1.428606765330187e-06,
    exp_ends=(-104.0, 89.0),
    erf_is_one=4.0,
    exp=(  # 2^-28.19
        0.49999994,
        0.16666515,
        0.041668087,
        0.008369297,
        0.0013838246,
    ),
    log=(  # 2^-27.35
        0.3333333,
        -0.25000823,
        0.2000126,
        -0.16623345,
        0.14201072,
        -0.13159555,
        0.12765741,
        -0.076411724,
    ),
    tanh=(  # 2^-29.71
        -0.33333316,
        0.13332544,
        -0.053847548,
        0.021050714,
        -0.0062428494,
    ),
    erf=(  # 2^-29.39
        0.12837917,
        -0.37612626,
        0.11283579,
        -0.026853347,
        0.005187162,
        -0.0007997853,
        7.806904e-05,
    ),
    log_erfc=(  # 2^-29.79
        -0.00034152524,
        -1.1270891,
        -0.63814497,
        -0.10310659,
        0.021837963,
        -0.0029476278,
        0.00018637556,
    ),
)

_DOUBLE = _Format(
    kind="f64",
    whole="i64",
    fraction=52,
    bias=1023,
    sqrt_half=0x3FE6A09E667F3BCD,
    ln2_high=0.6931471805598903,
    ln2_low=5.497923018708371e-14,
    exp_ends=(-746.0, 710.0),
    erf_is_one=6.0,
    exp=(  # 2^-54.74
        0.5000000000000011,
        0.16666666666663346,
        0.04166666666650579,
        0.008333333334718234,
        0.0013888888954940036,
        0.0001984126817110236,
        2.480147726660704e-05,
        2.7557818268345145e-06,
        2.763703108128992e-07,
        2.5177223522529493e-08,
    ),
    log=(  # 2^-59.48
        0.6666666666666735,
        0.39999999999409,
        0.28571428743830807,
        0.22222198408007496,
        0.18183573740752101,
        0.153137896166261,
        0.14798751540667685,
    ),
    tanh=(  # 2^-55.47
        -0.33333333333332316,
        0.1333333333316893,
        -0.05396825387616253,
        0.02186948597641028,
        -0.008863194522245217,
        0.00359171982404034,
        -0.001453217308498163,
        0.0005791384819027851,
        -0.00021030457094797642,
        5.102285272212171e-05,
    ),
    erf=(  # 2^-56.03
        0.12837916709551256,
        -0.37612638903183343,
        0.1128379167093695,
        -0.026866170641959137,
        0.0052239775967357965,
        -0.0008548325484987412,
        0.00012055280495794947,
        -1.492446561023071e-05,
        1.644414992756592e-06,
        -1.6183983188202877e-07,
        1.3616646891731928e-08,
        -7.607671691005614e-10,
    ),
    log_erfc=(  # 2^-54.84
        -1.0633457977472754e-06,
        -1.1283687144403365,
        -0.6366675693637556,
        -0.10263767398648233,
        0.018865426630960292,
        0.0005840113700257641,
        -0.0020987277996322782,
        0.0009199127499886077,
        -0.00023063399331625835,
        2.799360233655737e-05,
        3.6120078888600575e-06,
        -2.6731976613157116e-06,
        6.877888592608462e-07,
        -1.0822603888049002e-07,
        1.0903854726968028e-08,
        -6.518467982722212e-10,
        1.7705174202190076e-11,
    ),
)

_FORMATS = {"f32": _SINGLE, "f64": _DOUBLE}

_ROUGH_DOUBLE = replace(
    _DOUBLE,
    exp=_SINGLE.exp,
    log=(  # 2^-37.61
        0.6666666564685253,
        0.40000334978194285,
        0.28537316637268184,
        0.2358208512161377,
    ),
)
"""Doubles on the way to a single."""

_LONG_LOG = (  # 2^-66.29
    0.20000000000001128,
    0.1428571428504967,
    0.11111111260004537,
    0.09090892177994599,
    0.07693378999320075,
    0.06628399420432113,
    0.0659826670735768,
)
"""artanh s = s + s^3/3 + s^5 W(s^2) as far as m from sqrt(1/2) to sqrt(2) goes."""
_THIRD, _THIRD_LOW = 1 / 3, 1.850371707708594e-17
