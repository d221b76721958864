"""The receptive field along several axes: the box of inputs that each output of a network looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from wimmel.geometry.axis_field import AxisField
from wimmel.geometry.sizes import Pairs, per_axis
from wimmel.geometry.whole_numbers import as_integer


@dataclass(frozen=True)
class ReceptiveField:
    """Inputs that each output looks at, along every axis: the box spanned by one `AxisField` per axis.

    Parameters
    ----------
    axes : tuple of AxisField
        One field per axis of the input. Output index i moves field i; an axis looked at as a whole has no
        use for its index.

    References
    ----------
    Lecture rows L18 and L19.

    Examples
    --------
    LeNet up to its second pooling layer:

    >>> convolution = ReceptiveField.window((5, 5), padding=((2, 2), (2, 2)))
    >>> pool = ReceptiveField.window((2, 2), stride=2)
    >>> field = pool.compose(ReceptiveField.window((5, 5))).compose(pool).compose(convolution)
    >>> print(field)
    16x16, stride 4, from (-2, -2)
    >>> field.at((0, 1))
    ((-2, 13), (2, 17))
    >>> field.clipped((0, 1), (28, 28))
    (slice(0, 14, None), slice(2, 18, None))
    """

    axes: tuple[AxisField, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))

    @classmethod
    def pointwise(cls, axes: int) -> ReceptiveField:
        """Each output looks at the input of its own index, along every one of `axes` axes."""
        return cls((AxisField.pointwise(),) * axes)

    @classmethod
    def whole(cls, axes: int) -> ReceptiveField:
        """Every output looks at every input, along every one of `axes` axes."""
        return cls((AxisField.whole(),) * axes)

    @classmethod
    def window(
        cls,
        kernel: Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Pairs | None = None,
        dilation: int | Sequence[int] = 1,
    ) -> ReceptiveField:
        """The field of a convolution or a pooling layer; no padding by default."""
        settings = _settings(kernel, stride, padding, dilation)
        return cls(tuple(AxisField.window(*numbers) for numbers in settings))

    @classmethod
    def transposed(
        cls,
        kernel: Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Pairs | None = None,
        dilation: int | Sequence[int] = 1,
    ) -> ReceptiveField:
        """The field of a transposed convolution; no padding by default."""
        settings = _settings(kernel, stride, padding, dilation)
        return cls(tuple(AxisField.transposed(*numbers) for numbers in settings))

    @property
    def size(self) -> tuple[int | None, ...]:
        """Inputs along each axis, padding included; None where the field is unbounded."""
        return tuple(axis.size for axis in self.axes)

    @property
    def stride(self) -> tuple[int | Fraction, ...]:
        """Inputs by which the field moves from one output to the next, along each axis."""
        return tuple(_plain(axis.stride) for axis in self.axes)

    @property
    def start(self) -> tuple[int | None, ...]:
        """Where the field of the output at index 0 begins, along each axis; negative in the padding."""
        return tuple(axis.start for axis in self.axes)

    @property
    def area(self) -> int | None:
        """Number of inputs in the field, padding included; None where an axis is unbounded."""
        sizes = [size for size in self.size if size is not None]
        return math.prod(sizes) if len(sizes) == len(self.axes) else None

    def at(self, index: Sequence[int]) -> tuple[tuple[int | None, int | None], ...]:
        """First and last input of the field of one output, along each axis, padding included.

        Parameters
        ----------
        index : sequence of int
            The output's index along each axis, counted from 0.

        Returns
        -------
        tuple of (int or None, int or None)
            None where the field is unbounded.
        """
        return tuple(axis.interval(place) for axis, place in zip(self.axes, self._checked(index, "index"), strict=True))

    def clipped(self, index: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
        """The part of the field of one output that lies inside the input, ready to index it with.

        Parameters
        ----------
        index : sequence of int
            The output's index along each axis, counted from 0.
        shape : sequence of int
            Elements of the input along each axis.

        Returns
        -------
        tuple of slice
            One per axis.
        """
        parts = [
            axis.clip(place, size)
            for axis, place, size in zip(
                self.axes, self._checked(index, "index"), self._checked(shape, "shape"), strict=True
            )
        ]
        return tuple(slice(part.start, part.stop) for part in parts)

    def compose(self, inner: ReceptiveField) -> ReceptiveField:
        """The field of z on x, where `self` is that of z on y and `inner` that of y on x.

        Exact or a bound as `AxisField.compose` says, axis by axis.
        """
        self._same_axes(inner)
        return ReceptiveField(tuple(outer.compose(before) for outer, before in zip(self.axes, inner.axes, strict=True)))

    def unite(self, other: ReceptiveField, outputs: Sequence[int] | None = None) -> ReceptiveField:
        """The smallest box that holds both fields: that of two branches which meet again.

        Parameters
        ----------
        other : ReceptiveField
            The field of the other branch, on the same input.
        outputs : sequence of int, optional
            How many outputs there are along each axis; needed only where the strides differ.

        Returns
        -------
        ReceptiveField

        Raises
        ------
        ValueError
            If the strides differ along an axis and `outputs` is not given.
        """
        self._same_axes(other)
        counts = [None] * len(self.axes) if outputs is None else self._checked(outputs, "outputs")
        return ReceptiveField(
            tuple(mine.unite(theirs, count) for mine, theirs, count in zip(self.axes, other.axes, counts, strict=True))
        )

    def __str__(self) -> str:
        if not self.axes:
            return "one element"
        if len(self.axes) == 1:
            return str(self.axes[0])
        if all(size is None for size in self.size):
            return "everything"
        if self.area == 0:
            return "nothing"
        sizes = "x".join("all" if size is None else str(size) for size in self.size)
        strides = self.stride if len(set(self.stride)) > 1 else self.stride[:1]
        places = ["-inf" if start is None else str(start) for start in self.start]
        return f"{sizes}, stride {'x'.join(map(str, strides))}, from ({', '.join(places)})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{number}</td><td>{'all' if axis.size is None else axis.size}</td>"
            f"<td>{axis.stride}</td><td>{'' if axis.start is None else axis.start}</td></tr>"
            for number, axis in enumerate(self.axes)
        )
        return (
            "<table><caption>Receptive field</caption><thead><tr><th>axis</th><th>size</th>"
            f"<th>stride</th><th>from</th></tr></thead><tbody>{rows}</tbody></table>"
        )

    def _same_axes(self, other: ReceptiveField) -> None:
        if len(self.axes) != len(other.axes):
            raise ValueError(
                f"Receptive fields can be combined axis by axis only if they have as many axes; "
                f"got {len(self.axes)} and {len(other.axes)}."
            )

    def _checked(self, numbers: Sequence[int], name: str) -> list[int]:
        whole = [as_integer(number) for number in numbers]
        if len(whole) != len(self.axes) or None in whole:
            raise ValueError(
                f"{name} must have one whole number for each of the {len(self.axes)} axes; got {numbers!r}."
            )
        return [number for number in whole if number is not None]


def _settings(
    kernel: Sequence[int],
    stride: int | Sequence[int],
    padding: Pairs | None,
    dilation: int | Sequence[int],
) -> list[tuple[int, int, int, int]]:
    """(kernel, stride, padding in front, dilation) of each axis."""
    axes = len(kernel)
    fronts = (0,) * axes if padding is None else tuple(front for front, _ in padding)
    return list(
        zip(
            per_axis(kernel, axes, "kernel"),
            per_axis(stride, axes, "stride"),
            per_axis(fronts, axes, "padding", minimum=0),
            per_axis(dilation, axes, "dilation"),
            strict=True,
        )
    )


def _plain(number: Fraction) -> int | Fraction:
    return int(number) if number.denominator == 1 else number
