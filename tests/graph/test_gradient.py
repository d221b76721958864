"""Reverse mode: chains, sums over uses, broadcasting, conventions at kinks and ties, second gradients, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from oracles import assert_gradients_match, examples, finite_difference, recorded
from wimmel.graph import Primitive, array, evaluate, gradients, scope, trace
from wimmel.graph.tensor import as_tensor, input_tensor


def slope(function: Callable[..., Any], *arguments: np.ndarray, by: int = 0) -> np.ndarray:
    return recorded(lambda *tensors: gradients(function(*tensors), [tensors[by]])[0], *arguments)


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "arithmetic": lambda x, y: (x - y) * x / (y * y + 1) + 2.0**x - x**3,
    "softmax": lambda x, y: array.exp(x - array.max(x, 1, keepdims=True)) / array.sum(array.exp(x), 1, keepdims=True),
    "logarithms": lambda x, y: array.log(x * x + 1) * array.log1p(array.exp(y)) + array.sqrt(x * x + y * y + 1),
    "activations": lambda x, y: array.tanh(x) * array.erf(y) + array.expm1(x * y),
    "variance": lambda x, y: array.var(x, 0) * array.std(y, 1, keepdims=True) + array.mean(x * y),
    "products": lambda x, y: (x @ y.T) @ (x - y) + array.matmul(x[0], array.transpose(y)) @ y,
    "indexing": lambda x, y: x[::-1, 1:] * y[None, 1, :-1] + x[:, [2, 2]] * y[0, -1],
    "joining": lambda x, y: array.concatenate([x, y, x], 1) * array.stack([y, x, x], 2).reshape(2, 9),
    "padding": lambda x, y: array.pad(x, ((1, 2), (0, 3)), "reflect") * array.pad(y, ((2, 1), (3, 0)), "wrap"),
    "shapes": lambda x, y: array.swapaxes(x, 0, 1).reshape(-1) * array.flip(y, 1).ravel() + array.squeeze(x[:1, :1]),
    "extremes": lambda x, y: (
        array.maximum(x, y) * array.minimum(x, 0.5) + array.clip(y, -0.5, 0.7) * array.max(x, 1, keepdims=True)
    ),
    "choices": lambda x, y: array.where(x < y, x * y, x - y) * array.abs(y),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_whole_functions_have_first_and_second_derivatives(name: str) -> None:
    x = np.array([[0.31, -1.2, 0.83], [1.7, -0.23, 0.11]])
    y = np.array([[-0.67, 0.92, 1.31], [0.45, 0.27, -1.8]])
    assert_gradients_match(FUNCTIONS[name], x, y)


def test_third_and_fourth_derivatives_are_right_too() -> None:
    def derivative(order: int, x: Any) -> Any:
        return array.tanh(x) if order == 0 else gradients(derivative(order - 1, x), [x])[0]

    at = np.array(0.4)
    for order in range(1, 5):
        (expected,) = [finite_difference(lambda x, n=order: recorded(lambda t: derivative(n - 1, t), x), [at], 0)]
        assert np.isclose(recorded(lambda x, n=order: derivative(n, x), at), expected, rtol=1e-8)


@given(
    st.sampled_from(
        [((), (2, 3)), ((3,), (2, 3)), ((2, 1), (2, 3)), ((1, 1, 3), (2, 1)), ((0,), (1,)), ((2, 1), (0,)), ((1,), ())]
    ),
    st.sampled_from([array.add, array.subtract, array.multiply, array.divide, array.power, array.maximum]),
)
@examples(20)
def test_broadcast_operands_get_gradients_of_their_own_shape(shapes: tuple[Any, Any], operation: Any) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0.5, 1, shapes[0]), rng.uniform(1.1, 2, shapes[1])
    assert_gradients_match(operation, np.asarray(x), np.asarray(y))


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0)])
def test_a_transposition_is_undone_by_its_inverse(axes: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 2, 2))
    assert_gradients_match(lambda x: array.transpose(x * x, axes) * x, x)


def test_rules_are_not_asked_where_the_result_does_not_depend_on_a_source() -> None:
    asked: list[Any] = []
    noted = Primitive("noted", lambda x: (x.shape, x.dtype), lambda x: x, lambda g, y, x: asked.append(x) or (g,))
    x, y = input_tensor("x", (2,), np.float64), input_tensor("y", (2,), np.float64)
    gradients(array.sum(noted(x) * noted(noted(y))), [x])
    assert asked == [x]


def test_uses_of_a_value_add_up() -> None:
    np.testing.assert_array_equal(slope(lambda x: array.sum(x * x + x + x), np.array([1.0, 3.0])), [4, 8])


def test_a_source_may_lie_in_the_middle_and_depend_on_another() -> None:
    def function(x: Any) -> Any:
        y = x * x
        z = array.sum(y * y * x)
        return gradients(z, [y, x, z])

    by_y, by_x, by_z = recorded(function, np.array([2.0]))
    np.testing.assert_array_equal(by_y, [16.0])
    np.testing.assert_array_equal(by_x, [80.0])
    assert by_z == 1


def test_what_the_result_does_not_depend_on_gets_zeros() -> None:
    def function(x: Any, y: Any, z: Any) -> Any:
        return gradients(array.sum(x) + array.sum(array.stop_gradient(z)), [y, z])

    by_y, by_z = recorded(function, np.ones(2), np.ones((2, 3), np.float32), np.ones(3))
    assert by_y.dtype == np.float32
    np.testing.assert_array_equal(by_y, np.zeros((2, 3)))
    np.testing.assert_array_equal(by_z, np.zeros(3))
    by_y[:] = 1


@pytest.mark.parametrize("function", [array.argmax, lambda x: x < 0.5, lambda x: x == x, lambda x: x.astype(np.int64)])
def test_no_gradient_flows_through_whole_numbers_and_booleans(function: Callable[[Any], Any]) -> None:
    np.testing.assert_array_equal(slope(lambda x: array.sum(function(x) * 1.0), np.array([0.2, 0.9])), [0, 0])


def test_gradients_have_the_dtype_of_their_source_and_pass_through_casts() -> None:
    x, y = np.ones(2, np.float32), np.full(2, 3.0)
    by_x, by_y = recorded(lambda x, y: gradients(array.sum(x * y * np.array([1, 2])), [x, y]), x, y)
    assert (by_x.dtype, by_y.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(by_x, [3, 6])
    found = slope(lambda x: array.sum(x.astype(np.float64) ** 2), x)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [2, 2])


CONVENTIONS: dict[str, tuple[Callable[[Any], Any], list[float], list[float]]] = {
    "relu at 0 has slope 0": (lambda x: array.maximum(x, 0), [-1, 0, 2], [0, 0, 1]),
    "of two equal operands the second counts": (lambda x: array.maximum(0, x), [-1, 0, 2], [0, 1, 1]),
    "minimum likewise": (lambda x: array.minimum(x, 0), [-1, 0, 2], [1, 0, 0]),
    "abs at 0 has slope 0": (array.abs, [-2, 0, 2], [-1, 0, 1]),
    "largest elements share": (lambda x: array.max(x), [3, 1, 3], [0.5, 0, 0.5]),
    "smallest elements share": (lambda x: array.min(x), [1, 1, 3], [0.5, 0.5, 0]),
    "x ** 0 is flat, at 0 too": (lambda x: x**0, [-2, 0, 2], [0, 0, 0]),
    "x ** 1 has slope 1, at 0 too": (lambda x: x**1, [-2, 0, 2], [1, 1, 1]),
    "x ** 2 is steep on both sides": (lambda x: x**2, [-2, 0, 2], [-4, 0, 4]),
    "0 ** x is flat where it is 0": (lambda x: 0.0**x, [1, 2, 3], [0, 0, 0]),
    "a choice hides the slope of the other": (lambda x: array.where(x > 0, x, 0 * x), [-1, 0, 2], [0, 0, 1]),
    "nothing flows into what is not chosen": (
        lambda x: array.where(x > 0, array.log(array.where(x > 0, x, 1)), 0),
        [-1, 0, 2],
        [0, 0, 0.5],
    ),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_slopes_at_kinks_and_ties_are_as_documented(name: str) -> None:
    function, at, expected = CONVENTIONS[name]
    np.testing.assert_array_equal(slope(lambda x: array.sum(function(x)), np.array(at, np.float64)), expected)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, 0.5])
def test_powers_have_second_derivatives_on_both_sides_and_at_zero(exponent: float) -> None:
    def second(x: Any) -> Any:
        return gradients(array.sum(gradients(array.sum(x**exponent), [x])[0]), [x])[0]

    at = np.array([-1.5, 2.0]) if exponent in (-1, 0.5) else np.array([-1.5, 0.0, 2.0])
    at = np.abs(at) if exponent == 0.5 else at
    factor = exponent * (exponent - 1)
    np.testing.assert_allclose(recorded(second, at), factor * (at ** (exponent - 2) if factor else 0 * at), rtol=1e-14)


def test_a_power_of_zero_has_no_nan_in_either_gradient() -> None:
    by_x, by_y = recorded(
        lambda x, y: gradients(array.sum(x**y), [x, y]), np.array([0.0, 0.0, -2.0]), np.array([0.0, 2.0, 2.0])
    )
    np.testing.assert_array_equal(by_x, [0, 0, -4])
    np.testing.assert_array_equal(by_y[:2], [0, 0])


def test_a_cotangent_weights_the_elements_of_the_result() -> None:
    def function(x: Any) -> Any:
        return gradients(x * x, [x], as_tensor(np.array([1.0, 10.0])))[0]

    np.testing.assert_array_equal(recorded(function, np.array([1.0, 2.0])), [2, 40])


def test_a_cotangent_of_another_dtype_is_converted_and_of_another_shape_refused() -> None:
    x = input_tensor("x", (2,), np.float32)
    (found,) = gradients(x * 2, [x], as_tensor(np.ones(2)))
    assert found.dtype == np.float32
    with pytest.raises(ValueError, match=r"a cotangent of shape \(1,\) was given for a result of shape \(2,\)"):
        gradients(x * 2, [x], as_tensor(np.ones(1)))


@pytest.mark.parametrize("shape", [(1,), (2, 3), (0,)])
def test_only_a_single_number_can_be_differentiated(shape: tuple[int, ...]) -> None:
    x = input_tensor("x", shape, np.float64)
    with pytest.raises(ValueError, match=r"only a single number can be differentiated.*sum it, or take its mean"):
        gradients(x, [x])


def test_only_floating_point_can_be_differentiated_and_differentiated_by() -> None:
    x, i = input_tensor("x", (), np.float64), input_tensor("i", (2,), np.int64)
    with pytest.raises(TypeError, match="only a floating-point result can be differentiated, and this one is int64"):
        gradients(array.sum(i), [x])
    with pytest.raises(TypeError, match="argument of dtype int64; it must be float32 or float64"):
        gradients(x * array.sum(i), [i])
    with pytest.raises(TypeError, match="argument of dtype int64; it must be float32 or float64"):
        gradients(array.sum(i * i), [i])


def test_gradients_belong_to_the_layer_of_what_they_are_gradients_of() -> None:
    x = input_tensor("x", (2,), np.float64)
    with scope("first"):
        y = array.exp(x)
    with scope("second"):
        z = array.sum(y)
    (found,) = gradients(z, [x])
    assert found.scope == "first"


def test_deep_graphs_are_differentiated_without_recursion() -> None:
    def function(x: Any) -> Any:
        y = x
        for _ in range(5_000):
            y = y * 1.0 + 1.0
        (first,) = gradients(array.sum(y * y), [x])
        return gradients(array.sum(first), [x])[0]

    traced = trace(function, np.zeros(1))
    assert len(traced.graph.nodes()) > 10_000
    np.testing.assert_array_equal(evaluate(traced.graph, [np.zeros(1)])[0], [2.0])


def test_a_product_reused_a_hundred_times_is_differentiated_once_per_use() -> None:
    """Walking every path instead of every node would take 2**100 steps."""

    def function(x: Any) -> Any:
        for _ in range(100):
            x = x * 0.5 + x * 0.5
        return array.sum(x)

    np.testing.assert_allclose(slope(function, np.ones(2)), [1, 1])
