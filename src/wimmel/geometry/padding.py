"""Padding in every form a caller may write it, brought into one: a (front, behind) pair for each axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wimmel.geometry.sizes import Pairs, per_axis, window_span
from wimmel.geometry.whole_numbers import as_integer, at_least, entries_of

Padding = int | str | Sequence[int] | Sequence[Sequence[int]]
"""An int; one int per axis; one (front, behind) pair per axis; or 'valid', 'same', 'same_lower', 'full'."""


def padding_pairs(
    padding: Padding,
    sizes: Sequence[int],
    kernel: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
) -> Pairs:
    """Padding in front and behind, one pair for each axis.

    Parameters
    ----------
    padding : int, str, sequence of int, or sequence of pairs
        - 1: one element on each side of every axis.
        - (1, 2): one on each side of the first axis, two on each side of the second.
        - ((1, 2), (0, 3)): one in front and two behind on the first axis, none and three on the second.
          Pairs are always nested; for a single axis ((1, 2),).
        - 'valid': none.
        - 'same': as many outputs as ceil(size / stride), by the least padding; where the total is odd, the
          extra element stands behind (PyTorch, TensorFlow, ONNX's SAME_UPPER).
        - 'same_lower': likewise, the extra element in front (ONNX's SAME_LOWER, and at stride 1 the
          lecture's split).
        - 'full': dilation * (kernel - 1) on each side, so that every overlap of kernel and input counts.
    sizes : sequence of int
        Elements of the input along each axis.
    kernel, stride, dilation : int or sequence of int
        One number for all axes, or one per axis; stride and dilation are 1 by default.

    Returns
    -------
    tuple of (int, int)
        One (front, behind) pair per axis of `sizes`.

    Raises
    ------
    ValueError
        If the padding is negative, an unknown word, or has the wrong number of entries.
    TypeError
        If it holds anything but whole numbers.

    References
    ----------
    Lecture rows L21, L23 and L26.

    Examples
    --------
    >>> padding_pairs(1, (28, 28), 3)
    ((1, 1), (1, 1))
    >>> padding_pairs((1, 2), (28, 28), 3)
    ((1, 1), (2, 2))
    >>> padding_pairs(((1, 2),), (28,), 3)
    ((1, 2),)
    >>> padding_pairs("same", (28, 28), (5, 2))
    ((2, 2), (0, 1))
    >>> padding_pairs("same", (28, 28), (5, 2), stride=2)
    ((1, 2), (0, 0))
    >>> padding_pairs((1, 2), (28,), 3)
    Traceback (most recent call last):
        ...
    ValueError: padding (1, 2) has 2 entries for one axis. To pad unequally in front and behind, nest the \
pair: ((1, 2),).
    """
    axes = len(sizes)
    if isinstance(padding, str):
        rule = _NAMED.get(padding)
        if rule is None:
            words = ", ".join(repr(word) for word in _NAMED)
            raise ValueError(f"padding {padding!r} is not known; the words are {words}.")
        return tuple(
            map(
                rule,
                per_axis(sizes, axes, "size"),
                per_axis(kernel, axes, "kernel"),
                per_axis(stride, axes, "stride"),
                per_axis(dilation, axes, "dilation"),
            )
        )
    single = as_integer(padding)
    if single is not None:
        entries: tuple = (single,) * axes
    else:
        given = entries_of(padding)
        if given is None:
            raise TypeError(f"padding must be a whole number, one number or pair per axis, or a word; got {padding!r}.")
        entries = given
    nested = [entries_of(entry) is not None for entry in entries]
    if any(nested) and not all(nested):
        raise ValueError(
            f"padding {padding!r} mixes numbers and pairs; give one number for each of the axes or one "
            f"(front, behind) pair for each of them."
        )
    if len(entries) != axes:
        raise ValueError(_wrong_count(padding, entries, axes))
    return tuple(_pair_of(entry, padding) for entry in entries)


def lecture_padding(kernel: int | Sequence[int], axes: int | None = None) -> Pairs:
    """Padding of kernel - 1 in total, the larger half in front: the lecture's way to keep the input's size.

    At larger strides it differs from 'same', which pads only as much as the last window needs.

    Parameters
    ----------
    kernel : int or sequence of int
        One size for all axes, or one per axis.
    axes : int, optional
        How many axes there are; by default as many as `kernel` has entries, and two for an int, since the
        lecture speaks of pictures.

    Returns
    -------
    tuple of (int, int)
        (ceil(p / 2), floor(p / 2)) with p = kernel - 1, one pair per axis.

    Raises
    ------
    ValueError, TypeError
        If the kernel is not a positive whole number for each axis.

    References
    ----------
    Lecture rows L23 and L25.

    Examples
    --------
    >>> lecture_padding((3, 4))
    ((1, 1), (2, 1))
    >>> lecture_padding(5)
    ((2, 2), (2, 2))
    """
    if axes is None:
        entries = entries_of(kernel)
        axes = 2 if entries is None else len(entries)
    totals = [size - 1 for size in per_axis(kernel, axes, "kernel")]
    return tuple((total - total // 2, total // 2) for total in totals)


def _valid(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    return 0, 0


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + window_span(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


def _same_lower(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    front, behind = _same(size, kernel, stride, dilation)
    return behind, front


def _full(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    each = dilation * (kernel - 1)
    return each, each


_NAMED: dict[str, Callable[[int, int, int, int], tuple[int, int]]] = {
    "valid": _valid,
    "same": _same,
    "same_lower": _same_lower,
    "full": _full,
}


def _pair_of(entry: object, padding: object) -> tuple[int, int]:
    sides = entries_of(entry)
    if sides is None:
        sides = (entry, entry)
    if len(sides) != 2:
        raise ValueError(f"padding {padding!r} must hold a (front, behind) pair for each axis; got {entry!r}.")
    front, behind = (at_least(side, 0, "every entry of padding") for side in sides)
    return front, behind


def _wrong_count(padding: object, entries: tuple, axes: int) -> str:
    count = f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"
    message = f"padding {padding!r} has {count} for {'one axis' if axes == 1 else f'{axes} axes'}."
    if len(entries) == 2 * axes and all(as_integer(entry) is not None for entry in entries):
        pairs = tuple((entries[2 * axis], entries[2 * axis + 1]) for axis in range(axes))
        nest = "pair" if axes == 1 else "pairs, in axis order"
        return f"{message} To pad unequally in front and behind, nest the {nest}: {pairs!r}."
    example = "((1, 2),)" if axes == 1 else "(" + ", ".join(["(1, 2)"] * axes) + ")"
    return f"{message} Give one whole number per axis, or one (front, behind) pair per axis, as in {example}."
