"""The one data structure of a graph: a tensor is a value that will exist, of known shape and dtype, together with the
primitive that makes it and the tensors it is made from. Applying a primitive to a tensor records; to arrays, it runs.

The grammar of every graph in wimmel:

    Graph     = inputs: Tensor*, outputs: Tensor*                         (see tracing.py)
    Tensor    = primitive, inputs: Tensor*, attributes, shape, dtype, scope
    Primitive = name, result rule, NumPy definition, gradient rule, receptive-field rule
    attribute = int | float | bool | str | None | tuple of attributes     (a constant's value is an array)

Tensors are immutable and refer only backwards, so a graph is whatever can be reached from its outputs: nothing is
taped, and what nobody uses is not part of it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeAlias

import numpy as np

from wimmel.geometry import AxisField

Value: TypeAlias = Any
"""An array or a tensor: what every function takes and gives back, arrays for arrays, a tensor as soon as one is."""

Shape: TypeAlias = tuple[int, ...]
Fields: TypeAlias = Sequence[Sequence[tuple[int | None, AxisField]]]
"""For each input and each of its axes: the output axis that moves it (None: none does), and what that axis sees."""

DTYPES = frozenset(
    np.dtype(name)
    for name in ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
)

_scope: ContextVar[str] = ContextVar("wimmel_scope", default="")


@dataclass(frozen=True, eq=False)
class Primitive:
    """An operation that the compiler knows by name. Everything else is a function over these.

    Parameters
    ----------
    name : str
        What printed graphs call it.
    result : callable
        ``result(*inputs, **attributes) -> (shape, dtype)``; raises a sentence for inputs that do not fit. Inputs are
        arrays or tensors: only ``shape`` and ``dtype`` may be read.
    definition : callable
        ``definition(*arrays, **attributes) -> array``: what the operation means, in NumPy. It runs without NumPy's
        warnings: infinities and NaN are values here, as they are in compiled code.
    gradient : callable or None
        ``gradient(cotangent, output, *inputs, **attributes)`` -> one cotangent (or None) per input, written with
        primitives, so that gradients have gradients. A cotangent may still carry the axes that broadcasting added.
    fields : callable or None
        ``fields(output, *inputs, **attributes) -> Fields``; None where every output element may depend on every
        input element.
    """

    name: str
    result: Callable[..., tuple[Shape, np.dtype]]
    definition: Callable[..., np.ndarray]
    gradient: Callable[..., Sequence[Value | None]] | None = None
    fields: Callable[..., Fields] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "definition", _quiet(self.definition))

    def __call__(self, *inputs: Value, **attributes: Any) -> Value:
        operands = as_operands(inputs, self.name)
        shape, dtype = self.result(*operands, **attributes)
        if dtype not in DTYPES:
            raise TypeError(
                f"{self.name} would give {dtype}, which wimmel does not compute with; "
                "convert its inputs to float32 or float64 first: x.astype(np.float32)"
            )
        if math.prod(filter(None, shape)) * dtype.itemsize >= 2**63:  # NumPy leaves zeros out, too
            raise ValueError(f"{self.name} would give an array of shape {shape}, which is larger than any memory")
        if any(isinstance(operand, Tensor) for operand in operands):
            return Tensor(self, tuple(as_tensor(operand) for operand in operands), attributes, shape, dtype)
        return self.definition(*operands, **attributes)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


class Tensor:
    """A value of a graph: known shape and dtype, no numbers yet.

    Has NumPy's operators and methods, which record. What would need its numbers (``if tensor:``, ``float(tensor)``,
    a NumPy function) raises a TypeError that says what to use instead.

    Attributes
    ----------
    shape, dtype, ndim, size
        As an array's.
    primitive : Primitive
        What makes this value.
    inputs : tuple of Tensor
        What it is made from.
    attributes : dict
        The primitive's settings: stride, axes, ...
    scope : str
        Path of the layer that recorded it, such as ``"features.0"``; empty outside layers.
    """

    __slots__ = ("attributes", "dtype", "inputs", "primitive", "scope", "shape")

    def __init__(
        self,
        primitive: Primitive,
        inputs: tuple[Tensor, ...],
        attributes: dict[str, Any],
        shape: Shape,
        dtype: np.dtype,
    ) -> None:
        self.primitive = primitive
        self.inputs = inputs
        self.attributes = attributes
        self.shape = shape
        self.dtype = dtype
        self.scope = _scope.get()

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def T(self) -> Tensor:
        return array.transpose(self)

    def __repr__(self) -> str:
        return f"Tensor({self.primitive.name}, {self.dtype}, {self.shape})"

    # NumPy's methods

    def astype(self, dtype: Any) -> Tensor:
        return array.cast(self, dtype)

    def reshape(self, *shape: Any) -> Tensor:
        return array.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Tensor:
        return array.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def swapaxes(self, first: int, second: int) -> Tensor:
        return array.swapaxes(self, first, second)

    def ravel(self) -> Tensor:
        return array.reshape(self, (-1,))

    def squeeze(self, axis: Any = None) -> Tensor:
        return array.squeeze(self, axis)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return array.sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return array.mean(self, axis, keepdims)

    def var(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        return array.var(self, axis, ddof, keepdims)

    def std(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        return array.std(self, axis, ddof, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return array.max(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return array.min(self, axis, keepdims)

    def argmax(self, axis: int | None = None) -> Tensor:
        return array.argmax(self, axis)

    def clip(self, minimum: Value = None, maximum: Value = None) -> Tensor:
        return array.clip(self, minimum, maximum)

    def dot(self, other: Value) -> Tensor:
        return array.dot(self, other)

    # Python's operators

    def __add__(self, other: Value) -> Tensor:
        return array.add(self, other)

    def __radd__(self, other: Value) -> Tensor:
        return array.add(other, self)

    def __sub__(self, other: Value) -> Tensor:
        return array.subtract(self, other)

    def __rsub__(self, other: Value) -> Tensor:
        return array.subtract(other, self)

    def __mul__(self, other: Value) -> Tensor:
        return array.multiply(self, other)

    def __rmul__(self, other: Value) -> Tensor:
        return array.multiply(other, self)

    def __truediv__(self, other: Value) -> Tensor:
        return array.divide(self, other)

    def __rtruediv__(self, other: Value) -> Tensor:
        return array.divide(other, self)

    def __pow__(self, other: Value) -> Tensor:
        return array.power(self, other)

    def __rpow__(self, other: Value) -> Tensor:
        return array.power(other, self)

    def __matmul__(self, other: Value) -> Tensor:
        return array.matmul(self, other)

    def __rmatmul__(self, other: Value) -> Tensor:
        return array.matmul(other, self)

    def __neg__(self) -> Tensor:
        return array.negative(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return array.abs(self)

    def __lt__(self, other: Value) -> Tensor:
        return array.less(self, other)

    def __gt__(self, other: Value) -> Tensor:
        return array.less(other, self)

    def __le__(self, other: Value) -> Tensor:
        return array.less_equal(self, other)

    def __ge__(self, other: Value) -> Tensor:
        return array.less_equal(other, self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return array.equal(self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return array.not_equal(self, other)

    __hash__ = object.__hash__

    def __getitem__(self, index: Any) -> Tensor:
        return array.getitem(self, index)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor of no axes has no len()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[row] for row in range(len(self)))

    # What needs numbers

    def __bool__(self) -> bool:
        raise TypeError(
            f"`if` and `while` need the numbers of {self!r}, and while a function is being recorded there are none; "
            "choose between values with wm.where(condition, x, y)"
        )

    def _no_number(self, *_: Any) -> Any:
        raise TypeError(
            f"{self!r} has no number yet: the function is being recorded. "
            "Return it and convert the array that the call gives back"
        )

    __float__ = __int__ = __complex__ = __index__ = item = tolist = _no_number

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("tensors are immutable; build the changed value with wm.where, wm.concatenate or wm.pad")

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError(
            f"NumPy was asked to turn {self!r} into an array, but the function is being recorded and it has no "
            "numbers yet; use wimmel's function of the same name (wm.exp for np.exp, wm.concatenate for np.concatenate)"
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Tensor:
        function = array.NUMPY_OPERATORS.get(ufunc)
        if function is None or method != "__call__" or options:
            raise TypeError(
                f"np.{ufunc.__name__} cannot record a tensor; use wimmel's own function "
                f"(wm.{ufunc.__name__}, if there is one) on tensors"
            )
        return function(*inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError(
            f"np.{function.__name__} cannot record a tensor; use wimmel's own function "
            f"(wm.{function.__name__}, if there is one) on tensors"
        )


@contextmanager
def scope(path: str) -> Iterator[None]:
    """Names the layer whose tensors are recorded inside the block."""
    token = _scope.set(path)
    try:
        yield
    finally:
        _scope.reset(token)


def as_operands(values: Sequence[Value], name: str) -> list[Value]:
    """The values as tensors and native-order arrays; Python numbers take the dtype that the others ask for."""
    operands = [value if isinstance(value, (Tensor, bool, int, float)) else _as_array(value, name) for value in values]
    if not any(isinstance(operand, (bool, int, float)) for operand in operands):
        return operands
    dtype = np.result_type(
        *(operand if isinstance(operand, (bool, int, float)) else operand.dtype for operand in operands)
    )
    return [
        _as_number(operand, np.dtype(np.bool_) if isinstance(operand, bool) else dtype, name)
        if isinstance(operand, (bool, int, float))
        else operand
        for operand in operands
    ]


def _as_number(value: float, dtype: np.dtype, name: str) -> np.ndarray:
    try:
        return np.asarray(value, dtype)
    except OverflowError:
        text = str(value) if abs(value) < 10**30 else "a number of more than 30 digits"
        raise ValueError(f"{name} was given {text} beside {dtype} values, and {dtype} cannot hold it") from None


def as_tensor(value: Value) -> Tensor:
    """The value itself if it is a tensor; else a constant of the graph, holding a copy."""
    if isinstance(value, Tensor):
        return value
    copy = np.array(value, order="C")
    copy.flags.writeable = False
    return Tensor(constant, (), {"value": copy}, copy.shape, copy.dtype)


def input_tensor(name: str, shape: Shape, dtype: Any) -> Tensor:
    """A value that the caller of the graph provides."""
    return Tensor(input_, (), {"name": name}, tuple(shape), np.dtype(dtype))


def _quiet(definition: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    @wraps(definition)
    def without_warnings(*inputs: np.ndarray, **attributes: Any) -> np.ndarray:
        with np.errstate(all="ignore"):
            return definition(*inputs, **attributes)

    return without_warnings


def _as_array(value: Any, name: str) -> np.ndarray:
    if type(value) is not np.ndarray and "numpy.ma" in sys.modules and isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} was given a masked array, whose mask would be lost; fill it first, for example with x.filled(0)"
        )
    result = np.asarray(value)
    if not result.dtype.isnative:
        result = result.astype(result.dtype.newbyteorder("="))
    if result.dtype not in DTYPES:
        raise TypeError(
            f"{name} was given {result.dtype} values; wimmel computes with float32 and float64 "
            "(and integers and booleans where they make sense): convert first, for example with x.astype(np.float32)"
        )
    return result


def _given(**attributes: Any) -> np.ndarray:
    raise TypeError("an input has no definition: its value is given by the caller")


input_ = Primitive("input", lambda name: ((), np.dtype(np.float32)), _given)
constant = Primitive("constant", lambda value: (value.shape, value.dtype), lambda value: value)

from wimmel.graph import array  # noqa: E402  (array's functions record tensors, and tensors' operators call them)
