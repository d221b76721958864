"""What each kind of region becomes: `LOWERINGS` says which family of kernels plans its steps, and with what."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from wimmel.compiler import kernels
from wimmel.compiler.regions import Region
from wimmel.compiler.steps import Buffer, Step, row_major
from wimmel.graph.tensor import Tensor

if TYPE_CHECKING:
    from wimmel.compiler.planning import Planner

_Plan = Callable[..., list[Step]]


def _elements(planner: Planner, region: Region) -> None:
    inputs = planner.operands(region)
    results = [planner.result(result) for result in region.results]
    planner.add(kernels.elements.plan_elements(region.chain, inputs, results, planner.target, region.name))


def _convolution(planner: Planner, region: Region) -> None:
    anchor = _anchor(region)
    plan: _Plan = kernels.depthwise.plan_depthwise if _is_depthwise(anchor) else _plan_of_algorithm(planner, anchor)
    if region.pool is not None:
        plan = partial(plan, window=region.pool.attributes["kernel"])
        if (axis := kernels.winograd_costs.ALONG.get(planner.algorithm(anchor))) is not None:
            plan = partial(plan, columns=anchor.shape[axis])
    _convolved(planner, region, plan)


def _input_gradient(planner: Planner, region: Region) -> None:
    anchor = _anchor(region)
    plan: _Plan = partial(kernels.input_gradient.plan_input_gradient, plan=_plan_of_algorithm(planner, anchor))
    if planner.algorithm(anchor) == "overlap-add":
        plan = kernels.overlap_add.plan_overlap_add
    elif _is_depthwise(anchor):
        plan = kernels.depthwise_gradient.plan_depthwise_input_gradient
    _convolved(planner, region, plan)


def _convolved(planner: Planner, region: Region, plan: _Plan) -> None:
    """A convolution or its gradient by the input, of pictures stored channels last, by that plan; or by Fourier
    transforms."""
    anchor = _anchor(region)
    if planner.algorithm(anchor) == "fft":
        _by_fourier_transforms(planner, region)
        return
    weight = planner.of_dtype(anchor.inputs[1], anchor.dtype.name)
    (pictures,) = planner.pictures(anchor)
    operands = planner.conforming(region)
    results = [planner.result(result) for result in region.results]
    planner.add(
        plan(
            pictures, weight, results, region.chain, operands, **_geometry(anchor), target=planner.target,
            label=region.name,
        )
    )  # fmt: skip


def _by_fourier_transforms(planner: Planner, region: Region) -> None:
    """A convolution, or its gradient by the input, in C order."""
    anchor = _anchor(region)
    source, weight = anchor.inputs
    x, weights = planner.of_dtype(source, anchor.dtype.name), planner.of_dtype(weight, anchor.dtype.name)
    if x.shape[3] > 1 and x.strides[3] != 1:
        x = planner.in_order(source)
    operands = planner.operands(region)
    results = [planner.result(result) for result in region.results]
    plan: _Plan = (
        kernels.fft.plan_fft if anchor.primitive.name == "convolution" else kernels.fft.plan_fft_input_gradient
    )
    tile = kernels.fft_costs.tile_for(anchor, planner.target)
    planner.add(
        plan(
            x, weights, results, region.chain, operands, anchor.attributes["padding"], tile, planner.target,
            region.name,
        )
    )  # fmt: skip


def _weight_gradient(planner: Planner, region: Region) -> None:
    anchor = _anchor(region)
    x, g = planner.pictures(anchor)
    plan: _Plan = kernels.weight_gradient.plan_weight_gradient
    if tile := kernels.winograd_costs.TILES.get(planner.algorithm(anchor)):
        plan = partial(kernels.winograd_gradient.plan_winograd_gradient, tile=tile)
    elif _is_depthwise(anchor):
        plan = kernels.depthwise_weights.plan_depthwise_weight_gradient
    planner.add(plan(x, g, planner.result(anchor), **_geometry(anchor), target=planner.target, label=region.name))


def _plan_of_algorithm(planner: Planner, anchor: Tensor) -> _Plan:
    """What plans a convolution by the algorithm chosen for the anchor."""
    chosen = planner.algorithm(anchor)
    if chosen in kernels.winograd_costs.ALONG:
        turned = chosen == kernels.winograd_costs.IN_COLUMNS
        return partial(kernels.winograd_rows.plan_winograd_rows, turned=turned)
    if tile := kernels.winograd_costs.TILES.get(chosen):
        prepared = anchor.inputs[1] in planner.prepared
        return partial(kernels.winograd.plan_winograd, tile=tile, prepared=prepared)
    return kernels.convolution.plan_convolution


def _is_depthwise(anchor: Tensor) -> bool:
    """Whether each channel has one filter of its own."""
    weight = anchor.shape if anchor.primitive.name == "convolution_weight_gradient" else anchor.inputs[1].shape
    return 1 < anchor.attributes["groups"] == weight[0] and weight[1] == 1


def _geometry(anchor: Tensor) -> dict[str, Any]:
    """The settings that the family's function takes: depthwise convolution has no groups to choose."""
    attributes = dict(anchor.attributes)
    if _is_depthwise(anchor):
        del attributes["groups"]
    return attributes


def _matmul(planner: Planner, region: Region) -> None:
    anchor = _anchor(region)
    a, b = (planner.of_dtype(source, anchor.dtype.name) for source in anchor.inputs)
    operands = planner.operands(region)
    results = [planner.result(result) for result in region.results]
    if planner.is_turned():
        a, b = b.turned(), a.turned()
        operands, results = [place.turned() for place in operands], [place.turned() for place in results]
    second = anchor.inputs[0 if planner.is_turned() else 1]
    prepared = second in planner.prepared
    planner.add(
        kernels.matmul.plan_matmul(a, b, results, region.chain, operands, planner.target, region.name, prepared)
    )


def _reduction(planner: Planner, region: Region) -> None:
    anchor = _anchor(region)
    operands = planner.operands(region)
    result = planner.result(anchor)
    planner.add(
        kernels.reduction.plan_reduction(
            anchor.primitive.name, region.chain, operands, anchor.attributes["axes"], result, planner.target,
            region.name, shape=region.shape,
        )
    )  # fmt: skip


def _argmax(planner: Planner, region: Region) -> None:
    anchor = _anchor(region)
    x = planner.place(anchor.inputs[0])
    planner.add(
        kernels.argmax.plan_argmax(x, anchor.attributes["axis"], planner.result(anchor), planner.target, region.name)
    )


def _pooling(planner: Planner, region: Region) -> None:
    anchor = _anchor(region)
    read = planner.pictures(anchor)
    attributes = {name: value for name, value in anchor.attributes.items() if name != "size"}
    plan: Callable[..., list[Step]] = getattr(kernels.pooling, f"plan_{anchor.primitive.name}")
    planner.add(plan(*read, planner.result(anchor), **attributes, target=planner.target, label=region.name))


def _take(planner: Planner, region: Region) -> None:
    anchor = _anchor(region)
    x, indices = (planner.place(source) for source in anchor.inputs)
    status = row_major(planner.status, (1,))
    planner.add(
        kernels.gathering.plan_take(
            x, indices, anchor.attributes["axis"], planner.result(anchor), status, planner.target, region.name
        )
    )


def _scatter_add(planner: Planner, region: Region) -> None:
    anchor = _anchor(region)
    g, indices = (planner.place(source) for source in anchor.inputs)
    status = row_major(planner.status, (1,))
    axis, size = anchor.attributes["axis"], anchor.attributes["size"]
    planner.add(
        kernels.gathering.plan_scatter_add(
            g, indices, axis, size, planner.result(anchor), status, planner.target, region.name
        )
    )


def _random_uniform(planner: Planner, region: Region) -> None:
    anchor = _anchor(region)
    key, stream = planner.place(anchor.inputs[0]), anchor.attributes["stream"]
    planner.add(kernels.random.plan_random_uniform(key, stream, planner.result(anchor), planner.target, region.name))


def _concatenate(planner: Planner, region: Region) -> None:
    anchor = _anchor(region)
    axis, result, start = anchor.attributes["axis"], planner.result(anchor), 0
    for part in anchor.inputs:
        first = tuple(start if i == axis else 0 for i in range(len(part.shape)))
        planner.copy(planner.place(part), result.sliced(first, part.shape, (1,) * len(part.shape)))
        start += part.shape[axis]


def _pad(planner: Planner, region: Region) -> None:
    """Filled, then the elements written to their places in it."""
    anchor = _anchor(region)
    attributes, result = anchor.attributes, planner.result(anchor)
    value = np.asarray(attributes["value"], anchor.dtype)
    buffer = Buffer(anchor.dtype.name, 1, "constant")
    planner.constants[buffer] = value.reshape(1)
    planner.copy(row_major(buffer, ()).stretched(result.shape), result)
    inner = planner.place(anchor.inputs[0])
    step = tuple(between + 1 for between in attributes["interior"])
    planner.copy(inner, result.sliced(attributes["low"], inner.shape, step))


def _anchor(region: Region) -> Tensor:
    assert region.anchor is not None
    return region.anchor


LOWERINGS: dict[str, Callable[[Planner, Region], None]] = {
    "elements": _elements,
    "convolution": _convolution,
    "convolution_input_gradient": _input_gradient,
    "convolution_weight_gradient": _weight_gradient,
    "matmul": _matmul,
    "sum": _reduction,
    "max": _reduction,
    "argmax": _argmax,
    "sum_pool": _pooling,
    "sum_unpool": _pooling,
    "max_pool": _pooling,
    "max_unpool": _pooling,
    "max_pool_take": _pooling,
    "take": _take,
    "scatter_add": _scatter_add,
    "random_uniform": _random_uniform,
    "concatenate": _concatenate,
    "pad": _pad,
}
"""For every primitive that can be an anchor, what lowers its regions."""
