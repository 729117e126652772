"""How fast the motion between two RGB-D images is found, and how true it is, beside Open3D's tensor odometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from spatia_ros.config import TrackingConfig
from spatia_ros.evaluate.open3d_odometry import METHODS, Method, Open3DOdometry
from spatia_ros.evaluate.timing import Timing, interleaved
from spatia_ros.evaluate.trajectory import path_error
from spatia_ros.sequence import Sequence
from spatia_ros.slam.odometry import register
from spatia_ros.slam.pyramid import build_pyramid
from spatia_ros.types import Camera, Float32, Float64, Trajectory, UInt8

Image = tuple[UInt8, Float32]
OPEN3D = ("open3d_point_to_plane", "open3d_hybrid")
Motion = Callable[[UInt8, Float32], Float64]
"""The next frame's images -> ``T_last_this``; the identity for the first."""


@dataclass(frozen=True, slots=True)
class Odometry:
    """Two ways to find the same motions.

    Args:
        timings: of one frame, by name: "spatia", and those of OPEN3D.
        ate_m: of the frames chained one to the next by each, metres; no keyframes, no loops.
    """

    timings: dict[str, Timing]
    ate_m: dict[str, float]

    @property
    def best_of_open3d(self) -> str:
        """The more exact of its methods."""
        return min(OPEN3D, key=lambda name: self.ate_m[name])


def time_odometry(sequence: Sequence, size: tuple[int, int], rounds: int) -> Odometry:
    """Time both over the frames of a recording, each from the frame before, both starting from no motion.

    A frame costs what it costs in a chain: its own pyramid, and (ours) the normals and slopes of the one before. Open3D's
    interface takes two images and makes the pyramids of both.
    """
    small = sequence.resized(*size)
    images = [small.load(i) for i in range(len(small))]
    timings = interleaved(
        "odometry", {name: _endless(make, images) for name, make in _makers(small.camera).items()}, rounds
    )
    ate_m = {}
    for name, make in _makers(small.camera).items():
        motion, T = make(), [np.eye(4)]
        for image in images:
            T.append(T[-1] @ motion(*image))
        ate_m[name] = path_error(Trajectory(small.stamps_ns, np.stack(T[1:])), small.trajectory()).ate_rmse_m
    return Odometry(timings, ate_m)


def _makers(camera: Camera) -> dict[str, Callable[[], Motion]]:
    theirs = {name: partial(_open3d, camera, method) for name, method in zip(OPEN3D, METHODS, strict=True)}
    return {"spatia": partial(_ours, camera), **theirs}


def _endless(make: Callable[[], Motion], images: list[Image]) -> Callable[[], object]:
    """One frame a call, to and fro over the recording, so that every motion is one that was recorded."""
    motion, order, at = make(), [*range(len(images)), *range(len(images) - 2, 0, -1)], 0

    def step() -> object:
        nonlocal at
        image = images[order[at % len(order)]]
        at += 1
        return motion(*image)

    return step


def _ours(camera: Camera) -> Motion:
    config, last = TrackingConfig(width_px=camera.width), None

    def motion(rgb: UInt8, depth: Float32) -> Float64:
        nonlocal last
        pyramid = build_pyramid(rgb, depth, camera, width_px=config.width_px, levels=config.levels)
        T = np.eye(4) if last is None else register(pyramid, last, np.eye(4), config).T_target_source
        last = pyramid
        return T

    return motion


def _open3d(camera: Camera, method: Method) -> Motion:
    odometry, last = Open3DOdometry(camera, method), None

    def motion(rgb: UInt8, depth: Float32) -> Float64:
        nonlocal last
        image: Any = odometry.image(rgb, depth)
        T = np.eye(4) if last is None else odometry.motion(image, last)
        last = image
        return np.eye(4) if T is None else T

    return motion
