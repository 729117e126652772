"""Camera paths: along a recording, around what is in front, out past the edge of the seen and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation, Slerp

from spatia_ros.geometry import pose, up_of
from spatia_ros.types import Float64, SpatiaError, Trajectory

Outlook = Callable[[Float64], tuple[float, float]]
"""``T_world_cam`` -> share of the picture that memory shows, 0..1, and the distance in metres of what is near in it."""

METRES_PER_TURN = 1.5
"""Turning by a radian takes as long as moving this far."""

EDGE, ASIDE = 0.7, 0.5
"""Remembered shares of the picture: where a flight turns round, and to where it looks aside before it does."""

PIVOT_M = 0.8
"""A look aside swings around the point this far ahead, so that near things shift against far ones."""
CLEARANCE_M = 0.35
_ANGLES_DEG = (15, 20, 25, 30, 35, 40, 45)


def timed(T_world_cam: Float64, rate_hz: float, start_ns: int = 0) -> Trajectory:
    """Poses [N, 4, 4] at a fixed rate, the first one frame period after ``start_ns``."""
    stamps = start_ns + np.round(np.arange(1, len(T_world_cam) + 1) * 1e9 / rate_hz).astype(np.int64)
    return Trajectory(stamps, T_world_cam)


def smoothed(T_world_cam: Float64, frames: float = 2.0) -> Float64:
    """A hand-held path without its jitter: Gaussian over ``frames``, both ends kept where they are."""
    if len(T_world_cam) < 3:
        return T_world_cam
    quat = Rotation.from_matrix(T_world_cam[:, :3, :3]).as_quat()
    for i in range(1, len(quat)):
        if quat[i] @ quat[i - 1] < 0:
            quat[i] = -quat[i]
    both = np.concatenate([T_world_cam[:, :3, 3], quat], 1)
    margin = len(both) - 1
    wide = np.pad(both, ((margin, margin), (0, 0)), mode="reflect", reflect_type="odd")
    calm = gaussian_filter1d(wide, frames, axis=0)[margin:-margin]
    out = np.tile(np.eye(4), (len(calm), 1, 1))
    out[:, :3, :3] = Rotation.from_quat(calm[:, 3:]).as_matrix()
    out[:, :3, 3] = calm[:, :3]
    out[0], out[-1] = T_world_cam[0], T_world_cam[-1]
    return out


def resampled(waypoints: Float64, n: int) -> Float64:
    """``n`` poses along waypoints [K, 4, 4] at even pace, starting and stopping gently; ends are exact."""
    step = np.linalg.norm(np.diff(waypoints[:, :3, 3], axis=0), axis=1)
    turn = Rotation.from_matrix(np.swapaxes(waypoints[:-1, :3, :3], 1, 2) @ waypoints[1:, :3, :3]).magnitude()
    effort = np.concatenate([[0.0], np.cumsum(np.maximum(step + METRES_PER_TURN * turn, 1e-6))])
    s = _eased(np.linspace(0.0, 1.0, n, dtype=np.float64)) * effort[-1]
    out = np.tile(np.eye(4), (n, 1, 1))
    out[:, :3, :3] = Slerp(effort, Rotation.from_matrix(waypoints[:, :3, :3]))(s).as_matrix()
    out[:, :3, 3] = np.stack([np.interp(s, effort, waypoints[:, k, 3]) for k in range(3)], -1)
    out[0], out[-1] = waypoints[0], waypoints[-1]
    return out


def _eased(t: Float64, ramp: float = 0.15) -> Float64:
    """Time 0..1 to way 0..1: constant speed between two ramps."""
    top = 1.0 / (1.0 - ramp)
    way = np.where(t < ramp, top * t * t / (2 * ramp), top * (t - ramp / 2))
    return np.where(t > 1 - ramp, 1 - top * (1 - t) ** 2 / (2 * ramp), way)


def swung(T_world_cam: Float64, up: Float64, pivot_m: float, angle_rad: float) -> Float64:
    """The pose turned about the vertical through the point ``pivot_m`` ahead; positive looks to the left."""
    R = Rotation.from_rotvec(angle_rad * np.asarray(up)).as_matrix()
    centre = T_world_cam[:3, 3] + pivot_m * T_world_cam[:3, 2]
    return pose(R @ T_world_cam[:3, :3], centre + R @ (T_world_cam[:3, 3] - centre))


def out_and_back(recorded: Float64, seeded: int, outlook: Outlook, n: int) -> Float64:
    """Along the recorded way, past the edge of what memory knows, a look to the side, and home.

    The way out follows the first ``seeded`` recorded poses and goes on until memory shows less
    than :data:`EDGE` of the picture; there the camera swings towards the unseen, and it returns the
    way it came. First and last pose are equal.

    Args:
        recorded: float64 [K, 4, 4]. seeded: how many of them memory was made from.
        outlook: what memory shows at a pose, for the choice of where to turn.
        n: poses of the whole flight.
    """
    if n < 8:
        raise SpatiaError(f"out-and-back: expected at least 8 poses, got {n}")
    way = smoothed(recorded)
    turning = next((i for i in range(min(seeded, len(way)), len(way)) if outlook(way[i])[0] < EDGE), len(way) - 1)
    far = way[turning]
    aside = _look_aside(far, up_of(recorded), outlook)
    pause = n // 5
    out = resampled(way[: turning + 1], (n - 2 * pause) // 2) if turning else np.repeat(far[None], (n - 2 * pause) // 2, 0)
    look = resampled(np.stack([far, aside]), pause)
    there = np.concatenate([out, look])
    hold = np.repeat(there[-1:], n - 2 * len(there), 0)
    return np.concatenate([there, hold, there[::-1]])


def _look_aside(T_world_cam: Float64, up: Float64, outlook: Outlook) -> Float64:
    """The swing, left or right, at which memory shows the share nearest to :data:`ASIDE` and nothing is in the way."""

    def fault(T: Float64) -> float:
        share, near_m = outlook(T)
        return abs(share - ASIDE) + (near_m < CLEARANCE_M)

    return min((swung(T_world_cam, up, PIVOT_M, np.radians(side * a)) for a in _ANGLES_DEG for side in (1, -1)), key=fault)


def orbit(start: Float64, up: Float64, radius_m: float, n: int, swing_rad: float = 0.6) -> Float64:
    """Swinging left and right around the point ``radius_m`` ahead, ending where it began."""
    angles = swing_rad * np.sin(np.linspace(0, 2 * np.pi, n))
    out = np.stack([swung(start, up, radius_m, float(angle)) for angle in angles])
    out[-1] = start
    return out
