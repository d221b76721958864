"""Pictures and pages about a trained network: its confusion matrix, mistakes, predictions, course and feature maps.

matplotlib is imported when a picture is drawn, not before, and the caller's figures and settings stay as they are.
"""

from wimmel.report.confusion import confusion_matrix_picture
from wimmel.report.features import feature_maps_picture, feature_maps_pictures, layer_answers
from wimmel.report.history import history_picture
from wimmel.report.mistakes import mistakes_picture
from wimmel.report.predictions import predictions_picture

__all__ = [
    "confusion_matrix_picture",
    "feature_maps_picture",
    "feature_maps_pictures",
    "history_picture",
    "layer_answers",
    "mistakes_picture",
    "predictions_picture",
]
