"""What callers of the public functions may give, checked at the door and brought into one form: operands of a fitting
dtype, pictures with a batch axis, one number or pair for each spatial axis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wimmel.graph import array
from wimmel.graph.tensor import Value, as_operands

REDUCTIONS = ("mean", "sum", "none")

_AXES = {1: "length", 2: "height, width", 3: "depth, height, width"}


def operand(value: Value, name: str) -> Value:
    """The value as a tensor or an array of a dtype that wimmel computes with."""
    return as_operands([value], name)[0]


def floating(value: Value, name: str, role: str = "an input") -> Value:
    """The value as a float32 or float64 operand; whole numbers are refused in a sentence."""
    given = operand(value, name)
    if given.dtype.kind != "f":
        raise TypeError(
            f"{name} was given {role} of dtype {given.dtype}; it takes float32 or float64, so convert first: "
            "x.astype(np.float32), and for pictures of whole numbers x.astype(np.float32) / 255"
        )
    return given


def numbers(value: Value, name: str) -> Value:
    """The value as an operand of any dtype but bool."""
    given = operand(value, name)
    if given.dtype.kind == "b":
        raise TypeError(f"{name} was given booleans; it takes numbers: x.astype(np.uint8), or np.float32")
    return given


def batched(x: Value, axes: int, name: str) -> tuple[Value, bool]:
    """x as (n, channels, *sizes) with that many spatial axes, and whether the batch axis had to be added."""
    rank = len(x.shape)
    if rank not in (axes + 1, axes + 2):
        raise ValueError(
            f"{name} was given an input of shape {x.shape}; it takes (n, channels, {_AXES[axes]}), "
            f"or one example, (channels, {_AXES[axes]})"
        )
    return (array.expand_dims(x, 0), True) if rank == axes + 1 else (x, False)


def unbatched(y: Value, single: bool) -> Value:
    """y without the batch axis that `batched` added."""
    return array.reshape(y, y.shape[1:]) if single else y


def per_channel(value: Value, name: str, role: str, channels: int, axes: int) -> Value:
    """One number for each channel, shaped to stand under (n, channels, *sizes) with that many spatial axes."""
    value = floating(value, name, role)
    if value.shape != (channels,):
        raise ValueError(
            f"{name} was given {role} of shape {value.shape}; for {channels} channels it must have shape ({channels},)"
        )
    return array.reshape(value, (channels, *(1,) * axes)) if axes else value


def plus_bias(y: Value, bias: Value | None, name: str, count: int, axes: int) -> Value:
    """y, which has so many channels and that many axes behind them, with a bias added to each channel."""
    return y if bias is None else array.add(y, per_channel(bias, name, "a bias", count, axes))


def check_weight(name: str, weight: Value, axes: int, layout: str) -> None:
    if len(weight.shape) != axes + 2 or 0 in weight.shape:
        raise ValueError(
            f"{name} was given a weight of shape {weight.shape}; it must be {layout}, {axes + 2} axes, none empty"
        )


def channels(count: int) -> str:
    return f"{count} channel{'' if count == 1 else 's'}"


def reduced(loss: Value, reduction: str, name: str) -> Value:
    """The mean or the sum of a loss, or the loss itself."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name} was given reduction {reduction!r}; the reductions are mean, sum and none")
    if reduction == "none":
        return loss
    return array.mean(loss) if reduction == "mean" else array.sum(loss)


@contextmanager
def speaking_of(subject: str) -> Iterator[None]:
    """Errors about sizes raised inside say what the caller gave."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(f"{subject}: {error}") from None
