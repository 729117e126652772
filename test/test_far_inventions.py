"""What the shipped generator makes of places nobody saw, each frame going on from what the last one invented."""

from __future__ import annotations

import numpy as np

from spatia_ros.config import WorldConfig
from spatia_ros.evaluate.onward import gone_on, turning
from spatia_ros.train.scan import builtin_scan

SEEN, TURNS, STEP_DEG = 22, 60, 1.5


def test_far_from_anything_seen_the_place_keeps_its_colours() -> None:
    """A quarter turn to the left, past the scan. Networks that had not learned on worlds of their own making ended in white."""
    scan = builtin_scan().resized(160, 96)
    config = WorldConfig.model_validate({"camera": {"width_px": 160, "height_px": 96}})
    frames = [scan.frame(i) for i in range(SEEN)]
    way = turning(frames[-1].T_world_cam, -STEP_DEG, TURNS)
    rgb = gone_on(config, frames, way, [TURNS - 1])[0].rgb.astype(np.float64)
    seen = np.percentile(np.concatenate([frame.rgb.reshape(-1, 3) for frame in frames]), (5, 95), axis=0)
    mean = rgb.mean((0, 1))
    assert (mean > seen[0]).all(), f"darker than the place: {mean} below {seen[0]}"
    assert (mean < seen[1]).all(), f"lighter than the place: {mean} above {seen[1]}"
    assert (rgb >= 250).all(-1).mean() < 0.02, "white"
