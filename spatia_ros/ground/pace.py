"""A timed camera path along a way: where the camera looks on it, and no faster than it may move and turn."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation, Slerp

from spatia_ros.geometry import look_at
from spatia_ros.types import Float64, Trajectory

AHEAD_M = 0.9
"""On the way the camera looks at the point this far ahead."""
TURN_M = 1.6
"""Over the last so many metres (or two fifths of the way) its gaze goes over to the thing."""
UP = np.array([0.0, 0.0, 1.0])
DOWNWARD_RAD = 0.12
"""It looks a little down while it is on its way."""
STEEPEST_RAD = 1.4


def gaze_along(way: Float64, T_start: Float64, target: Float64) -> Float64:
    """Upright poses [N, 4, 4] along a way [N, 3]: from the start's gaze along the way to the target [3]. z up.

    The first pose is the start's own; a roll it has is taken back on the way.
    """
    way = way if len(way) > 1 else np.repeat(way, 2, 0)
    s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
    forward = T_start[:3, 2]
    begin = np.array([np.arctan2(forward[1], forward[0]), np.arcsin(np.clip(forward[2], -1.0, 1.0))])
    ahead = np.stack([np.interp(np.minimum(s + AHEAD_M, s[-1]), s, way[:, k]) for k in range(3)], -1) - way
    travel = np.unwrap(_held(np.arctan2(ahead[:, 1], ahead[:, 0]), np.hypot(ahead[:, 0], ahead[:, 1]) > 0.15))
    aim = target - way
    there = np.stack([np.unwrap(np.arctan2(aim[:, 1], aim[:, 0])), np.arctan2(aim[:, 2], np.hypot(aim[:, 0], aim[:, 1]))], -1)
    turn = min(TURN_M, 0.4 * s[-1])
    late = _eased((s - (s[-1] - turn)) / max(turn, 1e-6))
    early = _eased(s / max(min(TURN_M, 0.4 * s[-1]), 1e-6))
    course = np.stack([travel, np.full(len(s), -DOWNWARD_RAD)], -1)
    course = _towards(_towards(np.tile(begin, (len(s), 1)), course, early), there, late)
    course = gaussian_filter1d(course, 3.0, axis=0, mode="nearest") if len(s) > 12 else course
    course[0] = begin
    course[-1] = _towards(course[-1:], there[-1:], np.ones(1))[0]
    poses = np.stack([_upright(eye, *angles) for eye, angles in zip(way, course, strict=True)])
    roll = Rotation.from_matrix(poses[0, :3, :3].T @ T_start[:3, :3]).as_rotvec()
    fading = Rotation.from_rotvec((1.0 - early)[:, None] * roll).as_matrix()
    poses[:, :3, :3] = poses[:, :3, :3] @ fading
    return poses


def _held(values: Float64, good: np.ndarray) -> Float64:
    """Values where they are good, the last good one where they are not (the first good one before that)."""
    if not good.any():
        return np.zeros_like(values)
    last = np.maximum.accumulate(np.where(good, np.arange(len(values)), -1))
    return values[np.where(last < 0, int(np.argmax(good)), last)]


def _eased(t: Float64) -> Float64:
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _towards(a: Float64, b: Float64, share: Float64) -> Float64:
    """Yaw and pitch [N, 2] on the way from a to b, the short way round."""
    turn = (b[:, 0] - a[:, 0] + np.pi) % (2 * np.pi) - np.pi
    # Unwrapped, so that the short way does not change sides in between.
    yaw = a[:, 0] + share * np.unwrap(turn)
    return np.stack([yaw, a[:, 1] + share * (b[:, 1] - a[:, 1])], -1)


def _upright(eye: Float64, yaw: float, pitch: float) -> Float64:
    pitch = float(np.clip(pitch, -STEEPEST_RAD, STEEPEST_RAD))
    way = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    return look_at(eye, eye + way, UP)


def timed(
    T_world_cam: Float64, start_ns: int, rate_hz: float, speed_m_s: float, turn_rad_s: float, ramp_s: float
) -> Trajectory:
    """Poses [N, 4, 4] as a trajectory of one pose a frame period, the first one period after ``start_ns``.

    Nowhere faster than ``speed_m_s`` and ``turn_rad_s``; it starts and stops gently, over ``ramp_s``. The last pose is exact.
    """
    step = np.linalg.norm(np.diff(T_world_cam[:, :3, 3], axis=0), axis=1)
    R = T_world_cam[:, :3, :3]
    turn = np.arccos(np.clip((np.einsum("nij,nij->n", R[:-1], R[1:]) - 1) / 2, -1.0, 1.0))
    least = np.maximum(step / speed_m_s, turn / turn_rad_s)
    at = np.concatenate([[0.0], np.cumsum(least + 1e-9)])
    total = at[-1] + ramp_s
    frames = max(int(np.ceil(total * rate_hz)), 1)
    t = np.minimum(np.arange(1, frames + 1) / rate_hz, total)
    poses = _between(T_world_cam, at, _ramped(t, at[-1], ramp_s))
    poses[-1] = T_world_cam[-1]
    stamps = start_ns + np.round(np.arange(1, frames + 1) * 1e9 / rate_hz).astype(np.int64)
    return Trajectory(stamps, poses)


def _ramped(t: Float64, length: float, ramp_s: float) -> Float64:
    """How far one is after times t at a pace that rises to 1 over a ramp and falls to 0 over another; all takes length + ramp."""
    ramp = min(ramp_s, length) if length > 0 else 0.0
    if ramp <= 0.0:
        return np.minimum(t, length)
    total = length + ramp
    up = t * t / (2 * ramp)
    down = length - np.maximum(total - t, 0.0) ** 2 / (2 * ramp)
    return np.where(t < ramp, up, np.where(t > total - ramp, down, t - ramp / 2))


def _between(T: Float64, at: Float64, s: Float64) -> Float64:
    out = np.tile(np.eye(4), (len(s), 1, 1))
    s = np.clip(s, at[0], at[-1])
    out[:, :3, :3] = Slerp(at, Rotation.from_matrix(T[:, :3, :3]))(s).as_matrix()
    out[:, :3, 3] = np.stack([np.interp(s, at, T[:, k, 3]) for k in range(3)], -1)
    return out
