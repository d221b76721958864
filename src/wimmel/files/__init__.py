"""Files: written whole or not at all, named arrays as safetensors, pictures as arrays."""

from wimmel.files.atomic import write_bytes, write_text, write_whole
from wimmel.files.images import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    ImageHeader,
    encode_image,
    fit_image,
    open_image,
    read_image,
    read_image_header,
    read_opacity,
    write_image,
)
from wimmel.files.opening import ImageError
from wimmel.files.pieces import Piecewise
from wimmel.files.tensors import load_plain_tensors, load_tensors, save_tensors

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "ImageError",
    "ImageHeader",
    "Piecewise",
    "encode_image",
    "fit_image",
    "load_plain_tensors",
    "load_tensors",
    "open_image",
    "read_image",
    "read_image_header",
    "read_opacity",
    "save_tensors",
    "write_bytes",
    "write_image",
    "write_text",
    "write_whole",
]
