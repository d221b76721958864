"""Arithmetic on sizes: output sizes, paddings and receptive fields. Numbers go in, numbers come out."""

from wimmel.geometry.axis_field import AxisField
from wimmel.geometry.padding import Padding, lecture_padding, padding_pairs
from wimmel.geometry.receptive import ReceptiveField
from wimmel.geometry.regrouping import axis_groups
from wimmel.geometry.sizes import (
    Pairs,
    lecture_output_size,
    output_size,
    output_sizes,
    per_axis,
    pooled_size,
    pooled_sizes,
    transposed_size,
    transposed_sizes,
    window_span,
)

__all__ = [
    "AxisField",
    "Padding",
    "Pairs",
    "ReceptiveField",
    "axis_groups",
    "lecture_output_size",
    "lecture_padding",
    "output_size",
    "output_sizes",
    "padding_pairs",
    "per_axis",
    "pooled_size",
    "pooled_sizes",
    "transposed_size",
    "transposed_sizes",
    "window_span",
]
