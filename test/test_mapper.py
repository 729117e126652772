"""A mapper walked round a ball in a small room: poses taken or tracked, the loop closed, the map corrected."""

import numpy as np
import pytest
from speckled_room import CAMERA, frame_at, round_the_ball

from spatia_ros import geometry
from spatia_ros.config import DynamicsConfig, LoopsConfig, MemoryConfig, WorldConfig
from spatia_ros.evaluate.loop_scene import drifted
from spatia_ros.slam.mapper import Mapper
from spatia_ros.types import SpatiaError

MS = 1_000_000
CONFIG = WorldConfig(
    memory=MemoryConfig(voxel_m=0.04), dynamics=DynamicsConfig(enabled=False),
    loops=LoopsConfig(correct_given=True, gap=5.0, min_inliers=15, keyframe_step=0.6),
)  # fmt: skip
UP = geometry.pose(np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), np.zeros(3))
"""The tiny room's y axis points down; drift is defined with z up."""


@pytest.fixture(scope="module")
def walk():
    """A little more than once round the ball: true poses, drifted poses (off by 0.3 m at the end), frames."""
    true = round_the_ball(50, turns=1.15)
    off = geometry.inverse(UP) @ drifted(UP @ true, np.random.default_rng(2), ratio=0.03)
    return true, off, [frame_at(T, 100 * MS * (k + 1)) for k, T in enumerate(true)]


def observed(walk, poses="given", config=CONFIG):
    mapper = Mapper(config, CAMERA, poses=poses)
    steps = [mapper.observe(f.rgb, f.depth, f.stamp_ns, T) for f, T in zip(walk[2], walk[1], strict=True)]
    return mapper, steps


def images_of(walk):
    return lambda number: (walk[2][number].rgb, walk[2][number].depth)


def error_m(trajectory, true):
    return np.linalg.norm(trajectory.T_world_cam[:, :3, 3] - true[:, :3, 3], axis=1)


def off_the_walls_m(memory):
    """Mean distance of the points to the room's walls, or to the ball."""
    xyz = memory.points().xyz
    walls = np.abs(np.abs(xyz) - np.array([3.0, 2.0, 4.0])).min(1)
    return np.minimum(walls, np.abs(np.linalg.norm(xyz, axis=1) - 0.8)).mean()


@pytest.fixture(scope="module")
def closed(walk):
    mapper, steps = observed(walk)
    bent = off_the_walls_m(mapper.memory)
    return mapper.finish(images_of(walk)), steps, bent


@pytest.fixture(scope="module")
def unclosed(walk):
    return observed(walk, config=WorldConfig(memory=CONFIG.memory, dynamics=CONFIG.dynamics))[0].finish()


def test_the_loop_is_found_and_the_path_corrected(walk, closed, unclosed):
    mapped, steps, _ = closed
    assert error_m(unclosed.trajectory, walk[0])[-1] > 0.25
    assert len(mapped.loops) >= 2
    assert mapped.figures["false_loops"] == 0
    assert error_m(mapped.trajectory, walk[0])[-1] < 0.03
    assert error_m(mapped.trajectory, walk[0]).max() < 0.1
    assert sum(len(step.loops) for step in steps) == len(mapped.loops)
    assert max(step.corrected_m for step in steps) > 0.1


def test_the_map_agrees_with_the_corrected_path(closed, unclosed):
    mapped, _, bent = closed
    drifted_m, again_m = off_the_walls_m(unclosed.memory), off_the_walls_m(mapped.memory)
    assert again_m < 0.6 * drifted_m
    assert bent < 0.8 * drifted_m
    assert mapped.figures["reintegrated"] == 1


def test_given_poses_are_taken_as_they_are_unless_asked(walk, unclosed):
    assert np.allclose(unclosed.trajectory.T_world_cam, walk[1], atol=1e-9)
    assert unclosed.loops == []
    assert unclosed.figures["reintegrated"] == 0


def test_every_frame_keeps_its_time_and_order(walk, closed):
    mapped, steps, _ = closed
    assert mapped.trajectory.stamps_ns.tolist() == [f.stamp_ns for f in walk[2]]
    assert mapped.figures["frames"] == len(steps) == len(walk[2])
    stamps = set(mapped.trajectory.stamps_ns.tolist())
    assert all(a < b and {a, b} <= stamps for a, b in mapped.loops)


def test_poses_tracked_from_the_images_alone(walk):
    mapper, steps = observed((walk[0][:12], walk[1][:12], walk[2][:12]), "tracked")
    mapped = mapper.finish()
    assert {step.state for step in steps} <= {"started", "tracked"}
    assert np.allclose(mapped.trajectory.T_world_cam[0], walk[1][0])
    assert error_m(mapped.trajectory, walk[0][:12]).max() < 0.1


def test_a_lost_frame_is_not_integrated(walk):
    mapper, _ = observed((walk[0][:3], walk[1][:3], walk[2][:3]), "tracked")
    points = len(mapper.memory)
    step = mapper.observe(np.full_like(walk[2][0].rgb, 90), np.zeros_like(walk[2][0].depth), walk[2][3].stamp_ns)
    mapped = mapper.finish()
    assert step.state == "lost"
    assert len(mapped.memory) == points
    assert (mapped.figures["lost"], mapped.figures["frames"], len(mapped.trajectory)) == (1, 4, 3)


def test_what_is_refused(walk):
    frame = walk[2][0]
    with pytest.raises(SpatiaError, match="given or tracked, got 'guessed'"):
        Mapper(CONFIG, CAMERA, poses="guessed")
    mapper = Mapper(CONFIG, CAMERA, poses="given")
    with pytest.raises(SpatiaError, match="at least one frame"):
        mapper.finish()
    with pytest.raises(SpatiaError, match="expected a pose with every frame"):
        mapper.observe(frame.rgb, frame.depth, 5)
    with pytest.raises(SpatiaError, match=r"frame\.depth"):
        mapper.observe(frame.rgb, frame.depth[:60], 5, np.eye(4))
    mapper.observe(frame.rgb, frame.depth, 5, np.eye(4))
    with pytest.raises(SpatiaError, match="a time after 5 ns, got 5"):
        mapper.observe(frame.rgb, frame.depth, 5, np.eye(4))
    assert mapper.finish().figures["frames"] == 1
