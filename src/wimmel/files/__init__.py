"""Files: written whole or not at all, named arrays as safetensors, pictures as arrays."""

from wimmel.files.atomic import write_bytes, write_text, write_whole
from wimmel.files.images import (
    IMAGE_SUFFIXES,
    ImageError,
    ImageHeader,
    encode_image,
    fit_image,
    read_image,
    read_image_header,
    read_opacity,
    write_image,
)
from wimmel.files.tensors import load_plain_tensors, load_tensors, save_tensors

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageError",
    "ImageHeader",
    "encode_image",
    "fit_image",
    "load_plain_tensors",
    "load_tensors",
    "read_image",
    "read_image_header",
    "read_opacity",
    "save_tensors",
    "write_bytes",
    "write_image",
    "write_text",
    "write_whole",
]
