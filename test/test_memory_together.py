"""What threads do together, step by step, is what the steps do one by one."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit, prange

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory, Points, fuse, occlude, splat
from spatia_ros.memory.blocks import live_places
from spatia_ros.memory.carve import carve
from spatia_ros.memory.crew import claim, desk, hand_in, wait_for
from spatia_ros.memory.cull import visible_blocks
from spatia_ros.memory.draw import draw
from spatia_ros.memory.heaps import heap_up, room
from spatia_ros.memory.keyframes import fill_thin, intrinsics_of
from spatia_ros.memory.observe import NO_LABEL, observe
from spatia_ros.types import Camera

CAMERA = Camera.from_fov(97, 61, np.radians(65))
SHAPE, SIZE = (CAMERA.height, CAMERA.width), (CAMERA.width, CAMERA.height)
INTRINSICS = intrinsics_of(CAMERA)
CONFIG = MemoryConfig(voxel_m=0.02)
THREADS = [1, 2, 5]


@njit
def _double_and_add(desk: np.ndarray, numbers: np.ndarray) -> None:
    for step in range(4):
        while True:
            i = claim(desk, step, numbers.size)
            if i < 0:
                break
            numbers[i] = 2 * numbers[i] + step
            hand_in(desk, step)
        wait_for(desk, step, numbers.size)


@njit(parallel=True)
def _together(threads: int, desk: np.ndarray, numbers: np.ndarray) -> None:
    for _ in prange(threads):
        _double_and_add(desk, numbers)


@pytest.mark.parametrize("threads", THREADS)
def test_every_piece_is_done_once_and_in_turn(threads: int) -> None:
    for _ in range(50):
        numbers = np.arange(300)
        _together(threads, desk(4), numbers)
        np.testing.assert_array_equal(numbers, 16 * np.arange(300) + 1 * 4 + 2 * 2 + 3)


def noisy_frame(seed: int) -> tuple[np.ndarray, ...]:
    """Depth with holes and noise, accepted pixels, colours, a pose."""
    rng = np.random.default_rng(seed)
    depth = 2.0 + 0.5 * rng.random() + 0.02 * rng.normal(size=SHAPE) + (rng.random(SHAPE) < 0.02)
    depth[rng.random(SHAPE) < 0.1] = 0.0
    T = geometry.look_at(rng.uniform(-0.3, 0.3, 3), np.array([0.0, 0.0, 3.0]), np.array([0.0, -1.0, 0.0]))
    return depth.astype(np.float32), rng.random(SHAPE) < 0.95, rng.integers(0, 256, (*SHAPE, 3), dtype=np.uint8), T


@pytest.mark.parametrize("threads", THREADS)
def test_observing_is_filling_looking_through_and_summing(threads: int) -> None:
    depth, accept, rgb, T = noisy_frame(0)
    c, limits = CONFIG, np.array([CONFIG.min_range_m, CONFIG.max_range_m, CONFIG.edge_ratio], np.float32)
    seen = observe(depth, accept, np.asfortranarray(rgb), None, INTRINSICS, T, c, threads)  # of any layout
    filled = fill_thin(depth, c.fill_thin_px, c.edge_ratio)
    nearest = fuse.nearest_around(filled)
    heaps = room(*SHAPE, False)
    heap_up(heaps, filled, accept, rgb, NO_LABEL, INTRINSICS, T, c.voxel_m, limits)
    np.testing.assert_array_equal(seen.depth, filled)
    assert (filled > 0).sum() > (depth > 0).sum()
    np.testing.assert_array_equal(seen.shown, fuse.in_range(filled, accept, c.min_range_m, c.max_range_m))
    margin = np.float32(c.carve_margin_m) + np.float32(c.carve_margin_ratio) * nearest
    np.testing.assert_allclose(seen.limit, (nearest - margin).ravel(), atol=1e-6)
    assert seen.reach.max() == nearest.max() > 0
    np.testing.assert_array_equal(seen.heaps.used, heaps.used)
    for band, used in enumerate(heaps.used):
        for name in ("key", "voxel"):
            np.testing.assert_array_equal(getattr(seen.heaps, name)[band, :used], getattr(heaps, name)[band, :used])
        np.testing.assert_array_equal(seen.heaps.sums[band, :used, :7], heaps.sums[band, :used, :7])


def cloud(points: int) -> Memory:
    """Points all around in a room, some of them near the camera."""
    rng = np.random.default_rng(1)
    xyz = rng.uniform([-2.0, -2.0, 0.3], [2.0, 2.0, 4.0], (points, 3)).astype(np.float32)
    memory = Memory(CONFIG)
    memory.add_points(Points.measured(xyz, rng.integers(0, 256, xyz.shape, dtype=np.uint8)))
    return memory


@pytest.mark.parametrize("threads", THREADS)
def test_carving_is_weakening_and_removing(threads: int) -> None:
    depth, accept, rgb, T = noisy_frame(3)
    together, steps, T_cam_world = cloud(60_000), cloud(60_000), geometry.inverse(T)
    seen = observe(depth, accept, rgb, None, INTRINSICS, T, CONFIG, threads)
    reach = float(seen.reach.max())
    carved = carve(together.store.blocks, seen.limit, INTRINSICS, T_cam_world, *SIZE, CONFIG.voxel_m, reach, threads)
    b, limit = steps.store.blocks, seen.limit.reshape(SHAPE)
    visible = visible_blocks(b, T_cam_world, INTRINSICS, *SIZE, CONFIG.voxel_m, reach)
    dead = fuse.weaken_seen_through(b, visible, limit, INTRINSICS, T_cam_world, 0.0, 0.0)
    assert carved == fuse.remove_weakened(b, visible, dead) > 0
    at = live_places(b)
    np.testing.assert_array_equal(live_places(together.store.blocks), at)
    np.testing.assert_array_equal(together.store.blocks.xyz[at], b.xyz[at])
    np.testing.assert_array_equal(together.store.blocks.mean[at], b.mean[at])


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("points", [0, 2000, 400_000])
def test_drawing_is_splatting_resolving_and_closing(threads: int, points: int) -> None:
    T = geometry.inverse(geometry.look_at(np.array([0.1, 0.0, -0.5]), np.array([0.0, 0.2, 3.0]), np.array([0.0, -1.0, 0.0])))
    b, c = cloud(points).store.blocks, CONFIG
    visible = visible_blocks(b, T, INTRINSICS, *SIZE, c.voxel_m, 20.0)
    assert (len(visible) > occlude.FEWEST_BLOCKS) == (points == 400_000)
    buffers = splat.splat(b, visible, T, INTRINSICS, *SIZE, c.splat_scale * c.voxel_m, 20.0, 1)
    expected = splat.close_pinholes(*splat.resolve(b, buffers, *SIZE, 7000), c.edge_ratio)
    drawn = draw(b, T, INTRINSICS, *SIZE, c.voxel_m, c.splat_scale, 20.0, 7000, c.edge_ratio, threads)
    for one, other in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (drawn[1] > 0).any() == (points > 0)
