"""A world with known answers: a painted 6 x 4 x 8 m room with a ball of 0.8 m radius in its middle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.sequence import Sequence
from spatia_ros.types import Camera, Float32, Float64, Trajectory, UInt8

CAMERA = Camera(160, 120, 130.0, 130.0, 80.0, 60.0)
Path = Callable[[float], Float64]


def room_depth(T_world_cam: Float64, camera: Camera = CAMERA) -> Float32:
    """Exact depth, metres."""
    R, eye = T_world_cam[:3, :3], T_world_cam[:3, 3]
    rays = geometry.pixel_rays(camera) @ R.T
    with np.errstate(divide="ignore"):
        walls = np.where(rays > 0, (np.array([3.0, 2.0, 4.0]) - eye) / rays, (np.array([-3.0, -2.0, -4.0]) - eye) / rays).min(-1)
    a, b, c = (rays**2).sum(-1), rays @ eye, eye @ eye - 0.8**2
    root = b**2 - a * c
    ball = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    return np.where(ball > 0, np.minimum(walls, ball), walls).astype(np.float32)


def room_rgb(T_world_cam: Float64, camera: Camera = CAMERA) -> UInt8:
    """Exact colour: smooth waves over world coordinates."""
    points, _ = geometry.backproject(room_depth(T_world_cam, camera), camera, T_world_cam)
    waves = np.stack([np.sin(3.1 * points[:, 0] + 1), np.sin(2.3 * points[:, 1] + 2), np.sin(1.7 * points @ (1, 1, 1))], -1)
    return (127 + 100 * waves).astype(np.uint8).reshape(camera.height, camera.width, 3)


def swaying(t: float) -> Float64:
    """A camera held by someone who looks at the ball and sways."""
    turn = Rotation.from_euler("yxz", [0.25 * np.sin(1.7 * t), 0.1 * np.sin(2.9 * t), 0.05 * np.cos(2.3 * t)])
    return geometry.pose(turn.as_matrix(), np.array([0.5 * np.sin(2.1 * t), 0.2 * np.cos(1.3 * t), -2.8 + 0.3 * np.sin(3.1 * t)]))


def turning(t: float) -> Float64:
    """A camera on a turntable, 20 degrees a second."""
    return geometry.pose(Rotation.from_euler("y", 20.0 * t, degrees=True).as_matrix(), np.array([0.0, 0.0, -2.0]))


def recorded(delay_s: float = 0.0, path: Path = swaying, frames: int = 24) -> Sequence:
    """10 Hz frames, 100 Hz poses from 0.2 s before the first; depth exposed ``delay_s`` before its stamp."""
    times = np.arange(-20, 10 * frames + 20) / 100.0
    poses = Trajectory(np.round((times + 1.0) * 1e9).astype(np.int64), np.stack([path(t) for t in times]))
    at = np.arange(frames) / 10.0
    stamps_ns, T_world_cam = np.round((at + 1.0) * 1e9).astype(np.int64), np.stack([path(t) for t in at])
    return Sequence(
        "room", CAMERA, stamps_ns, T_world_cam, lambda i: (room_rgb(T_world_cam[i]), room_depth(path(at[i] - delay_s))), {}, poses
    )
