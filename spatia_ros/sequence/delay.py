"""When the depth camera's clock runs behind: finding the delay, and putting depth where colour was taken.

A cheap RGB-D camera stamps its depth images tens of milliseconds after their exposure. Posed at the
stamp, every surface is then off by what the camera moved meanwhile. The delay shows wherever
two frames saw the same surface at different velocities: posed at the right time, they agree.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence as Indices
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from spatia_ros import geometry
from spatia_ros.kernels import njit
from spatia_ros.sequence.associate import poses_at
from spatia_ros.sequence.sequence import Sequence
from spatia_ros.types import Camera, Float32, Float64, Int64, SpatiaError, Trajectory, UInt8, check_array, check_pose

MAX_DELAY_S = 0.08
"""Delays are looked for up to this, either way."""
STEP_S = 0.01
FRAMES = 48
"""Frames looked at, at most, spread evenly over those allowed."""
PAIRS = 64
"""Pairs of frames compared, at most: those on which a delay acts most."""
OVERLAP_STRIDE = 16
"""Every so many samples tell whether two frames overlap."""
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

_log = logging.getLogger(__name__)


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
    delays_s = STEP_S * np.arange(-round(MAX_DELAY_S / STEP_S), round(MAX_DELAY_S / STEP_S) + 1, dtype=np.float64)
    delays_ns = np.round(delays_s * 1e9).astype(np.int64)
    chosen = _within(poses, sequence.stamps_ns, np.asarray(indices, np.int64), int(delays_ns[-1]))
    if len(chosen) > FRAMES:
        chosen = chosen[np.linspace(0, len(chosen) - 1, FRAMES).round().astype(int)]
    if len(chosen) < 2:
        return DelayEstimate(0.0, 0.0, 0.0, False)
    views = _views(sequence, chosen)
    T = np.stack([geometry.interpolate(poses, sequence.stamps_ns[chosen] - d) for d in delays_ns])
    pairs = _telling_pairs(views, T)
    if not pairs:
        return DelayEstimate(0.0, 0.0, 0.0, False)
    residuals = np.zeros(len(T))
    for d, at in enumerate(T):
        residuals[d] = np.mean([_residual(views[i], views[j], at[i], at[j]) for i, j in pairs])
    return _best(delays_s, residuals)


def with_depth_delay(sequence: Sequence, delay_s: float) -> Sequence:
    """The same recording with every depth image moved to where the camera was when its colour was taken.

    Depth exposed at ``stamp - delay_s`` is warped from the pose of that time to the frame's own pose,
    when the frame is asked for. Frames whose depth was exposed outside the recorded path are dropped
    and counted.

    Raises:
        SpatiaError: when the delay is not within -1..1 s, or no frame is left.
    """
    if not (np.isfinite(delay_s) and abs(delay_s) <= 1.0):
        raise SpatiaError(f"depth delay: expected -1..1 s, got {delay_s}")
    if delay_s == 0.0:
        return sequence
    poses = sequence.poses or sequence.trajectory()
    T_world_depth, tracked = poses_at(poses, sequence.stamps_ns - round(delay_s * 1e9))
    if not tracked.any():
        raise SpatiaError(f"sequence {sequence.name}: expected poses at the times of depth, got none with a delay of {delay_s} s")
    kept = np.flatnonzero(tracked)
    stamps_ns, T_world_cam = sequence.stamps_ns[kept], sequence.T_world_cam[kept]
    T_colour_depth = geometry.inverse(T_world_cam) @ T_world_depth
    original, camera = sequence.load, sequence.camera

    def load(index: int) -> tuple[UInt8, Float32]:
        rgb, depth = original(int(kept[index]))
        return rgb, warp_depth(depth, camera, T_colour_depth[index])

    dropped = dict(sequence.dropped) | {"depth outside the path": len(sequence) - len(kept)}
    return replace(sequence, stamps_ns=stamps_ns, T_world_cam=T_world_cam, load=load, dropped=dropped, poses=poses)


def without_depth_delay(sequence: Sequence) -> Sequence:
    """The same recording with its depth delay taken out, where it is clearly there."""
    found = estimate_depth_delay(sequence, range(len(sequence)))
    if not found.confident:
        return sequence
    _log.warning(
        "%s: depth was exposed %.0f ms before its colour (it fits the poses %.1f times better so): taken into account",
        sequence.name, found.delay_s * 1e3, found.residual_before / found.residual_after,
    )
    return with_depth_delay(sequence, found.delay_s)


def warp_depth(depth: Float32, camera: Camera, T_dst_src: Float64) -> Float32:
    """A depth image as seen from a pose nearby: the nearest surface wins, and what no pixel reaches is 0.

    Args:
        depth: float32 [H, W], metres, 0 = unknown. camera: intrinsics of both.
        T_dst_src: float64 [4, 4], from the axes of the given image to those of the result.

    Returns:
        float32 [H, W], metres.
    """
    check_array("warp_depth.depth", depth, (camera.height, camera.width), np.float32)
    check_pose("warp_depth.T_dst_src", T_dst_src)
    return _splat_depth(depth, np.array([camera.fx, camera.fy, camera.cx, camera.cy]), T_dst_src)


@njit(cache=True)
def _splat_depth(depth: np.ndarray, intrinsics: np.ndarray, T: np.ndarray) -> np.ndarray:
    h, w = depth.shape
    fx, fy, cx, cy = intrinsics
    out = np.zeros((h, w), np.float32)
    for i in range(h):
        for j in range(w):
            if depth[i, j] <= 0.0:
                continue
            d = np.float64(depth[i, j])
            x, y = (j + 0.5 - cx) / fx * d, (i + 0.5 - cy) / fy * d
            z = T[2, 0] * x + T[2, 1] * y + T[2, 2] * d + T[2, 3]
            if z <= 0.0:
                continue
            u = fx * (T[0, 0] * x + T[0, 1] * y + T[0, 2] * d + T[0, 3]) / z + cx
            v = fy * (T[1, 0] * x + T[1, 1] * y + T[1, 2] * d + T[1, 3]) / z + cy
            if not (-1.0 < u < w + 1.0 and -1.0 < v < h + 1.0):
                continue
            near = np.float32(z)
            # Pixels whose centre lies within the splat: one, or two where it straddles.
            for row in range(max(int(np.ceil(v - SPLAT_PX - 0.5)), 0), min(int(np.ceil(v + SPLAT_PX - 0.5)), h)):
                for col in range(max(int(np.ceil(u - SPLAT_PX - 0.5)), 0), min(int(np.ceil(u + SPLAT_PX - 0.5)), w)):
                    if out[row, col] == 0.0 or near < out[row, col]:
                        out[row, col] = near
    return out


def _within(poses: Trajectory, stamps_ns: Int64, indices: Int64, reach_ns: int) -> Int64:
    """Those frames that lie at least ``reach_ns`` inside the recorded path."""
    at = stamps_ns[indices]
    return indices[(at - reach_ns >= poses.stamps_ns[0]) & (at + reach_ns <= poses.stamps_ns[-1])]


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


@dataclass(frozen=True, slots=True)
class _View:
    """One depth image, to look into and to take samples from."""

    depth: Float32  # [H, W] metres, 0 = unknown
    points: Float64  # [N, 3], camera axes, of a grid of pixels with known depth
    camera: Camera


def _views(sequence: Sequence, indices: Int64) -> list[_View]:
    small = sequence.resized(WIDTH_PX, max(1, round(WIDTH_PX * sequence.camera.height / sequence.camera.width)))
    grid = np.zeros((small.camera.height, small.camera.width), bool)
    grid[STRIDE_PX // 2 :: STRIDE_PX, STRIDE_PX // 2 :: STRIDE_PX] = True
    depths = [small.load(int(i))[1] for i in indices]
    return [_View(d, geometry.backproject(np.where(grid, d, 0.0), small.camera, np.eye(4))[0], small.camera) for d in depths]


def _telling_pairs(views: list[_View], T: Float64) -> list[tuple[int, int]]:
    """The pairs of frames that see the same surfaces and whose relative pose a delay changes most.

    Args:
        T: float64 [delays, K, 4, 4], T_world_cam of each frame at each delay.
    """
    ranked = []
    for i, j in combinations(range(len(views)), 2):
        change = geometry.inverse(T[0, j]) @ T[0, i] - geometry.inverse(T[-1, j]) @ T[-1, i]
        reach_m = float(np.median(views[i].points[:, 2])) if len(views[i].points) else 0.0
        ranked.append((float(np.linalg.norm(change[:3, 3]) + reach_m * np.linalg.norm(change[:3, :3])), i, j))
    pairs: list[tuple[int, int]] = []
    middle = T[len(T) // 2]
    for _, i, j in sorted(ranked, reverse=True):
        few = views[i].points[::OVERLAP_STRIDE]
        if len(few) and len(_disagreement(few, views[j], middle[i], middle[j])) >= MIN_OVERLAP * len(few):
            pairs.append((i, j))
        if len(pairs) == PAIRS:
            break
    return pairs


def _residual(a: _View, b: _View, T_world_a: Float64, T_world_b: Float64) -> float:
    """Mean truncated relative disagreement of two views on the surfaces either sees."""
    both = np.concatenate([_disagreement(a.points, b, T_world_a, T_world_b), _disagreement(b.points, a, T_world_b, T_world_a)])
    return float(np.minimum(both, LARGEST_RESIDUAL).mean()) if len(both) else LARGEST_RESIDUAL


def _disagreement(points: Float64, other: _View, T_world_cam: Float64, T_world_other: Float64) -> Float64:
    """Relative depth disagreement [M] of camera-frame points [N, 3] where the other view measures a depth."""
    camera = other.camera
    pixels, z = geometry.project(points, camera, geometry.inverse(T_world_cam) @ T_world_other)
    inside = (z > 0) & (pixels >= 0).all(1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    u, v = pixels[inside].astype(np.int64).T
    measured = other.depth[v, u]
    known = measured > 0
    return np.abs(z[inside][known] / measured[known] - 1.0)
