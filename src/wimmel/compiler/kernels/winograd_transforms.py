"""Winograd's transforms along one axis, in any arithmetic: m outputs of r taps by way of n = m + r - 1 products.

    y = outputs(weights(g) * data(d)):    y[i] = d[i] g[0] + ... + d[i + r - 1] g[r - 1]   for i = 0, ..., m - 1

Data and weights become values of polynomials at the points 0, p, -p, ... and infinity, which are multiplied and
interpolated: Winograd, "Arithmetic Complexity of Computations" (1980); Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks" (2015). A point and its negative share the even and the odd part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol


class Arithmetic(Protocol):
    """What the transforms need to know of numbers."""

    def times(self, factor: Fraction, x: Any) -> Any:
        """factor * x."""

    def plus(self, y: Any, factor: Fraction, x: Any) -> Any:
        """y + factor * x."""


@dataclass(frozen=True)
class Transforms:
    """Those of F(outputs, taps).

    Attributes
    ----------
    m, r : int
        Outputs and taps.
    points : tuple of Fraction
        Those above 0.
    """

    m: int
    r: int
    points: tuple[Fraction, ...]

    @property
    def n(self) -> int:
        """How many products there are, and how many data."""
        return self.m + self.r - 1

    def data(self, arithmetic: Arithmetic, d: Sequence[Any]) -> list[Any]:
        """n values of n data: the product of all x - q but one, its powers of x replaced by the data (Lavin and Gray's
        B transposed)."""
        assert len(d) == self.n == 2 * len(self.points) + 2
        whole = _product(self.points)
        found = [_sum(arithmetic, whole, d)]
        for place, point in enumerate(self.points):
            others = _product(self.points[:place] + self.points[place + 1 :])
            even, odd = _sum(arithmetic, others, d[2:]), _sum(arithmetic, others, d[1:])
            found += [arithmetic.plus(even, point, odd), arithmetic.plus(even, -point, odd)]
        return [*found, _sum(arithmetic, whole, d[1:])]

    def weights(self, arithmetic: Arithmetic, g: Sequence[Any]) -> list[Any]:
        """n values of r weights: of the polynomial at every point, divided by what the data's is there (G)."""
        assert len(g) == self.r
        found = [arithmetic.times(1 / _product(self.points)[0], g[0])]
        for place, point in enumerate(self.points):
            others = _product(self.points[:place] + self.points[place + 1 :])
            scale = 1 / Fraction(2 * sum(factor * point ** (2 * power + 2) for power, factor in enumerate(others)))
            even = arithmetic.times(scale, g[0])
            for power in range(2, self.r, 2):
                even = arithmetic.plus(even, scale * point**power, g[power])
            odd = arithmetic.times(scale * point, g[1])
            for power in range(3, self.r, 2):
                odd = arithmetic.plus(odd, scale * point**power, g[power])
            one = Fraction(1)
            found += [arithmetic.plus(even, one, odd), arithmetic.plus(even, -one, odd)]
        return [*found, g[-1]]

    def outputs(self, arithmetic: Arithmetic, products: Sequence[Any]) -> list[Any]:
        """m outputs of n products (A transposed)."""
        assert len(products) == self.n
        one = Fraction(1)
        pairs = list(zip(products[1:-1:2], products[2:-1:2], strict=True))
        parts = [[arithmetic.plus(a, sign, b) for a, b in pairs] for sign in (one, -one)]
        found = []
        for power in range(self.m):
            y = products[0] if power == 0 else products[-1] if power == self.m - 1 else None
            for point, x in zip(self.points, parts[power % 2], strict=True):
                factor = point**power
                y = arithmetic.times(factor, x) if y is None else arithmetic.plus(y, factor, x)
            found.append(y)
        return found


F2 = Transforms(2, 3, (Fraction(1),))
F4 = Transforms(4, 3, (Fraction(3, 4), Fraction(3, 2)))
"""How much is lost to rounding depends on the points: with 3/4 and 3/2, whose powers are exact in float32, a quarter to
a half of what is lost with the usual 1 and 2. See Alam, Anderson, Barabasz and Gregg, "Winograd Convolution for Deep
Neural Networks: Efficient Point Selection" (2022)."""

TRANSFORMS: dict[int, Transforms] = {2: F2, 4: F4}
"""Of convolutions with 3x3 taps, by the side of a tile of outputs."""

ALONG_ROWS: dict[int, Transforms] = {
    3: F4,
    5: Transforms(4, 5, (Fraction(1, 2), Fraction(1), Fraction(2))),
    7: Transforms(4, 7, (Fraction(3, 8), Fraction(1), Fraction(5, 4), Fraction(5, 2))),
    9: Transforms(4, 9, (Fraction(3, 8), Fraction(5, 8), Fraction(1), Fraction(3, 2), Fraction(5, 2))),
}
"""Of convolutions whose tiles are pieces of a row, by taps in a row. Of points in eighths up to 3, these lose least."""


def over_two_axes(
    transform: Callable[[Arithmetic, Sequence[Any]], list[Any]],
    arithmetic: Arithmetic,
    columns: Iterable[Sequence[Any]],
) -> Iterator[list[Any]]:
    """A transform along the columns, each of which is taken when its turn comes, then along the rows, one by one."""
    down = [transform(arithmetic, column) for column in columns]
    for row in zip(*down, strict=True):
        yield transform(arithmetic, row)


def _product(points: Sequence[Fraction]) -> list[Fraction]:
    """Of all x^2 - p^2: the factors of 1, x^2, x^4, ..."""
    factors = [Fraction(1)]
    for point in points:
        shifted = [Fraction(0), *factors]
        factors = [a - point**2 * b for a, b in zip(shifted, [*factors, Fraction(0)], strict=True)]
    return factors


def _sum(arithmetic: Arithmetic, factors: Sequence[Fraction], d: Sequence[Any]) -> Any:
    """factors[0] * d[0] + factors[1] * d[2] + ..., whose last factor is 1."""
    y = d[2 * len(factors) - 2]
    for power in reversed(range(len(factors) - 1)):
        y = arithmetic.plus(y, factors[power], d[2 * power])
    return y
