"""What layers with windows are given, checked when they are made, and written short when they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wimmel.geometry import padding_pairs


def checked_padding(padding: Any, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Any:
    """The padding as pairs, or as its name if it depends on the input's size; refuses what could never be a padding."""
    large = tuple(2 * d * k for k, d in zip(kernel, dilation, strict=True))
    pairs = padding_pairs(padding, large, kernel, stride, dilation)
    return padding if isinstance(padding, str) else pairs


def short(value: Any) -> Any:
    """The value as one would write it: one number where both sides and all axes agree."""
    if isinstance(value, tuple):
        inner = tuple(short(item) for item in value)
        return inner[0] if len(set(inner)) == 1 else inner
    return value
