"""Shuffles, on lanes that are numbered."""

import pytest

from wimmel.compiler.kernels.shuffles import factors, interleaved, taken_apart, transposed
from wimmel.compiler.language import Builder, Let, Type, Value


def shuffled(builder: Builder, known: dict[Value, tuple], results: list[Value]) -> list[tuple]:
    """What lies in the results' lanes, when the known vectors hold these."""
    for statement in builder.function().body:
        assert isinstance(statement, Let) and statement.result is not None and statement.operation == "shuffle"
        a, b = (known[operand] for operand in statement.operands)
        known[statement.result] = tuple((a + b)[lane] for lane in statement.attributes["lanes"])
    return [known[result] for result in results]


def numbered(kind: str, count: int, lanes: int) -> tuple[Builder, list[Value], dict[Value, tuple]]:
    builder = Builder("shuffles")
    vectors = [builder.parameter(Type(kind, lanes)) for _ in range(count)]
    return builder, vectors, {v: tuple((number, lane) for lane in range(lanes)) for number, v in enumerate(vectors)}


@pytest.mark.parametrize("kind", ("i8", "i16", "f32", "f64"))
@pytest.mark.parametrize("lanes", (1, 2, 4, 8, 16))
def test_a_square_of_lanes_is_transposed(kind: str, lanes: int) -> None:
    builder, vectors, known = numbered(kind, lanes, lanes)
    found = shuffled(builder, known, transposed(builder, vectors))
    assert found == [tuple((number, lane) for number in range(lanes)) for lane in range(lanes)]


@pytest.mark.parametrize("count", range(1, 13))
@pytest.mark.parametrize("lanes", (2, 4, 16))
def test_vectors_are_interleaved_and_taken_apart_again(count: int, lanes: int) -> None:
    builder, vectors, known = numbered("f32", count, lanes)
    woven = interleaved(builder, vectors)
    found = shuffled(builder, known, woven)
    assert sum(found, ()) == tuple((number, lane) for lane in range(lanes) for number in range(count))
    apart = taken_apart(builder, woven)
    assert shuffled(builder, known, apart) == [tuple((n, lane) for lane in range(lanes)) for n in range(count)]


def test_the_network_takes_few_shuffles() -> None:
    def count(vectors: int, lanes: int, function: object) -> int:
        builder, values, _ = numbered("f32", vectors, lanes)
        function(builder, values)  # type: ignore[operator]
        return len(builder.function().body)

    assert count(16, 16, transposed) == 64
    assert count(8, 8, transposed) == 24
    assert count(3, 16, interleaved) == count(3, 16, taken_apart) == 6
    assert count(8, 16, interleaved) == count(8, 16, taken_apart) == 24
    assert count(6, 16, interleaved) == count(6, 16, taken_apart) == 18


def test_factors_are_prime_and_ascend() -> None:
    assert [factors(number) for number in (1, 2, 7, 12, 30)] == [[], [2], [7], [2, 2, 3], [2, 3, 5]]
