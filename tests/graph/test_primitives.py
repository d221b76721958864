"""Every primitive: its result rule, its definition against an independent oracle, its first and second derivatives
against finite differences. One row each; a primitive without a row fails the first test."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.special
from hypothesis import given

from oracles import (
    assert_gradients_match,
    assert_same_bits,
    direct_convolution,
    direct_windows,
    examples,
    largest_difference,
    philox_block,
    recorded,
)
from wimmel.graph import Primitive
from wimmel.graph import primitives as p

Case = tuple[list[np.ndarray], dict[str, Any]]

INTEGERS = ("uint8", "int8", "int32", "uint64", "int64")
FLOATS = ("float32", "float64")
NUMBERS = (*INTEGERS, *FLOATS)
EVERYTHING = ("bool", *NUMBERS)
DOUBLE = ("float64",)


@dataclass(frozen=True)
class Row:
    """A primitive, operands it may be given, what it should make of them, and operands away from kinks and ties."""

    primitive: Primitive
    cases: st.SearchStrategy[Case]
    oracle: Callable[..., Any]
    smooth: st.SearchStrategy[Case] | None = None


# operands


def anything(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype in INTEGERS:
        return np.asarray(rng.integers(0 if dtype[0] == "u" else -5, 6, shape), dtype)
    return np.asarray(rng.normal(size=shape), dtype)


def positive(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.asarray(rng.integers(1, 6, shape) if dtype in INTEGERS else rng.uniform(0.3, 3, shape), dtype)


def not_zero(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    sign = 1 if dtype[0] == "u" else rng.choice([-1, 1], shape)
    return np.asarray(positive(rng, shape, dtype) * sign, dtype)


def exponents(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.asarray(rng.integers(0, 4, shape) if dtype in INTEGERS else rng.uniform(-2, 2, shape), dtype)


def distinct(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """No two elements closer than 0.1."""
    count = math.prod(shape)
    return np.asarray(rng.permutation(count).reshape(shape) / 10 - count / 20, dtype)


def on_even_fifths(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.asarray(rng.integers(-10, 10, shape) / 5)


def on_odd_tenths(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.asarray(rng.integers(-10, 10, shape) / 5 + 0.1)


seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
small_shapes = hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)


@st.composite
def elements(draw: Any, *operands: tuple[tuple[str, ...], Callable[..., np.ndarray]], max_dims: int = 3) -> Case:
    """Operands whose shapes broadcast, each of one of its dtypes and drawn by its function."""
    broadcast = hnp.mutually_broadcastable_shapes(num_shapes=len(operands), min_side=0, max_side=3, max_dims=max_dims)
    rng = draw(seeds)
    return [
        domain(rng, shape, draw(st.sampled_from(dtypes)))
        for shape, (dtypes, domain) in zip(draw(broadcast).input_shapes, operands, strict=True)
    ], {}


def one_by_one(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """The oracle that applies a function of Python's numbers to each element."""

    def oracle(*arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        stretched = np.broadcast_arrays(*arrays)
        rows = zip(*(a.ravel().tolist() for a in stretched), strict=True)
        return np.array([function(*row, **attributes) for row in rows]).reshape(stretched[0].shape)

    return oracle


def pointwise(
    primitive: Primitive,
    function: Callable[..., Any],
    *operands: tuple[tuple[str, ...], Callable[..., np.ndarray]],
    smooth: tuple[Callable[..., np.ndarray], ...] = (),
) -> Row:
    domains = smooth or [domain for _, domain in operands]
    doubles = [DOUBLE if dtypes != ("bool",) else dtypes for dtypes, _ in operands]
    gentle = elements(*zip(doubles, domains, strict=True), max_dims=2) if primitive.gradient else None
    return Row(primitive, elements(*operands), one_by_one(function), gentle)


# shapes and places


@st.composite
def with_attributes(
    draw: Any, attributes: Callable[[Any, tuple[int, ...]], dict[str, Any]], dtypes: tuple[str, ...], min_dims: int = 0
) -> Case:
    """One operand, and attributes drawn for its shape."""
    shape = draw(hnp.array_shapes(min_dims=min_dims, max_dims=3, min_side=0, max_side=3))
    return [anything(draw(seeds), shape, draw(st.sampled_from(dtypes)))], attributes(draw, shape)


def moving(
    primitive: Primitive, attributes: Callable[..., dict[str, Any]], oracle: Callable[..., Any], min_dims: int = 0
) -> Row:
    return Row(
        primitive,
        with_attributes(attributes, EVERYTHING, min_dims),
        oracle,
        with_attributes(attributes, DOUBLE, min_dims),
    )


def another_shape(draw: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    total = math.prod(shape)
    return {"shape": draw(st.sampled_from([shape, shape[::-1], (total,), (1, *shape), (*shape, 1), (1, total, 1)]))}


def larger_shape(draw: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    stretched = tuple(draw(st.integers(0, 3)) if size == 1 else size for size in shape)
    return {"shape": (*draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=2)), *stretched)}


def some_axes(draw: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"axes": tuple(sorted(draw(st.sets(st.sampled_from(range(len(shape)))) if shape else st.just(()))))}


def bounds(draw: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    rows = [draw(st.tuples(st.integers(0, n), st.integers(0, n), st.integers(1, 3)).map(sorted_bounds)) for n in shape]
    return {name: tuple(row[i] for row in rows) for i, name in enumerate(("start", "stop", "step"))}


def sorted_bounds(row: tuple[int, int, int]) -> tuple[int, int, int]:
    return min(row[:2]), max(row[:2]), row[2]


def paddings(draw: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    widths = {name: tuple(draw(st.integers(0, 2)) for _ in shape) for name in ("low", "high", "interior")}
    return {**widths, "value": draw(st.sampled_from([0, 1]))}


def sliced(x: np.ndarray, start: Any, stop: Any, step: Any) -> np.ndarray:
    for axis, row in enumerate(zip(start, stop, step, strict=True)):
        x = np.take(x, np.arange(*row), axis)
    return x


def padded(x: np.ndarray, low: Any, high: Any, interior: Any, value: Any) -> np.ndarray:
    for axis, (before, behind, between) in enumerate(zip(low, high, interior, strict=True)):
        gaps = [np.zeros((*x.shape[:axis], n, *x.shape[axis + 1 :])) + value for n in (before, between, behind)]
        rows = [np.take(x, [i], axis) for i in range(x.shape[axis])]
        middle = [piece for row in rows for piece in (gaps[1], row)][1:]
        x = np.concatenate([gaps[0], *middle, gaps[2]], axis)
    return x


@st.composite
def pieces(draw: Any, dtypes: tuple[str, ...]) -> Case:
    shape = list(draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3)))
    axis = draw(st.integers(0, len(shape) - 1))
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        shape[axis] = draw(st.integers(0, 3))
        parts.append(anything(draw(seeds), tuple(shape), draw(st.sampled_from(dtypes))))
    return parts, {"axis": axis}


def joined(*parts: np.ndarray, axis: int) -> np.ndarray:
    rows = [np.take(part, i, axis) for part in parts for i in range(part.shape[axis])]
    left = (*parts[0].shape[:axis], *parts[0].shape[axis + 1 :])
    return np.moveaxis(np.array(rows).reshape(len(rows), *left), 0, axis)


@st.composite
def places(draw: Any, dtypes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, int]:
    """An array, indices into one of its axes, and that axis."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3))
    axis = draw(st.integers(0, len(shape) - 1))
    rng, dtype = draw(seeds), draw(st.sampled_from(["uint8", "int32", "int64"]))
    low = 0 if dtype == "uint8" else -shape[axis]
    indices = rng.integers(low, shape[axis], draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)))
    return anything(rng, shape, draw(st.sampled_from(dtypes))), np.asarray(indices, dtype), axis


def taking(drawn: tuple[np.ndarray, np.ndarray, int]) -> Case:
    x, indices, axis = drawn
    return [x, indices], {"axis": axis}


def scattering(drawn: tuple[np.ndarray, np.ndarray, int]) -> Case:
    x, indices, axis = drawn
    return [np.asarray(taken(x, indices, axis)), indices], {"axis": axis, "size": x.shape[axis]}


def taken(x: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    return x[(*[slice(None)] * axis, indices)]


def scattered(g: np.ndarray, indices: np.ndarray, axis: int, size: int) -> np.ndarray:
    y = np.zeros((*g.shape[:axis], size, *g.shape[axis + indices.ndim :]), g.dtype)
    for place in np.ndindex(indices.shape):
        y[(*[slice(None)] * axis, indices[place])] += g[(*[slice(None)] * axis, *place)]
    return y


# reductions and products


@st.composite
def reductions(
    draw: Any, dtypes: tuple[str, ...], domain: Callable[..., np.ndarray], min_side: int, single: bool = False
) -> Case:
    shape = draw(hnp.array_shapes(min_dims=int(single), max_dims=3, min_side=min_side, max_side=3))
    x = domain(draw(seeds), shape, draw(st.sampled_from(dtypes)))
    return [x], {"axis": draw(st.integers(0, len(shape) - 1))} if single else some_axes(draw, shape)


def over_axes(function: Callable[[list[Any]], Any]) -> Callable[..., np.ndarray]:
    """The oracle that gives a function the list of elements that are combined to each one."""

    def oracle(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        rows = x.transpose(*kept, *axes).reshape(
            *(x.shape[axis] for axis in kept), math.prod(x.shape[axis] for axis in axes)
        )
        return np.array([function(rows[i].tolist()) for i in np.ndindex(rows.shape[:-1])]).reshape(rows.shape[:-1])

    return oracle


@st.composite
def factors(draw: Any, dtypes: tuple[str, ...], max_dims: int = 2) -> Case:
    drawn = draw(
        hnp.mutually_broadcastable_shapes(signature="(m,k),(k,n)->(m,n)", min_side=0, max_side=3, max_dims=max_dims)
    )
    rng = draw(seeds)
    return [anything(rng, shape, draw(st.sampled_from(dtypes))) for shape in drawn.input_shapes], {}


# windows


@st.composite
def windows(draw: Any, axes: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    """Input sizes, kernel, outputs, and the stride, padding and dilation they come from; small, and all may differ."""
    rows = []
    for _ in range(axes):
        kernel, stride, dilation = (
            draw(st.integers(1, 3 if axes < 3 else 2)),
            draw(st.integers(1, 3)),
            draw(st.integers(1, 2)),
        )
        front, behind = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        span = dilation * (kernel - 1) + 1
        size = draw(st.integers(max(1, span - front - behind), max(1, span - front - behind) + (3 if axes < 3 else 1)))
        rows.append((size, kernel, (size + front + behind - span) // stride + 1, stride, (front, behind), dilation))
    sizes, kernels, outputs, strides, pads, dilations = zip(*rows, strict=True)
    return sizes, kernels, outputs, {"stride": strides, "padding": pads, "dilation": dilations}


@st.composite
def convolutions(draw: Any, wanted: str, dtypes: tuple[str, ...], min_pictures: int = 0) -> Case:
    """Operands of the wanted face. In the two gradient faces the outputs may stop before the input does."""
    sizes, kernel, outputs, geometry = draw(windows(draw(st.integers(1, 3))))
    groups, n = draw(st.integers(1, 2)), draw(st.integers(min_pictures, 2))
    c_in, c_out = draw(st.integers(1, 2)), draw(st.integers(1, 2)) * groups
    if wanted != "y":
        outputs = tuple(draw(st.integers(max(1, count - 1), count)) for count in outputs)
    shape = {"x": (n, c_in * groups, *sizes), "w": (c_out, c_in, *kernel), "y": (n, c_out, *outputs)}
    rng = draw(seeds)
    operands = [anything(rng, shape[face], draw(st.sampled_from(dtypes))) for face in "xyw" if face != wanted]
    attributes = {**geometry, "groups": groups}
    if wanted == "x":
        attributes["size"] = sizes
    if wanted == "w":
        attributes["kernel"] = kernel
    return operands, attributes


def the_output(x: np.ndarray, w: np.ndarray, stride: Any, padding: Any, dilation: Any, groups: int) -> np.ndarray:
    rows = zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    outputs = tuple((n + sum(pair) - d * (k - 1) - 1) // s + 1 for n, k, s, pair, d in rows)
    y = SimpleNamespace(shape=(x.shape[0], w.shape[0], *outputs), dtype=np.result_type(x, w))
    return direct_convolution(x, w, y, "y", groups, stride=stride, padding=padding, dilation=dilation)


def the_input(y: np.ndarray, w: np.ndarray, size: Any, groups: int, **geometry: Any) -> np.ndarray:
    x = SimpleNamespace(shape=(y.shape[0], w.shape[1] * groups, *size), dtype=np.result_type(y, w))
    return direct_convolution(x, w, y, "x", groups, **geometry)


def the_weight(x: np.ndarray, y: np.ndarray, kernel: Any, groups: int, **geometry: Any) -> np.ndarray:
    w = SimpleNamespace(shape=(y.shape[1], x.shape[1] // groups, *kernel), dtype=np.result_type(x, y))
    return direct_convolution(x, w, y, "w", groups, **geometry)


@st.composite
def poolings(
    draw: Any,
    operands: str,
    dtypes: tuple[str, ...],
    domain: Callable[..., np.ndarray] = anything,
    min_pictures: int = 0,
) -> Case:
    """Operands shaped like the input (x) or the output (y). The last window may reach past the padding."""
    sizes, kernel, outputs, geometry = draw(windows(draw(st.integers(1, 2))))
    outputs = tuple(count + draw(st.integers(0, 1)) for count in outputs)
    lead = (draw(st.integers(min_pictures, 2)), draw(st.integers(1, 2)))
    rng = draw(seeds)
    values = [
        domain(rng, (*lead, *(sizes if like == "x" else outputs)), draw(st.sampled_from(dtypes))) for like in operands
    ]
    attributes = {**geometry, "kernel": kernel, "outputs": outputs}
    return values, {**attributes, "size": sizes} if operands == "y" else attributes


def window_sums(x: np.ndarray, **attributes: Any) -> np.ndarray:
    under = direct_windows(x, **attributes)
    y = np.zeros((*x.shape[:2], *attributes["outputs"]), x.dtype)
    for index, elements_under in under.items():
        y[index] = sum((x[element] for element in elements_under), x.dtype.type(0))
    return y


def spread_over_windows(g: np.ndarray, size: Any, **attributes: Any) -> np.ndarray:
    x = np.zeros((*g.shape[:2], *size), g.dtype)
    for index, elements_under in direct_windows(x, **attributes).items():
        for element in elements_under:
            x[element] += g[index]
    return x


def winners(x: np.ndarray, **attributes: Any) -> dict[tuple[int, ...], tuple[int, ...] | None]:
    """Where each window's maximum stands: the first in row-major order; None for a window with nothing under it."""
    under = direct_windows(x, **attributes)
    return {index: max(found, key=lambda element: x[element]) if found else None for index, found in under.items()}


def window_maxima(x: np.ndarray, **attributes: Any) -> np.ndarray:
    lowest = -np.inf if x.dtype.kind == "f" else 0 if x.dtype == bool else np.iinfo(x.dtype).min
    y = np.full((*x.shape[:2], *attributes["outputs"]), lowest, x.dtype)
    for index, winner in winners(x, **attributes).items():
        if winner is not None:
            y[index] = x[winner]
    return y


def back_to_winners(x: np.ndarray, g: np.ndarray, **attributes: Any) -> np.ndarray:
    y = np.zeros(x.shape, g.dtype)
    for index, winner in winners(x, **attributes).items():
        if winner is not None:
            y[winner] += g[index]
    return y


def at_winners(x: np.ndarray, v: np.ndarray, **attributes: Any) -> np.ndarray:
    y = np.zeros((*x.shape[:2], *attributes["outputs"]), v.dtype)
    for index, winner in winners(x, **attributes).items():
        if winner is not None:
            y[index] = v[winner]
    return y


# random numbers


@st.composite
def keys(draw: Any) -> Case:
    key = np.array([draw(st.integers(0, 2**32 - 1)) for _ in range(4)], np.uint32)
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    return [key], {"shape": shape, "stream": draw(st.integers(0, 2**32 - 1)), "dtype": draw(st.sampled_from(FLOATS))}


def uniform_numbers(key: np.ndarray, shape: tuple[int, ...], stream: int, dtype: str) -> np.ndarray:
    seed, step = key.tolist()[:2], key.tolist()[2:]
    words = [philox_block((i // 4, stream, *step), seed)[i % 4] for i in range(math.prod(shape))]
    kept = 24 if dtype == "float32" else 32
    return np.array([(word >> (32 - kept)) / 2**kept for word in words]).reshape(shape)


PYTHON_TYPE = {"b": bool, "i": int, "u": int, "f": float}

ROWS = [
    pointwise(p.add, operator.add, (EVERYTHING, anything), (EVERYTHING, anything)),
    pointwise(p.subtract, operator.sub, (NUMBERS, anything), (NUMBERS, anything)),
    pointwise(p.multiply, operator.mul, (EVERYTHING, anything), (EVERYTHING, anything)),
    pointwise(p.divide, operator.truediv, (NUMBERS, anything), (NUMBERS, not_zero)),
    pointwise(p.power, operator.pow, (NUMBERS, positive), (NUMBERS, exponents)),
    pointwise(p.maximum, max, (EVERYTHING, anything), (EVERYTHING, anything), smooth=(on_even_fifths, on_odd_tenths)),
    pointwise(p.minimum, min, (EVERYTHING, anything), (EVERYTHING, anything), smooth=(on_even_fifths, on_odd_tenths)),
    pointwise(p.exp, math.exp, (("int32", "int64", *FLOATS), anything)),
    pointwise(p.log, math.log, (("int32", "int64", *FLOATS), positive)),
    pointwise(p.log1p, math.log1p, (("int32", "int64", *FLOATS), positive)),
    pointwise(p.sqrt, math.sqrt, (("int32", "int64", *FLOATS), positive)),
    pointwise(p.tanh, math.tanh, (("int32", "int64", *FLOATS), anything)),
    pointwise(p.erf, scipy.special.erf, (("int32", "int64", *FLOATS), anything)),
    pointwise(p.absolute, abs, (EVERYTHING, anything), smooth=(not_zero,)),
    pointwise(p.less, operator.lt, (EVERYTHING, anything), (EVERYTHING, anything)),
    pointwise(p.equal, operator.eq, (EVERYTHING, anything), (EVERYTHING, anything)),
    pointwise(
        p.where, lambda c, x, y: x if c else y, (("bool",), anything), (EVERYTHING, anything), (EVERYTHING, anything)
    ),
    Row(
        p.cast,
        st.tuples(elements((EVERYTHING, anything)), st.sampled_from(EVERYTHING)).map(
            lambda drawn: ([np.asarray(abs(x)) if drawn[1][0] == "u" else x for x in drawn[0][0]], {"dtype": drawn[1]})
        ),
        one_by_one(lambda value, dtype: PYTHON_TYPE[np.dtype(dtype).kind](value)),
        elements((DOUBLE, anything)).map(lambda case: (case[0], {"dtype": "float64"})),
    ),
    Row(
        p.identity,
        st.tuples(elements((EVERYTHING, anything)), st.booleans()).map(lambda d: (d[0][0], {"stop_gradient": d[1]})),
        lambda x, stop_gradient: x,
        elements((DOUBLE, anything)).map(lambda case: (case[0], {"stop_gradient": False})),
    ),
    moving(p.reshape, another_shape, lambda x, shape: np.array(x.ravel().tolist(), x.dtype).reshape(shape)),
    moving(
        p.transpose,
        lambda draw, shape: {"axes": tuple(draw(st.permutations(range(len(shape)))))},
        lambda x, axes: np.moveaxis(x, axes, range(len(axes))),
    ),
    moving(p.broadcast, larger_shape, lambda x, shape: x + np.zeros(shape, x.dtype)),
    moving(p.take_slice, bounds, sliced),
    moving(p.pad, paddings, padded),
    moving(
        p.flip,
        some_axes,
        lambda x, axes: x[tuple(slice(None, None, -1 if axis in axes else None) for axis in range(x.ndim))],
    ),
    Row(p.concatenate, pieces(EVERYTHING), joined, pieces(DOUBLE)),
    Row(p.take, places(EVERYTHING).map(taking), taken, places(DOUBLE).map(taking)),
    Row(p.scatter_add, places(NUMBERS).map(scattering), scattered, places(DOUBLE).map(scattering)),
    Row(p.reduce_sum, reductions(EVERYTHING, anything, 0), over_axes(sum), reductions(DOUBLE, anything, 0)),
    Row(p.reduce_max, reductions(EVERYTHING, anything, 1), over_axes(max), reductions(DOUBLE, distinct, 1)),
    Row(
        p.argmax,
        reductions(EVERYTHING, anything, 1, single=True),
        lambda x, axis: over_axes(lambda row: row.index(max(row)))(x, (axis,)),
    ),
    Row(p.matmul, factors(EVERYTHING), lambda a, b: np.einsum("...ij,...jk->...ik", a, b), factors(DOUBLE, max_dims=1)),
    Row(p.convolution, convolutions("y", ("int64", *FLOATS)), the_output, convolutions("y", DOUBLE, 1)),
    Row(p.convolution_input_gradient, convolutions("x", ("int64", *FLOATS)), the_input, convolutions("x", DOUBLE, 1)),
    Row(p.convolution_weight_gradient, convolutions("w", ("int64", *FLOATS)), the_weight, convolutions("w", DOUBLE, 1)),
    Row(p.sum_pool, poolings("x", NUMBERS), window_sums, poolings("x", DOUBLE, min_pictures=1)),
    Row(p.sum_unpool, poolings("y", NUMBERS), spread_over_windows, poolings("y", DOUBLE, min_pictures=1)),
    Row(
        p.max_pool,
        poolings("x", EVERYTHING),
        window_maxima,
        poolings("x", DOUBLE, distinct, 1).filter(lambda case: np.isfinite(window_maxima(*case[0], **case[1])).all()),
    ),
    Row(p.max_unpool, poolings("xy", NUMBERS), back_to_winners, poolings("xy", DOUBLE, distinct, 1)),
    Row(p.max_pool_take, poolings("xx", EVERYTHING), at_winners, poolings("xx", DOUBLE, distinct, 1)),
    Row(p.random_uniform, keys(), uniform_numbers),
]

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.primitive.name)
every_differentiable_row = pytest.mark.parametrize(
    "row", [row for row in ROWS if row.primitive.gradient], ids=lambda row: row.primitive.name
)


def read_only(arrays: list[np.ndarray]) -> list[np.ndarray]:
    for a in arrays:
        a.flags.writeable = False
    return arrays


def test_every_primitive_has_a_row_and_a_name_of_its_own() -> None:
    assert [row.primitive for row in ROWS] == list(p.PRIMITIVES)
    assert len({primitive.name for primitive in p.PRIMITIVES}) == len(p.PRIMITIVES)


def test_every_differentiable_primitive_has_smooth_operands() -> None:
    assert [row.primitive for row in ROWS if row.smooth is not None] == [
        row.primitive for row in ROWS if row.primitive.gradient
    ]


@every_row
@given(data=st.data())
@examples(15)
def test_the_result_rule_tells_shape_and_dtype_from_shapes_and_dtypes_alone(row: Row, data: st.DataObject) -> None:
    operands, attributes = data.draw(row.cases)
    y = np.asarray(row.primitive.definition(*read_only(operands), **attributes))
    shape, dtype = row.primitive.result(
        *(SimpleNamespace(shape=a.shape, dtype=a.dtype) for a in operands), **attributes
    )
    assert (shape, dtype) == (y.shape, y.dtype)
    assert type(shape) is tuple
    assert all(type(size) is int for size in shape)


@every_row
@given(data=st.data())
@examples(15)
def test_the_definition_agrees_with_an_independent_oracle(row: Row, data: st.DataObject) -> None:
    operands, attributes = data.draw(row.cases)
    y = np.asarray(row.primitive.definition(*read_only(operands), **attributes))
    expected = np.asarray(row.oracle(*operands, **attributes))
    assert y.shape == expected.shape
    if y.dtype.kind == "f":
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(y[~finite], expected[~finite])
        rounding = 3e-6 if any(a.dtype == np.float32 for a in [y, *operands]) else 1e-13
        assert largest_difference(y[finite], expected[finite].astype(np.float64)) < rounding
    else:
        np.testing.assert_array_equal(y, expected.astype(y.dtype))


@every_row
@given(data=st.data())
@examples(10)
def test_recording_and_running_gives_the_bits_of_a_call_on_arrays(row: Row, data: st.DataObject) -> None:
    operands, attributes = data.draw(row.cases)
    assert_same_bits(
        recorded(lambda *tensors: row.primitive(*tensors, **attributes), *operands),
        row.primitive(*operands, **attributes),
    )


@every_differentiable_row
@given(data=st.data())
@examples(10)
def test_first_and_second_derivatives_agree_with_finite_differences(row: Row, data: st.DataObject) -> None:
    assert row.smooth is not None
    operands, attributes = data.draw(row.smooth)
    assert_gradients_match(lambda *tensors: row.primitive(*tensors, **attributes), *operands)
