"""How the cost of memory grows: with the map around the view, with the resolution; and what the machine's memory allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numba import prange

from spatia_ros.evaluate.bench_memory import CONFIG, in_view_cloud, map_of, open3d_integration, wall_frame
from spatia_ros.evaluate.timing import Timing, interleaved
from spatia_ros.kernels import njit
from spatia_ros.memory import Memory
from spatia_ros.memory.exposure import evened, exposed, exposure_to
from spatia_ros.types import Camera, Frame

STRIDE_M = 40.0
"""How far apart the copies of a cloud stand that make a large map; nothing is drawn from farther than 32 m."""
COPY_MB = 256
READ_A_POINT, READ_A_PIXEL = 12, 8 + 8 + 3 + 4 + 4 + 4 + 1
"""Bytes drawing cannot do without: each point's place; each pixel's depth word, look, and the view's images."""
PIXEL, VOXEL = 4 + 3, 2 * (12 + 12 + 4 + 4 + 1 + 8) + 2
"""Bytes fusing cannot do without: each pixel's depth and colour; each voxel's point read and written, and its place."""


@njit(cache=True, parallel=True)
def _copy(source: np.ndarray, target: np.ndarray) -> None:
    for i in prange(source.size):
        target[i] = source[i]


def crowded(memory: Memory, points: int) -> Memory:
    """A map that holds a memory's points and copies of them to the side, ``points`` in all."""
    seen, large = memory.points(), Memory(CONFIG)
    copy = 0
    while len(large) < points and copy < 4 * points // len(memory):
        aside = seen._replace(xyz=seen.xyz + np.array([STRIDE_M * copy, 0.0, 0.0], np.float32))
        left = points - len(large)
        large.add_points(aside._replace(**{name: array[:left] for name, array in aside._asdict().items() if array is not None}))
        copy += 1
    return large


def time_crowd(camera: Camera, in_view: int, points: int, repetitions: int) -> dict[str, Timing]:
    """Drawing so many points that are all in view: "alone", and "crowd" where the map holds others out of view."""
    alone = in_view_cloud(camera, in_view)
    crowd = crowded(alone, points)
    eye = np.eye(4)
    work: dict[str, Callable[[], object]] = {
        "alone": lambda: alone.render(camera, eye, 0), "crowd": lambda: crowd.render(camera, eye, 0),
    }
    return interleaved(f"render {in_view} of {points} points", work, repetitions)


def time_sizes(cameras: list[Camera], points: int, voxels: list[int], repetitions: int) -> dict[str, Timing]:
    """Drawing and fusing at several resolutions ("render_320x240"), and fusing into maps of several sizes ("integrate_1000")."""
    memory, eye = in_view_cloud(cameras[0], points), np.eye(4)
    work: dict[str, Callable[[], object]] = {}
    for camera in cameras:
        frame = wall_frame(camera)
        into, size = Memory(CONFIG), f"{camera.width}x{camera.height}"
        work[f"render_{size}"] = partial(memory.render, camera, eye, 0)
        work[f"integrate_{size}"] = partial(into.integrate, frame)
    frame = wall_frame(cameras[0])
    for count in voxels:
        work[f"integrate_{count}"] = partial(map_of(frame, count, 1).integrate, frame)
    return interleaved("resolutions and sizes", work, repetitions)


def time_room(frame: Frame, repetitions: int) -> dict[str, Timing]:
    """Fusing a frame of a room again: "spatia", and "open3d" with blocks of its own choice (16) and of ours (8).

    And bringing one that is a stop brighter to the map's exposure: "even", and "even_whole" by all of its pixels.
    """
    memory = Memory(CONFIG)
    memory.integrate(frame)
    bright = replace(frame, rgb=exposed(frame.rgb, np.full(3, np.log(2.0))))
    work: dict[str, Callable[[], object]] = {
        "spatia": lambda: memory.integrate(frame),
        "even": lambda: evened(bright, memory),
        "even_whole": lambda: exposure_to(memory, bright, frame.camera.width),
    }
    work |= {f"open3d_{side}": open3d_integration(frame, side) for side in (8, 16)}
    return interleaved("integrate a room", work, repetitions)


def time_copy(repetitions: int) -> Timing:
    """Copying COPY_MB of memory by all threads."""
    source = np.ones(COPY_MB << 17, np.float64)
    target = np.zeros_like(source)
    return interleaved("copy", {"copy": lambda: _copy(source, target)}, repetitions)["copy"]


def copy_gbps(copied: Timing) -> float:
    """Gigabytes read and written a second by :func:`time_copy`."""
    return 2.0 * (COPY_MB << 20) / 1e6 / copied.min_ms


def render_gbps(camera: Camera, points: int, milliseconds: float) -> float:
    """Gigabytes a second that drawing so many points must at least have moved."""
    return (READ_A_POINT * points + READ_A_PIXEL * camera.width * camera.height) / 1e6 / milliseconds


def integrate_gbps(camera: Camera, voxels: int, milliseconds: float) -> float:
    """Gigabytes a second that fusing a frame that touches so many voxels must at least have moved."""
    return (PIXEL * camera.width * camera.height + VOXEL * voxels) / 1e6 / milliseconds
