"""wimmel itself: layers inside a network and alone, networks at ``net(x)``, training steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from wimmel.bench.convolutions import Layer
from wimmel.bench.networks import Network
from wimmel.bench.section import Ready

_SECONDS, _FEWEST, _MOST = 0.03, 6, 300
"""For so long, about, the steps of a layer are run on the same arrays one time after another, as peers are, and so many
times at least and at most. The first does not count: it finds in the caches what the copies left there, and memory that
the system has yet to give."""


def layer_inside(layer: Layer, threads: int, precision: str = "fast") -> Ready:
    """The steps of the layer's face as they run inside a network: all but the copies that bring the caller's arrays
    into our layout and back. The batch goes through as a whole, as it does for peers, though in a network pictures may
    take turns. Weights of forward convolutions are packed beforehand, those of gradients each time."""
    from wimmel.compiler.batching import Stretch
    from wimmel.compiler.planning import Planner
    from wimmel.compiler.targets import host
    from wimmel.graph import trace
    from wimmel.runtime.native import NativeRunner

    class WholeBatch(Planner):
        def stretches(self) -> list[Stretch]:
            return [Stretch(tuple(self.regions))]

    names, stable, function = _faces(layer)
    arrays = layer.arrays()
    values = [arrays[name] for name in names]
    program = WholeBatch(trace(function, *values).graph, host(), precision).program(stable)
    copies = [step for step in program.steps if step.label == "copy"]
    own = [step for step in program.steps if step.label != "copy"]
    whole = NativeRunner(program)
    once = sum(seconds for label, seconds in whole.profile(values, 2) if label != "copy")
    times = min(max(_FEWEST, math.ceil(_SECONDS / once)), _MOST)
    repeating = NativeRunner(replace(program, steps=(*copies, *own * times)))

    def timed() -> list[float]:
        seconds = [each for _, each in repeating.profile(values, 1)][len(copies) :]
        return [sum(seconds[start : start + len(own)]) for start in range(0, len(seconds), len(own))][1:]

    return Ready(timed, lambda: whole(values)[0], measures=True)


def layer_exact(layer: Layer, threads: int) -> Ready | None:
    """`layer_inside` by sums of products alone, without Winograd's and Fourier's ways."""
    return layer_inside(layer, threads, "exact") if layer.has_bias else None


def layer_alone(layer: Layer, threads: int) -> Ready | None:
    """The layer as a network of its own, NCHW arrays in and out."""
    import wimmel as wm

    if not layer.has_bias:
        return None
    kind = f"Conv{'Transpose' if layer.face == 'transposed' else ''}{layer.axes}d"
    convolution = getattr(wm.nn, kind)(
        layer.channels, layer.outputs, layer.kernel, stride=layer.stride, padding=layer.padding,
        dilation=layer.dilation, groups=layer.groups,
    )  # fmt: skip
    net = wm.nn.Sequential(convolution, wm.nn.ReLU()).initialize(0)
    arrays = layer.arrays()
    convolution.weight, convolution.bias, x = arrays["weight"], arrays["bias"], arrays["x"]
    return Ready(lambda: net(x), lambda: net(x))


def network(case: Network, threads: int) -> Ready:
    net, (x, _) = case.ours(), case.batch()
    return Ready(lambda: net(x), lambda: net(x))


def training(case: Network, threads: int) -> Ready:
    """A training step; its outcome is the loss of the first."""
    import wimmel as wm
    from wimmel.train.step import TrainingStep

    x, y = case.batch()
    adam = case.name == "lenet"
    optimizer = wm.optim.Adam(1e-3) if adam else wm.optim.SGD(1e-3, momentum=0.9)
    step, key = TrainingStep(case.ours(), optimizer, wm.losses.cross_entropy), wm.random_key(0, 0)

    def run() -> np.ndarray:
        return np.array([step(x, y, 1e-3, key).loss])

    return Ready(run, run)


def _faces(layer: Layer) -> tuple[list[str], frozenset[int], Callable[..., Any]]:
    """The arrays that the layer's face takes, which of them stay the same, and the function."""
    import wimmel as wm
    from wimmel.graph import primitives

    settings, shape = layer.settings, (1, layer.outputs, *(1,) * layer.axes)

    def finished(y: Any, bias: Any) -> Any:
        return wm.relu(y + bias.reshape(shape))

    chosen: dict[str, tuple[list[str], frozenset[int], Callable[..., Any]]] = {
        "forward": (
            ["x", "weight", "bias"],
            frozenset((1, 2)),
            lambda x, w, b: finished(primitives.convolution(x, w, **settings), b),
        ),
        "transposed": (
            ["x", "weight", "bias"],
            frozenset((1, 2)),
            lambda x, w, b: finished(primitives.convolution_input_gradient(x, w, size=layer.y[2:], **settings), b),
        ),
        "input": (
            ["y", "weight"],
            frozenset(),
            lambda g, w: primitives.convolution_input_gradient(g, w, size=layer.size, **settings),
        ),
        "weight": (
            ["x", "y"],
            frozenset(),
            lambda x, g: primitives.convolution_weight_gradient(x, g, kernel=layer.kernel, **settings),
        ),
    }
    return chosen[layer.face]
