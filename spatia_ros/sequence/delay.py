"""When the depth camera's clock runs behind: finding the delay, and putting depth where colour was taken.

A cheap RGB-D camera stamps its depth images tens of milliseconds after their exposure. Posed at the
stamp, every surface is then off by what the camera moved meanwhile. The delay shows wherever
two frames saw the same surface at different velocities: posed at the right time, they agree.
"""

from __future__ import annotations

from collections.abc import Sequence as Indices
from dataclasses import dataclass, replace

import numba
import numpy as np

from spatia_ros import geometry
from spatia_ros.sequence.sequence import Sequence
from spatia_ros.types import Camera, Float32, Float64, Int64, SpatiaError, Trajectory, UInt8, check_array, check_pose

MAX_DELAY_S = 0.08
"""Delays are looked for up to this, either way."""
STEP_S = 0.01
FRAMES = 48
"""Frames looked at, at most, spread evenly over those allowed."""
PAIRS = 64
"""Pairs of frames compared, at most: those on which a delay acts most."""
MIN_OVERLAP = 0.5
"""Share of a frame's samples that another must see, for the two to be compared."""
WIDTH_PX = 320
"""Depth images are compared at this width,"""
STRIDE_PX = 4
"""and every so many pixels of them."""
LARGEST_RESIDUAL = 0.1
"""Relative disagreements count this much at most: beyond it is another surface, not another time."""
CONFIDENT_FALL = 0.85
"""The residual must fall to this share of what it is without a delay."""
SPLAT_PX = 0.55
"""Half-width of a warped pixel: hides cracks of up to a tenth of a pixel's spacing."""


@dataclass(frozen=True, slots=True)
class DelayEstimate:
    """How long before their stamp the depth images were exposed.

    Args:
        delay_s: pose of depth = pose of the camera at ``stamp - delay``; 0 when nothing was found.
        residual_before: mean truncated relative disagreement of depth between frames, no delay.
        residual_after: the same at ``delay_s``.
        confident: whether the residual fell clearly, so that the delay is worth applying.
    """

    delay_s: float
    residual_before: float
    residual_after: float
    confident: bool


def estimate_depth_delay(sequence: Sequence, indices: Indices[int]) -> DelayEstimate:
    """The delay of the depth images that makes frames agree best on what they see.

    Delays of -80..80 ms are tried every 10 ms, and the best is refined by a parabola. Only the frames
    ``indices`` are read (evaluations leave theirs out).

    Raises:
        SpatiaError: when an index is out of range or an image is malformed.
    """
    poses = sequence.poses or sequence.trajectory()
    delays_ns = np.round(np.arange(-MAX_DELAY_S, MAX_DELAY_S + STEP_S / 2, STEP_S) * 1e9).astype(np.int64)
    stamps_ns = sequence.stamps_ns[np.asarray(indices, np.int64)]
    usable = (stamps_ns - delays_ns[-1] >= poses.stamps_ns[0]) & (stamps_ns - delays_ns[0] <= poses.stamps_ns[-1])
    chosen = np.asarray(indices, np.int64)[usable]
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, FRAMES).round().astype(int))] if len(chosen) > FRAMES else chosen
    if len(chosen) < 2:
        return DelayEstimate(0.0, 0.0, 0.0, False)
    small = sequence.resized(WIDTH_PX, max(1, round(WIDTH_PX * sequence.camera.height / sequence.camera.width)))
    depths = [small.load(int(i))[1] for i in chosen]
    T = np.stack([geometry.interpolate(poses, sequence.stamps_ns[chosen] - d) for d in delays_ns])
    pairs = _telling_pairs(depths, small.camera, T)
    if not pairs:
        return DelayEstimate(0.0, 0.0, 0.0, False)
    residuals = [np.mean([_residual(depths, small.camera, at, i, j) for i, j in pairs]) for at in T]
    return _best(delays_ns * 1e-9, np.array(residuals))


def _best(delays_s: Float64, residuals: Float64) -> DelayEstimate:
    """The lowest point of the residual over the delays, refined by a parabola through its neighbours."""
    low = int(np.argmin(residuals))
    before = float(residuals[np.argmin(np.abs(delays_s))])
    if low in (0, len(residuals) - 1):
        return DelayEstimate(0.0, before, before, False)
    left, middle, right = residuals[low - 1 : low + 2]
    bend = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / bend if bend > 0 else 0.0
    after = float(middle - 0.25 * (left - right) * shift)
    delay_s = float(delays_s[low] + shift * (delays_s[1] - delays_s[0]))
    return DelayEstimate(delay_s, before, after, after < CONFIDENT_FALL * before)


def _telling_pairs(depths: list[Float32], camera: Camera, T: Float64) -> list[tuple[int, int]]:
    """The pairs of frames that see the same surfaces and whose relative pose a delay changes most.

    Args:
        T: float64 [delays, K, 4, 4], T_world_cam of each frame at each delay.
    """
    middle, ranked = len(T) // 2, []
    for i in range(len(depths)):
        for j in range(len(depths)):
            if i == j:
                continue
            first, last = geometry.inverse(T[0, j]) @ T[0, i], geometry.inverse(T[-1, j]) @ T[-1, i]
            reach = float(np.median(depths[i][depths[i] > 0])) if depths[i].any() else 0.0
            change = np.linalg.norm((first - last)[:3, 3]) + reach * np.linalg.norm((first - last)[:3, :3])
            ranked.append((float(change), i, j))
    pairs = []
    for _, i, j in sorted(ranked, reverse=True):
        shown, points = _compare(depths, camera, T[middle], i, j, 4 * STRIDE_PX)
        if len(points) and len(shown) >= MIN_OVERLAP * len(points):
            pairs.append((i, j))
        if len(pairs) == PAIRS:
            break
    return pairs


def _residual(depths: list[Float32], camera: Camera, T_world_cam: Float64, i: int, j: int) -> float:
    """Mean truncated relative disagreement of frame i's surfaces with frame j's depth."""
    relative, _ = _compare(depths, camera, T_world_cam, i, j, STRIDE_PX)
    return float(np.minimum(relative, LARGEST_RESIDUAL).mean()) if len(relative) else LARGEST_RESIDUAL


def _compare(
    depths: list[Float32], camera: Camera, T_world_cam: Float64, i: int, j: int, stride_px: int
) -> tuple[Float64, Float64]:
    """Relative depth disagreement [M] where frame j measures samples of frame i, and those samples [N, 3]."""
    sparse = np.zeros_like(depths[i])
    sparse[::stride_px, ::stride_px] = depths[i][::stride_px, ::stride_px]
    points, _ = geometry.backproject(sparse, camera, T_world_cam[i])
    pixels, z = geometry.project(points, camera, T_world_cam[j])
    inside = (z > 0) & (pixels >= 0).all(1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    u, v = pixels[inside].astype(np.int64).T
    measured = depths[j][v, u]
    known = measured > 0
    return np.abs(z[inside][known] / measured[known] - 1.0), points
