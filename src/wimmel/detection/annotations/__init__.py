"""Annotations in, in the formats people have, and boxes out: a file for each format.

A reader makes a listing of what its files say, `checking` compares that with the pictures and makes scenes of it.
"""

from wimmel.detection.annotations.listing import Problem
from wimmel.detection.annotations.reading import AnnotationError, read_annotations
from wimmel.detection.annotations.scene_set import SceneSet
from wimmel.detection.annotations.writing import write_boxes

__all__ = ["AnnotationError", "Problem", "SceneSet", "read_annotations", "write_boxes"]
