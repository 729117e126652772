"""Scene distance (SD): how far from where a picture shows a colour the scene has it.

The papers report a figure of this name whose definition we did not find; this one is ours, and theirs does
not compare with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spatia_ros.geometry import pixel_rays
from spatia_ros.kernels import njit
from spatia_ros.types import Bool, Float32, Frame, UInt8, check_array

Int16 = npt.NDArray[np.int16]
STRIDE = 8
"""One in so many pixels a side is looked at."""
TOLERANCE = 25
"""Levels, in each channel, within which a colour is the same."""
MIN_POINTS = 16
DEFINITION = (
    "the picture's colours are laid on the true surface its pixels show; SD is the mean of two means: over its pixels, the "
    "distance to the nearest point of the true scene (all context frames and the true frame) of the same colour; and over the "
    f"true frame's pixels, that to the nearest of the picture's points. Same colour: within {TOLERANCE} of 255 levels in every "
    "channel. In units of the true frame's median depth, at most 1; 1 where the colour is nowhere; 0 for the true frame"
)
"""In one sentence, for figures."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Coloured points: xyz float32 [N, 3], metres, in the world; rgb int16 [N, 3]."""

    xyz: Float32
    rgb: Int16

    @classmethod
    def of(cls, frames: Sequence[Frame]) -> Scene:
        """The surfaces that measured frames show, one pixel in STRIDE a side."""
        parts = [lifted(frame) for frame in frames]
        colours = [sampled(frame.rgb)[there] for frame, (_, there) in zip(frames, parts, strict=True)]
        return cls(np.concatenate([xyz[there] for xyz, there in parts]), np.concatenate(colours))


def sampled(rgb: UInt8) -> Int16:
    """The colours looked at, int16 [n, m, 3]."""
    return rgb[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE].astype(np.int16)


def lifted(frame: Frame) -> tuple[Float32, Bool]:
    """World points float32 [n, m, 3] of the pixels looked at, and where depth is known."""
    depth = frame.depth[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    rays = pixel_rays(frame.camera)[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    xyz = (rays * depth[..., None]) @ frame.T_world_cam[:3, :3].T + frame.T_world_cam[:3, 3]
    return xyz.astype(np.float32), depth > 0


def scene_distance(rgb: UInt8, truth: Frame, scene: Scene) -> float:
    """The scene distance of a picture uint8 [H, W, 3] drawn at a true frame's camera (see :data:`DEFINITION`).

    NaN where the true frame has next to no depth.
    """
    check_array("scene distance: rgb", rgb, truth.rgb.shape, np.uint8)
    xyz, there = lifted(truth)
    if there.sum() < MIN_POINTS:
        return float("nan")
    unit_m = float(np.median(truth.depth[truth.depth > 0]))
    picture, real = Scene(xyz[there], sampled(rgb)[there]), Scene(xyz[there], sampled(truth.rgb)[there])
    return 0.5 * (_mean_way(picture, scene, unit_m) + _mean_way(real, picture, unit_m))


def _mean_way(from_: Scene, to: Scene, unit_m: float) -> float:
    """Mean distance from each point to the nearest of the same colour, in units, at most 1."""
    nearest = nearest_alike(from_.xyz, from_.rgb, to.xyz, to.rgb, TOLERANCE)
    return float(np.minimum(nearest / unit_m, 1.0).mean())


@njit(cache=True)
def nearest_alike(xyz: Float32, rgb: Int16, others: Float32, their_rgb: Int16, tolerance: int) -> Float32:
    """Distance [N] from each point [N, 3] to the nearest other [M, 3] whose colour is within the tolerance; infinite for none."""
    nearest = np.full(len(xyz), np.inf, np.float32)
    for i in range(len(xyz)):
        best = np.float32(np.inf)
        for j in range(len(others)):
            squared = np.float32(0.0)
            for k in range(3):
                squared += (xyz[i, k] - others[j, k]) ** 2
            if squared < best:
                alike = True
                for k in range(3):
                    alike &= abs(rgb[i, k] - their_rgb[j, k]) <= tolerance
                if alike:
                    best = squared
        nearest[i] = np.sqrt(best)
    return nearest


def nearest_alike_truth(xyz: Float32, rgb: Int16, others: Float32, their_rgb: Int16, tolerance: int) -> Float32:
    """What :func:`nearest_alike` computes, at once and in far more memory."""
    distance = np.linalg.norm(xyz[:, None] - others[None], axis=-1)
    alike = (abs(rgb[:, None] - their_rgb[None]) <= tolerance).all(-1)
    return np.where(alike, distance, np.inf).min(1).astype(np.float32)
