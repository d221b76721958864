"""Chains: every row for every mix of dtypes gives the bits of the primitive's NumPy definition."""

import itertools

import numpy as np
import pytest

from compiler.machine import at, run_steps
from wimmel.compiler.chain import ROWS, Chain, Line, literal
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.language import Builder, Type
from wimmel.compiler.steps import KIND_OF, Buffer, row_major
from wimmel.compiler.targets import KNOWN, Target
from wimmel.graph import primitives
from wimmel.graph.tensor import Primitive

DTYPES = tuple(KIND_OF)
WHOLE = tuple(dtype for dtype in DTYPES if not dtype.startswith("float"))
TARGETS = [KNOWN[name] for name in ("avx512", "avx2", "sse4.2", "plain")]
PRIMITIVES: dict[str, Primitive] = {primitive.name: primitive for primitive in primitives.PRIMITIVES}
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-40, -1e-45, 1.5e300, 3.4e38, np.inf, -np.inf, np.nan]

each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def values(dtype: str, random: np.random.Generator, count: int) -> np.ndarray:
    """Special values, then values of all sizes."""
    kind = np.dtype(dtype)
    with np.errstate(all="ignore"):
        if kind.kind == "b":
            return random.random(count) < 0.5
        if kind.kind == "f":
            drawn = random.standard_normal(count) * 10.0 ** random.integers(-4, 5, count)
            return np.concatenate([SPECIAL, drawn])[:count].astype(dtype)
        limits = np.iinfo(kind)
        small = random.integers(0 if kind.kind == "u" else -5, 6, count)
        drawn = random.integers(limits.min, limits.max, count, dtype=kind, endpoint=True)
        picked = np.where(random.random(count) < 0.4, small, drawn).astype(kind)
        edges = np.array([0, 1, limits.max, limits.min, limits.max - 1, 2], kind)
        return np.concatenate([edges, picked])[:count]


def run(chain: Chain, arrays: list[np.ndarray], target: Target) -> list[np.ndarray]:
    shape = arrays[0].shape
    inputs = [row_major(Buffer(array.dtype.name, array.size), shape) for array in arrays]
    results = [row_major(Buffer(dtype, arrays[0].size), shape) for dtype in chain.result_dtypes]
    steps = plan_elements(chain, inputs, results, target)
    memory = run_steps(steps, dict(zip((place.buffer for place in inputs), arrays, strict=True)), target)
    return [at(result, memory) for result in results]


def assert_same_bits(found: np.ndarray, expected: np.ndarray, text: object, zeros_may_differ: bool = False) -> None:
    assert found.dtype == expected.dtype, text
    np.testing.assert_array_equal(found, expected, err_msg=str(text))
    if found.dtype.kind == "f" and not zeros_may_differ:
        numbers = expected == expected
        np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers]), err_msg=str(text))


def check(
    name: str, cases: list[tuple[str, ...]], target: Target, drawn: dict[str, list[np.ndarray]], zeros: bool = False
) -> int:
    """One chain with a line for each case, its operands' dtypes. Gives how many cases NumPy has a result for."""
    arrays = [array for dtype in DTYPES for array in drawn[dtype]]
    place = {(dtype, number): DTYPES.index(dtype) * len(drawn[dtype]) + number
             for dtype in DTYPES for number in range(len(drawn[dtype]))}  # fmt: skip
    lines, expected = [], []
    for dtypes in cases:
        operands = [drawn[dtype][number] for number, dtype in enumerate(dtypes)]
        try:
            with np.errstate(all="ignore"):
                value = PRIMITIVES[name].definition(*operands)
        except TypeError:
            continue  # NumPy has no such operation
        if value.dtype.name not in KIND_OF:
            continue  # float16, of which there are no kernels
        lines.append(Line(name, tuple(place[dtype, n] for n, dtype in enumerate(dtypes)), value.dtype.name))
        expected.append(value)
    chain = Chain(tuple(array.dtype.name for array in arrays), tuple(lines),
                  tuple(range(len(arrays), len(arrays) + len(lines))))  # fmt: skip
    for found, value, line in zip(run(chain, arrays, target), expected, lines, strict=True):
        assert_same_bits(found, value, (line, [chain.dtypes[number] for number in line.operands]), zeros)
    return len(lines)


def drawn_values(count: int, operands: int, seed: int = 0) -> dict[str, list[np.ndarray]]:
    random = np.random.default_rng(seed)
    drawn = {dtype: [values(dtype, random, count) for _ in range(operands)] for dtype in DTYPES}
    for arrays in drawn.values():
        for array in arrays[1:]:
            random.shuffle(array)  # so that each special value meets others
    return drawn


@each_target
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "maximum", "minimum", "less", "equal"])
def test_operations_on_two_of_any_dtypes(name: str, target: Target) -> None:
    cases = list(itertools.product(DTYPES, repeat=2))
    # which of two zeros is the larger depends on the loop that NumPy takes
    count = check(name, cases, target, drawn_values(301, 2), zeros=name in ("maximum", "minimum"))
    assert count > 100


@each_target
@pytest.mark.parametrize("name", ["sqrt", "abs"])
def test_operations_on_one_of_any_dtype(name: str, target: Target) -> None:
    assert check(name, [(dtype,) for dtype in DTYPES], target, drawn_values(301, 1)) >= 8


@each_target
def test_where_chooses_between_any_dtypes(target: Target) -> None:
    cases = [("bool", *pair) for pair in itertools.product(DTYPES, repeat=2)]
    cases += [(dtype, "float32", "int8") for dtype in DTYPES]
    assert check("where", cases, target, drawn_values(101, 3)) == len(cases)


@each_target
def test_whole_powers_wrap(target: Target) -> None:
    drawn = drawn_values(301, 2)
    for dtype in WHOLE:
        drawn[dtype][1] = (np.abs(drawn[dtype][1].astype(np.float64)) % 90).astype(dtype)
    cases = [pair for pair in itertools.product(WHOLE, repeat=2) if np.result_type(*pair).kind != "f"]
    assert check("power", cases, target, drawn) == len(cases)


@each_target
def test_casts_between_any_dtypes(target: Target) -> None:
    random = np.random.default_rng(5)
    for before in DTYPES:
        array = values(before, random, 301)
        lines = tuple(Line("cast", (0,), after) for after in DTYPES)
        found = run(Chain((before,), lines, tuple(range(1, len(lines) + 1))), [array], target)
        for after, result in zip(DTYPES, found, strict=True):
            with np.errstate(all="ignore"):
                expected = array.astype(after)
            kept = np.full(array.shape, True)
            if before.startswith("float") and after != "bool" and not after.startswith("float"):
                limits = np.iinfo(after)
                # beyond its limits a whole number may come out as anything
                kept = (array > np.float64(limits.min) - 1) & (array < np.float64(limits.max))
            assert_same_bits(result[kept], expected[kept], (before, after))


@each_target
def test_identity_hands_on(target: Target) -> None:
    for dtype in DTYPES:
        (array,) = drawn_values(50, 1)[dtype]
        (found,) = run(Chain((dtype,), (Line("identity", (0,), dtype),), (1,)), [array], target)
        np.testing.assert_array_equal(found.view(np.uint8), array.view(np.uint8))


@each_target
@pytest.mark.parametrize("literals", [(0.0, 1.0, -1.0, 2.0, 0.5, np.inf, -np.inf), (np.nan,)])
def test_extrema_with_a_literal_let_not_a_number_win(target: Target, literals: tuple[float, ...]) -> None:
    x = values("float32", np.random.default_rng(0), 40)
    for number in literals:
        for name, swapped in itertools.product(("maximum", "minimum"), (False, True)):
            lines = (Line("constant", (), "float32", number), Line(name, (1, 0) if swapped else (0, 1), "float32"))
            (found,) = run(Chain(("float32",), lines, (2,)), [x], target)
            expected = PRIMITIVES[name].definition(x, np.float32(number))
            np.testing.assert_array_equal(found, expected, err_msg=f"{name} {number}")


def test_every_row_is_a_primitive() -> None:
    assert set(ROWS) <= set(PRIMITIVES)


def test_a_chain_knows_its_dtypes_and_prints_itself() -> None:
    lines = (Line("cast", (0,), "float32"), Line("constant", (), "float32", 0.5), Line("multiply", (2, 3), "float32"),
             Line("less", (4, 1), "bool"))  # fmt: skip
    chain = Chain(("uint8", "float64"), lines, (5, 4))
    assert chain.dtypes == ("uint8", "float64", "float32", "float32", "float32", "bool")
    assert chain.result_dtypes == ("bool", "float32")
    assert str(chain) == (
        "v0 = cast(x0) : float32; v1 = constant(0.5) : float32; v2 = multiply(v0, v1) : float32; "
        "v3 = less(v2, x1) : bool; gives v3, v2"
    )
    assert not chain.is_identity and Chain.identity("int8").is_identity
    assert str(Chain.identity("int8")) == "gives x0"


def test_bounds_at_the_end_stand_apart() -> None:
    six = (Line("constant", (), "float32", 6.0), Line("minimum", (4, 5), "float32"))
    of_zero = (Line("constant", (), "float32", 0.0), Line("maximum", (2, 3), "float32"))
    chain = Chain(("float32", "float32"), (Line("add", (0, 1), "float32"), *of_zero, *six), (6,))
    before, bounds = chain.without_bounds()
    assert before == Chain(("float32", "float32"), (Line("add", (0, 1), "float32"),), (2,))
    x = np.array([-3, -0.0, 2, 7, np.nan, np.inf, -np.inf], np.float32)
    y = np.array([1, -0.0, 1, 1, 1, 1, 1], np.float32)
    (whole,) = run(chain, [x, y], KNOWN["plain"])
    (part,) = run(before, [x, y], KNOWN["plain"])
    (both,) = run(bounds, [part], KNOWN["plain"])
    assert_same_bits(both, whole, chain)
    np.testing.assert_array_equal(part, x + y)


@pytest.mark.parametrize(
    ("lines", "results"),
    [
        ((Line("maximum", (0, 1), "float32"),), (2,)),  # a bound that is no constant
        ((Line("constant", (), "float64", 0.0), Line("maximum", (0, 2), "float64")), (3,)),  # of another dtype
        ((Line("constant", (), "float32", 0.0), Line("maximum", (2, 0), "float32")), (3,)),  # the other way round
        (
            (Line("constant", (), "float32", 0.0), Line("maximum", (0, 2), "float32"), Line("exp", (3,), "float32")),
            (4,),
        ),
        ((Line("constant", (), "float32", 0.0), Line("maximum", (0, 2), "float32")), (3, 0)),  # several results
    ],
)
def test_what_is_no_bound_stays(lines: tuple[Line, ...], results: tuple[int, ...]) -> None:
    chain = Chain(("float32", "float32"), lines, results)
    before, bounds = chain.without_bounds()
    assert before == chain
    assert bounds == Chain(chain.result_dtypes, (), tuple(range(len(results))))


def test_lanes_keep_every_value_within_a_register() -> None:
    narrow, wide = Chain.identity("uint8"), Chain(("uint8",), (Line("cast", (0,), "float64"),), (1,))
    assert [narrow.widest(target) for target in TARGETS] == [64, 32, 16, 16]
    assert [wide.widest(target) for target in TARGETS] == [8, 4, 2, 2]


def test_scalars_among_the_inputs_are_broadcast() -> None:
    builder = Builder("chain")
    vector, scalar = builder.parameter(Type("f32", 8)), builder.parameter(Type("f32"))
    add = Chain(("float32", "float32"), (Line("add", (0, 1), "float32"),), (2, 1))
    assert [value.type.lanes for value in add.emit(builder, TARGETS[0], [vector, scalar])] == [8, 8]
    fill = Chain((), (Line("constant", (), "float32", 1.0),), (0,))
    assert fill.emit(builder, TARGETS[0], [], lanes=4)[0].type.lanes == 4


def test_few_numbers_are_written_into_the_code() -> None:
    assert all(literal(number) for number in (0, 1, True, 0.0, -1.0, 2, 0.5, np.inf, -np.inf, np.nan, np.float32(1)))
    assert not any(literal(number) for number in (3, 0.1, 1e-5, -0.0, np.float32(-0.0)))
