"""Pictures of which any part can be had: `Piecewise`, and those that lie in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np

from wimmel.files.pixels import as_array

if TYPE_CHECKING:
    from PIL.Image import Image


@runtime_checkable
class Piecewise(Protocol):
    """A picture that is read in pieces, for one that is larger than the memory."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns."""

    def piece(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """The rows from top to before bottom and columns from left to before right: uint8 (channels, rows, columns)."""


class InMemory(NamedTuple):
    """A picture as Pillow has decoded it, of mode L or RGB."""

    image: Image

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.image.getbands()), self.image.height, self.image.width

    def piece(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        return as_array(self.image.crop((left, top, right, bottom)))
