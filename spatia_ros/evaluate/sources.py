"""What is measured on: a recording, or a procedural scene that knows its own truth at every pose."""

from __future__ import annotations

import numpy as np

from spatia_ros.config import WorldConfig
from spatia_ros.sequence import Sequence
from spatia_ros.types import Camera, Float32, SpatiaError, UInt8

HFOV_RAD = 1.2
FRAMES = 96
"""Poses of the walk through a scene."""
PERIOD_NS = 100_000_000


def scene_sequence(seed: int, config: WorldConfig, kind: str = "room", frames: int = FRAMES) -> Sequence:
    """A walk through a procedural scene as a recording: poses and depth are exact, and nothing else was ever seen of it.

    Training draws its scenes from other seeds, so any seed here is a scene held out. Each frame is rendered when it is asked for,
    at the configured size.

    Raises:
        SpatiaError: on an unknown kind, or a scene without a free path.
    """
    from spatia_ros.train.scenes import random_scene  # Open3D is heavy

    if seed < 0:
        raise SpatiaError(f"--scene: expected a seed of 0 or more, got {seed}")
    rng = np.random.default_rng([seed, 0x5CE7E])
    scene = random_scene(rng, kind)
    poses = scene.random_path(rng, frames)
    camera = Camera.from_fov(config.camera.width_px, config.camera.height_px, HFOV_RAD)

    def load(index: int) -> tuple[UInt8, Float32]:
        frame = scene.render(camera, poses[index])
        return frame.rgb, frame.depth

    stamps_ns = PERIOD_NS * np.arange(1, frames + 1, dtype=np.int64)
    return Sequence(f"{kind}_{seed}", camera, stamps_ns, poses, load)
