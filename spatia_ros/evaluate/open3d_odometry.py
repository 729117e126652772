"""Open3D's RGB-D odometry, the yardstick of ours: ``o3d.t.pipelines.odometry``, tensors on the CPU, chained frame to frame."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from spatia_ros import geometry
from spatia_ros.types import Camera, Float32, Float64, UInt8

Method = Literal["PointToPlane", "Hybrid"]
METHODS: tuple[Method, ...] = ("PointToPlane", "Hybrid")
"""Geometry alone, and geometry with colour."""
ITERATIONS = (10, 5, 3)
"""Open3D's own default, coarse to fine."""
DEPTH_MAX_M = 8.0


class Open3DOdometry:
    """Motion between RGB-D images by Open3D; the first call loads it.

    Args:
        camera: intrinsics of every image. method: which residual. iterations: at most, coarse to fine.
    """

    def __init__(self, camera: Camera, method: Method, iterations: tuple[int, ...] = ITERATIONS) -> None:
        from spatia_ros.o3d import o3d

        self._o3d, self._odometry = o3d, o3d.t.pipelines.odometry
        fx, fy, cx, cy = camera.calibration()
        self._K = o3d.core.Tensor.from_numpy(np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]))
        self._start = o3d.core.Tensor.eye(4, o3d.core.float64)
        self._method = getattr(self._odometry.Method, method)
        self._criteria = [self._odometry.OdometryConvergenceCriteria(n) for n in iterations]
        self._loss = self._odometry.OdometryLossParams()

    def image(self, rgb: UInt8, depth: Float32) -> Any:
        """An image as Open3D has it (metres, 0 = unknown)."""
        tensor = self._o3d.t.geometry.Image
        return self._o3d.t.geometry.RGBDImage(tensor(np.ascontiguousarray(rgb)), tensor(np.ascontiguousarray(depth)))

    def motion(self, source: Any, target: Any) -> Float64 | None:
        """``T_target_source``, or None where its equations were singular."""
        try:
            result = self._odometry.rgbd_odometry_multi_scale(
                source, target, self._K, self._start, 1.0, DEPTH_MAX_M, self._criteria, self._method, self._loss
            )
        except RuntimeError:
            return None
        T = result.transformation.numpy()
        return T if np.isfinite(T).all() else None


class Chain:
    """Poses of frames one after another, each from the motion since the last; without one the camera is taken to stand still."""

    def __init__(self, camera: Camera, method: Method, T_world_cam: Float64) -> None:
        self._odometry, self._last = Open3DOdometry(camera, method), None
        self.poses: list[Float64] = []
        self._first = T_world_cam
        self.failed = 0

    def add(self, rgb: UInt8, depth: Float32) -> None:
        """The next frame."""
        image = self._odometry.image(rgb, depth)
        if self._last is None:
            self.poses.append(self._first)
        else:
            motion = self._odometry.motion(image, self._last)
            self.failed += motion is None
            T = self.poses[-1] if motion is None else self.poses[-1] @ motion
            U, _, Vt = np.linalg.svd(T[:3, :3])
            self.poses.append(geometry.pose(U @ Vt, T[:3, 3]))
        self._last = image
