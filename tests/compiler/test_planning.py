"""Whole graphs, compiled and run in guarded memory, against the reference evaluator."""

from __future__ import annotations

import numpy as np
import pytest

import wimmel as wm
from compiler.drawn import drawn_graph
from compiler.machine import run_program
from wimmel.compiler.planning import compiled, unsupported
from wimmel.compiler.targets import KNOWN
from wimmel.graph import Graph, evaluate, trace
from wimmel.graph.rewrite import simplified
from wimmel.train.step import TrainingStep


def check(graph: Graph, values: list[np.ndarray], target: str = "avx512", stable=frozenset(), seed: int = 0) -> None:
    program = compiled(graph, KNOWN[target], stable)
    with np.errstate(all="ignore"):
        expected = evaluate(graph, values)
    for ours, theirs in zip(run_program(program, values, seed), expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        rounding = 1e-9 if ours.dtype == np.float64 else 2e-5
        ours, theirs = ours.astype(float), theirs.astype(float)
        np.testing.assert_allclose(ours, theirs, rtol=rounding, atol=rounding * scale(theirs))


def scale(array: np.ndarray) -> float:
    finite = np.abs(array[np.isfinite(array)].astype(float))
    return max(1.0, float(finite.max(initial=0)))


@pytest.mark.parametrize("seed", range(80))
def test_drawn_graphs(seed: int) -> None:
    check(*drawn_graph(seed, operations=5 + seed % 25), seed=seed)


@pytest.mark.parametrize("target", ["avx2", "sse4.2", "plain"])
@pytest.mark.parametrize("seed", range(100, 112))
def test_drawn_graphs_on_lesser_targets(seed: int, target: str) -> None:
    check(*drawn_graph(seed, operations=5 + seed % 25), target=target, seed=seed)


@pytest.mark.parametrize("seed", range(200, 230))
def test_derivatives_of_drawn_graphs(seed: int) -> None:
    check(*drawn_graph(seed, 3 + seed % 6, derivatives=1 + seed % 2, dtype="float64"), seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 2000))
def test_many_drawn_graphs(seed: int) -> None:
    check(*drawn_graph(seed, operations=5 + seed % 40), seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2000, 2500))
def test_many_derivatives_of_drawn_graphs(seed: int) -> None:
    check(*drawn_graph(seed, 3 + seed % 8, derivatives=1 + seed % 2, dtype="float64"), seed=seed)


def test_weights_are_packed_beforehand() -> None:
    net = wm.nn.Sequential(wm.nn.Conv2d(3, 8, 3), wm.nn.ReLU(), wm.nn.Flatten(), wm.nn.Linear(288, 5)).initialize(0)
    traced = trace(net, np.zeros((2, 3, 8, 8), np.float32))
    count = len(traced.graph.inputs)
    program = compiled(traced.graph, KNOWN["avx512"], frozenset(range(1, count)))
    assert {step.label for step in program.preparations} == {"pack"}
    assert not any(step.label == "pack" for step in program.steps)
    random = np.random.default_rng(0)
    values = [random.standard_normal(x.shape).astype(x.dtype) for x in traced.graph.inputs]
    check(traced.graph, values, stable=frozenset(range(1, count)))


def test_what_preparations_hand_on_among_themselves_is_not_kept() -> None:
    """Weights whose taps come first are brought into order, then transformed."""

    def net(x, *weights):
        for weight in weights:
            x = wm.conv2d(x, wm.transpose(weight, (3, 2, 0, 1)), padding=1)
        return x

    random = np.random.default_rng(0)
    values = [random.standard_normal(shape).astype(np.float32) for shape in ((1, 64, 30, 30), *[(3, 3, 64, 64)] * 2)]
    graph = trace(net, *values).graph
    program = compiled(graph, KNOWN["avx512"], frozenset((1, 2)), "fast")
    assert {step.label for step in program.preparations} == {"pack", "transform weights"}
    read = {buffer for step in program.steps for buffer in step.buffers}
    assert program.kept.keys() <= read
    assert program.passing
    assert not program.passing.keys() & (read | program.kept.keys())
    assert program.passing_bytes < program.kept_bytes / 4  # the packed weights of one layer after another
    (found,), (expected,) = run_program(program, values), evaluate(graph, values)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())


def test_a_matrix_given_at_every_call_is_packed_for_many_rows_alone() -> None:
    x, w = np.ones((2, 300), np.float32), np.ones((200, 300), np.float32)
    graph = trace(wm.functional.linear, x, w).graph
    (step,) = compiled(graph, KNOWN["avx512"]).steps
    check(graph, [x, w])
    assert step.label.startswith("matmul")
    assert compiled(graph, KNOWN["avx512"], frozenset((1,))).preparations
    assert (
        len(compiled(trace(wm.functional.linear, np.ones((50, 300), np.float32), w).graph, KNOWN["avx512"]).steps) > 1
    )


def test_batch_norm_is_folded_beforehand() -> None:
    """What follows from parameters alone costs nothing at a call."""
    net = wm.nn.Sequential(wm.nn.Conv2d(3, 8, 3, bias=False), wm.nn.BatchNorm2d(8)).initialize(0)
    traced = trace(net, np.zeros((2, 3, 8, 8), np.float32))
    program = compiled(traced.graph, KNOWN["avx512"], frozenset(range(1, len(traced.graph.inputs))))
    assert [step.label for step in program.steps if step.label.startswith("convolution")]
    assert len(program.steps) <= 3  # into channels last, the convolution with its epilogue, and out


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        lambda x: (x, x, wm.transpose(x)),
        lambda x: wm.zeros_like(x) if hasattr(wm, "zeros_like") else x * 0,
        lambda x: (x[:0], wm.sum(x[:0], axis=0)),
        lambda x: wm.concatenate([x[:0], x, x[:1]]),
        lambda x: np.float32(3) + x[0, 0],
    ],
)
def test_outputs_that_are_inputs_views_or_empty(function) -> None:
    graph = trace(function, np.zeros((3, 4), np.float32)).graph
    check(graph, [np.arange(12, dtype=np.float32).reshape(3, 4)])


def test_a_training_step() -> None:
    net = wm.models.lenet(10).initialize(0)
    step = TrainingStep(net, wm.optim.Adam(1e-3), wm.losses.cross_entropy, backend="reference")
    random = np.random.default_rng(0)
    x, y = random.standard_normal((5, 1, 28, 28)).astype(np.float32), random.integers(0, 10, 5)
    traced = step.examine(x, y, 1e-3, wm.random_key(0, 0))
    values = [x, y, np.float64(1e-3), wm.random_key(0, 0), *(variable.value for variable in traced.variables)]
    check(simplified(traced.graph), values)


def test_what_cannot_be_compiled_is_said() -> None:
    x = np.ones((1, 1, 4, 4), np.int64)
    graph = trace(lambda x: wm.power(x, x), x).graph
    assert "negative" in str(unsupported(graph))
    assert unsupported(trace(lambda x: wm.power(x, 3), x).graph) is None


@pytest.mark.parametrize("order", ["rows, columns, channels", "channels, rows, columns"])
def test_raw_pictures_are_normalised_by_the_first_kernel(order: str) -> None:
    """It reads the caller's bytes and writes what the convolution reads, channels last with zeros around."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (2, 9, 11, 3), np.uint8)
    normalised = wm.data.Preprocessing((3, 9, 11), (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    layer = wm.nn.Conv2d(3, 5, 3, padding=1).initialize(0)

    def function(x: wm.Tensor) -> wm.Tensor:
        return layer(normalised(x.transpose(0, 3, 1, 2) if order.startswith("rows") else x))

    if not order.startswith("rows"):
        pictures = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    traced = trace(function, pictures)
    program = compiled(traced.graph, KNOWN["avx512"], frozenset((1, 2)))
    border, first, second, *_ = program.steps
    assert (border.label, first.label) == ("border", "cast subtract multiply")
    assert program.inputs[0] in first.buffers
    assert set(first.written) <= set(second.buffers)
    check(traced.graph, [pictures, *(variable.value for variable in traced.variables)], stable=frozenset((1, 2)))


def test_a_product_that_is_read_turned_round_is_computed_turned_round() -> None:
    """As the gradient by a linear layer's weight is: whoever reads it meets neighbours."""
    random = np.random.default_rng(0)
    x, g, w = (random.standard_normal(shape).astype(np.float32) for shape in ((7, 30), (7, 20), (20, 30)))
    traced = trace(lambda x, g, w: w - 0.5 * (x.transpose() @ g).transpose(), x, g, w)
    program = compiled(simplified(traced.graph), KNOWN["avx512"])
    (last,) = [step for step in program.steps if step.label == "multiply subtract"]
    assert type(last.schedule).__name__ == "ElementSchedule"
    check(simplified(traced.graph), [x, g, w])
