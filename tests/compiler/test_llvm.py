"""Every operation, compiled for every target and run in guarded memory, against NumPy."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from compiler.machine import run_steps
from wimmel.compiler import llvm
from wimmel.compiler.language import (
    INDEX,
    KINDS,
    OPERATIONS,
    POINTER,
    Builder,
    Function,
    Type,
    Value,
)
from wimmel.compiler.steps import Buffer, Step, row_major
from wimmel.compiler.targets import KNOWN, Target

TARGETS = [KNOWN[name] for name in ("avx512", "avx2", "sse4.2", "plain")]
DTYPE = {"f32": np.float32, "f64": np.float64, "i1": np.bool_, "i8": np.int8, "i16": np.int16, "i32": np.int32,
         "i64": np.int64}  # fmt: skip
WHOLE = ("i8", "i16", "i32", "i64")
FLOATS = ("f32", "f64")

each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


@dataclass(frozen=True)
class Code:
    """A schedule that is one function: it writes the kernel's body, given its arguments."""

    write: Callable[..., None]
    arguments: str

    def kernel(self, target: Target, name: str) -> Function:
        builder = Builder(name)
        block = builder.kernel()[0]
        self.write(builder, *builder.arguments(block, self.arguments))
        return builder.function()


def run(
    target: Target,
    write: Callable[..., None],
    inputs: Sequence[np.ndarray],
    outputs: Sequence[tuple[str | type, int]],
    numbers: Sequence[int] = (),
    seed: int = 0,
) -> list[np.ndarray]:
    """What ``write(builder, *inputs, *outputs, *numbers)`` leaves in the outputs, which begin as NaN, 77 or True."""
    read = [Buffer(array.dtype.name, array.size) for array in inputs]
    written = [Buffer(np.dtype(dtype).name, size) for dtype, size in outputs]
    places = [row_major(buffer, (buffer.elements,)) for buffer in (*read, *written)]
    code = Code(write, "p" * len(places) + "i" * len(numbers))
    step = Step(code, (*places, *numbers), tuple(written), 1)
    memory = run_steps([step], dict(zip(read, inputs, strict=True)), target, seed)
    return [memory[buffer] for buffer in written]


def drawn(kind: str, count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    if kind == "i1":
        return random.random(count) < 0.5
    if kind in FLOATS:
        special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-310, 0.5, 1.5, 2.5, -2.5]
        numbers = np.concatenate([special, random.standard_normal(count) * 100]).astype(DTYPE[kind])
        return random.permutation(numbers[:count])
    limits = np.iinfo(DTYPE[kind])
    numbers = random.integers(limits.min, limits.max, count, dtype=DTYPE[kind], endpoint=True)
    numbers[:4] = limits.min, limits.max, -1, 0
    return random.permutation(numbers)


def on_lanes(
    target: Target, function: Callable[..., Value], arrays: Sequence[np.ndarray], kinds: Sequence[str], kind: str
) -> np.ndarray:
    """A function of vectors applied to arrays of 32: with 16 lanes, with 4, and with 1, which must agree."""

    def write(builder: Builder, *pointers: Value) -> None:
        for lanes, first in ((16, 0), (4, 16), (4, 20), *((1, place) for place in range(24, 32))):
            operands = [
                builder.load(pointer, first, Type(kind, lanes))
                for pointer, kind in zip(pointers[:-1], kinds, strict=True)
            ]
            builder.store(function(builder, *operands), pointers[-1], first)

    return run(target, write, arrays, [(DTYPE[kind], 32)])[0]


def test_every_operation_is_emitted() -> None:
    emitted = {*llvm._PLAIN, *llvm._NAMED, *llvm._EMIT}
    assert emitted == set(OPERATIONS)


@each_target
@pytest.mark.parametrize("kind", [*WHOLE, *FLOATS])
def test_arithmetic(target: Target, kind: str) -> None:
    a, b = drawn(kind, 32), drawn(kind, 32, 1)
    if kind in FLOATS:
        table = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide}
    else:
        table = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "and": np.bitwise_and,
                 "or": np.bitwise_or, "xor": np.bitwise_xor}  # fmt: skip
    for operation, expected in table.items():
        found = on_lanes(target, lambda builder, x, y, o=operation: builder.binary(o, x, y), [a, b], [kind] * 2, kind)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(found, expected(a, b), operation)


@each_target
@pytest.mark.parametrize("kind", WHOLE)
def test_division_and_shifts(target: Target, kind: str) -> None:
    a, b = drawn(kind, 32), drawn(kind, 32, 1)
    b[(b == 0) | (b == -1)] = 3
    unsigned = np.dtype(DTYPE[kind]).name.replace("int", "uint")
    bits = 8 * KINDS[kind]
    by = (np.arange(32) % bits).astype(DTYPE[kind])
    u, v = a.view(unsigned), b.view(unsigned)

    def of(operation: str, x: np.ndarray, y: np.ndarray, **attributes: bool) -> np.ndarray:
        write = lambda builder, a, b: builder.binary(operation, a, b, **attributes)  # noqa: E731
        return on_lanes(target, write, [x, y], [kind] * 2, kind)

    quotient = of("quotient", a, b)
    np.testing.assert_array_equal(quotient, [int(abs(int(x)) // abs(int(y)) * (1 if (x < 0) == (y < 0) else -1))
                                             for x, y in zip(a, b, strict=True)])  # fmt: skip
    np.testing.assert_array_equal(of("remainder", a, b), a - quotient * b)
    np.testing.assert_array_equal(of("quotient", a, b, unsigned=True).view(unsigned), u // v)
    np.testing.assert_array_equal(of("remainder", a, b, unsigned=True).view(unsigned), u % v)
    np.testing.assert_array_equal(of("shift_left", a, by), a << by)
    np.testing.assert_array_equal(of("shift_right", a, by, signed=True), a >> by)
    np.testing.assert_array_equal(of("shift_right", a, by).view(unsigned), u >> by.view(unsigned))


@each_target
@pytest.mark.parametrize("kind", FLOATS)
def test_functions_of_one_float(target: Target, kind: str) -> None:
    x = drawn(kind, 32)
    table = {"negate": np.negative, "absolute": np.abs, "sqrt": np.sqrt, "floor": np.floor, "round_even": np.rint}
    for operation, expected in table.items():
        found = on_lanes(target, lambda builder, a, o=operation: builder.unary(o, a), [x], [kind], kind)
        with np.errstate(invalid="ignore"):
            wanted = expected(x)
        np.testing.assert_array_equal(found, wanted, operation)
        numbers = wanted == wanted
        np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(wanted[numbers]), operation)


@each_target
def test_a_multiply_add_rounds_once_where_the_target_can(target: Target) -> None:
    random = np.random.default_rng(0)
    a, b, c = (random.standard_normal(32).astype(np.float32) for _ in range(3))
    found = on_lanes(target, lambda builder, *abc: builder.fma(*abc), [a, b, c], ["f32"] * 3, "f32")
    exact = (a.astype(np.float64) * b + c).astype(np.float32)
    np.testing.assert_array_equal(found, exact if target.has_fma else a * b + c)
    assert (exact != a * b + c).any()


@each_target
@pytest.mark.parametrize("kind", [*WHOLE, *FLOATS])
def test_comparisons(target: Target, kind: str) -> None:
    a, b = drawn(kind, 32), drawn(kind, 32, 1)
    b[::3] = a[::3]
    table = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal,
             "ne": np.not_equal}  # fmt: skip
    for predicate, expected in table.items():
        compared = on_lanes(
            target, lambda builder, x, y, p=predicate: builder.compare(p, x, y), [a, b], [kind] * 2, "i1"
        )
        np.testing.assert_array_equal(compared, expected(a, b), predicate)
        if kind in WHOLE:
            unsigned = f"uint{8 * KINDS[kind]}"
            compared = on_lanes(
                target,
                lambda builder, x, y, p=predicate: builder.compare(p, x, y, unsigned=True),
                [a, b],
                [kind] * 2,
                "i1",
            )
            np.testing.assert_array_equal(compared, expected(a.view(unsigned), b.view(unsigned)), predicate)
    if kind in FLOATS:
        found = on_lanes(target, lambda builder, x, y: builder.compare("unordered", x, y), [a, b], [kind] * 2, "i1")
        np.testing.assert_array_equal(found, np.isnan(a) | np.isnan(b))


@each_target
@pytest.mark.parametrize("before", [*WHOLE, *FLOATS, "i1"])
@pytest.mark.parametrize("signed", [True, False])
def test_conversions(target: Target, before: str, signed: bool) -> None:
    x = drawn(before, 32)
    for after in (*WHOLE, *FLOATS, "i1"):
        values = x
        if before in FLOATS and after in WHOLE:
            size = 8 * KINDS[after] - 1
            with np.errstate(invalid="ignore"):
                values = np.nan_to_num(x, posinf=3, neginf=3) % min(2.0**size, 2.0**30)
            values = (-values if signed else values).astype(DTYPE[before])
        found = on_lanes(target, lambda builder, a, k=after: builder.convert(a, k, signed), [values], [before], after)
        read = values if signed or before not in WHOLE else values.view(f"uint{8 * KINDS[before]}")
        given = f"uint{8 * KINDS[after]}" if after in WHOLE and not signed else DTYPE[after]
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(found.view(given), read.astype(given), f"{before} to {after}")


@each_target
def test_truth_is_a_byte_in_memory(target: Target) -> None:
    """Any byte but zero counts as true, and 1 is written."""
    stored = np.array([0, 1, 2, 255, 128, 0, 7, 0] * 4, np.uint8)

    def write(builder: Builder, x: Value, y: Value, whole: Value) -> None:
        for lanes, first in ((16, 0), (8, 16), *((1, place) for place in range(24, 32))):
            truth = builder.load(x, first, Type("i1", lanes))
            builder.store(truth, y, first)
            builder.store(builder.select(truth, builder.constant(Type("i8", lanes), 5), 6), whole, first)

    found, chosen = run(target, write, [stored], [("uint8", 32), ("uint8", 32)])
    np.testing.assert_array_equal(found, stored != 0)
    np.testing.assert_array_equal(chosen, np.where(stored != 0, 5, 6))


@each_target
@pytest.mark.parametrize("kind", ["i1", *WHOLE, *FLOATS])
@pytest.mark.parametrize("seed", [0, 1])
def test_masks_keep_off_what_lies_beyond(target: Target, kind: str, seed: int) -> None:
    """With the page behind the array, and the one in front of it, forbidden."""
    for count in (-3, 0, 1, 5, 15, 16, 40):
        kept = min(max(count, 0), 16)
        x = drawn(kind, 16)[:kept]

        def write(builder: Builder, x: Value, y: Value, z: Value, count: Value) -> None:
            mask = builder.mask(count, 16)
            value = builder.load(x, 0, Type(kind, 16), mask)
            builder.store(value, y, 0, mask)
            builder.store(value, z, 0)

        found, whole = run(target, write, [x], [(DTYPE[kind], kept), (DTYPE[kind], 16)], [count], seed)
        np.testing.assert_array_equal(found, x)
        np.testing.assert_array_equal(whole, [*x, *[0] * (16 - kept)])


@each_target
@pytest.mark.parametrize("kind", ["i1", "i8", "i16", "i32", "i64", "f32", "f64"])
@pytest.mark.parametrize("index", ["i32", "i64"])
def test_gathers_and_scatters_touch_what_the_mask_allows(target: Target, kind: str, index: str) -> None:
    x = drawn(kind, 20)
    places = np.array([3, 19, 0, 7, 7, 1, 2, 18, -(2**30), 2**30, 4, 5, 2**30, 6, 9, 8]).astype(DTYPE[index])
    mask = np.abs(places.astype(np.int64)) < 20
    unlike = np.unique(places[mask], return_index=True)[1]  # of two that meet in one place, the first is kept
    alone = mask & np.isin(np.arange(16), np.flatnonzero(mask)[unlike])

    def write(builder: Builder, x: Value, places: Value, mask: Value, alone: Value, y: Value, z: Value) -> None:
        indices = builder.load(places, 0, Type(index, 16))
        value = builder.gather(x, indices, Type(kind, 16), builder.load(mask, 0, Type("i1", 16)))
        builder.store(value, y, 0)
        builder.scatter(value, z, indices, builder.load(alone, 0, Type("i1", 16)))
        first = builder.constant(Type(index, 4), (3, 0, 1, 2))
        builder.store(builder.gather(x, first, Type(kind, 4)), y, 16)

    found, scattered = run(target, write, [x, places, mask, alone], [(DTYPE[kind], 20), (DTYPE[kind], 20)])
    safe = np.where(mask, places, 0)
    np.testing.assert_array_equal(found[:16], np.where(mask, x[safe], np.zeros(1, x.dtype)))
    np.testing.assert_array_equal(found[16:], x[[3, 0, 1, 2]])
    np.testing.assert_array_equal(scattered[places[alone]], x[places[alone]])


@each_target
def test_lanes_are_moved(target: Target) -> None:
    x, y = np.arange(8, dtype=np.float32), np.arange(8, 16, dtype=np.float32)
    lanes = (15, 0, 8, 7, 7, 1)

    def write(builder: Builder, x: Value, y: Value, z: Value) -> None:
        a, b = (builder.load(pointer, 0, Type("f32", 8)) for pointer in (x, y))
        builder.store(builder.shuffle(a, b, lanes), z, 0)
        builder.store(builder.extract(b, 3), z, 6)
        builder.store(builder.folded(a, Value.__add__), z, 7)
        builder.store(builder.insert(a, builder.extract(b, 7), 2), z, 8)
        builder.store(builder.broadcast(builder.extract(a, 5), 4), z, 16)
        builder.store(builder.convert(builder.lane_numbers(Type("i32", 4)), "f32"), z, 20)
        condition = builder.compare("lt", builder.extract(a, 0), 1)
        builder.store(builder.select(condition, a, b), z, 24)

    (z,) = run(target, write, [x, y], [("float32", 32)])
    inserted = x.copy()
    inserted[2] = 15
    both = np.concatenate([x, y])
    expected = [*both[list(lanes)], 11, 28, *inserted, 5, 5, 5, 5, 0, 1, 2, 3, *x]
    np.testing.assert_array_equal(z, np.array(expected, np.float32))


@each_target
def test_literals_keep_their_bits(target: Target) -> None:
    singles = np.array([0.0, -0.0, 0.1, 1e-45, 3.4e38, np.inf, -np.inf, np.nan], np.float32)
    doubles = np.array([0.1, -0.0, 5e-324, 1.7e308, np.inf, -np.inf, np.nan, 1 / 3])
    wholes = np.array([-(2**63), 2**63 - 1, -1, 0])

    def write(builder: Builder, x: Value, y: Value, z: Value, t: Value, u: Value) -> None:
        builder.store(builder.constant(Type("f32", 8), singles), x, 0)
        builder.store(builder.constant(Type("f64", 8), tuple(doubles)), y, 0)
        for place, number in enumerate(wholes):
            builder.store(builder.constant(INDEX, int(number)), z, place)
        builder.store(builder.constant(Type("i1", 4), (True, False, 1, 0)), t, 0)
        builder.store(builder.bitcast(builder.constant(Type("f32", 8), singles), "i32"), u, 0)

    outputs = [("float32", 8), ("float64", 8), ("int64", 4), ("uint8", 4), ("int32", 8)]
    x, y, z, t, u = run(target, write, [], outputs)
    np.testing.assert_array_equal(x[:-1].view(np.int32), singles[:-1].view(np.int32))
    np.testing.assert_array_equal(u, x.view(np.int32))
    np.testing.assert_array_equal(
        y[[0, 1, 2, 3, 4, 5, 7]].view(np.int64), doubles[[0, 1, 2, 3, 4, 5, 7]].view(np.int64)
    )
    assert np.isnan(x[-1]) and np.isnan(y[6])
    np.testing.assert_array_equal(z, wholes)
    np.testing.assert_array_equal(t, [1, 0, 1, 0])


# control


@each_target
def test_loops_carry_values(target: Target) -> None:
    def write(builder: Builder, y: Value, begin: Value, end: Value) -> None:
        def turn(index: Value, before: Value, last: Value, vector: Value) -> list[Value]:
            return [before + last, before, vector + builder.broadcast(builder.convert(index, "f32"), 4)]

        first = [builder.index(0), builder.index(1), builder.constant(Type("f32", 4), (0, 1, 2, 3))]
        total, _, vector = builder.loop(begin, end, 3, turn, first)
        builder.store(builder.convert(total, "f32"), y, 0)
        builder.store(vector, y, 1)

    for begin, end in ((0, 0), (5, 5), (7, 2), (0, 1), (0, 3), (0, 4), (-5, 20), (-(2**62), -(2**62) + 7)):
        before, last, vector = 0, 1, np.arange(4, dtype=np.float32)
        for index in range(begin, end, 3):
            before, last, vector = before + last, before, vector + np.float32(index)
        (found,) = run(target, write, [], [("float32", 5)], [begin, end])
        np.testing.assert_array_equal(found, [before, *vector])


@each_target
def test_loops_and_branches_nest(target: Target) -> None:
    """Counts the divisors of each number, and of which kinds they are."""

    def write(builder: Builder, y: Value, n: Value) -> None:
        def number(i: Value) -> None:
            def divisor(j: Value, even: Value, odd: Value) -> list[Value]:
                def divides() -> list[Value]:
                    is_even = builder.compare("eq", j % 2, 0)
                    return builder.when(is_even, lambda: [even + 1, odd], lambda: [even, odd + 1])

                return builder.when(builder.compare("eq", i % j, 0), divides, lambda: [even, odd])

            even, odd = builder.loop(1, i + 1, 1, divisor, [builder.index(0)] * 2)
            builder.store(even, y, 2 * i)
            builder.when(builder.compare("gt", odd, 1), lambda: builder.store(odd, y, 2 * i + 1))

        builder.loop(0, n, 1, number)

    (found,) = run(target, write, [], [("int64", 80)], [40])
    for i in range(40):
        divisors = [j for j in range(1, i + 1) if i % j == 0]
        odd = sum(j % 2 for j in divisors)
        assert list(found[2 * i : 2 * i + 2]) == [len(divisors) - odd, odd if odd > 1 else 77]


@each_target
def test_a_repeat_ends_when_its_condition_does(target: Target) -> None:
    """The lengths of Collatz's sequences, with a loop inside."""

    def write(builder: Builder, y: Value, n: Value) -> None:
        def number(i: Value) -> None:
            def step(value: Value, count: Value) -> list[Value]:
                even = builder.compare("eq", value & 1, 0)
                (following,) = builder.when(even, lambda: [value // 2], lambda: [3 * value + 1])
                (again,) = builder.loop(0, 1, 1, lambda _, c: [c + 1], [count])
                return [builder.compare("gt", following, 1), following, again]

            builder.store(builder.repeat(step, [i, builder.index(0)])[1], y, i)

        builder.loop(1, n, 1, number)

    (found,) = run(target, write, [], [("int64", 30)], [30])
    for i in range(2, 30):
        value, count = i, 0
        while value > 1:
            value, count = (value // 2 if value % 2 == 0 else 3 * value + 1), count + 1
        assert found[i] == count
    assert found[1] == 3


# memory, threads, calls


@each_target
def test_offsets_stacks_and_hints(target: Target) -> None:
    x = np.arange(20, dtype=np.int16)

    def write(builder: Builder, x: Value, y: Value, n: Value) -> None:
        table = builder.let("stack", POINTER, bytes=64)
        moved = builder.offset(x, n, "i16")
        for level in (1, 2):
            builder.prefetch(moved, 64, "i16", level)
        builder.store(builder.load(moved, -2, Type("i16", 8)), table, 0)
        builder.fence()
        apart = builder.address(moved) - builder.address(x)
        builder.store(builder.convert(apart, "i16"), table, 0)
        builder.let("pause", None)
        builder.loop(0, 8, 1, lambda i: builder.store(builder.load(table, 7 - i, Type("i16")), y, i))

    (found,) = run(target, write, [x], [("int16", 8)], [5])
    np.testing.assert_array_equal(found, [*x[4:11][::-1], 2 * 5])


@each_target
def test_atomic_operations(target: Target) -> None:
    def write(builder: Builder, y: Value, z: Value) -> None:
        def let(operation: str, *operands: Value) -> Value:
            return builder.let(operation, INDEX, *operands)

        builder.let("atomic_store", None, builder.index(5), y)
        builder.store(let("atomic_add", y, builder.index(3)), z, 0)
        builder.store(let("compare_exchange", y, builder.index(8), builder.index(11)), z, 1)
        builder.store(let("compare_exchange", y, builder.index(8), builder.index(12)), z, 2)
        builder.store(let("atomic_load", y), z, 3)
        narrow = builder.offset(y, 1, "i64")
        builder.let("atomic_store", None, builder.constant(Type("i32"), -1), narrow)
        value = builder.let("atomic_load", Type("i32"), narrow)
        builder.store(builder.convert(value, "i64"), z, 4)

    y, z = run(target, write, [], [("int64", 2), ("int64", 5)])
    assert list(z) == [5, 8, 11, 11, -1] and y[0] == 11


def test_c_functions_and_intrinsics_are_called() -> None:
    added = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_double)(lambda a, b: a + int(b))
    seen: list[int] = []
    noted = ctypes.CFUNCTYPE(None, ctypes.c_int64)(seen.append)

    def write(builder: Builder, y: Value, add: Value, note: Value) -> None:
        function = builder.let("stack", POINTER, bytes=16)
        builder.store(add, function, 0)
        builder.store(note, function, 1)
        first, second = (builder.load(function, place, POINTER) for place in range(2))
        total = builder.let("call", INDEX, first, builder.index(40), builder.constant(Type("f64"), 2.5))
        builder.let("call", None, second, total)
        builder.store(total, y, 0)
        ones = builder.let("intrinsic", INDEX, builder.index(255), name="llvm.ctpop.i64")
        builder.store(ones, y, 1)

    addresses = [ctypes.cast(function, ctypes.c_void_p).value or 0 for function in (added, noted)]
    (y,) = run(KNOWN["avx2"], write, [], [("int64", 2)], addresses)
    assert list(y) == [42, 8] and seen == [42]


def test_a_module_holds_several_functions() -> None:
    builders = [Builder("first"), Builder("second")]
    for builder in builders:
        x = builder.parameter(Type("f32", 4))
        builder.unary("sqrt", x)
    functions = [builder.function() for builder in builders]
    text = llvm.module(functions, KNOWN["avx2"])
    assert text.count("define void @") == 2 and text.count("declare <4 x float> @llvm.sqrt.v4f32") == 1
    builder = Builder("given")
    y = builder.unary("absolute", builder.parameter(Type("f64")))
    assert "ret double %2" in llvm.module([builder.function(y)], KNOWN["plain"])


def test_code_for_another_processor_is_emitted() -> None:
    import llvmlite.binding as llvmlite

    llvmlite.initialize_all_targets()
    llvmlite.initialize_all_asmprinters()
    target = KNOWN["neon"]

    def write(builder: Builder, x: Value, y: Value) -> None:
        mask = builder.mask(builder.load(y, 0, INDEX), 4)
        value = builder.load(x, 0, Type("f32", 4), mask)
        builder.let("pause", None)
        builder.scatter(builder.fma(value, value, value), y, builder.lane_numbers(Type("i32", 4)), mask)

    module = llvmlite.parse_assembly(llvm.module([Code(write, "pp").kernel(target, "kernel")], target))
    machine = llvmlite.Target.from_triple(target.triple).create_target_machine(features=target.features)
    assert b"kernel" in machine.emit_object(module)
