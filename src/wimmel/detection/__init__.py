"""Finding things in pictures: boxes, how good finds are."""

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
from wimmel.detection.finds import Finds, Scene
from wimmel.detection.metrics import (
    COCO_OVERLAPS,
    PrecisionRecall,
    average_precision,
    precision_recall,
    recall_at,
)

__all__ = [
    "COCO_OVERLAPS",
    "Finds",
    "PrecisionRecall",
    "Scene",
    "areas",
    "as_boxes",
    "average_precision",
    "clip",
    "from_centre_size",
    "from_left_top_size",
    "iou",
    "non_maximum_suppression",
    "precision_recall",
    "recall_at",
    "to_centre_size",
    "to_left_top_size",
]
