"""The rewrite rules: what may be left out of a graph or said in fewer steps, one row each.

A rule changes no bit of any result, except where its `liberty` says otherwise, for NumPy's semantics of NaN, infinities
and signed zeros. So x * 0 stays (it may be NaN), and constants that multiply are merged only where that is exact. Sums
are never reordered.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wimmel.graph import primitives
from wimmel.graph.primitives import (
    PRIMITIVES,
    add,
    broadcast,
    cast,
    concatenate,
    divide,
    flip,
    identity,
    less,
    max_pool,
    max_unpool,
    maximum,
    multiply,
    pad,
    power,
    random_uniform,
    reduce_max,
    reduce_sum,
    reshape,
    subtract,
    take_slice,
    transpose,
    where,
)
from wimmel.graph.rewrite.patterns import Anything, Constant, Made, Match, Rule, constant_value
from wimmel.graph.tensor import Primitive, Shape, Tensor, as_tensor, constant

FOLDED_BYTES = 2**16
"""What rests on constants alone is computed ahead of time if the result is no larger than this."""

ELEMENTWISE = (
    add, subtract, multiply, divide, power, primitives.maximum, primitives.minimum, primitives.exp, primitives.log,
    primitives.log1p, primitives.sqrt, primitives.tanh, primitives.erf, primitives.absolute, primitives.less,
    primitives.equal, where, cast,
)  # fmt: skip

FOLDABLE = tuple(primitive for primitive in PRIMITIVES if primitive not in (broadcast, random_uniform))


def every_element(is_: Callable[[np.ndarray], np.ndarray | bool]) -> Callable[[np.ndarray], bool]:
    """A predicate that holds for arrays of which every element fulfils one; for empty ones it does not hold."""

    def holds(value: np.ndarray) -> bool:
        # most constants fail at their first element, and some are large
        return value.size > 0 and bool(np.all(is_(value.reshape(-1)[:1]))) and bool(np.all(is_(value)))

    return holds


X, Y = Anything("x"), Anything("y")
ZERO = Constant("zero", every_element(lambda value: value == 0))
FLOOR, NOTHING = (Constant(name, ZERO.holds) for name in ("floor", "nothing"))
POSITIVE_ZERO = Constant("zero", every_element(lambda value: (value == 0) & ~np.signbit(value)))
ONE = Constant("one", every_element(lambda value: value == 1))
TWO = Constant("two", every_element(lambda value: value == 2))
TIMES = Constant("times", every_element(lambda value: (value >= 2) & (value < 2**12) & (value == value.flat[0])))
MINUS_ONE = Constant("minus_one", every_element(lambda value: value == -1))
TRUE = Constant("condition", every_element(lambda value: value != 0))
FALSE = Constant("condition", every_element(lambda value: value == 0))
A, B = Constant("a", lambda value: True), Constant("b", lambda value: True)


def inner(primitive: Primitive) -> Made:
    return Made(primitive, (X,), name="inner")


def _keeps_shape(tensor: Tensor) -> bool:
    return tensor.shape == tensor.inputs[0].shape


def _keeps_dtype(tensor: Tensor) -> bool:
    return tensor.dtype == tensor.inputs[0].dtype


def _reshaped(m: Match) -> Tensor:
    return reshape(m.x, shape=m.node.shape)


def _stretched(m: Match) -> Tensor:
    return broadcast(m.x, shape=m.node.shape)


# arithmetic


def _without_zero(m: Match) -> Tensor | None:
    """-0.0 is what adds nothing: -0.0 + 0.0 is 0.0. Integers have one zero."""
    integers = m.node.dtype.kind != "f" or m.x.dtype.kind != "f"
    return m.x if integers or np.signbit(m.zero.attributes["value"]).all() else None


def _squared(m: Match) -> Tensor:
    x = m.x if m.x.dtype == m.node.dtype else cast(m.x, dtype=m.node.dtype.name)
    return multiply(x, x)


def _multiplied_out(m: Match) -> Tensor | None:
    """By squaring; products of integers wrap round, in any order."""
    if m.node.dtype.kind not in "iu" or m.x.shape != m.node.shape:
        return None
    square: Tensor = m.x if m.x.dtype == m.node.dtype else cast(m.x, dtype=m.node.dtype.name)
    product, left = None, int(m.times.attributes["value"].flat[0])
    while left:
        if left & 1:
            product = square if product is None else multiply(product, square)
        left >>= 1
        square = multiply(square, square) if left else square
    return product


def _less_or_more(m: Match, operation: Primitive) -> Tensor | None:
    """x + (-y) as x - y. An integer -y must not have wrapped round in a narrower dtype."""
    wide = {m.y.dtype, m.negative.dtype, m.node.dtype} == {m.node.dtype}
    return operation(m.x, m.y) if wide or m.negative.dtype.kind == "f" else None


def _constants_merged(m: Match) -> Tensor | None:
    """x * a * b as x * (a * b), where that rounds, overflows and underflows in the same way or not at all."""
    a, b = (source.attributes["value"].astype(m.node.dtype) for source in (m.a, m.b))
    if m.inner.dtype != m.node.dtype or np.broadcast(a, b).size * a.itemsize > FOLDED_BYTES:
        return None
    with np.errstate(all="ignore"):
        product = np.multiply(a, b)
    # Integers wrap round, in any order. A change of sign is exact, and so is doubling, which overflows now or later.
    doubling = _powers_of_two(a) and _powers_of_two(b) and bool(np.isfinite(product).all())
    exact = m.node.dtype.kind != "f" or bool((np.abs(a) == 1).all()) or bool((np.abs(b) == 1).all()) or doubling
    return multiply(m.x, product) if exact else None


def _powers_of_two(value: np.ndarray) -> bool:
    """Whether all are 1, 2, 4, ..., or the negative of one. Halving is not exact: it may underflow, and twice over."""
    return value.dtype.kind == "f" and bool(((np.frexp(np.abs(value))[0] == 0.5) & (np.abs(value) >= 1)).all())


def _casts_merged(m: Match) -> Tensor | None:
    first, between, last = m.x.dtype, m.inner.dtype, m.node.dtype
    # A float that an integer cannot hold becomes something that depends on the machine and on the float's dtype.
    defined = between.kind != "f" or last.kind in "fb" or _holds_all_of(last, first)
    narrowing = first.kind in "iu" and between.kind in "iu" and last.kind in "iu" and last.itemsize <= between.itemsize
    return cast(m.x, dtype=last.name) if narrowing or (_holds_all_of(between, first) and defined) else None


def _holds_all_of(dtype: np.dtype, other: np.dtype) -> bool:
    """Whether every value of the other dtype is a value of this one. (NumPy's "safe" lets int64 become float64.)"""
    if dtype.kind == "f" and other.kind in "iu":
        digits = np.iinfo(other).bits - (other.kind == "i")
        return digits <= np.finfo(dtype).nmant + 1
    return bool(np.can_cast(other, dtype, "safe"))


# pooling


def _gated_before(m: Match) -> Tensor | None:
    """A window hands its cotangent to its maximum, which is above zero where the ReLU's argument is."""
    if len({m.node.dtype, m.relu.dtype, m.x.dtype}) > 1 or m.node.shape != m.relu.shape or m.y.shape != m.relu.shape:
        return None
    windows = {name: value for name, value in m.unpooled.attributes.items() if name != "size"}
    largest = max_pool(m.relu, **windows)
    return max_unpool(m.relu, where(less(0, largest), m.x, 0), **windows)


# moving elements


def _without_broadcasts(m: Match) -> Tensor:
    """The operation on what was stretched; it stretches by itself, and what is then missing is stretched afterwards."""
    inputs = (source.inputs[0] if source.primitive is broadcast else source for source in m.node.inputs)
    return m.node.primitive(*inputs, **m.node.attributes)


def _any_input_stretched(tensor: Tensor) -> bool:
    return any(source.primitive is broadcast for source in tensor.inputs)


def _adds_leading_axes(tensor: Tensor) -> bool:
    (x,) = tensor.inputs
    return _without_leading_ones(x.shape) == _without_leading_ones(tensor.shape)


def _without_leading_ones(shape: Shape) -> Shape:
    first = next((axis for axis, size in enumerate(shape) if size != 1), len(shape))
    return shape[first:]


def _transposes_merged(m: Match) -> Tensor:
    inner = m.inner.attributes["axes"]
    return transpose(m.x, axes=tuple(inner[axis] for axis in m.node.attributes["axes"]))


def _moves_only_ones(tensor: Tensor) -> bool:
    (x,) = tensor.inputs
    moved = [axis for axis in tensor.attributes["axes"] if x.shape[axis] != 1]
    return moved == sorted(moved)


def _slice(x: Tensor, starts: list[int], counts: Shape, steps: list[int]) -> Tensor:
    """So many elements along each axis, evenly spaced, in the one spelling that lets equal slices be equal."""
    steps = [step if count > 1 else 1 for step, count in zip(steps, counts, strict=True)]
    stops = [
        start + (count - 1) * step + 1 if count else start
        for start, count, step in zip(starts, counts, steps, strict=True)
    ]
    return take_slice(x, start=tuple(starts), stop=tuple(stops), step=tuple(steps))


def _slices_merged(m: Match) -> Tensor:
    inner, outer = m.inner.attributes, m.node.attributes
    rows = list(zip(inner["start"], inner["step"], outer["start"], outer["step"], strict=True))
    starts = [first + place * stride for first, stride, place, _ in rows]
    return _slice(m.x, starts, m.node.shape, [stride * step for _, stride, _, step in rows])


def _slice_of_padded(m: Match) -> Tensor | None:
    """The slice of x itself, where no padding is among what the slice takes."""
    padding, taken = m.inner.attributes, m.node.attributes
    starts, steps = [], []
    rows = zip(m.x.shape, padding["low"], padding["interior"], taken["start"], taken["step"], m.node.shape, strict=True)
    for size, low, interior, start, step, count in rows:
        place, off = divmod(start - low, interior + 1)
        stride, uneven = divmod(step, interior + 1)
        if count == 0 or off or place < 0 or (uneven and count > 1) or place + (count - 1) * stride >= size:
            return None
        starts.append(place)
        steps.append(stride)
    return _slice(m.x, starts, m.node.shape, steps)


def _slice_of_one_part(m: Match) -> Tensor | None:
    axis, taken = m.inner.attributes["axis"], m.node.attributes
    first, count = taken["start"][axis], m.node.shape[axis]
    last = first + (count - 1) * taken["step"][axis]
    for part in m.inner.inputs:
        size = part.shape[axis]
        if count and first >= 0 and last < size:
            starts = [first if i == axis else start for i, start in enumerate(taken["start"])]
            return _slice(part, starts, m.node.shape, list(taken["step"]))
        first, last = first - size, last - size
    return None


def _pads_nothing(tensor: Tensor) -> bool:
    # between the elements of an axis of one element there is nothing, whatever `interior` says
    return _keeps_shape(tensor) and not any(tensor.attributes["low"])


def _pads_merged(m: Match) -> Tensor | None:
    inner, outer = m.inner.attributes, m.node.attributes
    if any(outer["interior"]) or repr(inner["value"]) != repr(outer["value"]):
        return None
    low, high = (tuple(np.add(inner[side], outer[side]).tolist()) for side in ("low", "high"))
    return pad(m.x, low=low, high=high, interior=inner["interior"], value=inner["value"])


def _flips_merged(m: Match) -> Tensor:
    axes = set(m.inner.attributes["axes"]) ^ set(m.node.attributes["axes"])
    return flip(m.x, axes=tuple(sorted(axes)))


def _flips_nothing(tensor: Tensor) -> bool:
    return all(tensor.shape[axis] <= 1 for axis in tensor.attributes["axes"])


def _reduces_nothing(tensor: Tensor) -> bool:
    return all(tensor.inputs[0].shape[axis] == 1 for axis in tensor.attributes["axes"])


# constants


def _rests_on_constants(tensor: Tensor) -> bool:
    return _small(tensor) and all(
        source.primitive is constant or (constant_value(source) is not None and _small(source))
        for source in tensor.inputs
    )


def _small(tensor: Tensor) -> bool:
    return tensor.size * tensor.dtype.itemsize <= FOLDED_BYTES


def _folded(m: Match) -> Tensor | None:
    operands = [
        np.broadcast_to(known, source.shape)
        for source in m.node.inputs
        if (known := constant_value(source)) is not None  # as the rule has seen to
    ]
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(m.node.primitive.definition(*operands, **m.node.attributes))
    except (ValueError, IndexError):
        return None  # whoever runs the graph shall meet the error, not who records it
    return as_tensor(value)


RULES: tuple[Rule, ...] = (
    Rule("a value under another name is that value", Made(identity, (X,)), lambda m: m.x),
    # arithmetic
    Rule("x + (-0.0) is x, and n + 0 is n", Made(add, (X, ZERO), swapped=True), _without_zero),
    Rule(
        "x + 0 is x",
        Made(add, (X, ZERO), swapped=True),
        lambda m: m.x,
        liberty="-0.0 stays -0.0, which NumPy makes 0.0: a sum that starts at 0 is worth it",
    ),
    Rule("x - 0 is x", Made(subtract, (X, POSITIVE_ZERO)), lambda m: m.x),
    Rule("x * 1 is x", Made(multiply, (X, ONE), swapped=True), lambda m: m.x),
    Rule("x / 1 is x", Made(divide, (X, ONE)), lambda m: m.x),
    Rule("x ** 1 is x", Made(power, (X, ONE)), lambda m: m.x),
    Rule(
        "x ** 2 is x * x",
        Made(power, (X, TWO)),
        _squared,
        liberty="the last bit, which a product rounds correctly and a power function may not; it is also faster",
    ),
    Rule("n ** k of whole numbers is a product", Made(power, (X, TIMES)), _multiplied_out),
    Rule(
        "x * a * b is x * (a * b) where that is exact, as in a double negation",
        Made(multiply, (Made(multiply, (X, A), name="inner", swapped=True), B), swapped=True),
        _constants_merged,
    ),
    Rule(
        "0 - (0 - n) is n",
        Made(subtract, (ZERO, Made(subtract, (Constant("inner_zero", ZERO.holds), X), name="inner"))),
        lambda m: m.x if m.node.dtype.kind != "f" and m.x.dtype == m.inner.dtype == m.node.dtype else None,
    ),
    Rule(
        "x + (-y) is x - y",
        Made(add, (X, Made(multiply, (Y, MINUS_ONE), name="negative", swapped=True)), swapped=True),
        lambda m: _less_or_more(m, subtract),
    ),
    Rule(
        "x - (-y) is x + y",
        Made(subtract, (X, Made(multiply, (Y, MINUS_ONE), name="negative", swapped=True))),
        lambda m: _less_or_more(m, add),
    ),
    Rule("a cast to the same dtype does nothing", Made(cast, (X,), when=_keeps_dtype), lambda m: m.x),
    Rule("a cast of an exact cast is one cast", Made(cast, (inner(cast),)), _casts_merged),
    # choice
    Rule("where(True, x, y) is x", Made(where, (TRUE, X, Y)), lambda m: m.x),
    Rule("where(False, x, y) is y", Made(where, (FALSE, X, Y)), lambda m: m.y),
    Rule("where(c, x, x) is x", Made(where, (Anything("condition"), X, X)), lambda m: m.x),
    # pooling
    Rule(
        "what a ReLU lets through behind a maximum pooling's gradient, it lets through before",
        Made(
            where,
            (
                Made(less, (ZERO, Y)),
                Made(max_unpool, (Made(maximum, (Y, FLOOR), name="relu", swapped=True), X), name="unpooled"),
                NOTHING,
            ),
        ),
        _gated_before,
    ),
    # broadcasting
    Rule("a broadcast to the same shape does nothing", Made(broadcast, (X,), when=_keeps_shape), lambda m: m.x),
    Rule("a broadcast of a broadcast is one broadcast", Made(broadcast, (inner(broadcast),)), _stretched),
    Rule(
        "a broadcast adds leading axes by itself",
        Made(broadcast, (Made(reshape, (X,), when=_adds_leading_axes),)),
        lambda m: _stretched(m) if len(m.x.shape) <= len(m.node.shape) else None,
    ),
    Rule(
        "elementwise operations stretch by themselves",
        Made(ELEMENTWISE, when=_any_input_stretched),
        _without_broadcasts,
    ),
    Rule(
        "one stretched number looks the same from everywhere",
        Made((reshape, transpose, take_slice, flip), (Made(broadcast, (X,), when=lambda t: t.inputs[0].size == 1),)),
        lambda m: broadcast(reshape(m.x, shape=()), shape=m.node.shape),
    ),
    # after broadcasting, so that what can be computed unstretched is
    Rule("what rests on constants alone is computed now", Made(FOLDABLE, when=_rests_on_constants), _folded),
    # reshape and transpose
    Rule("a reshape to the same shape does nothing", Made(reshape, (X,), when=_keeps_shape), lambda m: m.x),
    Rule("a reshape of a reshape is one reshape", Made(reshape, (inner(reshape),)), _reshaped),
    Rule(
        "a transpose to the same order does nothing",
        Made(transpose, (X,), when=lambda t: t.attributes["axes"] == tuple(range(len(t.shape)))),
        lambda m: m.x,
    ),
    Rule("a transpose of a transpose is one transpose", Made(transpose, (inner(transpose),)), _transposes_merged),
    Rule(
        "a transpose that moves only axes of size 1 is a reshape",
        Made(transpose, (X,), when=_moves_only_ones),
        _reshaped,
    ),
    # slice, pad, flip, concatenate
    Rule("a slice of everything does nothing", Made(take_slice, (X,), when=_keeps_shape), lambda m: m.x),
    Rule("a slice of a slice is one slice", Made(take_slice, (inner(take_slice),)), _slices_merged),
    Rule("a slice of what was padded is one of the unpadded", Made(take_slice, (inner(pad),)), _slice_of_padded),
    Rule(
        "a slice of one part of a concatenation is one of that part",
        Made(take_slice, (Made(concatenate, name="inner"),)),
        _slice_of_one_part,
    ),
    Rule("padding by nothing does nothing", Made(pad, (X,), when=_pads_nothing), lambda m: m.x),
    Rule("padding of padding is one padding", Made(pad, (inner(pad),)), _pads_merged),
    Rule("a flip of nothing does nothing", Made(flip, (X,), when=_flips_nothing), lambda m: m.x),
    Rule("a flip of a flip is one flip", Made(flip, (inner(flip),)), _flips_merged),
    Rule("a concatenation of one is that one", Made(concatenate, (X,)), lambda m: m.x),
    # reductions
    Rule("a maximum of one element is that element", Made(reduce_max, (X,), when=_reduces_nothing), _reshaped),
    Rule(
        "a sum of one element is that element",
        Made(reduce_sum, (X,), when=_reduces_nothing),
        _reshaped,
        liberty="-0.0 stays -0.0, which NumPy, starting from 0, makes 0.0",
    ),
)  # fmt: skip
