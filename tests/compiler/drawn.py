"""Graphs drawn at random: elementwise chains, views, reductions, products, convolutions and pooling in any order, and
their derivatives."""

from __future__ import annotations

import numpy as np

from wimmel.graph import Graph, gradients, trace
from wimmel.graph import primitives as p
from wimmel.graph.tensor import Tensor


def drawn_graph(
    seed: int, operations: int = 12, derivatives: int = 0, dtype: str = "float32"
) -> tuple[Graph, list[np.ndarray]]:
    """A graph and values for its inputs. With derivatives, it also gives those of one number by each input, and so on:
    the second are of a sum of the first."""
    random = np.random.default_rng(seed)
    shape = tuple(int(n) for n in random.integers(1, 7, 4))
    shapes = (shape, (*shape[1:2], 1, 1), (5, shape[3]))
    arrays = [random.standard_normal(each).astype(dtype) for each in shapes]

    def function(*inputs: Tensor) -> list[Tensor]:
        values = list(inputs)
        for _ in range(operations):
            values.append(_applied(random, values, dtype))
        kept = random.permutation(len(values) - 3)[:3] + 3
        found = [values[-1], *(values[place] for place in kept)]
        parts = [_real(value, dtype) for value in found if value.dtype.kind == "f"]
        for _ in range(derivatives):
            total = p.reduce_sum(p.tanh(_flat(_weighted(random, parts))), axes=(0,))
            parts = gradients(total, list(inputs))
            found += parts
        return found

    return trace(function, *arrays).graph, arrays


def _flat(x: Tensor) -> Tensor:
    return p.reshape(x, shape=(x.size,))


def _weighted(random: np.random.Generator, parts: list[Tensor]) -> Tensor:
    """All elements of the parts, each times a number of its own, in a row."""
    rows = [_flat(p.multiply(part, random.standard_normal(part.shape).astype(part.dtype))) for part in parts]
    return p.concatenate(*rows, axis=0) if rows else np.zeros(1)


def _applied(random: np.random.Generator, values: list[Tensor], dtype: str) -> Tensor:
    """One primitive on values drawn from the latest ones."""
    x = values[max(0, len(values) - 1 - int(random.geometric(0.4)))]
    real = _real(x, dtype)
    choice = str(random.choice(_CHOICES))
    if choice == "unary":
        function = [p.tanh, p.absolute, p.erf, lambda x: p.exp(p.minimum(x, 2)), lambda x: p.maximum(x, 0)]
        return function[int(random.integers(len(function)))](real)
    if choice == "binary":
        y = values[int(random.integers(len(values)))]
        try:
            np.broadcast_shapes(x.shape, y.shape)
        except ValueError:
            y = real
        operation = [p.add, p.multiply, p.subtract, p.maximum, p.minimum, p.less][int(random.integers(6))]
        b = _real(y, dtype)
        grown = int(np.prod(np.broadcast_shapes(real.shape, b.shape)))
        return operation(real, b if grown < 20000 else real)
    if choice == "where":
        return p.where(p.less(real, 0.25), real, p.multiply(real, 3))
    if choice == "transpose":
        return p.transpose(x, axes=tuple(int(a) for a in random.permutation(x.ndim)))
    if choice == "reshape":
        return p.reshape(x, shape=(x.size,) if random.random() < 0.5 else (1, x.size, 1))
    if choice == "four axes":
        return p.reshape(x, shape=_four(random, x.size))
    if choice == "slice" and 0 not in x.shape:
        start = tuple(int(random.integers(n)) for n in x.shape)
        return p.take_slice(x, start=start, stop=x.shape, step=tuple(int(s) for s in random.integers(1, 3, x.ndim)))
    if choice == "flip" and x.ndim:
        return p.flip(x, axes=(int(random.integers(x.ndim)),))
    if choice == "pad" and x.size < 2000:
        low, high, interior = (tuple(int(n) for n in random.integers(0, 3, x.ndim)) for _ in range(3))
        return p.pad(x, low=low, high=high, interior=interior, value=1 if x.dtype == bool else 1.5)
    if choice == "concatenate" and x.ndim and x.size < 2000:
        return p.concatenate(x, x, axis=int(random.integers(x.ndim)))
    if choice == "take" and x.ndim and x.size:
        axis = int(random.integers(x.ndim))
        return p.take(x, random.integers(-x.shape[axis], x.shape[axis], (2, 2)), axis=axis)
    if choice == "sum" and x.ndim:
        return p.reduce_sum(real, axes=tuple(a for a in range(x.ndim) if random.random() < 0.6) or (0,))
    if choice == "max" and x.ndim and x.size:
        return p.reduce_max(real, axes=(int(random.integers(x.ndim)),))
    if choice == "argmax" and x.ndim and x.size:
        return p.argmax(real, axis=int(random.integers(x.ndim)))
    if choice == "matmul" and x.ndim >= 2:
        axes = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)
        return p.multiply(p.matmul(real, p.transpose(real, axes=axes)), 0.25)
    if choice in ("convolution", "pool") and x.ndim == 4 and min(x.shape) > 0 and x.size < 4000:
        return _pooled(random, real) if choice == "pool" else _convolved(random, real)
    return p.add(real, 1)


def _four(random: np.random.Generator, size: int) -> tuple[int, ...]:
    """Four axes of so many elements in all."""
    shape = [1, 1, 1, size]
    for axis in range(3):
        factor = int(random.choice([n for n in range(1, 9) if shape[3] % n == 0]))
        shape[axis], shape[3] = factor, shape[3] // factor
    return tuple(shape)


def _convolved(random: np.random.Generator, x: Tensor) -> Tensor:
    """The convolution of x with drawn weights: ordinary, by groups or each channel by itself; or transposed."""
    channels, pairs = x.shape[1], tuple((int(a), int(b)) for a, b in random.integers(0, 3, (2, 2)))
    if not all(n + a + b >= 3 for n, (a, b) in zip(x.shape[2:], pairs, strict=True)):
        return p.add(x, 1)
    groups = int(random.choice([n for n in range(1, channels + 1) if channels % n == 0]))
    multiple = 1 if random.random() < 0.3 else int(random.integers(1, 9))
    settings = {"stride": tuple(int(s) for s in random.integers(1, 3, 2)), "dilation": (1, 1), "groups": groups}
    if random.random() < 0.3:
        weight = random.standard_normal((channels, multiple, 3, 3)).astype(x.dtype) / 9
        size = tuple((n - 1) * s + 3 for n, s in zip(x.shape[2:], settings["stride"], strict=True))
        return p.convolution_input_gradient(x, weight, size=size, padding=((0, 0), (0, 0)), **settings)
    weight = random.standard_normal((groups * multiple, channels // groups, 3, 3)).astype(x.dtype) / 9
    y = p.convolution(x, weight, padding=pairs, **settings)
    return _side_by_side(random, p.maximum(y, 0.1)) if random.random() < 0.6 else y


def _side_by_side(random: np.random.Generator, x: Tensor) -> Tensor:
    """Maxima of windows that do not overlap; what is left at the end is left out."""
    kernel = tuple(int(random.integers(1, min(n, 4) + 1)) for n in x.shape[2:])
    outputs = tuple(n // k for n, k in zip(x.shape[2:], kernel, strict=True))
    settings = {"kernel": kernel, "stride": kernel, "padding": ((0, 0),) * 2, "dilation": (1, 1), "outputs": outputs}
    return p.max_pool(x, **settings)


def _pooled(random: np.random.Generator, x: Tensor) -> Tensor:
    outputs = tuple((n + 1 - 2) // 2 + 1 for n in x.shape[2:])
    settings = {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 1),) * 2, "dilation": (1, 1), "outputs": outputs}
    return p.max_pool(x, **settings) if random.random() < 0.5 else p.sum_pool(x, **settings)


def _real(x: Tensor, dtype: str) -> Tensor:
    return x if x.dtype == dtype else p.cast(x, dtype=dtype)


_CHOICES = (
    "unary", "unary", "binary", "binary", "binary", "where", "transpose", "reshape", "four axes", "four axes", "slice",
    "flip", "pad", "concatenate", "take", "sum", "max", "argmax", "matmul", "convolution", "convolution", "pool",
)  # fmt: skip
