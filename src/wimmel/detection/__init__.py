"""Finding things in pictures: boxes, annotations in and out, how good finds are, templates,
detectors that learn, scenes of our own, and pictures of all that."""

from wimmel.detection.annotations import AnnotationError, Problem, SceneSet, read_annotations, write_boxes
from wimmel.detection.boxes import (
    areas,
    as_boxes,
    clip,
    from_centre_size,
    from_left_top_size,
    iou,
    non_maximum_suppression,
    to_centre_size,
    to_left_top_size,
)
from wimmel.detection.correlation import match_template
from wimmel.detection.finds import Finds, Scene
from wimmel.detection.learned import (
    Calibration,
    Detector,
    Piecewise,
    Presence,
    Progress,
    Report,
    Settings,
    Swept,
)
from wimmel.detection.metrics import (
    COCO_OVERLAPS,
    PrecisionRecall,
    average_precision,
    precision_recall,
    recall_at,
)
from wimmel.detection.overview import overview
from wimmel.detection.pictures import annotated, finds_picture, heat_map
from wimmel.detection.reliability import Reliability, reliability, reliability_picture
from wimmel.detection.searching import Finder, find
from wimmel.detection.teeming import LEVELS, mosaic_scene, teeming_scene
from wimmel.detection.templates import Template

__all__ = [
    "COCO_OVERLAPS",
    "LEVELS",
    "AnnotationError",
    "Calibration",
    "Detector",
    "Finder",
    "Finds",
    "Piecewise",
    "PrecisionRecall",
    "Presence",
    "Problem",
    "Progress",
    "Reliability",
    "Report",
    "Scene",
    "SceneSet",
    "Settings",
    "Swept",
    "Template",
    "annotated",
    "areas",
    "as_boxes",
    "average_precision",
    "clip",
    "find",
    "finds_picture",
    "from_centre_size",
    "from_left_top_size",
    "heat_map",
    "iou",
    "match_template",
    "mosaic_scene",
    "non_maximum_suppression",
    "overview",
    "precision_recall",
    "read_annotations",
    "recall_at",
    "reliability",
    "reliability_picture",
    "teeming_scene",
    "to_centre_size",
    "to_left_top_size",
    "write_boxes",
]
