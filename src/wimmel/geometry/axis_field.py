"""The receptive field along one axis: which inputs each output looks at, as a window that moves evenly.

It is made for one operation, composed through a chain of them, united over branches and asked about an
index; it holds three fractions and no array.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from wimmel.geometry.whole_numbers import at_least


@dataclass(frozen=True)
class AxisField:
    """Inputs that each output looks at, along one axis: a window that moves as the output's index does.

    Output o looks at input indices ceil(stride * o + low) to floor(stride * o + high). Indices below 0 or
    beyond the input are padding; with a fractional stride (a transposed convolution) some outputs may look
    at nothing.

    Parameters
    ----------
    stride : Fraction or int
        Input elements per output element; 0 where every output looks at the same inputs, negative where
        the axis is reversed.
    low, high : Fraction, int or None
        The window's ends for output 0; None where it has no end (a dense layer, a global pool, a softmax).
        With `low` above `high` no output looks at anything.

    References
    ----------
    Lecture row L18.

    Examples
    --------
    Two stacked 2x2 kernels, along one of their axes:

    >>> layer = AxisField.window(kernel=2)
    >>> stacked = layer.compose(layer)
    >>> layer.size, stacked.size
    (2, 3)
    >>> stacked.interval(5)
    (5, 7)
    """

    stride: Fraction
    low: Fraction | None
    high: Fraction | None

    def __post_init__(self) -> None:
        stride = Fraction(self.stride)
        low, high = self.low, self.high
        if low is None and high is None:
            stride = Fraction(0)
        # stride * o is a multiple of 1 / denominator and indices are whole, so the ends may be tightened to
        # such multiples: equal fields become equal values, and composing them loses less.
        grain = stride.denominator
        if low is not None:
            low = Fraction(math.ceil(low * grain), grain)
        if high is not None:
            high = Fraction(math.floor(high * grain), grain)
        if low is not None and high is not None and low > high:
            stride, low, high = Fraction(0), Fraction(0), Fraction(-1)
        object.__setattr__(self, "stride", stride)
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @classmethod
    def pointwise(cls) -> AxisField:
        """Each output looks at the input of its own index: an elementwise function."""
        return cls.shifted(0)

    @classmethod
    def shifted(cls, offset: int) -> AxisField:
        """Output o looks at input o + offset: a slice from `offset` on; negative, padding in front."""
        return cls.sliced(offset, 1)

    @classmethod
    def sliced(cls, start: int, step: int) -> AxisField:
        """Output o looks at input start + step * o: a slice with a step, which may be negative."""
        return cls(Fraction(step), Fraction(start), Fraction(start))

    @classmethod
    def mirrored(cls, size: int) -> AxisField:
        """Output o looks at input size - 1 - o: an axis of that size, reversed."""
        return cls.sliced(size - 1, -1)

    @classmethod
    def placed(cls, start: int, step: int = 1) -> AxisField:
        """Output start + step * i looks at input i, the others at nothing: padding, with gaps if step > 1."""
        return cls.transposed(1, step, -start)

    @classmethod
    def fixed(cls, index: int) -> AxisField:
        """Every output looks at the input `index`: broadcasting an axis of one element, with index 0."""
        return cls.sliced(index, 0)

    @classmethod
    def whole(cls) -> AxisField:
        """Every output looks at every input: a dense layer, a reduction, a softmax over the axis."""
        return cls(Fraction(0), None, None)

    @classmethod
    def nothing(cls) -> AxisField:
        """No output looks at any input: a constant, or a slice that takes only the gaps between inputs."""
        return cls(Fraction(0), Fraction(0), Fraction(-1))

    @classmethod
    def window(cls, kernel: int, stride: int = 1, front_padding: int = 0, dilation: int = 1) -> AxisField:
        """The field of a convolution or a pooling layer; a dilated kernel's gaps count as looked at.

        A negative `front_padding` is a crop, here and in `transposed`.
        """
        _check_window(kernel, stride, dilation)
        low = Fraction(-front_padding)
        return cls(Fraction(stride), low, low + dilation * (kernel - 1))

    @classmethod
    def transposed(cls, kernel: int, stride: int = 1, front_padding: int = 0, dilation: int = 1) -> AxisField:
        """The field of a transposed convolution; with kernel = stride, that of repeating every element."""
        _check_window(kernel, stride, dilation)
        # Input i reaches outputs i * stride + dilation * tap - front_padding; solved for i.
        low = Fraction(front_padding - dilation * (kernel - 1), stride)
        return cls(Fraction(1, stride), low, Fraction(front_padding, stride))

    @property
    def size(self) -> int | None:
        """The largest number of inputs that any output looks at, padding included; None where unbounded."""
        if self.low is None or self.high is None:
            return None
        grain = self.stride.denominator
        return math.ceil(((self.high - self.low) * grain + 1) / grain)

    @property
    def start(self) -> int | None:
        """Where the field of output 0 begins; negative in the padding, None for one without a beginning."""
        return None if self == AxisField.nothing() else self.interval(0)[0]

    def interval(self, index: int) -> tuple[int | None, int | None]:
        """First and last input that output `index` looks at, padding included.

        An end is None where the field is unbounded; the last lies before the first where the output looks
        at nothing.
        """
        centre = self.stride * index
        return (
            None if self.low is None else math.ceil(centre + self.low),
            None if self.high is None else math.floor(centre + self.high),
        )

    def clip(self, index: int, size: int) -> range:
        """Inputs that output `index` looks at among the `size` there are."""
        first, last = self.interval(index)
        begin = 0 if first is None else min(max(first, 0), size)
        end = size if last is None else min(max(last + 1, 0), size)
        return range(begin, max(begin, end))

    def clip_all(self, outputs: range, size: int) -> range:
        """Inputs, among the `size` there are, from the first to the last that any of the outputs looks at.

        Going back through a chain with this, layer by layer, leaves out what only the padding of a layer in
        between looks at; a composed field counts that in, since it does not know the sizes in between.

        Parameters
        ----------
        outputs : range
            Consecutive output indices.
        size : int
            Elements of the input along the axis.

        Returns
        -------
        range
            Consecutive input indices, empty where none is looked at.

        Examples
        --------
        >>> AxisField.window(kernel=3, stride=2, front_padding=1).clip_all(range(0, 3), size=5)
        range(0, 5)
        """
        # Both ends move one way as the index does, so the extremes lie at the first and the last output that
        # look at anything. At most `denominator` outputs in a row miss, unless they lie outside the input.
        fields = (self.clip(index, size) for index in outputs)
        from_front = next((field for field in fields if field), None)
        if from_front is None:
            return range(0)
        fields = (self.clip(index, size) for index in reversed(outputs))
        from_back = next(field for field in fields if field)
        return range(min(from_front.start, from_back.start), max(from_front.stop, from_back.stop))

    def compose(self, inner: AxisField) -> AxisField:
        """The field of z on x, where `self` is that of z on y and `inner` that of y on x.

        From its first to its last input it is exact where the stride of `self` is a whole number and every
        y looks at something. Otherwise (after a transposed convolution, outputs take turns in how many
        inputs they look at) it is a bound: it holds every input that is looked at, and may hold a few more
        at its ends.

        Parameters
        ----------
        inner : AxisField
            The field of the operation that came before.

        Returns
        -------
        AxisField

        Examples
        --------
        >>> pool, convolution = AxisField.window(2, stride=2), AxisField.window(5, front_padding=2)
        >>> print(pool.compose(convolution))
        6, stride 2, from -2
        """
        if AxisField.nothing() in (self, inner):
            return AxisField.nothing()
        if inner.stride == 0:
            return AxisField(Fraction(0), inner.low, inner.high)
        first, last = (self.low, self.high) if inner.stride > 0 else (self.high, self.low)
        return AxisField(
            inner.stride * self.stride,
            None if first is None or inner.low is None else inner.stride * first + inner.low,
            None if last is None or inner.high is None else inner.stride * last + inner.high,
        )

    def unite(self, other: AxisField, outputs: int | None = None) -> AxisField:
        """The smallest field that holds both: that of two branches which meet again.

        Parameters
        ----------
        other : AxisField
            The field of the other branch, on the same input.
        outputs : int, optional
            How many outputs there are along the axis. Needed only where the strides differ: such fields
            drift apart as the index grows, and their union is a window only over so many outputs.

        Returns
        -------
        AxisField
            Of the common stride. Where they differ: of that stride of the two which leaves the smaller
            window (the larger stride if both do), a bound that holds for outputs 0 to outputs - 1.

        Raises
        ------
        ValueError
            If the strides differ, both fields are bounded, and `outputs` is not given.

        Examples
        --------
        >>> print(AxisField.window(1).unite(AxisField.window(3, front_padding=1)))
        3, stride 1, from -1
        >>> print(AxisField.pointwise().unite(AxisField.fixed(0), outputs=10))
        10, stride 1, from -9
        """
        if AxisField.whole() in (self, other):
            return AxisField.whole()
        if self == AxisField.nothing():
            return other
        if other == AxisField.nothing():
            return self
        if self.stride == other.stride:
            return _joined(self, other, self.stride, last_index=0)
        if outputs is None:
            raise ValueError(
                f"The two branches have strides {self.stride} and {other.stride}, so their fields drift "
                f"apart; say over how many outputs to unite them, with outputs=..."
            )
        last_index = at_least(outputs, 1, "outputs") - 1
        candidates = [_joined(self, other, stride, last_index) for stride in (self.stride, other.stride)]
        return min(candidates, key=lambda field: (math.inf if field.size is None else field.size, -field.stride))

    def __str__(self) -> str:
        if self == AxisField.whole():
            return "everything"
        if self == AxisField.nothing():
            return "nothing"
        size = "all" if self.size is None else self.size
        return f"{size}, stride {self.stride}, from {'-inf' if self.start is None else self.start}"


def _joined(one: AxisField, other: AxisField, stride: Fraction, last_index: int) -> AxisField:
    """The smallest field of the given stride that holds both fields at output 0 and at the last one.

    Ends are linear in the index, so what holds at both of these outputs holds at all between them.
    """
    drifts = [(field, (field.stride - stride) * index) for field in (one, other) for index in (0, last_index)]
    lows = [None if field.low is None else field.low + drift for field, drift in drifts]
    highs = [None if field.high is None else field.high + drift for field, drift in drifts]
    return AxisField(
        stride,
        None if None in lows else min(low for low in lows if low is not None),
        None if None in highs else max(high for high in highs if high is not None),
    )


def _check_window(kernel: int, stride: int, dilation: int) -> None:
    at_least(kernel, 1, "kernel")
    at_least(stride, 1, "stride")
    at_least(dilation, 1, "dilation")
