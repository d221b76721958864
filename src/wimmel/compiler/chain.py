"""Chains: straight-line elementwise code, what fusion makes of a run of elementwise primitives. Kernels emit a chain
on whole vectors of elements, wherever they have them: in a loop over elements, before a sum, after a convolution.

    Chain = inputs: dtype*, lines: Line*, results: number*
    Line  = operation, operands: number*, dtype [, constant]

Values are numbered: the inputs first, then the lines. `ROWS` has one row for each operation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wimmel.compiler import mathematics
from wimmel.compiler.language import Builder, Type, Value
from wimmel.compiler.steps import KIND_OF
from wimmel.compiler.targets import Target

HEAVY = frozenset(("exp", "log", "log1p", "tanh", "erf", "power"))
"""Operations that are not an instruction or two."""


@dataclass(frozen=True)
class Line:
    """One operation on earlier values; ``constant`` is the number of the operation ``constant``."""

    operation: str
    operands: tuple[int, ...]
    dtype: str
    constant: float | int | None = None


@dataclass(frozen=True)
class Chain:
    """Elementwise code: see the head of the file. ``Chain.identity(dtype)`` hands its one input on."""

    inputs: tuple[str, ...]
    lines: tuple[Line, ...]
    results: tuple[int, ...]

    @staticmethod
    def identity(dtype: str) -> Chain:
        return Chain((dtype,), (), (0,))

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Of every value, by number."""
        return (*self.inputs, *(line.dtype for line in self.lines))

    @property
    def result_dtypes(self) -> tuple[str, ...]:
        return tuple(self.dtypes[number] for number in self.results)

    @property
    def is_identity(self) -> bool:
        return not self.lines and self.results == (0,)

    @property
    def work(self) -> int:
        """About how many instructions it takes for one vector."""
        return sum(16 if line.operation in HEAVY else 1 for line in self.lines)

    def emit(self, builder: Builder, target: Target, inputs: Sequence[Value], lanes: int = 1) -> list[Value]:
        """The results for these inputs, all of as many lanes; scalars among the inputs are broadcast. Where there are
        no inputs, the results have the lanes given."""
        lanes = max((value.type.lanes for value in inputs), default=lanes)
        values = [builder.broadcast(value, lanes) for value in inputs]
        dtypes = self.dtypes
        for line in self.lines:
            operands = [values[number] for number in line.operands]
            taken = [dtypes[number] for number in line.operands]
            values.append(_emit(builder, target, line, operands, taken, lanes))
        return [values[number] for number in self.results]

    def without_bounds(self) -> tuple[Chain, Chain]:
        """The chain without the constant bounds at its end, and these as a chain of their own, which keeps the order of
        numbers: the largest of several results may be found before. Of a chain with several results they are not told.

        Examples
        --------
        >>> lines = (Line("constant", (), "float32", 0.0), Line("maximum", (0, 1), "float32"))
        >>> chain, bounds = Chain(("float32",), lines, (2,)).without_bounds()
        >>> chain.is_identity, str(bounds)
        (True, 'v0 = constant(0) : float32; v1 = maximum(x0, v0) : float32; gives v1')
        """
        if len(self.results) > 1:
            return self, Chain(self.result_dtypes, (), tuple(range(len(self.results))))
        (number,), count, found = self.results, len(self.inputs), []
        while number >= count and (line := self.lines[number - count]).operation in ("maximum", "minimum"):
            value, bound = line.operands
            constant = self.lines[bound - count] if bound >= count else None
            dtypes = {self.dtypes[value], self.dtypes[bound], line.dtype}
            if constant is None or constant.operation != "constant" or len(dtypes) > 1:
                break
            found.append((constant, line.operation))
            number = value
        dtype = self.dtypes[number]
        lines: list[Line] = []
        for constant, operation in reversed(found):
            lines += [constant, Line(operation, (len(lines), len(lines) + 1), dtype)]
        bounds = Chain((dtype,), tuple(lines), (len(lines),))
        return Chain(self.inputs, self.lines[: max(0, number - count + 1)], (number,)), bounds

    def widest(self, target: Target) -> int:
        """How many lanes keep every value of the chain within one vector register."""
        return min((target.lanes(KIND_OF[dtype]) for dtype in self.dtypes), default=1)

    def __str__(self) -> str:
        names = [f"x{number}" for number in range(len(self.inputs))] + [f"v{n}" for n in range(len(self.lines))]
        parts = []
        for name, line in zip(names[len(self.inputs) :], self.lines, strict=True):
            operands = [names[number] for number in line.operands]
            operands += [] if line.constant is None else [f"{line.constant:g}"]
            parts.append(f"{name} = {line.operation}({', '.join(operands)}) : {line.dtype}")
        return "; ".join([*parts, "gives " + ", ".join(names[number] for number in self.results)])


def is_signed(dtype: str) -> bool:
    return np.dtype(dtype).kind != "u"


def converted(builder: Builder, value: Value, before: str, after: str) -> Value:
    """The value as another dtype, as NumPy's astype makes it."""
    if before == after:
        return value
    kind = KIND_OF[after]
    if before == "bool" or after == "bool":
        return builder.convert(value, kind, signed=False)
    old, new = np.dtype(before), np.dtype(after)
    if old.kind == "f" and new.kind in "iu" and (new.itemsize < 4 or after == "uint32"):
        # by way of a wider whole number, which is cut to its low bits: what the processor's scalar conversion does
        wide = "i64" if after == "uint32" else "i32"
        return builder.convert(builder.convert(value, wide), kind)
    return builder.convert(value, kind, signed=is_signed(after if old.kind == "f" else before))


def _emit(builder: Builder, target: Target, line: Line, operands: list[Value], dtypes: list[str], lanes: int) -> Value:
    if line.operation == "constant":
        return builder.constant(Type(KIND_OF[line.dtype], lanes), line.constant)
    return ROWS[line.operation](builder, target, operands, dtypes, line.dtype)


Row = Callable[[Builder, Target, list[Value], list[str], str], Value]


def _as_result(row: Callable[[Builder, Target, list[Value], str], Value]) -> Row:
    """Of operations that compute in the result's dtype."""

    def emit(builder: Builder, target: Target, operands: list[Value], dtypes: list[str], dtype: str) -> Value:
        same = [converted(builder, value, before, dtype) for value, before in zip(operands, dtypes, strict=True)]
        return row(builder, target, same, dtype)

    return emit


def _arithmetic(operation: str, of_booleans: str) -> Row:
    def row(builder: Builder, target: Target, operands: list[Value], dtype: str) -> Value:
        a, b = operands
        value: Value = builder.binary(of_booleans if dtype == "bool" else operation, a, b)
        return value

    return _as_result(row)


def _extremum(predicate: str, of_booleans: str) -> Row:
    def row(builder: Builder, target: Target, operands: list[Value], dtype: str) -> Value:
        a, b = operands
        if dtype == "bool":
            value: Value = builder.binary(of_booleans, a, b)
            return value
        return extremum(builder, predicate, a, b, unsigned=not is_signed(dtype))

    return _as_result(row)


def extremum(builder: Builder, predicate: str, a: Value, b: Value, unsigned: bool = False) -> Value:
    """The larger (``gt``) or smaller (``lt``) of two; a NaN wins over any number, as in NumPy."""
    if b.literal is not None and a.literal is None:
        a, b = b, a  # the comparison below gives its second operand where one is NaN
    chosen = builder.select(builder.compare(predicate, a, b, unsigned), a, b)
    if not a.type.is_float or (a.literal is not None and a.literal == a.literal):
        return chosen
    return builder.select(builder.compare("unordered", a, a), a, chosen)


def _mathematical(name: str) -> Row:
    return _as_result(lambda builder, target, operands, dtype: mathematics.FUNCTIONS[name](builder, *operands, target))


def _absolute(builder: Builder, target: Target, operands: list[Value], dtype: str) -> Value:
    (x,) = operands
    if x.type.is_float:
        return builder.unary("absolute", x)
    if dtype == "bool" or not is_signed(dtype):
        return x
    return builder.select(builder.compare("lt", x, 0), 0 - x, x)


def _compared(predicate: str) -> Row:
    def row(builder: Builder, target: Target, operands: list[Value], dtypes: list[str], dtype: str) -> Value:
        if set(dtypes) == {"int64", "uint64"}:
            return _compared_across_signs(builder, predicate, operands, dtypes)
        if set(dtypes) == {"bool"}:
            a, b = operands
            differ: Value = a ^ b
            return differ & b if predicate == "lt" else differ ^ True
        common = np.result_type(*dtypes).name
        a, b = (converted(builder, value, before, common) for value, before in zip(operands, dtypes, strict=True))
        return builder.compare(predicate, a, b, unsigned=not is_signed(common))

    return row


def _compared_across_signs(builder: Builder, predicate: str, operands: list[Value], dtypes: list[str]) -> Value:
    """Exactly, as NumPy 2 does: a negative number is below every unsigned one, and equal to none."""
    a, b = operands
    signed = a if dtypes[0] == "int64" else b
    negative = builder.compare("lt", signed, 0)
    result = builder.compare(predicate, a, b, unsigned=True)
    never = builder.constant(negative.type, 0)
    always = builder.constant(negative.type, 1)
    return builder.select(negative, always if predicate == "lt" and signed is a else never, result)


def _where(builder: Builder, target: Target, operands: list[Value], dtypes: list[str], dtype: str) -> Value:
    condition = converted(builder, operands[0], dtypes[0], "bool")
    a, b = (converted(builder, value, before, dtype) for value, before in zip(operands[1:], dtypes[1:], strict=True))
    return builder.select(condition, a, b)


def _power(builder: Builder, target: Target, operands: list[Value], dtype: str) -> Value:
    if np.dtype(dtype).kind == "f":
        return mathematics.FUNCTIONS["power"](builder, *operands, target)
    return _whole_power(builder, *operands)


def _whole_power(builder: Builder, base: Value, exponent: Value) -> Value:
    """By squaring, wrapping as NumPy's integers do, until no lane has bits left; exponents are not negative."""

    def bit(power: Value, square: Value, left: Value) -> list[Value]:
        odd = builder.compare("ne", left & 1, 0)
        following = builder.binary("shift_right", left, builder.constant(left.type, 1))
        more = builder.compare("ne", builder.folded(following, lambda a, b: a | b), 0)
        return [more, builder.select(odd, power * square, power), square * square, following]

    one = builder.constant(base.type, 1)
    return builder.repeat(bit, [one, base, exponent])[0]


def _cast(builder: Builder, target: Target, operands: list[Value], dtypes: list[str], dtype: str) -> Value:
    return converted(builder, operands[0], dtypes[0], dtype)


ROWS: dict[str, Row] = {
    "add": _arithmetic("add", "or"),
    "subtract": _arithmetic("subtract", "xor"),
    "multiply": _arithmetic("multiply", "and"),
    "divide": _arithmetic("divide", "and"),
    "power": _as_result(_power),
    "maximum": _extremum("gt", "or"),
    "minimum": _extremum("lt", "and"),
    "exp": _mathematical("exp"),
    "log": _mathematical("log"),
    "log1p": _mathematical("log1p"),
    "tanh": _mathematical("tanh"),
    "erf": _mathematical("erf"),
    "sqrt": _as_result(lambda builder, target, operands, dtype: builder.unary("sqrt", operands[0])),
    "abs": _as_result(_absolute),
    "less": _compared("lt"),
    "equal": _compared("eq"),
    "where": _where,
    "cast": _cast,
    "identity": _cast,
}


def literal(value: Any) -> bool:
    """Whether a constant is written into the code. Others are arguments, so that code is not compiled for each; so is
    -0.0, which equals 0 but is not the same."""
    if value == 0:
        return math.copysign(1, value) > 0
    return value in (1, -1, 2, 0.5, math.inf, -math.inf) or value != value
