"""Finding the camera, and holding what is generated against what is remembered."""

from spatia_ros.slam.verify import REASONS, Verdict, drift_of, verify

__all__ = ["REASONS", "Verdict", "drift_of", "verify"]
