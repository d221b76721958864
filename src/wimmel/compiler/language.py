"""The loop-and-vector language: what kernels are written in, and all that the LLVM emitter has to know.

    Function  = name, parameters: Value*, body: Block
    Block     = Statement*
    Statement = Let     (result, operation, operands, attributes)          one operation on values
              | Loop    (index, begin, end, step, carried, body, yields, results)
              | Repeat  (carried, body, condition, yields, results)            the body once, and while it says so
              | If      (condition, then, otherwise, yields, results)
    Value     = Type and a name, or a literal
    Type      = kind and lanes;  kind = f32 | f64 | i1 | i8 | i16 | i32 | i64 | ptr

Every name is assigned once. What changes from turn to turn of a loop is carried: the body is given the present values
and yields the next. Signedness is a matter of the operation, not of the type. `OPERATIONS` lists the operations.

A `Builder` writes functions. Values have Python's operators, and whole numbers fold, so that index arithmetic reads as
arithmetic:

    builder = Builder("double")
    block, begin, end, _ = builder.kernel()
    x, y = builder.arguments(block, "pp")

    def body(i: Value) -> None:
        value = builder.load(x, i * 16, Type("f32", 16))
        builder.store(value + value, y, i * 16)

    builder.loop(begin, end, 1, body)
    function = builder.function()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

KINDS = {"f32": 4, "f64": 8, "i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "ptr": 8}
"""Bytes of each kind in memory; i1 lives in memory as a byte, as NumPy's bool does."""

OPERATIONS: dict[str, str] = {
    "add": "a + b, of whole numbers (wrapping) or floats",
    "subtract": "a - b",
    "multiply": "a * b",
    "divide": "a / b of floats",
    "quotient": "a / b of signed whole numbers, cut towards zero; attribute unsigned",
    "remainder": "what quotient leaves",
    "fma": "a * b + c, rounded once",
    "negate": "-a of a float",
    "absolute": "|a| of a float",
    "sqrt": "correctly rounded",
    "floor": "largest whole number not above a, as a float",
    "round_even": "nearest whole number as a float, ties to even",
    "and": "bitwise, of whole numbers or i1",
    "or": "bitwise",
    "xor": "bitwise",
    "shift_left": "a << b",
    "shift_right": "a >> b, filling with zeros; attribute signed: with the sign",
    "compare": "i1; attribute predicate: lt le gt ge eq ne (floats: ordered but ne), unordered; attribute unsigned",
    "select": "b where a, else c",
    "convert": "to another kind, as C converts; attributes kind, signed (of the whole numbers taken or given)",
    "bitcast": "the same bits as another kind",
    "broadcast": "a scalar in every lane; attribute lanes",
    "extract": "one lane; attribute lane",
    "insert": "a with b in one lane; attribute lane",
    "shuffle": "lanes of a and b by number; attribute lanes",
    "load": "(pointer, index): lanes consecutive elements; with a mask, zero where it is false",
    "store": "(value, pointer, index[, mask])",
    "gather": "(pointer, indices, mask): one element for each lane, zero where the mask is false",
    "scatter": "(value, pointer, indices, mask)",
    "offset": "(pointer, index): the pointer moved on by index elements; attribute bytes of one",
    "address": "(pointer): where it points to, as i64",
    "prefetch": "(pointer, index): into the first cache; attribute level 2: into the second",
    "fence": "keeps loads and stores on their side of it in this thread's code; no instruction",
    "atomic_load": "(pointer): i64 or i32, acquire",
    "atomic_store": "(value, pointer), release",
    "atomic_add": "(pointer, value): what was there before; sequentially consistent",
    "compare_exchange": "(pointer, expected, new): what was there before",
    "pause": "tells the core that this is a spin loop",
    "call": "(pointer to a C function, *arguments): what that gives",
    "intrinsic": "an LLVM intrinsic by name; attributes name, result",
    "stack": "bytes of this call's stack as a pointer, 64-aligned; attribute bytes",
}


@dataclass(frozen=True)
class Type:
    """A kind of number and how many of them: lanes = 1 is a scalar."""

    kind: str
    lanes: int = 1

    @property
    def bytes(self) -> int:
        return KINDS[self.kind] * self.lanes

    @property
    def is_float(self) -> bool:
        return self.kind in ("f32", "f64")

    def of(self, lanes: int) -> Type:
        """The same kind with another number of lanes."""
        return Type(self.kind, lanes)

    def as_kind(self, kind: str) -> Type:
        """As many lanes of another kind."""
        return Type(kind, self.lanes)


INDEX = Type("i64")
POINTER = Type("ptr")
BOOLEAN = Type("i1")
Number: TypeAlias = "Value | int"


@dataclass(frozen=True, eq=False)
class Value:
    """A name, or a literal in every lane, of some type. ``==`` is Python's: compare with ``builder.compare``."""

    type: Type
    builder: Builder
    number: int = -1
    literal: float | int | tuple[float | int, ...] | None = None

    def __add__(self, other: Any) -> Any:
        return self.builder.binary("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self.builder.binary("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self.builder.binary("subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.builder.binary("subtract", other, self)

    def __mul__(self, other: Any) -> Any:
        return self.builder.binary("multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.builder.binary("multiply", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.builder.binary("divide", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.builder.binary("divide", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self.builder.binary("quotient", self, other)

    def __mod__(self, other: Any) -> Any:
        return self.builder.binary("remainder", self, other)

    def __and__(self, other: Any) -> Any:
        return self.builder.binary("and", self, other)

    def __or__(self, other: Any) -> Any:
        return self.builder.binary("or", self, other)

    def __xor__(self, other: Any) -> Any:
        return self.builder.binary("xor", self, other)

    def __neg__(self) -> Any:
        return self.builder.let("negate", self.type, self) if self.type.is_float else 0 - self


@dataclass(frozen=True)
class Let:
    """One operation; ``result`` is None where it gives nothing."""

    result: Value | None
    operation: str
    operands: tuple[Value, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Loop:
    """index = begin, begin + step, ... below end (signed). ``carried`` pairs each name in the body with its first
    value; ``yields`` are the next ones, ``results`` the names after the loop."""

    index: Value
    begin: Value
    end: Value
    step: Value
    carried: tuple[tuple[Value, Value], ...]
    body: Block
    yields: tuple[Value, ...]
    results: tuple[Value, ...]


@dataclass(frozen=True)
class Repeat:
    """The body once, and again as long as the condition it ends with holds; carried and yielded as in `Loop`."""

    carried: tuple[tuple[Value, Value], ...]
    body: Block
    condition: Value
    yields: tuple[Value, ...]
    results: tuple[Value, ...]


@dataclass(frozen=True)
class If:
    """Both sides yield values of the same types, which ``results`` name afterwards."""

    condition: Value
    then: Block
    then_yields: tuple[Value, ...]
    otherwise: Block
    otherwise_yields: tuple[Value, ...]
    results: tuple[Value, ...]


Statement: TypeAlias = Let | Loop | Repeat | If
Block: TypeAlias = list[Statement]


@dataclass(frozen=True)
class Function:
    """What one kernel is: emitted under this name, for one target."""

    name: str
    parameters: tuple[Value, ...]
    body: Block
    result: Value | None = None


class Builder:
    """Writes one function, statement by statement. Whole numbers may stand wherever an index is taken."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._count = 0
        self._parameters: list[Value] = []
        self._body: Block = []
        self._block = self._body

    # functions

    def kernel(self) -> tuple[Value, Value, Value, Value]:
        """The parameters of every kernel: pointer to its arguments (i64 each), first task, last task + 1, thread."""
        pointer, begin, end, thread = (self.parameter(type_) for type_ in (POINTER, INDEX, INDEX, INDEX))
        return pointer, begin, end, thread

    def parameter(self, type_: Type) -> Value:
        value = self._name(type_)
        self._parameters.append(value)
        return value

    def arguments(self, block: Value, kinds: str) -> list[Value]:
        """The first arguments of a kernel, by letter: ``p`` a pointer, ``i`` a whole number."""
        types = {"p": POINTER, "i": INDEX}
        return [self.load(block, place, types[letter]) for place, letter in enumerate(kinds)]

    def function(self, result: Value | None = None) -> Function:
        return Function(self.name, tuple(self._parameters), self._body, result)

    # statements

    def let(self, operation: str, type_: Type | None, *operands: Value, **attributes: Any) -> Value:
        """One operation of `OPERATIONS`; the result's type is the caller's to know."""
        assert operation in OPERATIONS, operation
        result = None if type_ is None else self._name(type_)
        self._block.append(Let(result, operation, operands, attributes))
        return result  # type: ignore[return-value]

    def loop(
        self, begin: Number, end: Number, step: Number, body: Callable[..., Any], carried: Sequence[Value] = ()
    ) -> list[Value]:
        """``body(index, *carried)`` for each index; it returns the next carried values, as a sequence if any."""
        index = self._name(INDEX)
        inner = [self._name(value.type) for value in carried]
        block, yields = self._within(lambda: body(index, *inner))
        assert [value.type for value in yields] == [value.type for value in carried], (yields, carried)
        results = [self._name(value.type) for value in carried]
        begin, end, step = self.index(begin), self.index(end), self.index(step)
        pairs = tuple(zip(inner, carried, strict=True))
        self._block.append(Loop(index, begin, end, step, pairs, block, yields, tuple(results)))
        return results

    def repeat(self, body: Callable[..., Sequence[Value]], carried: Sequence[Value] = ()) -> list[Value]:
        """``body(*carried)`` at least once; it returns whether to go on, then the next carried values."""
        inner = [self._name(value.type) for value in carried]
        block, (condition, *yields) = self._within(lambda: body(*inner))
        assert [value.type for value in yields] == [value.type for value in carried], (yields, carried)
        results = [self._name(value.type) for value in carried]
        pairs = tuple(zip(inner, carried, strict=True))
        self._block.append(Repeat(pairs, block, condition, tuple(yields), tuple(results)))
        return results

    def when(self, condition: Value, then: Callable[[], Any], otherwise: Callable[[], Any] = lambda: ()) -> list[Value]:
        """What `then` returns where the condition holds, else what `otherwise` returns; both may also just store."""
        first, then_yields = self._within(then)
        second, otherwise_yields = self._within(otherwise)
        assert [value.type for value in then_yields] == [value.type for value in otherwise_yields]
        results = [self._name(value.type) for value in then_yields]
        self._block.append(If(condition, first, then_yields, second, otherwise_yields, tuple(results)))
        return results

    # literals

    def constant(self, type_: Type, number: Any) -> Value:
        """A number in every lane, or one number for each lane."""
        literal = tuple(number) if isinstance(number, (tuple, list, np.ndarray)) else number
        return Value(type_, self, literal=literal)

    def index(self, number: Number) -> Value:
        return number if isinstance(number, Value) else self.constant(INDEX, int(number))

    def lane_numbers(self, type_: Type) -> Value:
        """0, 1, 2, ... along the lanes."""
        return self.constant(type_, tuple(range(type_.lanes))) if type_.lanes > 1 else self.constant(type_, 0)

    # arithmetic

    def binary(self, operation: str, a: Any, b: Any, **attributes: Any) -> Any:
        """Both of one type, or one a Python number; index arithmetic on literals folds to a Python int."""
        if isinstance(a, Value) and a.type == INDEX and isinstance(a.literal, int):
            a = a.literal
        if isinstance(b, Value) and b.type == INDEX and isinstance(b.literal, int):
            b = b.literal
        if isinstance(a, int) and isinstance(b, int):
            return _folded(operation, a, b)
        if isinstance(b, Value) and b.type == INDEX and isinstance(a, int):
            if (a == 0 and operation == "add") or (a == 1 and operation == "multiply"):
                return b
            if a == 0 and operation in ("multiply", "quotient", "remainder", "and"):
                return 0
        if isinstance(a, Value) and a.type == INDEX and isinstance(b, int):
            if (b == 0 and operation in ("add", "subtract")) or (b == 1 and operation in ("multiply", "quotient")):
                return a
            if (b == 0 and operation == "multiply") or (b == 1 and operation == "remainder"):
                return 0
        if not isinstance(a, Value):
            a = self.constant(b.type, a)
        if not isinstance(b, Value):
            b = self.constant(a.type, b)
        assert a.type == b.type, (operation, a.type, b.type)
        return self.let(operation, a.type, a, b, **attributes)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        return self.let("fma", a.type, a, b, c)

    def unary(self, operation: str, a: Value) -> Value:
        """negate, absolute, sqrt, floor or round_even."""
        return self.let(operation, a.type, a)

    def compare(self, predicate: str, a: Any, b: Any, unsigned: bool = False) -> Value:
        """lt, le, gt, ge, eq, ne, unordered (either is NaN); Python numbers take the other's type."""
        if not isinstance(a, Value):
            a = self.constant(b.type if isinstance(b, Value) else INDEX, a)
        if not isinstance(b, Value):
            b = self.constant(a.type, b)
        assert a.type == b.type, (predicate, a.type, b.type)
        return self.let("compare", a.type.as_kind("i1"), a, b, predicate=predicate, unsigned=unsigned)

    def select(self, condition: Value, a: Any, b: Any) -> Value:
        """a where the condition holds, else b; a condition of one lane chooses between whole vectors."""
        if not isinstance(a, Value):
            a = self.constant(b.type if isinstance(b, Value) else INDEX, a)
        if not isinstance(b, Value):
            b = self.constant(a.type, b)
        assert a.type == b.type, (a.type, b.type)
        return self.let("select", a.type, condition, a, b)

    def minimum(self, a: Number, b: Number) -> Any:
        """Of signed whole numbers."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.select(self.compare("lt", a, b), a, b)

    def maximum(self, a: Number, b: Number) -> Any:
        """Of signed whole numbers."""
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.select(self.compare("gt", a, b), a, b)

    def convert(self, value: Value, kind: str, signed: bool = True) -> Value:
        if value.type.kind == kind:
            return value
        return self.let("convert", value.type.as_kind(kind), value, kind=kind, signed=signed)

    def bitcast(self, value: Value, kind: str) -> Value:
        return self.let("bitcast", value.type.as_kind(kind), value)

    def broadcast(self, value: Value, lanes: int) -> Value:
        """A scalar in every lane; as it is where there is one lane, or where it has them already."""
        if value.type.lanes == lanes:
            return value
        if value.literal is not None:
            return self.constant(value.type.of(lanes), value.literal)
        return self.let("broadcast", value.type.of(lanes), value, lanes=lanes)

    def extract(self, value: Value, lane: int) -> Value:
        return value if value.type.lanes == 1 else self.let("extract", value.type.of(1), value, lane=lane)

    def insert(self, vector: Value, scalar: Value, lane: int) -> Value:
        return self.let("insert", vector.type, vector, scalar, lane=lane)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Lanes of a (0, 1, ...) and b (counting on) by number."""
        return self.let("shuffle", a.type.of(len(lanes)), a, b, lanes=tuple(lanes))

    def mask(self, count: Number, lanes: int) -> Value:
        """True in the first `count` lanes."""
        clipped = self.minimum(self.maximum(count, 0), lanes)  # so that it fits the narrower kind
        count = self.convert(self.index(clipped), "i32")
        return self.compare("lt", self.lane_numbers(Type("i32", lanes)), self.broadcast(count, lanes))

    def folded(self, value: Value, combine: Callable[[Value, Value], Value]) -> Value:
        """One scalar of all lanes, by halves: lane 0 with lane n/2, and so on. Lanes are a power of two."""
        while value.type.lanes > 1:
            half = value.type.lanes // 2
            low = self.shuffle(value, value, range(half)) if half > 1 else self.extract(value, 0)
            high = self.shuffle(value, value, range(half, 2 * half)) if half > 1 else self.extract(value, 1)
            value = combine(low, high)
        return value

    # memory. Indices count elements of the type's kind.

    def load(self, pointer: Value, index: Number, type_: Type, mask: Value | None = None) -> Value:
        operands = (pointer, self.index(index)) if mask is None else (pointer, self.index(index), mask)
        return self.let("load", type_, *operands)

    def store(self, value: Value, pointer: Value, index: Number, mask: Value | None = None) -> None:
        operands = (value, pointer, self.index(index))
        self.let("store", None, *(operands if mask is None else (*operands, mask)))

    def gather(self, pointer: Value, indices: Value, type_: Type, mask: Value | None = None) -> Value:
        mask = mask or self.constant(Type("i1", type_.lanes), 1)
        return self.let("gather", type_, pointer, indices, mask)

    def scatter(self, value: Value, pointer: Value, indices: Value, mask: Value | None = None) -> None:
        mask = mask or self.constant(Type("i1", value.type.lanes), 1)
        self.let("scatter", None, value, pointer, indices, mask)

    def offset(self, pointer: Value, index: Number, kind: str) -> Value:
        """The pointer moved on by that many elements of the kind."""
        if isinstance(index, int) and index == 0:
            return pointer
        return self.let("offset", POINTER, pointer, self.index(index), bytes=KINDS[kind])

    def address(self, pointer: Value) -> Value:
        return self.let("address", INDEX, pointer)

    def prefetch(self, pointer: Value, index: Number, kind: str, level: int = 1) -> None:
        """Has the cache of that level fetch what is there; that may be outside of any buffer."""
        self.let("prefetch", None, self.offset(pointer, index, kind), self.index(0), level=level)

    def fence(self) -> None:
        self.let("fence", None)

    # helpers

    def _name(self, type_: Type) -> Value:
        self._count += 1
        return Value(type_, self, self._count)

    def _within(self, write: Callable[[], Any]) -> tuple[Block, tuple[Value, ...]]:
        outer, self._block = self._block, []
        try:
            given = write()
            yields = () if given is None else (given,) if isinstance(given, Value) else tuple(given)
            return self._block, yields
        finally:
            self._block = outer


def _folded(operation: str, a: int, b: int) -> int:
    if operation in ("quotient", "remainder"):
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        return quotient if operation == "quotient" else a - quotient * b
    table: dict[str, Callable[[int, int], int]] = {
        "add": int.__add__,
        "subtract": int.__sub__,
        "multiply": int.__mul__,
        "and": int.__and__,
        "or": int.__or__,
        "xor": int.__xor__,
        "shift_left": int.__lshift__,
        "shift_right": int.__rshift__,
    }
    return table[operation](a, b)
