"""Weight gradients give what the primitive defines; they read and write nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.contractions import Case, case, drawn_case, drawn_halo, elements, small, within
from compiler.machine import at, run_steps
from compiler.views import TARGETS, drawn_place, only_that_place_was_written
from wimmel.compiler.kernels import weight_gradient
from wimmel.compiler.kernels.border import with_halo
from wimmel.compiler.kernels.weight_gradient import plan_weight_gradient
from wimmel.compiler.steps import Buffer, Step, row_major
from wimmel.compiler.targets import KNOWN, Target
from wimmel.graph import primitives

CASES = {"avx512": 40, "avx2": 16, "sse4.2": 12, "plain": 10}


def run(case: Case, dtype: str, target: Target, seed: int) -> None:
    """The gradient of small whole numbers: no bit may differ."""
    random = np.random.default_rng(seed)
    fewer = [n - int(n > 1 and random.random() < 0.2) for n in case.result[2:]]  # as output padding makes them
    x, g = small(random, case.x, dtype), small(random, (*case.result[:2], *fewer), dtype)
    x_place = within(random, dtype, x.shape, case.halo)
    g_place = within(random, dtype, g.shape, drawn_halo(random, len(fewer)))
    result = drawn_place(random, dtype, case.weight)
    kernel = case.weight[2:]
    expected = primitives.convolution_weight_gradient.definition(x, g, kernel=kernel, **case.settings)
    steps = plan_weight_gradient(x_place, g_place, result, kernel, **case.settings, target=target)
    known = {x_place.buffer: elements(x_place, x, 0.0), g_place.buffer: elements(g_place, g, np.nan)}
    arrays = run_steps(steps, known, target, seed)
    np.testing.assert_array_equal(at(result, arrays), expected)
    assert only_that_place_was_written(result, arrays)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_drawn_gradients_give_what_the_definition_gives(target):
    random = np.random.default_rng(13)
    for seed in range(CASES[target.name]):
        run(drawn_case(random), "float64" if seed % 4 == 3 else "float32", target, seed)


NAMED = {
    "LeNet's first": case((5, 1, 28, 28), 6, (5, 5), padding=2),
    "LeNet's second": case((3, 6, 14, 14), 16, (5, 5)),
    "ResNet's stem": case((1, 3, 30, 30), 64, (7, 7), stride=2, padding=3),
    "pointwise": case((3, 24, 9, 7), 70, (1, 1)),
    "pointwise, stride 2": case((2, 24, 9, 7), 40, (1, 1), stride=2),
    "pointwise, channels that fill lanes": case((2, 64, 5, 4), 48, (1, 1)),
    "a single pixel": case((3, 37, 1, 1), 45, (1, 1)),
    "three axes, pointwise": case((2, 5, 3, 4, 5), 17, (1, 1, 1)),
    "kernel as large as the picture": case((4, 20, 6, 5), 33, (6, 5)),
    "padding beyond the kernel": case((1, 3, 2, 2), 4, (2, 2), padding=5),
    "a row in pieces": case((2, 2, 2500), 3, (3,), padding=1),
    "rows in parts": case((3, 1, 40, 60), 2, (2, 2)),
    "stride beyond the picture": case((2, 5, 2, 3), 6, (2, 3), stride=7),
    "groups": case((2, 12, 8, 8), 30, (3, 3), stride=2, padding=1, groups=3),
    "groups of few channels": case((2, 12, 9, 9), 24, (3, 5), padding=1, groups=4),
    "few channels, dilated": case((2, 2, 12, 13), 6, (5, 5), padding=2, dilation=2),
    "many lines of few taps": case((2, 1, 40, 9), 5, (31, 3), padding=1),
    "planes of few taps": case((3, 2, 5, 6, 7), 4, (3, 4, 2), stride=2, padding=1),
    "several chunks in each part": case((40, 30, 12, 12), 20, (3, 3), padding=1),
    "a padded volume": case((2, 17, 4, 5, 6), 20, (3, 3, 3), padding=1),
    "taps that meet little": case((2, 20, 9, 8), 17, (3, 3), padding=4, dilation=4),
    "taps that meet nothing": case((1, 33, 2, 3), 40, (3, 3), padding=6, dilation=5),
    "few blocks in each slice": case((1, 40, 7, 7), 150, (3, 3), padding=1),
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", NAMED)
def test_gradients_that_networks_have(name, target):
    run(NAMED[name], "float32", target, 0)


def plan(case: Case, target: Target) -> list[Step]:
    x, g = with_halo("float32", case.x, case.settings["padding"]), with_halo("float32", case.result, ((0, 0),) * 2)
    result = row_major(Buffer("float32", int(np.prod(case.weight))), case.weight)
    return plan_weight_gradient(x, g, result, case.weight[2:], **case.settings, target=target)


def test_rows_are_shared_out_where_there_are_few_weights():
    few, many = case((8, 1, 64, 64), 2, (2, 2)), case((8, 64, 16, 16), 128, (3, 3))
    step, total = plan(few, KNOWN["avx512"])
    assert step.tasks >= weight_gradient.ENOUGH_TASKS
    assert total.label == "" and "Reduction" in type(total.schedule).__name__
    assert plan(many, KNOWN["avx512"])[0].tasks >= weight_gradient.ENOUGH_TASKS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_pointwise_gradients_of_few_positions_are_written_where_they_belong(target):
    random, shape = np.random.default_rng(6), case((1, 64, 7, 6), 90, (1, 1))
    (step,) = plan(shape, target)
    x, g, result = step.arguments[:3]
    values = small(random, shape.x, "float32"), small(random, shape.result, "float32")
    known = {place.buffer: elements(with_halo("float32", value.shape, ((0, 0),) * 2), value, 0)
             for place, value in zip((g, x), values, strict=True)}  # fmt: skip
    found = run_steps([step], known, target)[result.buffer].reshape(shape.weight)
    definition = primitives.convolution_weight_gradient.definition
    np.testing.assert_array_equal(found, definition(*values, kernel=(1, 1), **shape.settings))


@pytest.mark.parametrize("outputs", [5, 90, 160])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_gradients_of_one_weight_for_each_output_write_nothing_behind_them(target, outputs):
    random, shape = np.random.default_rng(outputs), case((1, 1, 7, 6), outputs, (1, 1))
    x, g = small(random, shape.x, "float32"), small(random, shape.result, "float32")
    x_place, g_place = (with_halo("float32", value.shape, ((0, 0),) * 2) for value in (x, g))
    result = row_major(Buffer("float32", outputs), shape.weight)
    steps = plan_weight_gradient(x_place, g_place, result, (1, 1), **shape.settings, target=target)
    known = {x_place.buffer: elements(x_place, x, 0), g_place.buffer: elements(g_place, g, 0)}
    expected = primitives.convolution_weight_gradient.definition(x, g, kernel=(1, 1), **shape.settings)
    for seed in range(2):  # guarded behind the result, and before it
        np.testing.assert_array_equal(at(result, run_steps(steps, known, target, seed)), expected)


def test_more_pictures_need_no_new_code():
    schedules = set()
    for n, size in ((1, 9), (7, 9), (2, 40), (3, 1)):
        products, *_ = plan(case((n, 8, size, size), 24, (3, 3), padding=1), KNOWN["avx512"])
        schedules.add(products.schedule)
    assert len(schedules) == 1


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_long_sums_stay_exact(target):
    """The error grows with the number of partial sums, not of products."""
    random = np.random.default_rng(5)
    shape = case((2, 1, 200, 230), 3, (2, 2))
    x, g = random.random(shape.x), random.random(shape.result)
    x, g = x.astype("float32"), g.astype("float32")
    x_place, g_place = with_halo("float32", x.shape, ((0, 0),) * 2), with_halo("float32", g.shape, ((0, 0),) * 2)
    result = row_major(Buffer("float32", 12), shape.weight)
    steps = plan_weight_gradient(x_place, g_place, result, (2, 2), **shape.settings, target=target)
    known = {x_place.buffer: elements(x_place, x, 0), g_place.buffer: elements(g_place, g, 0)}
    definition = primitives.convolution_weight_gradient.definition
    expected = definition(x.astype(float), g.astype(float), kernel=(2, 2), **shape.settings)
    np.testing.assert_allclose(at(result, run_steps(steps, known, target)), expected, rtol=5e-6)


def test_a_gradient_of_no_pictures_is_zero():
    settings = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1, "target": KNOWN["avx512"]}
    x, g = with_halo("float32", (0, 2, 7), ((0, 0),)), with_halo("float32", (0, 3, 5), ((0, 0),))
    result = row_major(Buffer("float32", 18), (3, 2, 3))
    steps = plan_weight_gradient(x, g, result, (3,), **settings)
    assert not at(result, run_steps(steps, {}, KNOWN["avx512"])).any()


def test_nothing_is_planned_for_weights_without_elements():
    settings = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1, "target": KNOWN["avx512"]}
    x, g = with_halo("float32", (1, 0, 7), ((0, 0),)), with_halo("float32", (1, 3, 5), ((0, 0),))
    assert plan_weight_gradient(x, g, row_major(Buffer("float32", 0), (3, 0, 3)), (3,), **settings) == []
