"""What the elementary functions are made of: polynomials, sums and products with their rounding errors, signs."""

from __future__ import annotations

from collections.abc import Sequence

from wimmel.compiler.language import Builder, Value
from wimmel.compiler.mathematics.formats import Format
from wimmel.compiler.targets import Target


def polynomial(builder: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    """Horner's scheme; the lowest coefficient comes first."""
    value = builder.constant(x.type, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = builder.fma(value, x, builder.constant(x.type, coefficient))
    return value


def two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """a + b rounded, and what rounding left out (Knuth, The Art of Computer Programming 2, section 4.2.2)."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def ordered_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """The same, where a is zero or not smaller than b (Dekker 1971)."""
    total = a + b
    return total, b - (total - a)


def two_product(builder: Builder, a: Value, b: Value, target: Target) -> tuple[Value, Value]:
    """a * b of doubles rounded, and what rounding left out; without fma by way of halves (Dekker 1971)."""
    product = a * b
    if target.has_fma:
        return product, builder.fma(a, b, -product)
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(a: Value) -> tuple[Value, Value]:
    """A double as a sum of two of at most 26 bits."""
    grown = a * (2.0**27 + 1)
    high = grown - (grown - a)
    return high, a - high


def clipped(builder: Builder, x: Value, least: float | None = None, most: float | None = None) -> Value:
    """x between the two; NaN stays NaN."""
    if least is not None:
        x = builder.select(builder.compare("lt", x, least), builder.constant(x.type, least), x)
    if most is not None:
        x = builder.select(builder.compare("gt", x, most), builder.constant(x.type, most), x)
    return x


def with_sign_of(builder: Builder, size: Value, x: Value, format: Format) -> Value:
    """A value that is not negative, with the sign of x."""
    return with_sign_bit(builder, size, builder.bitcast(x, format.whole), format)


def with_sign_bit(builder: Builder, size: Value, bits: Value, format: Format) -> Value:
    """A value that is not negative, with the highest one of the bits as its sign."""
    signed = builder.bitcast(size, format.whole) | (bits & format.sign_mask)
    return builder.bitcast(signed, format.kind)


def shifted_left(builder: Builder, value: Value, bits: int) -> Value:
    shifted: Value = builder.binary("shift_left", value, builder.constant(value.type, bits))
    return shifted
