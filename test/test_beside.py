"""Other cameras of a rig look at the same world, and whether anybody looks through them changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from test_degraded import ahead, learned
from test_world import CAMERA, CONFIG, OracleGenerator, path, psnr, wall_colour, wall_frame

from spatia_ros import geometry
from spatia_ros.actors import PoseTrack
from spatia_ros.actors.library import library_actor
from spatia_ros.beside import beside
from spatia_ros.memory import Memory
from spatia_ros.types import UNJUDGED, Camera, SpatiaError
from spatia_ros.world import World, open_world

SIDE = geometry.pose(np.eye(3), np.array([0.9, 0.0, 0.0]))
SMALL = Camera.from_fov(48, 32, 0.8)


def flown(looks: tuple[str, ...], remember: bool = False) -> tuple[World, list[np.ndarray]]:
    """A world flown along a wall, looked at from beside after some frames, and its own frames."""
    world, frames = learned(2), []
    for x in (0.3, 0.6, 0.9, 1.2):
        frames.append(ahead(world, [x]).rgb[0])
        for name in looks:
            beside(world, SMALL, SIDE, name, remember=remember)
    return world, frames


def test_another_camera_sees_the_same_wall_at_the_same_instant() -> None:
    world = open_world(CONFIG, [wall_frame(0.0), wall_frame(0.6)])
    world.cast.add(library_actor("ball", track=PoseTrack.still(geometry.pose(np.eye(3), np.array([0.5, 0.0, 1.5])))))
    own = world.advance(path([0.4]))
    other = beside(world, CAMERA, geometry.pose(np.eye(3), np.array([0.5, 0, 0])), "left")
    assert (other.index, other.trajectory.stamps_ns[0]) == (own.index, own.trajectory.stamps_ns[0])
    assert other.animation_s == own.animation_s
    wall = other.segmentation[0] == 0
    assert psnr(other.rgb[0][wall], wall_colour(geometry.pose(np.eye(3), np.array([0.5, 0, 0])))[wall]) > 25
    middle = np.argwhere(~wall).mean(0) + 0.5
    assert middle == pytest.approx([CAMERA.cy, CAMERA.cx], abs=1.5)  # the ball is straight ahead of this one
    assert np.argwhere(own.segmentation[0] > 0)[:, 1].mean() > CAMERA.cx + 2  # and to the right of that one


def test_who_looks_changes_neither_memory_nor_any_other_frame() -> None:
    (alone, frames), (looked_at, same) = flown(()), flown(("left", "right"))
    np.testing.assert_array_equal(frames, same)
    np.testing.assert_array_equal(alone.memory.points().xyz, looked_at.memory.points().xyz)
    assert len(alone.memory.keyframes) == len(looked_at.memory.keyframes)
    assert (alone.index, alone.time_ns) == (looked_at.index, looked_at.time_ns)
    first = beside(alone, SMALL, SIDE, "right")
    np.testing.assert_array_equal(first.rgb, beside(looked_at, SMALL, SIDE, "right").rgb)


def test_what_is_remembered_beside_is_shown_to_all() -> None:
    """Seen by nobody before: the right camera's invention stands in memory when the left one looks."""
    world = World(CONFIG, Memory(CONFIG.memory), OracleGenerator(), CAMERA)
    world.observe(wall_frame(0.0))
    world.advance(path([0.1]))
    before = len(world.memory)
    unheeded = beside(world, CAMERA, SIDE, "right")
    assert len(world.memory) == before
    assert set(np.unique(unheeded.verdict)) == {0, UNJUDGED}
    seen = beside(world, CAMERA, SIDE, "right", remember=True)
    assert len(world.memory) > before
    assert UNJUDGED not in seen.verdict
    again = beside(world, CAMERA, SIDE, "left")
    assert again.coverage.sum() > seen.coverage.sum()
    world.frozen, before = True, len(world.memory)
    beside(world, CAMERA, geometry.pose(np.eye(3), np.array([1.8, 0.0, 0.0])), "right", remember=True)
    assert len(world.memory) == before


def test_the_same_again_after_a_restore() -> None:
    world, _ = flown(("left",), remember=True)
    kept = world.snapshot()
    first = beside(world, SMALL, SIDE, "left").rgb
    ahead(world, [1.4])
    world.restore(kept)
    np.testing.assert_array_equal(beside(world, SMALL, SIDE, "left").rgb, first)


def test_a_pose_that_is_none_leaves_the_world_as_it_was() -> None:
    world, _ = flown(())
    own = world.camera, world.stream, world.rng, world.index, world.time_ns
    with pytest.raises(SpatiaError, match="T_world_cam"):
        beside(world, SMALL, np.zeros((4, 4)), "left")
    world.generator.sample = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        beside(world, SMALL, SIDE, "left")
    assert own == (world.camera, world.stream, world.rng, world.index, world.time_ns)
