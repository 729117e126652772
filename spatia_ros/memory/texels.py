"""A keyframe as its picture is sampled: colour and what is known of each pixel in one word."""

from __future__ import annotations

import cv2
import numpy as np

from spatia_ros.types import Bool, Float32, UInt8, UInt32

MEASURED, RIM = np.uint32(1 << 24), np.uint32(1 << 25)
"""Set where a sensor saw the pixel; where its colour, read between pixels, may be another surface's."""
STEP_RATIO = 0.06
"""A larger step of depth between neighbours, relative to the nearer one's, parts two surfaces: colours are mixed there."""


def texels(rgb: UInt8, depth: Float32, sensed: Bool) -> UInt32:
    """uint32 [H, W]: red, green and blue from the lowest byte up, and flags above.

    Args:
        rgb: uint8 [H, W, 3]. depth: float32 [H, W], metres, 0 = unknown. sensed: bool [H, W].
    """
    parts = np.empty((*depth.shape, 4), np.uint8)
    parts[..., :3] = rgb
    parts[..., 3] = sensed * np.uint8(MEASURED >> 24) + beside_steps(depth) * np.uint8(RIM >> 24)
    return parts.view("<u4")[..., 0]


def beside_steps(depth: Float32) -> Bool:
    """Pixels at a step of depth [H, W] (metres, 0 = unknown: no step), and the pixels around those: bool [H, W]."""
    at_step = np.zeros(depth.shape, np.uint8)
    for a, b in (((slice(None), slice(1, None)), (slice(None), slice(-1))), ((slice(1, None),), (slice(-1),))):
        nearer = np.minimum(depth[a], depth[b])
        step = (nearer > 0) & (np.abs(depth[a] - depth[b]) > np.float32(STEP_RATIO) * nearer)
        at_step[a] |= step
        at_step[b] |= step
    return cv2.dilate(at_step, np.ones((3, 3), np.uint8)).astype(bool)
