"""Graphs drawn at random: elementwise chains, views, reductions, products, convolutions and pooling in any order."""

from __future__ import annotations

import numpy as np

from wimmel.graph import Graph, trace
from wimmel.graph import primitives as p
from wimmel.graph.tensor import Tensor


def drawn_graph(seed: int, operations: int = 12) -> tuple[Graph, list[np.ndarray]]:
    """A graph and values for its inputs."""
    random = np.random.default_rng(seed)
    shape = tuple(int(n) for n in random.integers(1, 7, 4))
    arrays = [
        random.standard_normal(shape).astype(np.float32),
        random.standard_normal(shape[1:2] + (1, 1)).astype(np.float32),
        random.standard_normal((5, shape[3])).astype(np.float32),
    ]

    def function(*inputs: Tensor) -> list[Tensor]:
        values = list(inputs)
        for _ in range(operations):
            values.append(_applied(random, values))
        kept = random.permutation(len(values) - 3)[:3] + 3
        return [values[-1], *(values[place] for place in kept)]

    return trace(function, *arrays).graph, arrays


def _applied(random: np.random.Generator, values: list[Tensor]) -> Tensor:
    """One primitive on values drawn from the latest ones."""
    x = values[max(0, len(values) - 1 - int(random.geometric(0.4)))]
    choice = str(random.choice(_CHOICES))
    if choice == "unary":
        function = [p.tanh, p.absolute, lambda x: p.exp(p.minimum(x, 2)), lambda x: p.maximum(x, 0)]
        return function[int(random.integers(len(function)))](_real(x))
    if choice == "binary":
        y = values[int(random.integers(len(values)))]
        try:
            np.broadcast_shapes(x.shape, y.shape)
        except ValueError:
            y = _real(x)
        operation = [p.add, p.multiply, p.subtract, p.maximum, p.minimum, p.less][int(random.integers(6))]
        a, b = _real(x), _real(y)
        grown = int(np.prod(np.broadcast_shapes(a.shape, b.shape)))
        return operation(a, b if grown < 20000 else a)
    if choice == "where":
        return p.where(p.less(_real(x), 0.25), _real(x), p.multiply(_real(x), 3))
    if choice == "transpose":
        return p.transpose(x, axes=tuple(int(a) for a in random.permutation(x.ndim)))
    if choice == "reshape":
        return p.reshape(x, shape=(x.size,) if random.random() < 0.5 else (1, x.size, 1))
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
    if choice == "sum" and x.ndim:
        return p.reduce_sum(_real(x), axes=tuple(a for a in range(x.ndim) if random.random() < 0.6) or (0,))
    if choice == "max" and x.ndim and x.size:
        return p.reduce_max(_real(x), axes=(int(random.integers(x.ndim)),))
    if choice == "matmul" and x.ndim >= 2:
        axes = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)
        return p.multiply(p.matmul(_real(x), p.transpose(_real(x), axes=axes)), 0.25)
    if choice in ("convolution", "pool") and x.ndim == 4 and min(x.shape) > 0 and x.size < 4000:
        pairs = tuple((int(a), int(b)) for a, b in random.integers(0, 3, (2, 2)))
        if choice == "pool":
            pairs = ((0, 1), (0, 1))
            outputs = tuple((n + 1 - 2) // 2 + 1 for n in x.shape[2:])
            settings = dict(kernel=(2, 2), stride=(2, 2), padding=pairs, dilation=(1, 1), outputs=outputs)
            return p.max_pool(_real(x), **settings) if random.random() < 0.5 else p.sum_pool(_real(x), **settings)
        if all(n + a + b >= 3 for n, (a, b) in zip(x.shape[2:], pairs, strict=True)):
            weight = random.standard_normal((int(random.integers(1, 9)), x.shape[1], 3, 3)).astype(np.float32) / 9
            stride = tuple(int(s) for s in random.integers(1, 3, 2))
            return p.convolution(_real(x), weight, stride=stride, padding=pairs, dilation=(1, 1), groups=1)
    return p.add(_real(x), 1)


def _real(x: Tensor) -> Tensor:
    """As float32, and tame."""
    return x if x.dtype == np.float32 else p.cast(x, dtype="float32")


_CHOICES = (
    "unary", "unary", "binary", "binary", "binary", "where", "transpose", "reshape", "slice", "flip", "pad",
    "concatenate", "sum", "max", "matmul", "convolution", "convolution", "pool",
)  # fmt: skip
