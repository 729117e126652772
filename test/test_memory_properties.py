"""What holds for every memory, whatever is put into it: tried on many worlds, cameras and poses.

The world is the inside of a painted box, which is convex: no frame of it looks through what another one saw.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory
from spatia_ros.memory.blocks import N_BLOCKS, live_places
from spatia_ros.memory.quantise import POSITION_STEPS, WEIGHT_ERROR
from spatia_ros.types import Camera, Float64, Frame

CAMERA = Camera(64, 48, 50.0, 50.0, 32.0, 24.0)
HALF = np.array([1.5, 1.1, 1.9])
"""Of the box's sides, metres."""
VOXEL_M = 0.04
FOREVER = 1e4
"""Observations in a running mean: so many that every one of a test's counts alike."""

tiny_worlds = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

angle = st.floats(-np.pi, np.pi)
turns = st.builds(lambda a, b, c: Rotation.from_euler("xyz", [a, b, c]).as_matrix(), angle, angle, angle)
share = st.floats(-1.0, 1.0)
inside = st.builds(lambda R, x, y, z: geometry.pose(R, 0.6 * HALF * (x, y, z)), turns, share, share, share)
far = st.floats(-2000.0, 2000.0)
anywhere = st.builds(lambda R, x, y, z: geometry.pose(R, np.array([x, y, z])), turns, far, far, far)


def box_frame(T_box_cam: Float64, stamp_ns: int = 0, T_world_box: Float64 | None = None) -> Frame:
    """The box from within: exact depth, colours that wave along its walls; put elsewhere by ``T_world_box``."""
    rays, eye = geometry.pixel_rays(CAMERA) @ T_box_cam[:3, :3].T, T_box_cam[:3, 3]
    with np.errstate(divide="ignore"):
        depth = (np.where(rays > 0, HALF - eye, -HALF - eye) / rays).min(-1)
    hit = eye + rays * depth[..., None]
    rgb = 127 + 90 * np.stack([np.sin(2.1 * hit[..., 0] + 1), np.sin(1.7 * hit[..., 1]), np.cos(1.9 * hit.sum(-1))], -1)
    T = T_box_cam if T_world_box is None else T_world_box @ T_box_cam
    return Frame(rgb.astype(np.uint8), depth.astype(np.float32), CAMERA, T, stamp_ns)


def memory_of(frames: list[Frame], max_weight: float = FOREVER) -> Memory:
    memory = Memory(MemoryConfig(voxel_m=VOXEL_M, max_weight=max_weight))
    for frame in frames:
        memory.integrate(frame)
    return memory


class Content(NamedTuple):
    """A memory's points in the order of their voxels."""

    voxel: np.ndarray  # int64 [N, 2]: block, and place in it
    xyz: np.ndarray
    rgb: np.ndarray
    weight: np.ndarray


def content(memory: Memory) -> Content:
    b, points = memory.store.blocks, memory.points()
    n = int(b.counts[N_BLOCKS])
    voxel = np.stack([np.repeat(b.key[:n], b.size[:n]), b.voxel[live_places(b)]], -1)
    order = np.lexsort(voxel.T)
    return Content(voxel[order], points.xyz[order], points.rgb[order].astype(int), points.confidence[order])


@tiny_worlds
@given(st.lists(inside, min_size=1, max_size=3))
def test_integrating_twice_is_integrating_once_with_more_weight(poses):
    frames = [box_frame(T, i) for i, T in enumerate(poses)]
    once, twice = memory_of(frames), memory_of([frame for frame in frames for _ in range(2)])
    a, b = content(once), content(twice)
    np.testing.assert_array_equal(a.voxel, b.voxel)
    np.testing.assert_allclose(b.xyz, a.xyz, atol=2e-5)
    assert np.abs(b.rgb - a.rgb).max() <= 1
    np.testing.assert_array_equal(b.weight, 2 * a.weight)
    assert [k.stamp_ns for k in twice.keyframes.keyframes] == [k.stamp_ns for k in once.keyframes.keyframes]


@tiny_worlds
@given(st.lists(inside, min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_frames_changes_only_the_running_mean(poses, random):
    frames = [box_frame(T, i) for i, T in enumerate(poses)]
    mixed = random.sample(frames, len(frames))
    a, b = content(memory_of(frames)), content(memory_of(mixed))
    np.testing.assert_array_equal(a.voxel, b.voxel)
    np.testing.assert_array_equal(a.weight, b.weight)
    np.testing.assert_allclose(b.xyz, a.xyz, atol=1e-4)
    assert np.abs(b.rgb - a.rgb).max() <= 1
    # A mean that forgets depends on the order, but never leaves the voxel.
    c, d = content(memory_of(frames, max_weight=4)), content(memory_of(mixed, max_weight=4))
    np.testing.assert_array_equal(c.voxel, d.voxel)
    np.testing.assert_array_equal(c.weight, d.weight)
    assert np.abs(c.xyz - d.xyz).max() <= VOXEL_M * 1.001


@tiny_worlds
@given(anywhere, st.floats(0.0, 65.0), angle, st.floats(0.5, 4.0))
def test_a_plane_is_drawn_as_that_plane(T_world_cam, tilt_deg, azimuth, distance_m):
    """From the pose it was seen from, and from half a step aside, wherever that is and however the plane is turned."""
    normal = Rotation.from_euler("zx", [azimuth, np.radians(tilt_deg)]).as_matrix() @ (0.0, 0.0, 1.0)

    def depth_from(eye):
        along = geometry.pixel_rays(CAMERA) @ normal
        depth = (distance_m * normal[2] - eye @ normal) / np.where(along > 1e-3, along, np.inf)
        return np.where(depth < 6.0, depth, 0.0).astype(np.float32)

    T_cam_moved = geometry.pose(np.eye(3), np.array([0.1, -0.05, 0.05]) * distance_m)
    memory = memory_of([Frame(np.full((48, 64, 3), 90, np.uint8), depth_from(np.zeros(3)), CAMERA, T_world_cam)])
    for T in (np.eye(4), T_cam_moved):
        true, view = depth_from(T[:3, 3]), memory.render(CAMERA, T_world_cam @ T, 0)
        both = (true > 0) & view.coverage
        assert both.mean() > 0.3
        # A voxel's mean lies on the plane; a splat is flat and as wide as its voxel or as a pixel there, and the plane's
        # slope says how much depth that is.
        grain = (VOXEL_M + true[both] / CAMERA.fx) * (np.tan(np.radians(tilt_deg)) + 1.0)
        error = np.abs(view.depth - true)[both] / grain
        assert error.max() < 1.5
        assert np.median(error) < 0.2
        assert (view.rgb[both] == 90).all()


@tiny_worlds
@given(st.lists(inside, min_size=1, max_size=3), inside)
def test_looking_changes_nothing(poses, T_look):
    memory = memory_of([box_frame(T, i) for i, T in enumerate(poses)])
    before, keyframes = memory.points(), [k.rgb.tobytes() + k.depth.tobytes() for k in memory.keyframes.keyframes]
    first = memory.render(CAMERA, T_look, 5)
    memory.retrieve(first, CAMERA, T_look, 4)
    again, after = memory.render(CAMERA, T_look, 5), memory.points()
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [k.rgb.tobytes() + k.depth.tobytes() for k in memory.keyframes.keyframes] == keyframes
    for name in ("rgb", "depth", "coverage", "sensed", "age_s"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


@tiny_worlds
@given(st.lists(inside, min_size=1, max_size=3), inside, st.tuples(*[st.integers(-400, 400)] * 3))
def test_a_world_moved_by_whole_blocks_looks_the_same(poses, T_look, blocks):
    T_world_box = geometry.pose(np.eye(3), np.array(blocks) * 8 * VOXEL_M)
    here = memory_of([box_frame(T, i) for i, T in enumerate(poses)])
    there = memory_of([box_frame(T, i, T_world_box) for i, T in enumerate(poses)])
    a, b = here.render(CAMERA, T_look, 0), there.render(CAMERA, T_world_box @ T_look, 0)
    # Positions are float32: at 100 m they are rounded to 8 micrometres. Splats whose edges run along pixels move by one.
    assert (a.coverage == b.coverage).mean() > 0.95
    both = a.coverage & b.coverage
    assert np.quantile(np.abs(a.depth - b.depth)[both], 0.98) < 2e-3 if both.any() else True
    assert np.abs(a.rgb[both].astype(int) - b.rgb[both]).mean() < 1.0 if both.any() else True


@tiny_worlds
@given(st.lists(inside, min_size=1, max_size=3), anywhere)
def test_a_world_moved_anyhow_looks_alike(poses, T_world_box):
    """Voxels fall elsewhere, so this is no identity; but nothing appears, vanishes, or moves by more than a voxel."""
    here = memory_of([box_frame(T, i) for i, T in enumerate(poses)])
    there = memory_of([box_frame(T, i, T_world_box) for i, T in enumerate(poses)])
    a, b = here.render(CAMERA, poses[0], 0), there.render(CAMERA, T_world_box @ poses[0], 0)
    both = a.coverage & b.coverage
    assert both.any()
    assert (a.coverage == b.coverage).mean() > 0.95
    assert np.quantile(np.abs(a.depth - b.depth)[both], 0.95) < VOXEL_M
    assert np.abs(a.rgb[both].astype(int) - b.rgb[both]).mean() < 3.0


def through_a_file(memory: Memory) -> Memory:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "box.spatia"
        memory.save(path)
        return Memory.load(path)


@tiny_worlds
@given(st.lists(inside, min_size=1, max_size=3), anywhere)
def test_saving_and_loading_gives_the_memory_back(poses, T_world_box):
    """To the error that a file states; and what was in a file once comes back as it was."""
    memory = memory_of([box_frame(T, i * 10**9, T_world_box) for i, T in enumerate(poses)])
    back = through_a_file(memory)
    a, b = content(memory), content(back)
    np.testing.assert_array_equal(a.voxel, b.voxel)
    rounding = float(np.spacing(np.abs(a.xyz).max()))
    assert np.abs(a.xyz - b.xyz).max() <= VOXEL_M / (2 * POSITION_STEPS) + 2 * rounding
    np.testing.assert_array_equal(a.rgb, b.rgb)
    np.testing.assert_allclose(a.weight, b.weight, rtol=WEIGHT_ERROR)
    assert (back.epoch_ns, back.names, back.config) == (memory.epoch_ns, memory.names, memory.config)
    for k, kept in zip(memory.keyframes.keyframes, back.keyframes.keyframes, strict=True):
        np.testing.assert_array_equal(k.rgb, kept.rgb)
        np.testing.assert_array_equal(k.depth, kept.depth)
        np.testing.assert_array_equal(k.T_world_cam, kept.T_world_cam)
    if np.abs(a.xyz).max() < 32768 * VOXEL_M:  # where float32 resolves what a file does
        for once, again in zip(b, content(through_a_file(back)), strict=True):
            np.testing.assert_array_equal(once, again)
