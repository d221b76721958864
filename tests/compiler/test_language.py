"""The builder: what folds, which types results have, how statements nest; and functions as text."""

import numpy as np
import pytest

from wimmel.compiler.language import (
    BOOLEAN,
    INDEX,
    KINDS,
    OPERATIONS,
    POINTER,
    Builder,
    If,
    Let,
    Loop,
    Repeat,
    Type,
    Value,
)
from wimmel.compiler.printing import to_text

F32X4 = Type("f32", 4)


@pytest.fixture
def builder() -> Builder:
    return Builder("made")


def written(builder: Builder) -> list[str]:
    """The operations written so far."""
    return [statement.operation for statement in builder.function().body if isinstance(statement, Let)]


def test_types_know_their_size() -> None:
    assert {kind: Type(kind).bytes for kind in KINDS} == KINDS
    assert Type("f64", 8).bytes == 64 and Type("i1", 16).bytes == 16
    assert F32X4.of(1) == Type("f32") and F32X4.as_kind("i1") == Type("i1", 4)
    assert F32X4.is_float and not INDEX.is_float and not BOOLEAN.is_float


def test_whole_numbers_fold(builder: Builder) -> None:
    three = builder.index(3)
    assert three * 4 + 2 == 14 and 2 - three == -1 and (three & 1) == 1 and (three | 4) == 7 and (three ^ 1) == 2
    for a, b in ((7, 2), (-7, 2), (7, -2), (-7, -2), (2**62, 3), (-(2**62) - 1, 3), (2**60 + 1, 2**59)):
        quotient, remainder = builder.index(a) // b, builder.index(a) % b
        assert quotient * b + remainder == a and abs(remainder) < abs(b)
        assert quotient == 0 or (quotient > 0) == ((a < 0) == (b < 0))
        assert remainder == 0 or (remainder < 0) == (a < 0)
    assert builder.minimum(3, 4) == 3 and builder.maximum(3, 4) == 4
    assert builder.binary("shift_left", 3, 2) == 12 and builder.binary("shift_right", 12, 2) == 3
    assert written(builder) == []


def test_nothing_is_written_for_zero_and_one(builder: Builder) -> None:
    x = builder.parameter(INDEX)
    assert x + 0 is x and 0 + x is x and x - 0 is x and x * 1 is x and 1 * x is x and x // 1 is x
    assert x * 0 == 0 and 0 * x == 0 and x % 1 == 0 and builder.binary("and", 0, x) == 0
    assert builder.offset(builder.parameter(POINTER), 0, "f32").type == POINTER
    assert written(builder) == []
    assert (x + 1).type == INDEX and (2 - x).type == INDEX and (-x).type == INDEX
    assert written(builder) == ["add", "subtract", "subtract"]


def test_numbers_take_the_type_they_meet(builder: Builder) -> None:
    x = builder.parameter(F32X4)
    for value in (x + 1, 2.5 * x, 1 / x, x / 3, -x):
        assert value.type == F32X4
    assert builder.compare("lt", x, 0).type == builder.compare("ge", 1.5, x).type == Type("i1", 4)
    assert builder.select(builder.compare("lt", x, 0), 1, x).type == F32X4
    assert builder.broadcast(builder.constant(Type("f32"), 2), 4).literal == 2
    assert builder.broadcast(x, 4) is x and builder.convert(x, "f32") is x
    assert builder.constant(F32X4, np.arange(4)).literal == (0, 1, 2, 3)
    assert builder.lane_numbers(Type("i32", 3)).literal == (0, 1, 2) and builder.lane_numbers(INDEX).literal == 0


def test_types_that_do_not_match_are_refused(builder: Builder) -> None:
    x, y = builder.parameter(F32X4), builder.parameter(Type("f64", 4))
    for write in (lambda: x + y, lambda: builder.compare("lt", x, y), lambda: builder.let("absorb", None, x)):
        with pytest.raises(AssertionError):
            write()
    with pytest.raises(AssertionError):
        builder.loop(0, 4, 1, lambda i, a: [builder.convert(a, "f64")], [x])
    with pytest.raises(AssertionError):
        builder.when(builder.constant(BOOLEAN, 1), lambda: [x], lambda: [y])


def test_statements_nest(builder: Builder) -> None:
    n = builder.parameter(INDEX)

    def body(i: Value, total: Value) -> list[Value]:
        return builder.when(builder.compare("lt", i, 3), lambda: total + i, lambda: [total])

    (total,) = builder.loop(0, n, 1, body, [builder.index(0)])
    (last,) = builder.repeat(lambda left: [builder.compare("gt", left, 0), left - 1], [total])
    function = builder.function(last)
    loop, repeat = function.body
    assert isinstance(loop, Loop) and isinstance(repeat, Repeat) and function.result is last
    inner = loop.body[1]
    assert isinstance(inner, If) and loop.yields == inner.results and loop.results == (total,)
    assert repeat.carried[0][1] is total and inner.otherwise == [] and len(inner.then) == 1


def test_lanes_fold_by_halves(builder: Builder) -> None:
    assert builder.folded(builder.parameter(Type("f32", 8)), Value.__add__).type == Type("f32")
    assert written(builder) == ["shuffle", "shuffle", "add"] * 2 + ["extract", "extract", "add"]


def test_every_name_is_given_once(builder: Builder) -> None:
    block, begin, end, thread = builder.kernel()
    pointer, count = builder.arguments(block, "pi")
    value = builder.load(pointer, count, F32X4, builder.mask(count, 4))
    numbers = [each.number for each in (block, begin, end, thread, pointer, count, value)]
    assert len(set(numbers)) == 7 and (pointer.type, count.type) == (POINTER, INDEX)
    assert [parameter.type for parameter in builder.function().parameters] == [POINTER, INDEX, INDEX, INDEX]


# as text


def test_every_operation_can_be_read(builder: Builder) -> None:
    x, y, z = (builder.parameter(F32X4) for _ in range(3))
    i, j, pointer = builder.parameter(Type("i32", 4)), builder.parameter(INDEX), builder.parameter(POINTER)
    truth = builder.compare("ne", x, y)
    builder.compare("lt", i, i, unsigned=True)
    builder.compare("unordered", x, y)
    builder.select(truth, x, 0.5)
    builder.fma(x, y, z)
    builder.unary("sqrt", x)
    builder.let("negate", F32X4, x)
    builder.binary("shift_right", i, 1, signed=True)
    builder.binary("quotient", j, 3, unsigned=True)
    builder.convert(i, "f32", signed=False)
    builder.convert(truth, "f32", signed=False)
    builder.bitcast(x, "i32")
    builder.broadcast(j, 4)
    builder.extract(x, 2)
    builder.insert(x, builder.constant(Type("f32"), -1), 3)
    builder.shuffle(x, y, (0, 4, 1, 5))
    builder.shuffle(x, x, (3, 2, 1, 0))
    builder.store(builder.load(pointer, j, F32X4, truth), pointer, 8)
    builder.scatter(builder.gather(pointer, i, F32X4), pointer, builder.lane_numbers(i.type), truth)
    builder.offset(pointer, j, "f64")
    builder.fence()
    builder.let("atomic_add", INDEX, pointer, j)
    builder.let("call", None, pointer, j)
    builder.let("intrinsic", F32X4, x, name="llvm.rint.v4f32")
    builder.let("stack", POINTER, bytes=64)
    assert (
        to_text(builder.function())
        == """\
made(%1: f32 x 4, %2: f32 x 4, %3: f32 x 4, %4: i32 x 4, %5: i64, %6: ptr)
    %7 = %1 != %2                 : i1 x 4
    %8 = %4 < %4 unsigned         : i1 x 4
    %9 = unordered(%1, %2)        : i1 x 4
    %10 = %1 if %7 else 0.5       : f32 x 4
    %11 = fma(%1, %2, %3)         : f32 x 4
    %12 = sqrt(%1)                : f32 x 4
    %13 = -%1                     : f32 x 4
    %14 = %4 >> 1 signed          : i32 x 4
    %15 = %5 // 3 unsigned        : i64
    %16 = %4 to f32 unsigned      : f32 x 4
    %17 = %7 to f32               : f32 x 4
    %18 = bits of %1              : i32 x 4
    %19 = %5 in every lane        : i64 x 4
    %20 = lane 2 of %1            : f32
    %21 = %1 with -1 in lane 3    : f32 x 4
    %22 = lanes 0 4 1 5 of %1, %2 : f32 x 4
    %23 = lanes 3..0 of %1        : f32 x 4
    %24 = %6[%5] where %7         : f32 x 4
    %6[8] = %24
    %25 = %6[each %4]             : f32 x 4
    %6[each <0..3>] where %7 = %25
    %26 = %6 + 8 * %5 bytes       : ptr
    fence()
    %27 = atomic_add(%6, %5)      : i64
    call %6(%5)
    %28 = llvm.rint.v4f32(%1)     : f32 x 4
    %29 = 64 bytes of stack       : ptr"""
    )


def test_loops_and_branches_are_indented(builder: Builder) -> None:
    n, pointer = builder.parameter(INDEX), builder.parameter(POINTER)

    def body(i: Value, total: Value) -> list[Value]:
        builder.when(builder.compare("eq", i, n), lambda: builder.store(total, pointer, 0))
        return builder.when(builder.constant(BOOLEAN, 1), lambda: total + i, lambda: [total])

    (total,) = builder.loop(0, n, 2, body, [n])
    (left,) = builder.repeat(lambda left: [builder.compare("gt", left, 0), left - 1], [total])
    assert (
        to_text(builder.function(left))
        == """\
made(%1: i64, %2: ptr)
    %8 = for %3 from 0 below %1 step 2 with %4 = %1 : i64
        %5 = %3 == %1 : i1
        if %5
            %2[0] = %4
        %7 = if true
            %6 = %4 + %3 : i64
            gives %6
        else
            gives %4
        next %7
    %12 = repeat with %9 = %8 : i64
        %10 = %9 > 0 : i1
        %11 = %9 - 1 : i64
        next %11
    while %10
    return %12"""
    )


def test_text_exists_for_all_operations(builder: Builder) -> None:
    operand = builder.parameter(POINTER)
    attributes = {"predicate": "lt", "unsigned": False, "kind": "i8", "signed": True, "lane": 0, "lanes": (0,),
                  "bytes": 4, "name": "some"}  # fmt: skip
    for operation in OPERATIONS:
        count = {"load": 2, "store": 3, "gather": 3, "scatter": 4, "select": 3, "insert": 2, "shuffle": 2,
                 "compare": 2, "offset": 2}.get(operation, 2 if operation in _BINARY else 1)  # fmt: skip
        builder.let(operation, INDEX, *[operand] * count, **attributes)
    assert len(to_text(builder.function()).splitlines()) == 1 + len(OPERATIONS)


_BINARY = ("add", "subtract", "multiply", "divide", "quotient", "remainder", "and", "or", "xor", "shift_left",
           "shift_right")  # fmt: skip
