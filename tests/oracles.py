"""What results are compared with, written apart from the package: finite differences, convolution and pooling as the
plain sums and maxima of the textbook, Philox word by word; and running a function as a recorded graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from hypothesis import settings

from wimmel.graph import array, evaluate, flatten, gradients, trace, unflatten


def examples(count: int) -> settings:
    """So many examples of a property in an ordinary run, and as many more as the hypothesis profile asks for."""
    return settings(max_examples=max(1, count * settings().max_examples // 100))


# running a function


def recorded(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What the function gives when it is recorded for these arguments and its graph then run on them."""
    traced = trace(function, *arguments, **named)
    values = [np.asarray(leaf) for leaf in flatten((arguments, named))[0]]
    values = [value.astype(value.dtype.newbyteorder("=")) for value in values]
    values += [variable.value for variable in traced.variables]
    outputs = evaluate(traced.graph, values)
    return unflatten(traced.result, outputs[: len(outputs) - len(traced.updated)])


def assert_same_bits(actual: Any, expected: Any) -> None:
    """Shape, dtype and every bit of two arrays agree, the sign of zero too; NaN equals NaN."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected)
    if actual.dtype.kind == "f":
        numbers = ~np.isnan(actual)
        np.testing.assert_array_equal(np.signbit(actual[numbers]), np.signbit(expected[numbers]))


# gradients


def largest_difference(actual: np.ndarray, expected: np.ndarray, floor: float = 0.0) -> float:
    """The largest difference over the largest value, which counts as no smaller than the floor."""
    if actual.size == 0:
        return 0.0
    scale = max(np.abs(actual).max(), np.abs(expected).max(), floor)
    return float(np.abs(actual - expected).max() / scale) if scale > 0 else 0.0


def finite_difference(
    function: Callable[..., float], arrays: Sequence[np.ndarray], place: int, step: float = 1e-3
) -> np.ndarray:
    """The derivative of a number by each element of one of the arrays, from four values around it: error step^4."""
    slope = np.zeros(arrays[place].shape)
    for index in np.ndindex(*slope.shape):
        for offset, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
            moved = list(arrays)
            moved[place] = arrays[place].copy()
            moved[place][index] += offset * step
            slope[index] += weight * float(function(*moved)) / (12 * step)
    return slope


def assert_gradients_match(
    function: Callable[..., Any],
    *arguments: np.ndarray,
    by: Sequence[int] | None = None,
    orders: int = 2,
    tolerance: float = 1e-6,
    step: float = 1e-3,
    seed: int = 0,
) -> None:
    """First and second derivatives of a function, by every float64 argument, agree with finite differences.

    The result, and for second derivatives the gradients, are weighted with random numbers and summed, so that every
    element of the Jacobian counts. Arguments must lie further than two steps from kinks and ties.
    """
    places = [i for i, a in enumerate(arguments) if a.dtype == np.float64] if by is None else list(by)
    rng = np.random.default_rng(seed)
    weights: list[np.ndarray] = []

    def weighted_sum(values: Sequence[Any], order: int) -> Any:
        while len(weights) <= order:
            weights.append([])
        for value in values[len(weights[order]) :]:
            weights[order].append(rng.normal(size=value.shape))
        products = [array.sum(array.multiply(value, w)) for value, w in zip(values, weights[order], strict=True)]
        total = products[0]
        for part in products[1:]:
            total = array.add(total, part)
        return total

    def number(order: int, *tensors: Any) -> Any:
        if order == 0:
            return weighted_sum([function(*tensors)], 0)
        return weighted_sum(slopes(order - 1, *tensors), order)

    def slopes(order: int, *tensors: Any) -> list[Any]:
        return gradients(number(order, *tensors), [tensors[place] for place in places])

    for order in range(orders):
        value = trace(lambda *tensors, order=order: number(order, *tensors), *arguments)
        slope = trace(lambda *tensors, order=order: slopes(order, *tensors), *arguments)
        (here,) = evaluate(value.graph, arguments)
        analytic = evaluate(slope.graph, arguments)
        for place, found in zip(places, analytic, strict=True):
            expected = finite_difference(
                lambda *moved, value=value: evaluate(value.graph, moved)[0], arguments, place, step
            )
            assert found.shape == arguments[place].shape
            assert found.dtype == arguments[place].dtype
            # rounding alone moves a difference quotient by about 1e-12 of the value
            difference = largest_difference(found, expected, floor=1e-4 * (1 + abs(float(here))))
            assert difference < tolerance, (
                f"derivative of order {order + 1} by argument {place} is off by {difference:.2g}:\n"
                f"{found}\ninstead of\n{expected}"
            )


# convolution and pooling, one product and one element at a time

Pairs = Sequence[tuple[int, int]]


def meetings(
    sizes: Sequence[int],
    kernel: Sequence[int],
    outputs: Sequence[int],
    stride: Sequence[int],
    padding: Pairs,
    dilation: Sequence[int],
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """Every (output position, tap, input position) that meet inside the input."""
    for position in product(*map(range, outputs)):
        for tap in product(*map(range, kernel)):
            rows = zip(position, tap, stride, padding, dilation, strict=True)
            place = tuple(p * s + k * d - front for p, k, s, (front, _), d in rows)
            if all(0 <= i < n for i, n in zip(place, sizes, strict=True)):
                yield position, tap, place


def direct_convolution(x: Any, w: Any, y: Any, wanted: str, groups: int, **windows: Any) -> np.ndarray:
    """The face "x", "w" or "y" of the trilinear form from the other two; of the wanted one only shape and dtype."""
    result = np.zeros(*{"x": (x.shape, x.dtype), "w": (w.shape, w.dtype), "y": (y.shape, y.dtype)}[wanted])
    c_out, c_in = w.shape[0] // groups, w.shape[1]
    for n, g, o, c in product(range(x.shape[0]), range(groups), range(c_out), range(c_in)):
        for position, tap, place in meetings(x.shape[2:], w.shape[2:], y.shape[2:], **windows):
            at_x, at_w, at_y = (n, g * c_in + c, *place), (g * c_out + o, c, *tap), (n, g * c_out + o, *position)
            if wanted == "y":
                result[at_y] += x[at_x] * w[at_w]
            elif wanted == "x":
                result[at_x] += y[at_y] * w[at_w]
            else:
                result[at_w] += x[at_x] * y[at_y]
    return result


def direct_windows(
    x: np.ndarray, kernel: Sequence[int], outputs: Sequence[int], **windows: Any
) -> dict[tuple[int, ...], list[tuple[int, ...]]]:
    """For each output element of a pooling, the input elements under its window, in row-major order."""
    found: dict[tuple[int, ...], list[tuple[int, ...]]] = {
        index: [] for index in product(*map(range, (*x.shape[:2], *outputs)))
    }
    for position, _, place in meetings(x.shape[2:], kernel, outputs, **windows):
        for n, c in product(range(x.shape[0]), range(x.shape[1])):
            found[(n, c, *position)].append((n, c, *place))
    return found


# random numbers


def philox_block(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    """Philox-4x32-10 of one counter, after Salmon et al. (2011), section 3.3, in Python's whole numbers."""
    left0, right0, left1, right1 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * left0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * left1, 2**32)
        left0, right0, left1, right1 = high1 ^ right0 ^ k0, low1, high0 ^ right1 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [left0, right0, left1, right1]
