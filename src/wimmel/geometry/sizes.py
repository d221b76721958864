"""Output sizes of convolution, pooling and transposed convolution: whole numbers in, whole numbers out.

Padding is counted per side, as (front, behind); only `lecture_output_size` takes the total of both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wimmel.geometry.whole_numbers import as_integer, at_least, entries_of

Pairs = tuple[tuple[int, int], ...]
"""Padding in front and behind, one pair per axis: ((top, bottom), (left, right)) for pictures."""


def per_axis(value: int | Sequence[int], axes: int, name: str, minimum: int = 1) -> tuple[int, ...]:
    """One whole number for each axis.

    Parameters
    ----------
    value : int or sequence of int
        One number for all axes, or one per axis. NumPy integers count as int; bool and float do not.
    axes : int
        How many axes there are.
    name : str
        What the value is called in an error message, such as "stride".
    minimum : int, default 1
        The smallest number allowed.

    Returns
    -------
    tuple of int
        `axes` numbers.

    Raises
    ------
    TypeError
        If the value, or one of its entries, is not a whole number.
    ValueError
        If there are too many or too few numbers, or one is below the minimum.

    References
    ----------
    Lecture row L26: "s or (s_h, s_w)".

    Examples
    --------
    >>> per_axis(2, 2, "stride")
    (2, 2)
    >>> per_axis([3, 1], 2, "stride")
    (3, 1)
    >>> per_axis((1, 2, 3), 2, "stride")
    Traceback (most recent call last):
        ...
    ValueError: stride must be one whole number or 2 of them, one per axis; got (1, 2, 3), which has 3.
    """
    expected = "one whole number" if axes == 1 else f"one whole number or {axes} of them, one per axis"
    single = as_integer(value)
    if single is not None:
        numbers = (single,) * axes
    else:
        entries = entries_of(value)
        if entries is None:
            raise TypeError(f"{name} must be {expected}; got {value!r}.")
        if len(entries) != axes:
            raise ValueError(f"{name} must be {expected}; got {value!r}, which has {len(entries)}.")
        found = [as_integer(entry) for entry in entries]
        if None in found:
            raise TypeError(
                f"{name} must be {expected}; got {value!r}, where {entries[found.index(None)]!r} is not one."
            )
        numbers = tuple(number for number in found if number is not None)
    if any(number < minimum for number in numbers):
        raise ValueError(f"{name} must be at least {minimum} on every axis; got {value!r}.")
    return numbers


def window_span(kernel: int, dilation: int = 1) -> int:
    """Number of elements from the first to the last one under a dilated kernel, both included.

    Parameters
    ----------
    kernel : int
        Elements of the kernel along the axis.
    dilation : int, default 1
        Distance between neighbouring elements of the kernel, in input elements.

    Returns
    -------
    int
        dilation * (kernel - 1) + 1

    Examples
    --------
    >>> window_span(3), window_span(3, dilation=2)
    (3, 5)
    """
    return dilation * (kernel - 1) + 1


def output_size(size: int, kernel: int, padding: tuple[int, int] = (0, 0), stride: int = 1, dilation: int = 1) -> int:
    """Number of places at which a kernel lies wholly inside the padded input, along one axis.

    Parameters
    ----------
    size : int
        Elements of the input along the axis.
    kernel : int
        Elements of the kernel along the axis.
    padding : (int, int), default (0, 0)
        Elements added in front and behind.
    stride : int, default 1
        Distance between neighbouring places.
    dilation : int, default 1
        Distance between neighbouring elements of the kernel.

    Returns
    -------
    int
        floor((size + front + behind - (dilation * (kernel - 1) + 1)) / stride) + 1, at least 1

    Raises
    ------
    ValueError
        If the dilated kernel is larger than the padded input, or a number is too small to make sense.
    TypeError
        If a number is not whole.

    References
    ----------
    Lecture rows L13, L22 and L25.

    Examples
    --------
    >>> output_size(28, 5)
    24
    >>> output_size(28, 5, padding=(2, 2), stride=2)
    14
    >>> output_size(2, 3)
    Traceback (most recent call last):
        ...
    ValueError: The kernel is larger than the input: size 3 against 2. Use a smaller kernel or more padding.
    """
    size, kernel, stride, dilation = _window(size, kernel, stride, dilation)
    front, behind = _pair(padding)
    room = size + front + behind - window_span(kernel, dilation)
    if room < 0:
        raise ValueError(_kernel_too_large(size, kernel, (front, behind), dilation))
    return room // stride + 1


def output_sizes(
    sizes: Sequence[int],
    kernel: int | Sequence[int],
    padding: Pairs,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
) -> tuple[int, ...]:
    """Output sizes of a convolution, one per axis of `sizes`.

    Parameters
    ----------
    sizes : sequence of int
        Elements of the input along each axis.
    kernel, stride, dilation : int or sequence of int
        One number for all axes, or one per axis.
    padding : tuple of (int, int)
        Front and behind, one pair per axis.

    Returns
    -------
    tuple of int
        `output_size` of each axis.

    Raises
    ------
    ValueError, TypeError
        As `output_size`; the message names the axis.

    Examples
    --------
    >>> output_sizes((3, 3), 2, ((1, 1), (1, 1)), stride=(3, 2))
    (2, 2)
    """
    return _on_each_axis(output_size, _by_axis(sizes, kernel, padding, stride, dilation))


def pooled_size(
    size: int,
    kernel: int,
    padding: tuple[int, int] = (0, 0),
    stride: int = 1,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Number of pooling windows along one axis; every one of them holds at least one input element.

    Parameters
    ----------
    size, kernel, stride, dilation : int
        As for `output_size`. The stride is not taken from the kernel here: say it.
    padding : (int, int), default (0, 0)
        Elements added in front and behind, each at most half the kernel, as in PyTorch.
    ceil_mode : bool, default False
        Let the last window reach beyond the padded input, as long as it starts inside the input or the
        padding in front of it. Such a window may be the only one.

    Returns
    -------
    int
        (size + front + behind - span) / stride + 1, rounded down, or up with `ceil_mode`; at least 1

    Raises
    ------
    ValueError
        If no window fits, the padding is more than half the kernel, or a dilated window would step over
        the whole input and pool nothing (PyTorch returns minus infinity there).

    Examples
    --------
    >>> pooled_size(5, 2, stride=2), pooled_size(5, 2, stride=2, ceil_mode=True)
    (2, 3)
    >>> pooled_size(4, 2, padding=(1, 1), stride=3, ceil_mode=True)
    2
    """
    size, kernel, stride, dilation = _window(size, kernel, stride, dilation)
    front, behind = _pair(padding)
    if max(front, behind) > kernel // 2:
        raise ValueError(
            f"Pooling pads by at most half the kernel: {kernel // 2} for a kernel of size {kernel}; "
            f"got {front} in front and {behind} behind."
        )
    room = size + front + behind - window_span(kernel, dilation)
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + front:
        count -= 1
    if count < 1:
        raise ValueError(_kernel_too_large(size, kernel, (front, behind), dilation))
    # Only a window that begins in the front padding can miss the input, by stepping over it: its first
    # element at or after index 0 has index start % dilation.
    last_start = (count - 1) * stride - front
    for start in range(-front, min(0, last_start + 1), stride):
        if start % dilation >= size:
            raise ValueError(
                f"A pooling window of size {kernel} with dilation {dilation} that starts {-start} in front "
                f"of the input steps over all {size} of its elements. Use a smaller dilation or less padding."
            )
    return count


def pooled_sizes(
    sizes: Sequence[int],
    kernel: int | Sequence[int],
    padding: Pairs,
    stride: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """Output sizes of pooling, one per axis of `sizes`.

    Parameters
    ----------
    sizes : sequence of int
        Elements of the input along each axis.
    kernel, stride, dilation : int or sequence of int
        One number for all axes, or one per axis.
    padding : tuple of (int, int)
        Front and behind, one pair per axis.
    ceil_mode : bool, default False
        As for `pooled_size`.

    Returns
    -------
    tuple of int
        `pooled_size` of each axis.

    Raises
    ------
    ValueError, TypeError
        As `pooled_size`; the message names the axis.

    Examples
    --------
    >>> pooled_sizes((112, 112), 3, ((1, 1), (1, 1)), stride=2)
    (56, 56)
    """
    arguments = _by_axis(sizes, kernel, padding, stride, dilation)
    return _on_each_axis(pooled_size, [(*numbers, ceil_mode) for numbers in arguments])


def transposed_size(
    size: int,
    kernel: int,
    padding: tuple[int, int] = (0, 0),
    stride: int = 1,
    dilation: int = 1,
    output_padding: int = 0,
) -> int:
    """Output size of a transposed convolution along one axis: an input size of the convolution it transposes.

    Parameters
    ----------
    size : int
        Elements of the transposed convolution's input along the axis.
    kernel, stride, dilation : int
        Of the convolution that is transposed.
    padding : (int, int), default (0, 0)
        Of the convolution that is transposed: elements taken away in front and behind.
    output_padding : int, default 0
        Elements added behind, below max(stride, dilation): chooses among the sizes that a strided
        convolution maps to the same one.

    Returns
    -------
    int
        (size - 1) * stride - front - behind + dilation * (kernel - 1) + output_padding + 1, at least 1

    Raises
    ------
    ValueError
        If nothing is left after the padding is taken away, or a number is out of its range.
    TypeError
        If a number is not whole.

    Examples
    --------
    >>> transposed_size(14, 4, padding=(1, 1), stride=2)
    28
    >>> output_size(28, 4, padding=(1, 1), stride=2)
    14
    """
    size, kernel, stride, dilation = _window(size, kernel, stride, dilation)
    front, behind = _pair(padding)
    output_padding = at_least(output_padding, 0, "output_padding")
    if output_padding >= max(stride, dilation):
        raise ValueError(
            f"output_padding must be smaller than the stride or the dilation; "
            f"got {output_padding} with stride {stride} and dilation {dilation}."
        )
    whole = (size - 1) * stride + window_span(kernel, dilation) + output_padding
    if whole <= front + behind:
        raise ValueError(
            f"The padding leaves nothing of the transposed convolution's output: {whole} elements less "
            f"{front} in front and {behind} behind. Use less padding."
        )
    return whole - front - behind


def transposed_sizes(
    sizes: Sequence[int],
    kernel: int | Sequence[int],
    padding: Pairs,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    output_padding: int | Sequence[int] = 0,
) -> tuple[int, ...]:
    """Output sizes of a transposed convolution, one per axis of `sizes`.

    Parameters
    ----------
    sizes : sequence of int
        Elements of the input along each axis.
    kernel, stride, dilation, output_padding : int or sequence of int
        One number for all axes, or one per axis.
    padding : tuple of (int, int)
        Front and behind, one pair per axis.

    Returns
    -------
    tuple of int
        `transposed_size` of each axis.

    Raises
    ------
    ValueError, TypeError
        As `transposed_size`; the message names the axis.

    Examples
    --------
    >>> transposed_sizes((7, 7), 3, ((1, 1), (1, 1)), stride=2, output_padding=1)
    (14, 14)
    """
    arguments = _by_axis(sizes, kernel, padding, stride, dilation)
    extras = per_axis(output_padding, len(sizes), "output_padding", minimum=0)
    return _on_each_axis(transposed_size, [(*numbers, extra) for numbers, extra in zip(arguments, extras, strict=True)])


def lecture_output_size(size: int, kernel: int, total_padding: int = 0, stride: int = 1) -> int:
    """Output size along one axis as the lecture writes it, with padding counted in total.

    Parameters
    ----------
    size : int
        n: elements of the input along the axis.
    kernel : int
        k: elements of the kernel along the axis.
    total_padding : int, default 0
        p: elements added on both sides together. (Everywhere else in wimmel padding is per side.)
    stride : int, default 1
        s: distance between neighbouring places of the kernel.

    Returns
    -------
    int
        floor((n - k + p + s) / s)

    Raises
    ------
    ValueError
        If the kernel is larger than the padded input, or a number is too small to make sense.

    References
    ----------
    Lecture rows L22 and L25.

    Examples
    --------
    >>> lecture_output_size(3, 2, total_padding=2)
    4
    >>> lecture_output_size(3, 2, total_padding=2, stride=3)
    2
    """
    size, kernel, stride, _ = _window(size, kernel, stride, 1)
    total_padding = at_least(total_padding, 0, "total_padding")
    if kernel > size + total_padding:
        raise ValueError(_kernel_too_large(size, kernel, (total_padding, 0), 1))
    return (size - kernel + total_padding + stride) // stride


def _by_axis(
    sizes: Sequence[int],
    kernel: int | Sequence[int],
    padding: Pairs,
    stride: int | Sequence[int],
    dilation: int | Sequence[int],
) -> list[tuple]:
    """(size, kernel, padding pair, stride, dilation) of each axis."""
    axes = len(sizes)
    if len(padding) != axes:
        raise ValueError(f"padding must be {axes} (front, behind) pairs, one per axis; got {padding!r}.")
    return list(
        zip(
            per_axis(sizes, axes, "size"),
            per_axis(kernel, axes, "kernel"),
            padding,
            per_axis(stride, axes, "stride"),
            per_axis(dilation, axes, "dilation"),
            strict=True,
        )
    )


def _on_each_axis(size: Callable[..., int], arguments: list[tuple]) -> tuple[int, ...]:
    """`size` of each tuple of arguments; where one is refused, the message says on which axis."""
    found = []
    for axis, numbers in enumerate(arguments):
        try:
            found.append(size(*numbers))
        except ValueError as error:
            if len(arguments) == 1:
                raise
            raise ValueError(f"On spatial axis {axis} of {len(arguments)}: {error}") from None
    return tuple(found)


def _window(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int, int, int]:
    return (
        at_least(size, 1, "size"),
        at_least(kernel, 1, "kernel"),
        at_least(stride, 1, "stride"),
        at_least(dilation, 1, "dilation"),
    )


def _pair(padding: tuple[int, int]) -> tuple[int, int]:
    entries = entries_of(padding)
    if entries is None or len(entries) != 2:
        raise ValueError(f"padding of one axis must be a pair (front, behind); got {padding!r}.")
    return at_least(entries[0], 0, "padding"), at_least(entries[1], 0, "padding")


def _kernel_too_large(size: int, kernel: int, padding: tuple[int, int], dilation: int) -> str:
    spread = f" with dilation {dilation}, spanning {window_span(kernel, dilation)}," if dilation > 1 else ""
    total = sum(padding)
    against = f"{size + total} ({size} and {total} of padding)" if total else str(size)
    return (
        f"The kernel is larger than the {'padded ' if total else ''}input: size {kernel}{spread} against "
        f"{against}. Use a smaller kernel{' or dilation' if dilation > 1 else ''} or more padding."
    )
