"""NumPy's functions for arrays and tensors: each agrees with NumPy's of its name, and gives the same bits recorded."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.special
from hypothesis import given

from oracles import assert_gradients_match, assert_same_bits, examples, largest_difference, recorded
from wimmel.graph import array, trace
from wimmel.runtime import grad

INTEGERS = ("bool", "uint8", "int8", "int64")
FLOATS = ("float32", "float64")
NUMBERS = ("uint8", "int8", "int32", "int64", *FLOATS)


@st.composite
def arrays(
    draw: Any, dtypes: Sequence[str] = NUMBERS, min_dims: int = 0, max_dims: int = 3, min_side: int = 0
) -> np.ndarray:
    shape = draw(hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=4))
    return draw(filled(shape, dtypes))


@st.composite
def filled(draw: Any, shape: tuple[int, ...], dtypes: Sequence[str] = NUMBERS) -> np.ndarray:
    """An array of that shape: random numbers, or at times only a few different ones, so that there are ties."""
    dtype = draw(st.sampled_from(dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    few = draw(st.integers(0, 3)) == 0
    values = (
        rng.integers(0 if dtype[0] in "ub" else -3, 4, shape) if few or dtype not in FLOATS else rng.normal(size=shape)
    )
    return np.asarray(values, dtype)


@st.composite
def broadcasting(draw: Any, count: int, dtypes: Sequence[str] = NUMBERS, numbers: bool = True) -> list[Any]:
    """Arrays whose shapes broadcast; all but one may be Python numbers instead."""
    drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=count, min_side=0, max_side=3, max_dims=3))
    values = [draw(filled(shape, dtypes)) for shape in drawn.input_shapes]
    stays = draw(st.integers(0, count - 1))
    return [
        draw(st.sampled_from([0, 1, 3, 0.5, 2.25])) if numbers and i != stays and draw(st.booleans()) else value
        for i, value in enumerate(values)
    ]


def assert_agrees(function: Callable[..., Any], expected: Any, *operands: Any, rounding: float = 0.0) -> None:
    """The function of these arrays is what NumPy says, in shape and dtype too, and recorded it has the same bits."""
    expected = np.asarray(expected)
    found = np.asarray(function(*operands))
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    if rounding and found.dtype.kind == "f":
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(found[~finite], expected[~finite])
        single = any(getattr(value, "dtype", None) == np.float32 for value in [found, *operands])
        assert largest_difference(found[finite], expected[finite]) <= rounding * (2**29 if single else 1)
    else:
        np.testing.assert_array_equal(found, expected)
    assert_same_bits(recorded(function, *operands), found)


EPS = float(np.finfo(np.float64).eps)

# element by element

UNARY = {
    "square": np.square,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "erf": scipy.special.erf,
    "abs": np.abs,
    "negative": np.negative,
    "isfinite": np.isfinite,
}
KEEPS_WHOLE_NUMBERS = ("square", "abs", "negative", "isfinite")
BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "less": np.less,
    "less_equal": np.less_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
}
ELSEWHERE = {
    "power", "clip", "where", "cast", "stop_gradient", "sum", "mean", "var", "std", "max", "min", "argmax", "dot",
    "matmul", "reshape", "transpose", "swapaxes", "moveaxis", "squeeze", "expand_dims", "broadcast_to", "concatenate",
    "stack", "flip", "pad", "take", "one_hot", "getitem",
}  # fmt: skip
"""Functions with a test of their own below."""


def test_no_public_function_is_forgotten_here() -> None:
    public = {
        name
        for name, value in vars(array).items()
        if inspect.isfunction(value) and value.__module__.startswith(array.__name__)
    }
    assert {name for name in public if not name.startswith("_")} == {*UNARY, *BINARY, *ELSEWHERE}


@pytest.mark.parametrize("name", UNARY)
@given(data=st.data())
@examples(25)
def test_functions_of_one_number_are_numpys(name: str, data: st.DataObject) -> None:
    x = data.draw(arrays(NUMBERS if name in KEEPS_WHOLE_NUMBERS else ("int32", "int64", *FLOATS)))
    with np.errstate(all="ignore"):
        assert_agrees(getattr(array, name), UNARY[name](x), x, rounding=8 * EPS)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", FLOATS)
def test_functions_of_one_number_treat_special_values_as_numpy_does(name: str, dtype: str) -> None:
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 89.0, -104.0, 710.0, -746.0, 1e30]
    x = np.array(special, dtype)
    with np.errstate(all="ignore"):
        assert_agrees(getattr(array, name), UNARY[name](x), x, rounding=8 * EPS)


@pytest.mark.parametrize("name", BINARY)
@given(data=st.data())
@examples(40)
def test_functions_of_two_numbers_are_numpys(name: str, data: st.DataObject) -> None:
    x, y = data.draw(broadcasting(2))
    with np.errstate(all="ignore"):
        assert_agrees(getattr(array, name), BINARY[name](x, y), x, y)


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_numbers_treat_special_values_as_numpy_does(name: str) -> None:
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5])
    x, y = special[:, None], special
    with np.errstate(all="ignore"):
        assert_agrees(getattr(array, name), BINARY[name](x, y), x, y)


@given(broadcasting(2, ("int64", *FLOATS)))
@examples(40)
def test_power_is_numpys(operands: list[Any]) -> None:
    x, y = operands
    if all(np.asarray(value).dtype.kind == "i" for value in operands):
        y = abs(y)
    with np.errstate(all="ignore"):
        assert_agrees(array.power, np.power(x, y), x, y, rounding=4 * EPS)


@pytest.mark.parametrize("number", [-1, 256, 300, -(2**40)])
@pytest.mark.parametrize("name", ["less", "less_equal", "equal", "not_equal"])
def test_comparing_with_a_whole_number_that_the_dtype_cannot_hold_is_no_overflow(name: str, number: int) -> None:
    x = np.array([0, 1, 255], np.uint8)
    assert_agrees(lambda x: getattr(array, name)(x, number), BINARY[name](x, number), x)
    assert_agrees(lambda x: getattr(array, name)(number, x), BINARY[name](number, x), x)


@given(broadcasting(3, FLOATS), st.booleans(), st.booleans())
@examples(50)
def test_clip_is_numpys(operands: list[Any], below: bool, above: bool) -> None:
    x, low, high = operands
    low, high = low if below else None, high if above else None
    expected = np.asarray(x) if low is None and high is None else np.clip(x, low, high)
    assert_agrees(array.clip, expected, x, low, high)


def test_clip_lets_nan_through_and_has_slope_one_at_its_ends() -> None:
    np.testing.assert_array_equal(array.clip(np.array([np.nan, -np.inf, 5.0]), 0, 1), [np.nan, 0, 1])
    slope = grad(lambda x: array.sum(array.clip(x, 0.0, 1.0)))(np.array([-0.1, 0.0, 0.5, 1.0, 1.1]))
    np.testing.assert_array_equal(slope, [0, 1, 1, 1, 0])


@given(broadcasting(2, NUMBERS), st.data())
@examples(50)
def test_where_is_numpys(operands: list[Any], data: st.DataObject) -> None:
    x, y = operands
    shape = np.broadcast_shapes(np.shape(x), np.shape(y))
    condition = data.draw(filled(shape, ("bool", "int64", "float64")))
    assert_agrees(array.where, np.where(condition, x, y), condition, x, y)


def test_where_takes_a_python_condition() -> None:
    assert_agrees(lambda x: array.where(True, x, 0), [1.5], np.array([1.5]))


@given(arrays((*INTEGERS, *FLOATS)), st.sampled_from((*INTEGERS, *FLOATS)))
@examples(50)
def test_cast_is_astype(x: np.ndarray, dtype: str) -> None:
    x = np.asarray(abs(x)) if dtype[0] == "u" else x
    assert_agrees(lambda x: array.cast(x, dtype), x.astype(dtype), x)
    assert_agrees(lambda x: array.cast(x, np.dtype(dtype).type), x.astype(dtype), x)


def test_cast_overflows_to_infinity_without_a_warning() -> None:
    assert_agrees(
        lambda x: array.cast(x, np.float32), np.array([np.inf, -np.inf], np.float32), np.array([1e300, -1e300])
    )


def test_stop_gradient_is_the_value_itself() -> None:
    x = np.array([1.0, np.nan])
    assert_agrees(array.stop_gradient, x, x)


# reductions

REDUCTIONS = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "var": np.var, "std": np.std}


@st.composite
def over_axes(draw: Any, dtypes: Sequence[str], min_side: int = 1) -> tuple[np.ndarray, Any, bool]:
    """An array, an axis, some axes, or None, and whether to keep them."""
    x = draw(arrays(dtypes, min_side=min_side))
    chosen = [None]
    if x.ndim:
        places = st.integers(-x.ndim, x.ndim - 1)
        chosen += [draw(places), tuple(draw(st.lists(places, max_size=3, unique_by=lambda a: a % x.ndim)))]
    return x, draw(st.sampled_from(chosen)), draw(st.booleans())


@pytest.mark.parametrize("name", REDUCTIONS)
@given(data=st.data())
@examples(40)
def test_reductions_are_numpys(name: str, data: st.DataObject) -> None:
    x, axis, keepdims = data.draw(over_axes((*INTEGERS, *FLOATS) if name in ("sum", "mean", "max", "min") else NUMBERS))
    expected = REDUCTIONS[name](x, axis=axis, keepdims=keepdims)
    # a root makes much of the rounding of a variance near zero
    rounding = EPS**0.5 if name == "std" and x.dtype != np.float32 else 16 * EPS
    assert_agrees(lambda x: getattr(array, name)(x, axis=axis, keepdims=keepdims), expected, x, rounding=rounding)


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "uint64"])
def test_extremes_of_whole_numbers_reach_the_ends_of_their_range(name: str, dtype: str) -> None:
    ends = [False, True] if dtype == "bool" else [np.iinfo(dtype).min, np.iinfo(dtype).max]
    x = np.array([ends, ends[::-1], [ends[0]] * 2, [ends[1]] * 2], dtype)
    assert_agrees(lambda x: getattr(array, name)(x, axis=1), REDUCTIONS[name](x, axis=1), x)


@given(over_axes(FLOATS), st.integers(0, 3))
@examples(40)
def test_variance_divides_by_the_count_less_ddof(drawn: tuple[np.ndarray, Any, bool], ddof: int) -> None:
    x, axis, keepdims = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = np.var(x, axis=axis, ddof=ddof, keepdims=keepdims)
    found = array.var(x, axis=axis, ddof=ddof, keepdims=keepdims)
    assert_agrees(lambda x: array.var(x, axis=axis, ddof=ddof, keepdims=keepdims), found, x)
    counted = np.isfinite(expected) & (np.abs(expected) > 1e-12)
    np.testing.assert_allclose(
        np.asarray(found)[counted], expected[counted], rtol=1e-4 if x.dtype == np.float32 else 1e-10
    )
    assert not (np.asarray(found) < 0).any()


def test_reductions_of_nothing_are_numpys_and_the_largest_of_nothing_is_refused() -> None:
    x = np.zeros((0, 3))
    assert_agrees(lambda x: array.sum(x, 0), np.zeros(3), x)
    assert_agrees(lambda x: array.mean(x, 0), np.full(3, np.nan), x)
    assert_agrees(lambda x: array.max(x, 1), np.zeros(0), x)
    for function in (array.max, array.min, array.argmax):
        with pytest.raises(ValueError, match=r"max was given shape \(0, 3\): there is no largest"):
            function(x, 0)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_pass_nan_and_infinity_on_without_a_warning(name: str) -> None:
    x = np.array([[np.nan, 1.0], [np.inf, 2.0], [np.inf, -np.inf]])
    with np.errstate(all="ignore"):
        assert_agrees(lambda x: getattr(array, name)(x, axis=1), REDUCTIONS[name](x, axis=1), x, rounding=EPS)


@given(arrays((*INTEGERS, *FLOATS), min_side=1), st.booleans(), st.data())
@examples(50)
def test_argmax_is_numpys_and_takes_the_first_of_equals(x: np.ndarray, keepdims: bool, data: st.DataObject) -> None:
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1)) if x.ndim else None
    assert_agrees(lambda x: array.argmax(x, axis, keepdims), np.argmax(x, axis, keepdims=keepdims), x)


def test_argmax_finds_the_first_nan() -> None:
    x = np.array([1.0, np.nan, np.inf, np.nan])
    assert_agrees(array.argmax, 1, x)


# products


@given(st.data())
@examples(60)
def test_matmul_and_its_operator_are_numpys(data: st.DataObject) -> None:
    shapes = data.draw(
        hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, min_side=0, max_side=3, max_dims=2)
    )
    x, y = (data.draw(filled(shape, (*INTEGERS, *FLOATS))) for shape in shapes.input_shapes)
    assert_agrees(array.matmul, np.matmul(x, y), x, y, rounding=8 * EPS)
    assert_agrees(lambda x, y: x @ y, np.matmul(x, y), x, y, rounding=8 * EPS)


@pytest.mark.parametrize(
    ("x", "y"),
    [((), (3,)), ((3,), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 3), (3, 2)), ((2, 2, 3), (3, 4)), ((3,), (2, 3, 4))],
)
def test_dot_is_numpys(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=x), rng.normal(size=y)
    assert_agrees(array.dot, np.dot(left, right), left, right, rounding=8 * EPS)


def test_dot_refuses_what_numpys_would_make_an_outer_product_of() -> None:
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 3, 4\); for products of many matrices use matmul"):
        array.dot(np.ones((2, 3)), np.ones((2, 3, 4)))


# shape


@given(arrays((*INTEGERS, *FLOATS)), st.data())
@examples(50)
def test_axes_move_as_in_numpy(x: np.ndarray, data: st.DataObject) -> None:
    order = data.draw(st.none() | st.permutations(range(x.ndim)))
    assert_agrees(lambda x: array.transpose(x, order), np.transpose(x, order), x)
    if x.ndim:
        a, b = (data.draw(st.integers(-x.ndim, x.ndim - 1)) for _ in range(2))
        assert_agrees(lambda x: array.transpose(x, [*range(-x.ndim, 0)][::-1]), x.T, x)
        assert_agrees(lambda x: array.swapaxes(x, a, b), np.swapaxes(x, a, b), x)
        assert_agrees(lambda x: array.moveaxis(x, a, b), np.moveaxis(x, a, b), x)
        axes = data.draw(st.none() | st.just(a) | st.sets(st.integers(0, x.ndim - 1)).map(tuple))
        assert_agrees(lambda x: array.flip(x, axes), np.flip(x, axes), x)


@given(arrays((*INTEGERS, *FLOATS)), st.data())
@examples(50)
def test_shapes_change_as_in_numpy(x: np.ndarray, data: st.DataObject) -> None:
    for shape in [(-1,), x.size, x.shape[::-1], (1, *x.shape, 1), [*x.shape, 1], np.array([1, x.size])]:
        assert_agrees(lambda x, shape=shape: array.reshape(x, shape), np.reshape(x, shape), x)
    place = data.draw(st.integers(-x.ndim - 1, x.ndim))
    grown = np.expand_dims(x, place)
    assert_agrees(lambda x: array.expand_dims(x, place), grown, x)
    assert_agrees(lambda x: array.squeeze(x, place), x, grown)
    assert_agrees(array.squeeze, np.squeeze(grown), grown)
    assert_agrees(lambda x: array.broadcast_to(x, 4), np.ones(4), np.ones(1))
    wider = (data.draw(st.integers(0, 3)), *(3 if size == 1 else size for size in x.shape))
    assert_agrees(lambda x: array.broadcast_to(x, wider), np.broadcast_to(x, wider), x)


@given(arrays((*INTEGERS, *FLOATS), min_dims=1), st.integers(1, 3), st.data())
@examples(50)
def test_values_are_joined_as_in_numpy(x: np.ndarray, count: int, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    shape = list(x.shape)
    parts = [x]
    for _ in range(count - 1):
        shape[axis] = data.draw(st.integers(0, 3))
        parts.append(data.draw(filled(tuple(shape), (*INTEGERS, *FLOATS))))
    assert_agrees(lambda *parts: array.concatenate(parts, axis), np.concatenate(parts, axis), *parts)
    alike = [data.draw(filled(x.shape)) for _ in range(count)]
    place = data.draw(st.integers(-x.ndim - 1, x.ndim))
    assert_agrees(lambda *parts: array.stack(parts, place), np.stack(alike, place), *alike)


def test_the_rows_of_one_value_can_be_joined() -> None:
    x = np.arange(6.0).reshape(3, 2)
    assert_agrees(array.concatenate, np.concatenate(x), x)
    assert_agrees(lambda x: array.stack(x, 1), np.stack(x, 1), x)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: array.reshape(x, (4, -1)), "is not a multiple of 4"),
        (lambda x: array.reshape(x, (-1, -1)), "only one may be -1"),
        (lambda x: array.reshape(x, (7,)), "6 elements, and cannot make it"),
        (lambda x: array.transpose(x, (0, 0)), "each axis is named once"),
        (lambda x: array.transpose(x, (0, 2)), "transpose was given axis 2; with 2 axes"),
        (lambda x: array.squeeze(x, 0), "only axes of size 1 can go"),
        (lambda x: array.sum(x, (0, -2)), "names an axis twice"),
        (lambda x: array.sum(x, 2), "axis 2; with 2 axes it lies between -2 and 1"),
        (lambda x: array.broadcast_to(x, (2, 4)), "does not stretch"),
        (lambda x: array.broadcast_to(x, (3,)), "does not stretch"),
        (lambda x: array.concatenate([]), "needs at least one"),
        (lambda x: array.concatenate([x, x.T]), "along all axes but axis 0 they must agree"),
        (lambda x: array.concatenate([array.sum(x)]), "no axes"),
        (lambda x: array.matmul(x, x), "must agree"),
        (lambda x: array.matmul(x, 2.0), r"use \*"),
        (lambda x: array.add(x, np.zeros(4)), "do not broadcast"),
        (lambda x: array.pad(x, -1), "widths are 0 or more"),
        (lambda x: array.pad(x, 1.5), "give a number"),
        (lambda x: array.pad(x, ((1, 1),) * 3), "for 2 axes"),
        (lambda x: array.pad(x, 1, "mirror"), "the modes are constant, reflect, replicate and circular"),
        (lambda x: array.pad(x[:0], 1, "reflect"), "it is empty"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence_on_arrays_and_tensors(
    call: Callable[[Any], Any], sentence: str
) -> None:
    x = np.arange(6.0).reshape(2, 3)
    with pytest.raises(ValueError, match=sentence):
        call(x)
    with pytest.raises(ValueError, match=sentence):
        trace(call, x)


@pytest.mark.parametrize("name", [*REDUCTIONS, "argmax", "flip", "squeeze", "expand_dims"])
def test_a_wrong_axis_is_refused_in_the_name_of_the_function(name: str) -> None:
    for run in (lambda x: getattr(array, name)(x, 9), lambda x: trace(lambda x: getattr(array, name)(x, 9), x)):
        with pytest.raises(ValueError, match=f"^{name} was given axis 9; with [23] axes it lies between"):
            run(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"^sum was given axis 0 and a single number, which has no axes"):
        array.sum(1.0, 0)


def test_stack_speaks_of_itself() -> None:
    for values, axis, sentence in [
        ([np.ones(2)] * 2, 5, "stack was given axis 5"),
        (
            [np.ones(2), np.ones(3)],
            0,
            r"stack was given values of shapes \[\(2,\), \(3,\)\]; it needs .*all of one shape",
        ),
        ([], 0, "it needs at least one"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            array.stack(values, axis)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: array.reshape(x, (2.0, 3)), "sizes are whole numbers"),
        (lambda x: array.broadcast_to(x, 2.0), "sizes are whole numbers"),
        (lambda x: array.sum(x, 1.0), "an axis is a whole number"),
        (lambda x: array.sum(x, "rows"), "sum was given the axis 'rows'; an axis is a whole number"),
        (lambda x: array.argmax(x, (0, 1)), r"argmax was given the axis \(0, 1\); an axis is a whole number"),
        (
            lambda x: array.moveaxis(x, (0, 1), (1, 0)),
            r"moveaxis was given the axis \(0, 1\); an axis is a whole number",
        ),
        (lambda x: array.expand_dims(x, (0, 1)), "an axis is a whole number"),
        (lambda x: array.take(x, np.array([0.0])), "indices are integers"),
        (lambda x: array.one_hot(x, 3), "classes are integers"),
        (lambda x: array.cast(x, np.float16), "float16"),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused_in_a_sentence(call: Callable[[Any], Any], sentence: str) -> None:
    x = np.arange(6.0).reshape(2, 3)
    for run in (call, lambda x: trace(call, x)):
        with pytest.raises(TypeError, match=sentence):
            run(x)


# padding

MODES = {"reflect": "reflect", "replicate": "edge", "edge": "edge", "circular": "wrap", "wrap": "wrap"}


@given(arrays(("int64", *FLOATS), min_side=1), st.data())
@examples(40)
def test_padding_is_numpys_also_wider_than_the_axis(x: np.ndarray, data: st.DataObject) -> None:
    widths = [(data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))) for _ in range(x.ndim)]
    for mode, theirs in MODES.items():
        if x.ndim:
            assert_agrees(lambda x, mode=mode: array.pad(x, widths, mode), np.pad(x, widths, theirs), x)
    if x.ndim:
        assert_agrees(lambda x: array.pad(x, widths, constant_values=-2), np.pad(x, widths, constant_values=-2), x)


@pytest.mark.parametrize(
    "width", [0, 2, (1, 2), [1, 2], ((1, 2),), ((0, 1), (2, 0)), np.int64(1), np.array([[1, 2], [0, 3]])]
)
def test_widths_may_be_written_as_in_numpy(width: Any) -> None:
    x = np.arange(6).reshape(2, 3)
    for mode in ("constant", "reflect"):
        assert_agrees(lambda x, mode=mode: array.pad(x, width, mode), np.pad(x, width, mode), x)


@pytest.mark.parametrize("mode", MODES)
def test_padding_has_derivatives(mode: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, 2))
    assert_gradients_match(lambda x: array.pad(array.square(x), ((4, 1), (0, 3)), mode), x)


# indexing


@given(arrays((*INTEGERS, *FLOATS), min_dims=1, min_side=1), st.data())
@examples(60)
def test_take_is_numpys(x: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    size = x.size if axis is None else x.shape[axis]
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
    dtype = data.draw(st.sampled_from(["int64", "int32", "uint8", "uint64"]))
    places = data.draw(hnp.arrays(dtype, shape, elements=st.integers(0 if dtype[0] == "u" else -size, size - 1)))
    assert_agrees(lambda x, places: array.take(x, places, axis), np.take(x, places.astype(np.int64), axis), x, places)


def test_take_takes_a_number_or_a_list() -> None:
    x = np.arange(6).reshape(2, 3)
    assert_agrees(lambda x: array.take(x, -1, 1), [2, 5], x)
    assert_agrees(lambda x: array.take(x, [0, 0], 0), x[[0, 0]], x)


@pytest.mark.parametrize("place", [3, -4, 2**40])
def test_taking_from_outside_is_refused(place: int) -> None:
    with pytest.raises(IndexError, match="the axis has 3 elements: 0 to 2, or -3 to -1 from the end"):
        array.take(np.arange(3), np.array([0, place]))


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> Any:
    """What may stand in brackets behind an array of that shape: numbers, slices, None, ..., and at most one array."""
    items: list[Any] = []
    array_at = draw(st.integers(0, 2 * len(shape)))
    covered = draw(st.integers(0, len(shape)))
    skipped = len(shape) - covered
    ellipsis_at = draw(st.integers(0, covered)) if skipped or draw(st.booleans()) else None
    for place in range(covered):
        if place == ellipsis_at:
            items.append(...)
        if draw(st.integers(0, 4)) == 0:
            items.append(None)
        size = shape[place if ellipsis_at is None or place < ellipsis_at else place + skipped]
        if place == array_at and size:
            which = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=5))
            found = draw(hnp.arrays("int64", which, elements=st.integers(-size, size - 1)))
            items.append(found.tolist() if found.ndim == 1 and draw(st.booleans()) else found)
        elif draw(st.booleans()) and size:
            items.append(draw(st.sampled_from([int, np.int32, np.uint8]))(draw(st.integers(0, size - 1))))
        elif draw(st.booleans()) and size:
            items.append(draw(st.integers(-size, -1)))
        else:
            end = st.none() | st.integers(-size - 3, size + 3)
            items.append(slice(draw(end), draw(end), draw(st.none() | st.sampled_from([-5, -3, -2, -1, 1, 2, 3, 5]))))
    if ellipsis_at == covered:
        items.append(...)
    return items[0] if len(items) == 1 and draw(st.booleans()) else tuple(items)


@given(arrays(("int64", "float64"), max_dims=4), st.data())
@examples(150)
def test_brackets_mean_what_they_mean_in_numpy(x: np.ndarray, data: st.DataObject) -> None:
    index = data.draw(indices(x.shape))
    assert_agrees(lambda x: array.getitem(x, index), x[index], x)
    assert_same_bits(recorded(lambda x: x[index], x), x[index])


def test_the_axes_of_an_index_array_stand_in_front_where_something_separates_it_from_a_number() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    for index in [
        (0, slice(None), [1, 2]),
        ([0, 1, 1], slice(None), 1),
        (slice(None), 0, ..., [1, 2]),
        (0, None, [1, 2]),
    ]:
        assert_agrees(lambda x, index=index: array.getitem(x, index), x[index], x)


def test_a_tensor_of_whole_numbers_indexes_too() -> None:
    x, places = np.arange(12.0).reshape(4, 3), np.array([[2, 0], [3, 3]])
    assert_agrees(lambda x, places: array.getitem(x, places), x[places], x, places)
    assert_agrees(lambda x: array.getitem(x, array.argmax(x, 0)), x[np.argmax(x, 0)], x)


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        (2, "outside axis 0"),
        (-3, "outside axis 0"),
        ((0, 0, 0), "given 3 indices; it has 2 axes"),
        ((..., 0, ...), "stands once"),
        (np.array([True, False]), "for a condition, wm.where"),
        (True, "cannot be recorded"),
        (([0], [1]), "at most one array"),
        ("row", "cannot be recorded"),
        (1.0, "cannot be recorded"),
    ],
)
def test_indices_that_do_not_fit_are_refused_in_a_sentence(index: Any, sentence: str) -> None:
    x = np.arange(6).reshape(2, 3)
    for run in (lambda: array.getitem(x, index), lambda: trace(lambda x: x[index], x)):
        with pytest.raises(IndexError, match=sentence):
            run()


@given(arrays(("uint8", "int32", "int64"), max_dims=2), st.sampled_from(["bool", "int64", *FLOATS]))
@examples(30)
def test_one_hot_has_a_one_at_each_place(x: np.ndarray, dtype: str) -> None:
    x = np.asarray(abs(x))
    assert_agrees(lambda x: array.one_hot(x, 4, dtype), np.eye(4)[x].astype(dtype), x)


@pytest.mark.parametrize("count", [-1, 0])
def test_one_hot_refuses_less_than_one_class(count: int) -> None:
    with pytest.raises(ValueError, match=f"num_classes={count}; there is at least one class"):
        array.one_hot(np.array([0]), count)
    with pytest.raises(TypeError, match=r"num_classes=2\.5; it is a whole number"):
        array.one_hot(np.array([0]), 2.5)  # type: ignore[arg-type]


def test_one_hot_refuses_classes_that_do_not_exist_and_recorded_gives_zeros() -> None:
    for wrong in ([3], [-1]):
        with pytest.raises(ValueError, match="with 3 classes they are 0 to 2"):
            array.one_hot(np.array(wrong), 3)
        np.testing.assert_array_equal(recorded(lambda x: array.one_hot(x, 3), np.array(wrong)), [[0, 0, 0]])


# any view of an array

VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "strided": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "reversed": lambda x: np.flip(np.flip(x).copy()),
    "Fortran": np.asfortranarray,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    "a list": lambda x: x.tolist(),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    "name",
    [
        "add",
        "negative",
        "sum",
        "max",
        "matmul",
        "reshape",
        "transpose",
        "pad",
        "getitem",
        "concatenate",
        "take",
        "flip",
        "cast",
        "clip",
        "squeeze",
        "swapaxes",
        "moveaxis",
        "expand_dims",
        "var",
    ],
)
def test_any_view_of_an_array_will_do_and_is_left_as_it_is(view: str, name: str) -> None:
    plain = np.arange(12.0).reshape(3, 4)
    calls: dict[str, Callable[[Any], Any]] = {
        "add": lambda x: array.add(x, 1),
        "matmul": lambda x: array.matmul(x, np.ones((4, 2))),
        "reshape": lambda x: array.reshape(x, (2, -1)),
        "pad": lambda x: array.pad(x, 2, "reflect"),
        "getitem": lambda x: array.getitem(x, (slice(None, None, -1), [1, 0])),
        "concatenate": lambda x: array.concatenate([x, x], 1),
        "take": lambda x: array.take(x, 1, 0),
        "cast": lambda x: array.cast(x, np.int32),
        "clip": lambda x: array.clip(x, 2, None),
        "swapaxes": lambda x: array.swapaxes(x, 0, 1),
        "moveaxis": lambda x: array.moveaxis(x, 0, 1),
        "expand_dims": lambda x: array.expand_dims(x, 1),
    }
    call = calls.get(name, getattr(array, name))
    x = VIEWS[view](plain.copy())
    if isinstance(x, np.ndarray):
        x.flags.writeable = False
        assert_same_bits(recorded(call, x), call(plain))
    found = np.asarray(call(x))
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, call(plain))


@pytest.mark.parametrize("dtype", ["float16", "complex128", "object", "str", "datetime64[s]", "longdouble"])
def test_other_dtypes_are_refused_in_a_sentence(dtype: str) -> None:
    x = np.zeros(2, dtype)
    for run in (
        lambda: array.add(x, x),
        lambda: array.sum(x),
        lambda: array.reshape(x, (2, 1)),
        lambda: trace(lambda x: x, x),
    ):
        with pytest.raises(TypeError, match=r"convert first, for example with x\.astype"):
            run()


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8"])
def test_functions_that_would_give_half_precision_are_refused_in_a_sentence(dtype: str) -> None:
    with pytest.raises(TypeError, match="exp would give float16"):
        array.exp(np.zeros(2, dtype))
