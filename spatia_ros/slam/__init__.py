"""Measuring what the camera really sees: for now, the check of generated geometry against memory."""

from spatia_ros.slam.verify import Verdict, verify

__all__ = ["Verdict", "verify"]
