"""The units of a clip: what its colours, depths and times, and those of its context, are relative to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatia_ros.generator.image import ViewImage, check_finite
from spatia_ros.types import Bool, Float32, Float64, SpatiaError, UInt8, check_array, check_pose

FRAME_CHANNELS = 5
"""What the encoder sees of a frame: colour 3, log-depth 1, depth known (or covered) 1."""
ANCHOR_MIN_SCALE = 0.1
"""Smallest colour spread an anchor normalises by: no colour is then farther than 10 from its mean."""
TIME_LIMIT_S = 10.0
"""Times farther from the anchor's are told as this far: older is just old."""
NO_CLOCK = -1e4
"""Animation time of a frame that has none."""
MIN_DEPTH_M = 1e-3


@dataclass(frozen=True, slots=True)
class Anchor:
    """What colours, depths, rays and times of a clip and its context are relative to.

    Args:
        T_world_anchor: float64 [4, 4].
        colour_mean: float32 [3], colour_scale: at least ANCHOR_MIN_SCALE, of colours in 0..1.
        log_depth_mean: of depth in metres; its exponential is the unit of length of the rays.
        time_s, animation_s: where the clip's two clocks are counted from.
    """

    T_world_anchor: Float64
    colour_mean: Float32
    colour_scale: float
    log_depth_mean: float
    time_s: float = 0.0
    animation_s: float = 0.0

    def __post_init__(self) -> None:
        check_pose("anchor.T_world_anchor", self.T_world_anchor)
        check_array("anchor.colour_mean", self.colour_mean, (3,), np.float32)
        numbers = (*self.colour_mean, self.colour_scale, self.log_depth_mean, self.time_s, self.animation_s)
        if not np.isfinite(numbers).all() or self.colour_scale < ANCHOR_MIN_SCALE:
            raise SpatiaError(f"anchor: expected finite numbers and a colour scale of {ANCHOR_MIN_SCALE} or more, got {numbers}")

    @classmethod
    def of(cls, image: ViewImage, T_world_cam: Float64, time_s: float = 0.0, animation_s: float = 0.0) -> Anchor:
        """The anchor that a view is: its pose, its colours, its depth, its times."""
        scale = max(image.colour_scale, ANCHOR_MIN_SCALE)
        return cls(T_world_cam, image.colour_mean, scale, image.log_depth_mean, time_s, animation_s)

    @property
    def scale_m(self) -> float:
        """The unit of length of rays: how far the anchor's view is, metres."""
        return float(np.exp(self.log_depth_mean))


def frame_in(anchor: Anchor, rgb: UInt8, depth: Float32, hidden: Bool | None = None) -> Float32:
    """A frame as the encoder sees it, float32 [5, H, W] in the anchor's units.

    Args:
        rgb: uint8 [H, W, 3]. depth: float32 [H, W], metres, 0 = unknown (its log-depth is then 0).
        hidden: bool [H, W], pixels whose colour and depth are not told: the anchor's mean, depth unknown.
    """
    check_array("rgb", rgb, (*depth.shape, 3), np.uint8)
    known = depth > 0 if hidden is None else (depth > 0) & ~hidden
    out = np.empty((FRAME_CHANNELS, *depth.shape), np.float32)
    out[:3] = ((rgb.astype(np.float32) / 255.0 - anchor.colour_mean) / np.float32(anchor.colour_scale)).transpose(2, 0, 1)
    if hidden is not None:
        out[:3, hidden] = 0.0
    out[3] = np.where(known, np.log(np.maximum(depth, MIN_DEPTH_M)) - np.float32(anchor.log_depth_mean), 0.0)
    out[4] = known
    check_finite("a frame in the anchor's units", out)
    return out


def memory_in(anchor: Anchor, image: ViewImage) -> Float32:
    """What memory shows, as the encoder sees it: the filled image [5, H, W] in the anchor's units, its coverage last."""
    ratio = np.float32(image.colour_scale / anchor.colour_scale)
    offset = (image.colour_mean - anchor.colour_mean) / np.float32(anchor.colour_scale)
    out = image.image[:FRAME_CHANNELS].copy()
    out[:3] = out[:3] * ratio + offset[:, None, None]
    out[3] += np.float32(image.log_depth_mean - anchor.log_depth_mean)
    return out


def to_view(anchor: Anchor, image: ViewImage) -> Float32:
    """From the anchor's units to a view's, float32 [5]: colour scale, colour offset 3, log-depth offset.

    A view's colour is scale * anchor's + offset, its log-depth the anchor's + offset.
    """
    offset = (anchor.colour_mean - image.colour_mean) / np.float32(image.colour_scale)
    return np.array(
        [anchor.colour_scale / image.colour_scale, *offset, anchor.log_depth_mean - image.log_depth_mean], np.float32
    )


def since(anchor_s: float, times_s: Float64) -> Float32:
    """Seconds since the anchor, float32, cut at TIME_LIMIT_S either way."""
    check_finite("times", np.asarray(times_s))
    return (np.asarray(times_s, np.float64) - anchor_s).clip(-TIME_LIMIT_S, TIME_LIMIT_S).astype(np.float32)
