"""grad and value_and_grad: by arrays, numbers, nested values and modules; nested, compiled, and refused."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from oracles import finite_difference
from wimmel.graph import Variable, array
from wimmel.runtime import compile, grad, value_and_grad

Layer = namedtuple("Layer", "weight bias")


class Scaled:
    """The least that is differentiated by as a module: it names its variables."""

    def __init__(self) -> None:
        self.scale = Variable(np.array([2.0, 3.0]), "scale")
        self.shift = Variable(np.array(1.0), "shift")
        self.calls = Variable(np.array(0.0), "calls", trainable=False)

    def named_variables(self) -> dict[str, Variable]:
        return {"scale": self.scale, "shift": self.shift, "calls": self.calls}

    def __call__(self, x: Any) -> Any:
        self.calls.write(self.calls.read() + 1)
        return x * self.scale.read() + self.shift.read()


def quadratic(x: Any) -> Any:
    return array.sum(x * x)


def test_value_and_gradient_come_as_arrays() -> None:
    value, slope = value_and_grad(quadratic)(np.array([1.0, 3.0]))
    assert (value.shape, float(value)) == ((), 10.0)
    np.testing.assert_array_equal(slope, [2, 6])


def test_the_gradient_agrees_with_finite_differences() -> None:
    def function(x: Any, y: Any) -> Any:
        return array.sum(array.exp(x * y) / (1 + x * x))

    x, y = np.array([0.3, -1.2, 0.8]), np.array([[0.5], [-0.4]])
    for place, found in enumerate(grad(function, (0, 1))(x, y)):
        np.testing.assert_allclose(found, finite_difference(compile(function), [x, y], place), rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_have_the_dtype_of_the_argument(dtype: str) -> None:
    value, slope = value_and_grad(quadratic)(np.array([1.0, 3.0], dtype))
    assert value.dtype == slope.dtype == dtype


@pytest.mark.parametrize("number", [3.0, 3, np.float64(3), np.float32(3), np.array(3.0)])
def test_arguments_may_be_numbers(number: Any) -> None:
    found = grad(lambda x: x**2)(number)
    assert found.shape == ()
    assert found == 6


def test_what_the_function_refers_to_may_change_between_calls() -> None:
    data = {"x": np.array([1.0, 2.0])}
    slope = grad(lambda w: (w * data["x"]).sum())
    assert slope(0.0) == 3
    data["x"] = np.array([10.0])
    assert slope(0.0) == 10


def test_compiled_it_is_recorded_once() -> None:
    calls = []

    def function(x: Any) -> Any:
        calls.append(x)
        return x * x

    slope = compile(grad(function))
    assert [float(slope(np.float64(x))) for x in (1.0, 2.0, 3.5)] == [2.0, 4.0, 7.0]
    assert len(calls) == 1


NESTED: dict[str, Any] = {
    "a list": [np.array([1.0, 2.0]), 3.0],
    "a tuple": (np.array([1.0, 2.0]), np.array(3.0)),
    "a named tuple": Layer(np.array([1.0, 2.0]), 3.0),
    "a dict": {"weight": np.array([1.0, 2.0]), "bias": 3},
    "nested": {"layers": [Layer(np.array([1.0, 2.0]), {"bias": 3.0})], "nothing": None},
}


def parts(parameters: Any) -> tuple[Any, Any]:
    if isinstance(parameters, dict) and "layers" in parameters:
        assert parameters["nothing"] is None
        return parameters["layers"][0].weight, parameters["layers"][0].bias["bias"]
    return tuple(parameters.values()) if isinstance(parameters, dict) else tuple(parameters)


@pytest.mark.parametrize("name", NESTED)
def test_gradients_have_the_structure_of_the_argument(name: str) -> None:
    def function(parameters: Any, x: Any) -> Any:
        weight, bias = parts(parameters)
        return array.sum(weight * weight * x) + bias * bias

    found = grad(function)(NESTED[name], np.array([1.0, 10.0]))
    assert type(found) is type(NESTED[name])
    weight, bias = parts(found)
    np.testing.assert_array_equal(weight, [2, 40])
    assert bias == 6


BY_X, BY_Y = 13.0, 4.0


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, BY_X),
        (1, BY_Y),
        (-1, BY_Y),
        (np.int64(1), BY_Y),
        ((0, 1), (BY_X, BY_Y)),
        ((-1, 0), (BY_Y, BY_X)),
        ([1], (BY_Y,)),
        ((0, -2), (BY_X, BY_X)),
        ((), ()),
    ],
)
def test_argnums_name_the_arguments_to_differentiate_by(argnums: Any, expected: Any) -> None:
    found = grad(lambda x, y: x * x * y + x, argnums)(2.0, 3.0)
    assert found == expected
    assert type(found) is (tuple if isinstance(expected, tuple) else np.ndarray)


@pytest.mark.parametrize("argnums", [2, -3, (0, 5)])
def test_argnums_that_name_no_argument_are_refused(argnums: Any) -> None:
    with pytest.raises(ValueError, match="but there are 2 positional arguments"):
        grad(lambda x, y: x, argnums)(1.0, 2.0)
    with pytest.raises(ValueError, match="argnums names argument 0, but there are 0 positional arguments"):
        grad(lambda: 1.0)()


def test_other_arguments_may_be_anything_and_are_given_by_name_too() -> None:
    def function(x: Any, times: int, *, mode: str, labels: Any) -> Any:
        assert mode == "sum"
        return array.sum(x * labels) * times

    np.testing.assert_array_equal(grad(function)(np.ones(2), 3, mode="sum", labels=np.array([1, 2])), [3, 6])


def test_what_does_not_matter_has_gradient_zero() -> None:
    by_x, by_y = grad(lambda x, y: 2.5, (0, 1))(np.ones(2), [np.ones((1, 3))])
    np.testing.assert_array_equal(by_x, [0, 0])
    np.testing.assert_array_equal(by_y[0], [[0, 0, 0]])


def test_gradients_may_be_written_into() -> None:
    slopes = grad(lambda x, y: array.sum(x) + array.sum(x), (0, 1))(np.ones((2, 2)), np.ones(3))
    for slope in slopes:
        slope += 1
    np.testing.assert_array_equal(slopes[0], np.full((2, 2), 3.0))


# gradients of gradients


def test_each_gradient_has_a_gradient() -> None:
    function = lambda x: x**4 + array.exp(x)  # noqa: E731
    found = []
    for _ in range(5):
        function = grad(function)
        found.append(float(function(1.0)))
    np.testing.assert_allclose(found, np.array([4, 12, 24, 24, 0]) + np.e)


def test_an_inner_derivative_does_not_see_the_outer_variable_as_its_own() -> None:
    """Perturbation confusion: d/dx [x * d/dy (x + y)] is 1, not 2 (Siskind and Pearlmutter, 2005)."""
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0) == 1
    assert grad(lambda x: grad(lambda y: x * y)(x))(3.0) == 1
    assert grad(lambda x: grad(lambda x: x * x)(x) * x)(3.0) == 12
    assert grad(lambda x: grad(lambda y: grad(lambda z: x * y * y * z * z * z)(2.0))(x))(5.0) == 48 * 5


def test_a_value_made_outside_is_a_constant_to_the_inner_derivative() -> None:
    def function(x: Any) -> Any:
        outside = x * x
        return grad(lambda y: outside * y)(x)

    assert grad(function)(3.0) == 6


def test_hessian_and_hessian_times_vector() -> None:
    matrix = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0], [4.0, 0.0, 1.0]])
    vector = np.array([1.0, 2.0, -1.0])

    def function(x: Any) -> Any:
        return array.sum(x * (matrix @ x))

    product = grad(lambda x: array.sum(grad(function)(x) * vector))
    np.testing.assert_allclose(product(np.ones(3)), (matrix + matrix.T) @ vector)


def test_gradients_compose_with_compile_in_both_orders() -> None:
    np.testing.assert_array_equal(compile(grad(quadratic))(np.array([1.0, 2.0])), [2, 4])
    np.testing.assert_array_equal(grad(compile(quadratic))(np.array([1.0, 2.0])), [2, 4])

    @compile
    def step(x: Any, rate: Any) -> Any:
        value, slope = value_and_grad(quadratic)(x)
        return x - rate * slope, value

    x, value = step(np.array([1.0, 2.0]), np.array(0.25))
    np.testing.assert_array_equal(x, [0.5, 1.0])
    assert value == 5


def test_variables_a_function_refers_to_are_read_anew() -> None:
    weight = Variable(np.array([1.0, 2.0]))
    slope = grad(lambda x: array.sum(x * x * weight.read()))
    np.testing.assert_array_equal(slope(np.ones(2)), [2, 4])
    weight.write(np.array([10.0, 0.0]))
    np.testing.assert_array_equal(slope(np.ones(2)), [20, 0])


# modules


def test_a_modules_gradient_is_a_dict_of_its_trainable_parameters() -> None:
    module = Scaled()
    loss = value_and_grad(lambda module, x: array.sum(module(x)))
    value, slopes = loss(module, np.array([1.0, 10.0]))
    assert value == 34
    assert list(slopes) == ["scale", "shift"]
    np.testing.assert_array_equal(slopes["scale"], [1, 10])
    assert slopes["shift"] == 2
    assert module.calls.value == 1
    module.scale.write(np.zeros(2))
    assert loss(module, np.array([1.0, 10.0]))[0] == 2


def test_modules_may_stand_beside_arrays_and_inside_lists() -> None:
    first, second = Scaled(), Scaled()

    def loss(modules: Any, x: Any) -> Any:
        return array.sum(modules[1](modules[0](x["input"])))

    by_modules, by_x = grad(loss, (0, 1))([first, second], {"input": np.array([1.0, 1.0])})
    np.testing.assert_array_equal(by_modules[0]["scale"], [2, 3])
    np.testing.assert_array_equal(by_modules[1]["scale"], [3, 4])
    np.testing.assert_array_equal(by_x["input"], [4, 9])


def test_a_module_used_twice_gets_both_gradients() -> None:
    module = Scaled()
    slopes = grad(lambda module, x: array.sum(module(module(x))))(module, np.array([1.0, 1.0]))
    np.testing.assert_array_equal(slopes["scale"], [2 * 2 + 1, 2 * 3 + 1])
    assert slopes["shift"] == 3 + 4
    assert module.calls.value == 2


def test_the_same_module_in_two_arguments_counts_in_both() -> None:
    module = Scaled()
    first, second = grad(lambda a, b, x: array.sum(a(x)) + array.sum(b(x)), (0, 1))(module, module, np.ones(2))
    np.testing.assert_array_equal(first["scale"], second["scale"])
    np.testing.assert_array_equal(first["scale"], [2, 2])


def test_a_modules_gradient_can_be_differentiated_again() -> None:
    module = Scaled()

    def sharpness(module: Any, x: Any) -> Any:
        slopes = grad(lambda module: array.sum(module(x) ** 2))(module)
        return array.sum(slopes["scale"] ** 2)

    x = np.array([1.0, 2.0])
    # d/ds sum((2 x (s x + t))^2) = 8 x^3 (s x + t)
    np.testing.assert_allclose(grad(sharpness)(module, x)["scale"], 8 * x**3 * (np.array([2.0, 3.0]) * x + 1))


# refusals


@pytest.mark.parametrize("result", [lambda x: x, lambda x: x[:1], lambda x: array.stack([x, x])])
def test_only_a_single_number_can_be_differentiated(result: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match="only a single number can be differentiated, and the function returned shape"):
        grad(result)(np.ones(2))


@pytest.mark.parametrize("result", [lambda x: (array.sum(x), x), lambda x: [x], lambda x: None, lambda x: "text"])
def test_results_of_several_parts_are_refused_in_a_sentence(result: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match=r"the function returned a (tuple|list|NoneType|str); return the number alone"):
        grad(result)(np.ones(2))


@pytest.mark.parametrize("argument", [np.array([1, 2]), np.array([True]), np.int64(3), [np.ones(2), np.array([1])]])
def test_whole_numbers_in_arrays_cannot_be_differentiated_by(argument: Any) -> None:
    with pytest.raises(TypeError, match="it must be float32 or float64"):
        grad(lambda x: 1.0)(argument)


@pytest.mark.parametrize("argument", ["text", True, len, {"weight": 1.0, "name": "first"}])
def test_what_has_no_gradient_cannot_be_differentiated_by(argument: Any) -> None:
    with pytest.raises(TypeError, match="it can be taken by numbers, arrays of float32 or float64, modules, and lists"):
        grad(lambda x: 1.0)(argument)


def test_a_result_of_whole_numbers_is_refused() -> None:
    with pytest.raises(TypeError, match="only a floating-point result can be differentiated, and this one is int64"):
        grad(lambda x: array.argmax(x))(np.ones(3))
    with pytest.raises(TypeError, match="only a floating-point result can be differentiated"):
        grad(lambda x: 3)(np.ones(3))


def test_they_say_what_they_are() -> None:
    assert grad(quadratic).__name__ == "grad(quadratic)"
    assert value_and_grad(quadratic).__name__ == "value_and_grad(quadratic)"
