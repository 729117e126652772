"""How fast memory is: drawing, fusing and retrieving, beside Open3D on the same points, pixels and camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.evaluate.timing import Timing, interleaved
from spatia_ros.memory import Keyframe, Memory, Points
from spatia_ros.types import Camera, Frame, SpatiaError

CONFIG = MemoryConfig()
AWAY_M = 200.0
"""Where voxels and keyframes are put that are not in view."""
OPEN3D_BLOCK, OPEN3D_BLOCKS = 8, 20_000
"""Side of Open3D's voxel blocks (8 was faster than its default of 16 on every scene tried), and room for so many."""


def in_view_cloud(camera: Camera, points: int) -> Memory:
    """A memory of exactly so many voxels, all in view of a camera at the origin: wavy sheets behind one another.

    Each sheet is put in row by row, as a scanning sensor would.
    """
    rng = np.random.default_rng(0)
    memory = Memory(CONFIG)
    # Sheets nearer than this have fewer voxels than asked for; the last is within range.
    for sheet_m in np.arange(4.5, CONFIG.max_range_m, 0.8):
        # Four samples a pixel each way leave no voxel of a sheet out.
        rays = geometry.pixel_rays(camera.resized(4 * camera.width, 4 * camera.height))
        depth = sheet_m + 0.15 * np.sin(15 * rays[..., 0]) + 0.15 * np.sin(20 * rays[..., 1])
        xyz = (rays * depth[..., None]).astype(np.float32).reshape(-1, 3)
        memory.add_points(Points.measured(xyz, rng.integers(0, 256, xyz.shape, dtype=np.uint8)))
        if len(memory) >= points:
            break
    if len(memory) < points:
        raise SpatiaError(f"bench: expected {points} voxels in view, got {len(memory)}")
    everything = memory.points()
    exact = Memory(CONFIG)
    exact.add_points(Points.measured(everything.xyz[:points], everything.rgb[:points]))
    return exact


def wall_frame(camera: Camera) -> Frame:
    """A frame of a wavy, slanted wall 2 to 3 m away, seen from the origin."""
    rng = np.random.default_rng(1)
    rays = geometry.pixel_rays(camera)
    depth = 2.5 + 0.4 * rays[..., 0] + 0.1 * np.sin(9 * rays[..., 0]) + 0.1 * np.sin(7 * rays[..., 1])
    rgb = rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
    return Frame(rgb, depth.astype(np.float32), camera, np.eye(4), 0)


def map_of(frame: Frame, voxels: int, keyframes: int) -> Memory:
    """A map of so many voxels that holds a frame's surface, the rest far away, and so many keyframes of that rest."""
    memory = Memory(CONFIG)
    memory.integrate(frame)
    missing = voxels - len(memory)
    if missing < 0:
        raise SpatiaError(f"bench: expected a frame of at most {voxels} voxels, got {len(memory)}")
    side = int(np.ceil(np.sqrt(missing)))
    place = np.arange(missing)
    plane = np.stack([AWAY_M + place % side * CONFIG.voxel_m, np.zeros(missing), place // side * CONFIG.voxel_m], -1)
    xyz = (plane + 0.5 * CONFIG.voxel_m).astype(np.float32)
    memory.add_points(Points.measured(xyz, np.full((missing, 3), 128, np.uint8)))
    camera = frame.camera.resized(80, 60)
    small = np.zeros((60, 80, 3), np.uint8), np.full((60, 80), 3.0, np.float32), np.ones((60, 80), bool)
    for k in range(len(memory.keyframes), keyframes):
        memory.keyframes.append(Keyframe(*small, camera, geometry.pose(np.eye(3), np.array([AWAY_M + k, 1.5, 0.0])), 0))
    return memory


def time_render(camera: Camera, points: int, repetitions: int) -> dict[str, Timing]:
    """Drawing a cloud that is all in view: "spatia", and "open3d" by ``project_to_rgbd_image``."""
    memory = in_view_cloud(camera, points)
    eye = np.eye(4)
    work = {"spatia": lambda: memory.render(camera, eye, 0), "open3d": _open3d_projection(memory, camera)}
    return interleaved(f"render {points} points", work, repetitions)


def time_growth(camera: Camera, small: int, large: int, repetitions: int) -> dict[str, Timing]:
    """Fusing and drawing the same frame in a small and a large map: "integrate_small" and so on.

    The large map holds as many keyframes as a memory keeps, the small one in proportion, at least one.
    """
    frame = wall_frame(camera)
    few, many = map_of(frame, small, max(1, CONFIG.keyframes * small // large)), map_of(frame, large, CONFIG.keyframes)
    view = many.render(camera, frame.T_world_cam, 0)
    work: dict[str, Callable[[], object]] = {
        "integrate_small": lambda: few.integrate(frame),
        "integrate_large": lambda: many.integrate(frame),
        "integrate_open3d": open3d_integration(frame),
        "render_small": lambda: few.render(camera, frame.T_world_cam, 0),
        "render_large": lambda: many.render(camera, frame.T_world_cam, 0),
        # Another array each time, or memory would remember what it answered before.
        "retrieve_large": lambda: many.retrieve(replace(view, depth=view.depth[:]), camera, frame.T_world_cam, 4),
    }
    return interleaved(f"integrate into {small} and {large} voxels", work, repetitions)


def _open3d_projection(memory: Memory, camera: Camera) -> Callable[[], object]:
    from spatia_ros.o3d import o3d

    tensor, points = o3d.core.Tensor.from_numpy, memory.points()
    cloud = o3d.t.geometry.PointCloud(tensor(points.xyz))
    cloud.point.colors = tensor(points.rgb.astype(np.float32) / np.float32(255.0))
    K, T = tensor(camera.K), tensor(np.eye(4))
    return lambda: cloud.project_to_rgbd_image(camera.width, camera.height, K, T, 1.0, 4.0 * CONFIG.max_range_m)


def open3d_integration(frame: Frame, side: int = OPEN3D_BLOCK) -> Callable[[], object]:
    """Finding the blocks a frame touches and fusing it, by Open3D's VoxelBlockGrid with blocks of so many voxels a side."""
    from spatia_ros.o3d import o3d

    tensor, real = o3d.core.Tensor.from_numpy, o3d.core.float32
    channels = [o3d.core.SizeVector([n]) for n in (1, 1, 3)]
    grid = o3d.t.geometry.VoxelBlockGrid(
        ["tsdf", "weight", "color"], [real, real, real], channels, CONFIG.voxel_m, side, OPEN3D_BLOCKS
    )
    depth = o3d.t.geometry.Image(tensor(frame.depth))
    colour = o3d.t.geometry.Image(tensor(frame.rgb.astype(np.float32) / np.float32(255.0)))
    K, T = tensor(frame.camera.K), tensor(geometry.inverse(frame.T_world_cam))

    def integrate() -> None:
        blocks = grid.compute_unique_block_coordinates(depth, K, T, 1.0, CONFIG.max_range_m)
        grid.integrate(blocks, depth, colour, K, T, 1.0, CONFIG.max_range_m)

    return integrate
