"""What the shipped generator makes of places nobody saw, each frame going on from what the last one invented."""

from __future__ import annotations

import numpy as np
import pytest

from spatia_ros.config import WorldConfig
from spatia_ros.geometry import pose
from spatia_ros.memory import Memory
from spatia_ros.train.scan import builtin_scan
from spatia_ros.types import Trajectory
from spatia_ros.world import World, open_generator

SEEN, TURNS, STEP_DEG = 22, 60, 1.5


@pytest.mark.parametrize("side", [-1, 1], ids=["left", "right"])
def test_far_from_anything_seen_the_place_keeps_its_colours(side: int) -> None:
    """A quarter turn past a scan. Networks that had not learned on worlds of their own making ended in white."""
    scan = builtin_scan().resized(160, 96)
    config = WorldConfig.model_validate({"camera": {"width_px": 160, "height_px": 96}})
    memory = Memory(config.memory)
    for i in range(SEEN):
        memory.integrate(scan.frame(i))
    world = World(config, memory, open_generator(config), scan.camera)
    last = scan.frame(SEEN - 1)
    for k in range(1, TURNS + 1):
        yaw = np.radians(side * STEP_DEG * k)
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        stamps_ns = np.array([last.stamp_ns + 100_000_000 * k])
        step = world.advance(Trajectory(stamps_ns, (last.T_world_cam @ pose(turn, np.zeros(3)))[None]))
    rgb = step.rgb[0].astype(np.float64)
    seen = np.percentile(np.concatenate([scan.frame(i).rgb.reshape(-1, 3) for i in range(SEEN)]), (5, 95), axis=0)
    mean = rgb.mean((0, 1))
    assert (mean > seen[0]).all(), f"darker than the place: {mean} below {seen[0]}"
    assert (mean < seen[1]).all(), f"lighter than the place: {mean} above {seen[1]}"
    assert (rgb >= 250).all(-1).mean() < 0.02, "white"
