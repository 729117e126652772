"""Guesses of where an image was taken, from the keyframes it may show; registration decides which of them hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from spatia_ros import geometry
from spatia_ros.slam import features
from spatia_ros.slam.odometry import exp
from spatia_ros.slam.tracked_image import TrackedImage, TrackingKeyframe
from spatia_ros.types import Float64

TURNS_RAD = (-0.3, -0.15, 0.0, 0.15, 0.3)
"""Turns tried where features fail too: about the camera's x and y axes."""


def by_features(image: TrackedImage, keyframes: Sequence[TrackingKeyframe], min_matches: int) -> Iterator[Float64]:
    """``T_world_cam`` by every keyframe whose features agree with the image's on one motion."""
    for keyframe in keyframes:
        alignment = features.align(keyframe.image.features(), image.features(), min_inliers=min_matches)
        if alignment is not None:
            yield keyframe.T_world_cam @ alignment.T_a_b


def alike(image: TrackedImage, keyframes: Sequence[TrackingKeyframe], count: int) -> list[TrackingKeyframe]:
    """The keyframes whose thumbnails resemble the image's most, best first."""
    return sorted(keyframes, key=lambda k: -float((k.image.thumbnail * image.thumbnail).sum()))[:count]


def turned(T_world_cam: Float64) -> list[Float64]:
    """The pose, and turned up, down and to the sides."""
    return [T_world_cam @ exp(np.array([0.0, 0.0, 0.0, x, y, 0.0])) for x in TURNS_RAD for y in TURNS_RAD]


def plausible(T_from: Float64, T_to: Float64, dt_s: float, max_speed_m_s: float, max_turn_rad_s: float) -> bool:
    """Whether a camera can have moved so in ``dt_s``."""
    step = geometry.inverse(T_from) @ T_to
    turn_rad = np.radians(geometry.rotation_error_deg(np.eye(3), step[:3, :3]))
    return bool(np.linalg.norm(step[:3, 3]) <= max_speed_m_s * dt_s and turn_rad <= max_turn_rad_s * dt_s)
