"""Pooling kernels give what the primitives define: to the bit, but for the sign of a zero maximum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compiler.machine import at, run_steps
from wimmel.compiler.kernels import pooling
from wimmel.compiler.steps import Buffer, Place, row_major
from wimmel.compiler.targets import KNOWN, Target
from wimmel.geometry import Pairs
from wimmel.graph import primitives

TARGETS = [KNOWN[name] for name in ("avx512", "avx2", "sse4.2", "plain")]
OPERATIONS = ("sum_pool", "max_pool", "max_pool_take", "sum_unpool", "max_unpool")


def channels_last(shape: tuple[int, ...], dtype: str, halo: int = 0) -> Place:
    """Channels last, in the middle of a larger picture."""
    n, c, *sizes = shape
    whole = [size + 2 * halo for size in sizes]
    place = row_major(Buffer(dtype, n * c * int(np.prod(whole))), (n, *whole, c))
    start = (0, *[halo] * len(sizes), 0)
    inner = place.sliced(start, (n, *sizes, c), (1,) * len(start))
    return inner.transposed((0, len(start) - 1, *range(1, len(start) - 1)))


def in_order(shape: tuple[int, ...], dtype: str, halo: int = 0) -> Place:
    return row_major(Buffer(dtype, int(np.prod(shape))), shape)


def filled(place: Place, array: np.ndarray) -> np.ndarray:
    """The buffer's elements where the place has the array's; NaN or a large number around."""
    flat = np.full(place.buffer.elements, np.nan if array.dtype.kind == "f" else 99, array.dtype)
    strides = tuple(stride * flat.itemsize for stride in place.strides)
    if array.size:
        np.lib.stride_tricks.as_strided(flat[place.offset :], place.shape, strides)[...] = array
    return flat


def run(name: str, arrays: list[np.ndarray], settings: dict[str, Any], target: Target, layout: Any, seed: int) -> None:
    """One primitive on arrays, against its definition."""
    definition = getattr(primitives, name).definition
    expected = definition(*arrays, **settings)
    places = [layout(array.shape, array.dtype.name, halo=1 - index % 2) for index, array in enumerate(arrays)]
    result = layout(expected.shape, expected.dtype.name)
    windows = {key: value for key, value in settings.items() if key != "size"}
    steps = getattr(pooling, f"plan_{name}")(*places, result, **windows, target=target)
    if not expected.size:
        assert not steps
        return
    values = {place.buffer: filled(place, array) for place, array in zip(places, arrays, strict=True)}
    found = at(result, run_steps(steps, values, target, seed))
    np.testing.assert_array_equal(found, expected)


def drawn(random: np.random.Generator, shape: tuple[int, ...], dtype: str, special: bool = True) -> np.ndarray:
    """Few different numbers, so that there are ties; NaN, infinities and both zeros among floats."""
    if dtype == "bool":
        return random.random(shape) < 0.3
    if np.dtype(dtype).kind in "iu":
        return random.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    x = random.integers(-3, 4, shape).astype(dtype) / 3
    x[random.random(shape) < 0.2] = -0.0
    if special:
        x[random.random(shape) < 0.05] = np.nan
        x[random.random(shape) < 0.2] = -np.inf
    return x


def counts(
    sizes: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: Pairs, dilation: tuple[int, ...],
    beyond: int = 0,
) -> tuple[int, ...]:  # fmt: skip
    """How many windows there are, and as many more `beyond` the last, which stick out behind."""
    rows = zip(sizes, kernel, stride, padding, dilation, strict=True)
    return tuple((n + sum(pads) - d * (k - 1) - 1) // s + 1 + beyond for n, k, s, pads, d in rows)


def arrays_for(
    name: str, shape: tuple[int, ...], outputs: tuple[int, ...], dtype: str, random: Any
) -> list[np.ndarray]:
    x = drawn(random, shape, dtype)
    g = drawn(random, (*shape[:2], *outputs), dtype if np.dtype(dtype).kind == "f" else "float32", special=False)
    other = drawn(random, shape, dtype if np.dtype(dtype).kind == "f" else "float32", special=False)
    if name.startswith("sum") and np.dtype(dtype).kind == "f":
        x = drawn(random, shape, dtype, special=False)
    return {"max_pool_take": [x, other], "sum_unpool": [g], "max_unpool": [x, g]}.get(name, [x])


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", OPERATIONS)
def test_windows_of_any_kind_give_what_the_definition_gives(name, target):
    random = np.random.default_rng(OPERATIONS.index(name))
    for seed in range(8):
        axes = int(random.choice([1, 2, 2, 2, 3]))
        sizes = tuple(int(n) for n in random.integers(1, 9, axes))
        shape = (int(random.integers(1, 4)), int(random.choice([1, 3, 6, 8, 19])), *sizes)
        kernel, stride, dilation = (tuple(int(n) for n in random.integers(1, 4, axes)) for _ in range(3))
        pads = tuple((int(a), int(b)) for a, b in random.integers(0, 4, (axes, 2)))
        padding = tuple((a, b + max(0, d * (k - 1) + 1 - n - a - b)) for n, k, d, (a, b) in
                        zip(sizes, kernel, dilation, pads, strict=True))  # fmt: skip
        outputs = counts(sizes, kernel, stride, padding, dilation, beyond=seed % 2)
        settings = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "outputs": outputs}
        if name == "sum_unpool":
            settings["size"] = sizes
        dtype = str(random.choice(["float32", "float64"]))
        layout = in_order if seed % 4 == 0 else channels_last
        run(name, arrays_for(name, shape, outputs, dtype, random), settings, target, layout, seed)


CASES = {
    "LeNet": ((3, 6, 8, 8), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    "odd picture": ((2, 16, 7, 9), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    "ResNet": ((2, 33, 9, 10), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "same size": ((1, 4, 6, 7), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "global": ((2, 5, 7, 6), (7, 6), (7, 6), ((0, 0), (0, 0)), (1, 1)),
    "gaps": ((2, 5, 9, 11), (2, 3), (4, 5), ((1, 0), (1, 2)), (1, 1)),
    "dilated, apart": ((2, 5, 9, 11), (2, 3), (3, 6), ((1, 0), (2, 2)), (2, 2)),
    "one channel": ((2, 1, 9, 70), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "one channel, dense": ((1, 1, 5, 50), (3, 5), (1, 1), ((1, 1), (2, 2)), (1, 1)),
    "all padding": ((1, 3, 2, 2), (2, 2), (2, 2), ((4, 4), (4, 0)), (1, 1)),
    "sequence": ((2, 24, 20), (4,), (3,), ((2, 2),), (1,)),
    "volume": ((1, 7, 5, 6, 7), (2, 3, 2), (2, 2, 2), ((0, 0), (1, 1), (0, 1)), (1, 1, 1)),
    "many taps": ((1, 3, 20, 20), (17, 17), (2, 2), ((3, 3), (3, 3)), (1, 1)),
    "nothing to see": ((2, 3, 0, 4), (2, 2), (2, 2), ((1, 1), (0, 0)), (1, 1)),
    "nothing to see, overlapping": ((2, 3, 4, 0), (2, 2), (1, 1), ((0, 0), (1, 2)), (1, 1)),
    "no pictures": ((0, 3, 4, 4), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("case", CASES)
def test_known_windows_in_both_layouts(case, name):
    shape, kernel, stride, padding, dilation = CASES[case]
    outputs = counts(shape[2:], kernel, stride, padding, dilation)
    settings: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "outputs": outputs,
    }
    if name == "sum_unpool":
        settings["size"] = shape[2:]
    random = np.random.default_rng(len(case))
    arrays = arrays_for(name, shape, outputs, "float32", random)
    run(name, arrays, settings, KNOWN["avx512"], channels_last, 0)
    run(name, arrays, settings, KNOWN["sse4.2"], channels_last, 1)
    run(name, arrays, settings, KNOWN["avx2"], in_order, len(case) % 2)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "int64", "uint64", "bool"])
@pytest.mark.parametrize("name", ["max_pool", "max_pool_take", "max_unpool", "sum_pool"])
def test_whole_numbers_and_booleans(name, dtype):
    settings = {"kernel": (2, 3), "stride": (2, 2), "padding": ((1, 0), (1, 1)), "dilation": (1, 1), "outputs": (3, 4)}
    random = np.random.default_rng(1)
    arrays = arrays_for(name, (2, 21, 5, 7), (3, 4), dtype, random)
    for target in TARGETS[:3]:
        run(name, arrays, settings, target, channels_last, 3)


def test_no_outputs_give_no_cotangents():
    settings = {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "outputs": (0, 2)}
    x, g = np.ones((2, 3, 1, 4), np.float32), np.ones((2, 3, 0, 2), np.float32)
    result = channels_last(x.shape, "float32")
    places = [channels_last(x.shape, "float32"), channels_last(g.shape, "float32")]
    steps = pooling.plan_max_unpool(*places, result, **settings, target=KNOWN["avx512"])
    assert not at(result, run_steps(steps, {places[0].buffer: x}, KNOWN["avx512"])).any()


def test_sizes_and_channels_are_arguments_of_the_same_code():
    def schedules(n: int, c: int, size: int) -> list[Any]:
        x, y = channels_last((n, c, size, size), "float32"), channels_last((n, c, size // 2, size // 2), "float32")
        windows = {
            "kernel": (3, 3),
            "stride": (2, 2),
            "padding": ((1, 1), (1, 1)),
            "dilation": (1, 1),
            "outputs": y.shape[2:],
        }
        steps = pooling.plan_max_pool(x, y, **windows, target=KNOWN["avx512"])
        steps += pooling.plan_max_unpool(x, y, x, **windows, target=KNOWN["avx512"])
        return [step.schedule for step in steps]

    assert schedules(1, 64, 56) == schedules(8, 100, 32)
