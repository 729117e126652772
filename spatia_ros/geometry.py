"""Rigid transforms and the pinhole camera: every convention of the project, stated once.

``T_dst_src`` maps points in src to dst, so ``T_a_c = T_a_b @ T_b_c``. Camera axes are OpenCV's
(x right, y down, z forward); REP-103 axes appear only in :mod:`spatia_ros.nodes.convert`.
Depth is z-depth in metres. Pixel (column i, row j) has its centre at (i + 0.5, j + 0.5).
Quaternions are named by their order, ``quat_xyzw``.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from spatia_ros.types import Camera, Float64, SpatiaError, Trajectory, check_array


def pose(R: Float64, t: Float64) -> Float64:
    """4x4 transform from a rotation [3, 3] and a translation [3] in metres."""
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = t
    return T


def inverse(T_dst_src: Float64) -> Float64:
    """``T_src_dst`` of a rigid transform [..., 4, 4] (transpose, not a general inverse)."""
    R_t = np.swapaxes(T_dst_src[..., :3, :3], -1, -2)
    out = np.zeros(T_dst_src.shape, T_dst_src.dtype)  # in C order, whatever came: kernels are compiled for each
    out[..., :3, :3] = R_t
    out[..., :3, 3] = -(R_t @ T_dst_src[..., :3, 3:])[..., 0]
    out[..., 3, 3] = 1.0
    return out


def pose_from_quat(t: Float64, quat_xyzw: Float64, name: str = "pose") -> Float64:
    """4x4 transform from a translation in metres and a unit quaternion.

    Raises:
        SpatiaError: on non-finite numbers, or when ``|q|^2`` is not within 1e-2 of 1 (a zero
            quaternion is an unset message, not a rotation; text files round to 4 digits).
    """
    t, q = np.asarray(t, np.float64), np.asarray(quat_xyzw, np.float64)
    check_array(f"{name}.position", t, (3,), np.float64)
    check_array(f"{name}.quat_xyzw", q, (4,), np.float64)
    if not (np.isfinite(t).all() and np.isfinite(q).all()):
        raise SpatiaError(f"{name}: expected finite numbers, got position {t.tolist()} quat_xyzw {q.tolist()}")
    if abs(float(q @ q) - 1.0) > 1e-2:
        raise SpatiaError(f"{name}: expected a unit quaternion, got quat_xyzw {q.tolist()} with |q|^2 = {float(q @ q):.4g}")
    return pose(Rotation.from_quat(q).as_matrix(), t)


def quat_xyzw(T: Float64) -> Float64:
    """Unit quaternion (x, y, z, w), w >= 0, of the rotation of a 4x4 transform.

    Shepperd's way: divided by the largest of the four. This and the two that follow are asked several times a frame, after
    idle time, when SciPy's many small steps are slow.
    """
    (a, b, c), (d, e, f), (g, h, i) = T[:3, :3].tolist()
    four = max(a + e + i, a, e, i)
    if four == a + e + i:
        x, y, z, w = h - f, c - g, d - b, 1.0 + four
    elif four == a:
        x, y, z, w = 1.0 + a - e - i, b + d, c + g, h - f
    elif four == e:
        x, y, z, w = b + d, 1.0 + e - a - i, f + h, c - g
    else:
        x, y, z, w = c + g, f + h, 1.0 + i - a - e, d - b
    length = math.copysign(math.sqrt(x * x + y * y + z * z + w * w), w)
    return np.array([x / length, y / length, z / length, w / length])


def rotation_vector(T: Float64) -> Float64:
    """Axis times angle (0..pi), rad, [3], of the rotation of a 4x4 transform."""
    x, y, z, w = quat_xyzw(T).tolist()
    sine = math.sqrt(x * x + y * y + z * z)
    share = 2.0 * math.atan2(sine, w) / sine if sine > 1e-12 else 2.0
    return np.array([x * share, y * share, z * share])


def made_rigid(T: Float64) -> Float64:
    """A 4x4 transform whose rotation is nearly one, with the rotation of its quaternion."""
    x, y, z, w = quat_xyzw(T).tolist()
    R = [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
        [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
        [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
    ]
    return pose(np.array(R), T[:3, 3])


def interpolate(trajectory: Trajectory, stamps_ns: np.ndarray) -> Float64:
    """Poses [N, 4, 4] at times inside the trajectory: linear in position, slerp in rotation.

    Raises:
        SpatiaError: when a time lies outside the trajectory; poses are never extrapolated.
    """
    stamps_ns = np.asarray(stamps_ns, np.int64)
    start, end = trajectory.stamps_ns[0], trajectory.stamps_ns[-1]
    if len(stamps_ns) and (stamps_ns.min() < start or stamps_ns.max() > end):
        raise SpatiaError(f"interpolate: expected times within {start}..{end} ns, got {stamps_ns.min()}..{stamps_ns.max()} ns")
    T = trajectory.T_world_cam
    if len(trajectory) == 1:
        return np.repeat(T, len(stamps_ns), 0)
    s = (trajectory.stamps_ns - start) * 1e-9
    q = (stamps_ns - start) * 1e-9
    out = np.tile(np.eye(4), (len(q), 1, 1))
    out[:, :3, :3] = Slerp(s, Rotation.from_matrix(T[:, :3, :3]))(q).as_matrix()
    out[:, :3, 3] = np.stack([np.interp(q, s, T[:, k, 3]) for k in range(3)], -1)
    return out


def pixel_rays(camera: Camera) -> Float64:
    """[H, W, 3] camera-frame points at z = 1 m through every pixel centre."""
    u = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    v = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    uu, vv = np.meshgrid(u, v)
    return np.stack([uu, vv, np.ones_like(uu)], -1)


def backproject(depth: np.ndarray, camera: Camera, T_world_cam: Float64) -> tuple[Float64, np.ndarray]:
    """World points [N, 3] in metres of all pixels with known depth, and their mask [H, W]."""
    check_array("depth", depth, (camera.height, camera.width), depth.dtype)
    known = depth > 0
    v, u = np.nonzero(known)
    z = depth[v, u].astype(np.float64)
    points = np.stack([(u + 0.5 - camera.cx) / camera.fx * z, (v + 0.5 - camera.cy) / camera.fy * z, z], -1)
    return points @ T_world_cam[:3, :3].T + T_world_cam[:3, 3], known


def project(points_world: Float64, camera: Camera, T_world_cam: Float64) -> tuple[Float64, Float64]:
    """Pixel coordinates [N, 2] (u, v) and z-depth [N] of world points; z <= 0 lies behind."""
    p = (points_world - T_world_cam[:3, 3]) @ T_world_cam[:3, :3]
    z = p[:, 2]
    safe = np.where(z == 0, 1e-12, z)
    return np.stack([camera.fx * p[:, 0] / safe + camera.cx, camera.fy * p[:, 1] / safe + camera.cy], -1), z


def look_at(eye: Float64, target: Float64, up: Float64) -> Float64:
    """``T_world_cam`` of a camera at ``eye`` looking at ``target``; ``up`` points up in the image.

    Raises:
        SpatiaError: when the view direction is zero or parallel to ``up``.
    """
    z = np.asarray(target, np.float64) - np.asarray(eye, np.float64)
    x = np.cross(z, np.asarray(up, np.float64))
    if np.linalg.norm(x) < 1e-9:
        raise SpatiaError(f"look_at: expected a view direction not parallel to up, got eye {eye} target {target} up {up}")
    z, x = z / np.linalg.norm(z), x / np.linalg.norm(x)
    return pose(np.stack([x, np.cross(z, x), z], -1), np.asarray(eye, np.float64))


def up_of(T_world_cam: Float64) -> Float64:
    """The direction [3] that is up in most pictures of a path [N, 4, 4]: cameras are carried upright."""
    up = -T_world_cam[:, :3, 1].mean(0)
    # A world axis close to it is what the recording calls up.
    axis = np.round(up / np.abs(up).max())
    if np.count_nonzero(axis) == 1 and up @ axis / np.linalg.norm(up) > np.cos(np.radians(35)):
        return axis
    return up / np.linalg.norm(up)


def rotation_error_deg(R_a: Float64, R_b: Float64) -> float:
    """Angle between two rotations in degrees (camera error of the novel-view literature)."""
    cos = (np.trace(R_a.T @ R_b) - 1.0) / 2.0
    return float(np.degrees(np.arccos(np.clip(cos, -1.0, 1.0))))
