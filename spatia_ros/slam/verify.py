"""Which generated pixels may enter memory.

Three questions, pixel by pixel: does the generated depth agree with remembered depth nearby; is
the generator sure of it; and does the point stay out of space that a sensor saw to be empty?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spatia_ros import geometry
from spatia_ros.config import VerifyConfig
from spatia_ros.generator import Generated
from spatia_ros.memory import Keyframe
from spatia_ros.types import Bool, Camera, Float32, Float64, View

NEIGHBOURHOOD = 1.0 / 8.0
"""Side of the window, in image widths, over which agreement with remembered depth is judged."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What of a frame is new, and what of that may enter memory.

    Args:
        accepted: bool [H, W], new pixels fit to be integrated.
        counts: pixels by reason: new, accepted, disagreeing, unsure, too_far, in_seen_space.
    """

    accepted: Bool
    counts: dict[str, int]


def local_disagreement(generated: Float32, view: View) -> Float32:
    """Mean relative difference of generated and remembered depth around each pixel (0 where none is near)."""
    covered = view.coverage.astype(np.float32)
    error = np.where(view.coverage, np.abs(generated - view.depth) / np.maximum(view.depth, 1e-3), 0.0).astype(np.float32)
    side = max(3, int(generated.shape[1] * NEIGHBOURHOOD) | 1)
    total, weight = (cv2.boxFilter(image, -1, (side, side), normalize=False) for image in (error, covered))
    return np.where(weight > 0.5, total / np.maximum(weight, 0.5), 0.0).astype(np.float32)


def in_seen_space(points: Float64, keyframes: Sequence[Keyframe], margin_ratio: float) -> Bool:
    """Which world points [N, 3] lie in space that a sensor saw to be empty (up to what an edit put there since)."""
    seen = np.zeros(len(points), bool)
    for keyframe in keyframes:
        pixels, z = geometry.project(points, keyframe.camera, keyframe.T_world_cam)
        inside = (z > 0) & (pixels >= 0).all(1) & (pixels[:, 0] < keyframe.camera.width) & (pixels[:, 1] < keyframe.camera.height)
        u, v = pixels[inside].astype(np.int64).T
        measured = keyframe.empty_m[v, u]
        seen[inside] |= keyframe.sensed[v, u] & (measured > 0) & (z[inside] < measured * (1.0 - margin_ratio))
    return seen


def verify(
    generated: Generated, view: View, camera: Camera, T_world_cam: Float64, keyframes: Sequence[Keyframe], config: VerifyConfig
) -> Verdict:
    """Judge the pixels of a generated frame that memory did not show."""
    new = ~view.coverage
    disagreeing = new & (local_disagreement(generated.depth, view) > config.depth_ratio)
    unsure = new & (generated.depth_spread > config.max_spread)
    too_far = new & (generated.depth > config.max_range_m)
    accepted = new & ~(disagreeing | unsure | too_far)
    points, asked = geometry.backproject(np.where(accepted, generated.depth, 0.0), camera, T_world_cam)
    intruding = np.zeros_like(new)
    intruding[asked] = in_seen_space(points, keyframes, config.free_space_margin_ratio)
    accepted &= ~intruding
    reasons = {
        "new": new, "accepted": accepted, "disagreeing": disagreeing, "unsure": unsure,
        "too_far": too_far, "in_seen_space": intruding,
    }
    return Verdict(accepted, {name: int(mask.sum()) for name, mask in reasons.items()})
