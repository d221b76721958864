"""The detector that learns: settings, network, pyramid, sweep, windows to learn from, teaching, and calibration,
a file for each."""

from wimmel.detection.learned.calibration import Calibration, Presence
from wimmel.detection.learned.detector import Detector
from wimmel.detection.learned.settings import Settings
from wimmel.detection.learned.sweep import Swept
from wimmel.detection.learned.teaching import Progress, Report
from wimmel.files import Piecewise

__all__ = ["Calibration", "Detector", "Piecewise", "Presence", "Progress", "Report", "Settings", "Swept"]
