"""Camera paths through free space: smooth, at sane heights and tilts, seeing some places twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from spatia_ros.geometry import look_at, pose
from spatia_ros.o3d import o3d
from spatia_ros.types import Float64, SpatiaError

ATTEMPTS = 60
Z = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True)
class Walk:
    """Where a camera may be and what it looks at.

    Args:
        areas: float64 [B, 2, 3], low and high corners of boxes the camera stays in (area frame).
        focus: float64 [M, 3], world points worth looking at.
        T_world_area: float64 [4, 4].
        clearance_m: smallest distance to any surface.
        step_m: least and largest distance between consecutive poses.
        pitch_rad: lowest and highest tilt of the optical axis.
        view_m: most of what a camera sees is at least this far away.
    """

    areas: Float64
    focus: Float64
    T_world_area: Float64
    clearance_m: float = 0.3
    step_m: tuple[float, float] = (0.01, 0.1)
    pitch_rad: tuple[float, float] = (-0.6, 0.25)
    view_m: float = 0.8


def random_path(caster: o3d.t.geometry.RaycastingScene, walk: Walk, rng: np.random.Generator, n: int) -> Float64:
    """``T_world_cam`` [n, 4, 4]; see :meth:`Scene.random_path`.

    Raises:
        SpatiaError: when no free path is found.
    """
    for _ in range(ATTEMPTS):
        step = float(np.exp(rng.uniform(*np.log(walk.step_m))))
        returns = n >= 8 and rng.random() < 0.5
        out = (n + 1) // 2 if returns else n
        eyes = _positions(caster, walk, rng, out, step)
        if eyes is None:
            continue
        yaw, pitch = _gaze(eyes, walk, rng)
        if returns:
            eyes, yaw, pitch = (np.concatenate([x, x[::-1][: n - out]]) for x in (eyes, yaw, pitch))
            yaw = yaw + _turn_round(rng, n)
        poses = _poses(eyes, yaw, pitch, rng)
        if _sees_enough(caster, poses, walk):
            return poses
    raise SpatiaError(f"scene.random_path: expected free space for {n} poses, found none in {ATTEMPTS} attempts")


def _positions(
    caster: o3d.t.geometry.RaycastingScene, walk: Walk, rng: np.random.Generator, n: int, step: float
) -> Float64 | None:
    """[n, 3] along a spline whose every point keeps clear, about ``step`` apart; None when stuck."""
    points = [_free_point(caster, walk, rng)]
    if points[0] is None:
        return None
    length, heading = step * n, rng.uniform(0, 2 * np.pi)
    stride = np.clip(length / 3, 0.05, 12 * walk.clearance_m)
    travelled = 0.0
    while travelled < length and len(points) < 80:
        for _ in range(16):
            heading += rng.normal(0, 0.5)
            rise = rng.normal(0, 0.15) * stride
            point = points[-1] + stride * np.array([np.cos(heading), np.sin(heading), 0]) + rise * Z
            if _inside(walk, point[None]).all() and _clear(caster, walk, np.linspace(points[-1], point, 6)):
                break
            heading += rng.uniform(0.3, 1.2) * rng.choice((-1, 1))
        else:
            return None
        points.append(point)
        travelled += stride
    spline = CubicSpline(np.arange(len(points)), np.array(points))
    eyes = spline(np.linspace(0, min(len(points) - 1, length / stride), n))
    return eyes if _clear(caster, walk, eyes, 0.7) and _inside(walk, eyes, 0.1).all() else None


def _gaze(eyes: Float64, walk: Walk, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """Yaw and pitch [n], radians: at things, along the path, or sweeping round."""
    n = len(eyes)
    style = rng.choice(("things", "thing", "along", "sweep"), p=(0.4, 0.25, 0.2, 0.15))
    if style == "things" or style == "thing":
        near = walk.focus[np.argsort(np.linalg.norm(walk.focus - eyes[n // 2], axis=1))[: max(8, len(walk.focus) // 3)]]
        targets = near[rng.integers(len(near), size=1 if style == "thing" else 1 + n // 24)]
        way = targets[np.minimum(np.arange(n) * len(targets) // n, len(targets) - 1)] - eyes
    elif style == "along" and n > 2:
        way = np.gradient(eyes, axis=0)
    else:
        turn = rng.uniform(0, 2 * np.pi) + rng.choice((-1, 1)) * rng.uniform(0.5, 3.5) * np.linspace(0, 1, n)
        way = np.stack([np.cos(turn), np.sin(turn), np.full(n, rng.uniform(*walk.pitch_rad))], -1)
    yaw = np.unwrap(np.arctan2(way[:, 1], way[:, 0]))
    pitch = np.arctan2(way[:, 2], np.linalg.norm(way[:, :2], axis=1))
    if style == "along":
        pitch = pitch * 0.3 + rng.uniform(*walk.pitch_rad)
    smooth = max(2.0, n / 14)
    wobble = gaussian_filter1d(rng.normal(size=(2, n + 40)), 8, axis=1)[:, 20 : n + 20] * 0.12
    yaw = gaussian_filter1d(yaw, smooth, mode="nearest") + wobble[0]
    pitch = gaussian_filter1d(np.clip(pitch, *walk.pitch_rad), smooth, mode="nearest") + wobble[1]
    return yaw, pitch


def _turn_round(rng: np.random.Generator, n: int) -> Float64:
    """Added yaw [n]: the way back looks the same way, or turns towards another."""
    angle = 0.0 if rng.random() < 0.5 else rng.uniform(-1.5, 1.5)
    return angle * np.clip(np.linspace(-1.5, 2.5, n), 0, 1)


def _poses(eyes: Float64, yaw: Float64, pitch: Float64, rng: np.random.Generator) -> Float64:
    roll = rng.normal(0, 0.03) + gaussian_filter1d(rng.normal(size=len(eyes) + 40), 8)[20:-20] * 0.08
    forward = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], -1)
    poses = []
    for eye, way, angle in zip(eyes, forward, roll, strict=True):
        c, s = np.cos(angle), np.sin(angle)
        poses.append(look_at(eye, eye + way, Z) @ pose(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), np.zeros(3)))
    return np.stack(poses)


def _free_point(caster: o3d.t.geometry.RaycastingScene, walk: Walk, rng: np.random.Generator) -> Float64 | None:
    size = np.prod(walk.areas[:, 1, :2] - walk.areas[:, 0, :2], axis=1)
    for _ in range(40):
        low, high = walk.areas[rng.choice(len(size), p=size / size.sum())]
        point = walk.T_world_area[:3, :3] @ rng.uniform(low, high) + walk.T_world_area[:3, 3]
        if _clear(caster, walk, point[None]) and not _buried(caster, point):
            return point
    return None


def _inside(walk: Walk, points: Float64, slack_m: float = 0.0) -> np.ndarray:
    """bool [N], whether each point lies in one of the areas."""
    local = (points - walk.T_world_area[:3, 3]) @ walk.T_world_area[:3, :3]
    low, high = walk.areas[:, None, 0] - slack_m, walk.areas[:, None, 1] + slack_m
    return ((local >= low) & (local <= high)).all(-1).any(0)


def _clear(caster: o3d.t.geometry.RaycastingScene, walk: Walk, points: Float64, share: float = 1.0) -> bool:
    distance = caster.compute_distance(o3d.core.Tensor(points.astype(np.float32))).numpy()
    return bool((distance >= walk.clearance_m * share).all())


def _buried(caster: o3d.t.geometry.RaycastingScene, point: Float64) -> bool:
    """Whether the point is inside an object: most axis rays leave through a surface's back."""
    ways = np.concatenate([np.eye(3), -np.eye(3)])
    rays = np.concatenate([np.repeat(point[None], 6, 0), ways], 1).astype(np.float32)
    found = caster.cast_rays(o3d.core.Tensor(rays))
    return bool(((found["primitive_normals"].numpy() * ways).sum(1) > 1e-3).sum() >= 4)


def _sees_enough(caster: o3d.t.geometry.RaycastingScene, poses: Float64, walk: Walk) -> bool:
    """Whether most of every view lies beyond ``view_m``."""
    grid = np.stack([*np.meshgrid(np.linspace(-0.5, 0.5, 5), np.linspace(-0.3, 0.3, 4)), np.ones((4, 5))], -1).reshape(-1, 3)
    some = poses[:: max(1, len(poses) // 12)]
    rays = np.concatenate([np.repeat(some[:, None, :3, 3], len(grid), 1), np.einsum("nij,mj->nmi", some[:, :3, :3], grid)], -1)
    depth = caster.cast_rays(o3d.core.Tensor(rays.astype(np.float32)))["t_hit"].numpy()
    return bool((np.median(depth, axis=1) >= walk.view_m).all())
