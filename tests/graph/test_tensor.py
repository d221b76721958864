"""Tensors: NumPy's operators, methods and promotion while recording, and sentences where only an array would do."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from oracles import assert_same_bits, recorded
from wimmel.graph import Tensor, array, evaluate, scope, trace
from wimmel.graph.tensor import DTYPES, Primitive, as_tensor, input_tensor

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
COMPARISON = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]

OTHERS = {
    "array": np.array([[2.0], [0.5]]),
    "float32 array": np.array([2.0, 0.5, 1.0], np.float32),
    "integer array": np.array([2, 1, 3]),
    "float64 number": np.float64(1.5),
    "float32 number": np.float32(1.5),
    "int64 number": np.int64(2),
    "uint8 number": np.uint8(2),
    "array of no axes": np.array(1.5),
    "float": 1.5,
    "int": 2,
    "bool": True,
}


@pytest.mark.parametrize("operation", ARITHMETIC + COMPARISON, ids=lambda o: o.__name__)
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8"])
def test_operators_with_anything_on_either_side_give_what_numpy_gives(operation: Any, other: str, dtype: str) -> None:
    x, y = np.array([3, 1, 2], dtype), OTHERS[other]
    for call in (lambda x: operation(x, y), lambda x: operation(y, x)):
        expected = call(x)
        found = recorded(call, x)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("operation", ARITHMETIC + COMPARISON, ids=lambda o: o.__name__)
def test_operators_between_tensors_give_what_numpy_gives(operation: Any) -> None:
    x, y = np.array([3.0, 1.0, 2.0]), np.array([[2.0], [1.0]], np.float32)
    np.testing.assert_allclose(recorded(operation, x, y), operation(x, y), rtol=1e-14)


def test_the_signs_and_the_matrix_product_are_operators() -> None:
    x = np.array([[1.5, -2.0], [0.0, -0.0]])
    for call in (
        operator.neg,
        operator.pos,
        operator.abs,
        lambda x: x @ x,
        lambda x: x @ np.ones(2),
        lambda x: np.ones(2) @ x,
    ):
        np.testing.assert_array_equal(recorded(call, x), call(x))


def test_assignment_with_an_operator_records_and_leaves_the_operand() -> None:
    def function(x: Any) -> Any:
        y = x
        y += 1
        y *= 2
        return x, y

    before, after = recorded(function, np.array([1.0]))
    np.testing.assert_array_equal([before, after], [[1.0], [4.0]])


@pytest.mark.parametrize("dtype", sorted(DTYPES, key=str), ids=str)
@pytest.mark.parametrize(
    "number", [2, 2.0, True, np.float32(2), np.float64(2), np.int8(2)], ids=lambda n: type(n).__name__
)
def test_dtypes_promote_as_in_numpy(dtype: np.dtype, number: Any) -> None:
    x = np.ones(2, dtype)
    for operation in (operator.add, operator.mul):
        expected = operation(x, number)
        if expected.dtype == np.float16:
            with pytest.raises(TypeError, match="float16"):
                trace(lambda x, operation=operation: operation(x, number), x)
        else:
            assert recorded(lambda x, operation=operation: operation(x, number), x).dtype == expected.dtype


@pytest.mark.parametrize("first", sorted(DTYPES, key=str), ids=str)
@pytest.mark.parametrize("second", sorted(DTYPES, key=str), ids=str)
def test_the_recorded_dtype_is_the_dtype_that_comes_out(first: np.dtype, second: np.dtype) -> None:
    x, y = np.ones(2, first), np.ones(2, second)
    for call in (
        lambda x, y: x + y,
        lambda x, y: array.maximum(x, y),
        lambda x, y: array.matmul(x, y),
        lambda x, y: x < y,
    ):
        traced = trace(call, x, y)
        (found,) = evaluate(traced.graph, [x, y])
        assert traced.graph.outputs[0].dtype == found.dtype == call(x, y).dtype


METHODS: dict[str, Callable[[Any], Any]] = {
    "astype": lambda x: x.astype(np.float32),
    "reshape with numbers": lambda x: x.reshape(3, -1),
    "reshape with a tuple": lambda x: x.reshape((3, 2)),
    "reshape with one number": lambda x: x.reshape(-1),
    "transpose": lambda x: x.transpose(),
    "transpose with None": lambda x: x.transpose(None),
    "transpose with numbers": lambda x: x.transpose(1, 0),
    "transpose with a tuple": lambda x: x.transpose((0, 1)),
    "T": lambda x: x.T,
    "swapaxes": lambda x: x.swapaxes(0, -1),
    "ravel": lambda x: x.ravel(),
    "squeeze": lambda x: x[:1].squeeze(),
    "squeeze an axis": lambda x: x[:1].squeeze(axis=0),
    "sum": lambda x: x.sum(),
    "sum over an axis": lambda x: x.sum(axis=0, keepdims=True),
    "mean": lambda x: x.mean(axis=(0, 1)),
    "var": lambda x: x.var(axis=1, ddof=1),
    "std": lambda x: x.std(axis=1, keepdims=True),
    "max": lambda x: x.max(axis=0),
    "min": lambda x: x.min(axis=1, keepdims=True),
    "argmax": lambda x: x.argmax(),
    "argmax over an axis": lambda x: x.argmax(axis=1),
    "clip": lambda x: x.clip(-1, 1),
    "dot": lambda x: x.dot(x.T),
    "rows": lambda x: array.stack([row * i for i, row in enumerate(x)]) if isinstance(x, Tensor) else x * [[0], [1]],
    "unpacking": lambda x: (lambda first, second: first - second)(*x),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_numpys(name: str) -> None:
    x = np.array([[3.0, -1.0, 2.0], [0.5, 7.0, -2.5]])
    found, expected = recorded(METHODS[name], x), np.asarray(METHODS[name](x))
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_a_tensor_knows_its_shape_dtype_and_maker() -> None:
    x = input_tensor("x", (2, 0, 3), np.float32)
    assert (x.shape, x.dtype, x.ndim, x.size, len(x)) == ((2, 0, 3), np.float32, 3, 0, 2)
    assert input_tensor("x", (), np.int64).size == 1
    assert repr(x + 1) == "Tensor(add, float32, (2, 0, 3))"
    with pytest.raises(TypeError, match="no len"):
        len(array.sum(x))
    with pytest.raises(TypeError, match="no len"):
        iter(array.sum(x))


def test_tensors_remember_the_layer_that_recorded_them() -> None:
    x = input_tensor("x", (2,), np.float64)
    with scope("features.0"):
        inside = x + 1
    assert (x.scope, inside.scope, (x + 1).scope) == ("", "features.0", "")


def test_tensors_are_told_apart_in_sets_and_dicts() -> None:
    x = input_tensor("x", (2,), np.float64)
    y = x + 1
    assert len({x, y, x}) == 2
    assert {x: "x", y: "y"}[y] == "y"


NUMBERS_ARE_NEEDED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "if": (lambda x: 1 if x.sum() > 0 else 2, "choose between values with wm.where"),
    "while": (lambda x: x.__bool__(), "choose between values with wm.where"),
    "and": (lambda x: x > 0 and x < 1, "choose between values with wm.where"),
    "in": (lambda x: x in [1.0, 2.0], "choose between values with wm.where"),
    "float": (lambda x: float(x.sum()), "Return it and convert"),
    "int": (lambda x: int(x.sum()), "Return it and convert"),
    "complex": (lambda x: complex(x.sum()), "Return it and convert"),
    "range": (lambda x: range(x.argmax()), "Return it and convert"),
    "list index": (lambda x: [1, 2, 3][x.argmax()], "Return it and convert"),
    "item": (lambda x: x.sum().item(), "Return it and convert"),
    "tolist": (lambda x: x.tolist(), "Return it and convert"),
    "np.asarray": (lambda x: np.asarray(x), "wimmel's function of the same name"),
    "np.array of several": (lambda x: np.array([x, x]), "wimmel's function of the same name"),
    "np.exp": (lambda x: np.exp(x), r"np.exp cannot record a tensor; use wimmel's own function \(wm.exp"),
    "np.maximum": (lambda x: np.maximum(x, 0), "wm.maximum"),
    "np.add with out": (lambda x: np.add(x, 1, out=np.zeros(3)), "np.add cannot record"),
    "np.add.reduce": (lambda x: np.add.reduce(x), "np.add cannot record"),
    "np.concatenate": (lambda x: np.concatenate([x, x]), "wm.concatenate"),
    "np.sum": (lambda x: np.sum(x), "np.sum cannot record a tensor; use wimmel's own function"),
    "np.where": (lambda x: np.where(x > 0, x, 0), "wm.where"),
    "adding in place to an array": (lambda x: operator.iadd(np.zeros(3), x), "np.add cannot record"),
    "writing into it": (lambda x: operator.setitem(x, 0, 1.0), "tensors are immutable; build the changed value with"),
    "writing it into an array": (
        lambda x: operator.setitem(np.zeros(3), slice(None), x),
        "wimmel's function of the same name",
    ),
    "a list of tensors as an operand": (lambda x: array.add(x, [x, x]), "wimmel's function of the same name"),
}


@pytest.mark.parametrize("name", NUMBERS_ARE_NEEDED)
def test_what_needs_numbers_is_refused_with_what_to_do_instead(name: str) -> None:
    call, sentence = NUMBERS_ARE_NEEDED[name]
    with pytest.raises(TypeError, match=sentence):
        trace(call, np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("operand", [None, "text", 1j, np.float16(1), np.array([1j]), np.array(["a"]), object()])
def test_operands_that_are_no_numbers_of_ours_are_refused(operand: Any) -> None:
    for call in (lambda x: x + operand, lambda x: array.add(operand, x), lambda x: x == operand):
        with pytest.raises(TypeError, match="wimmel computes with float32 and float64"):
            trace(call, np.ones(2))


@pytest.mark.parametrize(
    ("number", "dtype"), [(2**70, "int64"), (2**63, "int64"), (300, "uint8"), (2**2000, "float32")]
)
def test_a_number_that_the_dtype_cannot_hold_is_refused(number: int, dtype: str) -> None:
    for call in (lambda x: x + number, lambda x: array.maximum(number, x), lambda x: array.where(x > 0, number, x)):
        with pytest.raises(ValueError, match=f" was given .* beside {dtype} values, and {dtype} cannot hold it"):
            trace(call, np.ones(2, dtype))


def test_results_larger_than_any_memory_are_refused() -> None:
    x = np.ones((0, 3))
    for call in (lambda: array.reshape(x, (0, 2**62, 8)), lambda: trace(lambda x: array.reshape(x, (0, 2**62, 8)), x)):
        with pytest.raises(ValueError, match=r"reshape would give .* \(0, 4611686018427387904, 8\), .* any memory"):
            call()


@pytest.mark.parametrize("masked", [np.ma.masked_array([1.0, 2.0], [True, False]), np.ma.masked])
def test_a_masked_array_is_refused_since_its_mask_would_be_lost(masked: Any) -> None:
    for run in (
        lambda: array.sum(masked),
        lambda: array.cast(masked, np.float64),
        lambda: array.add(np.ones(2), masked),
        lambda: trace(lambda x: x, masked),
        lambda: trace(lambda x: x + masked, np.ones(2)),
    ):
        with pytest.raises(TypeError, match=r"masked array, whose mask would be lost; fill it first, .*x\.filled\(0\)"):
            run()


def test_other_kinds_of_arrays_count_as_plain_ones() -> None:
    class Measured(np.ndarray):
        pass

    x = np.arange(6.0).reshape(2, 3)
    for special in (x.view(Measured), x.view(np.matrix)):
        assert type(array.multiply(special, x)) is np.ndarray
        np.testing.assert_array_equal(array.multiply(special, special), x * x)


def test_converting_to_half_precision_is_refused() -> None:
    with pytest.raises(TypeError, match="cast would give float16, which wimmel does not compute with"):
        trace(lambda x: x.astype(np.float16), np.ones(2))


def test_a_constant_is_a_copy_that_later_changes_do_not_reach() -> None:
    weights = np.array([1.0, 2.0])
    traced = trace(lambda x: x * weights, np.ones(2))
    weights[:] = 100
    np.testing.assert_array_equal(evaluate(traced.graph, [np.ones(2)])[0], [1.0, 2.0])


def test_a_constant_cannot_be_changed_through_what_a_graph_gives() -> None:
    traced = trace(lambda x: (x, np.array([1.0, 2.0])), np.ones(2))
    for _ in range(2):
        _, found = evaluate(traced.graph, [np.ones(2)])
        np.testing.assert_array_equal(found, [1.0, 2.0])
        found[:] = 7


@pytest.mark.parametrize(
    "make", [lambda x: x.astype(">f8"), np.asfortranarray, lambda x: x[::-1, ::-1], lambda x: x[:0]]
)
def test_constants_of_any_view_are_kept_in_one_form(make: Callable[[np.ndarray], np.ndarray]) -> None:
    weights = make(np.arange(6.0).reshape(2, 3))
    traced = trace(lambda x: x + weights, np.zeros(3))
    (kept,) = (node.attributes["value"] for node in traced.graph.nodes() if node.primitive.name == "constant")
    assert kept.dtype.isnative and kept.flags.c_contiguous and not kept.flags.writeable
    np.testing.assert_array_equal(evaluate(traced.graph, [np.zeros(3)])[0], weights)


def test_a_tensor_as_a_tensor_is_itself() -> None:
    x = input_tensor("x", (2,), np.float64)
    assert as_tensor(x) is x
    assert +x is x
    assert x.astype(np.float64) is x


def test_a_primitive_runs_on_arrays_and_records_as_soon_as_one_operand_is_a_tensor() -> None:
    double = Primitive("double", lambda x: (x.shape, x.dtype), lambda x: 2 * x)
    assert_same_bits(double(np.array([1, 2])), np.array([2, 4]))
    assert isinstance(double(input_tensor("x", (2,), np.float64)), Tensor)
    assert repr(double) == "<primitive double>"


def test_an_input_without_a_value_says_so() -> None:
    stray = input_tensor("x", (2,), np.float64)
    traced = trace(lambda y: y + stray, np.ones(2))
    with pytest.raises(TypeError, match="its value is given by the caller"):
        evaluate(traced.graph, [np.ones(2)])
