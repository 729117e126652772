"""The other cameras of a rig: what each of them sees at the instant of the world's newest frame.

A world has one camera, whose frames move its time on. Another looks at the same place, and the same actors, at the same
instant. Its randomness comes from the seed, the frame's number and its own name, and it carries no past: so neither its
own frames, nor those of the world's camera, nor memory depend on which other cameras were looked through.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from spatia_ros.types import Camera, Float64, Step, Trajectory, check_pose
from spatia_ros.world import World


def beside(world: World, camera: Camera, T_world_cam: Float64, name: str, *, remember: bool = False) -> Step:
    """What another camera sees now.

    Args:
        name: of the camera; of two with one name the randomness is the same.
        remember: judge what it invents and fold it into memory, as the world's own camera does (unless the world is
            frozen), so that the frames after it show the same. Otherwise its verdict is UNJUDGED.

    Returns:
        A step of one frame, with the number and stamp of the world's newest.

    Raises:
        SpatiaError: on a pose that is not a finite rigid transform.
    """
    check_pose("T_world_cam", T_world_cam)
    own = world.camera, world.stream, world.rng, world.index, world.time_ns, world.judging
    stream, seed = world.generator.stream(), (world.seed, own[3], crc32(name.encode()))
    if world.prompt != world.config.generator.prompt:  # which is what a fresh stream follows
        world.generator.ask(world.prompt, stream)
    world.camera, world.stream, world.rng = camera, stream, np.random.default_rng(seed)
    world.index, world.judging = max(own[3] - 1, 0), remember
    try:
        return world.advance(Trajectory(np.array([own[4]], np.int64), T_world_cam[None]))
    finally:
        world.camera, world.stream, world.rng, world.index, world.time_ns, world.judging = own
