"""Pictures that teem with people, drawn by wimmel itself: something to search, and to learn from."""

from wimmel.detection.teeming.mosaics import mosaic_scene
from wimmel.detection.teeming.portrait import portrait
from wimmel.detection.teeming.scenes import LEVELS, Level, teeming_scene

__all__ = ["LEVELS", "Level", "mosaic_scene", "portrait", "teeming_scene"]
