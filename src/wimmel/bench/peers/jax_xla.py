"""JAX: functions compiled by XLA, arrays already where it wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wimmel.bench.convolutions import Layer
from wimmel.bench.networks import Network
from wimmel.bench.operations import Operation, of_layer, of_network
from wimmel.bench.section import Ready


def layer(case: Layer, threads: int) -> Ready:
    import jax

    arrays = case.arrays()
    if case.has_bias:
        return _forward(of_layer(case), arrays["x"])
    operation = Operation("convolution", (-1,), (), of_layer(case.of())[0].settings)

    def convolved(x: Any, weight: Any) -> Any:
        return _applied(operation, [x], [weight])

    place, given = (0, "weight") if case.face == "input" else (1, "x")

    def gradient(y: Any, other: Any, at: Any) -> Any:
        parts = [at, other] if place == 0 else [other, at]
        _, pull = jax.vjp(convolved, *parts)
        return pull(y)[place]

    compiled = jax.jit(gradient)

    y, other, at = (jax.numpy.asarray(arrays[name]) for name in ("y", given, "x" if place == 0 else "weight"))
    return _ready(lambda: compiled(y, other, at))


def network(case: Network, threads: int) -> Ready:
    return _forward(of_network(case.ours()), case.batch()[0])


def training(case: Network, threads: int) -> Ready:
    """A step: LeNet with Adam, others with momentum."""
    import jax
    from jax import numpy as jnp

    operations = of_network(case.ours(), training=True)
    pictures, labels = (jnp.asarray(array) for array in case.batch())
    weights = [[jnp.asarray(each) for each in operation.weights] for operation in operations]
    zeros = jax.tree.map(jnp.zeros_like, weights)
    running = {place: jnp.zeros((2, len(given[0]))) for place, given in enumerate(weights) if _norms(operations[place])}
    state = [weights, zeros, zeros, jnp.zeros(()), running]

    def loss_of(weights: Any) -> Any:
        statistics: dict[int, Any] = {}
        scores = _run(operations, pictures, weights, statistics)
        return -jax.nn.log_softmax(scores)[jnp.arange(len(labels)), labels].mean(), statistics

    def adam(weights: Any, gradients: Any, first: Any, second: Any, count: Any) -> Any:
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)

        def moved(p: Any, m: Any, v: Any) -> Any:
            return p - 1e-3 * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)

        return [jax.tree.map(moved, weights, first, second), first, second]

    def momentum(weights: Any, gradients: Any, first: Any, second: Any, count: Any) -> Any:
        first = jax.tree.map(lambda m, g: 0.9 * m + g, first, gradients)
        return [jax.tree.map(lambda p, m: p - 1e-3 * m, weights, first), first, second]

    update = adam if case.name == "lenet" else momentum

    def step(weights: Any, first: Any, second: Any, count: Any, running: Any) -> Any:
        (loss, statistics), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights)
        count = count + 1
        running = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, running, statistics)
        return loss, [*update(weights, gradients, first, second, count), count, running]

    compiled = jax.jit(step)

    def run() -> Any:
        nonlocal state
        loss, state = compiled(*state)
        jax.block_until_ready(state)
        return loss

    return Ready(run, lambda: np.asarray(run()).reshape(1))


def _norms(operation: Operation) -> bool:
    return operation.kind == "batch_norm"


def _forward(operations: Sequence[Operation], x: np.ndarray) -> Ready:
    import jax

    weights = [[jax.numpy.asarray(each) for each in operation.weights] for operation in operations]
    compiled = jax.jit(lambda x, weights: _run(operations, x, weights))
    given = jax.numpy.asarray(x)
    return _ready(lambda: compiled(given, weights))


def _ready(run: Callable[[], Any]) -> Ready:
    import jax

    return Ready(lambda: jax.block_until_ready(run()), lambda: np.asarray(run()))


def _run(
    operations: Sequence[Operation], x: Any, weights: Sequence[Sequence[Any]], statistics: dict[int, Any] | None = None
) -> Any:
    """The network's result; mean and variance of each batch norm are put among the statistics."""
    values = {-1: x}
    for place, (operation, given) in enumerate(zip(operations, weights, strict=True)):
        inputs = [values[each] for each in operation.inputs]
        if _norms(operation) and statistics is not None:
            values[place], statistics[place] = _normalized(operation, inputs[0], *given)
        else:
            values[place] = _applied(operation, inputs, given)
    return values[len(operations) - 1]


def _normalized(operation: Operation, x: Any, weight: Any, bias: Any) -> tuple[Any, Any]:
    """The batch with mean 0 and variance 1 in each channel, times the weight plus the bias; and what they were."""
    from jax import lax
    from jax import numpy as jnp

    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
    factor = weight * lax.rsqrt(variance + operation.settings["eps"])
    y = x * factor.reshape(1, -1, 1, 1) + (bias - mean * factor).reshape(1, -1, 1, 1)
    return y, jnp.stack([mean, variance])


def _applied(operation: Operation, inputs: Sequence[Any], weights: Sequence[Any]) -> Any:
    """What the operation gives for these inputs."""
    from jax import lax
    from jax import numpy as jnp

    x, settings = inputs[0], operation.settings
    match operation.kind:
        case "convolution" | "transposed":
            y = _convolved(operation, x, weights[0])
            return y if len(weights) < 2 else y + weights[1].reshape(1, -1, *(1,) * (y.ndim - 2))
        case "linear":
            return x @ weights[0].T + weights[1]
        case "relu":
            return jnp.maximum(x, 0)
        case "relu6":
            return jnp.clip(x, 0, 6)
        case "max_pool":
            padding = [(0, 0), (0, 0), *((each, each) for each in settings["padding"])]
            window, stride = (1, 1, *settings["kernel"]), (1, 1, *settings["stride"])
            return lax.reduce_window(x, -jnp.inf, lax.max, window, stride, padding)
        case "add":
            return x + inputs[1]
        case "mean":
            return x.mean(range(2, x.ndim))
        case "padded":
            stride = settings["stride"]
            return jnp.pad(x[:, :, ::stride, ::stride], ((0, 0), (0, settings["outputs"] - x.shape[1]), (0, 0), (0, 0)))
        case "flatten":
            return x.reshape(len(x), -1)
    raise NotImplementedError(operation.kind)


def _convolved(operation: Operation, x: Any, weight: Any) -> Any:
    from jax import lax
    from jax import numpy as jnp

    settings = operation.settings
    stride, dilation, groups = settings["stride"], settings["dilation"], settings["groups"]
    padding = [(each, each) for each in settings["padding"]]
    if operation.kind == "transposed":
        if groups > 1:
            raise NotImplementedError("transposed convolution in groups")
        axes = range(2, weight.ndim)
        padding = [(d * (k - 1) - before, d * (k - 1) - after) for d, k, (before, after) in
                   zip(dilation, weight.shape[2:], padding, strict=True)]  # fmt: skip
        turned = jnp.flip(weight, axes).swapaxes(0, 1)
        return lax.conv_general_dilated(x, turned, (1,) * len(stride), padding, stride, dilation)
    return lax.conv_general_dilated(x, weight, stride, padding, rhs_dilation=dilation, feature_group_count=groups)
