"""One graph for each draw: a primitive of some family of kernels, on views of its inputs, often with elementwise work
before or after it. Numbers are small and whole, so that sums and products are exact in any order; where they are not
summed, NaN and infinities are among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from compiler.contractions import drawn_case
from wimmel.geometry import output_sizes
from wimmel.graph import Graph, evaluate
from wimmel.graph import primitives as p
from wimmel.graph.tensor import Tensor, input_tensor

Shape = tuple[int, ...]
WHOLE = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
FLOATS = ("float32", "float32", "float64")
SIZES = (1, 1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 33, 64, 70)


class Draw:
    """A graph that grows with every number drawn.

    Attributes
    ----------
    seed : int
    random : Generator
    family : str
        A key of `FAMILIES`.
    tolerance : float
        How far results may be from the definition's, relatively; 0 where every bit must agree.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = np.random.default_rng(seed)
        self.inputs: list[Tensor] = []
        self.values: list[np.ndarray] = []
        self.tolerance = 0.0
        self.special = False
        self.family = self.among(list(FAMILIES))
        self.outputs = FAMILIES[self.family](self)

    @property
    def graph(self) -> Graph:
        return Graph(tuple(self.inputs), tuple(self.outputs))

    def check(self, found: Sequence[np.ndarray]) -> None:
        """That these are what the graph's definition gives."""
        with np.errstate(all="ignore"):
            expected = evaluate(self.graph, self.values)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == theirs.dtype
            assert ours.shape == theirs.shape
            name = f"draw {self.seed}, {self.family}"
            if self.tolerance and ours.dtype.kind == "f":
                np.testing.assert_allclose(ours, theirs, rtol=self.tolerance, atol=1e-30, err_msg=name)
            else:
                np.testing.assert_array_equal(ours, theirs, err_msg=name)

    # numbers

    def below(self, count: int) -> int:
        return int(self.random.integers(count))

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    def among(self, choices: Sequence) -> object:
        return choices[self.below(len(choices))]

    def shape(self, most: int, elements: int = 4000) -> Shape:
        """Up to so many axes, seldom one without elements."""
        sizes: list[int] = []
        for _ in range(self.below(most + 1)):
            size = 0 if self.chance(0.01) else self.among(SIZES)
            sizes.append(size if np.prod(sizes, initial=size) <= elements else 1)
        return tuple(sizes)

    def part_of(self, shape: Shape) -> Shape:
        """Something that broadcasts to the shape."""
        own = tuple(1 if self.chance(0.3) else size for size in shape)
        return own if self.chance(0.6) else own[self.below(len(own) + 1) :]

    # tensors

    def operand(self, shape: Shape, dtype: str, low: int = -4, high: int = 5) -> Tensor:
        """Numbers from low to below high, as a view of an input."""
        random = self.random
        axes, flipped = tuple(int(axis) for axis in random.permutation(len(shape))), ()
        if self.chance(0.6):
            axes = tuple(range(len(shape)))
        start, step = [0] * len(shape), [1] * len(shape)
        if self.chance(0.2):
            start, step = ([int(n) for n in random.integers(*bounds, len(shape))] for bounds in ((0, 3), (1, 3)))
        if self.chance(0.15):
            flipped = tuple(axis for axis in range(len(shape)) if self.chance(0.5))
        whole = [first + (n - 1) * by + 1 if n else first for n, first, by in zip(shape, start, step, strict=True)]
        lain = tuple(whole[axes.index(axis)] for axis in range(len(shape)))
        if dtype == "bool":
            array = random.random(lain) < 0.4
        else:
            array = random.integers(max(low, 0) if dtype.startswith("u") else low, high, lain).astype(dtype)
        if self.special and dtype.startswith("float") and array.size:
            strange = random.random(lain) < 0.05
            array[strange] = random.choice([np.nan, np.inf, -np.inf, -0.0, 1e-30, 1e30], int(strange.sum()))
        self.inputs.append(input_tensor(f"x{len(self.inputs)}", lain, dtype))
        self.values.append(array)
        value = self.inputs[-1]
        if axes != tuple(range(len(shape))):
            value = p.transpose(value, axes=axes)
        if tuple(whole) != shape or any(by > 1 for by in step):
            value = p.take_slice(value, start=tuple(start), stop=tuple(whole), step=tuple(step))
        return p.flip(value, axes=flipped) if flipped else value

    def followed(self, y: Tensor, most: int = 3) -> list[Tensor]:
        """Results of up to so many elementwise operations on y, each with something that broadcasts to it; and at
        times y too."""
        found = [y]
        for _ in range(self.below(most + 1)):
            other = self.among(found) if self.chance(0.2) else self.operand(self.part_of(y.shape), y.dtype.name)
            operation = self.among([p.add, p.maximum, p.minimum, p.less, p.where, p.cast])
            x = self.among(found[-2:])
            if operation is p.where:
                found.append(p.where(p.less(x, other), other, found[-1]))
            elif operation is p.cast:
                found.append(p.cast(x, dtype=self.among(["float32", "float64", "bool"])))
            else:
                found.append(operation(x, other))
        kept = [found[-1]] + [value for value in found[:-1] if self.chance(0.25)]
        if self.chance(0.2):
            kept.append(self.looked_at(found[-1]))
        return kept

    def looked_at(self, x: Tensor) -> Tensor:
        """A view of x."""
        if self.chance(0.5):
            return p.transpose(x, axes=tuple(int(axis) for axis in self.random.permutation(x.ndim)))
        return p.reshape(x, shape=(x.size,))


# Families. Each gives the graph's outputs.


def elementwise(draw: Draw) -> list[Tensor]:
    draw.special = draw.chance(0.5)
    shape = draw.shape(4)
    dtypes = ("bool", *WHOLE, *FLOATS * 4)
    values = [draw.operand(draw.part_of(shape), draw.among(dtypes)) for _ in range(1 + draw.below(3))]
    values.append(draw.operand(shape, draw.among(dtypes)))
    for _ in range(1 + draw.below(8)):
        values.append(_exact(draw, draw.among(values), draw.among(values)))
    kept = [values[-1], *(value for value in values if draw.chance(0.1))]
    if draw.chance(0.4):
        draw.tolerance = 1e-6
        kept.append(_mathematical(draw, draw.operand(draw.part_of(shape), draw.among(FLOATS), 0, 9)))
    return kept


def _exact(draw: Draw, a: Tensor, b: Tensor) -> Tensor:
    """An operation whose result IEEE 754, or wrapping, fixes to the last bit."""
    operations = [p.add, p.subtract, p.multiply, p.maximum, p.minimum, p.less, p.equal, p.absolute, p.where, p.sqrt]
    operation = draw.among([*operations, p.divide, p.cast])
    if operation is p.where:
        return p.where(p.less(a, b), b, a)
    if operation is p.cast:
        dtypes = ("float32", "float64", "bool") if a.dtype.kind == "f" else (*WHOLE, "float32")
        return p.cast(a, dtype=draw.among(dtypes))
    try:
        if operation is p.divide:  # not by zero, whose sign may be either
            return p.divide(a, p.add(p.absolute(b), 1))
        return operation(a) if operation in (p.absolute, p.sqrt) else operation(a, b)
    except TypeError:  # NumPy subtracts no booleans, and gives float16 for roots of bytes
        return p.equal(a, b)


def _mathematical(draw: Draw, x: Tensor) -> Tensor:
    operation = draw.among([p.exp, p.log, p.log1p, p.tanh, p.erf, p.power])
    return p.power(x, draw.among([2.5, 3, -1.5])) if operation is p.power else operation(p.multiply(x, 0.25))


def copies(draw: Draw) -> list[Tensor]:
    draw.special = True
    x = draw.operand(draw.shape(5, 3000), draw.among(("bool", *WHOLE, *FLOATS)))
    for _ in range(1 + draw.below(4)):
        x = _moved(draw, x)
    return [x, draw.looked_at(x)] if draw.chance(0.3) else [x]


def _moved(draw: Draw, x: Tensor) -> Tensor:
    operation, random = draw.below(6), draw.random
    if operation == 0 and x.size < 3000:
        low, high, interior = (tuple(int(n) for n in random.integers(0, 4, x.ndim)) for _ in range(3))
        grown = np.prod([n * (1 + k) + a + b for n, k, a, b in zip(x.shape, interior, low, high, strict=True)])
        if grown < 20000:
            return p.pad(x, low=low, high=high, interior=interior, value=1)
    if operation == 1 and x.ndim and x.size < 3000:
        axis = draw.below(x.ndim)
        other = (*x.shape[:axis], draw.below(4), *x.shape[axis + 1 :])
        return p.concatenate(x, draw.operand(other, x.dtype.name), x, axis=axis)
    if operation == 2 and x.size < 3000:
        return p.broadcast(x, shape=(1 + draw.below(4), *x.shape))
    if operation == 3 and x.ndim:
        return p.flip(x, axes=(draw.below(x.ndim),))
    if operation == 4 and 0 not in x.shape:
        start = tuple(draw.below(n) for n in x.shape)
        return p.take_slice(x, start=start, stop=x.shape, step=tuple(1 + draw.below(3) for _ in x.shape))
    return draw.looked_at(x)


def sums(draw: Draw) -> list[Tensor]:
    return _reduced(draw, p.reduce_sum)


def maxima(draw: Draw) -> list[Tensor]:
    draw.special = draw.chance(0.5)
    return _reduced(draw, p.reduce_max)


def _reduced(draw: Draw, primitive: Callable) -> list[Tensor]:
    """Of what two operations, or none, give."""
    shape = draw.shape(5, 6000)
    x = draw.operand(shape, draw.among(("bool", *WHOLE, *FLOATS * 4)))
    for _ in range(draw.below(3)):
        other = draw.operand(draw.part_of(shape), x.dtype.name)
        x = draw.among([p.add, p.multiply, p.maximum])(x, other)
    axes = tuple(axis for axis, size in enumerate(shape) if draw.chance(0.5) and (size or primitive is p.reduce_sum))
    return [primitive(x, axes=axes), *([x] if draw.chance(0.2) else [])]


def argmaxima(draw: Draw) -> list[Tensor]:
    draw.special = draw.chance(0.5)
    shape = (*draw.shape(3, 2000), draw.among(SIZES))
    axis = draw.among([place for place, size in enumerate(shape) if size])
    return [p.argmax(draw.operand(shape, draw.among(("bool", *WHOLE, *FLOATS * 2))), axis=axis)]


def taken(draw: Draw) -> list[Tensor]:
    draw.special = True
    shape = (*draw.shape(2, 200), draw.among(SIZES), *draw.shape(1, 200))
    axis = draw.among([place for place, size in enumerate(shape) if size])
    return [p.take(draw.operand(shape, draw.among(("bool", *WHOLE, *FLOATS))), _places(draw, shape[axis]), axis=axis)]


def scattered(draw: Draw) -> list[Tensor]:
    before, after, size = draw.shape(1), draw.shape(1), draw.among(SIZES)
    places = _places(draw, size)
    g = draw.operand((*before, *places.shape, *after), draw.among((*FLOATS, "int32", "uint8")))
    return [p.scatter_add(g, places, axis=len(before), size=size)]


def _places(draw: Draw, size: int) -> Tensor:
    dtype = draw.among(("int64", "int32", "uint8", "int8", "uint64"))
    return draw.operand(draw.shape(2, 40), dtype, -size if not dtype.startswith("u") else 0, size)


def drawn_numbers(draw: Draw) -> list[Tensor]:
    key = draw.operand((4,), "uint32", 0, 2**31)
    return draw.followed(p.random_uniform(key, shape=draw.shape(3), stream=draw.below(9), dtype=draw.among(FLOATS)), 1)


def _windows(draw: Draw) -> tuple[Shape, dict]:
    """The shape of pictures, and sliding windows over them; the last may stick out."""
    axes = draw.among((1, 2, 2, 2, 3))
    kernel, stride, dilation = (tuple(1 + draw.below(3) for _ in range(axes)) for _ in range(3))
    padding = tuple((draw.below(k + 1), draw.below(k + 1)) for k in kernel)
    sizes = tuple(
        max(1 + draw.below(12 if axes < 3 else 6), d * (k - 1) + 1 - a - b)
        for k, d, (a, b) in zip(kernel, dilation, padding, strict=True)
    )
    outputs = tuple(
        (n + a + b - d * (k - 1) - 1) // s + 1 + (s > 1 and draw.chance(0.2))
        for n, k, s, d, (a, b) in zip(sizes, kernel, stride, dilation, padding, strict=True)
    )
    channels = draw.among((1, 2, 3, 5, 8, 16, 17, 33, 70) if axes < 3 else (1, 3, 16))
    windows = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "outputs": outputs}
    return (1 + draw.below(3), channels, *sizes), windows


def sum_pools(draw: Draw) -> list[Tensor]:
    shape, windows = _windows(draw)
    return draw.followed(p.sum_pool(draw.operand(shape, draw.among(FLOATS)), **windows), 1)


def sum_unpools(draw: Draw) -> list[Tensor]:
    shape, windows = _windows(draw)
    g = draw.operand((*shape[:2], *windows["outputs"]), draw.among(FLOATS))
    return draw.followed(p.sum_unpool(g, size=shape[2:], **windows), 1)


def max_pools(draw: Draw) -> list[Tensor]:
    draw.special = draw.chance(0.5)
    shape, windows = _windows(draw)
    return draw.followed(p.max_pool(draw.operand(shape, draw.among(FLOATS)), **windows), 1)


def max_unpools(draw: Draw) -> list[Tensor]:
    shape, windows = _windows(draw)
    x, g = draw.operand(shape, draw.among(FLOATS)), draw.operand((*shape[:2], *windows["outputs"]), draw.among(FLOATS))
    return draw.followed(p.max_unpool(x, g, **windows), 1)


def max_pool_takes(draw: Draw) -> list[Tensor]:
    shape, windows = _windows(draw)
    x, v = (draw.operand(shape, draw.among(FLOATS)) for _ in range(2))
    return draw.followed(p.max_pool_take(x, v, **windows), 1)


def convolutions(draw: Draw) -> list[Tensor]:
    case, dtype = drawn_case(draw.random), draw.among(FLOATS)
    other = draw.among(("uint8", "float64", "bool")) if draw.chance(0.1) else dtype
    return draw.followed(p.convolution(draw.operand(case.x, other), draw.operand(case.weight, dtype), **case.settings))


def pooled_convolutions(draw: Draw) -> list[Tensor]:
    """Often the largest of windows side by side, at times something a little different."""
    case, dtype = drawn_case(draw.random), draw.among(FLOATS)
    y = p.convolution(draw.operand(case.x, dtype), draw.operand(case.weight, dtype), **case.settings)
    if draw.chance(0.7):
        y = p.maximum(p.add(y, draw.operand(draw.part_of(y.shape), dtype)), 0)
    kernel = tuple(1 + draw.below(min(n, 4)) for n in case.result[2:])
    stride = kernel if draw.chance(0.9) else tuple(1 + draw.below(3) for _ in kernel)
    outputs = tuple((n - k) // s + 1 for n, k, s in zip(case.result[2:], kernel, stride, strict=True))
    settings = {"padding": ((0, 0),) * len(kernel), "dilation": (1,) * len(kernel)}
    found = p.max_pool(y, kernel=kernel, stride=stride, outputs=outputs, **settings)
    return [*draw.followed(found, 1), *([y] if draw.chance(0.1) else [])]


def input_gradients(draw: Draw) -> list[Tensor]:
    case, dtype = drawn_case(draw.random), draw.among(FLOATS)
    g, weight = draw.operand(case.result, dtype), draw.operand(case.weight, dtype)
    return draw.followed(p.convolution_input_gradient(g, weight, size=case.x[2:], **case.settings))


def weight_gradients(draw: Draw) -> list[Tensor]:
    case, dtype = drawn_case(draw.random), draw.among(FLOATS)
    x, g = draw.operand(case.x, dtype), draw.operand(case.result, dtype)
    return draw.followed(p.convolution_weight_gradient(x, g, kernel=case.weight[2:], **case.settings), 1)


def depthwise(draw: Draw) -> list[Tensor]:
    """Each channel by itself, in any of the three faces."""
    shape, windows = _windows(draw)
    kernel, settings = windows["kernel"], {name: windows[name] for name in ("stride", "padding", "dilation")}
    outputs = output_sizes(shape[2:], kernel, settings["padding"], settings["stride"], settings["dilation"])
    settings["groups"] = shape[1]
    dtype, face = draw.among(FLOATS), draw.below(4)
    x, weight = draw.operand(shape, dtype), draw.operand((shape[1], 1, *kernel), dtype)
    g = draw.operand((*shape[:2], *outputs), dtype)
    if face == 0:
        return draw.followed(p.convolution_input_gradient(g, weight, size=shape[2:], **settings))
    if face == 1:
        return [p.convolution_weight_gradient(x, g, kernel=kernel, **settings)]
    return draw.followed(p.convolution(x, weight, **settings))


def products(draw: Draw) -> list[Tensor]:
    batch = draw.shape(2, 6)
    rows, inner, columns = (draw.among(SIZES) for _ in range(3))
    dtype = draw.among(("bool", "int32", "int64", "uint8", *FLOATS * 4))
    left, right = (draw.part_of(batch) for _ in range(2))
    inner = 0 if draw.chance(0.03) else inner
    y = p.matmul(draw.operand((*left, rows, inner), dtype), draw.operand((*right, inner, columns), dtype))
    return draw.followed(y)


FAMILIES: dict[str, Callable[[Draw], list[Tensor]]] = {
    "elements": elementwise,
    "copies": copies,
    "sum": sums,
    "max": maxima,
    "argmax": argmaxima,
    "take": taken,
    "scatter_add": scattered,
    "random": drawn_numbers,
    "sum_pool": sum_pools,
    "sum_unpool": sum_unpools,
    "max_pool": max_pools,
    "max_unpool": max_unpools,
    "max_pool_take": max_pool_takes,
    "convolution": convolutions,
    "pooled convolution": pooled_convolutions,
    "input gradient": input_gradients,
    "weight gradient": weight_gradients,
    "depthwise": depthwise,
    "matmul": products,
}
"""Every family of kernels, and what draws a graph for it."""
