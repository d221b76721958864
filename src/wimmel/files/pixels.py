"""What Pillow opened, brought to plain 8-bit gray or RGB: upright, without transparency, of a wanted size.

Given Pillow's images in any of its modes; hands on images in mode L or RGB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_WIDE_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_ORIENTATION_TAG = 0x0112


class RangeError(ValueError):
    """A sound picture whose numbers have no defined brightness; the message is a clause that says which."""


def plain_image(image: Image, channels: int | None) -> Image:
    """The picture upright, without transparency, 8 bits per channel: mode L for 1 channel, RGB for 3."""
    image.load()
    gray, held = is_gray(image), orientation(image)
    if image.mode in _WIDE_MODES:
        image = _to_eight_bits(image)
    elif _has_transparency(image):
        image = _on_white(image)
    elif image.mode == "LAB":
        image = _from_lab(image)
    mode = "L" if channels == 1 or (channels is None and gray) else "RGB"
    return _upright(image if image.mode == mode else image.convert(mode), held)


def as_array(image: Image) -> np.ndarray:
    """An image of mode L or RGB as uint8 (channels, rows, columns)."""
    pixels = np.asarray(image)
    return pixels[np.newaxis].copy() if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def opacity(image: Image) -> Image | None:
    """How opaque each pixel is, upright, in mode L: 0 for transparent, 255 for opaque; None where all of it is."""
    image.load()
    if not _has_transparency(image):
        return None
    return _upright(_with_alpha(image).getchannel("A"), orientation(image))


def is_gray(image: Image) -> bool:
    """Whether the file stores gray; a palette counts as gray if every colour in it is."""
    if image.mode != "P":
        return image.mode in _GRAY_MODES
    palette = image.getpalette("RGB") or []
    return palette[0::3] == palette[1::3] == palette[2::3]


def orientation(image: Image) -> int:
    """The EXIF number of how the camera was held, 1 for upright; a damaged note counts as none."""
    try:
        held = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # the pixels are sound even where the notes beside them are not
        return 1
    return held if isinstance(held, int) and 1 <= held <= 8 else 1


def cover(image: Image, size: tuple[int, int]) -> Image:
    """The middle of the picture, as large as its aspect allows, scaled to `size`."""
    from PIL.Image import Resampling

    rows, columns = size
    if (image.height, image.width) == size:
        return image
    scale = min(image.height / rows, image.width / columns)
    height, width = rows * scale, columns * scale
    # Rounding may put an edge a hair outside, which Pillow refuses.
    left, top = max((image.width - width) / 2, 0), max((image.height - height) / 2, 0)
    box = (left, top, min(left + width, image.width), min(top + height, image.height))
    return image.resize((columns, rows), Resampling.BILINEAR, box=box)


def rows_columns(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """The size as (rows, columns), or None if none is asked for; anything else is refused in a sentence."""
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int | np.integer) else tuple(size)
    if len(pair) != 2 or not all(isinstance(side, int | np.integer) and side >= 1 for side in pair):
        raise ValueError(f"A picture's size must be a whole number or (rows, columns), at least 1; got {size!r}.")
    return int(pair[0]), int(pair[1])


def check_channels(channels: int | None) -> None:
    """Refuses, in a sentence, whatever is not a number of channels that pictures can be given."""
    if channels not in (None, 1, 3):
        raise ValueError(f"channels must be 1 (gray), 3 (RGB) or None (as the picture is); got {channels!r}.")


def _upright(image: Image, held: int) -> Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[held]) if held in turns else image


def _to_eight_bits(image: Image) -> Image:
    """Gray of 16 bits or floats, scaled. Numbers beyond that range have no known meaning and are refused."""
    from PIL import Image as pillow

    # 16-bit TIFFs have modes of their own; other formats give 16 bits as mode I
    if image.mode == "I" and image.format == "TIFF":
        raise RangeError(
            "it holds 32-bit whole numbers, whose brightness has no defined meaning; save it with 8 or 16 bits"
        )
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise RangeError("it holds numbers that are not finite")
    lowest, highest = values.min(), values.max()
    top = 1.0 if image.mode == "F" else 65535.0
    if lowest < 0 or highest > top:
        raise RangeError(
            f"its numbers go from {lowest:g} to {highest:g}, and only 0 to {top:g} has a defined meaning; "
            "save it with 8 or 16 bits"
        )
    return pillow.fromarray(np.rint(values * (255.0 / top)).astype(np.uint8))


def _on_white(image: Image) -> Image:
    from PIL import Image as pillow

    layer = _with_alpha(image)
    white = pillow.new("L" if layer.mode == "LA" else "RGB", image.size, "white")
    white.paste(layer.convert(white.mode), mask=layer.getchannel("A"))
    return white


def _has_transparency(image: Image) -> bool:
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


def _with_alpha(image: Image) -> Image:
    # Pillow applies a colour key ("transparency") of gray on the way to LA, of others on the way to RGBA.
    return image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")


def _from_lab(image: Image) -> Image:
    from PIL import ImageCms

    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted: Any = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")
    return converted
