"""Fourier transforms as codelets: code for one stage of a transform, a vector of numbers at each point. A transform
evaluates a polynomial at the roots of t**size = e**(2 pi i * turn); a stage of radix r makes r polynomials of each,
with size / r coefficients, and the inverse runs the stages backwards. Roots come out in the order in which they split.

    t**n - z  =  product over k of (t**(n / r) - rho * e**(2 pi i k / r)),  rho**r = z

With turn 0 that is the cyclic transform. With turn 1/4 it takes a real signal of 2 * size numbers, x[j] and x[j + size]
together as one complex number: t**size = i stands for half of the roots of t**(2 * size) = -1, whose other half is the
conjugates. So a real signal needs no special frequencies, and products of its transforms are negacyclic convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias

from wimmel.compiler.language import POINTER, Builder, Number, Type, Value
from wimmel.compiler.targets import Target

Complex: TypeAlias = tuple[Value, Value]
"""A vector of real parts, and one of imaginary parts."""

Change: TypeAlias = Callable[[Number, int, Complex], Complex]
"""What happens to a point on its way: ``change(start, offset, value)`` is given the point's number as a sum."""


@dataclass(frozen=True)
class Transform:
    """What a transform is: its number of complex points, where the roots begin, and the radices of its stages."""

    size: int
    turn: Fraction
    radices: tuple[int, ...]

    def turns(self, stage: int) -> list[Fraction]:
        """For each polynomial that the stage splits: it stands for t**n = e**(2 pi i * turn)."""
        found = [self.turn]
        for radix in self.radices[:stage]:
            found = [(turn + k) / radix for turn in found for k in range(radix)]
        return found

    @property
    def roots(self) -> list[Fraction]:
        """Where the polynomial is evaluated, as turns, in the order of the results."""
        return self.turns(len(self.radices))

    def points(self, stage: int) -> int:
        """Coefficients of each polynomial that the stage splits."""
        return self.size // math.prod(self.radices[:stage])

    def is_plain(self, stage: int) -> bool:
        """Whether nothing is multiplied before the stage's sums."""
        return not any(self.turns(stage))

    def start(self, stage: int) -> int:
        """Where in the table the stage's factors begin."""
        return sum(0 if self.is_plain(s) else 2 * len(self.turns(s)) * (self.radices[s] - 1) for s in range(stage))

    def table(self) -> list[float]:
        """Powers of rho: real and imaginary part for each stage, polynomial and exponent from 1 to radix - 1."""
        numbers: list[float] = []
        for stage, radix in enumerate(self.radices):
            if self.is_plain(stage):
                continue
            for turn in self.turns(stage):
                for exponent in range(1, radix):
                    factor = _root(turn / radix * exponent)
                    numbers += [factor.real, factor.imag]
        return numbers


def transform(size: int, turn: Fraction, registers: int) -> Transform:
    """A transform of so many points, in few stages whose numbers fit into so many registers."""
    radices: list[int] = []
    rest = size
    for odd in (3, 5):
        if rest % odd == 0:
            radices, rest = [odd], rest // odd
    power = rest.bit_length() - 1
    assert rest == 1 << power, size
    largest = 3 if registers >= 32 else 2
    stages = -(-power // largest)
    while power:
        step = -(-power // stages)
        radices.insert(0, 1 << step)
        power, stages = power - step, stages - 1
    return Transform(size, turn, tuple(sorted(radices, reverse=True)))


@dataclass(frozen=True)
class Points:
    """Where the points of a transform lie: vectors of real parts, ``step`` elements from point to point, and as far as
    ``gap`` from them the imaginary parts. If ranges of points are given, ``real`` and ``imaginary``, those parts alone
    are in memory: others are zero when they are read, and are not written."""

    pointer: Value
    step: Number
    gap: Number
    real: range | None = None
    imaginary: range | None = None

    def bounds(self) -> list[int]:
        """Points from which on others are given than before."""
        return [bound for part in (self.real, self.imaginary) if part is not None for bound in (part.start, part.stop)]


@dataclass(frozen=True)
class Stages:
    """Writes the stages of a transform.

    Attributes
    ----------
    builder : Builder
    target : Target
    transform : Transform
    lanes : int
    table : Value
        Pointer to the transform's table, of float32.
    """

    builder: Builder
    target: Target
    transform: Transform
    lanes: int
    table: Value

    @staticmethod
    def of(builder: Builder, target: Target, transform: Transform, lanes: int) -> Stages:
        """With the table put on the stack, where the code stands."""
        numbers = transform.table()
        wide = target.lanes("f32")
        numbers += [0.0] * (-len(numbers) % wide)
        table = builder.let("stack", POINTER, bytes=4 * max(len(numbers), 1))
        for first in range(0, len(numbers), wide):
            part = numbers[first : first + wide]
            type_ = Type("f32", wide)
            builder.store(builder.constant(type_, part if wide > 1 else part[0]), table, first)
        return Stages(builder, target, transform, lanes, table)

    def forward(self, number: int, source: Points, result: Points, change: Change | None = None) -> None:
        """One stage; of the last, results may be changed before they are stored. All are stored."""

        def body(block: Number, start: Number, offsets: Sequence[int], like: int) -> None:
            values = self.split(number, block, self._load(source, start, offsets, like))
            if change is not None:
                values = [change(start, offset, value) for offset, value in zip(offsets, values, strict=True)]
            self._store(result, start, offsets, values, like)

        self._over(number, body, source.bounds())

    def inverse(self, number: int, source: Points, result: Points) -> None:
        """One stage backwards; all together give size times the coefficients. All are read."""

        def body(block: Number, start: Number, offsets: Sequence[int], like: int) -> None:
            values = self.joined(number, block, self._load(source, start, offsets, like))
            self._store(result, start, offsets, values, like)

        self._over(number, body, result.bounds())

    def there_and_back(self, source: Points, result: Points, change: Change) -> None:
        """The last stage, a change of what it gives, and the last stage backwards."""
        last = len(self.transform.radices) - 1

        def body(block: Number, start: Number, offsets: Sequence[int], like: int) -> None:
            values = self.split(last, block, self._load(source, start, offsets, like))
            values = [change(start, offset, value) for offset, value in zip(offsets, values, strict=True)]
            self._store(result, start, offsets, self.joined(last, block, values), like)

        self._over(last, body, [*source.bounds(), *result.bounds()])

    def split(self, number: int, block: Number, values: list[Complex]) -> list[Complex]:
        """The coefficients of a polynomial that are a radix'th of its size apart, as those of the polynomials it is
        split into."""
        factors = self._factors(number, block)
        turned = [
            product(self.builder, self.target, value, factor)
            for value, factor in zip(values[1:], factors, strict=False)
        ]
        return self._sums([values[0], *(turned or values[1:])], 1)

    def joined(self, number: int, block: Number, values: list[Complex]) -> list[Complex]:
        """What `split` was given, times the radix."""
        sums = self._sums(values, -1)
        factors = [(real, -imaginary) for real, imaginary in self._factors(number, block)]
        turned = [
            product(self.builder, self.target, value, factor) for value, factor in zip(sums[1:], factors, strict=False)
        ]
        return [sums[0], *(turned or sums[1:])]

    def _over(
        self, number: int, body: Callable[[Number, Number, Sequence[int], int], None], bounds: Sequence[int]
    ) -> None:
        """``body(polynomial, first point, distances of the points from it, a first point like it)`` for all points of a
        stage. What is alike has all its points on the same sides of the bounds, which only a first stage may have."""
        points, radix = self.transform.points(number), self.transform.radices[number]
        apart = points // radix
        offsets = [apart * k for k in range(radix)]
        blocks = self.transform.size // points
        assert blocks == 1 or not bounds
        changes = sorted({bound - offset for bound in bounds for offset in offsets if 0 < bound - offset < apart})

        def block(number: Number) -> None:
            for begin, end in pairwise([0, *changes, apart]):
                if end - begin == 1:
                    body(number, number * points + begin, offsets, begin)
                else:
                    self.builder.loop(
                        begin, end, 1, lambda inner, like=begin: body(number, number * points + inner, offsets, like)
                    )

        if blocks == 1:
            block(0)
        else:
            self.builder.loop(0, blocks, 1, block)

    def _load(self, source: Points, start: Number, offsets: Sequence[int], like: int) -> list[Complex]:
        builder, vector = self.builder, Type("f32", self.lanes)
        builder.fence()  # otherwise loads of several codelets come first, and there are not registers enough
        real = builder.offset(source.pointer, start * source.step, "f32")
        imaginary = builder.offset(real, source.gap, "f32")

        def part(pointer: Value, offset: int, given: range | None) -> Value:
            if given is not None and like + offset not in given:
                return builder.constant(vector, 0.0)
            return builder.load(pointer, offset * source.step, vector)

        return [(part(real, offset, source.real), part(imaginary, offset, source.imaginary)) for offset in offsets]

    def _store(
        self, result: Points, start: Number, offsets: Sequence[int], values: Sequence[Complex], like: int
    ) -> None:
        builder = self.builder
        real = builder.offset(result.pointer, start * result.step, "f32")
        imaginary = builder.offset(real, result.gap, "f32")
        for offset, value in zip(offsets, values, strict=True):
            parts = ((value[0], real, result.real), (value[1], imaginary, result.imaginary))
            for part, pointer, given in parts:
                if given is None or like + offset in given:
                    builder.store(part, pointer, offset * result.step)

    def _factors(self, number: int, block: Number) -> list[Complex]:
        """Powers of the polynomial's rho, from the first on; none where all are one."""
        if self.transform.is_plain(number):
            return []
        builder, count = self.builder, self.transform.radices[number] - 1
        there = builder.offset(self.table, block * (2 * count) + self.transform.start(number), "f32")
        numbers = [builder.broadcast(builder.load(there, place, Type("f32")), self.lanes) for place in range(2 * count)]
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    # sums: out[k] = sum of in[n] * e**(sign * 2 pi i n k / r)

    def _sums(self, values: list[Complex], sign: int) -> list[Complex]:
        return {2: self._sums2, 3: self._sums3, 4: self._sums4, 5: self._sums5, 8: self._sums8}[len(values)](
            values, sign
        )

    def _sums2(self, values: list[Complex], sign: int) -> list[Complex]:
        (a, b), (c, d) = values
        return [(a + c, b + d), (a - c, b - d)]

    def _sums3(self, values: list[Complex], sign: int) -> list[Complex]:
        builder = self.builder
        first, second, third = values
        total = (second[0] + third[0], second[1] + third[1])
        apart = (second[0] - third[0], second[1] - third[1])
        half = builder.constant(first[0].type, -0.5)
        side = builder.constant(first[0].type, sign * math.sqrt(0.75))
        other = builder.constant(first[0].type, -sign * math.sqrt(0.75))
        middle = tuple(builder.fma(part, half, begin) for part, begin in zip(total, first, strict=True))
        return [
            (first[0] + total[0], first[1] + total[1]),
            (builder.fma(apart[1], other, middle[0]), builder.fma(apart[0], side, middle[1])),
            (builder.fma(apart[1], side, middle[0]), builder.fma(apart[0], other, middle[1])),
        ]

    def _sums4(self, values: list[Complex], sign: int) -> list[Complex]:
        (even, even_apart), (odd, odd_apart) = self._sums2(values[::2], sign), self._sums2(values[1::2], sign)
        turned = _quarter(odd_apart, sign)
        return [_added(even, odd), _added(even_apart, turned), _less(even, odd), _less(even_apart, turned)]

    def _sums5(self, values: list[Complex], sign: int) -> list[Complex]:
        builder, (first, *others) = self.builder, values
        type_ = first[0].type
        pairs = [(others[0], others[3]), (others[1], others[2])]
        totals, aparts = [_added(*pair) for pair in pairs], [_less(*pair) for pair in pairs]
        result = [_added(first, _added(*totals))]
        behind: list[Complex] = []
        for k in (1, 2):
            turns = [Fraction(k * place, 5) for place in (1, 2)]
            cosines = [builder.constant(type_, _root(turn).real) for turn in turns]
            sines = [builder.constant(type_, sign * _root(turn).imag) for turn in turns]

            def mixed(part: int, factors: Sequence[Value], of: Sequence[Complex], begin: Value | None) -> Value:
                start = of[0][part] * factors[0] if begin is None else builder.fma(of[0][part], factors[0], begin)
                return builder.fma(of[1][part], factors[1], start)

            middle = [mixed(part, cosines, totals, first[part]) for part in (0, 1)]
            side = [mixed(part, sines, aparts, None) for part in (0, 1)]
            result.append((middle[0] - side[1], middle[1] + side[0]))
            behind.insert(0, (middle[0] + side[1], middle[1] - side[0]))
        return [*result, *behind]

    def _sums8(self, values: list[Complex], sign: int) -> list[Complex]:
        builder = self.builder
        even, odd = self._sums4(values[::2], sign), self._sums4(values[1::2], sign)
        type_ = values[0][0].type
        half, minus = builder.constant(type_, math.sqrt(0.5)), builder.constant(type_, -math.sqrt(0.5))
        first, second = [], []
        for k in range(4):
            if k % 2 == 0:
                other = odd[k] if k == 0 else _quarter(odd[k], sign)
                first.append(_added(even[k], other))
                second.append(_less(even[k], other))
                continue
            real, imaginary = odd[k] if k == 1 else _quarter(odd[k], sign)
            # times an eighth of a turn: (1 + sign * i) * sqrt(1/2)
            other = (real - imaginary, real + imaginary) if sign > 0 else (real + imaginary, imaginary - real)
            first.append((builder.fma(other[0], half, even[k][0]), builder.fma(other[1], half, even[k][1])))
            second.append((builder.fma(other[0], minus, even[k][0]), builder.fma(other[1], minus, even[k][1])))
        return first + second


def product(builder: Builder, target: Target, a: Complex, b: Complex) -> Complex:
    """Of complex numbers."""
    if not target.has_fma:
        return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]
    return builder.fma(-a[1], b[1], a[0] * b[0]), builder.fma(a[1], b[0], a[0] * b[1])


def _quarter(value: Complex, sign: int) -> Complex:
    """Times i or -i."""
    real, imaginary = value
    return (-imaginary, real) if sign > 0 else (imaginary, -real)


def _added(a: Complex, b: Complex) -> Complex:
    return a[0] + b[0], a[1] + b[1]


def _less(a: Complex, b: Complex) -> Complex:
    return a[0] - b[0], a[1] - b[1]


def _root(turn: Fraction) -> complex:
    """e**(2 pi i * turn), its parts rounded once."""
    turn %= 1
    quarter, rest = divmod(turn * 4, 1)
    angle = math.pi / 2 * float(rest)
    value = complex(math.cos(angle), math.sin(angle)) if rest <= Fraction(1, 2) else _mirrored(float(1 - rest))
    return complex(value * (1, 1j, -1, -1j)[int(quarter)])


def _mirrored(rest: float) -> complex:
    angle = math.pi / 2 * rest
    return complex(math.sin(angle), math.cos(angle))
