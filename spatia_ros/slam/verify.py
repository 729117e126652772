"""Which generated pixels may enter memory, and how far the whole frame has slipped from it.

Four questions, pixel by pixel: does generated depth agree with remembered depth nearby, and generated colour with
remembered colour; is the generator sure of the depth; does the point stay out of space that a sensor saw to be empty?
And one of the frame: registered to what memory shows at the commanded pose, does it sit where it was commanded to be?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spatia_ros import geometry
from spatia_ros.config import TrackingConfig, VerifyConfig
from spatia_ros.generator import Generated
from spatia_ros.memory import Keyframe
from spatia_ros.slam.odometry import register
from spatia_ros.slam.pyramid import build_pyramid
from spatia_ros.types import Bool, Camera, Float32, Float64, UInt8, View

NEIGHBOURHOOD = 1.0 / 8.0
"""Side of the window, in image widths, over which agreement with memory is judged."""
REASONS = ("remembered", "accepted", "disagreeing", "discoloured", "unsure", "too_far", "in_seen_space")
"""What becomes of a pixel; its number in a verdict's image is its place here."""
DRIFT_SCALE = 4
"""Drift is measured at one over this many of the frame's size."""
DRIFT_STEPS = 3
"""Steps of the registration: from the commanded pose it is not far."""
MIN_SHOWN = 0.1
"""Share of the frame that memory must show for its drift to be measured."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What of a frame is new, and what of that may enter memory.

    Args:
        accepted: bool [H, W], new pixels fit to be integrated.
        reasons: uint8 [H, W], what became of each pixel: its place in REASONS (the first reason that applies).
        counts: pixels by reason (one may be refused for several): new, accepted, and those of REASONS that refuse.
    """

    accepted: Bool
    reasons: UInt8
    counts: dict[str, int]


class Nearby:
    """Means over what a view shows around each pixel; what it shows is summed up once for all of them."""

    def __init__(self, view: View) -> None:
        self._view, side = view, max(3, int(view.depth.shape[1] * NEIGHBOURHOOD) | 1)
        self._side = side, side
        self._weight = cv2.boxFilter(view.coverage.astype(np.float32), -1, self._side, normalize=False)

    def disagreement(self, generated: Float32) -> Float32:
        """Mean relative difference of generated and remembered depth around each pixel (0 where none is near)."""
        return self._mean(np.abs(generated - self._view.depth) / np.maximum(self._view.depth, np.float32(1e-3)))

    def discolouring(self, generated: UInt8) -> Float32:
        """Mean difference (0..1) of generated and remembered colour around each pixel (0 where none is near)."""
        red, green, blue = cv2.split(cv2.absdiff(generated, self._view.rgb))
        return self._mean(cv2.max(cv2.max(red, green), blue) * np.float32(1.0 / 255.0))

    def _mean(self, error: Float32) -> Float32:
        known = np.where(self._view.coverage, error, np.float32(0.0))
        total = cv2.boxFilter(known, -1, self._side, normalize=False)
        return np.where(self._weight > 0.5, total / np.maximum(self._weight, np.float32(0.5)), np.float32(0.0))


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
    new, nearby = ~view.coverage, Nearby(view)
    refused = {
        "disagreeing": new & (nearby.disagreement(generated.depth) > config.depth_ratio),
        "discoloured": new & (nearby.discolouring(generated.rgb) > config.colour_error),
        "unsure": new & (generated.depth_spread > config.max_spread),
        "too_far": new & (generated.depth > config.max_range_m),
    }
    accepted = new & ~np.any(list(refused.values()), axis=0)
    points, asked = geometry.backproject(np.where(accepted, generated.depth, 0.0), camera, T_world_cam)
    refused["in_seen_space"] = np.zeros_like(new)
    refused["in_seen_space"][asked] = in_seen_space(points, keyframes, config.free_space_margin_ratio)
    accepted &= ~refused["in_seen_space"]
    reasons = accepted.astype(np.uint8) * REASONS.index("accepted")
    for name in reversed(REASONS[2:]):
        reasons[refused[name]] = REASONS.index(name)
    counts = {"new": int(new.sum()), "accepted": int(accepted.sum())}
    return Verdict(accepted, reasons, counts | {name: int(mask.sum()) for name, mask in refused.items()})


def drift_of(generated: Generated, view: View, camera: Camera, config: TrackingConfig) -> dict[str, float]:
    """How far a generated frame lies from where memory says its pose is: ``drift_m`` and ``drift_deg``.

    The frame, colour and depth as generated, is registered to what memory shows at the commanded pose, over the pixels
    that memory shows, at a quarter of the size. Empty where memory shows too little to say.
    """
    if view.coverage.mean() < MIN_SHOWN:
        return {}
    small = camera.resized(max(1, camera.width // DRIFT_SCALE), max(1, camera.height // DRIFT_SCALE))
    size = (small.width, small.height)
    # Samples, not means: averaged depth lies between surfaces. Colour is averaged, or noise would alias.
    shown, told = (cv2.resize(d, size, interpolation=cv2.INTER_NEAREST) for d in (view.depth, generated.depth))
    colours = (cv2.resize(c, size, interpolation=cv2.INTER_AREA) for c in (view.rgb, generated.rgb))
    target, source = (
        build_pyramid(np.asarray(rgb, np.uint8), np.asarray(depth, np.float32), small, levels=1)
        for rgb, depth in zip(colours, (shown, np.where(shown > 0, told, 0.0)), strict=True)
    )
    found = register(source, target, np.eye(4), config.model_copy(update={"iterations": (DRIFT_STEPS,)}))
    T = found.T_target_source
    return {"drift_m": float(np.linalg.norm(T[:3, 3])), "drift_deg": geometry.rotation_error_deg(np.eye(3), T[:3, :3])}
